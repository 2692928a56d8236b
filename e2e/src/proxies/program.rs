//! The proxy programs: how each is started, and the main configuration around a site of `deploy/`.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::variable::variable;

/// A reverse proxy program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// nginx.
    Nginx,
    /// Caddy.
    Caddy,
    /// HAProxy.
    Haproxy,
    /// Apache httpd.
    Apache,
    /// Envoy.
    Envoy,
}

/// The ports that a proxy listens on in place of 80 and 443.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Without TLS.
    pub plain: u16,
    /// With TLS.
    pub tls: u16,
}

impl Program {
    /// Returns the name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "Caddy",
            Self::Haproxy => "HAProxy",
            Self::Apache => "Apache",
            Self::Envoy => "Envoy",
        }
    }

    /// Returns the environment variable that holds the program's path. `cargo xtask test proxies` sets it.
    fn variable(self) -> String {
        format!("RIDES_E2E_{}", self.name().to_uppercase())
    }

    /// Returns the program's path, if the environment variable is set.
    pub fn find(self) -> Option<PathBuf> {
        variable(&self.variable()).map(PathBuf::from)
    }

    /// Replaces the ports 80 and 443 in a configuration of `deploy/`. Returns `None` if it has neither.
    pub(super) fn with_ports(self, configuration: &str, ports: Ports) -> Option<String> {
        let Ports { plain, tls } = ports;
        let listens = match self {
            Self::Nginx => [
                ("listen 80", format!("listen 127.0.0.1:{plain}")),
                ("listen 443", format!("listen 127.0.0.1:{tls}")),
            ],
            // A site with a host name takes its ports from the global options in e2e/proxies/Caddyfile.
            Self::Caddy => {
                [(":80 {", format!(":{plain} {{")), ("rides.example {", "rides.example {".to_owned())]
            }
            Self::Haproxy => [
                ("bind :80", format!("bind 127.0.0.1:{plain}")),
                ("bind :443", format!("bind 127.0.0.1:{tls}")),
            ],
            Self::Apache => [("*:80>", format!("*:{plain}>")), ("*:443>", format!("*:{tls}>"))],
            Self::Envoy => [
                ("0.0.0.0, port_value: 80 ", format!("127.0.0.1, port_value: {plain} ")),
                ("0.0.0.0, port_value: 443 ", format!("127.0.0.1, port_value: {tls} ")),
            ],
        };
        let there = listens.iter().any(|(from, _)| configuration.contains(from));
        let replaced = |text: String, (from, to): &(&str, String)| text.replace(from, to);
        there.then(|| listens.iter().fold(configuration.to_owned(), replaced))
    }

    /// Returns the command that starts the program in the foreground with the configuration at `site`. Writes the
    /// main configuration, if the program needs one, into `dir`.
    pub(super) fn command(self, dir: &Path, site: &Path, ports: Ports) -> Result<Command> {
        let program = self
            .find()
            .with_context(|| format!("{} is not set: cargo xtask test proxies sets it", self.variable()))?;
        let root = Root::of(&program);
        let mut command = Command::new(&program);
        let main = |template: &str| {
            let path = dir.join("main");
            let text = template
                .replace("DIR", &dir.to_string_lossy())
                .replace("SITE", &site.to_string_lossy())
                .replace("ROOT/", &root.0.join("").to_string_lossy())
                .replace("PLAIN_PORT", &ports.plain.to_string())
                .replace("TLS_PORT", &ports.tls.to_string());
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display())).map(|()| path)
        };
        match self {
            Self::Nginx => {
                let main = main(include_str!("../../proxies/nginx.conf"))?;
                command.args(["-e", "stderr", "-p"]).arg(dir).arg("-c").arg(main);
            }
            Self::Caddy => {
                let main = main(include_str!("../../proxies/Caddyfile"))?;
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(main);
                // Caddy saves its last configuration there.
                command.env("XDG_CONFIG_HOME", dir);
            }
            Self::Haproxy => {
                command.arg("-db").arg("-f").arg(site);
            }
            Self::Apache => {
                let main = main(include_str!("../../proxies/apache2.conf"))?;
                command.args(["-D", "FOREGROUND", "-f"]).arg(main);
            }
            Self::Envoy => {
                command.args(["--concurrency", "1", "--log-level", "warning", "--use-dynamic-base-id"]);
                command.args(["--drain-time-s", "1", "-c"]).arg(site);
            }
        }
        if let Some(libraries) = root.libraries() {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }
}

/// The root directory of the program's files: `/`, or a folder of unpacked packages.
struct Root(PathBuf);

impl Root {
    /// Returns the root of a program in `ROOT/usr/sbin` or `ROOT/usr/bin`.
    fn of(program: &Path) -> Self {
        Self(program.ancestors().nth(3).unwrap_or(Path::new("/")).to_owned())
    }

    /// Returns the folders of shared libraries of unpacked packages, or `None` if the program is installed in `/`.
    fn libraries(&self) -> Option<OsString> {
        if self.0 == Path::new("/") {
            return None;
        }
        let lib = self.0.join("usr/lib");
        let multiarch = fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.path());
        let multiarch = multiarch.filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
        env::join_paths(multiarch).ok()
    }
}
