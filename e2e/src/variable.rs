//! Variables of the environment.

use std::{env, ffi::OsString};

/// The value of a variable. An empty one counts as unset.
pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
