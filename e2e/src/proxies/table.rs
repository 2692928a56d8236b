//! The table of `docs/deploy.md`: the expected outcomes that the trials check.

use std::fmt;

use super::{
    setup::{ClientSide, ExpectedOutcome, SETUPS},
    trial::Client,
};

/// The lines before and after the table.
const BEGIN: &str = "<!-- proxies: written by `RIDES_WRITE_TABLE=1 cargo test -p rides-e2e --lib` -->\n";
const END: &str = "<!-- /proxies -->\n";

/// The table, in Markdown.
pub struct Table;

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = Client::ALL.map(Client::name);
        writeln!(
            f,
            "| proxy | configuration | clients call | HTTP to the server | {} |",
            clients.join(" | ")
        )?;
        writeln!(f, "| --- | --- | --- | --- | {}", "--- | ".repeat(clients.len()).trim_end())?;
        for setup in SETUPS {
            let outside = match setup.client_side {
                ClientSide::Plain => "127.0.0.1, no TLS",
                ClientSide::Named => "a host name, no TLS",
                ClientSide::Tls => "a host name, TLS",
            };
            let file = setup.file;
            write!(f, "| {} | [`{file}`](../{file}) | {outside} | {} |", setup.name, setup.upstream_http)?;
            for client in Client::ALL {
                write!(f, " {} |", client.expected(setup))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for ExpectedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("✓"),
            Self::ShortCalls => f.write_str("by short calls"),
            Self::EndsAfter(seconds) => write!(f, "cut every {seconds} s and resumed"),
            Self::Fails(_, why) => write!(f, "– ({why})"),
            Self::Untried => f.write_str(""),
        }
    }
}

/// Returns the document with the table between its two marks, or `None` if it has no marks.
pub fn with_table(document: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{Table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{proxies::proxy_process::repository, variable::variable};

    #[test]
    fn the_document_says_what_the_trials_expect() {
        let path = repository().join("docs/deploy.md");
        let document = fs::read_to_string(&path).unwrap();
        let expected = with_table(&document).expect("docs/deploy.md has the marks of the table");
        if variable("RIDES_WRITE_TABLE").is_some() {
            fs::write(path, expected).unwrap();
        } else {
            assert!(
                document == expected,
                "docs/deploy.md is out of date: write it with RIDES_WRITE_TABLE=1 cargo test -p rides-e2e --lib"
            );
        }
    }
}
