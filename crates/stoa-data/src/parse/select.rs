//! `select`: fields under names, JSON paths, and embeds along a `ref`.

use super::scan::Scanner;
use crate::{
    codes,
    operation::{Condition, Embed, Item, Join, PathStep, ResourceIndex},
    refusal::{Refusal, Result, not_supported, too_complex, unknown_field},
    value::nearest,
};
use serde_json::json;
use stoa_config::plan::{Plan, Resource, Type};

/// The most items of one `select`, embeds included.
const ITEMS_MAX: usize = 200;
/// The most embeds of one request.
const EMBEDS_MAX: usize = 10;

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
    };
    let items = reader.list(&mut scanner, resource, 0)?;
    if !scanner.at_end() {
        return Err(scanner.refuse("something follows after the last item"));
    }
    Ok(items)
}

/// `*`: every field under its own name.
pub(crate) fn every(resource: &Resource) -> Vec<Item> {
    let one = |(field, declared): (usize, &stoa_config::plan::Field)| Item::Field {
        field,
        path: Vec::new(),
        name: declared.name.as_str().into(),
    };
    resource.fields.iter().enumerate().map(one).collect()
}

/// The name of an item in the reply.
pub(crate) fn name_of(item: &Item) -> &str {
    match item {
        Item::Field { name, .. } => name,
        Item::Embed(embed) => &embed.name,
    }
}

