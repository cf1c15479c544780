//! Embeds that leave the shard group: their rows lie on other shards than the rows they stand in, so that no one statement
//! shows both. They are cut out of the selection, read by the keys that the first rows name, one query for each of them
//! whatever the number of rows, and put where they belong.

use crate::{
    codes,
    handler::Call,
    json::{self, Json},
    operation::{Condition, Count, Embed, FieldIndex, Item, Join, Order, Read, ResourceIndex, is_grouped},
    refusal::{Refusal, Result, too_complex},
    run_as,
    store::lie_together,
    value::{Value, from_json},
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use stoa_config::plan::{Plan, Shard, Type};

/// Rows that one embed may bring into a page.
const ROWS_MAX: u64 = 10_000;
/// Keys of one query.
const KEYS_MAX: usize = 1_000;
/// What the members begin with that hold the keys until the rows are there: no field is called so.
const HIDDEN: char = '\u{1f}';

/// One embed that was cut out.
#[derive(Debug)]
pub(crate) struct Stitch {
    /// Names of the embeds around it, from the outside.
    path: Vec<Box<str>>,
    /// The member that holds the key.
    hidden: Box<str>,
    /// Type of the key.
    ty: Type,
    /// What is read of the other resource.
    embed: Embed,
}

/// Whether an embed of a selection leaves the shard group.
pub(crate) fn is_needed(plan: &Plan, parent: ResourceIndex, items: &[Item]) -> bool {
    items.iter().any(|item| match item {
        Item::Embed(embed) => leaves(plan, parent, embed) || is_needed(plan, embed.resource, &embed.select),
        Item::Field { .. } | Item::Aggregate { .. } => false,
    })
}

/// Takes the embeds out of a selection that leave the shard group of the rows around them. Each leaves a member with the
/// key to find its rows by.
pub(crate) fn cut(plan: &Plan, resource: ResourceIndex, items: &mut [Item]) -> Result<Vec<Stitch>> {
    let mut stitches = Vec::new();
    cut_at(plan, resource, items, &mut Vec::new(), &mut stitches)?;
    Ok(stitches)
}

fn cut_at(
    plan: &Plan,
    parent: ResourceIndex,
    items: &mut [Item],
    path: &mut Vec<Box<str>>,
    stitches: &mut Vec<Stitch>,
) -> Result<()> {
    let grouped = is_grouped(items);
    for item in items {
        let Item::Embed(embed) = item else { continue };
        if !leaves(plan, parent, embed) {
            path.push(embed.name.clone());
            cut_at(plan, embed.resource, &mut embed.select, path, stitches)?;
            path.pop();
            continue;
        }
        if let Some(why) = needs_one_statement(embed, grouped) {
            return Err(spans(plan, parent, embed, why));
        }
        let field = match embed.join {
            Join::ToOne { field } => Some(field),
            _ => only(&plan.resources[parent].key),
        };
        let Some(field) = field else { continue };
        let hidden: Box<str> = format!("{HIDDEN}{}", stitches.len()).into();
        let ty = plan.resources[parent].fields[field].ty.value().clone();
        let key = Item::Field {
            field,
            path: Vec::new(),
            cast: None,
            name: hidden.clone(),
        };
        if let Item::Embed(embed) = std::mem::replace(item, key) {
            stitches.push(Stitch {
                path: path.clone(),
                hidden,
                ty,
                embed: *embed,
            });
        }
    }
    Ok(())
}

/// What of an embed cannot be read apart from the rows around it, which may be groups.
fn needs_one_statement(embed: &Embed, grouped: bool) -> Option<&'static str> {
    if grouped {
        Some("grouping by them needs one statement")
    } else if embed.inner {
        Some("`!inner` and filters by whether it is there need one statement")
    } else if embed.spread {
        Some("spreading it needs one statement")
    } else if is_grouped(&embed.select) {
        Some("aggregates of it need one statement")
    } else if matches!(
        embed.join,
        Join::Through(_) | Join::Along(_) | Join::Called { .. }
    ) {
        Some("what lies between them needs one statement")
    } else if embed.order.iter().any(|entry| entry.embed.is_some()) {
        Some("sorting it by what it embeds needs one statement")
    } else {
        None
    }
}

fn only(key: &[FieldIndex]) -> Option<FieldIndex> {
    match key {
        [field] => Some(*field),
        _ => None,
    }
}

