//! Upgrades: after `101` both connections carry another protocol. The frames of a WebSocket are followed
//! ([`websocket`]); the bytes of any other protocol go through as they are.

use super::{flight::Flight, websocket};
use crate::{
    gateway::{Lane, Seat},
    headers,
};
use http::{HeaderValue, header, request};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use stoa_config::plan::WebSocket;
use stoa_exchange::{Body, Reply};

/// A client's wish to change the protocol.
pub(crate) struct Asked {
    pub(super) protocol: HeaderValue,
    client: OnUpgrade,
}

/// The wish in a request, if it has one that is passed on. A request with a body has none: where the other
/// protocol would begin could be read in two ways.
pub(super) fn asked(parts: &mut request::Parts, body: &Body) -> Option<Asked> {
    let client = parts.extensions.remove::<OnUpgrade>()?;
    let protocol = headers::upgrade(&parts.headers).filter(|_| matches!(body, Body::Empty))?;
    Some(Asked { protocol, client })
}

/// Connects the two sides and passes the service's `101` on. The tunnel counts as under way until either side
/// closes.
pub(super) fn open(
    seat: &Seat,
    asked: Asked,
    mut reply: http::Response<Incoming>,
    (bounds, flight): (WebSocket, Flight),
) -> Reply {
    let protocol = reply
        .headers()
        .get(header::UPGRADE)
        .cloned()
        .unwrap_or(asked.protocol);
    let service = hyper::upgrade::on(&mut reply);
    let lane = Under::way(&seat.lane);
    let client = asked.client;
    let (mut parts, _) = reply.into_parts();
    let agreed = protocol
        .as_bytes()
        .eq_ignore_ascii_case(b"websocket")
        .then(|| websocket::Agreed::of(&parts.headers));
    tokio::spawn(async move {
        let _counted = (lane, flight);
        let (Ok(client), Ok(service)) = tokio::join!(client, service) else {
            return;
        };
        let (mut client, mut service) = (TokioIo::new(client), TokioIo::new(service));
        match agreed {
            Some(agreed) => websocket::carry(client, service, agreed, bounds).await,
            // How a tunnel ends is between its two sides.
            None => drop(tokio::io::copy_bidirectional(&mut client, &mut service).await),
        }
    });
    headers::strip_hop_by_hop(&mut parts.headers);
    parts
        .headers
        .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(header::UPGRADE, protocol);
    parts.extensions.clear();
    Reply::from_parts(parts, Body::Empty)
}

struct Under(Arc<Lane>);

impl Under {
    fn way(lane: &Arc<Lane>) -> Self {
        lane.enter();
        Self(lane.clone())
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        self.0.leave();
    }
}
