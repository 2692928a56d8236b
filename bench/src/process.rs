//! A server process under test, pinned to its core, with its processor time and memory.

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

/// The time within which a server must listen.
const READY_WITHIN: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// The part of a server's first line between its name and its address.
const LISTENING: &str = " listening on http://";

/// A running server of one or more processes. They are killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    processes: Vec<Process>,
    /// The address that clients connect to.
    pub(crate) addr: SocketAddr,
    /// The name and the versions that the server prints.
    pub(crate) about: String,
}

impl Server {
    /// Starts a program that prints the line `NAME listening on http://ADDRESS` as soon as it listens.
    pub(crate) fn start(command: Command, cores: Cores, log: &Path) -> Result<Self> {
        let mut process = Process::start(command, cores, log)?;
        let (about, addr) = process.announcement().with_context(|| see(log))?;
        Ok(Self { processes: vec![process], addr, about })
    }

    /// Starts a proxy in front of the server. The proxy listens at `addr` and prints nothing.
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
                bail!("the proxy exited ({status}): {}", see(log));
            }
            if Instant::now() > deadline {
                bail!("the proxy does not listen at {addr}: {}", see(log));
            }
            thread::sleep(ASK_AGAIN);
        }
        self.processes.push(process);
        Ok(Self { addr, ..self })
    }

    /// Returns the processor time of all processes and threads so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.tree()?.into_iter().map(cpu_of).sum()
    }

    /// Returns the resident memory of all processes in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.tree()?.into_iter().map(|process| memory_of(process, "VmRSS:")).sum()
    }

    /// Returns the sum of the peak resident memory of each process in bytes.
    pub(crate) fn peak(&self) -> Result<u64> {
        self.tree()?.into_iter().map(|process| memory_of(process, "VmHWM:")).sum()
    }

    /// Resets the peak of resident memory.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        for process in self.tree()? {
            fs::write(format!("/proc/{process}/clear_refs"), "5")
                .context("cannot reset the peak of memory")?;
        }
        Ok(())
    }

    /// Returns the ids of the processes and of their descendants.
    fn tree(&self) -> Result<Vec<u32>> {
        let mut tree: Vec<u32> = self.processes.iter().map(|process| process.0.id()).collect();
        let mut next = 0;
        while let Some(parent) = tree.get(next) {
            let children = format!("/proc/{parent}/task/{parent}/children");
            // A process may have exited since it was listed.
            let children = fs::read_to_string(children).unwrap_or_default();
            tree.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            next += 1;
        }
        Ok(tree)
    }
}

/// Returns a free port. Another process may take it before the server does, which is unlikely on a machine that runs
/// only this benchmark.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Returns the processor time of this process, which is the load generator, so far.
pub(crate) fn own_cpu() -> Result<Duration> {
    cpu_of(std::process::id())
}

fn see(log: &Path) -> String {
    format!("see {}", log.display())
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
        let output = self.0.stdout.take().context("the server's output is not piped")?;
        let (found, announced) = mpsc::channel();
        thread::spawn(move || {
            // Reads to the end, so that the server never blocks on a full pipe.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(announcement) = announcement(&line) {
                    let _ = found.send(announcement); // The receiver waits for the first only.
                }
            }
        });
        announced.recv_timeout(READY_WITHIN).map_err(|_| anyhow!("the server did not print its address"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // These fail only if the process has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn announcement(line: &str) -> Option<(String, SocketAddr)> {
    let (about, addr) = line.split_once(LISTENING)?;
    Some((about.to_owned(), addr.trim().parse().ok()?))
}

/// Returns the processor time of all threads of a process. Threads that have exited are not counted: servers under
/// test keep theirs.
fn cpu_of(process: u32) -> Result<Duration> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).context("the server has exited")?;
    let mut nanos = 0;
    for task in tasks {
        let path = task?.path().join("schedstat");
        let Ok(figures) = fs::read_to_string(path) else { continue }; // The thread exited meanwhile.
        let on_cpu = figures.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok());
        nanos += on_cpu.context("this kernel has no processor time in /proc/PID/task/TID/schedstat")?;
    }
    Ok(Duration::from_nanos(nanos))
}

fn memory_of(process: u32, which: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the server has exited")?;
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<u64>().ok());
    Ok(1024 * kib.context("/proc/PID/status has no such line")?)
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
        // The peak is read last, because other tests allocate memory meanwhile.
        let (resident, peak) = (memory("VmRSS:"), memory("VmHWM:"));
        assert!(resident > 100_000 && peak >= resident, "{resident} of {peak}, {sum}");
    }
}
