//! The test of the files for a deployment: the image starts, serves the page, and drains, as for an operator.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use console::style;

use super::test_counts::TestCounts;
use crate::{
    build, dist,
    setup::{self, Need},
    shell,
};

/// The longest time that the program may take to start, and to end.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Builds and tests the files for a deployment. If musl or buildah cannot be installed, prints a note and counts as
/// ignored.
///
/// # Errors
/// When a build or a check fails.
pub(super) fn check(tally: &mut TestCounts) -> Result<()> {
    if let Err(missing) = setup::ensure(&[Need::StaticTarget, Need::Buildah]) {
        println!("{} not run: {missing:#}", style("note:").yellow().bold());
        tally.ignored += 1;
        return Ok(());
    }
    let program = dist::program()?;
    is_static(&program)?;
    unit_is_valid(&program)?;
    let archive = dist::image()?.context("buildah did not build an image")?;
    println!("the size of the image is {:.1} MB", archive.metadata()?.len() as f64 / 1e6);
    the_image_serves()?;
    tally.passed += 1;
    Ok(())
}

/// Checks that the program needs no library of the system: it names no interpreter (dynamic loader).
fn is_static(program: &Path) -> Result<()> {
    let mut readelf = shell::command("readelf");
    readelf.args(["--program-headers", "--wide"]).arg(program);
    let headers = shell::output(readelf).context("readelf cannot read the program")?;
    ensure!(!headers.contains("INTERP"), "{} is not static:\n{headers}", program.display());
    Ok(())
}

/// Checks the unit with systemd, if it is installed. Ignores that the program is not at the path in the unit.
fn unit_is_valid(program: &Path) -> Result<()> {
    if shell::find("systemd-analyze").is_none() {
        return Ok(());
    }
    let unit = program.with_extension("service");
    let mut verify = shell::command("systemd-analyze");
    verify.arg("verify").arg(&unit);
    let output = verify.output().context("systemd-analyze cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let faults: Vec<_> = said
        .lines()
        .filter(|line| line.contains("rides-server.service") && !line.contains("is not executable"))
        .collect();
    ensure!(faults.is_empty(), "systemd reports errors in the unit:\n{}", faults.join("\n"));
    Ok(())
}

fn the_image_serves() -> Result<()> {
    let container = output(dist::buildah(&["from", "--pull-never", dist::IMAGE]))?;
    let served = serve(&container);
    let removed = output(dist::buildah(&["rm", &container]));
    served.and(removed.map(drop))
}

/// Starts the program in the container, on a free port of the loopback interface, and tests it.
fn serve(container: &str) -> Result<()> {
    let mut run = dist::buildah(&["run", "--env", "RIDES_LISTEN=127.0.0.1:0", container]);
    run.args(["/rides-server", "--cars", "5", "--auth", "open"]).stdout(Stdio::piped());
    let mut child = run.spawn().with_context(|| shell::not_started(&run))?;
    let tried = test_container(&mut child);
    if tried.is_err() {
        // The first error counts, so an error of the kill is ignored.
        let _ = child.kill();
    }
    tried
}

fn test_container(child: &mut Child) -> Result<()> {
    let output = child.stdout.take().context("cannot read the output of the program")?;
    let mut lines = BufReader::new(output).lines();
    let line = lines.next().context("the program printed nothing")??;
    let address = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .context("the program printed no address")?;
    let get = |path: &str, accept: &str| -> Result<String> {
        let request = ureq::get(format!("{address}{path}")).header("accept", accept);
        let config = request.config().timeout_global(Some(Duration::from_secs(5))).proxy(None).build();
        config
            .call()
            .and_then(|mut answer| answer.body_mut().read_to_string())
            .with_context(|| format!("GET {path}"))
    };
    until("the program is ready", || get("/readyz", "*/*").is_ok_and(|said| said == "ready\n"))?;
    ensure!(get("/", "text/html")?.contains("<title>Rides"), "the program does not serve the page");
    if let Some(revision) = build::revision() {
        let build = format!("revision=\"{revision}\"");
        ensure!(get("/metrics", "*/*")?.contains(&build), "/metrics does not have {build}");
    }
    terminate(child)?;
    let mut ended = None;
    until("the program has ended", || {
        ended = child.try_wait().ok().flatten();
        ended.is_some()
    })?;
    match ended {
        Some(status) if status.success() => Ok(()),
        other => bail!("the program ended with a failure: {other:?}"),
    }
}

/// Sends SIGTERM to the program itself. buildah starts it through other processes, which do not forward signals.
fn terminate(child: &Child) -> Result<()> {
    let mut process = child.id().to_string();
    while let Some(started) = first_child(&process) {
        process = started;
    }
    let mut kill = Command::new("kill");
    kill.args(["-TERM", &process]);
    shell::run(kill)
}

fn first_child(process: &str) -> Option<String> {
    let mut pgrep = Command::new("pgrep");
    pgrep.args(["--parent", process]);
    shell::output(pgrep)?.lines().next().map(str::to_owned)
}

fn output(mut command: Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| shell::not_started(&command))?;
    ensure!(output.status.success(), "`{}` failed ({})", shell::command_line(&command), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        ensure!(Instant::now() < deadline, "not true within {} s: {what}", TIMEOUT.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
