//! The cost of receiving positions: one gateway reports for many cars over one `Rides.Track` stream, as fast as Rides
//! reads it.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use rides_proto::v1::{TrackRequest, rides_client::RidesClient};
use tonic::transport::Channel;

use super::Bench;
use crate::{
    contender::rides_without_limits,
    feed::position,
    fleet::{Cars, elsewhere},
    process::Server,
};

/// The number of cars, which report in turn.
const CARS: usize = 10_000;
/// The deadline of the stream.
const LONGEST: Duration = Duration::from_secs(60);

/// The result of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ingest {
    /// Positions received per second of the server's processor time.
    pub(crate) positions_per_cpu_second: f64,
}

/// Makes one run with a new server.
pub(super) fn once(bench: &Bench) -> Result<Ingest> {
    let positions = bench.plan.positions;
    bench.say(format!("{positions} positions"));
    let log = bench.options.scratch.join("ingest.log");
    let server = Server::start(rides_without_limits(&bench.options.server), bench.cores, &log)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cpu = runtime.block_on(async {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", server.addr))?;
        let mut gateway = RidesClient::new(channel.connect().await?);
        // The server knows all cars before the measurement begins.
        report(&mut gateway, positions / 10).await?;
        let before = server.cpu()?;
        report(&mut gateway, positions).await?;
        Ok::<_, anyhow::Error>(server.cpu()?.saturating_sub(before))
    })?;
    let positions_per_cpu_second = positions as f64 / cpu.as_secs_f64();
    bench.log(&format!("ingest: {:.2} M positions per CPU-second", positions_per_cpu_second / 1e6));
    Ok(Ingest { positions_per_cpu_second })
}

async fn report(gateway: &mut RidesClient<Channel>, positions: usize) -> Result<()> {
    let mut cars = Cars::new(CARS, elsewhere(), 1);
    let requests = (0..positions).map(move |nth| {
        let index = nth % CARS;
        cars.drive(index);
        TrackRequest { time: Some(SystemTime::now().into()), ..position(1, &cars, index) }
    });
    let mut upload = tonic::Request::new(futures_util::stream::iter(requests));
    upload.set_timeout(LONGEST);
    let answer = gateway.track(upload).await.context("the server did not accept the positions")?.into_inner();
    ensure!(
        answer.count == positions as u64,
        "of {positions} positions the server accepted {}",
        answer.count
    );
    Ok(())
}
