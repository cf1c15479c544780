//! What a store looks at before it serves: the tables that are bound, and the key of cursors.

use super::computed;
use super::config::Target;
use super::connection::Connection;
use super::errors::plain;
use super::group::Group;
use super::routine::{self, Candidate, Routine};
use super::{leads, of_row};
use crate::rest::PUBLIC;
use crate::store::StoreError;
use crate::store::table::{Casts, Column, Storage, Table, Tables, column, quote};
use std::time::Duration;
use stoa_config::plan::{Durability, Plan, Resource, StoreKind, TableName, Type as FieldType};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

/// The type of `t` in `pg_type` as it is read and bound: what a domain is based on, any row as a record.
pub(super) const BASE_TYPE: &str = "(WITH RECURSIVE base AS (SELECT t.oid, t.typbasetype UNION ALL \
    SELECT u.oid, u.typbasetype FROM base JOIN pg_type u ON u.oid = base.typbasetype) \
    SELECT CASE typtype WHEN 'c' THEN 'record'::regtype ELSE oid END FROM base JOIN pg_type USING (oid) \
    WHERE base.typbasetype = 0)::oid";
/// Whether no row has null in the column `a`. From PostgreSQL 18 on a column is also marked by a constraint that is
/// `NOT VALID`: then rows of before may.
pub(crate) const NEVER_NULL: &str = "(a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint nn \
    WHERE nn.conrelid = a.attrelid AND nn.contype = 'n' AND nn.conkey[1] = a.attnum AND NOT nn.convalidated))";
/// Whether the login may become the role `oid`. From PostgreSQL 16 on a member may be kept from that.
const MAY_BECOME: &str = "pg_has_role(current_user, oid, \
    CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END)";
/// How long all of it may take.
const START: Duration = Duration::from_secs(10);
/// What was found.
pub(super) struct Found {
    pub(super) tables: Tables,
    /// The functions of this store, by their positions in the plan.
    pub(super) routines: Vec<Option<Routine>>,
    pub(super) cursor_key: [u8; 32],
    /// What a write adds to its `BEGIN`, so that its commit is as durable as the file says.
    pub(super) commit: &'static str,
}

/// Looks, in a runtime of its own: a store is opened where nothing may be waited for. Without `durability` there are no writes,
/// and a replica is looked at.
///
/// # Errors
/// [`StoreError::Unavailable`] when the server is not there, not migrated, or has other tables than the plan says.
pub(super) fn look(
    plan: &Plan,
    store: usize,
    group: &Group,
    durability: Option<Durability>,
) -> Result<Found, StoreError> {
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| StoreError::Unavailable(format!("no runtime: {error}")))?;
            runtime.block_on(async {
                if group.is_watched() {
                    super::watch::look_first(group).await;
                }
                let target = match durability {
                    Some(_) => group.members.get(group.lead()?).map(|primary| &primary.write),
                    None => group.replica().map(|replica| &replica.read),
                };
                let Some(target) = target else {
                    return Err(StoreError::Unavailable(String::from(
                        "the shard has no such server",
                    )));
                };
                tokio::time::timeout(START, find(plan, store, target, durability))
                    .await
                    .map_err(|_| StoreError::Unavailable(format!("{} does not answer", target.shown)))?
            })
        });
        looking
            .join()
            .map_err(|_| StoreError::Internal("looking at the database ended early".to_owned()))?
    })
}

