//! The versions of tools, read from the files that pin them, so that no version is written in two places.

use std::fs;

use anyhow::{Context, Result};
use toml::Table;

use crate::shell;

/// Returns the version of the wasm-bindgen crate in Cargo.lock. The tool must have the same version.
pub(crate) fn wasm_bindgen() -> Result<String> {
    locked(&table("Cargo.lock")?, "wasm-bindgen").context("Cargo.lock does not name wasm-bindgen")
}

/// Returns the number in Trunk.toml's `wasm_opt = "version_132"`.
pub(crate) fn wasm_opt() -> Result<String> {
    let config = table("Trunk.toml")?;
    let version = tool(&config, "wasm_opt").context("Trunk.toml has no `tools.wasm_opt`")?;
    Ok(version.trim_start_matches("version_").to_owned())
}

fn table(file: &str) -> Result<Table> {
    let text = fs::read_to_string(shell::root().join(file)).with_context(|| format!("cannot read {file}"))?;
    text.parse().with_context(|| format!("{file} is not TOML"))
}

fn locked(lock: &Table, package: &str) -> Option<String> {
    let packages = lock.get("package")?.as_array()?;
    let found =
        packages.iter().find(|entry| entry.get("name").and_then(|name| name.as_str()) == Some(package))?;
    Some(found.get("version")?.as_str()?.to_owned())
}

fn tool<'a>(config: &'a Table, name: &str) -> Option<&'a str> {
    config.get("tools")?.get(name)?.as_str()
}

/// Returns the version in the output of `--version`, for example of "trunk 0.21.14", "wasm-opt version 132
/// (version_132)" or "v20.1.0".
pub(super) fn number_in(text: &str) -> Option<String> {
    let mut words = text.split_whitespace().map(|word| word.strip_prefix('v').unwrap_or(word));
    Some(words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?.to_owned())
}

/// Returns `true` if `version` is `major.minor` or later.
pub(super) fn at_least(version: &str, (major, minor): (u32, u32)) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    (parts.next(), parts.next()) >= (Some(major), Some(minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(number_in("trunk 0.21.14\n").as_deref(), Some("0.21.14"));
        assert_eq!(number_in("wasm-opt version 132 (version_132)").as_deref(), Some("132"));
        assert_eq!(number_in("v20.20.2\n").as_deref(), Some("20.20.2"));
        assert_eq!(number_in("nothing here"), None);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(at_least("0.21.14", (0, 21)));
        assert!(at_least("0.100.0", (0, 21)));
        assert!(at_least("1.0.0", (0, 21)));
        assert!(!at_least("0.9.3", (0, 21)));
        assert!(!at_least("unknown", (0, 21)));
    }

    #[test]
    fn the_lock_file_names_what_the_page_is_built_with() {
        let lock: Table = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"".parse().unwrap();
        assert_eq!(locked(&lock, "a").as_deref(), Some("1.0.0"));
        assert_eq!(locked(&lock, "b"), None);
        assert!(wasm_bindgen().is_ok());
    }

    #[test]
    fn trunk_asks_for_the_wasm_bindgen_of_the_lock_file() {
        let config = table("Trunk.toml").unwrap();
        assert_eq!(tool(&config, "wasm_bindgen"), Some(wasm_bindgen().unwrap().as_str()));
    }
}
