//! The bundler of the page: makes its files from its WebAssembly and its `index.html`, as `trunk build --release`
//! would.
//!
//! Trunk is only needed to develop the page, with `trunk serve`, and its build takes longer than those of the page and
//! the server together. Both programs read the same `index.html`, whose `data-trunk` links name the files of the page.
//! This program refuses an unknown link, so that a difference between the two is noticed.
#![allow(clippy::print_stdout, reason = "a tool for the terminal")]

mod compress;
mod html;
mod imports;
mod panics;
mod script;
mod style;
mod wasm;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use sha2::{Digest as _, Sha256};

use self::html::{Assets, Html};

/// Makes the files of the page from its WebAssembly and its index.html.
#[derive(Parser)]
struct Arguments {
    /// Path of the WebAssembly that Cargo has built.
    #[arg(long)]
    wasm: PathBuf,
    /// Path of the page's index.html, whose links are relative to its folder.
    #[arg(long)]
    html: PathBuf,
    /// Folder to write. An existing one is replaced.
    #[arg(long)]
    out: PathBuf,
    /// Path of wasm-opt, which makes the WebAssembly smaller. Optional.
    #[arg(long)]
    wasm_opt: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let source = fs::read_to_string(&arguments.html)
        .with_context(|| format!("cannot read {}", arguments.html.display()))?;
    let html = Html::parse(&source).with_context(|| format!("{}", arguments.html.display()))?;
    // The folder is replaced only when it is complete: a server that serves it has the old page until then.
    let building = arguments.out.with_extension("new");
    remove(&building)?;
    fs::create_dir_all(&building).with_context(|| format!("cannot make {}", building.display()))?;
    bundle(&arguments, &html, &building)?;
    remove(&arguments.out)?;
    fs::rename(&building, &arguments.out).with_context(|| format!("cannot write {}", arguments.out.display()))
}

fn bundle(arguments: &Arguments, html: &Html, out: &Path) -> Result<()> {
    let folder = arguments.html.parent().unwrap_or(Path::new("."));
    let read = |path: &str| {
        let path = folder.join(path);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    for path in html.copied() {
        let name = Path::new(path).file_name().with_context(|| format!("{path} has no file name"))?;
        write(&out.join(name), &read(path)?)?;
    }

    let styles = html.styles().map(|path| Ok(String::from_utf8(read(path)?)?)).collect::<Result<Vec<_>>>()?;
    let style = named(out, "style", "css", style::minify(&styles.concat()).as_bytes())?;

    let module = wasm::bindgen(&arguments.wasm)?;
    let names = imports::ShortNames::of(&module.script);
    let script = names.in_script(&script::reduce(&module.script)?);
    let mut module = panics::replace_panics_with_traps(&names.in_wasm(&module.wasm)?)?;
    if let Some(program) = &arguments.wasm_opt {
        module = wasm::optimise(&module, program, &html.wasm_opt_flags())?;
    }
    let wasm = named(out, "rides-web", "wasm", &module)?;
    let script = named(out, "rides-web", "js", script.as_bytes())?;
    let start = script::strip_comments(
        &String::from_utf8(read(html.script())?)
            .context("the script that starts the program is not UTF-8")?,
    );
    let start = named(out, "start", "js", start.as_bytes())?;

    let index = html.render(&Assets { style, script, wasm, start });
    write(&out.join("index.html"), index.as_bytes())?;
    compress::all(out)
}

/// Writes a file with the hash of its content in its name, and returns that name.
fn named(out: &Path, name: &str, extension: &str, content: &[u8]) -> Result<String> {
    let hash: String = Sha256::digest(content)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{name}-{hash}.{extension}");
    write(&out.join(&name), content)?;
    Ok(name)
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}