async fn find(
    plan: &Plan,
    store: usize,
    target: &Target,
    durability: Option<Durability>,
) -> Result<Found, StoreError> {
    let broken = |error: tokio_postgres::Error| plain(&error, &target.shown);
    let connection = Connection::open(target).await.map_err(broken)?;
    let client = &connection.client;
    let encoding = one(client, "SHOW server_encoding").await.map_err(broken)?;
    if encoding.as_deref() != Some("UTF8") {
        return Err(StoreError::Unavailable(format!(
            "{} keeps text as {}; Stoa needs UTF8: make the database with `ENCODING 'UTF8'`",
            target.shown,
            encoding.unwrap_or_default()
        )));
    }
    roles(plan, store, client, target).await?;
    let mut list = Vec::with_capacity(plan.resources.len());
    for (index, resource) in plan.resources.iter().enumerate() {
        list.push(match (&resource.table, resource.store == store) {
            (_, false) => None,
            (None, true) => Some(Table::created(index, resource)),
            (Some(name), true) => Some(bound(plan, index, name, client, target).await?),
        });
    }
    let tables = Tables::new(list);
    let manages = tables.each().any(|t| t.created);
    Ok(Found {
        routines: routines(plan, store, client, target).await?,
        cursor_key: cursor_key(client, manages, target).await?,
        tables,
        commit: match durability {
            Some(durability) => commit(client, durability, target).await?,
            None => "",
        },
    })
}

/// Every function of the store that the file names, as the database has it.
async fn routines(
    plan: &Plan,
    store: usize,
    client: &Client,
    target: &Target,
) -> Result<Vec<Option<Routine>>, StoreError> {
    let mut found = Vec::with_capacity(plan.functions.len());
    let mut flaws = Vec::new();
    for function in &plan.functions {
        if function.store != store {
            found.push(None);
            continue;
        }
        let schema = function.function.schema.as_deref().unwrap_or(PUBLIC);
        let question = routine::question(schema, &function.function.name);
        let answer = rows(client, &question)
            .await
            .map_err(|e| plain(&e, &target.shown))?;
        let candidates: Result<Vec<Candidate>, _> = answer
            .iter()
            .flatten()
            .flatten()
            .map(|text| serde_json::from_str(text))
            .collect();
        let candidates = candidates.map_err(|e| StoreError::Internal(e.to_string()))?;
        match routine::judge(plan, function, schema, &candidates) {
            Ok(routine) => found.push(Some(routine)),
            Err(why) => flaws.push(format!("{}: function `{}`: {why}", function.place, function.name)),
        }
    }
    if flaws.is_empty() {
        Ok(found)
    } else {
        Err(StoreError::Unavailable(flaws.join("\n  ")))
    }
}

/// A server may be set to acknowledge what is not on its disk yet; Stoa never does.
async fn commit(
    client: &Client,
    durability: Durability,
    target: &Target,
) -> Result<&'static str, StoreError> {
    let broken = |error: tokio_postgres::Error| plain(&error, &target.shown);
    let names = one(client, "SHOW synchronous_standby_names")
        .await
        .map_err(broken)?;
    let set = one(client, "SHOW synchronous_commit").await.map_err(broken)?;
    match durability {
        Durability::Replicated if names.is_none_or(|n| n.is_empty()) => {
            Err(StoreError::Unavailable(format!(
                "{} has no synchronous replica, and the store's `durability: replicated` needs one: set synchronous_standby_names",
                target.shown
            )))
        }
        Durability::Replicated if set.as_deref() == Some("remote_apply") => Ok(""),
        Durability::Replicated => Ok("; SET LOCAL synchronous_commit = on"),
        Durability::Local if set.as_deref() == Some("off") => Ok("; SET LOCAL synchronous_commit = local"),
        Durability::Local => Ok(""),
    }
}

