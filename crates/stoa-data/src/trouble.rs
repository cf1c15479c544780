//! What a store could not do, in the caller's words.

mod server;

use crate::{
    codes,
    handler::Call,
    refusal::{Refusal, shorten},
    render, rest,
    store::StoreError,
    value::Value,
};
use http::header;
use stoa_config::plan::{Access, Resource, Rule};
use stoa_exchange::{FieldError, codes as common};

/// The rules that judge rows as they become, for this method: `update needs owner customer_id`.
fn rules(call: &Call<'_>) -> String {
    let rules = &call.resource.rules;
    let said = |verb: &str, rule: &Rule| match &rule.access {
        Access::Owner(field) => {
            let name = call.resource.fields.get(*field).map_or("", |f| f.name.as_str());
            format!("{verb} needs owner {name}")
        }
        other => format!("{verb} needs {other}"),
    };
    match *call.facts.method {
        http::Method::POST => said("create", &rules.create),
        http::Method::PUT => format!(
            "{}, {}",
            said("create", &rules.create),
            said("update", &rules.update)
        ),
        _ => said("update", &rules.update),
    }
}

/// The refusal for an error of the store. `id` is the key in the path, when there was one.
pub(crate) fn refusal(error: StoreError, call: &Call<'_>, id: Option<&Value>) -> Refusal {
    let relation = &call.resource.name;
    match error {
        StoreError::Unique { fields, value, said } => unique(call.resource, &fields, value, said),
        StoreError::Reference {
            field,
            resource,
            value,
            still_referred,
            said,
        } => {
            let target = still_referred.then_some(resource.as_str());
            reference(relation, &field, target, (value, said), call)
        }
        StoreError::NotFound => match id {
            Some(id) => call.not_found(id),
            None => Refusal::new(&codes::ROW_NOT_FOUND, format!("`{relation}` has no such row.")),
        },
        StoreError::PreconditionFailed => precondition_failed(),
        StoreError::CheckFailed => {
            let status = if call.identity.caller().is_none() {
                401
            } else {
                403
            };
            Refusal::new(
                &codes::ROW_REFUSED,
                format!(
                    "The access rule of `{relation}` does not let you write this row: {}.",
                    rules(call)
                ),
            )
            .postgrest(
                "42501",
                status,
                format!("new row violates row-level security policy for table \"{relation}\""),
            )
        }
        StoreError::Affected(n) => render::not_one(n),
        StoreError::IdempotencyMismatch => Refusal::new(
            &codes::IDEMPOTENCY_MISMATCH,
            "This `Idempotency-Key` came before with another request.",
        )
        .hint("Use a new key for a new request."),
        StoreError::IdempotencyRunning => Refusal::new(
            &codes::IDEMPOTENCY_RUNNING,
            "The first request with this `Idempotency-Key` is still running.",
        )
        .header(header::RETRY_AFTER, "1"),
        StoreError::Refused(text) => Refusal::new(
            &codes::VALUE_REFUSED,
            format!("The table of `{relation}` refused a value."),
        )
        .cause(text)
        .postgrest(
            "23514",
            400,
            format!("new row for relation \"{relation}\" violates a constraint"),
        ),
        StoreError::Server(error) => {
            let reads = matches!(*call.facts.method, http::Method::GET | http::Method::HEAD);
            server::refusal(*error, call.identity.caller().is_none(), reads)
        }
        StoreError::ReadOnly => Refusal::new(&codes::READ_ONLY, format!("`{relation}` can only be read."))
            .header(header::ALLOW, "GET, HEAD, OPTIONS")
            .postgrest("25006", 405, format!("cannot write \"{relation}\"")),
        StoreError::SpansShards { why, remedy } => spans(&why, &remedy),
        other => down(other),
    }
}

fn spans(why: &str, remedy: &str) -> Refusal {
    let mut says = why.to_owned();
    if let Some(first) = says.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Refusal::new(&codes::SPANS_SHARDS, format!("{says}."))
        .hint(remedy)
        .postgrest("PGRST127", 400, "Feature not implemented")
        .details(format!("{says}."))
}

