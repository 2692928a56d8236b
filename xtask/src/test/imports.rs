//! The rules of imports: a table of the crates of the workspace, and a table of the modules of the server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Item, ItemMod, ItemUse, UseTree, Visibility, spanned::Spanned as _, visit::Visit};

use crate::shell;

/// Each crate with the crates of the workspace that its sources may name.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("grpc_edge", "crates/grpc-edge/src", &[]),
    ("grpc_web_fetch", "crates/grpc-web-fetch/src", &[]),
    ("rides_proto", "proto/src", &[]),
    ("sqlite_errno", "server/sqlite-errno/src", &[]),
    ("faulty_disk", "server/faulty-disk/src", &[]),
    ("rides_server", "server/src", &["grpc_edge", "rides_proto", "sqlite_errno"]),
    ("rides_web", "web/src", &["grpc_web_fetch", "rides_proto"]),
    ("rides_bench", "bench/src", &["rides_proto"]),
    ("rides_e2e", "e2e/src", &["rides_proto"]),
    ("xtask", "xtask/src", &[]),
];

/// Each top-level module of the server with the modules that it may use. `app` wires them, so it may use all.
const MODULES: &[(&str, &[&str])] = &[
    ("access", &["rides", "services", "sessions", "tls"]),
    ("city", &["files"]),
    ("client", &["config", "files", "server_connection", "signals", "terminal_text"]),
    (
        "config",
        &[
            "access",
            "client",
            "data_dir",
            "dispatch",
            "fleet",
            "listen",
            "rides",
            "service_limits",
            "services",
            "sessions",
            "sim",
        ],
    ),
    ("data_dir", &[]),
    ("dispatch", &["city", "fleet", "positions", "rides"]),
    ("fanout", &["positions"]),
    ("files", &[]),
    ("fleet", &["positions", "rides"]),
    ("gen_key", &["config", "data_dir", "tls"]),
    ("journal_command", &["config", "data_dir", "rides", "terminal_text"]),
    ("listen", &[]),
    ("page", &[]),
    ("positions", &[]),
    ("rides", &["data_dir", "files", "terminal_text"]),
    ("server_connection", &["tls"]),
    ("service_limits", &["config", "services", "sessions"]),
    ("services", &["access", "city", "dispatch", "fanout", "fleet", "rides", "sessions"]),
    ("sessions", &["files", "tls"]),
    ("signals", &["telemetry"]),
    ("sim", &["city", "files", "server_connection", "sessions"]),
    ("telemetry", &["terminal_text"]),
    ("terminal_text", &[]),
    ("tls", &["files"]),
    ("token", &["config", "data_dir", "sessions"]),
];

/// A place in a file that names another module or crate.
struct Use {
    line: usize,
    path: Vec<String>,
}

/// A source file, parsed, without its tests.
struct Source {
    file: PathBuf,
    /// The path of its module, without the crate.
    module: Vec<String>,
    uses: Vec<Use>,
}

impl Source {
    fn parse(file: PathBuf, module: Vec<String>) -> Self {
        let text = fs::read_to_string(&file).expect("a source file");
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut source = Self { file, module, uses: Vec::new() };
        source.visit_file(&parsed);
        source
    }

    /// Returns `path` from the root of the crate, or `None` if it does not begin with `crate`, `self` or `super`.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut from = match first.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            _ => return None,
        };
        for name in rest {
            match name.as_str() {
                "super" => drop(from.pop()),
                _ => from.push(name.clone()),
            }
        }
        Some(from)
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_for_tests(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let line = item.span().start().line;
        // A re-export makes a name known elsewhere, and uses nothing.
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        let paths = leaves(&item.tree, &[]).into_iter().filter(|_| !is_reexport);
        self.uses.extend(paths.map(|path| Use { line, path }));
    }

    /// `pub(super)` names a module and uses nothing of it.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.uses.push(Use { line: path.span().start().line, path: names });
        syn::visit::visit_path(self, path);
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = match &attribute.meta {
            syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
            _ => return false,
        };
        text == "test" || text.starts_with("any (test") || text.starts_with("any(test")
    })
}

/// The path of every name that a `use` brings in.
fn leaves(tree: &UseTree, before: &[String]) -> Vec<Vec<String>> {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(&path.ident)),
        UseTree::Name(name) if name.ident == "self" => vec![before.to_vec()],
        UseTree::Name(name) => vec![with(&name.ident)],
        UseTree::Rename(renamed) => vec![with(&renamed.ident)],
        UseTree::Glob(_) => vec![before.to_vec()],
        UseTree::Group(group) => group.items.iter().flat_map(|item| leaves(item, before)).collect(),
    }
}

/// The sources of a crate whose files are below `dir`.
fn sources(dir: &Path) -> Vec<Source> {
    let mut all = Vec::new();
    collect(dir, &[], &mut all);
    all
}

fn collect(dir: &Path, module: &[String], all: &mut Vec<Source>) {
    let mut entries: Vec<_> =
        fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name in UTF-8").to_owned();
        let is_test =
            matches!(name.as_str(), "tests" | "testing" | "fuzz" | "simulation" | "disk_fault_tests");
        if is_test {
            continue;
        }
        if path.is_dir() {
            collect(&path, &[module, &[name]].concat(), all);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let module = match name.as_str() {
                "mod" | "lib" | "main" => module.to_vec(),
                _ => [module, &[name]].concat(),
            };
            all.push(Source::parse(path, module));
        }
    }
}

fn relative(file: &Path) -> String {
    file.strip_prefix(shell::root()).unwrap_or(file).display().to_string()
}

#[test]
fn each_crate_uses_the_crates_that_the_table_lists() {
    let names: BTreeSet<_> = CRATES.iter().map(|(name, ..)| *name).collect();
    let mut broken = Vec::new();
    for (name, dir, allowed) in CRATES {
        for source in sources(&shell::root().join(dir)) {
            for Use { line, path } in &source.uses {
                let other = path[0].as_str();
                // A name alone is a variable.
                if path.len() > 1 && names.contains(other) && other != *name && !allowed.contains(&other) {
                    broken.push(format!("{}:{line}: {name} may not use {other}", relative(&source.file)));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn each_module_of_the_server_uses_the_modules_that_the_table_lists() {
    let table: BTreeMap<_, _> = MODULES.iter().copied().collect();
    let mut broken = BTreeSet::new();
    for source in sources(&shell::root().join("server/src")) {
        let Some(own) = source.module.first().filter(|own| *own != "app") else { continue };
        let Some(allowed) = table.get(own.as_str()) else {
            broken.insert(format!("{}:1: {own} is not in the table", relative(&source.file)));
            continue;
        };
        for Use { line, path } in &source.uses {
            let Some(other) = source.absolute(path).and_then(|path| path.into_iter().next()) else {
                continue;
            };
            // A path from an inline module may end in this file.
            let is_module = other == "app" || table.contains_key(other.as_str());
            if is_module && other != *own && !allowed.contains(&other.as_str()) {
                broken.insert(format!("{}:{line}: {own} may not use {other}", relative(&source.file)));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
