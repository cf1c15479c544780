//! Rows into a store: each is validated as any new row is, but for what the server fills in, which comes along. A row that
//! is there already becomes what came, so that an import that ended early is run again.

use super::{EACH, FORMAT, Stores, TransferError, VERSION, export::whole, in_order, store_of};
use crate::json::{Json, parse_own};
use crate::operation::{Change, Condition, Conflict, Count, Write};
use crate::parse::body::Row;
use crate::store::{Outcome, StoreError};
use crate::validate::{Check, Completion, NewRow, Rules};
use crate::value::Value;
use crate::write::columns_of;
use std::collections::BTreeMap;
use stoa_config::plan::{Plan, Resource};
use stoa_exchange::clock;

/// Rows that wait for what they refer to, at most.
const WAITING_MAX: usize = 100_000;
/// Faults of one line that are shown.
const FAULTS_SHOWN: usize = 5;

/// Rows of a resource that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The resource.
    pub resource: String,
    /// Rows that came.
    pub rows: u64,
    /// Rows that are in it now.
    pub there: u64,
}

/// An import that is under way.
pub struct Import<'a> {
    plan: &'a Plan,
    stores: &'a Stores,
    rules: Vec<Rules>,
    /// Positions of the resources that are wanted.
    wanted: Vec<usize>,
    is_begun: bool,
    /// How many rows of each resource the last line says there were.
    end: Option<BTreeMap<String, u64>>,
    came: BTreeMap<usize, u64>,
    /// Rows that refer to some that have not come yet.
    waiting: Vec<(usize, NewRow)>,
}

