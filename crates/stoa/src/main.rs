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

/// Faster than the system's allocator on the small, short-lived allocations of a request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run(cli::parse())
}
