//! Certificates whose files change while the process serves.

use super::warn;
use crate::{
    telemetry::{Telemetry, line::Level},
    terminal::{self, style},
};
use std::time::Duration;
use stoa_edge::{Gateway, Refreshed};

/// How often the files are looked at. They are read at the second look that finds them the same.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// Takes files that changed, and says what became of them.
pub(super) fn look(gateway: &Gateway, telemetry: &Telemetry) {
    let Some(certificates) = gateway.certificates() else {
        return;
    };
    let (level, message, faults) = match certificates.refresh() {
        Refreshed::Same => return,
        Refreshed::Taken(warnings) => (Level::Info, "certificates taken", warnings),
        Refreshed::Refused(faults) => (Level::Error, "certificates refused", faults),
    };
    if level == Level::Error {
        warn("the new certificates were not taken; those of before serve on");
    }
    if level == Level::Info {
        let good = style::GOOD;
        terminal::say(format_args!("  {good}{message}{good:#}"));
    }
    if faults.is_empty() {
        return telemetry.event(level, message, &[]);
    }
    for fault in &faults {
        let help = fault
            .help
            .as_ref()
            .map_or_else(String::new, |help| format!(": {help}"));
        warn(&format!("{}{help}", fault.message));
        telemetry.event(level, message, &[("error.message", &fault.message)]);
    }
}
