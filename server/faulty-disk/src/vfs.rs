//! The VFS of a disk: C functions that check nothing, decide nothing, and call [`State`].
//!
//! This is one of the two places in the workspace with `unsafe`. It relies on SQLite's guarantees for a VFS. Pointers
//! are valid during a call. One thread at a time uses a `sqlite3_file`, and none after `xClose`. A connection does
//! not access shared memory after it closed the file.
#![allow(unsafe_code, reason = "SQLite takes a VFS as a table of C functions only")]

mod file;

use std::{
    ffi::{CStr, CString, c_char, c_int},
    ptr, slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rand::Rng as _;
use rusqlite::ffi;

use crate::{
    faults::Operation,
    shm::Region,
    state::{Failure, FileId, State},
};

/// The longest path in bytes.
const MAX_PATH: c_int = 1024;
/// The milliseconds from the start of the Julian day count to 1970-01-01, because SQLite counts from there.
const UNIX_EPOCH_JULIAN_MS: i64 = 210_866_760_000_000;

type Disk = Mutex<State>;

/// Registers the disk with SQLite under `name`.
///
/// The few bytes of the table are never freed, because connections may outlive the disk.
pub(crate) fn register(name: &str, disk: Weak<Disk>) {
    let name = CString::new(name).expect("no zero byte in it");
    let vfs = ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<Handle>() as c_int,
        mxPathname: MAX_PATH,
        pNext: ptr::null_mut(),
        zName: name.into_raw(),
        pAppData: Box::into_raw(Box::new(disk)).cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: None,
        xCurrentTimeInt64: Some(current_time_ms),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    };
    // SAFETY: the table, its name and its data are never freed.
    let code = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0) };
    assert_eq!(code, ffi::SQLITE_OK, "SQLite did not register the VFS");
}

/// Removes the VFS `name`, so that no new connections can use it.
pub(crate) fn unregister(name: &str) {
    let name = CString::new(name).expect("no zero byte in it");
    // SAFETY: the name is a C string, and SQLite accepts a null pointer here.
    unsafe { ffi::sqlite3_vfs_unregister(ffi::sqlite3_vfs_find(name.as_ptr())) };
}

/// The value behind SQLite's pointer to an open file. SQLite allocates it, and [`open`] fills it.
#[repr(C)]
struct Handle {
    base: ffi::sqlite3_file,
    file: *mut OpenFile,
}

struct OpenFile {
    disk: Arc<Disk>,
    id: FileId,
    /// The `errno` of the last failed read, or 0.
    last_errno: c_int,
    /// The regions that SQLite has pointers to, until it closes the file.
    regions: Vec<Region>,
}

impl OpenFile {
    fn disk(&self) -> MutexGuard<'_, State> {
        lock(&self.disk)
    }
}

fn lock(disk: &Disk) -> MutexGuard<'_, State> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn code(outcome: Result<(), Failure>) -> c_int {
    match outcome {
        Ok(()) => ffi::SQLITE_OK,
        Err(Failure::Full) => ffi::SQLITE_FULL,
        Err(Failure::Busy) => ffi::SQLITE_BUSY,
        Err(Failure::Missing) => ffi::SQLITE_CANTOPEN,
        Err(Failure::Io(Operation::Read)) => ffi::SQLITE_IOERR_READ,
        Err(Failure::Io(Operation::Write)) => ffi::SQLITE_IOERR_WRITE,
        Err(Failure::Io(Operation::Sync)) => ffi::SQLITE_IOERR_FSYNC,
        Err(Failure::Io(Operation::Truncate)) => ffi::SQLITE_IOERR_TRUNCATE,
        Err(Failure::Io(Operation::Delete)) => ffi::SQLITE_IOERR_DELETE,
    }
}

// ── The disk ────────────────────────────────────────────────────────────────────────────────────────────────────

