//! The removal of panic messages from the WebAssembly.
//!
//! A panic of the released page traps at once: the browser stops the program, and `start.js` shows that to the user.
//! The messages, the code that formats them and the names of source files would add 6 kB (brotli) to a first load. A
//! debug build (`trunk serve`) keeps them.

use std::ops::Range;

use anyhow::{Context as _, Result};
use walrus::{ConstExpr, DataKind, FunctionBuilder, FunctionId, FunctionKind, Module, ir::Value};

/// The size of a word in WebAssembly's memory, in bytes.
const WORD: usize = 4;
/// The size of a `core::panic::Location`, in bytes.
const LOCATION: usize = 4 * WORD;

/// The functions of panics, which never return, by the beginning of their path.
const PANIC_FUNCTIONS: [&str; 15] = [
    "core::panicking::",
    "core::str::slice_error_fail",
    "core::slice::index::slice_",
    "core::option::unwrap_failed",
    "core::option::expect_failed",
    "core::result::unwrap_failed",
    "core::cell::panic_",
    "std::panicking::begin_panic",
    "std::panicking::panic_handler",
    "std::panicking::panic_with_hook",
    "std::panicking::rust_panic",
    "alloc::raw_vec::handle_error",
    "alloc::raw_vec::capacity_overflow",
    "bytes::panic_",
    "std::thread::local::panic_",
];

/// Returns the module with all panics replaced by traps.
///
/// # Errors
/// When `wasm` is not a module.
pub(crate) fn replace_panics_with_traps(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut module = Module::from_buffer(wasm).context("the WebAssembly cannot be read")?;
    let functions = module.funcs.iter().filter(|function| matches!(function.kind, FunctionKind::Local(_)));
    let panics = functions.filter(|function| function.name.as_deref().is_some_and(is_panic));
    let panics: Vec<FunctionId> = panics.map(|function| function.id()).collect();
    for function in panics {
        trap(&mut module, function);
    }
    let parts: Vec<_> = module.data.iter().map(|data| data.id()).collect();
    for part in parts {
        let data = module.data.get_mut(part);
        if let DataKind::Active { offset: ConstExpr::Value(Value::I32(start)), .. } = data.kind {
            clear_locations(&mut data.value, start as usize);
        }
    }
    Ok(module.emit_wasm())
}

/// Clears each `core::panic::Location` in a part of the memory that begins at `start`, and the file names to which they
/// point. Only panic messages use them. A location is the address and the length of a name, a line and a column.
fn clear_locations(memory: &mut [u8], start: usize) {
    let found: Vec<(usize, Range<usize>)> = (start.next_multiple_of(WORD) - start..memory.len())
        .step_by(WORD)
        .filter_map(|at| Some((at, file_name(memory, at, start)?)))
        .collect();
    for (at, name) in found {
        memory[at..at + LOCATION].fill(0);
        memory[name].fill(0);
    }
}

/// Returns the range of the file name of the location at `at`, or `None` if there is no location.
fn file_name(memory: &[u8], at: usize, start: usize) -> Option<Range<usize>> {
    let word = |index: usize| {
        let bytes = memory.get(at + index * WORD..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    let (from, length, line, column) = (word(0)?.checked_sub(start)?, word(1)?, word(2)?, word(3)?);
    let name = from..from.checked_add(length)?;
    let is_file = memory.get(name.clone())?.ends_with(b".rs");
    (is_file && (1..100_000).contains(&line) && (1..1_000).contains(&column)).then_some(name)
}

/// Replaces the body of a function with a trap.
fn trap(module: &mut Module, function: FunctionId) {
    let kind = module.types.get(module.funcs.get(function).ty());
    let (parameters, results) = (kind.params().to_vec(), kind.results().to_vec());
    let mut builder = FunctionBuilder::new(&mut module.types, &parameters, &results);
    builder.func_body().unreachable();
    let arguments = parameters.iter().map(|parameter| module.locals.add(*parameter)).collect();
    module.funcs.get_mut(function).kind = FunctionKind::Local(builder.local_func(arguments));
}

/// Returns `true` if the name is one of [`NEVER_RETURN`]. In names, crates have hashes:
/// `core[c5933c0ed4e5b6f3]::panicking::panic`.
fn is_panic(name: &str) -> bool {
    let pieces = name.split('[').map(|piece| piece.split_once(']').map_or(piece, |(_, rest)| rest));
    let path: String = pieces.collect();
    PANIC_FUNCTIONS.iter().any(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use walrus::{ModuleConfig, ValType, ir::Instr};

    #[test]
    fn a_panic_is_told_by_its_path_without_the_hashes_of_crates() {
        assert!(is_panic("core[c5933c0ed4e5b6f3]::panicking::panic_fmt"));
        assert!(is_panic("core::option::unwrap_failed"));
        assert!(!is_panic("rides_web[0123456789abcdef]::map::core::panicking::fake"));
        assert!(!is_panic("core[c5933c0ed4e5b6f3]::option::Option"));
    }

    #[test]
    fn where_panics_happened_is_cleared_and_nothing_else() {
        let mut memory = b"src/a.rs, words".to_vec();
        memory.push(0);
        for word in [1000, 8, 12, 5, 1000, 8, 0, 5, 1010, 5, 12, 5] {
            memory.extend(u32::to_le_bytes(word));
        }
        let mut expected = memory.clone();
        expected[..8].fill(0);
        expected[16..32].fill(0);
        clear_locations(&mut memory, 1000);
        assert_eq!(memory, expected, "the second location has no line, the third has no file");
    }

    #[test]
    fn a_panic_traps_and_everything_else_stays() {
        let mut module = ModuleConfig::new().parse(b"\0asm\x01\0\0\0").unwrap();
        for name in ["core[c5933c0ed4e5b6f3]::panicking::panic_bounds_check", "rides_web::answer"] {
            let mut builder = FunctionBuilder::new(&mut module.types, &[ValType::I32], &[ValType::I32]);
            builder.name(name.to_owned()).func_body().i32_const(42);
            let argument = module.locals.add(ValType::I32);
            let function = builder.finish(vec![argument], &mut module.funcs);
            module.exports.add(name, function);
        }

        let module = Module::from_buffer(&replace_panics_with_traps(&module.emit_wasm()).unwrap()).unwrap();
        let body = |name: &str| {
            let function = module.funcs.by_name(name).unwrap();
            let FunctionKind::Local(local) = &module.funcs.get(function).kind else {
                panic!("{name} is imported")
            };
            local.block(local.entry_block()).instrs[0].0.clone()
        };
        let trap = body("core[c5933c0ed4e5b6f3]::panicking::panic_bounds_check");
        assert!(matches!(trap, Instr::Unreachable(_)), "{trap:?}");
        assert!(matches!(body("rides_web::answer"), Instr::Const(_)));
        assert!(replace_panics_with_traps(b"no wasm").is_err());
    }
}
