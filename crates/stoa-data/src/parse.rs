//! The query string of a request on a resource, in PostgREST's dialect, bound to the plan. Pure and total.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod filter;
pub(crate) mod loose;
mod operator;
pub(crate) mod order;
pub(crate) mod prefer;
pub(crate) mod scan;
pub(crate) mod select;

use crate::{
    codes,
    operation::{Condition, Embed, FieldIndex, Item, Order, ResourceIndex},
    refusal::{Refusal, Result, syntax, unknown_field},
    value::nearest,
};
use filter::Budget;
use operator::Operator;
use scan::{Pair, Scanner};
use std::sync::Arc;
use stoa_config::plan::{Field, Plan, Resource, StoreKind};

/// What a query string says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    /// What each row shows; embeds hold the caller's filters, not yet the rules.
    pub(crate) select: Arc<Vec<Item>>,
    /// Which rows.
    pub(crate) filter: Condition,
    /// In which order; not yet total.
    pub(crate) order: Vec<Order>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: Option<u64>,
    pub(crate) after: Option<String>,
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) on_conflict: Option<Vec<String>>,
    /// Which parameters were there, by kind.
    pub(crate) given: Vec<Kind>,
    /// The parameters that a cursor is bound to: filters and order as they came, sorted.
    pub(crate) shape: String,
    /// Every parameter but the position of the page, as it came: what a link to the next page repeats.
    pub(crate) kept: String,
    /// Whether `select` holds an embed.
    pub(crate) embeds: bool,
}

/// Kinds of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Select,
    Filter,
    Order,
    Limit,
    Offset,
    After,
    Columns,
    OnConflict,
    /// Anything about an embed.
    Embedded,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Filter => "a filter",
            Self::Order => "order",
            Self::Limit => "limit",
            Self::Offset => "offset",
            Self::After => "after",
            Self::Columns => "columns",
            Self::OnConflict => "on_conflict",
            Self::Embedded => "a parameter of an embed",
        }
    }
}

impl Query {
    /// What an empty query string says: all rows, each with these items.
    pub(crate) fn all(select: Arc<Vec<Item>>) -> Self {
        Self {
            select,
            filter: Condition::True,
            order: Vec::new(),
            limit: None,
            offset: None,
            after: None,
            columns: None,
            on_conflict: None,
            given: Vec::new(),
            shape: shape(&[]),
            kept: String::new(),
            embeds: false,
        }
    }

    /// Refuses parameters that do nothing on this method.
    pub(crate) fn only(&self, allowed: &[Kind], on: &str) -> Result<()> {
        match self.given.iter().find(|kind| !allowed.contains(kind)) {
            None => Ok(()),
            Some(kind) => {
                let detail = format!("{on} does not take {}.", kind.name());
                Err(Refusal::new(&codes::UNKNOWN_PARAMETER, detail.clone())
                    .postgrest("PGRST100", 400, detail))
            }
        }
    }
}

/// Whose names are read: a resource, and the embeds of one level of `select`.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    plan: &'a Plan,
    resource: ResourceIndex,
    items: &'a [Item],
}

impl<'a> Scope<'a> {
    pub(crate) fn new(plan: &'a Plan, resource: ResourceIndex, items: &'a [Item]) -> Self {
        Self {
            plan,
            resource,
            items,
        }
    }

