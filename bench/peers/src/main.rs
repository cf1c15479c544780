//! What Stoa is measured against on PostgreSQL.
//!
//! `bench-peers row PORT URL`: a handler written for one row alone, `GET /{id}` of the table `plain`, on hyper and
//! tokio-postgres and nothing else. `bench-peers delay PORT TO MILLISECONDS`: a forwarder that holds each reply back
//! as a network would.

mod delay;
mod row;

use std::{error::Error, process::ExitCode};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // One thread, like Stoa with one worker.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let done = match words[..] {
        ["row", port, url] => runtime.block_on(row::serve(port, url)),
        ["delay", port, to, milliseconds] => runtime.block_on(delay::forward(port, to, milliseconds)),
        _ => Err("usage: bench-peers row PORT URL | delay PORT TO MILLISECONDS".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn fail(error: &dyn Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}
