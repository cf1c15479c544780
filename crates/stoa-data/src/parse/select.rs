//! `select`: fields under names, JSON paths, casts, aggregates, and embeds along references.

mod relation;
mod term;

use super::scan::Scanner;
use crate::{
    codes,
    operation::{
        Aggregate, Condition, Embed, FieldIndex, Item, Kind, ResourceIndex, Term, is_grouped, kind_of,
    },
    refusal::{Refusal, Result, not_supported, too_complex, unknown_field},
    value::nearest,
};
use relation::relation;
use stoa_config::plan::{Field, Plan, Resource};

pub(crate) use term::has_inside;

/// The most items of one `select`, embeds included.
const ITEMS_MAX: usize = 200;
/// The most embeds of one request.
const EMBEDS_MAX: usize = 32;
/// The deepest embed: an embed of the resource itself is 1 deep.
const DEPTH_MAX: usize = 8;
/// The most aggregates of one request.
const AGGREGATES_MAX: usize = 32;

/// Reads `select`; an empty one is `*`.
pub(crate) fn select(plan: &Plan, resource: ResourceIndex, text: &str) -> Result<Vec<Item>> {
    if text.trim().is_empty() {
        return Ok(every(&plan.resources[resource]));
    }
    let mut scanner = Scanner::new("select parameter", text);
    let mut reader = Reader {
        plan,
        items: 0,
        embeds: 0,
        aggregates: 0,
    };
    let items = reader.list(&mut scanner, resource, 0)?;
    if !scanner.at_end() {
        return Err(scanner.refuse("something follows after the last item"));
    }
    Ok(items)
}

/// `*`: every field under its own name, but what is given by a function: that is asked for by name.
pub(crate) fn every(resource: &Resource) -> Vec<Item> {
    let one = |(field, declared): (usize, &Field)| Item::Field {
        field,
        path: Vec::new(),
        cast: None,
        name: declared.name.as_str().into(),
    };
    let fields = resource.fields.iter().enumerate();
    fields
        .filter(|(_, field)| field.function.is_none())
        .map(one)
        .collect()
}

/// The names of the members that items give a row of the reply, those of spread rows among them.
pub(crate) fn names(items: &[Item]) -> Vec<&str> {
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Item::Field { name, .. } | Item::Aggregate { name, .. } => names.push(&**name),
            Item::Embed(embed) if embed.spread => names.extend(self::names(&embed.select)),
            Item::Embed(embed) if embed.is_shown() => names.push(&embed.name),
            Item::Embed(_) => {}
        }
    }
    names
}

struct Reader<'a> {
    plan: &'a Plan,
    items: usize,
    embeds: usize,
    aggregates: usize,
}