    pub(crate) fn resource(&self) -> &'a Resource {
        &self.plan.resources[self.resource]
    }

    /// Whether the rows are in PostgreSQL, and the name of their store.
    pub(crate) fn store(&self) -> (bool, &'a str) {
        match self.plan.stores.get(self.resource().store) {
            Some(store) => (matches!(store.kind, StoreKind::Postgres { .. }), &store.name),
            None => (false, ""),
        }
    }

    /// The position among the items of the embed of this name.
    pub(crate) fn embed(&self, name: &str) -> Option<usize> {
        select::embed_of(self.items, name)
    }

    /// The embed at a position.
    pub(crate) fn embed_at(&self, position: usize) -> Option<&'a Embed> {
        match self.items.get(position) {
            Some(Item::Embed(embed)) => Some(embed),
            _ => None,
        }
    }

    pub(crate) fn embed_name(&self, position: usize) -> &'a str {
        self.embed_at(position).map_or("", |embed| &embed.name)
    }

    /// The level inside an embed.
    pub(crate) fn inside(&self, embed: &'a Embed) -> Self {
        Self::new(self.plan, embed.resource, &embed.select)
    }

    /// The field of this name.
    pub(crate) fn field(&self, name: &str) -> Result<(FieldIndex, &'a Field)> {
        let resource = self.resource();
        resource.field(name).ok_or_else(|| {
            let near = nearest(name, resource.fields.iter().map(|f| f.name.as_str()));
            unknown_field(&resource.name, name, near)
        })
    }

    /// Whether rows may be filtered by this field: `list.filter`, the key and the shard key.
    pub(crate) fn may_filter(&self, name: &str) -> bool {
        let resource = self.resource();
        resource.field(name).is_some_and(|(i, _)| {
            resource.list.filter.contains(&i)
                || resource.key.contains(&i)
                || resource.shard.field() == Some(i)
        })
    }

    /// Whether rows may be sorted by this field: `list.sort` and the key.
    pub(crate) fn may_sort(&self, name: &str) -> bool {
        let resource = self.resource();
        resource
            .field(name)
            .is_some_and(|(i, _)| resource.list.sort.contains(&i) || resource.key.contains(&i))
    }
}

/// Reads a query string. On the alias `after` is no parameter, and a `limit` that is no number is ignored.
pub(crate) fn query(plan: &Plan, resource: ResourceIndex, text: &str, alias: bool) -> Result<Query> {
    let pairs = scan::pairs(text, alias)?;
    if !alias {
        said_once(&pairs)?;
    }
    let selected = first(&pairs, "select");
    let items = select::select(plan, resource, selected.unwrap_or(""))?;
    let mut query = Query {
        embeds: items.iter().any(|item| matches!(item, Item::Embed(_))),
        shape: shape(&pairs),
        kept: kept(&pairs),
        ..Query::all(Arc::default())
    };
    let mut reader = Reader {
        plan,
        resource,
        alias,
        budget: Budget::default(),
        items,
    };
    for pair in &pairs {
        reader.pair(pair, &mut query)?;
    }
    if query.order.iter().any(|entry| entry.embed.is_some()) {
        // What an embed in the order is, `select` says.
        query.shape.push_str(selected.unwrap_or(""));
    }
    query.select = Arc::new(reader.items);
    Ok(query)
}

/// Of these the first would win and the others would do nothing.
fn said_once(pairs: &[Pair]) -> Result<()> {
    const ONCE: [&str; 7] = [
        "select",
        "order",
        "limit",
        "offset",
        "after",
        "columns",
        "on_conflict",
    ];
    for word in ONCE {
        if pairs.iter().filter(|p| p.key == word).count() > 1 {
            let detail = format!("`{word}` stands twice in the query string.");
            return Err(Refusal::new(&codes::BAD_QUERY, detail));
        }
    }
    Ok(())
}

fn first<'a>(pairs: &'a [Pair], key: &str) -> Option<&'a str> {
    pairs.iter().find(|p| p.key == key).map(|p| p.value.as_str())
}

fn shape(pairs: &[Pair]) -> String {
    if pairs.is_empty() {
        return String::from("[]");
    }
    let free = |key: &str| matches!(key, "select" | "limit" | "offset" | "after" | "columns");
    let mut shape: Vec<_> = pairs
        .iter()
        .filter(|p| !free(&p.key))
        .map(|p| (&p.key, &p.value))
        .collect();
    shape.sort();
    format!("{shape:?}")
}

fn kept(pairs: &[Pair]) -> String {
    let kept = pairs
        .iter()
        .filter(|p| !matches!(p.key.as_str(), "offset" | "after"));
    kept.map(|p| p.raw.as_str()).collect::<Vec<_>>().join("&")
}

struct Reader<'a> {
    plan: &'a Plan,
    resource: ResourceIndex,
    alias: bool,
    budget: Budget,
    items: Vec<Item>,
}

