//! Groups of rows that lie on several shards: each shard gives its part of every aggregate, and the parts become what one
//! database would have given. Pure.
//!
//! Sums and averages keep PostgreSQL's digits; texts are compared by their bytes, as in all tables that Stoa makes. What
//! one database alone knows exactly is refused before it is asked for.

mod value;

use super::merge::{self, Window};
use crate::operation::{Aggregate, Cast, Count, Embed, FieldIndex, Item, Order, Read, Term};
use crate::parse::select;
use crate::store::json::{write_text, write_value};
use crate::store::{Page, StoreError};
use crate::value::Value;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use stoa_config::plan::{Plan, Resource};

/// Groups that are put together at most; as many are asked of one shard.
const GROUPS_MAX: u64 = 10_000;

/// How a member of a group comes from the parts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Made {
    /// It is what the rows have in common.
    Key,
    Count,
    Sum,
    /// From a sum and a count.
    Average,
    /// The smallest (`Less`) or the largest.
    Extreme(Ordering),
}

/// One member of a group.
#[derive(Debug)]
struct Member {
    name: Box<str>,
    made: Made,
    /// `::type` of the result, where the shards do not make it already.
    cast: Option<Cast>,
    /// Which column of a part it comes from.
    first: usize,
    /// The count of an average, or the extreme as it is shown.
    second: Option<usize>,
    /// By what a group can be ordered: the embed that is spread, and its field.
    field: Option<(Option<usize>, FieldIndex)>,
}

/// How the groups of a read are asked for and put together.
#[derive(Debug)]
pub(super) struct Groups {
    select: Vec<Item>,
    members: Vec<Member>,
    /// The order, total over groups where it can be.
    order: Vec<Order>,
    /// The member of each entry of the order.
    sorted: Vec<usize>,
    /// Groups of each shard that are enough: the first ones, or `None` when all are needed.
    first: Option<u64>,
    /// Columns of a part.
    columns: usize,
}

impl Groups {
    /// How `read`, which has aggregates, is spread.
    ///
    /// # Errors
    /// [`StoreError::SpansShards`] for what cannot be put together exactly.
    pub(super) fn new(plan: &Plan, read: &Read) -> Result<Self, StoreError> {
        let mut groups = Self {
            select: Vec::new(),
            members: Vec::new(),
            order: read.order.clone(),
            sorted: Vec::new(),
            first: None,
            columns: 0,
        };
        groups.select = groups.level(&read.select, Level::Own)?;
        if groups.make_total(plan, read) && read.count == Count::None {
            groups.first = Some(read.limit.saturating_add(read.offset));
        }
        for entry in &groups.order {
            let is = |m: &Member| m.field == Some((entry.embed, entry.field));
            let member = groups.members.iter().position(is).ok_or_else(|| {
                StoreError::Internal("groups ordered by what they do not have in common".to_owned())
            })?;
            groups.sorted.push(member);
        }
        Ok(groups)
    }

    /// What a shard is asked.
    pub(super) fn part(&self, part: &mut Read) {
        part.select = Arc::new(self.select.clone());
        part.order.clone_from(&self.order);
        part.limit = self.first.unwrap_or(GROUPS_MAX);
        part.count = Count::None;
    }

    /// The items of a level as a shard is asked for them. What is needed beside them stands at the end, since positions of
    /// items mean something.
    fn level(&mut self, items: &[Item], level: Level) -> Result<Vec<Item>, StoreError> {
        let mut asked = Vec::with_capacity(items.len());
        let mut beside = Vec::new();
        for (position, item) in items.iter().enumerate() {
            match item {
                Item::Field {
                    field,
                    path,
                    cast,
                    name,
                } => {
                    let plain = path.is_empty() && cast.is_none();
                    self.key(name, level.place(*field).filter(|_| plain));
                    asked.push(item.clone());
                }
                Item::Aggregate {
                    function,
                    of,
                    cast,
                    name,
                } => {
                    let (first, second) = self.aggregate((*function, of.as_ref(), *cast), name)?;
                    asked.push(first);
                    beside.extend(second.map(|second| (self.members.len() - 1, second)));
                }
                Item::Embed(embed) if embed.spread && !embed.join.is_many() => {
                    let inside = self.level(&embed.select, level.inside(position))?;
                    asked.push(Item::Embed(Box::new(Embed {
                        select: inside,
                        ..(**embed).clone()
                    })));
                }
                Item::Embed(_) => {
                    for name in select::names(std::slice::from_ref(item)) {
                        self.key(name, None);
                    }
                    asked.push(item.clone());
                }
            }
        }
        for (member, item) in beside {
            let column = self.column();
            if let Some(member) = self.members.get_mut(member) {
                member.second = Some(column);
            }
            asked.push(item);
        }
        Ok(asked)
    }