struct Reader<'a> {
    plan: &'a Plan,
    items: usize,
    embeds: usize,
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
                return Ok(items.into_iter().map(|(item, _)| item).collect());
            }
        }
    }

    fn add(&mut self, items: &mut Vec<(Item, bool)>, item: Item, starred: bool) -> Result<()> {
        self.items += 1;
        if self.items > ITEMS_MAX {
            return Err(too_complex(format!("`select` holds at most {ITEMS_MAX} items.")));
        }
        let name = name_of(&item);
        match items.iter().position(|(other, _)| name_of(other) == name) {
            None => items.push((item, starred)),
            Some(_) if starred => {}
            Some(i) if items[i].1 => items[i] = (item, false),
            Some(_) => {
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
        }
        Ok(())
    }

    fn item(&mut self, scanner: &mut Scanner<'_>, resource: ResourceIndex, depth: usize) -> Result<Item> {
        if scanner.eat("...") {
            return Err(not_supported(
                "Spreading an embed (`...other(…)`) is not served; embed it under a name.",
            ));
        }
        let mut name = scanner.name()?;
        let mut alias = None;
        if scanner.peek() == Some(':') && !scanner.rest().starts_with("::") {
            scanner.expect(":")?;
            alias = Some(std::mem::replace(&mut name, scanner.name()?));
        }
        if matches!(scanner.peek(), Some('(' | '!')) {
            return self.embed(scanner, resource, depth, name, alias);
        }
        let path = scanner.path()?;
        if scanner.rest().starts_with("::") {
            return Err(not_supported("Casts (`field::type`) are not served."));
        }
        if scanner.peek() == Some('.') {
            return Err(no_aggregates());
        }
        let declared = &self.plan.resources[resource];
        let Some((field, found)) = declared.field(&name) else {
            let near = nearest(&name, declared.fields.iter().map(|f| f.name.as_str()));
            return Err(unknown_field(&declared.name, &name, near));
        };
        if !path.is_empty() && !matches!(found.ty.value(), Type::Json) {
            return Err(not_supported(format!(
                "`{name}` is {}: only a json field has keys inside.",
                found.ty
            )));
        }
        let last_key = path.iter().rev().find_map(|step| match step {
            PathStep::Key(key) | PathStep::TextKey(key) => Some(key.as_ref()),
            PathStep::Index(_) | PathStep::TextIndex(_) => None,
        });
        let shown = alias.as_deref().or(last_key).unwrap_or(&name).into();
        Ok(Item::Field {
            field,
            path,
            name: shown,
        })
    }

    fn embed(
        &mut self,
        scanner: &mut Scanner<'_>,
        parent: ResourceIndex,
        depth: usize,
        name: String,
        alias: Option<String>,
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
        if name == "count" && scanner.peek() == Some(')') && self.plan.resource("count").is_none() {
            return Err(no_aggregates());
        }
        if depth > 0 {
            return Err(not_supported(
                "Embeds inside embeds are not served; one level is.",
            ));
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
        Ok(Item::Embed(Box::new(Embed {
            name: alias.unwrap_or(name).into(),
            resource,
            join,
            inner,
            select,
            filter: Condition::True,
            order: Vec::new(),
            limit: u64::from(self.plan.resources[resource].list.max),
            offset: 0,
        })))
    }
}

fn no_aggregates() -> Refusal {
    let detail = "Aggregates (`count()`, `field.sum()`) are not served; `Prefer: count=exact` counts rows.";
    Refusal::new(&codes::NOT_SUPPORTED, detail).postgrest(
        "PGRST123",
        400,
        "Use of aggregate functions is not allowed",
    )
}

/// One way between two resources.
struct Way {
    resource: ResourceIndex,
    join: Join,
    /// The `ref` field, and the resource it belongs to.
    field: String,
    owner: String,
}

impl Way {
    /// The name that PostgreSQL gives the constraint by itself, which PostgREST's callers use as a hint.
    fn constraint(&self) -> String {
        format!("{}_{}_fkey", self.owner, self.field)
    }
}

/// Every `ref` between `parent` and others.
fn ways(plan: &Plan, parent: ResourceIndex) -> Vec<Way> {
    let mut ways = Vec::new();
    for (position, resource) in plan.resources.iter().enumerate() {
        for (field, declared) in resource.fields.iter().enumerate() {
            let Type::Ref { resource: target, .. } = declared.ty else {
                continue;
            };
            let way = |resource, join| Way {
                resource,
                join,
                field: declared.name.clone(),
                owner: plan.resources[position].name.clone(),
            };
            if position == parent {
                ways.push(way(target, Join::ToOne { field }));
            }
            if target == parent {
                ways.push(way(position, Join::ToMany { field }));
            }
        }
    }
    ways
}

/// Finds the way that `name` and `hint` mean. In a resource that refers to itself, its name means the children and the
/// field's name the parent.
fn relation(
    plan: &Plan,
    parent: ResourceIndex,
    name: &str,
    hint: Option<&str>,
) -> Result<(ResourceIndex, Join)> {
    let named = |way: &Way| {
        let to_one = matches!(way.join, Join::ToOne { .. });
        let by_resource = plan.resources[way.resource].name == name && !(to_one && way.resource == parent);
        by_resource || (to_one && way.field == name) || way.constraint() == name
    };
    let hinted = |way: &Way| hint.is_none_or(|hint| way.field == hint || way.constraint() == hint);
    let all = ways(plan, parent);
    let mut fit: Vec<&Way> = all.iter().filter(|way| named(way) && hinted(way)).collect();
    if fit.is_empty() && hint.is_some() {
        // With a hint, a self-reference to the parent may be named by the resource.
        let by_name = |way: &&Way| plan.resources[way.resource].name == name && hinted(way);
        fit = all.iter().filter(by_name).collect();
    }
    let from = &plan.resources[parent];
    match fit[..] {
        [] => {
            let known = all.iter().map(|way| plan.resources[way.resource].name.as_str());
            let near = nearest(name, known);
            let message = format!(
                "Could not find a relationship between '{}' and '{name}' in the schema cache",
                from.name
            );
            let detail = format!("No `ref` connects `{}` and `{name}`.", from.name);
            let details = format!(
                "Searched for a foreign key relationship between '{}' and '{name}', but no matches were found.",
                from.name
            );
            let mut refusal = Refusal::new(&codes::UNKNOWN_RELATION, detail).near(near);
            refusal = refusal.postgrest("PGRST200", 400, message).details(details);
            Err(match near {
                Some(near) => {
                    refusal.postgrest_hint(format!("Perhaps you meant '{near}' instead of '{name}'."))
                }
                None => refusal,
            })
        }
        [way] if plan.resources[way.resource].store == from.store => Ok((way.resource, way.join)),
        [_] => Err(not_supported(format!(
            "`{name}` is in another store than `{}`; embeds stay in one store.",
            from.name
        ))),
        _ => Err(ambiguous(plan, from, name, &fit)),
    }
}

fn ambiguous(plan: &Plan, from: &Resource, name: &str, fit: &[&Way]) -> Refusal {
    let choices: Vec<String> = fit.iter().map(|way| format!("{name}!{}", way.field)).collect();
    let one = |way: &&Way| {
        let to = &plan.resources[way.resource].name;
        let cardinality = match way.join {
            Join::ToOne { .. } => "many-to-one",
            Join::ToMany { .. } => "one-to-many",
        };
        json!({
            "cardinality": cardinality,
            "embedding": format!("{} with {to}", from.name),
            "relationship": format!("{} using {}({})", way.constraint(), way.owner, way.field),
        })
    };
    let details: Vec<_> = fit.iter().map(one).collect();
    let quoted: Vec<String> = choices.iter().map(|choice| format!("'{choice}'")).collect();
    let message = format!(
        "Could not embed because more than one relationship was found for '{}' and '{name}'",
        from.name
    );
    let hint = format!(
        "Try changing '{name}' to one of the following: {}. Find the desired relationship in the 'details' key.",
        quoted.join(", ")
    );
    Refusal::new(
        &codes::AMBIGUOUS_RELATION,
        format!("{} ways lead from `{}` to `{name}`.", fit.len(), from.name),
    )
    .hint(format!("Say which: {}.", choices.join(", ")))
    .postgrest("PGRST201", 300, message)
    .details(details)
    .postgrest_hint(hint)
}
