//! What may come in from others.

use anyhow::{Context, Result, ensure};
use console::style;

use crate::shell;

/// Libraries that may not come in: what they bring has to be installed on the machine first. (`openssl-probe` brings
/// nothing: it knows where systems keep their certificates.) cargo-deny would say so too, but is not everywhere.
const UNWANTED: [&str; 5] = ["openssl-sys", "openssl-src", "native-tls", "protoc", "protobuf-src"];

/// Looks at the lock file, and lets cargo-deny look at the rest by `deny.toml`, where it is installed.
///
/// # Errors
/// When something is in it that should not be.
pub(super) fn check() -> Result<()> {
    nothing_unwanted()?;
    if shell::find("cargo-deny").is_none() {
        println!(
            "{} licences, duplicates, sources and advisories were not looked at; `cargo install cargo-deny --locked`",
            style("without cargo-deny:").yellow().bold()
        );
        return Ok(());
    }
    deny(&["--offline", "check", "bans", "licenses", "sources"])?;
    advisories()
}

fn nothing_unwanted() -> Result<()> {
    let tree =
        shell::cargo(&["tree", "--locked", "--workspace", "--target=all", "--prefix=none", "--format={p}"]);
    let tree =
        shell::output(tree).context("`cargo tree` failed: does Cargo.lock fit the Cargo.toml files?")?;
    let unwanted = |package: &&str| UNWANTED.iter().any(|name| package.starts_with(name));
    let found: Vec<&str> = tree.lines().filter(unwanted).collect();
    ensure!(found.is_empty(), "unwanted dependencies: {}", found.join(", "));
    println!("none of {} among {} lines", UNWANTED.join(", "), tree.lines().count());
    Ok(())
}

/// By the newest advisories, or by those that were had before.
fn advisories() -> Result<()> {
    if shell::output(shell::cargo(&["deny", "fetch", "db"])).is_some() {
        return deny(&["check", "advisories"]);
    }
    println!("{} is github.com reachable?", style("no new advisories:").yellow().bold());
    match has_advisories() {
        true => deny(&["--offline", "check", "advisories"]),
        false => Ok(()),
    }
}

/// Where cargo-deny keeps them.
fn has_advisories() -> bool {
    let kept = shell::cargo_home().and_then(|home| home.join("advisory-dbs").read_dir().ok());
    kept.is_some_and(|kept| kept.flatten().any(|entry| entry.path().is_dir()))
}

fn deny(arguments: &[&str]) -> Result<()> {
    let mut deny = shell::cargo(&["deny"]);
    deny.args(arguments);
    shell::run(deny)
}
