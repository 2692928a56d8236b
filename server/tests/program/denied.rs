//! Files that the program has no permission to use, or that are not regular files.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use rides_server::tls::development::DevelopmentCa;
use tempfile::TempDir;
use tokio::process::Command;

use super::program;
use crate::harness::{
    process::{Log, PROGRAM, first_line, process, without_disk},
    soon,
};

/// The user id of `nobody`, which has no rights.
const NOBODY: u32 = 65_534;
/// The owner of a file that the program may not use.
const OWNER: u32 = 4_711;

/// Returns the one line that the program prints before it ends with exit code 1.
async fn refusal(command: &mut Command) -> String {
    let output = soon("a refusal", command.output()).await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let said: Vec<_> = stderr.lines().filter(|line| line.starts_with("rides-server: ")).collect();
    assert_eq!(said.len(), 1, "{stderr}");
    said[0].to_owned()
}

#[tokio::test]
async fn a_map_is_a_regular_file() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (path, kind) in
        [(Path::new("/dev/zero"), "a device"), (&fifo, "a FIFO or a pipe"), (dir.path(), "a directory")]
    {
        let said = refusal(&mut program(&[&format!("--map={}", path.display())])).await;
        let expected =
            format!("{}: the map cannot be read: it is {kind}, and must be a regular file", path.display());
        assert!(said.contains(&expected), "{said}");
    }
}

/// A directory of another user, with the program in it, so that the user `nobody` can start it.
struct Guarded {
    dir: TempDir,
    program: PathBuf,
}

impl Guarded {
    /// Returns `None` if the test has no right to run a program as another user.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        chown(dir.path(), Some(OWNER), Some(OWNER)).ok()?;
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let program = dir.path().join("rides-server");
        if fs::hard_link(PROGRAM, &program).is_err() {
            fs::copy(PROGRAM, &program).unwrap();
        }
        Some(Self { dir, program })
    }

    /// Returns a file or directory of the owner with this mode. A missing file is created.
    fn holds(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.dir.path().join(name);
        if !path.exists() {
            fs::write(&path, "secret").unwrap();
        }
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        chown(&path, Some(OWNER), Some(OWNER)).unwrap();
        path
    }

    /// Returns the program with these arguments, run by `nobody`.
    fn as_nobody(&self, args: &[&str]) -> Command {
        let mut command = without_disk(Command::new(&self.program));
        command.args(args).uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    }
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_named_with_its_owner_and_who_runs() {
    let Some(guarded) = Guarded::new() else { return };
    let file = guarded.holds("index.html", 0o640);
    let good = tempfile::tempdir().unwrap();
    let development = DevelopmentCa::at(good.path());
    development.ensure(&[]).unwrap();
    for path in [good.path(), &good.path().join("tls")] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(development.server().key, Permissions::from_mode(0o644)).unwrap();
    let (cert, key) = (development.server().cert, development.server().key);
    let [cert, key] = [cert, key].map(|path| path.display().to_string());
    let (denied, page) = (file.display().to_string(), guarded.dir.path().display().to_string());
    let serve = ["--cars=0", "--listen=127.0.0.1:0"];
    let client = ["client", "--connect=http://127.0.0.1:1"];
    for args in [
        [&serve[..], &["--map", &denied]].concat(),
        [&serve[..], &["--page", &page]].concat(),
        [&serve[..], &["--tls-cert", &denied, "--tls-key", &key]].concat(),
        [&serve[..], &["--tls-cert", &cert, "--tls-key", &denied]].concat(),
        [&serve[..], &["--tls-cert", &cert, "--tls-key", &key, "--client-ca", &denied]].concat(),
        [
            &serve[..],
            &["--tls-cert", &cert, "--tls-key", &key, "--client-ca", &cert, "--client-crl", &denied],
        ]
        .concat(),
        [&serve[..], &["--auth-jwks=https://idp.example/", "--auth-issuer=x", "--auth-ca", &denied]].concat(),
        [&client[..], &["--token-file", &denied, "list"]].concat(),
        ["client", "--connect=https://127.0.0.1:1", "--ca", &denied, "list"].to_vec(),
        ["sim", "--connect=http://127.0.0.1:1", "--map", &denied].to_vec(),
    ] {
        let said = refusal(&mut guarded.as_nobody(&args)).await;
        let explanation = format!(
            "Permission denied (os error 13): {denied} belongs to {OWNER}, group {OWNER}, with mode 0640, and this \
             program runs as "
        );
        assert!(said.contains(&explanation), "{args:?}: {said}");
        let remedy = format!("{NOBODY}), who must be able to read it (chown {NOBODY} {denied}, or ");
        assert!(said.contains(&remedy), "{args:?}: {said}");
    }
}

