//! Panics of third-party code as errors.

use std::{
    cell::Cell,
    panic::{self, UnwindSafe},
    sync::Once,
    thread,
};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `read`. A panic in it is returned as `Err`, and the panic hook does not print it.
pub(super) fn catch_panic<T>(read: impl FnOnce() -> T + UnwindSafe) -> thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                report(info);
            }
        }));
    });
    QUIET.set(true);
    let answer = panic::catch_unwind(read);
    QUIET.set(false);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_answer() {
        assert_eq!(catch_panic(|| 7).ok(), Some(7));
        assert!(catch_panic(|| panic!("not heard")).is_err());
        assert!(!QUIET.get());
    }
}