/// Returns the disk behind a VFS, or `None` if it was dropped.
///
/// # Safety
/// `vfs` must be one that [`register`] made.
unsafe fn disk(vfs: *mut ffi::sqlite3_vfs) -> Option<Arc<Disk>> {
    unsafe { (*vfs).pAppData.cast::<Weak<Disk>>().as_ref() }?.upgrade()
}

/// # Safety
/// `name` must be null or a C string.
unsafe fn text(name: *const c_char) -> Option<String> {
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite allocated a `Handle`. A file without methods is not closed by SQLite, which is right if it is
    // not opened.
    unsafe { (*file).pMethods = ptr::null() };
    let (Some(disk), name) = (unsafe { disk(vfs) }, unsafe { text(name) }) else {
        return ffi::SQLITE_CANTOPEN;
    };
    let has = |flag| flags & flag != 0;
    let id = lock(&disk).open(
        name.as_deref(),
        has(ffi::SQLITE_OPEN_CREATE),
        name.is_none() || has(ffi::SQLITE_OPEN_DELETEONCLOSE),
    );
    let id = match id {
        Ok(id) => id,
        Err(failure) => return code(Err(failure)),
    };
    let opened = OpenFile { disk, id, last_errno: 0, regions: Vec::new() };
    let base = ffi::sqlite3_file { pMethods: &raw const file::METHODS };
    // SAFETY: as above. `file::close` frees the box.
    unsafe {
        file.cast::<Handle>().write(Handle { base, file: Box::into_raw(Box::new(opened)) });
        if let Some(out) = out_flags.as_mut() {
            *out = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, durably: c_int) -> c_int {
    let (Some(disk), Some(name)) = (unsafe { disk(vfs) }, unsafe { text(name) }) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    match lock(&disk).delete(&name, durably != 0) {
        Err(Failure::Missing) => ffi::SQLITE_IOERR_DELETE_NOENT,
        outcome => code(outcome),
    }
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _what: c_int,
    out: *mut c_int,
) -> c_int {
    let (Some(disk), Some(name)) = (unsafe { disk(vfs) }, unsafe { text(name) }) else {
        return ffi::SQLITE_IOERR_ACCESS;
    };
    // SAFETY: SQLite passes a valid pointer for the result.
    unsafe { *out = c_int::from(lock(&disk).has(&name)) };
    ffi::SQLITE_OK
}

/// Copies the name without a change, because the disk has no directories.
unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: `name` is a C string, and `out` has `room` bytes.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if name.len() > room as usize {
        return ffi::SQLITE_CANTOPEN;
    }
    unsafe { ptr::copy_nonoverlapping(name.as_ptr().cast(), out, name.len()) };
    ffi::SQLITE_OK
}

// ── Randomness and the clock ────────────────────────────────────────────────────────────────────────────────────

unsafe extern "C" fn randomness(_vfs: *mut ffi::sqlite3_vfs, bytes: c_int, out: *mut c_char) -> c_int {
    // SAFETY: `out` has `bytes` bytes. They are zeroed here, so they need not be initialized.
    let out = unsafe {
        ptr::write_bytes(out, 0, bytes as usize);
        slice::from_raw_parts_mut(out.cast::<u8>(), bytes as usize)
    };
    rand::rng().fill(out);
    bytes
}

unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    std::thread::sleep(Duration::from_micros(microseconds as u64));
    microseconds
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    let mut ms = 0;
    unsafe {
        let code = current_time_ms(vfs, &raw mut ms);
        *out = ms as f64 / 86_400_000.0;
        code
    }
}

unsafe extern "C" fn current_time_ms(_vfs: *mut ffi::sqlite3_vfs, out: *mut ffi::sqlite3_int64) -> c_int {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // SAFETY: SQLite passes a valid pointer for the result.
    unsafe { *out = UNIX_EPOCH_JULIAN_MS + since.as_millis() as i64 };
    ffi::SQLITE_OK
}
