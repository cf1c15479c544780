//! Stoa: a scalable API in one binary. This file only starts the command that was asked for.

mod admin;
mod assemble;
mod changes;
mod cli;
mod commands;
mod dev;
mod docs_page;
mod openapi;
mod run;
mod seed;
mod telemetry;
mod terminal;
mod yaml;

use std::process::ExitCode;

// Faster than the system's allocator on the small, short-lived allocations of a request. It stands in for `malloc` itself:
// as an allocator of Rust it is told an alignment each time, which bars its short way from most of them.
use mimalloc as _;

fn main() -> ExitCode {
    commands::run(cli::parse())
}
