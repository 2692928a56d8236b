//! Lighter JavaScript than wasm-bindgen writes: without comments and indentation, and with one way to load the program in
//! the place of several.

use anyhow::{Context as _, Result};

/// The beginning of wasm-bindgen's loader. The loader and what follows take an address, a request, a response, a module or bytes, and
/// can work in step as well.
const LOADER: &str = "async function __wbg_load(";

/// The loader for what `web/start.js` has: a response.
const OWN_LOADER: &str = "\
export default async ({ module_or_path: response }) => {
const imports = __wbg_get_imports();
const isWasm = response.headers.get('content-type') === 'application/wasm';
const { instance, module } = isWasm
? await WebAssembly.instantiateStreaming(response, imports)
: await WebAssembly.instantiate(await response.arrayBuffer(), imports);
return __wbg_finalize_init(instance, module);
};
";

/// The function by which wasm-bindgen shows a value of JavaScript in the text of a panic.
const DEBUG_STRING: &str = "function debugString(val) {\n";

/// The script of wasm-bindgen with the page's own loader, and with plain texts of values.
///
/// # Errors
/// When the script is not what this version of wasm-bindgen writes.
pub(crate) fn lighter(script: &str) -> Result<String> {
    let script = bare(script);
    let (before, _) = script.split_once(LOADER).context("wasm-bindgen's script has another loader")?;
    Ok(with_plain_texts(before) + OWN_LOADER)
}

fn with_plain_texts(script: &str) -> String {
    let texts = script.split_once(DEBUG_STRING).and_then(|(before, from)| {
        let (_, after) = from.split_once("\nfunction ")?;
        Some(format!("{before}{DEBUG_STRING}return String(val);\n}}\nfunction {after}"))
    });
    texts.unwrap_or_else(|| script.to_owned())
}

/// The script without comments that have lines of their own, without indentation and without empty lines.
pub(crate) fn bare(script: &str) -> String {
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
        assert_eq!(bare(script), "export class A {\nf(x) {\nreturn x * 2 // twice\n/x;\n}\n}\n");
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
        assert_eq!(lighter(script).unwrap(), [kept, OWN_LOADER].concat());
        assert!(lighter("function another() {}").is_err());
    }
}
