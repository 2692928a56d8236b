//! A pseudoterminal for a program, and the text on its screen.

use std::os::fd::OwnedFd;

use rustix::{
    fs::{OFlags, fcntl_setfl},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe::Receiver,
    process::{Child, Command},
};

use super::soon;

/// The escape sequences around one synchronized update of the screen.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";

/// A pseudoterminal and the output that was not yet examined.
pub(crate) struct Terminal {
    keyboard: OwnedFd,
    /// The controlling side as a pipe, because tokio can poll any such descriptor as one.
    screen: Receiver,
    terminal_side: OwnedFd,
    shown: String,
}

impl Terminal {
    pub(crate) fn new(columns: u16, rows: u16) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let line = ioctl_tiocgptpeer(&keyboard, flags).unwrap();
        fcntl_setfl(&keyboard, OFlags::NONBLOCK).unwrap();
        let screen = Receiver::from_owned_fd_unchecked(keyboard.try_clone().unwrap()).unwrap();
        let terminal = Self { keyboard, screen, terminal_side: line, shown: String::new() };
        terminal.resize(columns, rows);
        terminal
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.terminal_side, size).unwrap();
    }

    /// Starts a program with this terminal as its controlling terminal.
    pub(crate) fn start(&self, program: &Command) -> Child {
        let program = program.as_std();
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let line = || self.terminal_side.try_clone().unwrap();
        command.stdin(line()).stdout(line()).stderr(line()).kill_on_drop(true).spawn().unwrap()
    }

    /// Returns `true` if input is echoed and edited line by line, the mode in which shells expect the terminal.
    pub(crate) fn is_plain(&self) -> bool {
        let modes = tcgetattr(&self.terminal_side).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    pub(crate) fn types(&self, keys: &str) {
        assert_eq!(rustix::io::write(&self.keyboard, keys.as_bytes()), Ok(keys.len()));
    }

    /// Waits for a complete screen that satisfies `wanted`, and returns its lines.
    pub(crate) async fn shows(&mut self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let shown = async {
            loop {
                while let Some((frame, rest)) = self.shown.split_once(END) {
                    let lines = lines(frame.rsplit(BEGIN).next().unwrap_or_default());
                    self.shown = rest.to_owned();
                    if wanted(&lines) {
                        return lines;
                    }
                }
                self.read().await;
            }
        };
        soon(what, shown).await
    }

    /// Waits until the remaining output contains `what`, and returns that output.
    pub(crate) async fn shows_raw(&mut self, what: &str) -> &str {
        self.has_shown(what, |shown| shown.contains(what)).await
    }

    /// Waits until the remaining output ends with `last`, and returns that output.
    pub(crate) async fn is_left_with(&mut self, last: &str) -> &str {
        self.has_shown(last, |shown| shown.ends_with(last)).await
    }

    async fn has_shown(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> &str {
        let shown = async {
            while !wanted(&self.shown) {
                self.read().await;
            }
        };
        soon(what, shown).await;
        &self.shown
    }

    async fn read(&mut self) {
        let mut bytes = [0; 4096];
        let count = self.screen.read(&mut bytes).await.unwrap();
        // Tests look for ASCII only, so that a character split between two reads does no harm.
        self.shown += &String::from_utf8_lossy(&bytes[..count]);
    }
}

/// The rows of a screen that was drawn from the top, without colours.
fn lines(frame: &str) -> Vec<String> {
    let row = |number: usize| {
        let (_, after) = frame.split_once(&format!("\x1b[{number};1H"))?;
        let line = after.split_once(&format!("\x1b[{};1H", number + 1)).map_or(after, |(line, _)| line);
        Some(anstream::adapter::strip_str(line).to_string().trim_end().to_owned())
    };
    (1..).map_while(row).collect()
}
