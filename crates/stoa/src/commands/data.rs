//! `stoa data export` and `stoa data import`: all rows out of the stores of one file or profile, and into those of another.

use super::{Failure, Outcome};
use crate::{
    assemble,
    cli::{Data, DataFile},
    terminal::{self, style},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, BufWriter, Read as _},
    sync::Arc,
};
use stoa_config::plan::Plan;
use stoa_data::{
    migrate,
    store::{self, Store},
    transfer::{self, Import, Moved, TransferError},
};

/// How long a line of the input may be, in bytes: an export's are far shorter, unless a row is as long.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The stores of a plan, by their positions.
type Stores = Vec<Option<Arc<dyn Store>>>;

/// Runs one of the two.
pub(crate) fn run(arguments: &Data, json: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::input(format!("the system gives no event loop: {e}")))?;
    match arguments {
        Data::Export(file) => runtime.block_on(export(file)),
        Data::Import(file) => runtime.block_on(import(file, json)),
    }
}

async fn export(file: &DataFile) -> Outcome {
    let plan = plan(file)?;
    let stores = open(&plan, false)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let counts = transfer::export(&plan, &stores, &|name| wants(file, name), &mut out).await;
    for (resource, rows) in counts.map_err(failed)? {
        tell(&resource, rows, "");
    }
    Ok(())
}

async fn import(file: &DataFile, json: bool) -> Outcome {
    let plan = plan(file)?;
    let stores = open(&plan, true)?;
    let mut import = Import::new(&plan, &stores, &|name| wants(file, name));
    let mut input = BufReader::new(std::io::stdin().lock());
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let read = read.map_err(|e| Failure::input(format!("the input cannot be read: {e}")))?;
        if read == 0 {
            break;
        }
        if read as u64 == LINE_BYTES_MAX {
            return Err(Failure::input(format!(
                "a line has more than {LINE_BYTES_MAX} bytes"
            )));
        }
        import.line(&line).await.map_err(failed)?;
    }
    let moved = import.finish().await.map_err(failed)?;
    if json {
        let one = |m: &Moved| json!({ "resource": m.resource, "rows": m.rows, "there": m.there });
        terminal::result_json(&json!({ "resources": moved.iter().map(one).collect::<Vec<Value>>() }));
        return Ok(());
    }
    for one in &moved {
        let more = if one.there == one.rows {
            String::new()
        } else {
            format!(", of {} that are there", one.there)
        };
        tell(&one.resource, one.rows, &more);
    }
    Ok(())
}

fn tell(resource: &str, rows: u64, more: &str) {
    let (name, rows) = (
        style::NAME,
        terminal::count(usize::try_from(rows).unwrap_or(usize::MAX), "row"),
    );
    terminal::say(format_args!("  {name}{resource}{name:#} {rows}{more}"));
}

fn plan(file: &DataFile) -> Result<Arc<Plan>, Failure> {
    let plan = super::plan_of(&super::load(&file.file))?;
    for name in &file.only {
        match plan.resource(name) {
            None => {
                return Err(Failure::input(format!(
                    "--only names `{name}`, which is no resource"
                )));
            }
            Some(resource) if resource.table.is_some() => {
                let why =
                    "is bound to a table that Stoa did not make: move that one with the database's own tools";
                return Err(Failure::input(format!("--only names `{name}`, which {why}")));
            }
            Some(_) => {}
        }
    }
    Ok(Arc::new(plan))
}

fn wants(file: &DataFile, name: &str) -> bool {
    file.only.is_empty() || file.only.iter().any(|only| only == name)
}

/// Opens the stores; with `fit`, what is missing there and loses nothing is made, as at a start.
fn open(plan: &Arc<Plan>, fit: bool) -> Result<Stores, Failure> {
    let mut stores: Stores = vec![None; plan.stores.len()];
    for position in assemble::stores_in_use(plan) {
        let name = &plan.stores[position].name;
        let failed = |why: String| Failure::input(format!("store {name}: {why}"));
        if fit {
            migrate::fit(plan, position, &[], &|_| {}).map_err(|e| failed(e.to_string()))?;
        }
        migrate::check_schema(plan, position).map_err(|e| failed(e.to_string()))?;
        stores[position] = Some(store::open(plan, position).map_err(|e| failed(e.to_string()))?);
    }
    Ok(stores)
}

fn failed(error: TransferError) -> Failure {
    match error {
        TransferError::Io(e) => Failure::input(format!("the rows cannot be written out: {e}")),
        other => Failure::input(other.to_string()),
    }
}
