//! `was:` while processes of before still serve: both names hold until a destructive step is allowed.
//!
//! A column gets a twin under its new name. A trigger writes to both whatever is written to one, and the rows that are
//! there are copied in batches. A table is renamed, and a view stands where it stood. A key's column is renamed at
//! once: what leads to it can have one name only.

use super::super::ddl::{Wanted, literal};
use super::super::diff::additive;
use super::super::found::{Found, FoundColumn};
use super::super::{Migration, Step, rename};
use super::diff::{Planned, alter};
use super::found::{Database, Twin};
use crate::store::table::{BUCKET, quote};
use stoa_config::plan::Plan;

/// Why a step waits for the flag.
const OTHERS: &str = "when no process of before serves any more";

/// Adds what comes first to `planned` and what runs outside of its transaction to `later`, and makes the database what it
/// is after that.
pub(super) fn follow(
    plan: &Plan,
    store: usize,
    wanted: &[(usize, Wanted)],
    database: &mut Database,
    (planned, later): (&mut Vec<Planned>, &mut Vec<Planned>),
) {
    let twins = wanted.iter().flat_map(|(index, wanted)| {
        let fields = plan
            .resources
            .get(*index)
            .map(|r| r.fields.as_slice())
            .unwrap_or_default();
        let renamed = fields
            .iter()
            .filter_map(|f| Some((f.was.as_deref()?, f.name.as_str())));
        renamed.map(move |(was, now)| (wanted, was, now))
    });
    let twins: Vec<_> = twins.collect();
    let mut renames = Migration::default();
    rename::tables(
        plan,
        store,
        rename::Indexes::Renamed,
        &mut database.schema,
        &mut renames,
    );
    for (wanted, was, now) in twins {
        if let Some(steps) = twin(wanted, was, now, database) {
            renames.steps.push(steps);
        }
    }
    // What cannot have two names is renamed at once.
    rename::columns(plan, store, &mut database.schema, &mut renames);
    planned.extend(renames.steps.into_iter().map(|s| Planned::Step(s, false)));
    for twin in database.twins.clone() {
        let table = wanted.iter().find(|(_, w)| w.name == twin.table);
        let is_wanted = table.is_some_and(|(_, w)| w.columns.iter().any(|c| c.name == twin.now));
        if is_wanted && !twin.filled {
            let found = database.schema.tables.get_mut(&twin.table);
            if let Some(column) = found.and_then(|f| f.columns.iter_mut().find(|c| c.name == twin.now)) {
                // Until the rows are filled their values are there.
                column.now_called.get_or_insert_with(|| twin.was.clone());
            }
            later.push(Planned::Step(additive(twin.fill(), twin.why(database)), true));
        }
    }
}

/// The steps that give a column a twin; `None` where there is nothing to do or it cannot have one.
fn twin(wanted: &Wanted, was: &str, now: &str, database: &mut Database) -> Option<Step> {
    let column = wanted.columns.iter().find(|c| c.name == now)?;
    let found = database.schema.tables.get_mut(&wanted.name)?;
    let old = found.column(was)?.clone();
    let is_key = found.key.iter().any(|k| k == was) || wanted.key.iter().any(|k| k == now);
    if found.view
        || found.column(BUCKET).is_none()
        || found.column(now).is_some()
        || is_key
        || old.ty != column.encoding
    {
        return None;
    }
    let twin = Twin {
        table: wanted.name.clone(),
        was: was.to_owned(),
        now: now.to_owned(),
        trigger: Twin::trigger(&wanted.name, was, now),
        filled: false,
    };
    found.columns.push(FoundColumn {
        name: now.to_owned(),
        ty: old.ty,
        not_null: false,
        default: None,
        // Where its values are until it is there.
        now_called: Some(old.now_called.unwrap_or(old.name)),
    });
    let sql = [
        alter(&wanted.name, &format!("ADD COLUMN {} {}", quote(now), column.ty)),
        // It would stand for a null that is meant. Stoa sends every value.
        alter(&wanted.name, &format!("ALTER COLUMN {} DROP DEFAULT", quote(was))),
        twin.function(),
        format!(
            "CREATE TRIGGER {0} BEFORE INSERT OR UPDATE ON {1} FOR EACH ROW EXECUTE FUNCTION {0}({2}, {3})",
            quote(&twin.trigger),
            quote(&wanted.name),
            literal(was),
            literal(now)
        ),
    ];
    let why = format!(
        "table {}: the column {was} is called {now} too, and both hold the same",
        wanted.name
    );
    database.twins.push(twin);
    Some(additive(sql.join(";\n"), why))
}

