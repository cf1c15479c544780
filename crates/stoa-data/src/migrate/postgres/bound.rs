//! Bound tables: whether what the file names is there.

use super::super::bound::nearest;
use crate::store::postgres::alone::Alone;
use crate::store::postgres::start::is;
use crate::store::postgres::{computed, leads, of_row};
use crate::store::table::quote;
use stoa_config::plan::Plan;
use tokio_postgres::Error;

/// Bound tables are there, with the columns that the file names.
pub(super) async fn check(
    plan: &Plan,
    store: usize,
    alone: &Alone,
    refused: &mut Vec<String>,
) -> Result<(), Error> {
    for resource in plan.resources.iter().filter(|r| r.store == store) {
        let Some(table) = &resource.table else { continue };
        let name = match &table.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&table.name)),
            None => quote(&table.name),
        };
        let rows = alone
            .rows(&format!(
                "SELECT a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE {} \
                 AND a.attnum > 0 AND NOT a.attisdropped",
                is(table)
            ))
            .await?;
        let columns: Vec<String> = rows.into_iter().flatten().flatten().collect();
        if columns.is_empty() {
            refused.push(format!(
                "resource {} is bound to the table {name}, which {} does not have",
                resource.name, alone.shown
            ));
            continue;
        }
        let functions = match of_row::question(plan, resource, table) {
            Some(question) => alone.rows(&question).await?,
            None => Vec::new(),
        };
        let leads = (0..resource.by_function.len())
            .filter_map(|position| leads::judge(plan, resource, position, &functions).err());
        refused.extend(leads);
        for field in &resource.fields {
            match computed::judge(resource, field, &functions) {
                Ok(None) => {}
                Ok(Some(_)) => continue,
                Err(why) => {
                    refused.push(why);
                    continue;
                }
            }
            if !columns.iter().any(|c| c == field.column()) {
                let near = nearest(field.column(), columns.iter().map(String::as_str));
                refused.push(format!(
                    "resource {} has the field {}, which its table {name} does not have{near}",
                    resource.name,
                    field.column()
                ));
            }
        }
    }
    Ok(())
}
