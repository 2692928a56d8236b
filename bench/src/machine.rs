//! The machine: which core is whose, how many sockets there may be, and what to call it.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity},
};

/// Open files to ask for.
const FILES: u64 = 200_000;
/// Open files that are no viewers.
const OTHER_FILES: u64 = 300;

/// The core of the server under measure, and the core of the load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cores {
    server: usize,
    load: usize,
}

impl Cores {
    /// The first two that we may use. From here on, this thread and those it starts are the load.
    pub(crate) fn take() -> Result<Self> {
        let ours = sched_getaffinity(None).context("cannot tell which cores there are")?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|core| ours.is_set(*core));
        let cores = usable.next().zip(usable.next());
        let (server, load) = cores.context("it takes two cores: one for the server, one for the load")?;
        pin(load)?;
        Ok(Self { server, load })
    }

    /// How long the server's core and the load's have had nothing to do.
    pub(crate) fn idle(self) -> Result<[Duration; 2]> {
        let stat = fs::read_to_string("/proc/stat").context("no /proc/stat")?;
        let idle = |core| idle_of(core, &stat).context("cannot tell how busy the cores are");
        Ok([idle(self.server)?, idle(self.load)?])
    }

    /// Does something on the server's core: what is started there stays there.
    pub(crate) fn as_server<T>(self, act: impl FnOnce() -> T) -> Result<T> {
        pin(self.server)?;
        let done = act();
        pin(self.load)?;
        Ok(done)
    }
}

/// From /proc/stat, in hundredths of a second: user, nice, system, idle, waiting for a disk, …
fn idle_of(core: usize, stat: &str) -> Option<Duration> {
    let name = format!("cpu{core} ");
    let figures = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    let idle = figures.split_whitespace().skip(3).take(2).map(str::parse::<u64>);
    Some(Duration::from_millis(10 * idle.sum::<Result<u64, _>>().ok()?))
}

/// This thread, and those it starts from now on.
fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).context("cannot pin to a core")
}

/// This thread, and those it starts from now on, run when nobody else on their core has anything to do, as far as the kernel
/// lets anybody say that, and stop as soon as somebody has: at the lowest `nice` they would go on to the end of their slice.
pub(crate) fn step_back() -> Result<()> {
    let mut chrt = Command::new("chrt");
    chrt.args(["-i", "-p", "0", &gettid().as_raw_nonzero().to_string()]);
    let done = chrt.status().context("no chrt, of util-linux")?;
    ensure!(done.success(), "cannot run at a lower priority: chrt ended with {done}");
    Ok(())
}

/// Asks for as many open files as viewers could take, for us and for the servers we start. How many viewers fit.
pub(crate) fn most_sockets() -> Result<usize> {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(FILES);
    let ask = |files| setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum: Some(files) });
    // Only root may go beyond the hard limit.
    let files = match ask(FILES.max(hard)) {
        Ok(()) => FILES.max(hard),
        Err(_) => ask(hard).map(|()| hard).context("cannot raise the limit of open files")?,
    };
    ensure!(files > 2 * OTHER_FILES, "only {files} files may be open at a time: see `ulimit -n`");
    Ok(usize::try_from(files - OTHER_FILES).unwrap_or(usize::MAX))
}

/// In one line: processor, cores, memory, kernel.
pub(crate) fn description() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".into());
    let memory = value(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let gib =
        memory.split(' ').next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1048576.0;
    let cores = read("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{processor}, {cores} cores, {gib:.0} GiB, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_of_the_core_asked_for() {
        let stat = "cpu  9 9 9 9 9 9\ncpu1 1 2 3 40 5 6 7\ncpu12 1 1 1 1 1 1\n";
        assert_eq!(idle_of(1, stat), Some(Duration::from_millis(450)));
        assert_eq!(idle_of(2, stat), None);
    }
}
