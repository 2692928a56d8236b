//! Fuzz targets for the bytes that the page receives from the server or from a proxy. Each target panics if it
//! finds a fault.
//!
//! `cargo fuzz` runs the targets from the crate in `fuzz/`. The tests here replay the saved corpus and
//! mutations of it.

use grpc_web_fetch::frames::{Frame, FrameError, FrameReader};

use crate::{
    api::failure::{failure, is_refused},
    store::{FleetModel, fleet_frame},
};

/// The time between two messages, in milliseconds.
const STEP: f64 = 250.0;

/// Reads `input` as the body of a response, and the status at its end. The first byte is the length of the
/// pieces in which the body arrives. The result must not depend on it.
pub fn page_frames(input: &[u8]) {
    let (size, bytes) = input.split_first().unwrap_or((&1, &[]));
    let whole = read([bytes]);
    assert_eq!(read(bytes.chunks(usize::from(*size).max(1))), whole);
    for frame in whole.0 {
        if let Frame::Trailers(trailers) = frame
            && let Some(status) = trailers.status()
        {
            let _ = (failure(&status, 0.0), is_refused(&status));
        }
    }
}

/// Reads `input` as the body of a fleet stream, applies the messages, and checks the resulting map.
pub fn fleet_frames(input: &[u8]) {
    let mut fleet = FleetModel::default();
    let mut now = 0.0;
    for frame in read([input]).0 {
        let Frame::Message(message) = frame else { continue };
        let Ok((frame, _wrong)) = fleet_frame(message) else { continue };
        now += STEP;
        fleet.apply(&frame, now);
        assert!(
            fleet.densities().is_none() || fleet.glides().next().is_none(),
            "the model has both cars and densities"
        );
    }
    let drawn = |place: (f64, f64)| [place.0, place.1].iter().all(|part| (0.0..=1.0).contains(part));
    assert!(fleet.glides().all(|glide| drawn(glide.from) && drawn(glide.to) && glide.to_turn.is_finite()));
}

/// Returns the frames before the first bad frame, and the error if there is one.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Result<(), FrameError>) {
    let mut reader = FrameReader::default();
    let mut frames = Vec::new();
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(bad) => return (frames, Err(bad)),
            }
        }
    }
    (frames, Ok(()))
}

#[cfg(test)]
mod tests {
    use fuzz_replay::replay;

    /// W22, W23, W26
    #[test]
    fn frames_of_a_response() {
        replay("page_frames", super::page_frames);
    }

    #[test]
    fn frames_of_the_fleet() {
        replay("fleet_frames", super::fleet_frames);
    }
}