/// The key of cursors: made with the first migration; where Stoa makes no table, from the database itself. A forged
/// cursor shows its maker no row that the access rule does not.
async fn cursor_key(client: &Client, manages: bool, target: &Target) -> Result<[u8; 32], StoreError> {
    if !manages {
        let named = "SELECT concat(oid, ' ', datname) FROM pg_database WHERE datname = current_database()";
        let text = one(client, named).await.map_err(|e| plain(&e, &target.shown))?;
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.unwrap_or_default().as_bytes());
        return Ok(<[u8; 32]>::try_from(digest.as_ref()).unwrap_or([0; 32]));
    }
    let kept = "SELECT encode(value, 'hex') FROM \"_stoa_meta\" WHERE name = 'cursor_key'";
    let kept = one(client, kept).await;
    if let Err(error) = &kept
        && error.as_db_error().is_none_or(|e| e.code().code() != "42P01")
    {
        return Err(plain(error, &target.shown));
    }
    kept.ok().flatten().as_deref().and_then(from_hex).ok_or_else(|| {
        StoreError::Unavailable(format!(
            "{} has not been prepared: run `stoa migrate apply`",
            target.shown
        ))
    })
}

/// A key of 32 bytes from hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    (text.len() == 64).then_some(key)
}

/// The first column of the first row, as text. By the simple protocol, which leaves nothing behind in a session.
async fn one(client: &Client, sql: &str) -> Result<Option<String>, tokio_postgres::Error> {
    Ok(rows(client, sql).await?.into_iter().flatten().flatten().next())
}

async fn rows(client: &Client, sql: &str) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
    let messages = client.simple_query(sql).await?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
            }
            _ => None,
        })
        .collect())
}

/// A table that Stoa did not make.
async fn bound(
    plan: &Plan,
    index: usize,
    named: &TableName,
    client: &Client,
    target: &Target,
) -> Result<Table, StoreError> {
    let Some(resource) = plan.resources.get(index) else {
        return Err(StoreError::Internal(format!("no resource {index}")));
    };
    let name = match &named.schema {
        Some(schema) => format!("{}.{}", quote(schema), quote(&named.name)),
        None => quote(&named.name),
    };
    // A view may be updatable: 4, 8 and 16 are update, insert and delete.
    let found = format!(
        "SELECT c.relkind, a.attname, {BASE_TYPE}, {NEVER_NULL}, pg_relation_is_updatable(c.oid, true) & 28, \
         (SELECT quote_ident(nspname) FROM pg_namespace WHERE oid = t.typnamespace) || '.' || quote_ident(t.typname), {}, {}, {} \
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid \
         WHERE {} AND a.attnum > 0 AND NOT a.attisdropped",
        cast("t.oid", "'json'::regtype"),
        cast("'json'::regtype", "t.oid"),
        cast("'text'::regtype", "t.oid"),
        is(named)
    );
    let found = rows(client, &found).await.map_err(|e| plain(&e, &target.shown))?;
    if found.is_empty() {
        return Err(StoreError::Unavailable(format!(
            "resource {} is bound to the table {name}, which the database does not have",
            resource.name
        )));
    }
    let functions = match of_row::question(plan, resource, named) {
        Some(question) => rows(client, &question)
            .await
            .map_err(|e| plain(&e, &target.shown))?,
        None => Vec::new(),
    };
    let columns = columns(resource, &name, &found, &functions).map_err(StoreError::Unavailable)?;
    let leads: Result<Vec<String>, String> = (0..resource.by_function.len())
        .map(|position| leads::judge(plan, resource, position, &functions))
        .collect();
    let leads = leads.map_err(StoreError::Unavailable)?;
    let kind = found.first().map(|row| text(row, 0)).unwrap_or_default();
    let view = kind == "m" || found.first().is_some_and(|row| text(row, 4) == "0");
    let key = resource.key.iter().filter_map(|k| columns.get(*k));
    let locator = if view {
        Vec::new()
    } else {
        key.map(|c| c.quoted.clone()).collect()
    };
    Ok(Table {
        resource: index,
        label: resource.name.clone(),
        name,
        columns,
        leads,
        key: resource.key.clone(),
        locator,
        created: false,
        view,
        plain: kind == "r",
        shard: None,
    })
}

