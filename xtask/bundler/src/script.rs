//! The reduction of wasm-bindgen's JavaScript: without comments and indentation, and with one loader instead of
//! several.

use anyhow::{Context as _, Result};

/// The beginning of wasm-bindgen's loaders, which end the script. They accept a URL, a request, a response, a module or
/// bytes, and one of them is synchronous.
const LOADER: &str = "async function __wbg_load(";

/// The loader that replaces them. It accepts a response, which is what `web/start.js` has.
const RESPONSE_LOADER: &str = "\
export default async ({ module_or_path: response }) => {
const imports = __wbg_get_imports();
const isWasm = response.headers.get('content-type') === 'application/wasm';
const { instance, module } = isWasm
? await WebAssembly.instantiateStreaming(response, imports)
: await WebAssembly.instantiate(await response.arrayBuffer(), imports);
return __wbg_finalize_init(instance, module);
};
";

/// The function with which wasm-bindgen formats a JavaScript value for a panic message.
const DEBUG_STRING: &str = "function debugString(val) {\n";

/// Returns wasm-bindgen's script with the smaller loader, and with `String(value)` as the format of values.
///
/// # Errors
/// When the script has no loader of the form that this version of wasm-bindgen writes.
pub(crate) fn reduce(script: &str) -> Result<String> {
    let script = strip_comments(script);
    let (before, _) = script.split_once(LOADER).context("wasm-bindgen's script has an unknown loader")?;
    Ok(with_plain_texts(before) + RESPONSE_LOADER)
}

fn with_plain_texts(script: &str) -> String {
    let texts = script.split_once(DEBUG_STRING).and_then(|(before, from)| {
        let (_, after) = from.split_once("\nfunction ")?;
        Some(format!("{before}{DEBUG_STRING}return String(val);\n}}\nfunction {after}"))
    });
    texts.unwrap_or_else(|| script.to_owned())
}

/// Returns the script without indentation, empty lines, and comments that fill whole lines.
pub(crate) fn strip_comments(script: &str) -> String {
    let mut bare = String::with_capacity(script.len());
    let mut in_comment = false;
    for line in script.lines().map(str::trim) {
        in_comment |= line.starts_with("/*");
        if !in_comment && !line.is_empty() && !line.starts_with("//") {
            bare.push_str(line);
            bare.push('\n');
        }
        in_comment &= !line.ends_with("*/");
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stays_and_keeps_its_lines() {
        let script = "\
/* tslint:disable */
export class A {
    /**
     * @param {number} x
     */
    f(x) {

        // Why.
        return x * 2 // twice
            /x;
    }
}
";
        assert_eq!(strip_comments(script), "export class A {\nf(x) {\nreturn x * 2 // twice\n/x;\n}\n}\n");
    }

    #[test]
    fn one_way_to_load_takes_the_place_of_several() {
        let script = "\
function debugString(val) {
    if (val) {
        return `${val}`;
    }
}
function __wbg_finalize_init() {}
async function __wbg_load(module, imports) {}
function initSync() {}
export { initSync, __wbg_init as default };
";
        let kept = "function debugString(val) {\nreturn String(val);\n}\nfunction __wbg_finalize_init() {}\n";
        assert_eq!(reduce(script).unwrap(), [kept, RESPONSE_LOADER].concat());
        assert!(reduce("function another() {}").is_err());
    }
}