impl Reader<'_> {
    fn pair(&mut self, pair: &Pair, query: &mut Query) -> Result<()> {
        let Pair { key, value, .. } = pair;
        let scope = Scope::new(self.plan, self.resource, &self.items);
        let kind = match key.as_str() {
            "select" => Kind::Select,
            "columns" => {
                if query.columns.is_none() {
                    query.columns = Some(scan::names("columns parameter", value)?);
                }
                Kind::Columns
            }
            "on_conflict" => {
                if query.on_conflict.is_none() {
                    query.on_conflict = Some(scan::names("on_conflict parameter", value)?);
                }
                Kind::OnConflict
            }
            "order" => {
                if query.order.is_empty() {
                    query.order = order::order(&scope, value)?;
                }
                Kind::Order
            }
            "limit" => {
                query.limit = query.limit.or(number("limit", value, self.alias)?);
                Kind::Limit
            }
            "offset" => {
                query.offset = query.offset.or(number("offset", value, self.alias)?);
                Kind::Offset
            }
            "after" if !self.alias => {
                query.after = Some(value.clone());
                Kind::After
            }
            "and" | "or" | "not.and" | "not.or" => {
                let (or, negated) = (key.ends_with("or"), key.starts_with("not."));
                let tree = filter::tree(&scope, value, or, negated, &mut self.budget)?;
                query.filter = std::mem::replace(&mut query.filter, Condition::True).and(tree);
                Kind::Filter
            }
            _ => return self.other(pair, query),
        };
        query.given.push(kind);
        Ok(())
    }

    /// A filter, or a parameter of an embed.
    fn other(&mut self, pair: &Pair, query: &mut Query) -> Result<()> {
        let mut key = Scanner::new("filter", &pair.key);
        let level = Level {
            plan: self.plan,
            resource: self.resource,
            alias: self.alias,
            items: &mut self.items,
        };
        let mut ahead = key.clone();
        if let Ok(name) = ahead.name()
            && ahead.eat(".")
        {
            query.given.push(Kind::Embedded);
            return level.embedded(&name, &mut ahead, &pair.value, &mut self.budget);
        }
        if self.alias {
            // PostgREST reads the whole query string before it looks for the column.
            Operator::read(&mut Scanner::new("filter", &pair.value))?;
        }
        let scope = Scope::new(self.plan, self.resource, &self.items);
        let condition = filter::filter(&scope, &mut key, &pair.value, &mut self.budget);
        let condition = condition.map_err(|refusal| match refusal.code().name {
            "unknown-field" => unknown_parameter(scope.resource(), &pair.key, refusal),
            _ => refusal,
        })?;
        query.filter = std::mem::replace(&mut query.filter, Condition::True).and(condition);
        query.given.push(Kind::Filter);
        Ok(())
    }
}

/// The embeds of one level of `select`, while parameters are read into them.
struct Level<'a> {
    plan: &'a Plan,
    resource: ResourceIndex,
    alias: bool,
    items: &'a mut [Item],
}

impl Level<'_> {
    /// The position of the embed that a parameter names. PostgREST's callers may name its resource, whatever else it
    /// is called.
    fn position(&self, name: &str) -> Option<usize> {
        let by_resource = |item: &Item| match item {
            Item::Embed(embed) => self.plan.resources[embed.resource].name == name,
            Item::Field { .. } | Item::Aggregate { .. } => false,
        };
        select::embed_of(self.items, name)
            .or_else(|| self.items.iter().position(by_resource).filter(|_| self.alias))
    }

    /// A parameter of the embed `name`; `key` has been read behind the dot.
    fn embedded(self, name: &str, key: &mut Scanner<'_>, value: &str, budget: &mut Budget) -> Result<()> {
        let Some(position) = self.position(name) else {
            return Err(not_embedded(
                &Scope::new(self.plan, self.resource, self.items),
                name,
            ));
        };
        let Some(Item::Embed(embed)) = self.items.get_mut(position) else {
            return Ok(());
        };
        let scope = Scope::new(self.plan, embed.resource, &embed.select);
        let many = embed.join.is_many();
        let list_max = u64::from(scope.resource().list.max);
        match key.rest() {
            "order" if many => embed.order = order::order(&scope, value)?,
            "limit" if many => {
                embed.limit = number("limit", value, self.alias)?.map_or(list_max, |n| n.min(list_max));
            }
            "offset" if many => embed.offset = number("offset", value, self.alias)?.unwrap_or(0),
            // One row has no order: PostgREST takes these and does nothing.
            "order" | "limit" | "offset" if self.alias => {}
            word @ ("order" | "limit" | "offset") => {
                let detail = format!("`{name}` is one row, which takes no `{word}`.");
                return Err(Refusal::new(&codes::UNKNOWN_PARAMETER, detail));
            }
            rest @ ("and" | "or" | "not.and" | "not.or") => {
                let (or, negated) = (rest.ends_with("or"), rest.starts_with("not."));
                let tree = filter::tree(&scope, value, or, negated, budget)?;
                add(embed, tree);
            }
            _ => {
                let mut ahead = key.clone();
                if let Ok(name) = ahead.name()
                    && ahead.eat(".")
                {
                    let level = Level {
                        resource: embed.resource,
                        items: &mut embed.select,
                        ..self
                    };
                    return level.embedded(&name, &mut ahead, value, budget);
                }
                let condition = filter::filter(&scope, key, value, budget)?;
                add(embed, condition);
            }
        }
        Ok(())
    }
}

