//! `stoa migrate plan|apply|status`: the tables the file asks for against the tables there are.

use super::{Failure, Outcome};
use crate::{
    assemble,
    cli::{Migrate, MigrateFile, ProfiledFile},
    terminal::{self, style},
};
use serde_json::{Value, json};
use stoa_config::plan::Plan;
use stoa_data::migrate::{self, Migration, Step};

/// Shows, makes or judges.
pub(crate) fn run(arguments: &Migrate, json: bool) -> Outcome {
    match arguments {
        Migrate::Plan(arguments) => plan(arguments, json),
        Migrate::Apply(arguments) => apply(arguments, json),
        Migrate::Status(file) => status(file, json),
    }
}

/// Every store with resources, by its position and name.
fn stores(plan: &Plan) -> impl Iterator<Item = (usize, &str)> {
    assemble::stores_in_use(plan).map(|position| (position, plan.stores[position].name.as_str()))
}

fn plan(arguments: &MigrateFile, json: bool) -> Outcome {
    let plan = super::plan_of(&super::load(&arguments.file))?;
    let mut shown = Vec::new();
    let mut steps = 0;
    for (position, name) in stores(&plan) {
        let migration =
            migrate::plan(&plan, position).map_err(|e| Failure::Input(format!("store {name}: {e}")))?;
        steps += migration.steps.len();
        if json {
            shown.push(
                json!({ "store": name, "steps": steps_json(&migration.steps), "notes": migration.notes }),
            );
        } else {
            show_plan(name, &migration);
        }
    }
    if json {
        terminal::result_json(&json!({ "stores": shown }));
    } else if steps == 0 {
        terminal::say("nothing to do");
    }
    Ok(())
}

/// SQL that can be piped into a database shell; everything else in it is a comment.
fn show_plan(name: &str, migration: &Migration) {
    for (number, step) in (1..).zip(&migration.steps) {
        let mark = if step.destructive {
            "  [loses data: needs --allow-destructive]"
        } else {
            ""
        };
        terminal::result(format_args!(
            "-- store {name}, step {number}: {}{mark}",
            one_line(&step.why)
        ));
        terminal::result(format_args!("{};\n", step.sql.trim_end().trim_end_matches(';')));
    }
    say_notes(&migration.notes);
}

fn apply(arguments: &MigrateFile, json: bool) -> Outcome {
    let plan = super::plan_of(&super::load(&arguments.file))?;
    let (mut done, mut whole) = (Vec::new(), true);
    for (position, name) in stores(&plan) {
        let applied = migrate::apply(&plan, position, arguments.allow_destructive)
            .map_err(|e| Failure::Input(format!("store {name}: {e}")))?;
        whole &= applied.left.is_empty();
        if json {
            let (steps, left) = (steps_json(&applied.steps), steps_json(&applied.left));
            done.push(json!({ "store": name, "applied": steps, "left": left }));
            continue;
        }
        let (good, warn) = (style::GOOD, style::WARN);
        for step in &applied.steps {
            terminal::say(format_args!("{good}done{good:#}  {name}: {}", step.why));
        }
        for step in &applied.left {
            terminal::say(format_args!(
                "{warn}left{warn:#}  {name}: {} (needs --allow-destructive)",
                step.why
            ));
        }
        if applied.steps.is_empty() {
            terminal::say(format_args!("{name}: nothing to do"));
        }
    }
    if json {
        terminal::result_json(&json!({ "stores": done }));
    }
    // What was asked for was not done to its end.
    if whole { Ok(()) } else { Err(Failure::Said) }
}

fn status(file: &ProfiledFile, json: bool) -> Outcome {
    let plan = super::plan_of(&super::load(file))?;
    let (mut shown, mut served) = (Vec::new(), true);
    for (position, name) in stores(&plan) {
        let status =
            migrate::status(&plan, position).map_err(|e| Failure::Input(format!("store {name}: {e}")))?;
        served &= status.pending.is_served();
        let pending = status.pending.steps.len();
        if json {
            shown.push(json!({
                "store": name, "applied": status.applied, "last": status.last,
                "pending": steps_json(&status.pending.steps), "served": status.pending.is_served(),
                "notes": status.pending.notes,
            }));
            continue;
        }
        let state = if pending == 0 {
            String::from("up to date")
        } else {
            format!(
                "{} pending; `stoa migrate plan` shows the SQL",
                terminal::count(pending, "step")
            )
        };
        let last = status
            .last
            .map_or_else(String::new, |last| format!(", the last at {last}"));
        let applied = terminal::count(usize::try_from(status.applied).unwrap_or(usize::MAX), "migration");
        terminal::result(format_args!("{name}: {state} ({applied} applied{last})"));
        say_notes(&status.pending.notes);
    }
    if json {
        terminal::result_json(&json!({ "stores": shown }));
    }
    if served { Ok(()) } else { Err(Failure::Said) }
}

fn steps_json(steps: &[Step]) -> Vec<Value> {
    let one = |s: &Step| json!({ "sql": s.sql, "why": s.why, "destructive": s.destructive, "required": s.required });
    steps.iter().map(one).collect()
}

fn say_notes(notes: &[String]) {
    for note in notes {
        let dim = style::DIM;
        terminal::say(format_args!("{dim}note: {note}{dim:#}"));
    }
}

/// A comment of SQL ends with its line.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
