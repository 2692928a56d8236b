//! The check of the size of a first load.

use anyhow::{Result, ensure};

use crate::page;

/// The largest size of a first load (wasm, JavaScript, CSS and HTML with brotli) in bytes.
const LIMIT: u64 = 200_000;

/// Prints the sizes, and checks their sum against the limit.
///
/// # Errors
/// When the page is not built, or too large.
pub(super) fn check() -> Result<()> {
    let weights = page::first_load()?;
    println!("{:<46}{:>10}{:>10}", "first load", "plain", "brotli");
    for page::FileSize { name, plain, brotli } in &weights {
        println!("{name:<46}{plain:>10}{brotli:>10}");
    }
    let sum = |of: fn(&page::FileSize) -> u64| weights.iter().map(of).sum::<u64>();
    let total = sum(|weight| weight.brotli);
    println!("{:<46}{:>10}{total:>10}", "", sum(|weight| weight.plain));
    ensure!(!weights.is_empty(), "target/bundle has no page");
    ensure!(
        total <= LIMIT,
        "the first load is {total} bytes with brotli: {} over the limit of {LIMIT}",
        total - LIMIT
    );
    Ok(())
}
