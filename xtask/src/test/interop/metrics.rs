//! Prometheus' own check of what the servers show at `/metrics`.

use std::fs::File;

use anyhow::{Context, Result, ensure};
use console::style;

use super::servers::Servers;
use crate::{
    setup::{self, Need},
    shell,
    test::tally::Tally,
};

/// Lets promtool look at the metrics of a new server, and of those that the clients have used. Where promtool cannot be
/// had, it says so and counts as ignored.
///
/// # Errors
/// When promtool has anything to say.
pub(super) fn run(servers: &Servers, tally: &mut Tally) -> Result<()> {
    if let Err(missing) = setup::ensure(&[Need::Promtool]) {
        println!("{} metrics are not checked: {missing:#}", style("note:").yellow().bold());
        tally.ignored += 1;
        return Ok(());
    }
    let (_server, fresh) = servers.another(&["--cars=0"])?;
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
    let mut promtool = shell::command(setup::promtool().context("no promtool")?);
    promtool.args(["check", "metrics"]).stdin(File::open(&file)?);
    let checked = promtool.output().with_context(|| shell::not_started(&promtool))?;
    let said = [checked.stdout, checked.stderr].concat();
    ensure!(
        checked.status.success() && said.is_empty(),
        "promtool says of {url}:\n{}",
        String::from_utf8_lossy(&said)
    );
    Ok(())
}