    fn column(&mut self) -> usize {
        self.columns += 1;
        self.columns - 1
    }

    fn key(&mut self, name: &str, field: Option<(Option<usize>, FieldIndex)>) {
        let first = self.column();
        self.members.push(Member {
            name: name.into(),
            made: Made::Key,
            cast: None,
            first,
            second: None,
            field,
        });
    }

    /// An aggregate as a shard is asked for it, and what is needed beside it.
    fn aggregate(
        &mut self,
        (function, of, cast): (Aggregate, Option<&Term>, Option<Cast>),
        name: &str,
    ) -> Result<(Item, Option<Item>), StoreError> {
        let adds = matches!(function, Aggregate::Sum | Aggregate::Avg);
        if adds && of.is_some_and(|term| term.cast == Some(Cast::Float4)) {
            return Err(StoreError::SpansShards {
                why: format!(
                    "`{}()` of four-byte floats depends on which of them are added first, and these lie on several shards",
                    function.name()
                ),
                remedy: "Cast them to `float8` or `numeric`, or filter by one shard key.".to_owned(),
            });
        }
        let ask = |function: Aggregate, cast: Option<Cast>| Item::Aggregate {
            function,
            of: of.cloned(),
            cast,
            name: name.into(),
        };
        let first = self.column();
        let (made, asked, beside) = match function {
            Aggregate::Count => (Made::Count, Aggregate::Count, None),
            Aggregate::Sum => (Made::Sum, Aggregate::Sum, None),
            Aggregate::Avg => (Made::Average, Aggregate::Sum, Some(ask(Aggregate::Count, None))),
            // What wins is shown as its own shard casts it.
            Aggregate::Min => (
                Made::Extreme(Ordering::Less),
                function,
                cast.map(|_| ask(function, cast)),
            ),
            Aggregate::Max => (
                Made::Extreme(Ordering::Greater),
                function,
                cast.map(|_| ask(function, cast)),
            ),
        };
        self.members.push(Member {
            name: name.into(),
            made,
            cast: cast.filter(|_| !matches!(made, Made::Extreme(_))),
            first,
            second: None,
            field: None,
        });
        Ok((ask(asked, None), beside))
    }

    /// Puts everything that groups have in common behind the order, so that no two are equal in it; the first groups of
    /// each shard then hold every part of the first groups of all. False where a part of it has no order that is known here.
    fn make_total(&mut self, plan: &Plan, read: &Read) -> bool {
        let keys = self.members.iter().filter(|m| m.made == Made::Key);
        let Some(fields) = keys.map(|m| m.field).collect::<Option<Vec<_>>>() else {
            return false;
        };
        let scalar = |(embed, field): &(Option<usize>, FieldIndex)| {
            let resource = match embed.and_then(|at| read.select.get(at)) {
                Some(Item::Embed(embed)) => embed.resource,
                _ => read.resource,
            };
            let resource: Option<&Resource> = plan.resources.get(resource);
            resource
                .and_then(|r| r.fields.get(*field))
                .is_some_and(|f| f.ty.value().is_scalar())
        };
        if !fields.iter().all(scalar) {
            return false;
        }
        for (embed, field) in fields {
            if !self.order.iter().any(|o| (o.embed, o.field) == (embed, field)) {
                self.order.push(Order {
                    embed,
                    field,
                    path: Vec::new(),
                    descending: false,
                    nulls_first: false,
                });
            }
        }
        true
    }

    /// The groups of all parts. `counted`: whether their number is asked for.
    ///
    /// # Errors
    /// [`StoreError::SpansShards`] for too many groups, [`StoreError::Server`] as PostgreSQL refuses a sum or a cast.
    pub(super) fn merge(&self, pages: &[Page], window: Window, counted: bool) -> Result<Page, StoreError> {
        let cut = pages.iter().any(|page| page.more);
        if cut && self.first.is_none() {
            return Err(too_many());
        }
        let mut groups: Vec<Vec<Value>> = Vec::new();
        let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
        for mark in pages.iter().flat_map(|page| &page.marks) {
            let part = &mark.position;
            if part.len() != self.columns {
                return Err(StoreError::Internal(
                    "a part of groups of another shape".to_owned(),
                ));
            }
            let at = *known.entry(self.identity(part)?).or_insert(groups.len());
            match groups.get_mut(at) {
                Some(group) => self.add(group, part)?,
                None => groups.push(part.clone()),
            }
            if groups.len() as u64 > GROUPS_MAX && self.first.is_none() {
                return Err(too_many());
            }
        }
        groups.sort_by(|a, b| self.compare(a, b));
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let mut page = Page {
            total: counted.then_some(groups.len() as u64),
            more: cut || groups.len() as u64 > window.offset.saturating_add(window.limit),
            ..Page::default()
        };
        for group in groups.iter().skip(size(window.offset)).take(size(window.limit)) {
            if page.rows > 0 {
                page.json.push(b',');
            }
            self.write(group, &mut page.json)?;
            page.rows += 1;
        }
        Ok(page)
    }

