//! `stoa serve`: in production.

use super::Outcome;
use crate::{
    cli::Serve,
    run::{self, Mode, Setup},
};

/// Serves until a signal ends it.
pub(crate) fn run(arguments: Serve, json: bool) -> Outcome {
    run::run(Setup {
        mode: Mode::Serve,
        file: arguments.file,
        addresses: arguments.addresses,
        only: arguments.only,
        json,
    })
}
