//! Runs a fuzz target where cargo-fuzz is not: on every input in `fuzz/corpus`, and then on mutations of them.
//!
//! Each run has another seed. A failure says which, and `RIDES_FUZZ_SEED` repeats it; `RIDES_FUZZ_RUNS` makes a run
//! longer.

mod mutate;

use std::{
    env, fs, panic,
    path::{Path, PathBuf},
};

use mutate::Mutator;

/// Mutations of one target, unless `RIDES_FUZZ_RUNS` says otherwise.
const RUNS: u64 = 1_000;

/// Runs `target` on what is saved under its `name`, and on mutations of that.
///
/// # Panics
/// If the target does, after saying on what input; and if nothing is saved.
pub fn replay(name: &str, target: fn(&[u8])) {
    let saved = saved(name);
    for (path, input) in &saved {
        attempt(target, input, &path.display().to_string());
    }
    let seed = variable("RIDES_FUZZ_SEED").unwrap_or_else(rand::random);
    let inputs = saved.into_iter().map(|(_, input)| input).collect();
    let mut mutator = Mutator::new(inputs, seed);
    for run in 0..variable("RIDES_FUZZ_RUNS").unwrap_or(RUNS) {
        attempt(target, &mutator.mutation(), &format!("mutation {run} with RIDES_FUZZ_SEED={seed}"));
    }
}

fn attempt(target: fn(&[u8]), input: &[u8], origin: &str) {
    if let Err(failure) = panic::catch_unwind(|| target(input)) {
        eprintln!("it failed on {origin}, which is b\"{}\"", input.escape_ascii());
        panic::resume_unwind(failure);
    }
}

fn saved(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry?.path();
        fs::read(&path).map(|input| (path, input))
    };
    let mut saved: Vec<_> = entries.map(|entry| read(entry).expect("a saved input")).collect();
    assert!(!saved.is_empty(), "{} is empty", dir.display());
    // A seed means the same everywhere.
    saved.sort();
    saved
}

fn variable(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
