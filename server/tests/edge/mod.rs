//! The port: protocols, limits, deadlines, refusals and shutdown.

// Only on Linux is all of 127.0.0.0/8 loopback.
#[cfg(target_os = "linux")]
mod arrivals;
mod cancelled_calls;
mod catalogue;
mod content_types;
mod deadlines;
mod drain;
mod early;
mod floods;
mod half_close;
mod hosts;
mod introspection;
mod legacy_paths;
mod limits;
mod origins;
mod pages;
mod proxies;
mod pushback;
mod refusals;
mod services;
mod tls;
mod trace_ids;
mod wire;
