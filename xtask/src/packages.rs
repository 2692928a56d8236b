//! The installation of npm and PyPI packages under `target/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::{progress, shell};

/// Makes `to` a copy of `from`, and removes all other files there. Entries with a name in `left_out`, at any depth, are
/// neither copied nor removed.
///
/// # Errors
/// When a file cannot be read, written or removed.
pub(crate) fn mirror(from: &Path, to: &Path, left_out: &[&str]) -> Result<()> {
    if to.exists() {
        clear(to, left_out)?;
    }
    copy(from, to, left_out)
}

/// Removes the files in a folder and its subfolders, except entries with a name in `kept`.
fn clear(dir: &Path, kept: &[&str]) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let entry = entry?;
        let path = entry.path();
        if kept.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            clear(&path, kept)?;
        } else {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Copies `from` with its subfolders to `to`, except entries with a name in `left_out`. Existing files are replaced.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn copy(from: &Path, to: &Path, left_out: &[&str]) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if left_out.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&source, &target, left_out)?;
        } else {
            fs::copy(&source, &target).with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}

/// Installs the packages of `package-lock.json` in `dir` with npm, unless they are installed.
///
/// # Errors
/// When Node is not installed, or npm fails.
pub(crate) fn node(dir: &Path, label: &str) -> Result<()> {
    ensure!(shell::find("node").is_some(), "Node is not installed");
    install_if_changed(&dir.join("node_modules/installed"), &dir.join("package-lock.json"), || {
        let mut npm = shell::command("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(dir);
        progress::spin(&format!("Installing {label}"), "seconds", npm)
    })
}

/// Installs the packages of `requirements`, which lists all dependencies, into a virtual environment with pip, unless
/// they are installed.
///
/// # Errors
/// When Python is not installed, or pip fails.
pub(crate) fn python(environment: &Path, requirements: &Path, label: &str) -> Result<()> {
    install_if_changed(&environment.join("installed"), requirements, || {
        let mut venv = shell::command("python3");
        venv.args(["-m", "venv"]).arg(environment);
        progress::spin("Making a Python environment", "seconds", venv)?;
        let mut pip = shell::command(in_environment(environment, "pip"));
        pip.args(["install", "--disable-pip-version-check", "--no-deps", "-r"]).arg(requirements);
        progress::spin(&format!("Installing {label}"), "about 1 minute", pip)
    })
}

/// Returns the path of a program in a virtual environment.
pub(crate) fn in_environment(environment: &Path, program: &str) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts" } else { "bin" }).join(program)
}

/// Runs `install`, unless the file at `stamp` has the contents of `list` from an earlier installation.
fn install_if_changed(stamp: &Path, list: &Path, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = fs::read(list).with_context(|| format!("cannot read {}", list.display()))?;
    if fs::read(stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    fs::write(stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_is_installed_is_installed_again_only_when_its_list_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (stamp, list) = (dir.path().join("stamp"), dir.path().join("list"));
        let installs = Cell::new(0);
        let install = || {
            installs.set(installs.get() + 1);
            Ok(())
        };
        for (contents, expected) in [("a==1", 1), ("a==1", 1), ("a==2", 2)] {
            fs::write(&list, contents).unwrap();
            install_if_changed(&stamp, &list, install).unwrap();
            assert_eq!(installs.get(), expected, "{contents}");
        }
    }

    #[test]
    fn a_copy_replaces_what_was_there_and_leaves_out_what_it_is_told_to() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("a/node_modules")).unwrap();
        fs::write(from.path().join("a/new"), "new").unwrap();
        fs::write(to.path().join("kept"), "kept").unwrap();
        for _ in 0..2 {
            copy(from.path(), to.path(), &["node_modules"]).unwrap();
            assert_eq!(fs::read_to_string(to.path().join("a/new")).unwrap(), "new");
        }
        assert!(to.path().join("kept").exists() && !to.path().join("a/node_modules").exists());
    }

    #[test]
    fn a_mirror_holds_nothing_that_is_gone_but_what_it_is_told_to_leave() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("new"), "new").unwrap();
        fs::create_dir_all(to.path().join("a/node_modules")).unwrap();
        for old in ["old", "a/old", "a/node_modules/installed"] {
            fs::write(to.path().join(old), "old").unwrap();
        }
        mirror(from.path(), to.path(), &["node_modules"]).unwrap();
        let exists = |name: &str| to.path().join(name).exists();
        assert!(exists("new") && exists("a/node_modules/installed"));
        assert!(!exists("old") && !exists("a/old"));
    }
}
