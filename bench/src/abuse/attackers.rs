//! The clients of an attack: one low-priority thread with one poller, which gives each client its turn when it is
//! due.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    mem,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result, anyhow};
use mio::{Events, Poll, Token, event::Event};

use super::attack::{Attack, AttackClients, NextAction, ReadPattern, Turn};
use crate::{
    load::{BUFFER, Route, Socket},
    machine,
};

/// The largest number of connections in an attack.
const MAX_OPENED: u64 = 2_000_000;
/// The largest number of connections that are opened before other clients have their turns.
const OPEN_BATCH: usize = 64;
/// The largest number of events taken from the poller at once.
const EVENTS: usize = 256;
/// The longest wait of the poller, after which the thread checks whether to stop and whether to open connections.
const POLL_TIMEOUT: Duration = Duration::from_millis(5);

/// The counts of an attack.
#[derive(Clone, Default, Debug)]
pub(super) struct AttackCounts {
    /// Connections that were opened.
    pub(super) opened: u64,
    /// The largest number of connections that were open at a time.
    pub(super) most: usize,
    /// The number of turns, over all clients.
    pub(super) turns: u64,
    /// Connections that the server ended, by reason.
    pub(super) ended: BTreeMap<String, u64>,
}

/// A running attack.
#[derive(Debug)]
pub(super) struct Attackers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<AttackCounts>>,
}

impl Attackers {
    /// Starts an attack on the server at `to`.
    ///
    /// # Errors
    /// When there is no poller, or the thread cannot lower its priority.
    pub(super) fn start(attack: Box<dyn Attack>, crowd: AttackClients, to: SocketAddr) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, begun) = mpsc::channel();
        let thread = thread::spawn({
            let stop = stop.clone();
            move || {
                machine::use_idle_priority()?;
                let mut mob = AttackLoop::new(attack, crowd, to)?;
                let _ = ready.send(()); // The receiver waits for it below.
                while !stop.load(Ordering::Relaxed) {
                    mob.step()?;
                }
                Ok(mob.taken)
            }
        });
        let attackers = Self { stop, thread };
        match begun.recv() {
            Ok(()) => Ok(attackers),
            Err(_never) => {
                Err(attackers.stop().err().unwrap_or_else(|| anyhow!("the attackers stopped at their start")))
            }
        }
    }

    /// Stops the attack, closes every connection, and returns the counts.
    pub(super) fn stop(self) -> Result<AttackCounts> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the attackers panicked"))?
    }
}

struct AttackLoop {
    attack: Box<dyn Attack>,
    crowd: AttackClients,
    to: SocketAddr,
    began: Instant,
    poll: Poll,
    buffer: Vec<u8>,
    /// The clients by slot. The slot is the client's token in the poller.
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    /// The times of the next actions, with slot and client number.
    due: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    /// The clients that have a turn now, by slot and client number.
    ready: Vec<(usize, u64)>,
    taken: AttackCounts,
}

struct Client {
    /// The number of the client in the order of connecting.
    number: u64,
    socket: Socket,
    turns: u32,
    then: NextAction,
}

impl AttackLoop {
    fn new(attack: Box<dyn Attack>, crowd: AttackClients, to: SocketAddr) -> Result<Self> {
        Ok(Self {
            attack,
            crowd,
            to,
            began: Instant::now(),
            poll: Poll::new().context("cannot make a poller")?,
            buffer: vec![0; BUFFER],
            clients: (0..crowd.clients).map(|_| None).collect(),
            free: (0..crowd.clients).rev().collect(),
            due: BinaryHeap::new(),
            ready: Vec::new(),
            taken: AttackCounts::default(),
        })
    }

