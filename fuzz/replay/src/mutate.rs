//! Mutations of inputs. The same seed gives the same mutations.

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};

/// The greatest length of a mutation in bytes. The targets read short inputs.
const LONGEST: usize = 16 * 1024;
/// Byte values at the limits of lengths, tags and numbers.
const EDGES: [u8; 9] = [0x00, 0x01, 0x7f, 0x80, 0x81, 0xfe, 0xff, b'=', b'.'];

/// A source of mutations.
pub(crate) struct Mutator {
    inputs: Vec<Vec<u8>>,
    rng: SmallRng,
}

impl Mutator {
    /// A source of mutations of `inputs`, which must not be empty.
    pub(crate) fn new(inputs: Vec<Vec<u8>>, seed: u64) -> Self {
        Self { inputs, rng: SmallRng::seed_from_u64(seed) }
    }

    /// Returns one of the inputs with one to eight random changes.
    pub(crate) fn mutation(&mut self) -> Vec<u8> {
        let mut input = self.any_input();
        for _ in 0..self.rng.random_range(1..=8) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn any_input(&mut self) -> Vec<u8> {
        self.inputs.choose(&mut self.rng).cloned().unwrap_or_default()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.rng.random_range(0..=input.len());
        let end = self.rng.random_range(at..=input.len().min(at + 64));
        match self.rng.random_range(0..8) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => input.insert(at, self.rng.random()),
            3 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            4 => {
                let other = self.any_input();
                let from = self.rng.random_range(0..=other.len());
                input.splice(at.., other[from..].iter().copied());
            }
            5 => input[at..end].fill(0xff),
            kind => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = match kind {
                        6 => EDGES[self.rng.random_range(0..EDGES.len())],
                        _ => *byte ^ 1 << self.rng.random_range(0..8),
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutations(seed: u64) -> Vec<Vec<u8>> {
        let inputs = vec![b"first".to_vec(), b"the second".to_vec(), Vec::new()];
        let mut mutator = Mutator::new(inputs, seed);
        (0..100).map(|_| mutator.mutation()).collect()
    }

    #[test]
    fn a_seed_repeats_and_another_does_not() {
        assert_eq!(mutations(1), mutations(1));
        assert_ne!(mutations(1), mutations(2));
    }

    #[test]
    fn nothing_grows_without_end() {
        let mut mutator = Mutator::new(vec![vec![0; LONGEST]], 7);
        assert!((0..100).all(|_| mutator.mutation().len() <= LONGEST));
    }
}
