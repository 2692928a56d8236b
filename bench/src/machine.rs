//! The machine: its cores, its limit of open files, and its description.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity},
};

/// The number of open files to ask for.
const FILES: u64 = 200_000;
/// The number of open files that are not viewers' sockets.
const OTHER_FILES: u64 = 300;

/// The core of the server under test, and the core of the load generator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cores {
    server: usize,
    load: usize,
}

impl Cores {
    /// Takes the first two cores that this process may use. Pins this thread, and so those it starts later, to the
    /// load generator's core.
    pub(crate) fn take() -> Result<Self> {
        let ours = sched_getaffinity(None).context("cannot tell which cores this process may use")?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|core| ours.is_set(*core));
        let cores = usable.next().zip(usable.next());
        let (server, load) =
            cores.context("two cores are needed: one for the server, one for the load generator")?;
        pin(load)?;
        Ok(Self { server, load })
    }

    /// Returns the idle times of the server's core and the load generator's core since boot.
    pub(crate) fn idle(self) -> Result<[Duration; 2]> {
        let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        let idle = |core| idle_of(core, &stat).context("cannot read the idle time of a core from /proc/stat");
        Ok([idle(self.server)?, idle(self.load)?])
    }

    /// Runs `act` on the server's core. A process that it starts stays there.
    pub(crate) fn as_server<T>(self, act: impl FnOnce() -> T) -> Result<T> {
        pin(self.server)?;
        let done = act();
        pin(self.load)?;
        Ok(done)
    }
}

/// Returns a core's idle time from /proc/stat. The columns are user, nice, system, idle, iowait, …, in units of 10
/// ms.
fn idle_of(core: usize, stat: &str) -> Option<Duration> {
    let name = format!("cpu{core} ");
    let figures = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    let idle = figures.split_whitespace().skip(3).take(2).map(str::parse::<u64>);
    Some(Duration::from_millis(10 * idle.sum::<Result<u64, _>>().ok()?))
}

/// Pins this thread, and those it starts from now on, to a core.
fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).context("cannot pin to a core")
}

/// Gives this thread, and those it starts from now on, the policy `SCHED_IDLE`. It runs when nothing else on the core
/// has work, and is preempted at once when something has. A thread with the lowest `nice` would run to the end of its
/// slice.
pub(crate) fn use_idle_priority() -> Result<()> {
    let mut chrt = Command::new("chrt");
    chrt.args(["-i", "-p", "0", &gettid().as_raw_nonzero().to_string()]);
    let done = chrt.status().context("cannot start chrt: install util-linux")?;
    ensure!(done.success(), "cannot run at a lower priority: chrt exited with {done}");
    Ok(())
}

/// Raises the limit of open files, for this process and the servers it starts. Returns the number of viewers that
/// fit.
pub(crate) fn raise_file_limit() -> Result<usize> {
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

/// Returns the processor, the cores, the memory and the kernel in one line.
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
