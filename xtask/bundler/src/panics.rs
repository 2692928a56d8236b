//! Panics of slices and assertions without their texts, as the tool wasm-snip does it. Their texts show any value, which
//! takes tables of Unicode. They end the page like every panic: in a trap, which `web/start.js` puts into words. Panics
//! that the page itself words keep their texts.

use anyhow::{Context as _, Result};
use walrus::{FunctionBuilder, FunctionId, FunctionKind, Module};

/// Functions of Rust's library that word a panic, and never return.
const WORDED: [&str; 3] =
    ["core::str::slice_error_fail", "core::slice::index::slice_index_fail", "core::panicking::assert_failed"];

/// The module with a trap in the place of these functions.
///
/// # Errors
/// When it is not a module.
pub(crate) fn without_texts(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut module = Module::from_buffer(wasm).context("the WebAssembly cannot be read")?;
    let worded: Vec<FunctionId> = module
        .funcs
        .iter()
        .filter(|function| matches!(function.kind, FunctionKind::Local(_)))
        .filter(|function| function.name.as_deref().is_some_and(is_worded))
        .map(walrus::Function::id)
        .collect();
    for id in worded {
        let signature = module.types.get(module.funcs.get(id).ty());
        let (takes, gives) = (signature.params().to_vec(), signature.results().to_vec());
        let mut trap = FunctionBuilder::new(&mut module.types, &takes, &gives);
        trap.func_body().unreachable();
        let arguments = takes.iter().map(|kind| module.locals.add(*kind)).collect();
        module.funcs.get_mut(id).kind = FunctionKind::Local(trap.local_func(arguments));
    }
    Ok(module.emit_wasm())
}

/// Whether a function has one of the names. A name may have the hash of its crate in brackets: `core[c593…]::str::…`.
fn is_worded(name: &str) -> bool {
    let plain: String =
        name.split('[').map(|part| part.split_once(']').map_or(part, |(_, after)| after)).collect();
    WORDED.iter().any(|worded| plain.starts_with(worded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_with_and_without_the_hash_of_their_crate() {
        assert!(is_worded("core::str::slice_error_fail_rt"));
        assert!(is_worded("core[c5930c85a12de822]::panicking::assert_failed::<usize, usize>"));
        assert!(!is_worded("core::panicking::panic_fmt"));
        assert!(!is_worded("rides_web::map::core::str::slice_error_fail"));
    }

    #[test]
    fn a_worded_panic_becomes_a_trap_and_nothing_else_changes() {
        let mut module = Module::default();
        for name in ["core::str::slice_error_fail", "rides_web::main"] {
            let mut function = FunctionBuilder::new(&mut module.types, &[], &[]);
            function.name(name.to_owned()).func_body().i32_const(7).drop();
            let id = function.finish(vec![], &mut module.funcs);
            module.exports.add(name, id);
        }
        let module = Module::from_buffer(&without_texts(&module.emit_wasm()).unwrap()).unwrap();
        let is_trap = |name: &str| {
            let id = module.exports.get_func(name).unwrap();
            let function = module.funcs.get(id).kind.unwrap_local();
            function
                .block(function.entry_block())
                .instrs
                .iter()
                .any(|(instruction, _)| instruction.is_unreachable())
        };
        assert!(is_trap("core::str::slice_error_fail") && !is_trap("rides_web::main"));
        assert!(without_texts(b"no wasm").is_err());
    }
}
