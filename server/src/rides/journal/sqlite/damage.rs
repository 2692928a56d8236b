//! Commits of a write-ahead log that cannot be read, because something before them is damaged.
//!
//! SQLite reads its log up to the first frame that is not sound, and takes that for the end: the power may have failed while
//! the last commit was written. Such a commit was never acknowledged. But each commit is on the disk before the next one is
//! written. So a commit that is followed by frames of another was acknowledged, and is damaged if it cannot be read.
//!
//! The format: <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::{
    fmt, fs,
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{OpenError, log::log_of};
use crate::files::{self, Access};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The magic numbers of checksums over little-endian and big-endian words.
const MAGIC: [u32; 2] = [0x377f_0682, 0x377f_0683];
/// Reads of a log that a server may be writing meanwhile.
const READS: usize = 5;

/// Acknowledged commits that SQLite does not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The first frame that is not sound, from 1. 0: the header of the log.
    frame: usize,
    /// The commits from there on.
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

/// Looks for damage in the log beside `file`. A server may be writing to it.
pub(super) fn find(file: &Path) -> Result<Option<Damage>, OpenError> {
    let path = log_of(file);
    for _ in 0..READS {
        let log = match fs::read(&path) {
            Ok(log) => log,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(unreadable(path, why)),
        };
        // Else it was begun anew while it was read.
        if header_of(&path).is_ok_and(|header| log.starts_with(&header)) {
            return Ok(damage(&log));
        }
    }
    Ok(None)
}

/// Keeps a copy of the log beside `file`, and returns its path.
pub(super) fn keep_copy(file: &Path) -> Result<PathBuf, OpenError> {
    let path = log_of(file);
    let mut copy = path.clone().into_os_string();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    copy.push(format!(".damaged-{}", now.as_secs()));
    let copy = PathBuf::from(copy);
    fs::copy(&path, &copy)
        .and_then(|_| fs::File::open(&copy)?.sync_all())
        .map_err(|why| OpenError::Io { path: copy.clone(), why })?;
    Ok(copy)
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

/// The sizes that a page may have.
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
    // The size of a page may be what is damaged.
    let generation = |frames: &[Frame<'_>]| frames.first().map(|first| first.salts().to_vec());
    let found = page_sizes().filter_map(|size| {
        let frames = frames(size);
        let salts = generation(&frames)?;
        // Both salts change when a log is begun anew: then these frames are of the log before, and all in the database.
        let is_this_log = salts[..4] == header[16..20] || salts[4..] == header[20..24];
        let commits = is_this_log.then(|| acknowledged(&frames, &salts))??;
        Some(Damage { frame: 0, commits })
    });
    found.max_by_key(|damage| damage.commits)
}

fn damage_of_frames(frames: &[Frame<'_>], salts: &[u8], mut sum: Checksum) -> Option<Damage> {
    let sound = frames.iter().take_while(|frame| frame.salts() == salts && sum.takes(frame)).count();
    let commits = acknowledged(&frames[sound..], salts)?;
    Some(Damage { frame: sound + 1, commits })
}

/// The number of commits in frames that begin with one that is not sound, if one of them was acknowledged.
fn acknowledged(frames: &[Frame<'_>], salts: &[u8]) -> Option<usize> {
    let mut ours = frames.iter().filter(|frame| frame.salts() == salts);
    ours.find(|frame| frame.is_commit())?;
    let behind: Vec<_> = ours.collect();
    (!behind.is_empty()).then(|| 1 + behind.iter().filter(|frame| frame.is_commit()).count())
}

struct Frame<'a>(&'a [u8]);

impl<'a> Frame<'a> {
    fn salts(&self) -> &'a [u8] {
        &self.0[8..16]
    }

    /// The last one of a commit has the size of the database behind it.
    fn is_commit(&self) -> bool {
        word(self.0, 4) != 0
    }
}

/// The running checksum of a log.
struct Checksum {
    sums: [u32; 2],
    is_big_endian: bool,
}

impl Checksum {
    fn of_header(header: &[u8]) -> Self {
        let mut sum = Self { sums: [0, 0], is_big_endian: word(header, 0) == MAGIC[1] };
        sum.add(&header[..24]);
        sum
    }

    /// Adds a frame, and returns whether it has the sum that it says.
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

/// The big-endian word at an offset within `bytes`, which are longer.
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

    /// A log of commits with the number of frames that each has.
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
        let log = fs::read(log_of(&file)).unwrap();
        assert_eq!(damage(&log), None, "it is sound");
        (dir, log)
    }

    /// The offsets at which commits end.
    fn ends(log: &[u8]) -> Vec<usize> {
        let frames = log[HEADER..].chunks_exact(FRAME_HEADER + PAGE).map(Frame).enumerate();
        let commits = frames.filter(|(_, frame)| frame.is_commit());
        commits.map(|(n, _)| HEADER + (n + 1) * (FRAME_HEADER + PAGE)).collect()
    }

    proptest! {
        #[test]
        fn a_flipped_bit_before_acknowledged_commits_is_damage(
            commits in prop::collection::vec(1usize..4, 4..10),
            place in 0.0f64..1.0,
            bit in 0u8..8,
        ) {
            let (_dir, mut log) = log(&commits);
            let ends = ends(&log);
            prop_assert_eq!(ends.len(), commits.len());
            let acknowledged = ends[ends.len() - 3];
            log[(place * acknowledged as f64) as usize] ^= 1 << bit;
            prop_assert!(damage(&log).is_some());
        }

        /// A power failure may leave any part of the last commit, and no more than that.
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
        fn no_bytes_are_too_strange(log in prop::collection::vec(any::<u8>(), 0..3_000)) {
            damage(&log);
        }
    }

    /// A log that was moved into the database is begun anew over its first frames.
    #[test]
    fn frames_of_an_earlier_log_are_no_damage() {
        let (dir, _) = log(&[2, 1, 3]);
        let db = Connection::open(dir.path().join("test.db")).unwrap();
        for commits in 1..4 {
            db.execute_batch("PRAGMA wal_checkpoint(RESTART)").unwrap();
            for _ in 0..commits {
                db.execute("INSERT INTO t VALUES (1)", []).unwrap();
            }
            let mut log = fs::read(dir.path().join("test.db-wal")).unwrap();
            assert_eq!(damage(&log), None);
            log[HEADER] ^= 1;
            assert_eq!(damage(&log).is_some(), commits > 1, "{commits}");
        }
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
