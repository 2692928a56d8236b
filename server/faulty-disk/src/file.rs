//! A file: its content while the power is on, and its content after a power cut.

use rand::{Rng as _, rngs::SmallRng, seq::IndexedRandom as _};

/// The bytes that a disk writes at once. A longer write can be torn between two sectors.
pub(crate) const SECTOR: usize = 512;

/// The probabilities with which an unsynced change is whole after a power cut. Each cut uses one of them for all
/// changes, so that the loss of all and of none happen too.
const SURVIVAL_PROBABILITIES: [f64; 4] = [0.0, 0.5, 0.95, 1.0];

/// A file of a disk.
#[derive(Default)]
pub(crate) struct File {
    /// The content that reads see.
    cached: Vec<u8>,
    /// The content at the last sync. `None` if the file itself was not synced.
    durable: Option<Vec<u8>>,
    unsynced: Vec<Change>,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl File {
    pub(crate) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.cached
    }

    /// Fills `buffer` from the file, and returns the number of bytes that it had.
    pub(crate) fn read(&self, at: usize, buffer: &mut [u8]) -> usize {
        let there = self.cached.get(at..).unwrap_or_default();
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        read
    }

    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.change(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.change(Change::Truncate(len));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.cached);
        self.unsynced.push(change);
    }

    pub(crate) fn sync(&mut self) {
        let durable = self.durable.get_or_insert_default();
        for change in self.unsynced.drain(..) {
            change.apply(durable);
        }
    }

    /// Fails a sync. All changes count as written, and each may or may not be.
    pub(crate) fn fail_sync(&mut self, rng: &mut SmallRng) {
        let unsynced = std::mem::take(&mut self.unsynced);
        apply_survivors(unsynced, self.durable.get_or_insert_default(), rng);
    }

    /// Returns the file after a power cut, or `None` if the file itself is lost.
    pub(crate) fn after_power_cut(self, rng: &mut SmallRng) -> Option<Self> {
        let mut left = match self.durable {
            Some(durable) => durable,
            None if rng.random() => Vec::new(),
            None => return None,
        };
        apply_survivors(self.unsynced, &mut left, rng);
        Some(Self::durable(left))
    }

    /// Returns a synced file with these bytes.
    pub(crate) fn durable(bytes: Vec<u8>) -> Self {
        Self { cached: bytes.clone(), durable: Some(bytes), unsynced: Vec::new() }
    }

    /// Returns the synced content of a deleted file, which returns if the disk loses the deletion.
    pub(crate) fn into_durable(self) -> Option<Vec<u8>> {
        self.durable
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => write(file, *at, bytes),
            Self::Truncate(len) => file.truncate(*len),
        }
    }

    /// Leaves some sectors of a write as they were, writes some, and writes random bytes to a few.
    fn tear(&self, file: &mut Vec<u8>, rng: &mut SmallRng) {
        let Self::Write { at, bytes } = self else { return };
        let (mut from, end) = (*at, at + bytes.len());
        while from < end {
            let to = end.min((from / SECTOR + 1) * SECTOR);
            match rng.random_range(0..16) {
                0 => write(file, from, &rng.random_iter().take(to - from).collect::<Vec<u8>>()),
                1..8 => write(file, from, &bytes[from - at..to - at]),
                _ => {}
            }
            from = to;
        }
    }
}

/// Applies to `file` the part of `changes` that is left after a power cut.
fn apply_survivors(changes: Vec<Change>, file: &mut Vec<u8>, rng: &mut SmallRng) {
    let luck = SURVIVAL_PROBABILITIES.choose(rng).copied().unwrap_or_default();
    for change in changes {
        if rng.random_bool(luck) {
            change.apply(file);
        } else if rng.random() {
            change.tear(file, rng);
        }
    }
}

fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    /// Returns possible contents after a power cut, of a file with the content `before` that was synced, and then
    /// `after` that was not.
    fn leftovers(before: &[u8], after: &[u8]) -> Vec<Vec<u8>> {
        let left = (0..200).filter_map(|seed| {
            let mut file = File::default();
            file.write(0, before);
            file.sync();
            file.write(0, after);
            file.after_power_cut(&mut SmallRng::seed_from_u64(seed))
        });
        left.map(|file| file.cached).collect()
    }

    #[test]
    fn what_was_synced_stays_and_what_was_not_may_be_lost_kept_or_torn() {
        let (before, after) = (vec![b'a'; 3 * SECTOR], vec![b'b'; 3 * SECTOR]);
        let left = leftovers(&before, &after);
        assert!(left.contains(&before));
        assert!(left.contains(&after));
        let sectors = |file: &[u8]| -> Vec<_> { file.chunks(SECTOR).map(<[u8]>::to_vec).collect() };
        let torn = left
            .iter()
            .map(|file| sectors(file))
            .find(|sectors| sectors.contains(&vec![b'a'; SECTOR]) && sectors.contains(&vec![b'b'; SECTOR]));
        assert!(torn.is_some(), "one torn write has sectors of both");
    }

    #[test]
    fn the_bytes_beside_a_torn_write_stay() {
        let mut before = vec![b'a'; 2 * SECTOR];
        for seed in 0..200 {
            let mut file = File::durable(before.clone());
            file.write(100, &[b'b'; SECTOR]);
            let left = file.after_power_cut(&mut SmallRng::seed_from_u64(seed)).unwrap();
            before[100..100 + SECTOR].copy_from_slice(&left.cached[100..100 + SECTOR]);
            assert_eq!(left.cached, before);
        }
    }

    #[test]
    fn a_failed_sync_is_not_made_good_by_the_next() {
        let lost = (0..100).filter(|seed| {
            let rng = &mut SmallRng::seed_from_u64(*seed);
            let mut file = File::default();
            file.write(0, b"money");
            file.fail_sync(rng);
            file.sync();
            file.after_power_cut(rng).unwrap().cached != b"money"
        });
        assert!((10..90).contains(&lost.count()));
    }
}
