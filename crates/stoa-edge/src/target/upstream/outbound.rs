//! A request as a service gets it.
//!
//! It is written anew from what the client sent for each time that it is sent: most are sent once, and what may have
//! to be sent again would otherwise be copied first.

use super::{Call, pool::Endpoint};
use crate::{
    codes as edge,
    headers::{self, REQUEST_ID, TRACEPARENT, TRACESTATE, forwarded},
    policy::mirror::IsCopy,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header, request, uri::PathAndQuery};
use stoa_exchange::{Body, Problem, Request, Trace, codes};

/// Fields that are written here, at most.
const OWN_MAX: usize = 13;

/// RFC 9440.
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");

/// What a request to a service is made of.
pub(super) struct Head<'a> {
    /// As the client sent it.
    pub(super) sent: &'a request::Parts,
    /// The path and query, without an endpoint's base path.
    pub(super) path: PathAndQuery,
    /// The protocol that the client asks to change to.
    pub(super) protocol: Option<HeaderValue>,
}

impl Head<'_> {
    /// Refuses a request that went round.
    pub(super) fn check(&self, call: &Call<'_>) -> Result<(), Problem> {
        if !headers::has(&self.sent.headers, &header::VIA) {
            return Ok(());
        }
        let via = call.seat.gateway.settings.via.as_bytes();
        let mut hops = self.sent.headers.get_all(header::VIA).iter();
        if hops.any(|hop| memchr::memmem::find(hop.as_bytes(), via).is_some()) {
            return Err(Problem::new(
                &edge::LOOP_DETECTED,
                "this request was already forwarded by this process",
            ));
        }
        Ok(())
    }

    /// The request to an endpoint.
    pub(super) fn request(
        &self,
        call: &Call<'_>,
        endpoint: &Endpoint,
        body: Body,
    ) -> Result<Request, Problem> {
        let base = endpoint.base_path();
        let target = if base.is_empty() {
            self.path.clone()
        } else {
            PathAndQuery::try_from(format!("{base}{}", self.path))
                .map_err(|_| Problem::new(&codes::BAD_REQUEST, "the path is too long"))?
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.sent.method.clone();
        *request.uri_mut() = Uri::from(target);
        *request.headers_mut() = self.fields(call, endpoint);
        Ok(request)
    }

    fn fields(&self, call: &Call<'_>, endpoint: &Endpoint) -> HeaderMap {
        let settings = &call.seat.gateway.settings;
        let sent = &self.sent.headers;
        let mut fields = HeaderMap::with_capacity(sent.len() + OWN_MAX);
        fields.insert(header::HOST, endpoint.authority.clone());
        let trusted = forwarded::is_trusted(&settings.trusted_proxies, call.context.peer.ip());
        let named = headers::named(sent);
        for (name, value) in sent {
            if !(ends_here(name, trusted) || named.contains(name)) {
                fields.append(name, value.clone());
            }
        }
        if headers::takes_trailers(sent) {
            fields.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        if let Some(protocol) = &self.protocol {
            fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            fields.insert(header::UPGRADE, protocol.clone());
        }
        forwarded::write(&mut fields, sent, call.context, trusted);
        if let Some(certificate) = &call.way.client_cert {
            fields.insert(CLIENT_CERT, certificate.clone());
        }
        let [over_1, over_2] = &settings.via_fields;
        let via = if self.sent.version == Version::HTTP_2 {
            over_2
        } else {
            over_1
        };
        fields.append(header::VIA, via.clone());
        let [id, trace] = &call.way.told;
        fields.insert(REQUEST_ID, id.clone());
        // A state belongs to the trace that was sent with it (W3C Trace Context, section 3.3).
        if headers::has(&fields, &TRACESTATE) && !is_continued(sent) {
            fields.remove(TRACESTATE);
        }
        fields.insert(TRACEPARENT, trace.clone());
        if self.sent.extensions.get::<IsCopy>().is_some() {
            fields.insert(headers::MIRROR, HeaderValue::from_static("1"));
        }
        fields
    }
}

/// Whether the client sent a trace that goes on here.
fn is_continued(sent: &HeaderMap) -> bool {
    sent.get(TRACEPARENT)
        .and_then(|v| v.to_str().ok())
        .and_then(Trace::accept)
        .is_some()
}

/// Whether a field of the client's is not passed on. `Expect` was answered here: the body is asked for when the service's
/// connection is there to take it.
fn ends_here(name: &HeaderName, trusted: bool) -> bool {
    *name == header::HOST
        || *name == header::EXPECT
        || *name == REQUEST_ID
        || *name == TRACEPARENT
        || headers::is_hop_by_hop(name)
        || forwarded::ends_here(name.as_str(), trusted)
}
