//! The contract as a Markdown page: the services, each call with its messages, and then the types that calls share.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::contract::{Body, Contract, Field, Kind, Rpc, Service, Side, Type};

const INTRODUCTION: &str = "\
# The API

The reference of `rides.v1`, for developers of clients: every service, call, message and error. `cargo xtask api` makes
this page from the comments in [`proto/rides/v1`](../proto/rides/v1). The same port also serves `grpc.health.v1.Health`
and server reflection (v1 and v1alpha).

Every call is available as gRPC over HTTP/2, and as gRPC-Web over HTTP/1.1 and HTTP/2. The path of a call is
`/rides.v1.Service/Method`. Clients of the legacy rides.proto, which had no package, call `/Rides/Start` and
`/Rides/Track`. These paths are aliases of [Rides.Start](#ridesstart) and [Rides.Track](#ridestrack).

";

/// The names of the gRPC status codes. In a comment, a name and a colon begin the description of that error.
const STATUSES: [&str; 16] = [
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The whole page.
pub(crate) fn page(contract: &Contract) -> String {
    let mut page = INTRODUCTION.to_owned();
    page += &overview(&contract.services);
    let mut told = BTreeSet::new();
    for service in &contract.services {
        page += &format!("\n## {}\n\n{}\n", service.name, prose(&service.about));
        for rpc in &service.rpcs {
            page += &call(service, rpc);
            for Side { message, .. } in [&rpc.takes, &rpc.gives] {
                let own = |name: &str| name == message || name.starts_with(&format!("{message}."));
                for of in contract.types.iter().filter(|of| own(&of.name)) {
                    if told.insert(of.name.as_str()) {
                        page += &described(of, "####");
                    }
                }
            }
        }
    }
    page += "\n## Types\n\nTypes that the messages of several calls contain.\n";
    for of in contract.types.iter().filter(|of| !told.contains(of.name.as_str())) {
        page += &described(of, "###");
    }
    page
}

fn overview(services: &[Service]) -> String {
    let mut table = "| call | kind | |\n| --- | --- | --- |\n".to_owned();
    for service in services {
        for rpc in &service.rpcs {
            let (text, _) = without_errors(&rpc.about);
            let name = format!("{}.{}", service.name, rpc.name);
            let first = in_cell(first_sentence(&text));
            writeln!(table, "| {} | {} | {first} |", link(&name), kind(rpc)).ok();
        }
    }
    table
}

fn call(service: &Service, rpc: &Rpc) -> String {
    let (text, errors) = without_errors(&rpc.about);
    let side =
        |side: &Side| format!("{}{}", if side.streams { "stream of " } else { "" }, link(&side.message));
    let mut section = format!(
        "\n### {}.{}\n\n{}: {} → {}\n\n{}\n",
        service.name,
        rpc.name,
        kind(rpc),
        side(&rpc.takes),
        side(&rpc.gives),
        prose(&text)
    );
    if !errors.is_empty() {
        section += "\n| error | when |\n| --- | --- |\n";
        for (status, when) in errors {
            writeln!(section, "| {status} | {} |", in_cell(&when)).ok();
        }
    }
    section
}

fn kind(rpc: &Rpc) -> &'static str {
    match (rpc.takes.streams, rpc.gives.streams) {
        (false, false) => "unary",
        (false, true) => "server streaming",
        (true, false) => "client streaming",
        (true, true) => "bidirectional",
    }
}

fn described(of: &Type, heading: &str) -> String {
    let mut section = format!("\n{heading} {}\n", of.name);
    if !of.about.is_empty() {
        section += &format!("\n{}\n", prose(&of.about));
    }
    match &of.body {
        Body::Message(fields) if fields.is_empty() => section += "\nHas no fields.\n",
        Body::Message(fields) => {
            section += "\n| # | field | type | |\n| --: | --- | --- | --- |\n";
            fields.iter().for_each(|field| section += &row(field));
        }
        Body::Enum(values) => {
            section += "\n| # | value | |\n| --: | --- | --- |\n";
            for value in values {
                writeln!(section, "| {} | `{}` | {} |", value.number, value.name, in_cell(&value.about)).ok();
            }
        }
    }
    section
}

fn row(field: &Field) -> String {
    let Field { number, name, label, about, .. } = field;
    let kind = match &field.kind {
        Kind::Scalar(name) => (*name).to_owned(),
        Kind::Named(name) => link(name),
    };
    let oneof = field.oneof.as_ref().map(|oneof| format!("one of *{oneof}*: ")).unwrap_or_default();
    format!("| {number} | `{name}` | {oneof}{label}{kind} | {} |\n", in_cell(about))
}

/// Returns a link to the heading of a type or a call, or to protobuf's page for its well-known types.
fn link(name: &str) -> String {
    match name.strip_prefix("google.protobuf.") {
        Some(known) => {
            let anchor = known.to_lowercase();
            format!("[{known}](https://protobuf.dev/reference/protobuf/google.protobuf/#{anchor})")
        }
        None => format!("[{name}](#{})", name.to_lowercase().replace('.', "")),
    }
}

/// Splits a comment into its text and its errors, each with its status and its description. A status code and a colon
/// begin an error.
fn without_errors(about: &str) -> (String, Vec<(&'static str, String)>) {
    let mut begins: Vec<(usize, &'static str)> = STATUSES
        .iter()
        .flat_map(|status| about.match_indices(status).map(|(at, _)| (at, *status)))
        .filter(|(at, status)| {
            let inside_a_word =
                about[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
            !inside_a_word && about[at + status.len()..].starts_with(':')
        })
        .collect();
    begins.sort_unstable();
    let text = begins.first().map_or(about, |(at, _)| &about[..*at]);
    let ends = begins.iter().skip(1).map(|(at, _)| *at).chain([about.len()]);
    let errors = begins.iter().zip(ends).map(|((at, status), end)| {
        let when = about[at + status.len() + 1..end].trim();
        (*status, when.trim_end_matches('.').to_owned())
    });
    (text.trim_end().to_owned(), errors.collect())
}

/// Returns the paragraphs unchanged, but an indented one as a code block.
fn prose(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| match paragraph.starts_with("  ") {
        true => {
            let lines: Vec<_> = paragraph.lines().map(str::trim_start).collect();
            format!("```text\n{}\n```", lines.join("\n"))
        }
        false => paragraph.to_owned(),
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// Returns a comment as one line, for the cell of a table.
fn in_cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn first_sentence(text: &str) -> &str {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let end = paragraph.match_indices('.').find(|(at, _)| {
        paragraph[at + 1..].is_empty() || paragraph[at + 1..].starts_with(char::is_whitespace)
    });
    end.map_or(paragraph, |(at, _)| &paragraph[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_what_a_call_does() {
        let about = "One ride. NOT_FOUND: no such ride. INVALID_ARGUMENT: as Quote;\nor worse (reason X).";
        let (text, errors) = without_errors(about);
        assert_eq!(text, "One ride.");
        let expected = [
            ("NOT_FOUND", "no such ride".to_owned()),
            ("INVALID_ARGUMENT", "as Quote;\nor worse (reason X)".to_owned()),
        ];
        assert_eq!(errors, expected);
        let prose = "INVALID_ARGUMENT ends the stream.";
        assert_eq!(without_errors(prose), (prose.to_owned(), vec![]));
    }

    #[test]
    fn a_sentence_ends_where_it_ends() {
        assert_eq!(first_sentence("In 60.17 degrees. And more."), "In 60.17 degrees.");
        assert_eq!(first_sentence("No end\n\nnext"), "No end");
    }

    #[test]
    fn what_is_set_in_is_a_picture() {
        assert_eq!(prose("Is:\n\n  A -> B\n\nSo."), "Is:\n\n```text\nA -> B\n```\n\nSo.");
    }
}
