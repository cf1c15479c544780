//! A panic is a fault of Stoa's own: counted and told with its place. Its message is not told, since it may quote what
//! was being handled.

use super::{Form, Telemetry, line::Level};
use crate::terminal;
use std::{
    panic::PanicHookInfo,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Panics of the process so far.
pub(crate) fn count() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Has every panic from now on counted and told.
pub(crate) fn watch(telemetry: &Arc<Telemetry>) {
    let telemetry = Arc::clone(telemetry);
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        tell(&telemetry, panic);
    }));
}

fn tell(telemetry: &Telemetry, panic: &PanicHookInfo<'_>) {
    let (file, line) = panic
        .location()
        .map_or(("unknown", 0), |place| (place.file(), place.line()));
    let message = "a fault of Stoa's own ended what was being done";
    if telemetry.form == Form::Json {
        let line = line.to_string();
        let fields = [
            ("error.type", "panic"),
            ("log.origin.file.name", file),
            ("log.origin.file.line", &line),
        ];
        telemetry.event(Level::Error, message, &fields);
    } else {
        terminal::say(format_args!("{message}, at {file}:{line}"));
    }
}
