//! What `ALTER TABLE` cannot do in SQLite: the table is made anew beside the old one, the rows are copied, and the
//! new one takes the name.

use super::super::Step;
use super::super::ddl::WantedColumn;
use super::Compared;
use crate::store::table::{BUCKET, quote};
use rusqlite::Connection;
use serde_json::Value as Json;
use stoa_config::plan::{DefaultValue, Type};
use stoa_exchange::clock;

/// One column that becomes another.
pub(super) struct Change {
    column: String,
    why: String,
    /// The new value, as SQL over the old row.
    value: String,
    destructive: bool,
}

/// What differs in columns that are on both sides.
pub(super) fn changes(
    compared: &Compared<'_>,
    conn: Option<&Connection>,
    refused: &mut Vec<String>,
) -> rusqlite::Result<Vec<Change>> {
    let mut list = Vec::new();
    for column in &compared.wanted.columns {
        let Some(old) = compared.found.column(&column.name) else {
            continue;
        };
        let mut change = Change {
            column: column.name.clone(),
            why: String::new(),
            value: quote(&column.name),
            destructive: false,
        };
        let written = compared
            .recorded
            // What the bucket is the hash of is compared on its own.
            .filter(|_| column.name != BUCKET)
            .and_then(|r| r.get(&column.name))
            .and_then(Json::as_str);
        if old.ty != column.ty || written.is_some_and(|w| w != column.encoding) {
            convert(&mut change, compared, column, written.unwrap_or(&old.ty), refused);
        }
        nullability(&mut change, compared, column, old.not_null, conn, refused)?;
        let referred = compared
            .found
            .references
            .iter()
            .find(|(from, ..)| from.eq_ignore_ascii_case(&column.name));
        let referred = referred.map(|(_, table, to)| (table.clone(), to.clone()));
        if referred != column.references {
            change.why.push_str(match &column.references {
                Some(_) => " now refers to another table;",
                None => " no longer refers to another table;",
            });
        }
        if !change.why.is_empty() {
            list.push(change);
        }
    }
    Ok(list)
}

/// From one way of writing to another: without loss where that is possible.
fn convert(
    change: &mut Change,
    compared: &Compared<'_>,
    column: &WantedColumn,
    from: &str,
    refused: &mut Vec<String>,
) {
    let name = quote(&column.name);
    change.why = format!("{} from {from} to {};", change.why, column.encoding);
    let scale = |text: &str| {
        text.strip_prefix("decimal scaled ")
            .and_then(|s| s.parse::<u32>().ok())
    };
    let kept = match (from, column.encoding.as_str()) {
        ("int", "float") => Some(format!("CAST({name} AS REAL)")),
        ("int" | "uuid" | "time" | "date" | "text", "text") => Some(format!("CAST({name} AS TEXT)")),
        ("int", to) => scale(to).map(|s| format!("{name} * {}", 10_i64.pow(s.min(18)))),
        (from, to) => match (scale(from), scale(to)) {
            (Some(old), Some(new)) if new >= old => {
                Some(format!("{name} * {}", 10_i64.pow((new - old).min(18))))
            }
            _ => None,
        },
    };
    if let Some(value) = kept {
        change.value = value;
        return;
    }
    if compared.empty {
        return;
    }
    change.destructive = true;
    change.why.push_str(" the values that are there are lost;");
    change.value = column.default.clone().unwrap_or_else(|| "NULL".to_owned());
    if column.not_null && column.default.is_none() {
        refused.push(format!(
            "table {}: the type of {} changes from {from} to {}, which loses its values, and it is required: give it a default, make it optional, or declare a field with another name",
            compared.wanted.name, column.name, column.encoding
        ));
    }
}

