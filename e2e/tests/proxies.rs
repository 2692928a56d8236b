//! The server behind reverse proxies: each configuration of `deploy/`, and the shortest that people write, for a minute and
//! over a restart of the proxy. `docs/deploy.md` holds the table of what is expected.
//!
//! Started by `cargo xtask test proxies`, which names the proxies' programs; ignored elsewhere. All trials run side by side,
//! on one server.

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};
use rides_e2e::proxies::{
    setup::{Expected, SETUPS},
    trial::{Client, Trials},
};
use tokio::{runtime::Runtime, sync::OnceCell};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    // Started by the first trial, if any is run.
    let shared = Arc::new(OnceCell::<Trials>::new());
    let mut trials = Vec::new();
    for setup in SETUPS {
        for client in Client::ALL {
            if client.expected(setup) == Expected::Untried {
                continue;
            }
            let (runtime, shared) = (runtime.clone(), shared.clone());
            let trial = move || {
                let run = async {
                    let trials = shared.get_or_try_init(Trials::start).await?;
                    trials.run(setup, client).await
                };
                runtime.block_on(run).map_err(|error| Failed::from(format!("{error:?}")))
            };
            let name = format!("{}: {}", setup.name, client.name());
            trials.push(Trial::test(name, trial).with_ignored_flag(setup.program.find().is_none()));
        }
    }
    // Nearly all of the time is waiting.
    arguments.test_threads.get_or_insert(trials.len().max(1));
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Ends the servers.
    drop(shared);
    conclusion.exit_code()
}
