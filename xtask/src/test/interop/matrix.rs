//! The matrix of clients and checks: the list of checks, the outcomes that the clients report, and the table.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The markers around the table in docs/interop.md.
const BEGIN: &str = "<!-- interop: written by `cargo xtask test interop --write-matrix` -->\n";
const END: &str = "<!-- /interop -->\n";

/// The clients and checks of `clients/interop.json`, in the order of the table.
pub(super) struct CheckList {
    clients: Vec<Client>,
    checks: Vec<Check>,
}

struct Client {
    id: String,
    /// The name in the table.
    name: String,
}

struct Check {
    kind: String,
    name: String,
    /// The RPCs that it calls, for the table.
    rpcs: String,
    /// The ids of the clients that must run it. `None`: all clients.
    only: Option<Vec<String>>,
}

impl CheckList {
    /// Reads the list from a file.
    ///
    /// # Errors
    /// When the file cannot be read, or has another form.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not a list of checks", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let list: Value = serde_json::from_str(text)?;
        let rows = |name: &str| list[name].as_array().with_context(|| format!("the list has no {name}"));
        let client = |row: &Value| Ok(Client { id: text_in(row, "id")?, name: text_in(row, "name")? });
        let check = |row: &Value| {
            let only = row["only"].as_array();
            Ok(Check {
                kind: text_in(row, "kind")?,
                name: text_in(row, "check")?,
                rpcs: text_in(row, "rpcs")?,
                only: only.map(|only| only.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            })
        };
        Ok(Self {
            clients: rows("clients")?.iter().map(client).collect::<Result<_>>()?,
            checks: rows("checks")?.iter().map(check).collect::<Result<_>>()?,
        })
    }
}

fn text_in(row: &Value, name: &str) -> Result<String> {
    Ok(row[name].as_str().with_context(|| format!("{row} has no {name}"))?.to_owned())
}

/// The outcome of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CheckOutcome {
    Passed,
    /// The client does not support it.
    Skipped,
    Failed,
}

/// The outcomes of all checks. A check without a reported outcome has failed.
pub(super) struct Matrix {
    list: CheckList,
    /// The outcomes by client, kind and check.
    outcomes: BTreeMap<(String, String, String), CheckOutcome>,
}

impl Matrix {
    pub(super) fn new(list: CheckList) -> Self {
        Self { list, outcomes: BTreeMap::new() }
    }

    /// Adds the outcome in a line of a client's output, and prints a failure.
    ///
    /// # Errors
    /// When the line is not an outcome.
    pub(super) fn take(&mut self, line: &str) -> Result<()> {
        let said: Value =
            serde_json::from_str(line).with_context(|| format!("a client printed no outcome: {line}"))?;
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        let (client, kind, check) = (text("client"), text("kind"), text("check"));
        let outcome = match said["result"].as_str() {
            Some("pass") => CheckOutcome::Passed,
            Some("skip") => CheckOutcome::Skipped,
            Some("fail") => CheckOutcome::Failed,
            _ => bail!("a client printed no outcome: {line}"),
        };
        if outcome == CheckOutcome::Failed {
            println!("FAILED {client}, {kind}, {check}: {}", text("text"));
        }
        self.outcomes.insert((client, kind, check), outcome);
        Ok(())
    }

    /// Returns the number of passed and of failed checks.
    pub(super) fn counts(&self) -> (u64, u64) {
        let cells =
            self.list.checks.iter().flat_map(|check| {
                self.list.clients.iter().filter_map(move |client| self.outcome(client, check))
            });
        cells.fold((0, 0), |(passed, failed), outcome| match outcome {
            CheckOutcome::Passed => (passed + 1, failed),
            CheckOutcome::Failed => (passed, failed + 1),
            CheckOutcome::Skipped => (passed, failed),
        })
    }

    /// Returns the outcome of a check, or `None` if the check is not for this client.
    fn outcome(&self, client: &Client, check: &Check) -> Option<CheckOutcome> {
        let asked = check.only.as_ref().is_none_or(|only| only.contains(&client.id));
        let key = (client.id.clone(), check.kind.clone(), check.name.clone());
        asked.then(|| self.outcomes.get(&key).copied().unwrap_or(CheckOutcome::Failed))
    }
}

/// The table in Markdown.
impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CheckList { clients, checks } = &self.list;
        let names: Vec<&str> = clients.iter().map(|client| client.name.as_str()).collect();
        writeln!(f, "| kind | check | RPC | {} |", names.join(" | "))?;
        writeln!(f, "| --- | --- | --- |{}", " :-: |".repeat(names.len()))?;
        let mut above = "";
        for check in checks {
            let kind = if check.kind == above { "" } else { &check.kind };
            above = &check.kind;
            write!(f, "| {kind} | {} | {} |", check.name, check.rpcs)?;
            for client in clients {
                let cell = match self.outcome(client, check) {
                    Some(CheckOutcome::Passed) => "✓",
                    Some(CheckOutcome::Skipped) => "–",
                    Some(CheckOutcome::Failed) => "✗",
                    None => "",
                };
                write!(f, " {cell} |")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Returns `text` with `table` between the markers, or `None` if there are no markers.
pub(super) fn with_table(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{
        "clients": [{ "id": "a", "name": "A" }, { "id": "b", "name": "B" }],
        "checks": [
            { "kind": "unary", "check": "easy", "rpcs": "Quote" },
            { "kind": "unary", "check": "hard", "rpcs": "Book", "only": ["a"] },
            { "kind": "streaming", "check": "long", "rpcs": "Watch" }
        ]
    }"#;

    fn matrix(said: &[(&str, &str, &str, &str)]) -> Matrix {
        let mut matrix = Matrix::new(CheckList::parse(LIST).unwrap());
        for (client, kind, check, result) in said {
            let line =
                serde_json::json!({ "client": client, "kind": kind, "check": check, "result": result });
            matrix.take(&line.to_string()).unwrap();
        }
        matrix
    }

    #[test]
    fn the_table_is_in_the_order_of_the_list() {
        let said = [
            ("b", "streaming", "long", "skip"),
            ("a", "streaming", "long", "pass"),
            ("a", "unary", "hard", "pass"),
            ("a", "unary", "easy", "fail"),
            ("b", "unary", "easy", "pass"),
        ];
        let matrix = matrix(&said);
        assert_eq!(matrix.counts(), (3, 1));
        let expected = "\
| kind | check | RPC | A | B |
| --- | --- | --- | :-: | :-: |
| unary | easy | Quote | ✗ | ✓ |
|  | hard | Book | ✓ |  |
| streaming | long | Watch | ✓ | – |
";
        assert_eq!(matrix.to_string(), expected);
    }

    #[test]
    fn what_nobody_spoke_of_has_failed() {
        assert_eq!(matrix(&[]).counts(), (0, 5));
    }

    #[test]
    fn what_is_no_outcome_is_an_error() {
        let mut matrix = matrix(&[]);
        for line in ["", "Segmentation fault", r#"{ "client": "a", "result": "maybe" }"#] {
            assert!(matrix.take(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let text = format!("before\n{BEGIN}old\n{END}after\n");
        let new = with_table(&text, "new\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}new\n{END}after\n"));
        assert_eq!(with_table("before\n", "new\n"), None);
    }
}
