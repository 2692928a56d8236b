//! Books rides at a steady rate for minutes, and prints how the server's memory and its journal grow.
//!
//! `cargo build --release -p rides-server && cargo run --release -p rides-server --example soak`. Linux only: it
//! reads `/proc`.

use std::{
    env, fs, iter,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use rides_proto::v1::{BookRequest, CancelRequest, Location, rides_client::RidesClient};
use rides_server::city::City;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tonic::transport::Channel;
use uuid::Uuid;

/// Connections that the riders share.
const CONNECTIONS: u64 = 4;
/// A rider waits for up to this long, and then calls the ride off: no car takes it.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Parser)]
struct Options {
    /// How long, from 1.
    #[arg(long, default_value = "10")]
    minutes: u64,
    /// How many rides a second.
    #[arg(long, default_value = "200")]
    bookings_per_second: u64,
    /// A row of figures each so many seconds.
    #[arg(long, default_value = "30")]
    every_seconds: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let data_dir = tempfile::TempDir::new_in(".").context("cannot make a data directory here")?;
    let (server, url) = start(data_dir.path()).await?;
    let pid = server.id().context("the server has ended")?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(RidesClient::new(Channel::from_shared(url.clone())?.connect().await?));
    }

    let city = Arc::new(City::embedded());
    let mut rng = SmallRng::seed_from_u64(1);
    let mut riders = JoinSet::new();
    let (mut booked, mut failed) = (0u64, 0u64);
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(options.bookings_per_second)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let mut next_row = began;
    say(&format!(
        "{:>8} {:>9} {:>7} {:>10} {:>11} {:>9}",
        "seconds", "booked", "failed", "memory kB", "journal kB", "log kB"
    ));
    for n in 0..options.minutes * 60 * options.bookings_per_second {
        ticks.tick().await;
        let (pickup, dropoff) = two_places(&city, &mut rng);
        let request =
            BookRequest { request_id: Uuid::now_v7().to_string(), pickup, dropoff, ..Default::default() };
        let client = connections[(n % CONNECTIONS) as usize].clone();
        riders.spawn(ride(client, request, rng.random_range(Duration::ZERO..PATIENCE)));
        while let Some(ended) = riders.try_join_next() {
            if ended?.is_ok() { booked += 1 } else { failed += 1 }
        }
        if Instant::now() >= next_row {
            row(began.elapsed(), booked, failed, pid, data_dir.path())?;
            next_row += Duration::from_secs(options.every_seconds);
        }
    }
    while let Some(ended) = riders.join_next().await {
        if ended?.is_ok() { booked += 1 } else { failed += 1 }
    }
    row(began.elapsed(), booked, failed, pid, data_dir.path())
}

/// Far enough from each other to be two.
fn two_places(city: &City, rng: &mut SmallRng) -> (Option<Location>, Option<Location>) {
    let pickup = city.random_place(rng).at;
    let mut elsewhere = iter::repeat_with(|| city.random_place(rng).at);
    let dropoff = elsewhere.find(|at| at.distance_m(pickup) > 100.0);
    (Some(pickup.into()), dropoff.map(Location::from))
}

/// Books, waits, and calls it off.
async fn ride(
    mut client: RidesClient<Channel>,
    request: BookRequest,
    patience: Duration,
) -> Result<(), tonic::Status> {
    let ride = client.book(request).await?.into_inner().ride.unwrap_or_default();
    sleep(patience).await;
    client.cancel(CancelRequest { ride_id: ride.ride_id, ..Default::default() }).await.map(drop)
}

/// A server without cars, from beside this example, and where it listens.
async fn start(data_dir: &Path) -> Result<(Child, String)> {
    let own = env::current_exe()?;
    let program = own.ancestors().nth(2).context("not in a target directory")?.join("rides-server");
    let mut child = Command::new(&program)
        .args(["--listen=127.0.0.1:0", "--cars=0", "--log=warn", "--data-dir"])
        .arg(data_dir)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}: is it built?", program.display()))?;
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().context("no pipe")?).read_line(&mut line).await?;
    let url = line.find("http://").map(|at| line[at..].trim_end().to_owned());
    Ok((child, url.with_context(|| format!("no address in {line:?}"))?))
}

fn row(elapsed: Duration, booked: u64, failed: u64, pid: u32, data_dir: &Path) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let resident = resident.trim().trim_end_matches(" kB");
    let kb =
        |name: &str| fs::metadata(PathBuf::from(data_dir).join(name)).map_or(0, |file| file.len() / 1024);
    let (journal, log) = (kb("rides.db"), kb("rides.db-wal"));
    say(&format!("{:>8} {booked:>9} {failed:>7} {resident:>10} {journal:>11} {log:>9}", elapsed.as_secs()));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what this is for")]
fn say(line: &str) {
    println!("{line}");
}
