//! Functions of PostgreSQL that lead from a row to rows of another table: whether the database has them as the file
//! says.

use super::computed::may_run;
use super::start::{is, literal};
use crate::store::table::quote;
use stoa_config::plan::{ByFunction, Plan, Resource, TableName};

/// The question for the functions of the name of one that an entry of `references` names: a row for each, and one
/// without a function where there is none. `named` is the table of the resource that has the entry.
pub(super) fn question(plan: &Plan, resource: &Resource, named: &TableName, entry: &ByFunction) -> String {
    let target = plan.resources.get(entry.resource);
    let target = target.and_then(|to| to.table.as_ref()).map_or_else(
        || String::from("FALSE"),
        |to| format!("t.typrelid = (SELECT c.oid FROM pg_class c WHERE {})", is(to)),
    );
    format!(
        "SELECT o.nspname, n.nspname, p.oid::regprocedure, \
         p.prokind = 'f' AND p.pronargs = 1 AND p.proargtypes[0] = c.reltype, p.proretset, p.prorows, \
         format_type(t.oid, NULL), {target}, {} \
         FROM pg_class c JOIN pg_namespace o ON o.oid = c.relnamespace \
         LEFT JOIN (pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type t ON t.oid = p.prorettype) \
         ON p.proname = {} WHERE {} ORDER BY p.oid",
        may_run(plan, resource),
        literal(&entry.function.name),
        is(named)
    )
}

/// A function of the name, as the database has it.
struct Candidate<'r> {
    /// Schema of the table.
    home: &'r str,
    schema: &'r str,
    /// Name and arguments, for people.
    shown: &'r str,
    takes_row: bool,
    set: bool,
    /// How many rows the planner is told to expect.
    rows: &'r str,
    /// The type that it returns, for people.
    ty: &'r str,
    /// Whether that is a row of the table that the entry leads to.
    fits: bool,
    may: bool,
}

impl<'r> Candidate<'r> {
    fn of(row: &'r [Option<String>]) -> Self {
        let text = |at: usize| row.get(at).and_then(|cell| cell.as_deref()).unwrap_or_default();
        Self {
            home: text(0),
            schema: text(1),
            shown: text(2),
            takes_row: text(3) == "t",
            set: text(4) == "t",
            rows: text(5),
            ty: text(6),
            fits: text(7) == "t",
            may: text(8) == "t",
        }
    }
}

/// The name of the function of an entry, quoted with its schema, so that no search path decides what runs; `rows` are
/// the answer to [`question`].
///
/// # Errors
/// The database has none that leads there: what it has, and what to do.
pub(super) fn judge(
    resource: &Resource,
    target: &str,
    entry: &ByFunction,
    rows: &[Vec<Option<String>>],
) -> Result<String, String> {
    let all: Vec<Candidate<'_>> = rows.iter().map(|row| Candidate::of(row)).collect();
    let home = all.first().map_or("public", |candidate| candidate.home);
    let schema = entry.function.schema.as_deref().unwrap_or(home);
    let named = format!("{}.{}", quote(schema), quote(&entry.function.name));
    let table = resource.table.as_ref().map_or(&resource.name, |t| &t.name);
    let row = format!("{}.{}", quote(home), quote(table));
    let wrong = |why: String| {
        Err(format!(
            "resource {} leads to {target} by the function {named}, {why}",
            resource.name
        ))
    };
    let own = || all.iter().filter(|candidate| candidate.schema == schema);
    let Some(found) = own().find(|candidate| candidate.takes_row) else {
        let others: Vec<&str> = own().map(|candidate| candidate.shown).collect();
        return wrong(if others.is_empty() {
            format!("which the database does not have: CREATE FUNCTION {named}({row}), or take the entry out")
        } else {
            format!(
                "which does not take a row of {row} alone (there is {}): CREATE FUNCTION {named}({row}), or take the entry out",
                others.join(", ")
            )
        });
    };
    if !found.fits {
        return wrong(format!(
            "which returns {}, no rows of the table of {target}: let `to` name the resource of that table",
            found.ty
        ));
    }
    match (entry.one, found.set) {
        (false, false) => return wrong(String::from("which returns one row, no set: write `one: true`")),
        (true, true) if found.rows != "1" => {
            return wrong(format!(
                "which may return several rows: ALTER FUNCTION {} ROWS 1, or leave out `one`",
                found.shown
            ));
        }
        _ => {}
    }
    if !found.may {
        return wrong(format!(
            "which may not be run by those as whom statements run, the store's login or its `roles`: GRANT EXECUTE ON FUNCTION {} and USAGE ON SCHEMA {}",
            found.shown,
            quote(schema)
        ));
    }
    Ok(named)
}

#[cfg(test)]
mod tests;