impl<'a> Import<'a> {
    /// Into the resources of a plan that are wanted and whose tables Stoa made.
    pub fn new(plan: &'a Plan, stores: &'a Stores, wanted: &dyn Fn(&str) -> bool) -> Self {
        Self {
            plan,
            stores,
            rules: plan.resources.iter().map(Rules::new).collect(),
            wanted: in_order(plan, wanted),
            is_begun: false,
            end: None,
            came: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    /// Takes a line.
    ///
    /// # Errors
    /// [`TransferError`] when it is none of an export, or its rows do not fit or cannot be written.
    pub async fn line(&mut self, line: &[u8]) -> Result<(), TransferError> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let parsed = parse_own(line).map_err(|e| input(format!("a line is not JSON: {e}")))?;
        let Json::Object(members) = parsed else {
            return Err(input("a line is no JSON object"));
        };
        if !self.is_begun {
            return self.head(&members);
        }
        if self.end.is_some() {
            return Err(input("something follows after the line with the counts"));
        }
        let get = |wanted: &str| member(&members, wanted);
        if let Some(Json::Object(counts)) = get("end") {
            let count = |(name, count): &(Box<str>, Json)| Some((name.to_string(), number(count)?));
            self.end = Some(counts.iter().filter_map(count).collect());
            return Ok(());
        }
        match (get("resource"), get("rows")) {
            (Some(Json::Text(resource)), Some(Json::Array(rows))) => self.rows(resource, rows).await,
            _ => Err(input("a line holds neither rows nor counts")),
        }
    }

    fn head(&mut self, members: &[(Box<str>, Json)]) -> Result<(), TransferError> {
        let get = |wanted: &str| member(members, wanted);
        match (get("stoa"), get("version").and_then(number)) {
            (Some(Json::Text(format)), Some(VERSION)) if &**format == FORMAT => {
                self.is_begun = true;
                Ok(())
            }
            (Some(_), Some(version)) => Err(input(format!(
                "it was written as version {version} of the form; this Stoa reads {VERSION}"
            ))),
            _ => Err(input(
                "this is not what `stoa data export` writes: its first line is another",
            )),
        }
    }

    async fn rows(&mut self, name: &str, rows: &[Json]) -> Result<(), TransferError> {
        let plan = self.plan;
        let Some(at) = plan.resources.iter().position(|r| r.name == name) else {
            return Err(input(format!(
                "there is no resource `{name}` in the API file: import with the file that it was exported with, or leave it out with --only"
            )));
        };
        if !self.wanted.contains(&at) {
            return Ok(());
        }
        let resource = &plan.resources[at];
        let mut check = Check::new(resource, &self.rules[at]);
        check.is_whole = true;
        let mut new = Vec::with_capacity(rows.len());
        for (position, row) in rows.iter().enumerate() {
            let Json::Object(row) = row else {
                return Err(input(format!("`{name}`: a row is no JSON object")));
            };
            let row: &Row = row;
            new.push(check.create(position, row, Completion::default()));
        }
        if let Some(refusal) = check.finish(true) {
            let problem = refusal.into_problem(false);
            let shown = problem.errors.iter().take(FAULTS_SHOWN);
            let shown = shown.map(|e| {
                let place = e
                    .field
                    .split_once('.')
                    .and_then(|(row, field)| Some((row.parse().ok()?, field)));
                let (row, field): (usize, &str) = place.unwrap_or((0, &e.field));
                format!("\n  {}: {field} {}", key_of(resource, rows.get(row)), e.message)
            });
            return Err(input(format!(
                "`{name}`: rows do not fit:{}",
                shown.collect::<String>()
            )));
        }
        let count = u64::try_from(new.len()).unwrap_or(0);
        self.put(at, new).await?;
        *self.came.entry(at).or_default() += count;
        Ok(())
    }

    /// Writes rows; those that refer to what is not there yet wait.
    async fn put(&mut self, at: usize, rows: Vec<NewRow>) -> Result<(), TransferError> {
        let mut left = vec![rows];
        while let Some(rows) = left.pop() {
            for mut rows in self.try_put(at, rows).await? {
                if rows.len() < 2 {
                    self.waiting.extend(rows.into_iter().map(|row| (at, row)));
                } else {
                    let second = rows.split_off(rows.len() / 2);
                    left.extend([second, rows]);
                }
            }
            if self.waiting.len() > WAITING_MAX {
                let name = &self.plan.resources[at].name;
                return Err(input(format!(
                    "`{name}`: more than {WAITING_MAX} rows refer to rows that have not come"
                )));
            }
        }
        Ok(())
    }

    /// Writes rows, each shard's in a transaction of its own; gives those back that refer to what is not there.
    async fn try_put(&self, at: usize, rows: Vec<NewRow>) -> Result<Vec<Vec<NewRow>>, TransferError> {
        let resource = &self.plan.resources[at];
        let store = store_of(self.plan, self.stores, at)?;
        let write = insert(at, resource, rows.clone());
        let failed = |error| TransferError::Store {
            resource: resource.name.clone(),
            error,
        };
        match store.write(write, clock::now() + EACH, None).await {
            Ok(done) => match done.outcome {
                Outcome::Written(_) => Ok(Vec::new()),
                Outcome::Replayed(_) => Err(failed(StoreError::Internal("a kept reply".to_owned()))),
                Outcome::Parts(parts) => {
                    let mut back = Vec::new();
                    for part in parts {
                        match part.result {
                            Ok(_) => {}
                            Err(StoreError::Reference { .. }) => {
                                back.push(part.rows.iter().filter_map(|r| rows.get(*r).cloned()).collect());
                            }
                            Err(error) => return Err(failed(error)),
                        }
                    }
                    Ok(back)
                }
            },
            Err(StoreError::Reference { .. }) => Ok(vec![rows]),
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes what waited, and looks whether everything came. Gives what came, in the order of references.
    ///
    /// # Errors
    /// [`TransferError`] when the input ended early, rows refer to none, or a store has fewer rows than came.
    pub async fn finish(mut self) -> Result<Vec<Moved>, TransferError> {
        let Some(end) = self.end.take() else {
            return Err(input(
                "the input ends before its last line: what came is there; run it again with all of it, nothing doubles",
            ));
        };
        loop {
            let waited = std::mem::take(&mut self.waiting);
            let before = waited.len();
            for (at, row) in waited {
                self.put(at, vec![row]).await?;
            }
            match self.waiting.first() {
                None => break,
                Some((at, _)) if self.waiting.len() == before => {
                    return Err(input(format!(
                        "`{}`: {before} rows refer to rows that did not come",
                        self.plan.resources[*at].name
                    )));
                }
                Some(_) => {}
            }
        }
        let mut moved = Vec::new();
        for at in &self.wanted {
            let resource = &self.plan.resources[*at];
            let rows = self.came.get(at).copied().unwrap_or(0);
            let said = end.get(&resource.name).copied();
            if said.unwrap_or(0) != rows {
                return Err(input(format!(
                    "`{}`: {rows} rows came of {}",
                    resource.name,
                    said.unwrap_or(0)
                )));
            }
            let there = self.count(*at).await?;
            if there < rows {
                return Err(input(format!(
                    "`{}`: {rows} rows were written and {there} are there: somebody removes rows meanwhile",
                    resource.name
                )));
            }
            if said.is_some() {
                moved.push(Moved {
                    resource: resource.name.clone(),
                    rows,
                    there,
                });
            }
        }
        Ok(moved)
    }

    async fn count(&self, at: usize) -> Result<u64, TransferError> {
        let resource = &self.plan.resources[at];
        let mut read = whole(at, resource);
        read.limit = 1;
        read.count = Count::Exact;
        let store = store_of(self.plan, self.stores, at)?;
        let page = store.read(&read, clock::now() + EACH).await;
        let page = page.map_err(|error| TransferError::Store {
            resource: resource.name.clone(),
            error,
        })?;
        Ok(page.total.unwrap_or(0))
    }
}

/// The member of this name.
fn member<'j>(members: &'j [(Box<str>, Json)], name: &str) -> Option<&'j Json> {
    let found = members.iter().find(|(own, _)| &**own == name);
    found.map(|(_, value)| value)
}

fn insert(at: usize, resource: &Resource, rows: Vec<NewRow>) -> Write {
    let (fields, rows, buckets) = columns_of(rows, resource.fields.len(), &Value::Null);
    let stays = |field: &usize| resource.key.contains(field) || resource.shard.field() == Some(*field);
    let set: Vec<usize> = fields.iter().copied().filter(|field| !stays(field)).collect();
    let conflict = if set.is_empty() {
        Conflict::Ignore { on: Vec::new() }
    } else {
        Conflict::Merge {
            on: Vec::new(),
            set,
            filter: Condition::True,
        }
    };
    Write {
        resource: at,
        change: Change::Insert {
            fields,
            rows,
            buckets,
            conflict,
            check: Condition::True,
        },
        returning: None,
        max_affected: None,
        exactly_one: false,
        rollback: false,
        idempotency: None,
        must_exist: Vec::new(),
        run_as: None,
        per_shard: true,
    }
}

/// A row by its key, for messages.
fn key_of(resource: &Resource, row: Option<&Json>) -> String {
    let name = resource
        .key
        .first()
        .and_then(|key| resource.fields.get(*key))
        .map(|field| &field.name);
    let (Some(name), Some(Json::Object(row))) = (name, row) else {
        return "a row".to_owned();
    };
    member(row, name).map_or_else(|| "a row".to_owned(), Json::to_text)
}

fn number(value: &Json) -> Option<u64> {
    match value {
        Json::Number(text) => text.parse().ok(),
        _ => None,
    }
}

fn input(text: impl Into<String>) -> TransferError {
    TransferError::Input(text.into())
}
