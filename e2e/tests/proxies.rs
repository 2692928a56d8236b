//! The server behind reverse proxies: each configuration of `deploy/`, and the shortest ones that people write. Each
//! runs for a minute, and then through a restart of the proxy. The table in `docs/deploy.md` has the expected
//! outcomes.
//!
//! `cargo xtask test proxies` runs the trials and sets the paths of the proxy programs. A trial whose program is not
//! set is ignored. All trials run concurrently and share the servers.

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};
use rides_e2e::proxies::{
    setup::{ExpectedOutcome, SETUPS},
    trial::{Client, TrialRunner},
};
use tokio::{runtime::Runtime, sync::OnceCell};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    // Set by the first trial that runs.
    let shared = Arc::new(OnceCell::<TrialRunner>::new());
    let mut trials = Vec::new();
    for setup in SETUPS {
        for client in Client::ALL {
            if client.expected(setup) == ExpectedOutcome::Untried {
                continue;
            }
            let (runtime, shared) = (runtime.clone(), shared.clone());
            let trial = move || {
                let run = async {
                    let trials = shared.get_or_try_init(TrialRunner::start).await?;
                    trials.run(setup, client).await
                };
                runtime.block_on(run).map_err(|error| Failed::from(format!("{error:?}")))
            };
            let name = format!("{}: {}", setup.name, client.name());
            trials.push(Trial::test(name, trial).with_ignored_flag(setup.program.find().is_none()));
        }
    }
    // The trials wait nearly all of the time, so all of them run at once.
    arguments.test_threads.get_or_insert(trials.len().max(1));
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Kills the servers.
    drop(shared);
    conclusion.exit_code()
}
