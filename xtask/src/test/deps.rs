//! The check of the dependencies.

use anyhow::{Context, Result, ensure};
use console::style;

use crate::shell;

/// Crates that are not allowed, since they need a library or a program that must be installed first. (`openssl-probe`
/// does not: it only knows the paths of certificates.) `deny.toml` forbids them too, but cargo-deny may not be
/// installed.
const UNWANTED: [&str; 5] = ["openssl-sys", "openssl-src", "native-tls", "protoc", "protobuf-src"];

/// Checks the dependencies for unwanted crates, and with cargo-deny against `deny.toml` if it is installed.
///
/// # Errors
/// When a dependency is not allowed.
pub(super) fn check() -> Result<()> {
    nothing_unwanted()?;
    if shell::find("cargo-deny").is_none() {
        println!(
            "{} licences, duplicates, sources and advisories were not checked: run `cargo install cargo-deny --locked`",
            style("cargo-deny is not installed:").yellow().bold()
        );
        return Ok(());
    }
    deny(&["--offline", "check", "bans", "licenses", "sources"])?;
    advisories()
}

fn nothing_unwanted() -> Result<()> {
    let tree =
        shell::cargo(&["tree", "--locked", "--workspace", "--target=all", "--prefix=none", "--format={p}"]);
    let tree = shell::output(tree)
        .context("`cargo tree` failed: check that Cargo.lock matches the Cargo.toml files")?;
    let unwanted = |package: &&str| UNWANTED.iter().any(|name| package.starts_with(name));
    let found: Vec<&str> = tree.lines().filter(unwanted).collect();
    ensure!(found.is_empty(), "unwanted dependencies: {}", found.join(", "));
    println!("none of {} found in {} lines of `cargo tree`", UNWANTED.join(", "), tree.lines().count());
    Ok(())
}

/// Checks the newest advisories, or the downloaded ones if there is no network.
fn advisories() -> Result<()> {
    if shell::output(shell::cargo(&["deny", "fetch", "db"])).is_some() {
        return deny(&["check", "advisories"]);
    }
    println!("{} check that github.com is reachable", style("no new advisories:").yellow().bold());
    match has_advisories() {
        true => deny(&["--offline", "check", "advisories"]),
        false => Ok(()),
    }
}

/// Returns `true` if cargo-deny has downloaded advisories before.
fn has_advisories() -> bool {
    let kept = shell::cargo_home().and_then(|home| home.join("advisory-dbs").read_dir().ok());
    kept.is_some_and(|kept| kept.flatten().any(|entry| entry.path().is_dir()))
}

fn deny(arguments: &[&str]) -> Result<()> {
    let mut deny = shell::cargo(&["deny"]);
    deny.args(arguments);
    shell::run(deny)
}
