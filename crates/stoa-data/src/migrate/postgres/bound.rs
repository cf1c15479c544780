//! Bound tables: whether what the file names is there.

use super::super::bound::nearest;
use super::super::ddl::literal;
use crate::store::postgres::alone::Alone;
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
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass({}) AND attnum > 0 AND NOT attisdropped",
                literal(&name)
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
        for field in &resource.fields {
            if !columns.contains(&field.name) {
                let near = nearest(&field.name, columns.iter().map(String::as_str));
                refused.push(format!(
                    "resource {} has the field {}, which its table {name} does not have{near}",
                    resource.name, field.name
                ));
            }
        }
    }
    Ok(())
}
