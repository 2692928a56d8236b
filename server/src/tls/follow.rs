//! Certificate files that may change while the server runs.

use std::{io, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

use super::PemError;

/// The interval at which the files are read. They are small.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Reads files again and again, and calls `take` with a content that differs from `seen`. Never returns.
///
/// If the files cannot be read or taken, the old content stays in use, and the error is logged once. `what` names the
/// content in the log.
pub(super) async fn follow<B: PartialEq + Send + 'static>(
    what: &'static str,
    mut seen: B,
    read: impl Fn() -> Result<B, PemError> + Clone + Send + 'static,
    take: impl Fn(&B) -> Result<(), PemError>,
) {
    let mut complaint = String::new();
    loop {
        sleep(LOOK_EVERY).await;
        let bytes = match spawn_blocking(read.clone()).await {
            Ok(Ok(bytes)) if seen == bytes => continue,
            Ok(read) => read,
            Err(died) => Err(PemError::Read { file: what.to_owned(), why: io::Error::other(died) }),
        };
        match bytes.and_then(|bytes| take(&bytes).map(|()| bytes)) {
            Ok(bytes) => {
                seen = bytes;
                complaint.clear();
                tracing::info!("loaded the new {what}");
            }
            Err(error) => {
                let text = error.to_string();
                if text != complaint {
                    tracing::warn!("{text}: the old {what} stays in use");
                    complaint = text;
                }
            }
        }
    }
}
