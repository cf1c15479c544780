//! `stoa completions SHELL`.

use crate::{cli::Cli, terminal};
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints the script.
pub(crate) fn run(shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "stoa", &mut script);
    terminal::result(String::from_utf8_lossy(&script).trim_end());
}