/// The columns of a table's fields, among those that were found, and the functions that give some of them.
///
/// # Errors
/// What is not there.
fn columns(
    resource: &Resource,
    table: &str,
    found: &[Vec<Option<String>>],
    functions: &[Vec<Option<String>>],
) -> Result<Vec<Column>, String> {
    let mut columns: Vec<Column> = Vec::with_capacity(resource.fields.len());
    for field in &resource.fields {
        if let Some(called) = computed::judge(resource, field, functions)? {
            columns.push(Column {
                function: Some(called.name),
                ..column(field, Storage::Server(called.returns))
            });
            continue;
        }
        let Some(row) = found.iter().find(|row| text(row, 1) == field.column()) else {
            return Err(format!(
                "resource {} has the field {}, which its table {table} does not have",
                resource.name,
                field.column()
            ));
        };
        let oid = text(row, 2).parse().unwrap_or(0);
        // A row that the file calls `json` is JSON wherever it is named; as `text` it is PostgreSQL's own text.
        let rows = oid == Type::RECORD.oid() && field.ty == FieldType::Json;
        let casts = casts(row).filter(|_| field.ty == FieldType::Json);
        let oid = match (rows, &casts) {
            (true, _) => Type::JSONB.oid(),
            // Compared as what it is, read and bound as text.
            (false, Some(_)) => 0,
            (false, None) => oid,
        };
        columns.push(Column {
            nullable: text(row, 3) != "t",
            row: rows.then(|| text(row, 5)),
            casts,
            ..column(field, Storage::Server(oid))
        });
    }
    Ok(columns)
}

/// The function by which one type becomes another by itself, where one of them is a domain.
fn cast(from: &str, to: &str) -> String {
    format!(
        "(SELECT quote_ident(fn.nspname) || '.' || quote_ident(f.proname) FROM pg_cast k \
         JOIN pg_proc f ON f.oid = k.castfunc JOIN pg_namespace fn ON fn.oid = f.pronamespace \
         WHERE t.typtype = 'd' AND k.castsource = {from} AND k.casttarget = {to} \
         AND k.castmethod = 'f' AND k.castcontext = 'i')"
    )
}

/// The casts of a column's domain, where there is one to JSON.
fn casts(row: &[Option<String>]) -> Option<Box<Casts>> {
    let one = |at: usize| row.get(at).cloned().flatten();
    Some(Box::new(Casts {
        to_json: one(6)?,
        from_json: one(7),
        from_text: one(8),
    }))
}

fn text(row: &[Option<String>], at: usize) -> String {
    row.get(at).cloned().flatten().unwrap_or_default()
}

/// The condition that `c` in `pg_class` is a table. A schema is looked up by its name: the store's login need not be
/// let into it where statements run as other roles.
pub(crate) fn is(named: &TableName) -> String {
    match &named.schema {
        Some(schema) => format!(
            "c.relname = {} AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = {})",
            literal(&named.name),
            literal(schema)
        ),
        None => format!("c.oid = to_regclass({})", literal(&quote(&named.name))),
    }
}

/// The login may become every role that the file lists.
async fn roles(plan: &Plan, store: usize, client: &Client, target: &Target) -> Result<(), StoreError> {
    let Some(StoreKind::Postgres {
        roles: Some(roles), ..
    }) = plan.stores.get(store).map(|s| &s.kind)
    else {
        return Ok(());
    };
    for role in roles.allowed.iter().chain(&roles.anonymous) {
        let member = format!(
            "SELECT {MAY_BECOME} FROM pg_roles WHERE rolname = {}",
            literal(role)
        );
        let member = one(client, &member).await.map_err(|e| plain(&e, &target.shown))?;
        let why = match member.as_deref() {
            Some("t") => continue,
            Some(_) => "the store's login may not become it: GRANT it to the login (and not WITH SET FALSE)",
            None => "the database has no such role",
        };
        return Err(StoreError::Unavailable(format!(
            "{}: `roles` names `{role}`: {why}",
            target.shown
        )));
    }
    Ok(())
}

/// A name as text of SQL: it comes from the API file, and quotes are doubled.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
