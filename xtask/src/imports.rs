//! Short names for the page's imports: wasm-bindgen names each after what it calls and ends the name with a hash, in the
//! wasm and in its JavaScript. The names are read by nobody, and hashes do not compress.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

const PREFIX: &str = "__wbg_";
/// Digits of a hash.
const DIGITS: usize = 16;
/// The section of a wasm module that names its imports.
const IMPORTS: u8 = 2;
/// Bytes before the first section.
const HEADER: usize = 8;

/// Names, and the short one for each.
pub(crate) struct ShortNames<'a>(BTreeMap<&'a str, String>);

impl<'a> ShortNames<'a> {
    /// Names the imports in wasm-bindgen's JavaScript anew.
    pub(crate) fn of(script: &'a str) -> Self {
        let names = words(script).filter(|word| is_import(word));
        let mut short: BTreeMap<_, _> = names.map(|name| (name, String::new())).collect();
        for (number, name) in short.values_mut().enumerate() {
            *name = format!("_{number:x}");
        }
        Self(short)
    }

    /// The JavaScript with the short names.
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
        renamed + rest
    }

    /// The module with the short names.
    ///
    /// # Errors
    /// When it is not one.
    pub(crate) fn in_wasm(&self, wasm: &[u8]) -> Result<Vec<u8>> {
        let (header, mut rest) = wasm.split_at_checked(HEADER).context("no wasm")?;
        let mut renamed = header.to_vec();
        while let Some((id, after)) = rest.split_first() {
            rest = after;
            let section = take_string(&mut rest)?;
            let section = if *id == IMPORTS { self.in_imports(section)? } else { section.to_vec() };
            renamed.push(*id);
            put_string(&mut renamed, &section);
        }
        Ok(renamed)
    }

    fn in_imports(&self, mut section: &[u8]) -> Result<Vec<u8>> {
        let mut renamed = Vec::new();
        let count = take_number(&mut section)?;
        put_number(&mut renamed, count);
        for _ in 0..count {
            put_string(&mut renamed, take_string(&mut section)?);
            let name = take_string(&mut section)?;
            let short = str::from_utf8(name).ok().and_then(|name| self.0.get(name));
            put_string(&mut renamed, short.map_or(name, |short| short.as_bytes()));
            let (kind, after) = section.split_first().context("an import ends early")?;
            anyhow::ensure!(*kind == 0, "the page imports something else than functions");
            section = after;
            renamed.push(*kind);
            put_number(&mut renamed, take_number(&mut section)?);
        }
        Ok(renamed)
    }
}

fn words(script: &str) -> impl Iterator<Item = &str> {
    script.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
}

fn is_import(word: &str) -> bool {
    word.strip_prefix(PREFIX)
        .and_then(|rest| rest.as_bytes().split_last_chunk::<DIGITS>())
        .is_some_and(|(_, hash)| hash.iter().all(u8::is_ascii_hexdigit))
}

/// LEB128, as wasm has its numbers.
fn take_number(bytes: &mut &[u8]) -> Result<u32> {
    let mut number = 0;
    for shift in (0..32).step_by(7) {
        let (byte, rest) = bytes.split_first().context("the wasm ends early")?;
        *bytes = rest;
        number |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    anyhow::bail!("a number of the wasm has no end")
}

fn put_number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_string<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let length = take_number(bytes)? as usize;
    let (string, rest) = bytes.split_at_checked(length).context("the wasm ends early")?;
    *bytes = rest;
    Ok(string)
}

fn put_string(bytes: &mut Vec<u8>, string: &[u8]) {
    put_number(bytes, string.len() as u32);
    bytes.extend_from_slice(string);
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
    fn the_names_are_short_in_the_import_section_only() {
        let module = |name: &[u8]| {
            let imports = [&[1, 1, b'm', name.len() as u8][..], name, &[0, 0x80, 1]].concat();
            let other = [&[name.len() as u8][..], name].concat();
            let sections = [&[IMPORTS, imports.len() as u8][..], &imports, &[0, other.len() as u8], &other];
            [b"\0asm\x01\0\0\0", &sections.concat()[..]].concat()
        };
        let long = b"__wbg_read_f41db33c90cb0f31";
        let renamed = ShortNames::of(SCRIPT).in_wasm(&module(long)).unwrap();
        let imports_end = HEADER + 2 + 4 + 2 + 3;
        assert_eq!(renamed[..imports_end], module(b"_1")[..imports_end]);
        assert_eq!(renamed[imports_end..], module(long)[module(long).len() - 2 - 1 - long.len()..]);
        assert!(ShortNames::of(SCRIPT).in_wasm(&module(long)[..20]).is_err());
    }
}
