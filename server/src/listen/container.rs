//! The detection of a container.

use std::{env, path::Path};

/// The files that Docker and Podman create in every container.
const MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];
/// The variable that Kubernetes sets in every pod.
const KUBERNETES: &str = "KUBERNETES_SERVICE_HOST";

/// Returns `true` if this process seems to run in a container.
pub(super) fn is_container() -> bool {
    MARKS.iter().any(|mark| Path::new(mark).exists())
        || env::var_os(KUBERNETES).is_some_and(|host| !host.is_empty())
}
