//! Runs commands in named stages and says how long each took.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// A message for the person who ran the task.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is in the workspace")
}

/// `target/tools`, where everything that tasks install lives.
pub(crate) fn tools_folder() -> PathBuf {
    root().join("target/tools")
}

/// `cargo ARGUMENTS`, in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    command(
        &env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()),
        arguments,
    )
}

/// Any command, in the workspace.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// `--profile ci` and the like: the cargo profile that `.ci/run` asks for, so that the task itself, the lints and
/// the tests share what they build.
pub(crate) fn profile(flag: &str) -> Vec<String> {
    match env::var("STOA_PROFILE") {
        Ok(name) if !name.is_empty() => vec![flag.to_owned(), name],
        _ => Vec::new(),
    }
}

/// Runs `work` as the stage `name`.
pub(crate) fn stage<T>(name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    eprintln!("── {name}");
    let start = now();
    let outcome = work();
    let seconds = start.elapsed().as_secs_f32();
    let mark = if outcome.is_ok() { "ok" } else { "FAILED" };
    eprintln!("── {name}: {mark} in {seconds:.1} s");
    outcome
}

/// Runs a command to its end, its output shown.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let status = command.status().map_err(|e| cannot_start(command, &e))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{}` ended with {status}", line_of(command)))
    }
}

/// Runs a command to its end and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|e| cannot_start(command, &e))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "`{}` ended with {}\n{said}",
        line_of(command),
        output.status
    ))
}

/// Whether the command starts and succeeds.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    command(program, arguments)
        .output()
        .is_ok_and(|o| o.status.success())
}

#[expect(
    clippy::disallowed_methods,
    reason = "tasks measure real time and have no clock to set"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start `{}`: {error}", line_of(command))
}

fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
