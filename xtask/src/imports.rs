//! Short work for the compressor: wasm-bindgen ends the name of every import with a hash of 16 hex digits, in the wasm
//! and in its JavaScript. Hashes do not compress; numbers of as many digits do, and need no other byte to move.

use std::collections::BTreeMap;

/// Digits of a hash.
const DIGITS: usize = 16;

/// Hashes, and the number that each becomes.
pub(crate) struct Numbers(BTreeMap<Vec<u8>, String>);

impl Numbers {
    /// Numbers the hashes of wasm-bindgen's JavaScript, in the order of their digits.
    pub(crate) fn of(script: &[u8]) -> Self {
        let names = script.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        let imports = names.filter(|name| name.starts_with(b"__wbg_"));
        let hashes = imports.filter_map(|name| {
            let (_, hash) = name.split_last_chunk::<DIGITS>()?;
            hash.iter().all(u8::is_ascii_hexdigit).then(|| hash.to_vec())
        });
        let mut numbers: BTreeMap<_, _> = hashes.map(|hash| (hash, String::new())).collect();
        for (number, digits) in numbers.values_mut().enumerate() {
            *digits = format!("{number:0DIGITS$x}");
        }
        Self(numbers)
    }

    /// Puts the numbers in the place of the hashes.
    pub(crate) fn replace_in(&self, file: &mut [u8]) {
        for at in 0..(file.len() + 1).saturating_sub(DIGITS) {
            let hash = &mut file[at..at + DIGITS];
            if let Some(number) = self.0.get(hash) {
                hash.copy_from_slice(number.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_import_keeps_a_name_of_its_own_and_nothing_else_changes() {
        let script =
            "__wbg_read_f41db33c90cb0f31: f, __wbg_new_06c53b2a6f7c8de0(a) {}, __wbg_cb_unref, a_c0ffee";
        let numbers = Numbers::of(script.as_bytes());
        let numbered = |text: &str| {
            let mut file = text.as_bytes().to_vec();
            numbers.replace_in(&mut file);
            String::from_utf8(file).unwrap()
        };
        assert_eq!(
            numbered(script),
            "__wbg_read_0000000000000001: f, __wbg_new_0000000000000000(a) {}, __wbg_cb_unref, a_c0ffee"
        );
        assert_eq!(numbered("\0\x1b__wbg_read_f41db33c90cb0f31"), "\0\x1b__wbg_read_0000000000000001");
        assert_eq!(numbered("__wbg_new_06c5"), "__wbg_new_06c5");
    }
}
