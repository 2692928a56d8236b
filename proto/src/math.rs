//! The functions that a map needs. In a page they are the browser's, which has their tables already; elsewhere the
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
                /// As in the standard library.
                pub fn $name(x: f64) -> f64 {
                    x.$name()
                }
            )*
        };
    }

    functions! { atan atanh cos exp log2 sin sinh }

    /// `base` to the power of `exponent`.
    pub fn pow(base: f64, exponent: f64) -> f64 {
        base.powf(exponent)
    }
}
