//! Fields that a function of PostgreSQL gives out of a row: whether the database has it, and how it is called.

use super::of_row::{Found, find};
use crate::introspect::field_type;
use stoa_config::plan::{Field, Resource};

/// A function as it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    /// Its schema and name, quoted: never found by the search path.
    pub(super) name: String,
    /// `pg_type.oid` of what it returns, of its base for a domain.
    pub(super) returns: u32,
}

/// How the function of a field is called; `rows` are the answer to [`super::of_row::question`]. `None` for a field that is a column.
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
    let Found { named, function } = find(resource, function, rows, "field");
    let wrong = |why: String| {
        Err(format!(
            "resource {} has the field {}, given by the function {named}, {why}",
            resource.name, field.name
        ))
    };
    let found = match function {
        Ok(found) => found,
        Err(why) => return wrong(why),
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
    if let Some(why) = found.refused() {
        return wrong(why);
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
