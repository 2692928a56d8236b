//! What a first load weighs.

use anyhow::{Result, ensure};

use crate::page;

/// What a first load is to weigh at most (wasm, JavaScript, CSS and HTML, brotli), in bytes.
const GOAL: u64 = 200_000;

/// What it may weigh until the goal is reached: lowered with every gain, never raised, and then gone.
const RATCHET: u64 = 219_000;

/// Prints the weights and how far the goal is, and holds their sum to the ratchet.
///
/// # Errors
/// When the page is not built, or too heavy.
pub(super) fn check() -> Result<()> {
    let weights = page::first_load()?;
    println!("{:<46}{:>10}{:>10}", "first load", "plain", "brotli");
    for page::Weight { name, plain, brotli } in &weights {
        println!("{name:<46}{plain:>10}{brotli:>10}");
    }
    let sum = |of: fn(&page::Weight) -> u64| weights.iter().map(of).sum::<u64>();
    let total = sum(|weight| weight.brotli);
    println!("{:<46}{:>10}{total:>10}", "", sum(|weight| weight.plain));
    ensure!(!weights.is_empty(), "dist/ holds no page");
    if let Some(over @ 1..) = total.checked_sub(GOAL) {
        println!("the goal is {GOAL}: {over} bytes to go");
    }
    ensure!(total <= RATCHET, "the first load is {total} bytes with brotli; it must not grow past {RATCHET}");
    Ok(())
}