/// Whether the rows of an embed may lie on another shard than those around them.
fn leaves(plan: &Plan, parent: ResourceIndex, embed: &Embed) -> bool {
    let (from, to) = (&plan.resources[parent], &plan.resources[embed.resource]);
    if from.store != to.store {
        return true;
    }
    let together = match &embed.join {
        Join::ToOne { field } => lie_together(from, *field, to),
        Join::ToMany { field } | Join::OneToOne { field } => lie_together(to, *field, from),
        // Of existing tables only, which lie on one shard.
        Join::Along(_) | Join::Called { .. } => from.shard == Shard::Single && to.shard == Shard::Single,
        Join::Through(through) => {
            let between = &plan.resources[through.resource];
            let with = |pairs: &[(FieldIndex, FieldIndex)], end| match pairs {
                [(field, _)] => lie_together(between, *field, end),
                _ => between.shard == Shard::Single && end.shard == Shard::Single,
            };
            between.store == from.store && with(&through.near, from) && with(&through.far, to)
        }
    };
    plan.stores[from.store].is_in_parts() && !together
}

/// Refuses an order by an embed that is to be cut out.
pub(crate) fn judge_order(plan: &Plan, read: &Read) -> Result<()> {
    for embed in read.order.iter().filter_map(|entry| entry.embed) {
        if let Some(Item::Embed(embed)) = read.select.get(embed)
            && leaves(plan, read.resource, embed)
        {
            return Err(spans(
                plan,
                read.resource,
                embed,
                "sorting by them needs one statement",
            ));
        }
    }
    Ok(())
}

/// Refuses a condition on an embed that was cut out.
pub(crate) fn judge(plan: &Plan, read: &Read, condition: &Condition) -> Result<()> {
    match condition {
        Condition::Embedded { item } => match read.select.get(*item) {
            Some(Item::Embed(embed)) if leaves(plan, read.resource, embed) => Err(spans(
                plan,
                read.resource,
                embed,
                "filters by whether it is there need one statement",
            )),
            _ => Ok(()),
        },
        Condition::And(list) | Condition::Or(list) => list.iter().try_for_each(|c| judge(plan, read, c)),
        Condition::Not(inner) => judge(plan, read, inner),
        _ => Ok(()),
    }
}

fn spans(plan: &Plan, parent: ResourceIndex, embed: &Embed, why: &str) -> Refusal {
    let from = &plan.resources[parent].name;
    let says = format!(
        "The rows of `{}` lie on other shards than those of `{from}`, and {why}.",
        embed.name
    );
    let to = &plan.resources[embed.resource].name;
    let remedy = match &embed.join {
        Join::Through(through) if !embed.inner && !embed.spread => {
            let between = &plan.resources[through.resource].name;
            format!("Embed what lies between: `{between}({to}(…))`.")
        }
        _ => format!(
            "Embed `{0}` without it, or ask `{0}` first and filter by its keys.",
            embed.name
        ),
    };
    Refusal::new(&codes::SPANS_SHARDS, says.clone())
        .hint(remedy)
        .postgrest("PGRST127", 400, "Feature not implemented")
        .details(says)
}

/// Reads what was cut out and puts it where it belongs. `rows` as the store renders them, joined by commas.
pub(crate) async fn sew(call: &Call<'_>, rows: Vec<u8>, stitches: Vec<Stitch>) -> Result<Vec<u8>> {
    let mut whole = vec![b'['];
    whole.extend_from_slice(&rows);
    whole.push(b']');
    let mut rows = json::parse_own(&whole).map_err(|e| broken(e.to_string()))?;
    for stitch in stitches {
        let mut keys = Vec::new();
        let mut seen = HashSet::new();
        each(&mut rows, &stitch.path, &mut |members| {
            if let Some(value) = key(members, &stitch)
                && seen.insert(value.to_string())
            {
                keys.push(value);
            }
        });
        let mut found = HashMap::new();
        if !stitch.embed.select.is_empty() {
            for part in keys.chunks(KEYS_MAX) {
                stitch.read(call, part, &mut found).await?;
            }
        }
        each(&mut rows, &stitch.path, &mut |members| {
            let key = key(members, &stitch);
            let own = key.and_then(|key| found.get(&key.to_string()));
            stitch.fill(members, own.map(Vec::as_slice).unwrap_or_default());
        });
    }
    let text = rows.to_text();
    Ok(text
        .as_bytes()
        .get(1..text.len() - 1)
        .unwrap_or_default()
        .to_vec())
}

