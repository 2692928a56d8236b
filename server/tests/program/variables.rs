//! Variables that are set to an empty string, as compose files do with unset variables.

use std::{fs, path::Path};

use rides_server::config::Cli;
use tokio::process::Command;

use super::program;
use crate::harness::{
    process::{first_line, process},
    soon,
};

/// The variables of all options.
fn every_variable() -> Vec<String> {
    fn of(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(|option| Some(option.get_env()?.to_str()?.to_owned()));
        own.chain(command.get_subcommands().flat_map(of)).collect()
    }
    [of(&Cli::with_variables()), vec!["RIDES_TOKEN".to_owned()]].concat()
}

/// The program with every variable empty, and with `dir` as its home and working directory.
fn with_empty_variables(args: &[&str], dir: &Path) -> Command {
    let mut command = process(args);
    command.envs(every_variable().into_iter().map(|name| (name, ""))).env("HOME", dir).current_dir(dir);
    for base in ["XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env_remove(base);
    }
    command
}

#[tokio::test]
async fn a_server_with_every_variable_empty_starts_as_with_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = with_empty_variables(&["--cars=0", "--listen=127.0.0.1:0"], dir.path()).spawn().unwrap();
    let line = first_line(&mut child).await;
    assert!(line.starts_with("rides-server listening on http://127.0.0.1:"), "{line}");
    let made: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!made.iter().any(|name| name == "rides.db"), "a journal in the working directory: {made:?}");
    #[cfg(target_os = "linux")]
    assert!(dir.path().join(".local/share/rides/rides.db").exists(), "{made:?}");
}

/// An empty `RIDES_DATA_DIR` means the default data directory of the platform.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn subcommands_hear_no_empty_variable_either() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().display().to_string();
    for (args, says) in [
        (&["journal", "check"][..], format!("cannot use {home}/.local/share/rides/rides.db")),
        (
            &["token", "--role=rider", "--subject=ada"],
            format!("cannot read {home}/.local/share/rides/tokens.pem"),
        ),
        (&["token"], "--role <ROLE>".to_owned()),
        (&["sim"], "--connect <URL>".to_owned()),
        (&["client", "--connect=http://127.0.0.1:1", "list"], "UNAVAILABLE".to_owned()),
    ] {
        let output = soon("the exit", with_empty_variables(args, dir.path()).output()).await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(&says), "{args:?}: {stderr}");
    }
}

#[tokio::test]
async fn an_empty_data_directory_is_refused_where_it_is_given() {
    let output = soon("a refusal", program(&["--data-dir="]).output()).await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("the value is empty: give a directory, or :memory:"), "{stderr}");
}
