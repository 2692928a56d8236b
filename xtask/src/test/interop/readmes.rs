//! The test of commands in READMEs that no other test runs. They are run as they are printed, with another address.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::{
    examples::expect,
    programs::{ClientPrograms, set_dead_proxy},
    servers::Servers,
};
use crate::shell;

/// The addresses of servers in READMEs.
const ADDRESSES: [&str; 2] = ["localhost:8080", "localhost:8443"];

/// Runs the commands, and returns their number.
///
/// # Errors
/// When a command is missing in its README, fails, or does not print the expected text.
pub(super) fn run(programs: &ClientPrograms, servers: &Servers) -> Result<u64> {
    Ok(shortest(programs, servers)? + tls_and_token(programs, servers)?)
}

/// Runs the shortest clients: a few lines of Python, and curl.
fn shortest(programs: &ClientPrograms, servers: &Servers) -> Result<u64> {
    let lines = code_with_address(&shell::root().join("README.md"), "protos_and_services", &servers.open)?;
    expect(programs.python(&["-c", &lines]).current_dir(programs.dir().join("../proto")), "EUR")?;
    Ok(1 + curl(programs, "Health/Check", &servers.open)?)
}

/// Runs the commands that use TLS and a token.
fn tls_and_token(programs: &ClientPrograms, servers: &Servers) -> Result<u64> {
    let (_server, address) = servers.start_with_tls_and_tokens(&programs.dir().join("keys"))?;
    let called = |language| {
        arguments(&programs.dir().join(language).join("README.md"), "--token-file ../keys", &address)
    };
    expect(programs.python(&[]).args(called("python")?), " is RIDE_STATE_")?;
    expect(programs.node(&[]).args(called("node")?), " is RIDE_STATE_")?;
    Ok(2 + curl(programs, "Sessions/WhoAmI", &address)?)
}

/// Makes a call with curl in a shell.
fn curl(programs: &ClientPrograms, call: &str, address: &str) -> Result<u64> {
    if cfg!(windows) {
        return Ok(0);
    }
    let mut sh = shell::command("sh");
    sh.arg("-c").arg(code_with_address(&programs.dir().join("README.md"), call, address)?);
    set_dead_proxy(&mut sh);
    expect(sh.current_dir(programs.dir()), "grpc-status: 0")?;
    Ok(1)
}

/// Returns the code in a README that contains `what`, with `address` as the server.
fn code_with_address(readme: &Path, what: &str, address: &str) -> Result<String> {
    let text = fs::read_to_string(readme).with_context(|| format!("cannot read {}", readme.display()))?;
    let lines = code(&text, what).with_context(|| format!("{} has no code with {what}", readme.display()))?;
    Ok(ADDRESSES.iter().fold(lines.to_owned(), |lines, printed| lines.replace(printed, address)))
}

/// Returns the arguments of the program in the last line of that code.
fn arguments(readme: &Path, what: &str, address: &str) -> Result<Vec<String>> {
    let lines = code_with_address(readme, what, address)?;
    let call = lines.lines().last().unwrap_or_default();
    Ok(call.split_whitespace().skip(1).map(str::to_owned).collect())
}

/// Returns the lines of the first code block that contains `what`.
fn code<'a>(text: &'a str, what: &str) -> Option<&'a str> {
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    blocks.map(|(_language, lines)| lines).find(|lines| lines.contains(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_stands_between_fences() {
        let text = "call\n```sh\nls\n```\ncall, too\n```python\ncall()\nagain()\n```\n```\ncall\n```\n";
        assert_eq!(code(text, "call"), Some("call()\nagain()\n"));
        assert_eq!(code(text, "too"), None);
    }
}
