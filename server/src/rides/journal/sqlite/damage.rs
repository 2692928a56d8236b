//! The detection of unreadable commits in a write-ahead log.
//!
//! SQLite reads its log up to the first frame that is not sound. It takes that for the end, because the power may
//! have failed while the last commit was written. Such a commit was never acknowledged. But each commit is synced
//! before the next one is written. So a commit with frames of another one behind it was acknowledged. If it cannot be
//! read, it is damaged.
//!
//! The format: <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::{
    fmt, fs,
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use super::{OpenError, wal::wal_path};
use crate::files::{self, Access};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The magic numbers for checksums over little-endian and over big-endian words.
const MAGIC: [u32; 2] = [0x377f_0682, 0x377f_0683];
/// The most reads of a log that a server may be writing.
const READS: usize = 5;

/// Acknowledged commits that SQLite does not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The first frame that is not sound, from 1. 0 for the header of the log.
    frame: usize,
    /// The number of commits from that frame on.
    commits: usize,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frame, commits } = self;
        let place = match frame {
            0 => "its header".to_owned(),
            frame => format!("frame {frame}"),
        };
        write!(f, "the write-ahead log is damaged in {place}: {commits} commits from there on cannot be read")
    }
}

/// Looks for damage in the log beside `file`. A server may be writing to it, and a frame that is being written is not
/// sound. So damage counts only if two reads find it in the same frame.
pub(super) fn find(file: &Path) -> Result<Option<Damage>, OpenError> {
    let path = wal_path(file);
    let mut seen = None;
    for _ in 0..READS {
        let log = match fs::read(&path) {
            Ok(log) => log,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(unreadable(path, why)),
        };
        let found = damage(&log);
        let place = |damage: &Option<Damage>| damage.map(|damage| damage.frame);
        // Otherwise the log may have been restarted during the read.
        let is_whole = header_of(&path).is_ok_and(|header| log.starts_with(&header));
        if is_whole && (found.is_none() || place(&found) == place(&seen)) {
            return Ok(found);
        }
        seen = found;
    }
    Ok(None)
}

fn header_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut header = Vec::with_capacity(HEADER);
    fs::File::open(path)?.take(HEADER as u64).read_to_end(&mut header)?;
    Ok(header)
}

fn unreadable(path: PathBuf, why: io::Error) -> OpenError {
    let why = files::explained(&path, Access::Read, why);
    OpenError::Io { path, why }
}

/// Returns the page sizes that SQLite allows.
fn page_sizes() -> impl Iterator<Item = usize> {
    (9..=16).map(|bits| 1 << bits)
}

fn damage(log: &[u8]) -> Option<Damage> {
    let (header, rest) = log.split_at_checked(HEADER)?;
    let frames =
        |page_size: usize| rest.chunks_exact(FRAME_HEADER + page_size).map(Frame).collect::<Vec<_>>();
    let sum = Checksum::of_header(header);
    if MAGIC.contains(&word(header, 0)) && sum.is(&header[24..]) {
        let page_size = page_sizes().find(|size| *size == word(header, 8) as usize)?;
        return damage_of_frames(&frames(page_size), &header[16..24], sum);
    }
    // Any field of the header may be damaged, so each page size and byte order is tried.
    let found = page_sizes().filter_map(|size| {
        let frames = frames(size);
        let salts = frames.first()?.salts();
        // A restart of the log changes both salts. If both differ, the frames are from the log before, and are in the
        // database.
        let is_this_log = salts[..4] == header[16..20] || salts[4..] == header[20..24];
        let orders = [false, true];
        let mut commits = orders
            .iter()
            .filter_map(|order| acknowledged_commits(&frames, salts, Checksum::new(*order), false));
        let commits = is_this_log.then(|| commits.next())??;
        Some(Damage { frame: 0, commits })
    });
    found.max_by_key(|damage| damage.commits)
}

