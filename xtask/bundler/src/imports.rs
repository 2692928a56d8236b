//! Short work for the compressor: wasm-bindgen names every import after what it calls, and ends the name with a hash of 16
//! hex digits, in the wasm and in its JavaScript. Neither is anything to anybody. Numbers of as many digits compress, and
//! need no other byte to move.

use std::collections::BTreeMap;

const PREFIX: &[u8] = b"__wbg_";
/// Digits of a hash.
const DIGITS: usize = 16;

/// Names, and the number of as many bytes that each becomes.
pub(crate) struct Numbers(BTreeMap<Vec<u8>, String>);

impl Numbers {
    /// Numbers the imports of wasm-bindgen's JavaScript, in the order of their names.
    pub(crate) fn of(script: &[u8]) -> Self {
        let names = (0..script.len()).filter_map(|at| name_at(script, at)).filter(|name| is_import(name));
        let mut numbers: BTreeMap<_, _> = names.map(|name| (name.to_vec(), String::new())).collect();
        for (number, (name, digits)) in numbers.iter_mut().enumerate() {
            *digits = format!("__wbg_{number:0width$x}", width = name.len() - PREFIX.len());
        }
        Self(numbers)
    }

    /// Puts the numbers in the place of the names.
    pub(crate) fn replace_in(&self, file: &mut [u8]) {
        let mut at = 0;
        while at < file.len() {
            let number = name_at(file, at).and_then(|name| self.0.get(name));
            match number {
                Some(number) => {
                    file[at..at + number.len()].copy_from_slice(number.as_bytes());
                    at += number.len();
                }
                None => at += 1,
            }
        }
    }
}

/// The name that begins here, if one does.
fn name_at(file: &[u8], at: usize) -> Option<&[u8]> {
    let name = file[at..].split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').next()?;
    name.starts_with(PREFIX).then_some(name)
}

fn is_import(name: &[u8]) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.split_last_chunk::<DIGITS>())
        .is_some_and(|(_, hash)| hash.iter().all(u8::is_ascii_hexdigit))
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
            "__wbg_000000000000000000001: f, __wbg_00000000000000000000(a) {}, __wbg_cb_unref, a_c0ffee"
        );
        let in_wasm = "0__wbg_read_f41db33c90cb0f31\0";
        assert_eq!(numbered(in_wasm), "0__wbg_000000000000000000001\0", "after its length, before its kind");
        assert_eq!(numbered("__wbg_new_06c5"), "__wbg_new_06c5");
    }
}