impl Twin {
    /// The name of the trigger and its function: short, whatever the names are.
    fn trigger(table: &str, was: &str, now: &str) -> String {
        let digest = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            serde_json::json!([table, was, now]).to_string().as_bytes(),
        );
        let digits: String = digest
            .as_ref()
            .iter()
            .take(8)
            .flat_map(|b| [b >> 4, b & 15])
            .map(hex)
            .collect();
        format!("_stoa_was_{digits}")
    }

    /// What was changed of the two decides; on insert, the one that is there.
    fn function(&self) -> String {
        let (was, now) = (quote(&self.was), quote(&self.now));
        format!(
            "CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS $stoa$ BEGIN \
             IF TG_OP = 'INSERT' THEN NEW.{now} := coalesce(NEW.{now}, NEW.{was}); NEW.{was} := NEW.{now}; \
             ELSIF NEW.{now} IS DISTINCT FROM OLD.{now} THEN NEW.{was} := NEW.{now}; \
             ELSE NEW.{now} := NEW.{was}; END IF; RETURN NEW; END $stoa$",
            quote(&self.trigger)
        )
    }

    /// Copies what is there.
    pub(super) fn fill(&self) -> String {
        let (was, now) = (quote(&self.was), quote(&self.now));
        format!(
            "UPDATE {} SET {now} = {was} WHERE {now} IS DISTINCT FROM {was}",
            quote(&self.table)
        )
    }

    fn why(&self, database: &Database) -> String {
        let so_far = database
            .progress
            .get(&self.fill())
            .map_or_else(String::new, |at| format!(", {at} pages are done"));
        format!(
            "table {}: {} is filled from {}, in batches{so_far}",
            self.table, self.now, self.was
        )
    }

    /// The end of a column that has a twin: the trigger goes first.
    pub(super) fn end(&self, column: &str) -> Step {
        let sql = [
            format!("DROP TRIGGER {} ON {}", quote(&self.trigger), quote(&self.table)),
            format!("DROP FUNCTION {}()", quote(&self.trigger)),
            alter(&self.table, &format!("DROP COLUMN {}", quote(column))),
        ];
        Step {
            destructive: true,
            required: false,
            ..additive(
                sql.join(";\n"),
                format!(
                    "table {}: {column} goes, whose values {} has, {OTHERS}",
                    self.table,
                    self.other(column)
                ),
            )
        }
    }

    /// The end of a field that the file names neither as it was called nor as it is: with its values.
    pub(super) fn end_of_both(&self) -> Step {
        let (was, now) = (quote(&self.was), quote(&self.now));
        let sql = [
            format!("DROP TRIGGER {} ON {}", quote(&self.trigger), quote(&self.table)),
            format!("DROP FUNCTION {}()", quote(&self.trigger)),
            // One that was renamed twice is the half of two pairs.
            alter(
                &self.table,
                &format!("DROP COLUMN IF EXISTS {was}, DROP COLUMN IF EXISTS {now}"),
            ),
        ];
        Step {
            destructive: true,
            ..additive(
                sql.join(";\n"),
                format!(
                    "table {}: the file has no field {} any more, which is called {} too: both columns go, with their values",
                    self.table, self.was, self.now
                ),
            )
        }
    }

    pub(super) fn other(&self, column: &str) -> &str {
        if column == self.now { &self.was } else { &self.now }
    }
}

impl Database {
    /// Whether a view stands for the wanted table and has all its columns.
    pub(super) fn stands_in(&self, wanted: &Wanted, found: &Found) -> bool {
        self.stand_ins.contains(&wanted.name)
            && wanted.columns.iter().all(|c| found.column(&c.name).is_some())
    }
}

fn hex(digit: u8) -> char {
    char::from_digit(u32::from(digit), 16).unwrap_or('0')
}

/// The end of the views that stand where tables stood.
pub(super) fn views(wanted: &[(usize, Wanted)], database: &Database, planned: &mut Vec<Planned>) {
    let unused = |name: &&String| wanted.iter().all(|(_, w)| w.name != **name);
    for name in database.stand_ins.iter().filter(unused) {
        planned.push(Planned::Step(
            Step {
                destructive: true,
                required: false,
                ..additive(
                    format!("DROP VIEW {}", quote(name)),
                    format!("the view {name} goes, which stands for a table that was renamed, {OTHERS}"),
                )
            },
            false,
        ));
    }
}

/// The view that stands where a table stood, and how it is known again.
pub(in super::super) fn stand_in(was: &str, now: &str) -> String {
    let (was, now) = (quote(was), quote(now));
    format!(
        "CREATE VIEW {was} AS SELECT * FROM {now};\nCOMMENT ON VIEW {was} IS {}",
        literal(STAND_IN)
    )
}

/// The comment of such a view.
pub(super) const STAND_IN: &str = "stoa: stands for a table that was renamed";
