//! `stoa check`: every fault of the file.

use super::{Failure, Outcome};
use crate::{
    cli::{Check, Format},
    seed,
    terminal::{self, style},
};
use stoa_config::{
    Loaded,
    fault::{self, Fault, Severity},
    plan::Plan,
};

/// Reads the file and reports. Warnings alone do not fail it.
pub(crate) fn run(arguments: &Check, json: bool) -> Outcome {
    let loaded = super::load(&arguments.file);
    let faults = faults_of(&loaded);
    let format = arguments
        .format
        .unwrap_or(if json { Format::Json } else { Format::Human });
    match format {
        Format::Json => terminal::result_json(&fault::render_json(&faults)),
        Format::Github => {
            let text = fault::render_github(&faults);
            if !text.is_empty() {
                terminal::result(text.trim_end());
            }
        }
        Format::Human => {
            super::show_faults(&faults, &loaded);
            if let Some(plan) = &loaded.plan {
                say_fine(plan, &arguments.file.path().display().to_string());
            }
        }
    }
    let failed = loaded.plan.is_none() || faults.iter().any(|f| f.severity == Severity::Error);
    if failed { Err(Failure::Said) } else { Ok(()) }
}

/// The faults of the file and, as warnings, what would stop it from being served by this version.
fn faults_of(loaded: &Loaded) -> Vec<Fault> {
    let mut faults = loaded.faults.clone();
    if let Some(plan) = &loaded.plan {
        faults.extend(plan.resources.iter().flat_map(stoa_data::allow::check));
        faults.extend(at_its_key(plan, stoa_edge::policy::auth::check(&plan.auth)));
        faults.extend(stoa_edge::check_certificates(plan));
        faults.extend(stoa_edge::check_tls(plan));
        faults.extend(seed::check(plan));
        faults.extend(stoa_config::not_built(plan).into_iter().map(|mut fault| {
            fault.severity = Severity::Warning;
            fault
        }));
    }
    faults
}

/// Faults of a key file point at the key of the API file that names it.
fn at_its_key(plan: &Plan, mut faults: Vec<Fault>) -> Vec<Fault> {
    let named = ["public_key", "jwks"].map(|key| ["auth", "jwt", key].join("\u{1f}"));
    let Some(mark) = named.iter().find_map(|path| plan.marks.get(path)) else {
        return faults;
    };
    for fault in faults.iter_mut().filter(|fault| fault.place.line == 0) {
        fault.place = mark.place.clone();
        fault.span = mark.span.clone();
    }
    faults
}

fn say_fine(plan: &Plan, name: &str) {
    let good = style::GOOD;
    terminal::say(format_args!(
        "{good}fine{good:#}  {name}: {}",
        super::size_of(plan)
    ));
}