fn add(embed: &mut Embed, condition: Condition) {
    embed.filter = std::mem::replace(&mut embed.filter, Condition::True).and(condition);
}

pub(crate) fn not_embedded(scope: &Scope<'_>, name: &str) -> Refusal {
    let embeds = scope.items.iter().filter_map(|item| match item {
        Item::Embed(embed) => Some(&**embed),
        Item::Field { .. } | Item::Aggregate { .. } => None,
    });
    let renamed = embeds
        .clone()
        .find(|embed| scope.plan.resources[embed.resource].name == name);
    let near = renamed
        .map(|embed| &*embed.name)
        .or_else(|| nearest(name, embeds.map(|embed| &*embed.name)));
    let name = crate::refusal::shorten(name);
    Refusal::new(
        &codes::UNKNOWN_PARAMETER,
        format!("`{name}` is not embedded by `select`, so nothing about it can be asked."),
    )
    .hint(match near {
        Some(near) => format!("Did you mean `{near}`?"),
        None => format!("Add `{name}(*)` to `select`."),
    })
    .postgrest(
        "PGRST108",
        400,
        format!("'{name}' is not an embedded resource in this request"),
    )
    .exactly()
    .postgrest_hint(format!(
        "Verify that '{name}' is included in the 'select' query parameter."
    ))
}

/// A parameter that is neither a field nor a word of the dialect: the nearest of both is named.
fn unknown_parameter(resource: &Resource, key: &str, refusal: Refusal) -> Refusal {
    const WORDS: [&str; 9] = [
        "select",
        "order",
        "limit",
        "offset",
        "after",
        "columns",
        "on_conflict",
        "and",
        "or",
    ];
    let fields = resource.fields.iter().map(|f| f.name.as_str());
    match nearest(key, fields.chain(WORDS)) {
        Some(near) if WORDS.contains(&near) => refusal.hint(format!("Did you mean the parameter `{near}`?")),
        _ => refusal,
    }
}

/// `limit` and `offset`. The alias ignores what is no number, as PostgREST does.
pub(crate) fn number(name: &str, text: &str, alias: bool) -> Result<Option<u64>> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits {
        let n = text.parse::<u64>().ok().filter(|n| i64::try_from(*n).is_ok());
        return match n {
            Some(n) => Ok(Some(n)),
            // A page is cut to the resource's `max` however large a one is asked for.
            None if name == "limit" => Ok(Some(i64::MAX.unsigned_abs())),
            None => Err(syntax(
                &format!("{name} parameter"),
                text,
                0,
                "the number is too large",
            )),
        };
    }
    let negative = text
        .strip_prefix('-')
        .is_some_and(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()));
    if negative && name == "limit" && alias {
        return Err(
            Refusal::new(&codes::RANGE_NOT_SATISFIABLE, "`limit` must not be negative.")
                .postgrest("PGRST103", 416, "Requested range not satisfiable")
                .details("Limit should be greater than or equal to zero."),
        );
    }
    if alias {
        return Ok(None);
    }
    Err(syntax(
        &format!("{name} parameter"),
        text,
        0,
        "a number from 0 was expected",
    ))
}

#[cfg(test)]
mod tests;
