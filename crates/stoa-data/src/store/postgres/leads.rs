//! Functions of PostgreSQL that lead from a row to rows of another table: whether the database has them as the file
//! says.

use super::of_row::{Found, find};
use stoa_config::plan::{Plan, Resource};

/// The name of the function of the entry of `references` at a position, quoted with its schema; `rows` are the answer to
/// [`super::of_row::question`].
///
/// # Errors
/// The database has none that leads there: what it has, and what to do.
pub(crate) fn judge(
    plan: &Plan,
    resource: &Resource,
    position: usize,
    rows: &[Vec<Option<String>>],
) -> Result<String, String> {
    let Some(entry) = resource.by_function.get(position) else {
        return Err(format!("resource {} has no entry {position}", resource.name));
    };
    let target = plan.resources.get(entry.resource).map_or("", |to| &to.name);
    let Found { named, function } = find(resource, &entry.function, rows, "entry");
    let wrong = |why: String| {
        Err(format!(
            "resource {} leads to {target} by the function {named}, {why}",
            resource.name
        ))
    };
    let found = match function {
        Ok(found) => found,
        Err(why) => return wrong(why),
    };
    if !found.leads(position) {
        return wrong(format!(
            "which returns {}, no rows of the table of {target}: let `to` name the resource of that table",
            found.declared
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
    if let Some(why) = found.refused() {
        return wrong(why);
    }
    Ok(named)
}

#[cfg(test)]
mod tests;
