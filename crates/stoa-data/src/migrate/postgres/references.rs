//! References between tables: added when all tables are there, to tables with rows first unchecked.

use super::super::ddl::Wanted;
use super::super::diff::additive;
use super::super::found::Found;
use super::diff::{Planned, alter};
use super::found::Database;
use crate::store::table::quote;

/// References that are missing, and those that are there and should not be.
pub(super) fn references(
    wanted: &Wanted,
    found: Option<&Found>,
    database: &Database,
    empty: bool,
) -> Vec<Planned> {
    let mut planned = Vec::new();
    for column in &wanted.columns {
        let there = found.and_then(|f| f.references.iter().find(|(from, ..)| *from == column.name));
        let there = there.map(|(_, table, to)| (table.clone(), to.clone()));
        let constraint = database
            .constraints
            .iter()
            .find(|(table, from, ..)| *table == wanted.name && *from == column.name);
        let own = format!("{}_{}_fkey", wanted.name, column.name);
        let mut sql = Vec::new();
        match (&column.references, &there) {
            (Some(wanted_one), Some(found_one)) if wanted_one == found_one => {
                if let Some((.., name, false)) = constraint {
                    sql.push(alter(
                        &wanted.name,
                        &format!("VALIDATE CONSTRAINT {}", quote(name)),
                    ));
                }
            }
            (None, None) => {}
            (target, _) => {
                if let (Some(_), Some((.., name, _))) = (&there, constraint) {
                    sql.push(alter(&wanted.name, &format!("DROP CONSTRAINT {}", quote(name))));
                }
                if let Some((table, key)) = target {
                    let add = format!(
                        "ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({})",
                        quote(&own),
                        quote(&column.name),
                        quote(table),
                        quote(key)
                    );
                    if empty {
                        sql.push(alter(&wanted.name, &add));
                    } else {
                        sql.push(alter(&wanted.name, &format!("{add} NOT VALID")));
                        sql.push(alter(
                            &wanted.name,
                            &format!("VALIDATE CONSTRAINT {}", quote(&own)),
                        ));
                    }
                }
            }
        }
        if !sql.is_empty() {
            let why = match &column.references {
                Some((table, _)) => format!("table {}: {} refers to {table}", wanted.name, column.name),
                None => format!(
                    "table {}: {} no longer refers to another table",
                    wanted.name, column.name
                ),
            };
            planned.push(Planned::Step(additive(sql.join(";\n"), why), !empty));
        }
    }
    planned
}