    fn step(&mut self) -> Result<()> {
        self.open_clients()?;
        self.give_turns();
        let wait = if self.ready.is_empty() { POLL_TIMEOUT } else { Duration::ZERO };
        let mut events = Events::with_capacity(EVENTS);
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            self.handle_event(event);
        }
        Ok(())
    }

    fn open_clients(&mut self) -> Result<()> {
        let allowed = self.began.elapsed().as_secs_f64() * self.crowd.opening_per_second;
        let room = (allowed - self.taken.opened as f64).min(OPEN_BATCH as f64).max(0.0) as usize;
        for _ in 0..room {
            let Some(slot) = self.free.pop() else { break };
            if self.taken.opened == MAX_OPENED {
                break;
            }
            self.open(slot)?;
        }
        self.taken.most = self.taken.most.max(self.clients.len() - self.free.len());
        Ok(())
    }

    fn open(&mut self, slot: usize) -> Result<()> {
        let number = self.taken.opened;
        let AttackClients { addresses, receive_buffer, .. } = self.crowd;
        let host = u8::try_from(1 + slot % addresses).context("too many addresses")?;
        let from = Some(IpAddr::V4(Ipv4Addr::new(127, 0, 1, host)));
        let route = Route { from, to: self.to, receive_buffer };
        let protocol = self.attack.protocol(number);
        let socket = Socket::open(route, protocol, false, Token(slot), self.poll.registry())?;
        self.clients[slot] = Some(Client { number, socket, turns: 0, then: NextAction::AT_ONCE });
        self.taken.opened += 1;
        self.speak(slot);
        Ok(())
    }

    /// Gives a turn to each client that has one now, and closes those whose time is over.
    fn give_turns(&mut self) {
        for (slot, number) in mem::take(&mut self.ready) {
            if self.is(slot, number) {
                self.speak(slot);
            }
        }
        let now = Instant::now();
        while let Some(Reverse((at, slot, number))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            if !self.is(slot, number) {
                continue;
            }
            match self.clients[slot].as_ref().map(|client| client.then) {
                Some(NextAction::Again(_)) => self.speak(slot),
                _ => self.close(slot),
            }
        }
    }

    /// Reports whether the client in a slot is still the one with this number.
    fn is(&self, slot: usize, number: u64) -> bool {
        self.clients[slot].as_ref().is_some_and(|client| client.number == number)
    }

    fn speak(&mut self, slot: usize) {
        let Some(client) = &mut self.clients[slot] else { return };
        // A client that has not sent everything of its last turn gets no new one.
        if client.socket.out().is_empty() {
            let turn = Turn { client: client.number, number: client.turns };
            client.then = self.attack.write_turn(turn, client.socket.out());
            client.turns += 1;
            self.taken.turns += 1;
        }
        let (number, then) = (client.number, client.then);
        let read = match self.crowd.reads {
            ReadPattern::Limited(bytes) => client.socket.read(&mut self.buffer[..bytes], |_| {}),
            ReadPattern::AtOnce | ReadPattern::Never => Ok(0),
        };
        if let Err(why) = read.and_then(|_| client.socket.send()) {
            return self.end(slot, &why);
        }
        match then {
            NextAction::AT_ONCE => self.when_sent(slot),
            NextAction::Leave(Duration::ZERO) => self.close(slot),
            NextAction::Again(after) | NextAction::Leave(after) => {
                self.due.push(Reverse((Instant::now() + after, slot, number)));
            }
            NextAction::Stay => {}
        }
    }

    /// Schedules the next turn of a client that makes no pauses, once everything is sent: now, or when an event reports
    /// room in the socket's send buffer.
    fn when_sent(&mut self, slot: usize) {
        if let Some(client) = &mut self.clients[slot]
            && client.then == NextAction::AT_ONCE
            && client.socket.out().is_empty()
        {
            self.ready.push((slot, client.number));
        }
    }

    fn handle_event(&mut self, event: &Event) {
        let slot = event.token().0;
        let Some(client) = &mut self.clients[slot] else { return };
        let waited = !client.socket.out().is_empty();
        let done = if self.crowd.reads == ReadPattern::AtOnce {
            client.socket.advance(&mut self.buffer, |_| {})
        } else if event.is_error() || event.is_write_closed() {
            Err(anyhow!("the server closed or reset the connection"))
        } else {
            client.socket.send()
        };
        match done {
            Err(why) => self.end(slot, &why),
            Ok(()) if waited => self.when_sent(slot),
            Ok(()) => {}
        }
    }

    /// Counts the reason for which the server ended a connection, and closes it.
    fn end(&mut self, slot: usize, why: &Error) {
        let why = why.root_cause().to_string();
        let why = why.split(" (os error").next().unwrap_or_default().to_owned();
        *self.taken.ended.entry(why).or_default() += 1;
        self.close(slot);
    }

    fn close(&mut self, slot: usize) {
        self.clients[slot] = None;
        self.free.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;

    /// An attack that sends a word in each of two turns and then keeps the connection.
    struct Words;

    impl Attack for Words {
        fn about(&self) -> &'static str {
            "send two words"
        }

        fn crowd(&self) -> AttackClients {
            AttackClients { clients: 3, addresses: 2, ..AttackClients::default() }
        }

        fn write_turn(&mut self, turn: Turn, out: &mut Vec<u8>) -> NextAction {
            match turn.number {
                0 => out.extend_from_slice(b"first,"),
                1 => out.extend_from_slice(b"last"),
                _ => return NextAction::Stay,
            }
            NextAction::Again(Duration::from_millis(1))
        }
    }

    #[test]
    fn for_one_that_is_let_go_another_comes_until_they_are_stopped() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let attackers =
            Attackers::start(Box::new(Words), Words.crowd(), listener.local_addr().unwrap()).unwrap();
        for _ in 0..10 {
            let (mut client, from) = listener.accept().unwrap();
            assert!(from.to_string().starts_with("127.0.1."), "{from}");
            let mut words = [0; 10];
            client.read_exact(&mut words).unwrap();
            assert_eq!(&words, b"first,last");
        }
        let taken = attackers.stop().unwrap();
        assert!(taken.opened >= 10 && taken.most <= 3 && taken.turns >= 20, "{taken:?}");
        assert!(taken.ended.keys().eq(["the server closed the connection"]), "{taken:?}");
    }

    /// An attack that reads three bytes in each turn.
    struct Sips;

    impl Attack for Sips {
        fn about(&self) -> &'static str {
            "read three bytes at a time"
        }

        fn crowd(&self) -> AttackClients {
            AttackClients { clients: 1, reads: ReadPattern::Limited(3), ..AttackClients::default() }
        }

        fn write_turn(&mut self, _: Turn, out: &mut Vec<u8>) -> NextAction {
            out.push(b'.');
            NextAction::Again(Duration::from_millis(1))
        }
    }

    #[test]
    fn who_reads_in_sips_takes_no_more_at_a_time() {
        /// A response that makes the client close its connection when it has read all of it.
        const REFUSAL: &[u8; 24] = b"HTTP/1.1 500 Not now\r\n\r\n";
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let attackers =
            Attackers::start(Box::new(Sips), Sips.crowd(), listener.local_addr().unwrap()).unwrap();
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(REFUSAL).unwrap();
        let mut turns = Vec::new();
        let _gone = client.read_to_end(&mut turns);
        // In its last turn the client closes before it sends.
        assert!(turns.len() >= REFUSAL.len() / 3 - 1, "{turns:?}");
        let taken = attackers.stop().unwrap();
        assert!(taken.ended.keys().all(|why| why.contains("500")), "{taken:?}");
    }
}