fn damage_of_frames(frames: &[Frame<'_>], salts: &[u8], mut sum: Checksum) -> Option<Damage> {
    // The checksum also covers the first frame that is not sound.
    let sound = frames.iter().take_while(|frame| sum.takes(frame) & (frame.salts() == salts)).count();
    let commits = acknowledged_commits(&frames[sound..], salts, sum, true)?;
    Some(Damage { frame: sound + 1, commits })
}

/// Returns the number of commits in `frames`, of which the first is not sound, if at least one of them was
/// acknowledged. `sum` is the checksum over the log up to and with the first frame, if it `is_known`.
///
/// A frame follows the one before it if its checksum continues from there. It belongs to this log if it has its
/// salts. Other frames with these salts may be from a failed commit, and frames with other salts are from the log
/// before.
fn acknowledged_commits(
    frames: &[Frame<'_>],
    salts: &[u8],
    mut sum: Checksum,
    is_known: bool,
) -> Option<usize> {
    let mut is_behind_commit = false;
    let mut found = false;
    for (n, pair) in frames.windows(2).enumerate() {
        let [before, frame] = pair else { break };
        let by_stored = sum.stored_in(before).takes(frame);
        let by_content = n == 0 && is_known && sum.takes(frame);
        let is_linked = frame.salts() == salts && (by_stored || by_content);
        is_behind_commit = is_linked && (is_behind_commit || before.is_commit());
        found |= is_behind_commit;
    }
    let ours = |frame: &&Frame<'_>| frame.is_commit() && frame.salts() == salts;
    found.then(|| frames.iter().filter(ours).count().max(2))
}

struct Frame<'a>(&'a [u8]);

impl<'a> Frame<'a> {
    fn salts(&self) -> &'a [u8] {
        &self.0[8..16]
    }

    /// Returns `true` for the last frame of a commit, which has the size of the database after it.
    fn is_commit(&self) -> bool {
        word(self.0, 4) != 0
    }
}

/// The running checksum of a log.
#[derive(Clone, Copy)]
struct Checksum {
    sums: [u32; 2],
    is_big_endian: bool,
}

impl Checksum {
    fn new(is_big_endian: bool) -> Self {
        Self { sums: [0, 0], is_big_endian }
    }

    /// Returns the checksum that is stored in a frame.
    fn stored_in(&self, Frame(frame): &Frame<'_>) -> Self {
        Self { sums: [word(frame, 16), word(frame, 20)], ..*self }
    }

    fn of_header(header: &[u8]) -> Self {
        let mut sum = Self::new(word(header, 0) == MAGIC[1]);
        sum.add(&header[..24]);
        sum
    }

    /// Adds a frame, and returns `true` if the checksum is the stored one.
    fn takes(&mut self, Frame(frame): &Frame<'_>) -> bool {
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER..]);
        self.is(&frame[16..24])
    }

    fn is(&self, stored: &[u8]) -> bool {
        self.sums == [word(stored, 0), word(stored, 4)]
    }

    fn add(&mut self, bytes: &[u8]) {
        let [a, b] = &mut self.sums;
        let (pairs, _) = bytes.as_chunks::<8>();
        for &[b0, b1, b2, b3, b4, b5, b6, b7] in pairs {
            let read = if self.is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
            *a = a.wrapping_add(read([b0, b1, b2, b3])).wrapping_add(*b);
            *b = b.wrapping_add(read([b4, b5, b6, b7])).wrapping_add(*a);
        }
    }
}

