//! A server under measure: started on its core, asked for its figures, ended.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::machine::Cores;

/// How long a server may take until it listens.
const READY_WITHIN: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// What servers print, after what they are and before their address.
const LISTENING: &str = " listening on http://";

/// A server that runs, in one process or several. Ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    processes: Vec<Process>,
    /// Where clients go.
    pub(crate) addr: SocketAddr,
    /// What it says it is, with versions.
    pub(crate) about: String,
}

impl Server {
    /// Starts a program that prints one line, `NAME listening on http://ADDRESS`, once it listens.
    pub(crate) fn start(command: Command, cores: Cores, log: &Path) -> Result<Self> {
        let mut process = Process::start(command, cores, log)?;
        let (about, addr) = process.announcement().with_context(|| see(log))?;
        Ok(Self { processes: vec![process], addr, about })
    }

    /// Starts a proxy in front of it, which listens at `addr` and says nothing.
    pub(crate) fn behind(
        mut self,
        proxy: Command,
        addr: SocketAddr,
        cores: Cores,
        log: &Path,
    ) -> Result<Self> {
        let mut process = Process::start(proxy, cores, log)?;
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect(addr).is_err() {
            if let Some(status) = process.0.try_wait()? {
                bail!("it ended ({status}); {}", see(log));
            }
            if Instant::now() > deadline {
                bail!("it does not listen; {}", see(log));
            }
            thread::sleep(ASK_AGAIN);
        }
        self.processes.push(process);
        Ok(Self { addr, ..self })
    }

    /// Time on a processor so far, of all its processes and threads.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.tree()?.into_iter().map(cpu_of).sum()
    }

    /// Resident memory in bytes, of all its processes.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.tree()?.into_iter().map(|process| memory_of(process, "VmRSS:")).sum()
    }

    /// The most resident memory in bytes that each of its processes has had, summed.
    pub(crate) fn peak(&self) -> Result<u64> {
        self.tree()?.into_iter().map(|process| memory_of(process, "VmHWM:")).sum()
    }

    /// From now on, what there was before is no peak.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        for process in self.tree()? {
            fs::write(format!("/proc/{process}/clear_refs"), "5")
                .context("cannot reset the peak of memory")?;
        }
        Ok(())
    }

    /// Its processes, with their children.
    fn tree(&self) -> Result<Vec<u32>> {
        let mut tree: Vec<u32> = self.processes.iter().map(|process| process.0.id()).collect();
        let mut next = 0;
        while let Some(parent) = tree.get(next) {
            let children = format!("/proc/{parent}/task/{parent}/children");
            // A process that was there a moment ago may be gone.
            let children = fs::read_to_string(children).unwrap_or_default();
            tree.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            next += 1;
        }
        Ok(tree)
    }
}

/// A free port. Nobody else is asked to leave it alone until it is taken: on a machine that measures, nobody comes.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Time that this process, which is the load, was on a processor so far.
pub(crate) fn own_cpu() -> Result<Duration> {
    cpu_of(std::process::id())
}

fn see(log: &Path) -> String {
    format!("what it said is in {}", log.display())
}

#[derive(Debug)]
struct Process(Child);

impl Process {
    fn start(mut command: Command, cores: Cores, log: &Path) -> Result<Self> {
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let child = cores.as_server(|| command.spawn())?;
        child.map(Self).with_context(|| format!("cannot start {}", command.get_program().display()))
    }

    fn announcement(&mut self) -> Result<(String, SocketAddr)> {
        let output = self.0.stdout.take().context("no pipe")?;
        let (found, announced) = mpsc::channel();
        thread::spawn(move || {
            // To the end, so that the server never waits for a reader.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(announcement) = announcement(&line) {
                    let _ = found.send(announcement); // Only the first is waited for.
                }
            }
        });
        announced.recv_timeout(READY_WITHIN).map_err(|_| anyhow!("it did not say where it listens"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn announcement(line: &str) -> Option<(String, SocketAddr)> {
    let (about, addr) = line.split_once(LISTENING)?;
    Some((about.to_owned(), addr.trim().parse().ok()?))
}

/// Of all its threads. Those that ended are not counted: servers under measure keep theirs.
fn cpu_of(process: u32) -> Result<Duration> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).context("the server has ended")?;
    let mut nanos = 0;
    for task in tasks {
        let path = task?.path().join("schedstat");
        let Ok(figures) = fs::read_to_string(path) else { continue }; // The thread ended just now.
        let on_cpu = figures.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok());
        nanos += on_cpu.context("this kernel does not say how long threads ran")?;
    }
    Ok(Duration::from_nanos(nanos))
}

fn memory_of(process: u32, which: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the server has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<u64>().ok());
    Ok(1024 * kib.context("the server has no memory")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_say_what_they_are_and_where() {
        let (about, addr) = announcement("tonic 1.2.3 listening on http://127.0.0.1:99").unwrap();
        assert_eq!((&*about, addr.port()), ("tonic 1.2.3", 99));
        assert_eq!(announcement("listening soon"), None);
    }

    #[test]
    fn a_process_has_used_time_and_memory() {
        let before = own_cpu().unwrap();
        let mut sum = 0_u64;
        while own_cpu().unwrap() == before {
            sum = sum.wrapping_add(1);
        }
        let memory = |which| memory_of(std::process::id(), which).unwrap();
        // In this order: other tests take memory meanwhile.
        let (resident, peak) = (memory("VmRSS:"), memory("VmHWM:"));
        assert!(resident > 100_000 && peak >= resident, "{resident} of {peak}, {sum}");
    }
}
