//! Environment variables.

use std::{env, ffi::OsString};

/// Returns the value of a variable. An empty value counts as unset.
pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