/// The server starts without the keys of a provider, because they may come later. The log says why they cannot
/// be read.
#[tokio::test]
async fn keys_of_a_provider_that_may_not_be_read_are_named_in_the_log() {
    let Some(guarded) = Guarded::new() else { return };
    let keys = guarded.holds("keys.json", 0o600).display().to_string();
    let args = ["--cars=0", "--listen=127.0.0.1:0", "--auth-issuer=x", "--auth-jwks", &keys];
    let mut child = guarded.as_nobody(&args).spawn().unwrap();
    first_line(&mut child).await;
    let says = format!("Permission denied (os error 13): {keys} belongs to {OWNER}");
    soon("a complaint", Log::of(&mut child).says(&says)).await;
}

#[tokio::test]
async fn a_data_directory_that_may_not_be_used_is_named_with_its_owner() {
    let Some(guarded) = Guarded::new() else { return };
    let data = guarded.dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let mut owner = process(&["--cars=0", "--listen=127.0.0.1:0", &format!("--data-dir={}", data.display())]);
    let mut server = owner.spawn().unwrap();
    first_line(&mut server).await;
    server.kill().await.unwrap();
    for entry in fs::read_dir(&data).unwrap() {
        chown(entry.unwrap().path(), Some(OWNER), Some(OWNER)).unwrap();
    }
    chown(&data, Some(OWNER), Some(OWNER)).unwrap();
    let modes = |of_dir: u32, of_files: u32| {
        for entry in fs::read_dir(&data).unwrap() {
            fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(of_files)).unwrap();
        }
        fs::set_permissions(&data, Permissions::from_mode(of_dir)).unwrap();
    };
    let shown = data.display();
    let data_dir = format!("--data-dir={shown}");
    let missing = format!("--data-dir={}", guarded.dir.path().join("none/of/these").display());
    let serve = ["--cars=0", "--listen=127.0.0.1:0"];
    for (dir, files, args, says) in [
        (0o700, 0o600, [&serve[..], &[&data_dir]].concat(), format!("{shown} belongs to {OWNER}")),
        (0o755, 0o644, [&serve[..], &[&data_dir]].concat(), format!("{shown}/rides.lock belongs to {OWNER}")),
        (0o700, 0o600, vec!["journal", "check", &data_dir], format!("{shown} belongs to {OWNER}")),
        (0o755, 0o600, vec!["journal", "export", &data_dir], format!("{shown}/rides.db belongs to {OWNER}")),
        (
            0o755,
            0o600,
            vec!["token", "--role=rider", "--subject=ada", &data_dir],
            format!("{shown}/tokens.pem belongs to {OWNER}"),
        ),
        (
            0o755,
            0o600,
            vec!["token", "revoke", "--subject=ada", &data_dir],
            format!("{shown}/tokens.pem belongs to {OWNER}"),
        ),
        (0o755, 0o600, vec!["gen-key", &data_dir], format!("{shown} belongs to {OWNER}")),
        (
            0o755,
            0o600,
            [&serve[..], &[&missing]].concat(),
            format!("{} belongs to {OWNER}", guarded.dir.path().display()),
        ),
    ] {
        modes(dir, files);
        let said = refusal(&mut guarded.as_nobody(&args)).await;
        assert!(said.contains("ermission denied") && said.contains(&says), "{args:?}: {said}");
        assert!(said.contains(&format!("{NOBODY})")), "{args:?}: {said}");
    }
}
