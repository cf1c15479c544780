//! Names that change, that are gone, and whose resolver says nothing (failure case 19).

use super::{FRESH, Name};
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
    assert_eq!(asked(&name, two).await.len(), 2);
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
