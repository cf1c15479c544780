//! Names that change, that are gone, and whose resolver says nothing (failure case 19).

use super::{FRESH, Name};
use crate::target::upstream::{pool::Endpoint, pressure::Pressure};
use std::{
    future::{Future, pending},
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::time::timeout;

type Found = io::Result<Vec<SocketAddr>>;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn two(_: String, _: u16) -> Found {
    Ok(vec![address(1), address(2)])
}

async fn moved(_: String, _: u16) -> Found {
    Ok(vec![address(3)])
}

async fn gone(_: String, _: u16) -> Found {
    Err(io::Error::other("NXDOMAIN"))
}

async fn silent(_: String, _: u16) -> Found {
    pending().await
}

/// Makes what is known old.
fn age(name: &Name) {
    let mut known = name.known.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.as_mut().expect("something is known");
    known.at = known
        .at
        .checked_sub(FRESH)
        .expect("the clock has run for so long");
}

async fn asked<F>(name: &Arc<Name>, lookup: fn(String, u16) -> F) -> Vec<SocketAddr>
where
    F: Future<Output = Found> + Send + 'static,
{
    let waited = timeout(Duration::from_millis(500), name.addresses_by(lookup)).await;
    waited
        .expect("nobody waits for a name")
        .expect("the last good is kept")
}

#[tokio::test]
async fn case_19_the_last_good_addresses_are_kept_and_nobody_waits() {
    let name = Name::new("service.test", 80);
    assert!(name.addresses_by(gone).await.is_err(), "nothing was ever known");
    assert_eq!((name.turned(), name.turned()), (Some(false), None), "told once");
    assert_eq!(asked(&name, two).await.len(), 2);
    assert_eq!(name.turned(), Some(true));
    for turn in 0..3 {
        age(&name);
        assert_eq!(asked(&name, gone).await.len(), 2, "{turn}");
        while name.failed() < 2 + turn {
            tokio::task::yield_now().await;
        }
    }
    while name.asking.load(super::Relaxed) {
        tokio::task::yield_now().await;
    }
    age(&name);
    assert_eq!(asked(&name, silent).await.len(), 2);
    assert_eq!(asked(&name, moved).await.len(), 2, "one lookup at a time");
}

#[tokio::test]
async fn a_name_that_moved_is_followed() {
    let name = Name::new("service.test", 80);
    assert_eq!(asked(&name, two).await.len(), 2);
    assert_eq!(asked(&name, moved).await.len(), 2, "fresh");
    age(&name);
    asked(&name, moved).await;
    while asked(&name, moved).await != [address(3)] {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connections_begin_at_each_address_in_turn() {
    let name = Name::new("service.test", 80);
    let firsts = [
        asked(&name, two).await[0],
        asked(&name, two).await[0],
        asked(&name, two).await[0],
    ];
    assert_eq!(firsts, [address(1), address(2), address(1)]);
}

#[tokio::test]
async fn the_generation_changes_with_the_addresses_and_only_then() {
    async fn turned(_: String, _: u16) -> Found {
        Ok(vec![address(2), address(1), address(2)])
    }
    let name = Name::new("service.test", 80);
    assert!(name.ask(two).await.is_ok());
    assert!(name.ask(turned).await.is_ok());
    assert!(name.ask(gone).await.is_ok());
    assert_eq!(
        name.generation(),
        0,
        "the same addresses in another order, and none"
    );
    assert!(name.ask(moved).await.is_ok());
    assert_eq!(name.generation(), 1);
}

/// A service that moved away while its old process still answers is not asked there any more.
#[tokio::test]
async fn connections_to_addresses_from_before_are_not_used_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let plan = stoa_config::plan::Endpoint {
        tls: false,
        host: stoa_config::plan::Host::Name("localhost".to_owned()),
        port: listener.local_addr().expect("it has an address").port(),
        base_path: String::new(),
    };
    let endpoint = Endpoint::new(plan, 1, Arc::new(Pressure::new(1)));
    let (first, second) = (endpoint.connect().await, endpoint.connect().await);
    endpoint.put(0, first.expect("somebody listens"));
    assert!(endpoint.take(0).is_some());
    endpoint.put(0, second.expect("somebody listens"));
    endpoint.moves();
    assert!(endpoint.take(0).is_none());
}
