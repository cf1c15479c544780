//! Which way leads from one resource to another: along a `ref` of either, or through a resource that refers to both.

use crate::{
    codes,
    operation::{Condition, FieldIndex, Join, ResourceIndex, Through},
    refusal::{Refusal, Result, not_supported, shorten},
    value::nearest,
};
use serde_json::{Value as Json, json};
use stoa_config::plan::{Plan, Resource, Shard, Type};

/// One way between two resources.
struct Way<'a> {
    plan: &'a Plan,
    /// Where it begins and ends.
    from: ResourceIndex,
    to: ResourceIndex,
    join: Join,
    /// Of a way through a third resource: whether its key says that it is made for joining. Others count only where
    /// nothing else leads there.
    strong: bool,
}

impl Way<'_> {
    fn resource(&self, index: ResourceIndex) -> &Resource {
        &self.plan.resources[index]
    }

    /// The resource that has the `ref`, and its name.
    fn reference(&self) -> (ResourceIndex, FieldIndex) {
        match &self.join {
            Join::ToOne { field } => (self.from, *field),
            Join::ToMany { field } | Join::OneToOne { field } => (self.to, *field),
            Join::Through(through) => (through.resource, through.far),
        }
    }

    /// The name that PostgreSQL gives the constraint of a `ref` by itself, which PostgREST's callers use as a hint.
    fn constraint(&self, owner: ResourceIndex, field: FieldIndex) -> String {
        let owner = self.resource(owner);
        let field = owner.fields.get(field).map_or("", |f| f.name.as_str());
        format!("{}_{field}_fkey", owner.name)
    }

    fn field_name(&self, owner: ResourceIndex, field: FieldIndex) -> &str {
        let fields = &self.resource(owner).fields;
        fields.get(field).map_or("", |f| f.name.as_str())
    }

    fn key_name(&self, of: ResourceIndex) -> &str {
        self.resource(of).key_field().map_or("", |f| f.name.as_str())
    }

    fn is_direct(&self) -> bool {
        !matches!(self.join, Join::Through(_))
    }

    /// Whether `name` in front of the brackets may mean this way. In a resource that refers to itself, its name means
    /// the children and the field's name the parent.
    fn is_named(&self, name: &str) -> bool {
        let to_parent = matches!(self.join, Join::ToOne { .. });
        let by_resource = self.resource(self.to).name == name && !(to_parent && self.from == self.to);
        let (owner, field) = self.reference();
        let by_field = to_parent && self.field_name(owner, field) == name;
        by_resource || by_field || (self.is_direct() && self.constraint(owner, field) == name)
    }

    /// Whether a hint may mean it: the constraint, a column on either side, or the resource in between.
    fn is_hinted(&self, hint: &str) -> bool {
        let (owner, field) = self.reference();
        if let Join::Through(through) = &self.join {
            return self.resource(through.resource).name == hint;
        }
        let key = if owner == self.from { self.to } else { self.from };
        self.constraint(owner, field) == hint
            || self.field_name(owner, field) == hint
            || (self.from != self.to && self.key_name(key) == hint)
    }

    /// Whether a hint is the field of the resource in between that leads on.
    fn leads_by(&self, hint: &str) -> bool {
        match &self.join {
            Join::Through(through) => self.field_name(through.resource, through.far) == hint,
            _ => false,
        }
    }

    /// `many-to-one` and so on, in the order in which PostgREST names them.
    fn cardinality(&self) -> (u8, &'static str) {
        match self.join {
            Join::ToMany { .. } => (0, "one-to-many"),
            Join::ToOne { field } if is_single(self.resource(self.from), field) => (2, "one-to-one"),
            Join::ToOne { .. } => (1, "many-to-one"),
            Join::OneToOne { .. } => (2, "one-to-one"),
            Join::Through(_) => (3, "many-to-many"),
        }
    }

    /// How PostgREST describes it.
    fn relationship(&self) -> String {
        let (from, to) = (&self.resource(self.from).name, &self.resource(self.to).name);
        let (owner, field) = self.reference();
        if let Join::Through(through) = &self.join {
            let side = |field| {
                let name = self.field_name(through.resource, field);
                format!("{}({name})", self.constraint(through.resource, field))
            };
            let between = &self.resource(through.resource).name;
            return format!("{between} using {} and {}", side(through.near), side(through.far));
        }
        let (near, far) = if owner == self.from && matches!(self.join, Join::ToOne { .. }) {
            (self.field_name(owner, field), self.key_name(self.to))
        } else {
            (self.key_name(self.from), self.field_name(owner, field))
        };
        let constraint = self.constraint(owner, field);
        format!("{constraint} using {from}({near}) and {to}({far})")
    }

    /// What a caller of PostgREST would write behind `!`.
    fn hint(&self) -> String {
        let (owner, field) = self.reference();
        match &self.join {
            Join::Through(through) => self.resource(through.resource).name.clone(),
            _ => self.constraint(owner, field),
        }
    }
}