/// Returns the big-endian word at an offset. Panics if `bytes` is too short.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;

    const PAGE: usize = 4096;

    /// Returns the log of commits that have these numbers of frames.
    fn log(commits: &[usize]) -> (TempDir, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("test.db");
        let db = Connection::open(&file).unwrap();
        db.execute_batch(
            "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
             CREATE TABLE t (a); PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
        for (n, frames) in commits.iter().enumerate() {
            db.execute("INSERT INTO t VALUES (zeroblob(?1))", [(PAGE * frames + n) as i64]).unwrap();
        }
        let log = fs::read(wal_path(&file)).unwrap();
        assert_eq!(damage(&log), None, "the log is sound");
        (dir, log)
    }

    /// Returns the offsets at which commits end.
    fn ends(log: &[u8]) -> Vec<usize> {
        let frames = log[HEADER..].chunks_exact(FRAME_HEADER + PAGE).map(Frame).enumerate();
        let commits = frames.filter(|(_, frame)| frame.is_commit());
        commits.map(|(n, _)| HEADER + (n + 1) * (FRAME_HEADER + PAGE)).collect()
    }

    proptest! {
        #[test]
        fn a_flipped_bit_before_acknowledged_commits_is_damage(
            commits in prop::collection::vec(1usize..4, 2..10),
            place in 0.0f64..1.0,
            bit in 0u8..8,
        ) {
            let (_dir, mut log) = log(&commits);
            let ends = ends(&log);
            prop_assert_eq!(ends.len(), commits.len());
            let acknowledged = ends[ends.len() - 2];
            log[(place * acknowledged as f64) as usize] ^= 1 << bit;
            prop_assert!(damage(&log).is_some());
        }

        /// A power failure may damage any part of the last commit, and nothing before it.
        #[test]
        fn a_torn_end_is_no_damage(
            commits in prop::collection::vec(1usize..6, 1..6),
            cut in 0.0f64..1.0,
            lost in prop::collection::vec(any::<bool>(), 12),
        ) {
            let (_dir, mut log) = log(&commits);
            let ends = ends(&log);
            let last = ends.len().checked_sub(2).map_or(HEADER, |before| ends[before]);
            let sectors = (last..log.len()).step_by(512).zip(lost.iter().cycle());
            for (at, _) in sectors.filter(|(_, is_lost)| **is_lost) {
                let end = log.len().min(at + 512);
                log[at..end].fill(0);
            }
            prop_assert_eq!(damage(&log), None);
            log.truncate((cut * log.len() as f64) as usize);
            prop_assert_eq!(damage(&log), None);
        }

        #[test]
        fn no_bytes_are_too_strange(frames in prop::collection::vec(any::<u8>(), 0..3_000), is_sound in any::<bool>()) {
            let mut log = [&MAGIC[0].to_be_bytes()[..], &[0, 0, 0, 0, 0, 0, 2, 0, 9], &[7; 19], &frames].concat();
            if is_sound {
                let Checksum { sums: [a, b], .. } = Checksum::of_header(&log[..HEADER]);
                log.splice(24..HEADER, [a.to_be_bytes(), b.to_be_bytes()].concat());
            }
            damage(&log);
            damage(&frames);
        }
    }

    /// After a checkpoint the log is written from its beginning, over its first frames.
    #[test]
    fn frames_of_an_earlier_log_are_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("test.db");
        let db = Connection::open(&file).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a)").unwrap();
        for commits in (1..8).rev() {
            db.execute_batch("PRAGMA wal_checkpoint(RESTART)").unwrap();
            for _ in 0..commits {
                db.execute("INSERT INTO t VALUES (1)", []).unwrap();
            }
            let mut log = fs::read(wal_path(&file)).unwrap();
            assert_eq!(log.len(), HEADER + 7 * (FRAME_HEADER + PAGE), "the rest is from the log before");
            assert_eq!(damage(&log), None);
            log[HEADER] ^= 1;
            assert_eq!(damage(&log).is_some(), commits > 1, "{commits}");
            log[HEADER] ^= 1;
            log[0] ^= 1;
            assert_eq!(damage(&log).is_some(), commits > 1, "{commits}");
        }
    }

    /// A commit that failed because the disk was full leaves frames behind the next one.
    #[test]
    fn what_a_failed_commit_left_behind_a_torn_one_is_no_damage() {
        let (_dir, mut failed) = log(&[1, 6]);
        let (_dir, mut torn) = log(&[1, 2]);
        let [first, torn_end] = [ends(&torn)[0], ends(&torn)[1]];
        failed.truncate(failed.len() - FRAME_HEADER - PAGE);
        // Makes it the same log, with the salts of `torn`.
        let salts = torn[16..24].to_vec();
        for frame in failed[HEADER..].chunks_exact_mut(FRAME_HEADER + PAGE) {
            frame[8..16].copy_from_slice(&salts);
        }
        torn[first + 100] ^= 0xff;
        torn.extend_from_slice(&failed[torn_end..]);
        assert_eq!(damage(&torn), None);
    }

    #[test]
    fn it_says_where_and_how_much() {
        let (_dir, mut log) = log(&[1, 1, 1, 1]);
        log[HEADER + 200] ^= 1;
        let text = damage(&log).unwrap().to_string();
        assert_eq!(text, "the write-ahead log is damaged in frame 1: 4 commits from there on cannot be read");
        log[HEADER + 200] ^= 1;
        log[9] ^= 1;
        let text = damage(&log).unwrap().to_string();
        assert_eq!(
            text,
            "the write-ahead log is damaged in its header: 4 commits from there on cannot be read"
        );
    }
}
