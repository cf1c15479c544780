//! The commands, one file each.

mod backup;
mod check;
mod completions;
mod config;
mod data;
mod dev;
mod diff;
mod explain;
mod init;
mod migrate;
mod openapi;
mod route;
mod schema;
mod serve;
mod shard;
mod token;
pub(crate) mod version;

use crate::{
    cli::{Cli, Command, ProfiledFile},
    terminal::{self, style},
};
use std::process::ExitCode;
use stoa_config::{Loaded, Options, fault, plan::Plan};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input is at fault: exit code 1.
    Input(String),
    /// As `Input`, and everything has been said.
    Said,
    /// The command line is at fault: exit code 2.
    Usage(String),
    /// A second Ctrl-C, before what was under way had ended: exit code 130, as shells expect.
    Interrupted,
}

impl Failure {
    /// The input is at fault.
    pub(crate) fn input(text: impl Into<String>) -> Self {
        Self::Input(text.into())
    }
}

/// How a command ends.
pub(crate) type Outcome = Result<(), Failure>;

/// Runs the command and turns its outcome into the exit code.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let (text, code) = match dispatch(cli) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Said) => return ExitCode::from(1),
        Err(Failure::Interrupted) => return ExitCode::from(130),
        Err(Failure::Input(text)) => (text, 1),
        Err(Failure::Usage(text)) => (text, 2),
    };
    let bad = style::BAD;
    terminal::say(format_args!("{bad}error{bad:#}: {text}"));
    ExitCode::from(code)
}

fn dispatch(cli: Cli) -> Outcome {
    let json = cli.json;
    if cli.version {
        version::run(json);
        return Ok(());
    }
    match cli.command {
        Some(Command::Shard(arguments)) => shard::run(&arguments, json),
        Some(Command::Check(arguments)) => check::run(&arguments, json),
        Some(Command::Explain { code }) => explain::run(&code, json),
        Some(Command::Config { file, origin }) => config::run(&file, origin, json),
        Some(Command::Schema) => {
            schema::run();
            Ok(())
        }
        Some(Command::Completions { shell }) => {
            completions::run(shell);
            Ok(())
        }
        Some(Command::Init(arguments)) => init::run(&arguments, json),
        Some(Command::Dev(arguments)) => dev::run(arguments, json),
        Some(Command::Serve(arguments)) => serve::run(arguments, json),
        Some(Command::OpenApi(file)) => openapi::run(&file),
        Some(Command::Token(arguments)) => token::run(&arguments, json),
        Some(Command::Route(arguments)) => route::run(&arguments, json),
        Some(Command::Diff { new, file }) => diff::run(&new, &file, json),
        Some(Command::Migrate(arguments)) => migrate::run(&arguments, json),
        Some(Command::Data(arguments)) => data::run(&arguments, json),
        Some(Command::Backup { to, file }) => backup::run(&to, &file, json),
        None => Err(Failure::Usage(String::from(
            "no command was given; `stoa --help` lists them",
        ))),
    }
}

/// Reads the file with the process's environment.
pub(crate) fn load(file: &ProfiledFile) -> Loaded {
    load_for(file, false)
}

/// As [`load`]; with `profile_optional` a profile that the file does not have is left out.
pub(crate) fn load_for(file: &ProfiledFile, profile_optional: bool) -> Loaded {
    let env = |name: &str| std::env::var(name).ok();
    let options = Options {
        profile: file.profile.as_deref(),
        profile_optional,
        env: &env,
    };
    stoa_config::load(&file.path(), &options)
}

/// Shows the faults and gives the plan, if there is one.
pub(crate) fn plan_of(loaded: &Loaded) -> Result<Plan, Failure> {
    show_faults(&loaded.faults, loaded);
    loaded.plan.clone().ok_or(Failure::Said)
}

/// Faults for people, on stderr.
pub(crate) fn show_faults(faults: &[fault::Fault], loaded: &Loaded) {
    if !faults.is_empty() {
        terminal::say_raw(fault::render_human(faults, &loaded.sources, true));
    }
}

/// `9 routes, 2 resources`.
pub(crate) fn size_of(plan: &Plan) -> String {
    let routes = plan.all_routes().count();
    let counted = [(routes, "route"), (plan.resources.len(), "resource")];
    let shown: Vec<String> = counted
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, one)| terminal::count(n, one))
        .collect();
    if shown.is_empty() {
        String::from("no routes yet")
    } else {
        shown.join(", ")
    }
}