impl Stitch {
    /// Reads the rows of some keys, by the key.
    async fn read(
        &self,
        call: &Call<'_>,
        keys: &[Value],
        found: &mut HashMap<String, Vec<Json>>,
    ) -> Result<()> {
        let embed = &self.embed;
        let other = &call.plan().resources[embed.resource];
        let (field, limit) = match embed.join {
            Join::ToMany { field } => (field, ROWS_MAX),
            Join::OneToOne { field } => (field, keys.len() as u64),
            _ => (only(&other.key).unwrap_or_default(), keys.len() as u64),
        };
        let mut select = embed.select.clone();
        select.push(Item::Field {
            field,
            path: Vec::new(),
            cast: None,
            name: self.hidden.clone(),
        });
        let filter = Condition::In {
            field,
            path: Vec::new(),
            values: keys.to_vec(),
        };
        let by_key = || Order {
            embed: None,
            field,
            path: Vec::new(),
            descending: false,
            nulls_first: false,
        };
        let read = Read {
            resource: embed.resource,
            select: Arc::new(select),
            filter: filter.and(embed.filter.clone()),
            order: match embed.join {
                Join::ToMany { .. } => embed.order.clone(),
                _ => vec![by_key()],
            },
            limit,
            offset: 0,
            after: None,
            count: Count::None,
            bucket: None,
            partial: false,
            fresh: call.freshness(other, &embed.select),
            run_as: run_as::of(call, other.store)?,
        };
        let page = Box::pin(call.fetch(&read)).await?;
        if page.more {
            return Err(too_complex(format!(
                "`{}` has more than {ROWS_MAX} rows for the rows of this page; ask for fewer at once.",
                embed.name
            )));
        }
        let mut whole = vec![b'['];
        whole.extend_from_slice(&page.json);
        whole.push(b']');
        let Json::Array(rows) = json::parse_own(&whole).map_err(|e| broken(e.to_string()))? else {
            return Ok(());
        };
        for mut row in rows {
            let Json::Object(members) = &mut row else { continue };
            if let Some(value) = key(members, self) {
                members.retain(|(name, _)| *name != self.hidden);
                found.entry(value.to_string()).or_default().push(row);
            }
        }
        Ok(())
    }

    /// Puts the rows in place of the key.
    fn fill(&self, members: &mut Members, own: &[Json]) {
        let Some(at) = members.iter().position(|(name, _)| *name == self.hidden) else {
            return;
        };
        let embed = &self.embed;
        if embed.select.is_empty() {
            members.remove(at);
            return;
        }
        let shown = match embed.join {
            Join::ToMany { .. } => {
                let from = usize::try_from(embed.offset).unwrap_or(usize::MAX);
                let most = usize::try_from(embed.limit).unwrap_or(usize::MAX);
                Json::Array(own.iter().skip(from).take(most).cloned().collect())
            }
            _ => own.first().cloned().unwrap_or(Json::Null),
        };
        members[at] = (embed.name.clone(), shown);
    }
}

/// The key that a row names.
fn key(members: &[(Box<str>, Json)], stitch: &Stitch) -> Option<Value> {
    let (_, json) = members.iter().find(|(name, _)| *name == stitch.hidden)?;
    from_json(&stitch.ty, json).ok().filter(|value| !value.is_null())
}

/// The members of an object, in order.
type Members = Vec<(Box<str>, Json)>;

/// Every row inside the embeds that a path names.
fn each(json: &mut Json, path: &[Box<str>], visit: &mut dyn FnMut(&mut Members)) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(|item| each(item, path, visit)),
        Json::Object(members) => match path.split_first() {
            None => visit(members),
            Some((name, rest)) => members
                .iter_mut()
                .filter(|(own, _)| own == name)
                .for_each(|(_, inner)| each(inner, rest, visit)),
        },
        _ => {}
    }
}

fn broken(why: String) -> Refusal {
    Refusal::new(
        &stoa_exchange::codes::INTERNAL,
        "The rows could not be put together.",
    )
    .cause(why)
}
