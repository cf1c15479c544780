//! What only the whole binary can show: the built `stoa` is started as a user starts it and asked from outside.
//!
//! Everything here is one test binary, since each would link the product again. `cargo xtask test` installs what
//! some of the tests need (Python and npm packages) below `target/tools`.

mod api;
mod certificates;
mod clients;
mod commands;
mod crash;
mod data;
mod examples;
mod existing;
mod fault;
mod functions;
mod migrations;
mod openapi;
mod proxy;
mod replicas;
mod roles;
mod secrets;
mod shards;
mod support;
mod tour;
mod upstreams;
mod websocket;
