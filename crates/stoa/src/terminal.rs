//! What the commands say: results on stdout, words for people on stderr.

use serde_json::Value;
use std::{
    fmt::Display,
    io::{IsTerminal, Write},
};

/// Colours of messages; nothing of them is left when stderr is no terminal or `NO_COLOR` is set.
pub(crate) mod style {
    use anstyle::{AnsiColor, Style};

    /// What went wrong.
    pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
    /// What needs attention.
    pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
    /// What went well.
    pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
    /// Names and addresses.
    pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();
    /// Labels and lesser words.
    pub(crate) const DIM: Style = Style::new().dimmed();
}

/// One line for people. A closed stderr is no reason to stop.
pub(crate) fn say(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Text for people as it is, without a line end of our own.
pub(crate) fn say_raw(text: impl Display) {
    let _ = write!(anstream::stderr(), "{text}");
}

/// One line of the result. A closed stdout (`stoa schema | head`) is no reason to complain; a result that was
/// lost otherwise (a full disk) ends the process, or a script would go on with half of it.
pub(crate) fn result(text: impl Display) {
    let mut out = anstream::stdout();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Err(e) = written
        && e.kind() == std::io::ErrorKind::StorageFull
    {
        say(format_args!("error: the result cannot be written: {e}"));
        std::process::exit(1);
    }
}

/// The result as indented JSON.
pub(crate) fn result_json(value: &Value) {
    result(format_args!("{value:#}"));
}

/// Whether stderr shows colours.
pub(crate) fn colour() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// Whether single keys can be read and shortcuts make sense: a person sits on both ends, and no CI.
pub(crate) fn interactive() -> bool {
    let ci = std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false");
    !ci && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// `1 route`, `2 routes`.
pub(crate) fn count(n: usize, one: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {one}s")
    }
}