/// Whether no two rows have the same value there. `unique` on a sharded resource holds per shard key.
fn is_single(resource: &Resource, field: FieldIndex) -> bool {
    let everywhere = match resource.shard {
        Shard::Single => true,
        Shard::Field(shard) | Shard::Parent(shard) => shard == field,
    };
    resource.key == [field] || (everywhere && resource.fields.get(field).is_some_and(|f| f.unique))
}

/// The `ref` fields of a resource, with what they lead to.
fn refs(resource: &Resource) -> impl Iterator<Item = (FieldIndex, ResourceIndex)> + '_ {
    let fields = resource.fields.iter().enumerate();
    fields.filter_map(|(field, declared)| match declared.ty {
        Type::Ref { resource, .. } => Some((field, resource)),
        _ => None,
    })
}

/// Every way from `parent`.
fn ways(plan: &Plan, parent: ResourceIndex) -> Vec<Way<'_>> {
    let mut ways = Vec::new();
    let way = |to, join, strong| Way {
        plan,
        from: parent,
        to,
        join,
        strong,
    };
    for (position, resource) in plan.resources.iter().enumerate() {
        for (field, target) in refs(resource) {
            if position == parent {
                ways.push(way(target, Join::ToOne { field }, true));
            }
            if target == parent {
                let join = if is_single(resource, field) {
                    Join::OneToOne { field }
                } else {
                    Join::ToMany { field }
                };
                ways.push(way(position, join, true));
            }
        }
        for (near, target) in refs(resource).filter(|(_, target)| *target == parent) {
            for (far, other) in refs(resource).filter(|(field, _)| *field != near) {
                let keyed = [near, far].iter().all(|field| resource.key.contains(field));
                // A table that Stoa makes has one key field: there, two references and no third are as good.
                let made = resource.table.is_none() && refs(resource).count() == 2;
                if keyed || made {
                    let through = Through {
                        resource: position,
                        near,
                        far,
                        filter: Condition::True,
                    };
                    debug_assert_eq!(target, parent, "a way begins where it was looked for");
                    ways.push(way(other, Join::Through(Box::new(through)), keyed));
                }
            }
        }
    }
    ways
}