fn nullability(
    change: &mut Change,
    compared: &Compared<'_>,
    column: &WantedColumn,
    was_not_null: bool,
    conn: Option<&Connection>,
    refused: &mut Vec<String>,
) -> rusqlite::Result<()> {
    if was_not_null == column.not_null {
        return Ok(());
    }
    if was_not_null {
        change.why.push_str(" may be null now;");
        return Ok(());
    }
    change.why.push_str(" must not be null any more;");
    if let Some(default) = &column.default {
        change.value = format!("coalesce({}, {default})", change.value);
        return Ok(());
    }
    let sql = format!(
        "SELECT count(*) FROM {} WHERE {} IS NULL",
        quote(compared.found.is_called(&compared.wanted.name)),
        quote(compared.found.column_is_called(&column.name))
    );
    let nulls: i64 = conn.map_or(Ok(0), |c| c.query_row(&sql, [], |row| row.get(0)))?;
    if nulls > 0 {
        refused.push(format!(
            "table {}: {nulls} rows have no {}, which is required now: fill them in first, give the field a default, or keep it optional",
            compared.wanted.name, column.name
        ));
    }
    Ok(())
}

/// The one step that makes all of it. `ALTER TABLE` is not used beside it: columns that are new come with it, and
/// columns that the file no longer names stay.
pub(super) fn step(
    compared: &Compared<'_>,
    changes: &[Change],
    added: &[&WantedColumn],
    refused: &mut Vec<String>,
) -> Step {
    let Compared { wanted, found, .. } = *compared;
    let mut target = wanted.clone();
    let mut values: Vec<(String, String)> = Vec::new();
    for column in &wanted.columns {
        let value = if added.iter().any(|a| a.name == column.name) {
            added_value(compared, column, refused)
        } else {
            let changed = changes.iter().find(|c| c.column == column.name);
            changed.map_or_else(|| quote(&column.name), |c| c.value.clone())
        };
        values.push((quote(&column.name), value));
    }
    for old in found.columns.iter().filter(|c| {
        !wanted
            .columns
            .iter()
            .any(|w| w.name.eq_ignore_ascii_case(&c.name))
    }) {
        target.columns.push(WantedColumn {
            name: old.name.clone(),
            ty: match old.ty.as_str() {
                known @ ("INTEGER" | "REAL" | "BLOB" | "ANY") => known.to_owned(),
                _ => "TEXT".to_owned(),
            },
            encoding: String::new(),
            not_null: old.not_null,
            default: old.default.clone(),
            references: None,
        });
        values.push((quote(&old.name), quote(&old.name)));
    }
    let new = format!("_stoa_new_{}", wanted.name);
    let (names, sources): (Vec<_>, Vec<_>) = values.into_iter().unzip();
    let mut sql = format!(
        "{};\nINSERT INTO {} ({}) SELECT {} FROM {};\nDROP TABLE {};\nALTER TABLE {} RENAME TO {}",
        target.create(&new),
        quote(&new),
        names.join(", "),
        sources.join(", "),
        quote(&wanted.name),
        quote(&wanted.name),
        quote(&new),
        quote(&wanted.name),
    );
    for index in &wanted.indexes {
        sql.push_str(";\n");
        sql.push_str(&index.create(&wanted.name));
    }
    let mut why: Vec<String> = changes
        .iter()
        .map(|c| format!("{}{}", c.column, c.why.trim_end_matches(';')))
        .collect();
    why.extend(added.iter().map(|c| format!("new column {}", c.name)));
    Step {
        sql,
        why: format!("table {} is made anew: {}", wanted.name, why.join("; ")),
        destructive: changes.iter().any(|c| c.destructive),
        required: true,
    }
}

/// What rows that are there get in a new column.
fn added_value(compared: &Compared<'_>, column: &WantedColumn, refused: &mut Vec<String>) -> String {
    if let Some(default) = &column.default {
        return default.clone();
    }
    if !column.not_null || compared.empty {
        return "NULL".to_owned();
    }
    let field = compared.resource.fields.iter().find(|f| f.name == column.name);
    let now = field.is_some_and(|f| f.auto || f.default == Some(DefaultValue::Now));
    let micros = i64::try_from(clock::unix_micros()).unwrap_or(i64::MAX);
    match field.map(|f| &f.ty) {
        Some(Type::Time) if now => super::ddl::literal(&crate::value::render_time(micros)),
        Some(Type::Date) if now => {
            let days = i32::try_from(micros / 86_400_000_000).unwrap_or(i32::MAX);
            super::ddl::literal(&crate::value::render_date(days))
        }
        _ => {
            refused.push(format!(
                "table {} has rows, and its new field {} is required: give it a default, or make it optional",
                compared.wanted.name, column.name
            ));
            "NULL".to_owned()
        }
    }
}
