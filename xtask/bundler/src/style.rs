//! The reduction of style sheets: without comments, indentation and line breaks.

/// Returns the style sheet without comments, indentation and line breaks. Its strings must not contain comments or line
/// breaks.
pub(crate) fn minify(css: &str) -> String {
    let lines = without_comments(css);
    let mut bare = String::with_capacity(lines.len());
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        // A selector or a value that continues in the next line needs a space.
        if !bare.is_empty() && !bare.ends_with(['{', '}', ';', ',', '(']) && !line.starts_with(['}', ')']) {
            bare.push(' ');
        }
        bare.push_str(line);
    }
    // The last declaration of a block needs no semicolon.
    bare.replace(";}", "}").replace(" {", "{").replace(": ", ":")
}

fn without_comments(css: &str) -> String {
    let mut rest = css;
    let mut kept = String::with_capacity(css.len());
    while let Some((before, comment)) = rest.split_once("/*") {
        kept.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_mean_the_same_in_fewer_bytes() {
        let css = "\
/* The
   pill. */
.pill > .dot,
.pill::before {
    color: red; /* for now */
    grid:
        \"a b\" 1fr
        \"c d\" auto;
}

@media (width < 900px) {
    .pill :hover {
        margin: calc(1px + 2px);
    }
}
";
        let expected = ".pill > .dot,.pill::before{color:red;grid:\"a b\" 1fr \"c d\" auto}\
                        @media (width < 900px){.pill :hover{margin:calc(1px + 2px)}}";
        assert_eq!(minify(css), expected);
        assert_eq!(minify("a {\n  b: c\n}\n/* no end"), "a{b:c}");
    }
}