/// Finds the way that `name` and `hint` mean.
pub(super) fn relation(
    plan: &Plan,
    parent: ResourceIndex,
    name: &str,
    hint: Option<&str>,
) -> Result<(ResourceIndex, Join)> {
    let all = ways(plan, parent);
    let called = |way: &Way<'_>| way.resource(way.to).name == name;
    let hinted = |way: &Way<'_>| hint.is_none_or(|hint| way.is_hinted(hint));
    let sought: [&dyn Fn(&Way<'_>) -> bool; 4] = [
        &|way| way.strong && way.is_named(name) && hinted(way),
        // With a hint, a self-reference to the parent may be named by the resource.
        &|way| way.is_direct() && hint.is_some() && called(way) && hinted(way),
        &|way| !way.strong && called(way) && hinted(way),
        &|way| called(way) && hint.is_some_and(|hint| way.leads_by(hint)),
    ];
    let mut fit: Vec<&Way<'_>> = Vec::new();
    for wanted in sought {
        fit = all.iter().filter(|way| wanted(way)).collect();
        if !fit.is_empty() {
            break;
        }
    }
    let from = &plan.resources[parent];
    match fit[..] {
        [] => Err(none(plan, from, &all, name, hint)),
        [way] => {
            let between = match &way.join {
                Join::Through(through) => through.resource,
                _ => way.to,
            };
            if [way.to, between]
                .iter()
                .any(|i| plan.resources[*i].store != from.store)
            {
                return Err(not_supported(format!(
                    "`{name}` is in another store than `{}`; embeds stay in one store.",
                    from.name
                )));
            }
            Ok((way.to, way.join.clone()))
        }
        _ => Err(ambiguous(from, name, fit)),
    }
}

fn none(plan: &Plan, from: &Resource, all: &[Way<'_>], name: &str, hint: Option<&str>) -> Refusal {
    let known = || all.iter().map(|way| plan.resources[way.to].name.as_str());
    let near = nearest(name, known()).filter(|_| !known().any(|known| known == name));
    let (name, hint) = (shorten(name), hint.map(shorten));
    let by = |word: &str| {
        hint.as_ref()
            .map_or_else(String::new, |hint| word.replace('*', hint))
    };
    let message = format!(
        "Could not find a relationship between '{}' and '{name}' in the schema cache",
        from.name
    );
    let details = format!(
        "Searched for a foreign key relationship between '{}' and '{name}'{} in the schema 'public', but no matches were found.",
        from.name,
        by(" using the hint '*'")
    );
    let detail = format!("No `ref` connects `{}` and `{name}`{}.", from.name, by(" by `*`"));
    let refusal = Refusal::new(&codes::UNKNOWN_RELATION, detail)
        .near(near)
        .postgrest("PGRST200", 400, message)
        .details(details)
        .exactly();
    match near {
        Some(near) => refusal.postgrest_hint(format!("Perhaps you meant '{near}' instead of '{name}'.")),
        None => refusal,
    }
}

fn ambiguous(from: &Resource, name: &str, mut fit: Vec<&Way<'_>>) -> Refusal {
    fit.sort_by_cached_key(|way| (way.cardinality().0, way.hint(), way.relationship()));
    let choice = |way: &&Way<'_>| {
        let (owner, field) = way.reference();
        let others = fit.iter().filter(|other| other.hint() == way.hint()).count();
        match &way.join {
            Join::Through(_) if others == 1 => format!("{name}!{}", way.hint()),
            _ => format!("{name}!{}", way.field_name(owner, field)),
        }
    };
    let choices: Vec<String> = fit.iter().map(choice).collect();
    let one = |way: &&Way<'_>| {
        json!({
            "cardinality": way.cardinality().1,
            "embedding": format!("{} with {}", from.name, way.resource(way.to).name),
            "relationship": way.relationship(),
        })
    };
    let quoted = |way: &&Way<'_>| format!("'{}!{}'", way.resource(way.to).name, way.hint());
    let message = format!(
        "Could not embed because more than one relationship was found for '{}' and '{name}'",
        from.name
    );
    let hint = format!(
        "Try changing '{name}' to one of the following: {}. Find the desired relationship in the 'details' key.",
        fit.iter().map(quoted).collect::<Vec<_>>().join(", ")
    );
    Refusal::new(
        &codes::AMBIGUOUS_RELATION,
        format!("{} ways lead from `{}` to `{name}`.", fit.len(), from.name),
    )
    .hint(format!("Say which: {}.", choices.join(", ")))
    .postgrest("PGRST201", 300, message)
    .details(fit.iter().map(one).collect::<Vec<Json>>())
    .postgrest_hint(hint)
}

#[cfg(test)]
mod tests;