impl Reader<'_> {
    fn list(
        &mut self,
        scanner: &mut Scanner<'_>,
        resource: ResourceIndex,
        depth: usize,
    ) -> Result<Vec<Item>> {
        // Each with whether it came from `*`, where a later item of the same name takes its place.
        let mut items: Vec<(Item, bool)> = Vec::new();
        loop {
            scanner.space();
            if scanner.eat("*") {
                for item in every(&self.plan.resources[resource]) {
                    self.add(&mut items, item, true)?;
                }
            } else {
                let item = self.item(scanner, resource, depth)?;
                self.add(&mut items, item, false)?;
            }
            scanner.space();
            if !scanner.eat(",") {
                break;
            }
        }
        let items: Vec<Item> = items.into_iter().map(|(item, _)| item).collect();
        let declared = &self.plan.resources[resource];
        if is_grouped(&items) && !declared.list.aggregates {
            return Err(no_aggregates(declared));
        }
        Ok(items)
    }

    fn add(&mut self, items: &mut Vec<(Item, bool)>, item: Item, starred: bool) -> Result<()> {
        self.items += 1;
        if self.items > ITEMS_MAX {
            return Err(too_complex(format!("`select` holds at most {ITEMS_MAX} items.")));
        }
        let own = std::slice::from_ref(&item);
        let shared = |other: &Item| {
            let theirs = names(std::slice::from_ref(other));
            names(own).into_iter().find(|name| theirs.contains(name))
        };
        let Some(first) = items.iter().position(|(other, _)| shared(other).is_some()) else {
            items.push((item, starred));
            return Ok(());
        };
        if starred {
            return Ok(());
        }
        let mut twice = items.iter().filter(|(_, starred)| !starred);
        if let Some(name) = twice.find_map(|(other, _)| shared(other)) {
            return Err(Refusal::new(
                &codes::BAD_QUERY,
                format!("`select` holds two items called `{name}`."),
            )
            .hint(format!("Name one of them: `other:{name}`."))
            .postgrest(
                "42712",
                400,
                format!("table name \"{name}\" specified more than once"),
            ));
        }
        let covered: Vec<bool> = items.iter().map(|(other, _)| shared(other).is_some()).collect();
        items[first] = (item, false);
        let mut position = 0;
        items.retain(|_| {
            position += 1;
            position - 1 == first || !covered[position - 1]
        });
        Ok(())
    }

    fn item(&mut self, scanner: &mut Scanner<'_>, resource: ResourceIndex, depth: usize) -> Result<Item> {
        if scanner.eat("...") || scanner.eat("..") {
            let name = scanner.name()?;
            return self.embed(scanner, resource, depth, name, None, true);
        }
        let mut name = scanner.name()?;
        let mut alias = None;
        if scanner.peek() == Some(':') && !scanner.rest().starts_with("::") {
            scanner.expect(":")?;
            alias = Some(std::mem::replace(&mut name, scanner.name()?));
        }
        let declared = &self.plan.resources[resource];
        // Without brackets it is how rows were counted before there were aggregates.
        let bare = matches!(scanner.peek(), None | Some(',' | ')' | ':'));
        let counts = if bare {
            declared.field("count").is_none()
        } else {
            scanner.rest().starts_with("()")
        };
        if name == "count" && counts {
            scanner.eat("()");
            return self.aggregate(scanner, Aggregate::Count, None, Kind::Int, alias.as_deref());
        }
        if matches!(scanner.peek(), Some('(' | '!')) {
            return self.embed(scanner, resource, depth, name, alias, false);
        }
        self.field(scanner, declared, &name, alias.as_deref())
    }

    fn field(
        &mut self,
        scanner: &mut Scanner<'_>,
        declared: &Resource,
        name: &str,
        alias: Option<&str>,
    ) -> Result<Item> {
        let path = scanner.path()?;
        let Some((field, found)) = declared.field(name) else {
            let near = nearest(name, declared.fields.iter().map(|f| f.name.as_str()));
            return Err(unknown_field(&declared.name, name, near));
        };
        if !path.is_empty() {
            has_inside(self.plan, declared, found)?;
        }
        let cast = term::cast(scanner, kind_of(&found.ty, &path, None))?;
        if scanner.eat(".") {
            let function = term::aggregate(scanner)?;
            let of = kind_of(&found.ty, &path, cast);
            let Some(result) = function.result(of) else {
                return Err(term::no_function(function, of));
            };
            let term = Term { field, path, cast };
            return self.aggregate(scanner, function, Some(term), result, alias);
        }
        let shown = alias.or(term::last_key(&path)).unwrap_or(name);
        Ok(Item::Field {
            field,
            name: shown.into(),
            path,
            cast,
        })
    }

    fn aggregate(
        &mut self,
        scanner: &mut Scanner<'_>,
        function: Aggregate,
        of: Option<Term>,
        result: Kind,
        alias: Option<&str>,
    ) -> Result<Item> {
        self.aggregates += 1;
        if self.aggregates > AGGREGATES_MAX {
            return Err(too_complex(format!(
                "`select` holds at most {AGGREGATES_MAX} aggregates."
            )));
        }
        Ok(Item::Aggregate {
            function,
            of,
            cast: term::cast(scanner, Some(result))?,
            name: alias.unwrap_or(function.name()).into(),
        })
    }

    fn embed(
        &mut self,
        scanner: &mut Scanner<'_>,
        parent: ResourceIndex,
        depth: usize,
        name: String,
        alias: Option<String>,
        spread: bool,
    ) -> Result<Item> {
        let (mut hint, mut inner) = (None, false);
        while scanner.eat("!") {
            match scanner.name()?.as_str() {
                "inner" => inner = true,
                "left" => inner = false,
                other => hint = Some(other.to_owned()),
            }
        }
        scanner.expect("(")?;
        scanner.space();
        if depth == DEPTH_MAX {
            return Err(too_complex(format!("Embeds nest at most {DEPTH_MAX} deep.")));
        }
        self.embeds += 1;
        if self.embeds > EMBEDS_MAX {
            return Err(too_complex(format!(
                "`select` holds at most {EMBEDS_MAX} embeds."
            )));
        }
        let (resource, join) = relation(self.plan, parent, &name, hint.as_deref())?;
        let select = if scanner.peek() == Some(')') {
            Vec::new()
        } else {
            self.list(scanner, resource, depth + 1)?
        };
        scanner.expect(")")?;
        if spread && join.is_many() && is_grouped(&select) {
            return Err(not_supported(
                "Aggregates are not implemented for one-to-many or many-to-many spreads.",
            ));
        }
        Ok(Item::Embed(Box::new(Embed {
            name: alias.unwrap_or(name).into(),
            resource,
            join,
            inner,
            spread,
            select,
            filter: Condition::True,
            order: Vec::new(),
            limit: u64::from(self.plan.resources[resource].list.max),
            offset: 0,
        })))
    }
}

/// The position of the embed with this name among items.
pub(crate) fn embed_of(items: &[Item], name: &str) -> Option<usize> {
    items
        .iter()
        .position(|item| matches!(item, Item::Embed(embed) if &*embed.name == name))
}

/// A field of the resource behind a name that an item gives it.
pub(crate) fn renamed(items: &[Item], wanted: &str) -> Option<FieldIndex> {
    items.iter().find_map(|item| match item {
        Item::Field {
            field,
            path,
            cast: None,
            name,
        } if path.is_empty() && &**name == wanted => Some(*field),
        _ => None,
    })
}

fn no_aggregates(resource: &Resource) -> Refusal {
    Refusal::new(
        &codes::NO_AGGREGATES,
        format!("`{}` does not take aggregates.", resource.name),
    )
    .hint(
        "Where its file says `list: { aggregates: true }` it does; `Prefer: count=exact` counts rows anyway.",
    )
    .postgrest("PGRST123", 400, "Use of aggregate functions is not allowed")
    .exactly()
}
