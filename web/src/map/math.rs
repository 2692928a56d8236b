//! Powers without the standard library's `exp2` and `powf`, whose tables would be four kilobytes of the page.

use std::f64::consts::LN_2;

/// 2 to the power of `x`.
pub fn exp2(x: f64) -> f64 {
    (x * LN_2).exp()
}

/// `base`, which is above 0, to the power of `exponent`.
pub fn pow(base: f32, exponent: f32) -> f32 {
    exp2(f64::from(exponent) * f64::from(base).log2()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_agree_with_the_standard_library() {
        for i in -60..60 {
            let x = f64::from(i) * 0.37;
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 1e-14, "{x}");
            let base = x.exp2() as f32;
            assert!((pow(base, 0.15) / base.powf(0.15) - 1.0).abs() < 1e-6, "{base}");
        }
    }
}
