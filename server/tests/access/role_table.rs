//! The table of methods and roles.

use rides_server::{
    access::table::{Access, METHOD_ACCESS},
    sessions::Role,
};
use tonic::Code;

use crate::harness::{Running, server, wire::Wire};

/// Calls the method with an empty message, and returns the status of its first response.
async fn verdict(wire: &Wire, path: &'static str) -> Code {
    match wire.open::<(), ()>(path, ()).await {
        Ok(mut answers) => match answers.next().await {
            Some(Err(status)) => status.code(),
            Some(Ok(())) | None => Code::Ok,
        },
        Err(status) => status.code(),
    }
}

fn everyone(server: &Running, wire: &Wire) -> [(Option<Role>, Wire); 4] {
    [
        (None, wire.clone()),
        (Some(Role::Rider), wire.with(server.rider("ada"))),
        (Some(Role::Driver), wire.with(server.driver(7))),
        (Some(Role::Dispatcher), wire.with(server.dispatcher())),
    ]
}

/// A4: each caller is refused exactly where the table says so.
#[tokio::test]
async fn every_method_is_for_whom_the_table_says() {
    let server = server().requiring_tokens().run().await;
    let mut asked = 0;
    for wire in server.wires().await {
        for &(path, access) in METHOD_ACCESS {
            for (role, wire) in everyone(&server, &wire) {
                let refused = match (access, role) {
                    (Access::Roles(_), None) => Some(Code::Unauthenticated),
                    (access, Some(role)) if !access.allows(role) => Some(Code::PermissionDenied),
                    _ => None,
                };
                let code = verdict(&wire, path).await;
                match refused {
                    Some(refused) => assert_eq!(code, refused, "{path} of {role:?} over {wire:?}"),
                    None => assert!(
                        !matches!(code, Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented),
                        "{path} of {role:?} over {wire:?}: {code:?}"
                    ),
                }
                asked += 1;
            }
        }
    }
    eprintln!("{asked} pairs of a method and a caller");
}

#[tokio::test]
async fn what_is_in_no_table_is_nobodys() {
    let server = server().requiring_tokens().run().await;
    for wire in server.wires().await {
        for (_, wire) in everyone(&server, &wire) {
            assert_eq!(verdict(&wire, "/rides.v1.Rides/Nonsense").await, Code::Unimplemented);
        }
    }
}

/// Clients without tokens keep working: an open server checks only the tokens that it gets.
#[tokio::test]
async fn where_the_server_is_open_a_token_is_only_held_to() {
    let server = server().run().await;
    for wire in server.wires().await {
        for &(path, access) in METHOD_ACCESS {
            for (role, wire) in everyone(&server, &wire) {
                let code = verdict(&wire, path).await;
                let denied = role.is_some_and(|role| !access.allows(role));
                assert_eq!(code == Code::PermissionDenied, denied, "{path} of {role:?}: {code:?}");
                let own = ["Renew", "WhoAmI", "SignOut"]
                    .map(|name| format!("/rides.v1.Sessions/{name}"))
                    .iter()
                    .any(|own| own == path);
                assert_eq!(code == Code::Unauthenticated, role.is_none() && own, "{path} of {role:?}");
            }
        }
    }
}
