//! A real edge between raw clients and raw services, from outside.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

mod body;
mod compress;
mod cors;
mod drain;
mod encrypted;
mod faults;
mod h2_conformance;
mod h2_downgrade;
mod h2_floods;
mod h2_raw;
mod h2_serves;
mod headers;
mod malformed;
mod openapi;
mod overload;
mod paths;
mod policies;
mod proxy_protocol;
mod retries;
mod routes;
mod slow;
mod support;
mod tls;
mod tls_files;
mod traffic;
mod tunnel;
mod upstreams;
mod websocket;
