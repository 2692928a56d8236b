//! The command line client, `rides-server client`, for riders, drivers and dispatchers.
//!
//! It uses the generated clients and the public port, like any other client, and no state of the server. The texts
//! that it prints come from pure modules: `text`, `role_table`, `watch/timeline`, `drive/shift`, `top/fleet` and
//! `top/screen`. The other modules connect those to the server and to the terminal.

mod args;
mod bearer;
mod drive;
mod failure;
mod json;
mod output;
mod place;
mod rides;
mod servers;
mod table;
mod text;
mod top;
mod watch;

pub use self::{
    args::{AFTER_HELP, Action, ClientConfig},
    failure::Failure,
};
use self::{output::Output, servers::Servers};

/// Runs the command in `config`. Fails with a [`Failure`] if the server responded with an error.
pub async fn run(config: ClientConfig) -> anyhow::Result<()> {
    failure::outcome(act(config).await)
}

async fn act(ClientConfig { servers: reach, json, action }: ClientConfig) -> anyhow::Result<()> {
    let window = matches!(action, Action::Top(_)).then_some(top::WINDOW);
    let servers = Servers::new(&reach, window)?;
    let output = Output::new(json);
    match action {
        Action::Quote(trip) => rides::quote(trip, &servers, &output).await,
        Action::Book(booking) => {
            let follow = booking.watch;
            let ride_id = rides::book(booking, &servers, &output).await?;
            if follow { watch::watch(ride_id, &servers, &output).await } else { Ok(()) }
        }
        Action::Watch(ride) => watch::watch(ride.ride_id, &servers, &output).await,
        Action::List(listing) => rides::list(listing, &servers, &output).await,
        Action::Get(ride) => rides::get(ride.ride_id, &servers, &output).await,
        Action::Cancel(cancelling) => rides::cancel(cancelling, &servers, &output).await,
        Action::Drive(driving) => drive::drive(driving, &servers, &output).await,
        Action::Top(watching) => top::top(watching, &servers, &output).await,
    }
}
