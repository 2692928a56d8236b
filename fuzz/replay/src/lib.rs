//! A runner for fuzz targets that needs no cargo-fuzz: it uses the inputs in `fuzz/corpus`, and mutations of them.
//!
//! Each run has a random seed. A failure prints the seed, and `RIDES_FUZZ_SEED` repeats the run. `RIDES_FUZZ_RUNS`
//! sets the number of mutations.

mod mutate;

use std::{
    env, fs, panic,
    path::{Path, PathBuf},
};

use mutate::Mutator;

/// The number of mutations for one target, unless `RIDES_FUZZ_RUNS` is set.
const RUNS: u64 = 1_000;

/// Runs `target` on the inputs in `fuzz/corpus/NAME`, and on mutations of them.
///
/// # Panics
/// If the target panics, after printing the input; and if there are no inputs.
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
        eprintln!("the target failed on {origin}: b\"{}\"", input.escape_ascii());
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
    assert!(!saved.is_empty(), "{}: no inputs", dir.display());
    // The order of a directory differs between machines, and the mutations of a seed depend on it.
    saved.sort();
    saved
}

fn variable(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, and is {text:?}")))
}
