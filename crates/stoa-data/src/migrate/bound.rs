//! Bound tables: whether what the file names is there.

use super::found::Schema;
use crate::store::sqlite::bound::ROWID;
use std::path::Path;
use stoa_config::plan::Plan;

/// What is missing, with what may have been meant.
pub(super) fn check(plan: &Plan, store: usize, schema: &Schema, path: &Path) -> Vec<String> {
    let mut reasons = Vec::new();
    for resource in plan.resources.iter().filter(|r| r.store == store) {
        let Some(table) = &resource.table else { continue };
        if let Some(name) = table
            .schema
            .as_deref()
            .filter(|s| !s.eq_ignore_ascii_case("main"))
        {
            reasons.push(format!(
                "resource {}: a SQLite file has the one schema main, not {name}: write `table: {}`",
                resource.name, table.name
            ));
            continue;
        }
        let Some(found) = schema.table(&table.name) else {
            let near = nearest(&table.name, schema.tables.keys().map(String::as_str));
            reasons.push(format!(
                "resource {} is bound to the table {}, which {} does not have{near}",
                resource.name,
                table.name,
                path.display()
            ));
            continue;
        };
        for field in &resource.fields {
            let is_rowid = field.column() == ROWID && !found.view;
            if found.column(field.column()).is_none() && !is_rowid {
                let near = nearest(field.column(), found.columns.iter().map(|c| c.name.as_str()));
                reasons.push(format!(
                    "resource {} has the field {}, which its table {} does not have{near}",
                    resource.name,
                    field.column(),
                    table.name
                ));
            }
        }
    }
    reasons
}

pub(super) fn nearest<'a>(name: &str, others: impl Iterator<Item = &'a str>) -> String {
    others
        .filter(|o| !o.starts_with("_stoa_"))
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| format!(": did you mean {other}?"))
        .unwrap_or_default()
}
