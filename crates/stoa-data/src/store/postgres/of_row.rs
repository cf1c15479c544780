//! Functions of PostgreSQL that take one row of an existing table: those that give a field, and those that lead on to rows of
//! another table. What the database has, and which one the file means.

use super::start::{BASE_TYPE, is, literal};
use crate::store::table::quote;
use stoa_config::plan::{Plan, Resource, StoreKind, TableName};

/// Columns of the answer to [`question`] in front of those that say whether a function fits an entry of `references`.
const COMMON: usize = 12;

/// The question for the functions that a bound resource names, in its fields and its references: one row for each function
/// of these names, and one without a function where there is none. `None` where it names no function.
pub(crate) fn question(plan: &Plan, resource: &Resource, named: &TableName) -> Option<String> {
    let fields = resource.fields.iter().filter_map(|field| field.function.as_ref());
    let entries = resource.by_function.iter().map(|entry| &entry.function);
    let names: Vec<String> = fields.chain(entries).map(|f| literal(&f.name)).collect();
    if names.is_empty() {
        return None;
    }
    let entries = resource.by_function.iter();
    let mut all = vec![may_run(plan, resource), String::from("format_type(t.oid, NULL)")];
    all.extend(entries.map(|entry| returns_rows_of(plan, entry.resource)));
    Some(format!(
        "SELECT o.nspname, p.proname, n.nspname, p.oid::regprocedure, \
         p.prokind = 'f' AND p.pronargs = 1 AND p.proargtypes[0] = c.reltype, p.proretset, p.prorows, r.oid, \
         format_type(r.oid, NULL), r.typtype = 'p' AND r.oid <> 'record'::regtype, {} \
         FROM pg_class c JOIN pg_namespace o ON o.oid = c.relnamespace \
         LEFT JOIN (pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type t ON t.oid = p.prorettype \
         JOIN pg_type r ON r.oid = {BASE_TYPE}) ON p.proname IN ({}) \
         WHERE {} ORDER BY p.oid",
        all.join(", "),
        names.join(", "),
        is(named)
    ))
}

/// The condition that a function returns rows of the table of a resource.
fn returns_rows_of(plan: &Plan, resource: usize) -> String {
    let table = plan.resources.get(resource).and_then(|to| to.table.as_ref());
    table.map_or_else(
        || String::from("FALSE"),
        |table| format!("t.typrelid = (SELECT c.oid FROM pg_class c WHERE {})", is(table)),
    )
}

/// The condition that somebody as whom statements of a resource run may run the function `p` of `pg_proc`.
fn may_run(plan: &Plan, resource: &Resource) -> String {
    let may = |role: &str| {
        format!(
            "has_function_privilege({role}, p.oid, 'EXECUTE') AND has_schema_privilege({role}, p.pronamespace, 'USAGE')"
        )
    };
    match plan.stores.get(resource.store).map(|store| &store.kind) {
        Some(StoreKind::Postgres {
            roles: Some(roles), ..
        }) => {
            let all: Vec<String> = roles
                .allowed
                .iter()
                .chain(&roles.anonymous)
                .map(|r| literal(r))
                .collect();
            format!(
                "EXISTS (SELECT FROM pg_roles m WHERE m.rolname IN ({}) AND {})",
                all.join(", "),
                may("m.oid")
            )
        }
        _ => may("current_user"),
    }
}

/// A function as the database has it.
pub(super) struct Candidate<'r> {
    /// Schema of the table.
    home: &'r str,
    name: &'r str,
    schema: &'r str,
    /// Name and arguments, for people.
    pub(super) shown: &'r str,
    takes_row: bool,
    pub(super) set: bool,
    /// How many rows the planner is told to expect.
    pub(super) rows: &'r str,
    /// `pg_type.oid` of what it returns, of its base for a domain.
    pub(super) returns: u32,
    /// The type that it returns, of its base for a domain, for people.
    pub(super) ty: &'r str,
    /// Whether that is no type of a value.
    pub(super) pseudo: bool,
    may: bool,
    /// The type as it is declared: of rows by its own name.
    pub(super) declared: &'r str,
    row: &'r [Option<String>],
}

impl<'r> Candidate<'r> {
    fn of(row: &'r [Option<String>]) -> Self {
        let text = |at: usize| row.get(at).and_then(|cell| cell.as_deref()).unwrap_or_default();
        Self {
            home: text(0),
            name: text(1),
            schema: text(2),
            shown: text(3),
            takes_row: text(4) == "t",
            set: text(5) == "t",
            rows: text(6),
            returns: text(7).parse().unwrap_or(0),
            ty: text(8),
            pseudo: text(9) == "t",
            may: text(10) == "t",
            declared: text(11),
            row,
        }
    }

    /// Whether it returns rows of the table that the entry of `references` at this position leads to.
    pub(super) fn leads(&self, entry: usize) -> bool {
        self.row.get(COMMON + entry).and_then(|cell| cell.as_deref()) == Some("t")
    }

    /// Why it may not be run, and what to do.
    pub(super) fn refused(&self) -> Option<String> {
        (!self.may).then(|| {
            format!(
                "which may not be run by those as whom statements run, the store's login or its `roles`: GRANT EXECUTE ON FUNCTION {} and USAGE ON SCHEMA {}",
                self.shown,
                quote(self.schema)
            )
        })
    }
}

/// A function that the file names, and what there is of it.
pub(super) struct Found<'r> {
    /// Its schema and name, quoted, so that no search path decides what runs.
    pub(super) named: String,
    /// The function, or why there is none that takes the row.
    pub(super) function: Result<Candidate<'r>, String>,
}

/// Finds a function that a resource names; `rows` are the answer to [`question`], and `what` is what could be taken out of the
/// file in its place: a field, or an entry.
pub(super) fn find<'r>(
    resource: &Resource,
    function: &TableName,
    rows: &'r [Vec<Option<String>>],
    what: &str,
) -> Found<'r> {
    let all: Vec<Candidate<'r>> = rows.iter().map(|row| Candidate::of(row)).collect();
    let home = all.first().map_or("public", |candidate| candidate.home);
    let schema = function.schema.as_deref().unwrap_or(home);
    let named = format!("{}.{}", quote(schema), quote(&function.name));
    let table = resource.table.as_ref().map_or(&resource.name, |t| &t.name);
    let row = format!("{}.{}", quote(home), quote(table));
    let own = all
        .into_iter()
        .filter(|c| c.name == function.name && c.schema == schema);
    let (fit, others): (Vec<_>, Vec<_>) = own.partition(|candidate| candidate.takes_row);
    let others: Vec<&str> = others.iter().map(|candidate| candidate.shown).collect();
    let function = fit.into_iter().next().ok_or_else(|| {
        if others.is_empty() {
            format!("which the database does not have: CREATE FUNCTION {named}({row}), or take the {what} out")
        } else {
            format!(
                "which does not take a row of {row} alone (there is {}): CREATE FUNCTION {named}({row}), or take the {what} out",
                others.join(", ")
            )
        }
    });
    Found { named, function }
}
