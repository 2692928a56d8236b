//! The methods of an open file.

use std::{
    ffi::{c_int, c_void},
    ptr, slice,
};

use rusqlite::ffi;

use super::{Handle, OpenFile, code};
use crate::{
    file::SECTOR,
    locks::{Level, Slots},
    shm,
};

/// The `errno` of an input or output error on every Unix.
const EIO: c_int = 5;

/// The table of methods for SQLite.
pub(super) static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// # Safety
/// `file` must be one that `super::open` filled and [`close`] has not freed, and no other reference to it may exist.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a mut OpenFile {
    unsafe { &mut *(*file.cast::<Handle>()).file }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `super::open` made the box, and SQLite closes a file once.
    let file = unsafe { Box::from_raw((*file.cast::<Handle>()).file) };
    file.disk().close(file.id);
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    amount: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    let file = unsafe { opened(file) };
    // SAFETY: `buffer` has `amount` bytes. They are zeroed here, so they need not be initialized.
    let buffer = unsafe {
        ptr::write_bytes(buffer.cast::<u8>(), 0, amount as usize);
        slice::from_raw_parts_mut(buffer.cast::<u8>(), amount as usize)
    };
    let read = file.disk().read(file.id, at as usize, buffer);
    match read {
        Ok(read) if read < buffer.len() => ffi::SQLITE_IOERR_SHORT_READ,
        Ok(_) => ffi::SQLITE_OK,
        // SQLite's own VFS for Unix returns the same error.
        Err(_) => {
            file.last_errno = EIO;
            ffi::SQLITE_IOERR_CORRUPTFS
        }
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    amount: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    let file = unsafe { opened(file) };
    // SAFETY: `bytes` points to `amount` bytes.
    let bytes = unsafe { slice::from_raw_parts(bytes.cast::<u8>(), amount as usize) };
    code(file.disk().write(file.id, at as usize, bytes))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: ffi::sqlite3_int64) -> c_int {
    let file = unsafe { opened(file) };
    code(file.disk().truncate(file.id, len as usize))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    let file = unsafe { opened(file) };
    code(file.disk().sync(file.id))
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut ffi::sqlite3_int64) -> c_int {
    let file = unsafe { opened(file) };
    let len = file.disk().len(file.id);
    // SAFETY: SQLite passes a valid pointer for the result.
    unsafe { *out = len.unwrap_or_default() as i64 };
    code(len.map(drop))
}

fn level(level: c_int) -> Level {
    match level {
        ffi::SQLITE_LOCK_NONE => Level::None,
        ffi::SQLITE_LOCK_SHARED => Level::Shared,
        ffi::SQLITE_LOCK_RESERVED => Level::Reserved,
        ffi::SQLITE_LOCK_PENDING => Level::Pending,
        _ => Level::Exclusive,
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, wanted: c_int) -> c_int {
    let file = unsafe { opened(file) };
    code(file.disk().lock(file.id, level(wanted)))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, down_to: c_int) -> c_int {
    let file = unsafe { opened(file) };
    file.disk().unlock(file.id, level(down_to));
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    let file = unsafe { opened(file) };
    let reserved = file.disk().is_reserved(file.id);
    // SAFETY: SQLite passes a valid pointer for the result.
    unsafe { *out = c_int::from(reserved.unwrap_or_default()) };
    code(reserved.map(drop))
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, op: c_int, arg: *mut c_void) -> c_int {
    if op != ffi::SQLITE_FCNTL_LAST_ERRNO {
        return ffi::SQLITE_NOTFOUND;
    }
    // SAFETY: SQLite passes a valid pointer for the result.
    unsafe { *arg.cast::<c_int>() = opened(file).last_errno };
    ffi::SQLITE_OK
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    SECTOR as c_int
}

unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    nth: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    let file = unsafe { opened(file) };
    let region = file.disk().map(file.id, nth as usize, bytes as usize, extend != 0);
    let pointer = match &region {
        Ok(Some(region)) => {
            file.regions.push(region.clone());
            region.as_ptr().cast()
        }
        _ => ptr::null_mut(),
    };
    // SAFETY: SQLite passes a valid pointer for the result. The file keeps the region alive.
    unsafe { *out = pointer };
    code(region.map(drop))
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, first: c_int, n: c_int, flags: c_int) -> c_int {
    let file = unsafe { opened(file) };
    let bits = (((1u32 << n) - 1) << first) as u8;
    let slots = if flags & ffi::SQLITE_SHM_SHARED != 0 {
        Slots { shared: bits, exclusive: 0 }
    } else {
        Slots { shared: 0, exclusive: bits }
    };
    if flags & ffi::SQLITE_SHM_LOCK != 0 {
        return code(file.disk().take_slots(file.id, slots));
    }
    file.disk().release_slots(file.id, slots);
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_barrier(_file: *mut ffi::sqlite3_file) {
    shm::barrier();
}

/// Ends the use of the shared memory. The regions are freed when the file is closed.
unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    let file = unsafe { opened(file) };
    file.disk().unmap(file.id);
    ffi::SQLITE_OK
}