/// As [`refusal`] for a write, which knows which of its bounds was passed.
pub(crate) fn of_write(error: StoreError, call: &Call<'_>, id: Option<&Value>, max: Option<u64>) -> Refusal {
    match (error, max) {
        (StoreError::Affected(n), Some(max)) if n > max => Refusal::new(
            &codes::MAX_AFFECTED,
            format!("The write would change {n} rows; max-affected allows {max}."),
        )
        .postgrest(
            "PGRST124",
            400,
            "Query result exceeds max-affected preference constraint",
        )
        .details(format!("The query affects {n} rows")),
        (error, _) => refusal(error, call, id),
    }
}

/// As [`refusal`] for a function. `reads`: it was not to change anything.
pub(crate) fn of_function(error: StoreError, anonymous: bool, reads: bool) -> Refusal {
    match error {
        StoreError::Server(error) => server::refusal(*error, anonymous, reads),
        StoreError::Affected(n) => affected(n),
        StoreError::Refused(says) => Refusal::new(&codes::TOO_COMPLEX, says),
        other => down(other),
    }
}

fn affected(n: u64) -> Refusal {
    Refusal::new(
        &codes::MAX_AFFECTED,
        format!("The result has {n} rows, more than max-affected allows."),
    )
    .postgrest(
        "PGRST124",
        400,
        "Query result exceeds max-affected preference constraint",
    )
    .details(format!("The query affects {n} rows"))
}

pub(crate) fn precondition_failed() -> Refusal {
    Refusal::new(
        &codes::PRECONDITION_FAILED,
        "The row is not in the state that the request expects.",
    )
    .hint("Read it again and use its new `ETag`.")
}

fn unique(resource: &Resource, fields: &[String], value: Option<String>, said: Option<String>) -> Refusal {
    let relation = rest::relation_name(resource);
    let names = fields.join(", ");
    let value = value.map(|v| shorten(&v));
    let detail = match &value {
        Some(value) => format!("`{relation}` has a row whose `{names}` is `{value}` already."),
        None => format!("`{relation}` has a row with the same `{names}` already."),
    };
    let shown = value.unwrap_or_default();
    let key = resource.key.iter().filter_map(|k| resource.fields.get(*k));
    let constraint = if key.map(|field| &field.name).eq(fields) {
        format!("{relation}_pkey")
    } else {
        format!("{relation}_{}_key", fields.join("_"))
    };
    let error = FieldError {
        field: names.clone(),
        message: String::from("is taken already"),
    };
    Refusal::new(&codes::ALREADY_EXISTS, detail)
        .errors(vec![error])
        .postgrest(
            "23505",
            409,
            said.unwrap_or_else(|| {
                format!("duplicate key value violates unique constraint \"{constraint}\"")
            }),
        )
        .details(format!("Key ({names})=({shown}) already exists."))
}

/// A broken reference; `holder` is the resource whose rows still refer to the row that was to go.
fn reference(
    relation: &str,
    field: &str,
    holder: Option<&str>,
    (value, said): (Option<String>, Option<String>),
    call: &Call<'_>,
) -> Refusal {
    match holder {
        Some(holder) => still(relation, field, (holder, value), said, call),
        None => missing(relation, field, value, said, call),
    }
}

fn missing(
    relation: &str,
    field: &str,
    value: Option<String>,
    said: Option<String>,
    call: &Call<'_>,
) -> Refusal {
    let value = value.map(|v| shorten(&v)).unwrap_or_default();
    let target = call.resource.field(field).and_then(|(_, f)| match f.ty {
        stoa_config::plan::Type::Ref { resource, .. } => call.plan().resources.get(resource),
        _ => None,
    });
    let target = target.map_or("the other resource", |r| r.name.as_str());
    let message = format!("no row of `{target}` has the key `{value}`");
    Refusal::new(&codes::REFERENCE_MISSING, format!("`{field}`: {message}."))
        .errors(vec![FieldError {
            field: field.to_owned(),
            message,
        }])
        .postgrest(
            "23503",
            409,
            said.unwrap_or_else(|| format!("insert or update on table \"{relation}\" violates foreign key constraint \"{relation}_{field}_fkey\"")),
        )
        .details(format!("Key ({field})=({value}) is not present in table \"{target}\"."))
}

