//! Who costs more than their calls do is read more slowly: CASES row R7, over real sockets.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use http::StatusCode;
use rides_server::edge::Limits;
use tonic::Code;

use super::services::{self, Never};
use crate::harness::{Running, port_with, raw_h2, soon};

/// Frames a second. Twice as many may come at once.
const PACE: u32 = 500;

/// Limits that hold on this machine too.
fn strict() -> Limits {
    let frames_per_second = NonZeroU32::new(PACE).unwrap();
    Limits { exempt: Vec::new(), frames_per_second, ..Limits::default() }
}

/// Asserts that it took as long as so many frames must, but for the last, which are read together.
#[track_caller]
fn assert_paced(begun: Instant, frames: u32) {
    let least = Duration::from_secs(1) * (frames - 2 * PACE) / PACE;
    assert!(begun.elapsed() >= least.mul_f64(0.5), "{:?}, and not {least:?}", begun.elapsed());
}

async fn assert_others_are_served(server: &Running) {
    for mut http in server.both().await {
        assert_eq!(soon("an answer", http.get("/healthz")).await.status, StatusCode::OK);
    }
}

/// R7: also one whose sender reads the answers.
#[tokio::test]
async fn a_flood_of_frames_is_read_at_its_pace() {
    const FRAMES: u32 = 4 * PACE;
    for kind in [raw_h2::PING, raw_h2::SETTINGS] {
        let payload: &[u8] = if kind == raw_h2::PING { &[7; 8] } else { &[] };
        let server = port_with(Never::default().router(), strict()).await;
        let (mut up, mut down) = raw_h2::connect(server.addr).await;
        let begun = Instant::now();
        let flood = async {
            for _ in 0..FRAMES {
                up.send(kind, 0, 0, payload).await.unwrap();
            }
        };
        let answers = async {
            for _ in 0..FRAMES {
                soon("an answer", down.next_of(kind)).await.unwrap();
            }
        };
        tokio::join!(flood, answers, assert_others_are_served(&server));
        assert_paced(begun, FRAMES);
    }
}

/// R7: a refusal is cheap, but not as cheap as to ask for it.
#[tokio::test]
async fn calls_that_are_refused_are_read_at_their_pace() {
    const CALLS: u32 = 18;
    let limits = Limits { calls_per_second: NonZeroU32::MIN, ..strict() };
    let server = port_with(services::failing("it was let in"), limits).await;
    let mut dialects = server.dialects().await;
    for dialect in [dialects.pop().unwrap(), dialects.swap_remove(0)].iter_mut() {
        let begun = Instant::now();
        for _ in 0..CALLS {
            let code = dialect.say("/test.Failing/Now", b"").await.status.code();
            assert!([Code::Internal, Code::ResourceExhausted].contains(&code), "{code:?}");
        }
        // A few of them were let in.
        assert_paced(begun, 100 * (CALLS - 3));
    }
}
