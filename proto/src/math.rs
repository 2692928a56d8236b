//! Mathematical functions that the map needs.
//!
//! In a page they are the browser's, so that the WebAssembly need not contain their tables. Elsewhere they are the
//! standard library's. The last bits of their results may differ.

#[cfg(target_arch = "wasm32")]
pub use js_sys::Math::{atan, atanh, cos, exp, log2, pow, sin, sinh};

#[cfg(not(target_arch = "wasm32"))]
pub use standard::{atan, atanh, cos, exp, log2, pow, sin, sinh};

#[cfg(not(target_arch = "wasm32"))]
mod standard {
    macro_rules! functions {
        ($($name:ident)*) => {
            $(
                /// The function of the same name in the standard library.
                pub fn $name(x: f64) -> f64 {
                    x.$name()
                }
            )*
        };
    }

    functions! { atan atanh cos exp log2 sin sinh }

    /// Returns `base` to the power of `exponent`.
    pub fn pow(base: f64, exponent: f64) -> f64 {
        base.powf(exponent)
    }
}
