//! Lighter JavaScript: wasm-bindgen writes comments and indentation, and Trunk's minifier does not know its syntax.

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
}
