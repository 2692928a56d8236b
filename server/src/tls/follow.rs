//! Files that may change while the server runs.

use std::{io, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

use super::PemError;

/// Between two looks at them. Small ones, and whoever changes one has time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Reads them again and again, for ever, and has what has changed since it was `seen` taken. What cannot be is said once:
/// the old stays in force. What the log says of the new is "a new" and `what`, like "certificate is served".
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
                tracing::info!("a new {what}");
            }
            Err(error) => {
                let text = error.to_string();
                if text != complaint {
                    tracing::warn!("{text}: the old {what} on");
                    complaint = text;
                }
            }
        }
    }
}
