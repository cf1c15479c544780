//! Fields that a function of PostgreSQL gives out of a row: whether the database has it, and how it is called.

use super::start::{BASE_TYPE, is, literal};
use crate::introspect::field_type;
use crate::store::table::quote;
use stoa_config::plan::{Field, Plan, Resource, StoreKind, TableName};

/// A function as it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    /// Its schema and name, quoted: never found by the search path.
    pub(super) name: String,
    /// `pg_type.oid` of what it returns, of its base for a domain.
    pub(super) returns: u32,
}

/// The question for the functions that fields of a bound resource name: one row for each function of these names, and one
/// without a function where there is none. `None` where no field is given by a function.
pub(crate) fn question(plan: &Plan, resource: &Resource, named: &TableName) -> Option<String> {
    let names = resource.fields.iter().filter_map(|field| field.function.as_ref());
    let names: Vec<String> = names.map(|function| literal(&function.name)).collect();
    if names.is_empty() {
        return None;
    }
    let may = may_run(plan, resource);
    Some(format!(
        "SELECT o.nspname, p.proname, n.nspname, p.oid::regprocedure, \
         p.prokind = 'f' AND p.pronargs = 1 AND p.proargtypes[0] = c.reltype, p.proretset, r.oid, \
         format_type(r.oid, NULL), r.typtype = 'p' AND r.oid <> 'record'::regtype, {may} \
         FROM pg_class c JOIN pg_namespace o ON o.oid = c.relnamespace \
         LEFT JOIN (pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type t ON t.oid = p.prorettype \
         JOIN pg_type r ON r.oid = {BASE_TYPE}) ON p.proname IN ({}) \
         WHERE {} ORDER BY p.oid",
        names.join(", "),
        is(named)
    ))
}

/// The condition that somebody as whom statements of a resource run may run the function `p` of `pg_proc`.
pub(super) fn may_run(plan: &Plan, resource: &Resource) -> String {
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

/// A function of the name of one that a field names.
struct Candidate<'r> {
    /// Schema of the table.
    home: &'r str,
    name: &'r str,
    schema: &'r str,
    /// Name and arguments, for people.
    shown: &'r str,
    takes_row: bool,
    set: bool,
    returns: u32,
    /// The type that it returns, for people.
    ty: &'r str,
    /// Whether that is no type of a value.
    pseudo: bool,
    may: bool,
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
            returns: text(6).parse().unwrap_or(0),
            ty: text(7),
            pseudo: text(8) == "t",
            may: text(9) == "t",
        }
    }
}

/// How the function of a field is called; `rows` are the answer to [`question`]. `None` for a field that is a column.
///
/// # Errors
/// The database has none that gives the field: what it has, and what to do.
pub(crate) fn judge(
    resource: &Resource,
    field: &Field,
    rows: &[Vec<Option<String>>],
) -> Result<Option<Called>, String> {
    let Some(function) = &field.function else {
        return Ok(None);
    };
    let all: Vec<Candidate<'_>> = rows.iter().map(|row| Candidate::of(row)).collect();
    let home = all.first().map_or("public", |candidate| candidate.home);
    let schema = function.schema.as_deref().unwrap_or(home);
    let named = format!("{}.{}", quote(schema), quote(&function.name));
    let table = resource.table.as_ref().map_or(&resource.name, |t| &t.name);
    let row = format!("{}.{}", quote(home), quote(table));
    let wrong = |why: String| {
        Err(format!(
            "resource {} has the field {}, given by the function {named}, {why}",
            resource.name, field.name
        ))
    };
    let own = || {
        all.iter()
            .filter(|c| c.name == function.name && c.schema == schema)
    };
    let Some(found) = own().find(|candidate| candidate.takes_row) else {
        let others: Vec<&str> = own().map(|candidate| candidate.shown).collect();
        return wrong(if others.is_empty() {
            format!("which the database does not have: CREATE FUNCTION {named}({row}), or take the field out")
        } else {
            format!(
                "which does not take a row of {row} alone (there is {}): CREATE FUNCTION {named}({row}), or take the field out",
                others.join(", ")
            )
        });
    };
    if found.set || found.pseudo {
        let set = if found.set { "a set of " } else { "" };
        return wrong(format!(
            "which returns {set}{}: a field is one value, so take it out",
            found.ty
        ));
    }
    let wanted = field_type(found.ty);
    if kind(&field.ty.to_string()) != kind(&wanted) {
        return wrong(format!(
            "which returns {}, and `{}` does not read that: write `{wanted}`",
            found.ty, field.ty
        ));
    }
    if !found.may {
        return wrong(format!(
            "which may not be run by those as whom statements run, the store's login or its `roles`: GRANT EXECUTE ON FUNCTION {} and USAGE ON SCHEMA {}",
            found.shown,
            quote(schema)
        ));
    }
    Ok(Some(Called {
        name: named,
        returns: found.returns,
    }))
}

/// What is common to the types of fields that read the same types of PostgreSQL's.
fn kind(ty: &str) -> String {
    if let Some(item) = ty.strip_prefix("list of ") {
        return format!("list of {}", kind(item));
    }
    match ty.split('(').next().unwrap_or(ty) {
        "enum" => "text",
        "uuid7" => "uuid",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