fn still(
    relation: &str,
    field: &str,
    (resource, value): (&str, Option<String>),
    said: Option<String>,
    call: &Call<'_>,
) -> Refusal {
    let value = value.map(|v| shorten(&v)).unwrap_or_default();
    let key = call.resource.key_field().map_or("id", |f| f.name.as_str());
    Refusal::new(
        &codes::STILL_REFERRED,
        format!("Rows of `{resource}` still refer to this row of `{relation}` in `{field}`."),
    )
    .hint(format!("Remove or change those rows of `{resource}` first."))
    .postgrest(
        "23503",
        409,
        said.unwrap_or_else(|| format!("update or delete on table \"{relation}\" violates foreign key constraint \"{resource}_{field}_fkey\" on table \"{resource}\"")),
    )
    .details(format!("Key ({key})=({value}) is still referenced from table \"{resource}\"."))
}

fn down(error: StoreError) -> Refusal {
    match error {
        StoreError::Deadline => Refusal::new(
            &codes::STATEMENT_DEADLINE,
            "The database did not answer in time; nothing was changed.",
        )
        .postgrest("57014", 504, "canceling statement due to statement timeout"),
        StoreError::Overloaded => Refusal::new(
            &codes::STORE_OVERLOADED,
            "Too many requests wait for the store already.",
        )
        .header(header::RETRY_AFTER, "1")
        .postgrest(
            "PGRST003",
            503,
            "Timed out acquiring connection from connection pool.",
        ),
        StoreError::Full(text) => Refusal::new(
            &codes::STORE_FULL,
            "The store has no space left; nothing was changed.",
        )
        .cause(text)
        .postgrest("53100", 507, "could not extend the database: no space left"),
        StoreError::NoPrimary(text) => Refusal::new(
            &codes::NO_PRIMARY,
            "No server of the store takes writes now. What replicas may answer is still read.",
        )
        .header(header::RETRY_AFTER, "1")
        .cause(text)
        .postgrest("PGRST000", 503, "Database connection error."),
        StoreError::Shard { shard, error } => of_shard(shard, &error),
        StoreError::NotOwned => down(StoreError::Unavailable(
            "a shard does not own the bucket".to_owned(),
        )),
        StoreError::Unavailable(text) => {
            Refusal::new(&codes::STORE_UNAVAILABLE, "The store does not answer.")
                .header(header::RETRY_AFTER, "1")
                .cause(text)
                .postgrest("PGRST000", 503, "Database connection error.")
        }
        other => Refusal::new(&common::INTERNAL, "The store met a state it did not expect.")
            .cause(other.to_string()),
    }
}

/// What a shard of several could not do: its number is safe to show, its address is not.
fn of_shard(shard: usize, error: &StoreError) -> Refusal {
    let (code, says, postgrest) = match error {
        StoreError::Deadline => (
            &codes::STATEMENT_DEADLINE,
            "did not answer in time; nothing was changed there",
            ("57014", 504, "canceling statement due to statement timeout"),
        ),
        StoreError::Overloaded => (
            &codes::STORE_OVERLOADED,
            "has too many requests waiting already",
            (
                "PGRST003",
                503,
                "Timed out acquiring connection from connection pool.",
            ),
        ),
        StoreError::NoPrimary(_) => (
            &codes::NO_PRIMARY,
            "has no server that takes writes now",
            ("PGRST000", 503, "Database connection error."),
        ),
        StoreError::Full(_) => (
            &codes::STORE_FULL,
            "has no space left; nothing was changed there",
            ("53100", 507, "could not extend the database: no space left"),
        ),
        _ => (
            &codes::STORE_UNAVAILABLE,
            "does not answer; rows of other shards are served",
            ("PGRST000", 503, "Database connection error."),
        ),
    };
    let mut refusal = Refusal::new(code, format!("Shard {shard} of the store {says}."))
        .cause(format!("shard {shard}: {error}"))
        .postgrest(postgrest.0, postgrest.1, postgrest.2);
    if code.status == 503 {
        refusal = refusal.header(header::RETRY_AFTER, "1");
    }
    refusal
}