    /// What two parts of one group have alike.
    fn identity(&self, part: &[Value]) -> Result<Vec<u8>, StoreError> {
        let mut all = Vec::new();
        for member in self.members.iter().filter(|m| m.made == Made::Key) {
            let mut one = Vec::new();
            if let Some(key) = part.get(member.first) {
                value::identity(key, &mut one)?;
            }
            all.extend_from_slice(&(one.len() as u64).to_le_bytes());
            all.extend_from_slice(&one);
        }
        Ok(all)
    }

    /// Adds a part to its group.
    fn add(&self, group: &mut [Value], part: &[Value]) -> Result<(), StoreError> {
        for member in &self.members {
            let (Some(own), Some(more)) = (group.get(member.first), part.get(member.first)) else {
                continue;
            };
            match member.made {
                Made::Key => {}
                Made::Count | Made::Sum | Made::Average => {
                    let sum = value::sum(own, more)?;
                    set(group, member.first, sum);
                    if let Some(second) = member.second
                        && let (Some(own), Some(more)) = (group.get(second), part.get(second))
                    {
                        let count = value::sum(own, more)?;
                        set(group, second, count);
                    }
                }
                Made::Extreme(wins) => {
                    if value::beats(more, own, wins)? {
                        for column in [Some(member.first), member.second].into_iter().flatten() {
                            set(group, column, part.get(column).cloned().unwrap_or(Value::Null));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn compare(&self, a: &[Value], b: &[Value]) -> Ordering {
        let entries = self.order.iter().zip(&self.sorted);
        entries
            .filter_map(|(entry, member)| {
                let column = self.members.get(*member)?.first;
                Some(merge::one(entry, a.get(column)?, b.get(column)?))
            })
            .find(|found| *found != Ordering::Equal)
            .unwrap_or(Ordering::Equal)
    }

    /// A group as a JSON object.
    fn write(&self, group: &[Value], json: &mut Vec<u8>) -> Result<(), StoreError> {
        json.push(b'{');
        for (position, member) in self.members.iter().enumerate() {
            if position > 0 {
                json.push(b',');
            }
            write_text(&member.name, json);
            json.push(b':');
            let at = |column: usize| group.get(column).unwrap_or(&Value::Null);
            let shown = match (member.made, member.second) {
                (Made::Average, Some(count)) => value::average(at(member.first), at(count))?,
                (Made::Extreme(_), Some(cast)) => at(cast).clone(),
                _ => at(member.first).clone(),
            };
            let shown = match member.cast {
                Some(cast) => value::cast(shown, cast)?,
                None => shown,
            };
            write_value(&value::shown(shown), json);
        }
        json.push(b'}');
        Ok(())
    }
}

/// Where the items of a level stand.
#[derive(Clone, Copy, Debug)]
enum Level {
    /// In the row itself.
    Own,
    /// In the embed at this position among the row's items, which is spread.
    Spread(usize),
    /// Deeper, where an order does not reach.
    Deep,
}

impl Level {
    fn inside(self, position: usize) -> Self {
        match self {
            Self::Own => Self::Spread(position),
            Self::Spread(_) | Self::Deep => Self::Deep,
        }
    }

    fn place(self, field: FieldIndex) -> Option<(Option<usize>, FieldIndex)> {
        match self {
            Self::Own => Some((None, field)),
            Self::Spread(embed) => Some((Some(embed), field)),
            Self::Deep => None,
        }
    }
}

fn set(group: &mut [Value], column: usize, value: Value) {
    if let Some(own) = group.get_mut(column) {
        *own = value;
    }
}

fn too_many() -> StoreError {
    StoreError::SpansShards {
        why: format!(
            "the rows form more than {GROUPS_MAX} groups on several shards, and no more are put together"
        ),
        remedy: "Filter, group by fewer or by plain fields without asking for the count, or filter by one shard key.".to_owned(),
    }
}

#[cfg(test)]
mod tests;
