//! The state of a disk: its files, the connections to them, and the faults to come.

use std::collections::{BTreeMap, HashMap};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use crate::{
    faults::{Faults, Operation},
    file::File,
    locks::{Level, Slots},
    shm::Region,
};

/// An open file. An id is never used twice, so that an id from before a power cut is invalid after it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct FileId(u64);

/// The reason why the disk refused an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// The operation failed, or the power is off.
    Io(Operation),
    /// The disk is full.
    Full,
    /// The lock of another connection is in conflict.
    Busy,
    /// The file does not exist.
    Missing,
}

/// The state of a disk.
pub(crate) struct State {
    pub(crate) faults: Faults,
    power: bool,
    files: BTreeMap<String, File>,
    /// The deleted files. A power cut before the next sync may bring them back.
    deleted: BTreeMap<String, Vec<u8>>,
    open: HashMap<FileId, OpenState>,
    opened: u64,
    shared_memory: HashMap<String, Vec<Region>>,
    counts: [u64; Operation::ALL],
    struck: u64,
    rng: SmallRng,
}

/// The state of an open file.
struct OpenState {
    name: String,
    is_temporary: bool,
    level: Level,
    slots: Slots,
    has_memory: bool,
}

impl State {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            faults: Faults::default(),
            power: true,
            files: BTreeMap::new(),
            deleted: BTreeMap::new(),
            open: HashMap::new(),
            opened: 0,
            shared_memory: HashMap::new(),
            counts: [0; Operation::ALL],
            struck: 0,
            rng: SmallRng::seed_from_u64(seed),
        }
    }

    // ── Power ───────────────────────────────────────────────────────────────────────────────────────────────

    pub(crate) fn has_power(&self) -> bool {
        self.power
    }

    pub(crate) fn kill(&mut self) {
        self.open.clear();
        self.shared_memory.clear();
    }

    pub(crate) fn cut_power(&mut self) {
        self.power = false;
        self.kill();
        let rng = &mut self.rng;
        let mut left: BTreeMap<_, _> = std::mem::take(&mut self.files)
            .into_iter()
            .filter_map(|(name, file)| Some((name, file.after_power_cut(rng)?)))
            .collect();
        for (name, bytes) in std::mem::take(&mut self.deleted) {
            if rng.random() {
                left.entry(name).or_insert_with(|| File::durable(bytes));
            }
        }
        self.files = left;
    }

    pub(crate) fn restore_power(&mut self) {
        self.power = true;
        self.faults = Faults::default();
    }

    // ── Files by name ───────────────────────────────────────────────────────────────────────────────────────

    /// Opens a file. Creates it if it is missing and `may_create` is set. A file without a name is temporary.
    pub(crate) fn open(
        &mut self,
        name: Option<&str>,
        may_create: bool,
        delete_on_close: bool,
    ) -> Result<FileId, Failure> {
        let id = FileId(self.opened);
        let name = name.map_or_else(|| format!("temporary-{}", self.opened), str::to_owned);
        if !self.power || !(may_create || self.files.contains_key(&name)) {
            return Err(Failure::Missing);
        }
        self.opened += 1;
        self.files.entry(name.clone()).or_default();
        let open = OpenState {
            name,
            is_temporary: delete_on_close,
            level: Level::None,
            slots: Slots::default(),
            has_memory: false,
        };
        self.open.insert(id, open);
        Ok(id)
    }

    pub(crate) fn close(&mut self, id: FileId) {
        self.unmap(id);
        if let Some(open) = self.open.remove(&id).filter(|open| open.is_temporary) {
            self.files.remove(&open.name);
        }
    }

    /// Returns `true` if a file of this name exists and is not empty.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.power && self.files.get(name).is_some_and(|file| file.len() > 0)
    }

    pub(crate) fn delete(&mut self, name: &str, durably: bool) -> Result<(), Failure> {
        if !self.power {
            return Err(Failure::Io(Operation::Delete));
        }
        if !self.files.contains_key(name) {
            return Err(Failure::Missing);
        }
        self.attempt(Operation::Delete)?;
        let bytes = self.files.remove(name).and_then(File::into_durable);
        if let Some(bytes) = bytes.filter(|_| !durably) {
            self.deleted.insert(name.to_owned(), bytes);
        }
        self.count_change(Operation::Delete)
    }

    // ── Bytes of an open file ───────────────────────────────────────────────────────────────────────────────

    pub(crate) fn len(&mut self, id: FileId) -> Result<usize, Failure> {
        Ok(self.file(id, Operation::Read)?.len())
    }

    /// Fills `buffer` from the file, and returns the number of bytes that it had.
    pub(crate) fn read(&mut self, id: FileId, at: usize, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.file(id, Operation::Read)?;
        self.attempt(Operation::Read)?;
        let read = self.file(id, Operation::Read)?.read(at, buffer);
        self.counts[Operation::Read as usize] += 1;
        Ok(read)
    }

    /// Writes all bytes, or as many as fit. Fails with [`Failure::Full`] in the second case.
    pub(crate) fn write(&mut self, id: FileId, at: usize, bytes: &[u8]) -> Result<(), Failure> {
        let len = self.file(id, Operation::Write)?.len();
        self.attempt(Operation::Write)?;
        let room = self.faults.size_limit.map(|room| room.saturating_sub(self.used()) as usize);
        let fits = room.map_or(bytes.len(), |room| (len + room).saturating_sub(at).min(bytes.len()));
        self.file(id, Operation::Write)?.write(at, &bytes[..fits]);
        self.count_change(Operation::Write)?;
        if fits == bytes.len() { Ok(()) } else { Err(Failure::Full) }
    }

    pub(crate) fn truncate(&mut self, id: FileId, len: usize) -> Result<(), Failure> {
        self.file(id, Operation::Truncate)?;
        self.attempt(Operation::Truncate)?;
        self.file(id, Operation::Truncate)?.truncate(len);
        self.count_change(Operation::Truncate)
    }

    pub(crate) fn sync(&mut self, id: FileId) -> Result<(), Failure> {
        self.file(id, Operation::Sync)?;
        if let Err(failure) = self.attempt(Operation::Sync) {
            let name = &self.open[&id].name;
            if let Some(file) = self.files.get_mut(name) {
                file.fail_sync(&mut self.rng);
            }
            return Err(failure);
        }
        self.count_change(Operation::Sync)?;
        self.file(id, Operation::Sync)?.sync();
        self.deleted.clear();
        Ok(())
    }

    pub(crate) fn count(&self, operation: Operation) -> u64 {
        self.counts[operation as usize]
    }

    pub(crate) fn struck(&self) -> u64 {
        self.struck
    }

    pub(crate) fn used(&self) -> u64 {
        self.size("")
    }

    pub(crate) fn size(&self, ending: &str) -> u64 {
        let files = self.files.iter().filter(|(name, _)| name.ends_with(ending));
        files.map(|(_, file)| file.len() as u64).sum()
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, file)| (name.as_str(), file.bytes()))
    }

    pub(crate) fn rewrite(&mut self, ending: &str) {
        for (_, file) in self.files.iter_mut().filter(|(name, _)| name.ends_with(ending)) {
            let bytes = file.bytes().to_vec();
            file.write(0, &bytes);
            file.sync();
        }
    }

    // ── Locks ───────────────────────────────────────────────────────────────────────────────────────────────

    pub(crate) fn lock(&mut self, id: FileId, wanted: Level) -> Result<(), Failure> {
        let held = self.opened(id)?.level;
        if wanted <= held {
            return Ok(());
        }
        let free = wanted.is_free(self.others(id).map(|open| open.level));
        let open = self.opened(id)?;
        if free {
            open.level = wanted;
        } else if wanted == Level::Exclusive && held >= Level::Reserved {
            // A pending lock keeps new readers out, so that the writer gets its lock in the end.
            open.level = Level::Pending;
        }
        if free { Ok(()) } else { Err(Failure::Busy) }
    }

    pub(crate) fn unlock(&mut self, id: FileId, down_to: Level) {
        if let Some(open) = self.open.get_mut(&id) {
            open.level = open.level.min(down_to);
        }
    }

    pub(crate) fn is_reserved(&mut self, id: FileId) -> Result<bool, Failure> {
        let own = self.opened(id)?.level;
        Ok(own >= Level::Reserved || self.others(id).any(|open| open.level >= Level::Reserved))
    }

    // ── Shared memory ───────────────────────────────────────────────────────────────────────────────────────

    /// Returns the region with the index `nth`. `None` if it does not exist and `extend` is not set.
    pub(crate) fn map(
        &mut self,
        id: FileId,
        nth: usize,
        bytes: usize,
        extend: bool,
    ) -> Result<Option<Region>, Failure> {
        let open = self.opened(id)?;
        open.has_memory = true;
        let name = open.name.clone();
        let regions = self.shared_memory.entry(name).or_default();
        while extend && regions.len() <= nth {
            regions.push(Region::new(bytes));
        }
        Ok(regions.get(nth).cloned())
    }

    pub(crate) fn unmap(&mut self, id: FileId) {
        let Some(open) = self.open.get_mut(&id) else { return };
        (open.has_memory, open.slots) = (false, Slots::default());
        let name = open.name.clone();
        if !self.others(id).any(|open| open.has_memory) {
            self.shared_memory.remove(&name);
        }
    }

    pub(crate) fn take_slots(&mut self, id: FileId, wanted: Slots) -> Result<(), Failure> {
        let mut slots = self.opened(id)?.slots;
        let taken = slots.take(wanted, self.others(id).map(|open| open.slots));
        self.opened(id)?.slots = slots;
        if taken { Ok(()) } else { Err(Failure::Busy) }
    }

    pub(crate) fn release_slots(&mut self, id: FileId, slots: Slots) {
        if let Some(open) = self.open.get_mut(&id) {
            open.slots.release(slots);
        }
    }

    // ── Inside ──────────────────────────────────────────────────────────────────────────────────────────────

    /// Fails if a fault is due.
    fn attempt(&mut self, operation: Operation) -> Result<(), Failure> {
        if self.faults.strikes(operation, &mut self.rng) {
            self.struck += 1;
            return Err(Failure::Io(operation));
        }
        Ok(())
    }

    /// Counts a change. Fails if the power is cut during it.
    fn count_change(&mut self, operation: Operation) -> Result<(), Failure> {
        if self.faults.cuts_power() {
            self.cut_power();
            return Err(Failure::Io(operation));
        }
        self.counts[operation as usize] += 1;
        Ok(())
    }

    fn opened(&mut self, id: FileId) -> Result<&mut OpenState, Failure> {
        self.open.get_mut(&id).ok_or(Failure::Io(Operation::Read))
    }

    /// Returns the other connections to the same file.
    fn others(&self, id: FileId) -> impl Iterator<Item = &OpenState> {
        let name = self.open.get(&id).map(|open| open.name.as_str());
        self.open
            .iter()
            .filter(move |(other, open)| **other != id && Some(open.name.as_str()) == name)
            .map(|(_, open)| open)
    }

    fn file(&mut self, id: FileId, operation: Operation) -> Result<&mut File, Failure> {
        let open = self.open.get(&id).ok_or(Failure::Io(operation))?;
        // The file may have been deleted while it was open. SQLite does not use such files any more.
        self.files.get_mut(&open.name).ok_or(Failure::Io(operation))
    }
}
