//! The check of `/metrics` with promtool of Prometheus.

use std::fs::File;

use anyhow::{Context, Result, ensure};
use console::style;

use super::servers::Servers;
use crate::{
    setup::{self, Need},
    shell,
    test::test_counts::TestCounts,
};

/// Checks the metrics of a new server, and of the servers that the clients have called. If promtool cannot be
/// installed, prints a note and counts as ignored.
///
/// # Errors
/// When promtool reports a problem.
pub(super) fn run(servers: &Servers, tally: &mut TestCounts) -> Result<()> {
    if let Err(missing) = setup::ensure(&[Need::Promtool]) {
        println!("{} the metrics are not checked: {missing:#}", style("note:").yellow().bold());
        tally.ignored += 1;
        return Ok(());
    }
    let (_server, fresh) = servers.start_another(&["--cars=0"])?;
    for (name, url) in [
        ("a new server", fresh),
        ("a used server", format!("http://{}", servers.open)),
        ("a used server with a journal", format!("https://{}", servers.tls)),
    ] {
        check(servers, &format!("{url}/metrics")).with_context(|| format!("the metrics of {name}"))?;
        tally.passed += 1;
    }
    Ok(())
}

fn check(servers: &Servers, url: &str) -> Result<()> {
    let file = servers.file.with_file_name("metrics.txt");
    let mut get = shell::command("curl");
    get.args(["--silent", "--show-error", "--fail", "--noproxy", "*", url, "--cacert"]).arg(&servers.ca);
    get.arg("--output").arg(&file);
    shell::run(get)?;
    let mut promtool = shell::command(setup::promtool().context("promtool not found")?);
    promtool.args(["check", "metrics"]).stdin(File::open(&file)?);
    let checked = promtool.output().with_context(|| shell::not_started(&promtool))?;
    let said = [checked.stdout, checked.stderr].concat();
    ensure!(
        checked.status.success() && said.is_empty(),
        "promtool reports problems in {url}:\n{}",
        String::from_utf8_lossy(&said)
    );
    Ok(())
}
