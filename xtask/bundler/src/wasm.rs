//! The step from Cargo's WebAssembly to a small module that a browser loads.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use wasm_bindgen_cli_support::Bindgen;

/// A WebAssembly module and the script that loads it.
pub(crate) struct Module {
    pub(crate) wasm: Vec<u8>,
    pub(crate) script: String,
}

/// The name of wasm-bindgen's output files.
const NAME: &str = "page";

/// Runs wasm-bindgen on the WebAssembly that Cargo has built, for `import` in a browser.
///
/// # Errors
/// When the file cannot be read, or was compiled with another version of wasm-bindgen.
pub(crate) fn bindgen(path: &Path) -> Result<Module> {
    let dir = tempfile::tempdir().context("no temporary folder")?;
    let mut bindgen = Bindgen::new();
    bindgen.input_path(path).out_name(NAME).web(true)?.typescript(false).omit_default_module_path(true);
    bindgen.generate(&dir).with_context(|| format!("wasm-bindgen cannot use {}", path.display()))?;
    let made = |name: String| dir.path().join(name);
    ensure!(
        !made("snippets".to_owned()).exists(),
        "the page has JavaScript snippets, which this program does not support"
    );
    let script = fs::read_to_string(made(format!("{NAME}.js"))).context("wasm-bindgen wrote no script")?;
    let wasm = fs::read(made(format!("{NAME}_bg.wasm"))).context("wasm-bindgen wrote no WebAssembly")?;
    Ok(Module { wasm, script })
}

/// Makes the module smaller with Binaryen's wasm-opt.
///
/// # Errors
/// When wasm-opt cannot be started, or fails.
pub(crate) fn optimise(wasm: &[u8], program: &Path, flags: &[&str]) -> Result<Vec<u8>> {
    let dir = tempfile::tempdir().context("no temporary folder")?;
    let (input, output) = (dir.path().join("in.wasm"), dir.path().join("out.wasm"));
    fs::write(&input, wasm).context("cannot write a temporary file")?;
    let status = Command::new(program).args(flags).arg("-o").arg(&output).arg(&input).status();
    let status = status.with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "wasm-opt failed ({status})");
    fs::read(&output).context("wasm-opt wrote nothing")
}
