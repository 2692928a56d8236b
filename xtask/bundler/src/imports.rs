//! Short names for the imports and exports between the page's WebAssembly and its JavaScript.
//!
//! wasm-bindgen gives imports and closures long names with a hash, and hashes do not compress.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use walrus::Module;

const PREFIXES: [&str; 2] = ["__wbg_", "wasm_bindgen__convert__closures_"];
/// The number of digits of a hash.
const DIGITS: usize = 16;
/// The name of the JavaScript module from which the WebAssembly imports, and its short name.
const MODULE: [&str; 2] = ["./page_bg.js", "a"];

/// The short name of each long name.
pub(crate) struct ShortNames<'a>(BTreeMap<&'a str, String>);

impl<'a> ShortNames<'a> {
    /// Assigns short names to all names with a hash in wasm-bindgen's JavaScript.
    pub(crate) fn of(script: &'a str) -> Self {
        let names = words(script).filter(|word| has_hash(word));
        let mut short: BTreeMap<_, _> = names.map(|name| (name, String::new())).collect();
        for (number, name) in short.values_mut().enumerate() {
            *name = format!("_{number:x}");
        }
        Self(short)
    }

    /// Returns the JavaScript with the short names.
    pub(crate) fn in_script(&self, script: &str) -> String {
        let mut renamed = String::with_capacity(script.len());
        let mut rest = script;
        for word in words(script) {
            let Some(short) = self.0.get(word) else { continue };
            if let Some((before, after)) = rest.split_once(word) {
                renamed.extend([before, short]);
                rest = after;
            }
        }
        (renamed + rest).replace(MODULE[0], MODULE[1])
    }

    /// Returns the WebAssembly module with the short names.
    ///
    /// # Errors
    /// When `wasm` is not a module.
    pub(crate) fn in_wasm(&self, wasm: &[u8]) -> Result<Vec<u8>> {
        let mut module = Module::from_buffer(wasm).context("wasm-bindgen's WebAssembly cannot be read")?;
        for import in module.imports.iter_mut() {
            if let Some(short) = self.0.get(import.name.as_str()) {
                import.name.clone_from(short);
            }
            if import.module == MODULE[0] {
                MODULE[1].clone_into(&mut import.module);
            }
        }
        for export in module.exports.iter_mut() {
            if let Some(short) = self.0.get(export.name.as_str()) {
                export.name.clone_from(short);
            }
        }
        Ok(module.emit_wasm())
    }
}

fn words(script: &str) -> impl Iterator<Item = &str> {
    script.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
}

fn has_hash(word: &str) -> bool {
    let is_hash = |piece: &str| {
        let digits = piece.strip_prefix('h').unwrap_or(piece);
        digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    PREFIXES.iter().any(|prefix| word.starts_with(prefix)) && word.split('_').any(is_hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str =
        "__wbg_read_f41db33c90cb0f31: f, __wbg_new_06c53b2a6f7c8de0(a) {}, __wbg_cb_unref, a_c0ffee";

    #[test]
    fn every_import_has_a_short_name_and_nothing_else_changes() {
        let names = ShortNames::of(SCRIPT);
        assert_eq!(names.in_script(SCRIPT), "_1: f, _0(a) {}, __wbg_cb_unref, a_c0ffee");
        let again = "__wbg_read_f41db33c90cb0f31 __wbg_new_06c5 __wbg_read_f41db33c90cb0f31";
        assert_eq!(names.in_script(again), "_1 __wbg_new_06c5 _1");
    }

    #[test]
    fn closures_have_short_names_too() {
        let script =
            "wasm.wasm_bindgen__convert__closures_____invoke__h1897cd8e62e8ead9_2(a) wasm.__wbindgen_malloc";
        assert_eq!(ShortNames::of(script).in_script(script), "wasm._0(a) wasm.__wbindgen_malloc");
    }

    #[test]
    fn the_module_and_the_script_agree_on_the_names() {
        let mut module = Module::default();
        let kind = module.types.add(&[], &[]);
        for name in ["__wbg_read_f41db33c90cb0f31", "__wbg_cb_unref"] {
            module.add_import_func("page", name, kind);
        }
        let renamed = ShortNames::of(SCRIPT).in_wasm(&module.emit_wasm()).unwrap();
        let renamed = Module::from_buffer(&renamed).unwrap();
        let names: Vec<_> = renamed.imports.iter().map(|import| import.name.as_str()).collect();
        assert_eq!(names, ["_1", "__wbg_cb_unref"]);
        assert!(ShortNames::of(SCRIPT).in_wasm(b"no wasm").is_err());
    }
}
