//! Which way leads from one resource to another: along a `ref` of either, or through a resource that refers to both.

use crate::{
    codes,
    operation::{Along, Condition, FieldIndex, Join, Pairs, ResourceIndex, Through},
    refusal::{Refusal, Result, not_supported, shorten},
    rest::{self, relation_name},
    value::nearest,
};
use serde_json::{Value as Json, json};
use std::borrow::Cow;
use stoa_config::plan::{Plan, Reference, Resource, Shard, Type};

/// Fields of one resource that refer to fields of another: a `ref`, or an entry of `references`.
#[derive(Clone, Copy)]
struct Link<'a> {
    plan: &'a Plan,
    /// Which resource has the fields.
    owner: ResourceIndex,
    /// Which it refers to.
    target: ResourceIndex,
    says: Says<'a>,
}

#[derive(Clone, Copy)]
enum Says<'a> {
    /// The type of a field: its target's key.
    Field(FieldIndex),
    /// The file, of an existing table.
    Entry(&'a Reference),
}

impl<'a> Link<'a> {
    fn resource(&self, index: ResourceIndex) -> &'a Resource {
        &self.plan.resources[index]
    }

    /// The fields that refer, with those that they refer to.
    fn pairs(&self) -> Pairs {
        match self.says {
            Says::Field(field) => {
                let key = self.resource(self.target).key.first();
                key.map(|key| (field, *key)).into_iter().collect()
            }
            Says::Entry(entry) => entry
                .fields
                .iter()
                .copied()
                .zip(entry.targets.iter().copied())
                .collect(),
        }
    }

    /// The one field, where it refers to the one key field.
    fn plain(&self) -> Option<FieldIndex> {
        match self.says {
            Says::Field(field) => Some(field),
            Says::Entry(entry) => match (&entry.fields[..], &entry.targets[..]) {
                ([field], targets) if *targets == self.resource(self.target).key[..] => Some(*field),
                _ => None,
            },
        }
    }

    /// What the constraint is called: of a `ref`, as PostgreSQL does by itself.
    fn constraint(&self) -> Cow<'a, str> {
        match self.says {
            Says::Field(field) => {
                let owner = self.resource(self.owner);
                let column = owner.fields.get(field).map_or("", |f| f.column());
                Cow::Owned(format!("{}_{column}_fkey", relation_name(owner)))
            }
            Says::Entry(entry) => Cow::Borrowed(&entry.name),
        }
    }

    fn is_derived(&self) -> bool {
        matches!(self.says, Says::Entry(entry) if entry.derived)
    }

    /// The names of the fields on one side.
    fn names(&self, here: bool) -> Vec<&'a str> {
        let of = self.resource(if here { self.owner } else { self.target });
        let pick = |(field, target): (FieldIndex, FieldIndex)| if here { field } else { target };
        let field = |pair| of.fields.get(pick(pair)).map(|f| f.name.as_str());
        self.pairs().into_iter().filter_map(field).collect()
    }

    /// Whether the one field on this side is called so.
    fn is_by(&self, here: bool, name: &str) -> bool {
        self.names(here)[..] == [name]
    }

    /// Whether no two rows refer to the same.
    fn is_single(&self) -> bool {
        let owner = self.resource(self.owner);
        let fields: Vec<FieldIndex> = self.pairs().iter().map(|(field, _)| *field).collect();
        match fields[..] {
            [field] => is_single(owner, field),
            _ => owner.key.len() == fields.len() && fields.iter().all(|f| owner.key.contains(f)),
        }
    }

    /// `constraint(field, field)`.
    fn shown(&self) -> String {
        format!("{}({})", self.constraint(), self.names(true).join(", "))
    }
}

/// One way between two resources.
struct Way<'a> {
    plan: &'a Plan,
    /// Where it begins and ends.
    from: ResourceIndex,
    to: ResourceIndex,
    kind: Kind<'a>,
}

enum Kind<'a> {
    /// The beginning refers to the end.
    Out(Link<'a>),
    /// The end refers to the beginning.
    In(Link<'a>),
    /// A third resource refers to both. `strong`: its key says that it is made for joining; others count only where
    /// nothing else leads there.
    Through {
        near: Link<'a>,
        far: Link<'a>,
        strong: bool,
    },
}

impl<'a> Way<'a> {
    fn resource(&self, index: ResourceIndex) -> &'a Resource {
        &self.plan.resources[index]
    }

    /// The reference that it follows first.
    fn link(&self) -> &Link<'a> {
        match &self.kind {
            Kind::Out(link) | Kind::In(link) => link,
            Kind::Through { near, .. } => near,
        }
    }

    fn join(&self) -> Join {
        match &self.kind {
            Kind::Out(link) => match link.plain() {
                Some(field) => Join::ToOne { field },
                None => Join::Along(Box::new(Along {
                    on: link.pairs(),
                    many: false,
                })),
            },
            Kind::In(link) => match (link.plain(), link.is_single()) {
                (Some(field), true) => Join::OneToOne { field },
                (Some(field), false) => Join::ToMany { field },
                (None, single) => Join::Along(Box::new(Along {
                    on: link
                        .pairs()
                        .into_iter()
                        .map(|(here, there)| (there, here))
                        .collect(),
                    many: !single,
                })),
            },
            Kind::Through { near, far, .. } => Join::Through(Box::new(Through {
                resource: near.owner,
                near: near.pairs(),
                far: far.pairs(),
                filter: Condition::True,
            })),
        }
    }

    fn is_direct(&self) -> bool {
        !matches!(self.kind, Kind::Through { .. })
    }

    fn is_strong(&self) -> bool {
        !matches!(self.kind, Kind::Through { strong: false, .. })
    }

    fn leads_to_parent(&self) -> bool {
        matches!(self.kind, Kind::Out(_))
    }

    /// Whether `name` in front of the brackets is the resource at its end: in a resource that refers to itself, that
    /// means the children.
    fn is_called(&self, name: &str) -> bool {
        let parent = self.leads_to_parent() && self.from == self.to;
        !parent && self.leads_to(name)
    }

    /// Whether the resource at its end has this name, or its table in the schema where the way begins.
    fn leads_to(&self, name: &str) -> bool {
        names(self.resource(self.from), self.resource(self.to), name)
    }

    /// Whether `name` is the constraint that it follows, or the field that leads to the parent.
    fn is_followed(&self, name: &str) -> bool {
        match &self.kind {
            Kind::Out(link) => link.is_by(true, name) || link.constraint() == name,
            Kind::In(link) => self.from != self.to && link.constraint() == name,
            Kind::Through { .. } => false,
        }
    }

    /// Whether a hint may mean it: the constraint, a column on either side, or the resource in between.
    fn is_hinted(&self, hint: &str) -> bool {
        match &self.kind {
            Kind::Through { near, .. } => names(self.resource(self.from), self.resource(near.owner), hint),
            Kind::Out(link) | Kind::In(link) => {
                link.constraint() == hint
                    || link.is_by(true, hint)
                    || (self.from != self.to && link.is_by(false, hint))
            }
        }
    }

    /// Whether a hint is the field of the resource in between that leads on.
    fn leads_by(&self, hint: &str) -> bool {
        matches!(&self.kind, Kind::Through { far, .. } if far.is_by(true, hint))
    }

    /// `many-to-one` and so on, in the order in which PostgREST names them.
    fn cardinality(&self) -> (u8, &'static str) {
        match &self.kind {
            Kind::Out(link) | Kind::In(link) if link.is_single() => (2, "one-to-one"),
            Kind::In(_) => (0, "one-to-many"),
            Kind::Out(_) => (1, "many-to-one"),
            Kind::Through { .. } => (3, "many-to-many"),
        }
    }

    /// How PostgREST describes it.
    fn relationship(&self) -> String {
        let (from, to) = (
            relation_name(self.resource(self.from)),
            relation_name(self.resource(self.to)),
        );
        match &self.kind {
            Kind::Through { near, far, .. } => {
                let between = relation_name(self.resource(near.owner));
                format!("{between} using {} and {}", near.shown(), far.shown())
            }
            Kind::Out(link) | Kind::In(link) => {
                let out = self.leads_to_parent();
                let (near, far) = (link.names(out).join(", "), link.names(!out).join(", "));
                format!("{} using {from}({near}) and {to}({far})", link.constraint())
            }
        }
    }

    /// What a caller of PostgREST would write behind `!`.
    fn hint(&self) -> String {
        match &self.kind {
            Kind::Through { near, .. } => relation_name(self.resource(near.owner)).to_owned(),
            Kind::Out(link) | Kind::In(link) => link.constraint().into_owned(),
        }
    }

    /// The field or constraint that tells it from others of the same hint.
    fn field(&self) -> String {
        let link = match &self.kind {
            Kind::Through { far, .. } => far,
            Kind::Out(link) | Kind::In(link) => link,
        };
        match link.names(true)[..] {
            [name] => name.to_owned(),
            _ => link.constraint().into_owned(),
        }
    }
}

/// Whether `name` means a resource, seen from another: its own name, or its table's within one schema.
fn names(from: &Resource, to: &Resource, name: &str) -> bool {
    to.name == name || (relation_name(to) == name && rest::schema(from) == rest::schema(to))
}

/// Whether no two rows have the same value there. `unique` on a sharded resource holds per shard key.
fn is_single(resource: &Resource, field: FieldIndex) -> bool {
    let everywhere = match resource.shard {
        Shard::Single => true,
        Shard::Field(shard) | Shard::Parent(shard) => shard == field,
    };
    resource.key == [field] || (everywhere && resource.fields.get(field).is_some_and(|f| f.unique))
}

/// What a resource refers to. A `ref` that an entry of `references` says again is that entry.
fn links(plan: &Plan, owner: ResourceIndex) -> impl Iterator<Item = Link<'_>> {
    let resource = &plan.resources[owner];
    let link = move |target, says| Link {
        plan,
        owner,
        target,
        says,
    };
    let entries = resource.references.iter();
    let again = move |field: FieldIndex, target: ResourceIndex| {
        let mut entries = resource.references.iter();
        entries.any(|entry| entry.fields == [field] && entry.resource == target)
    };
    let fields = resource.fields.iter().enumerate();
    let fields = fields.filter_map(move |(field, declared)| match declared.ty {
        Type::Ref { resource, .. } if !again(field, resource) => Some(link(resource, Says::Field(field))),
        _ => None,
    });
    fields.chain(entries.map(move |entry| link(entry.resource, Says::Entry(entry))))
}

/// Every way from `parent`.
fn ways(plan: &Plan, parent: ResourceIndex) -> Vec<Way<'_>> {
    let mut ways = Vec::new();
    let way = |to, kind| Way {
        plan,
        from: parent,
        to,
        kind,
    };
    for (position, resource) in plan.resources.iter().enumerate() {
        for link in links(plan, position) {
            if position == parent {
                ways.push(way(link.target, Kind::Out(link)));
            }
            if link.target == parent {
                ways.push(way(position, Kind::In(link)));
            }
        }
        for (first, near) in links(plan, position)
            .enumerate()
            .filter(|(_, l)| l.target == parent)
        {
            for (_, far) in links(plan, position)
                .enumerate()
                .filter(|(second, _)| *second != first)
            {
                let (one, other) = (near.pairs(), far.pairs());
                let apart = !one.iter().any(|(field, _)| other.iter().any(|(o, _)| o == field));
                let keyed = one
                    .iter()
                    .chain(&other)
                    .all(|(field, _)| resource.key.contains(field));
                // A table that Stoa makes has one key field: there, two references and no third are as good.
                let made = resource.table.is_none() && links(plan, position).count() == 2;
                if apart && (keyed || made) {
                    let strong = keyed;
                    ways.push(way(far.target, Kind::Through { near, far, strong }));
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
    let from = &plan.resources[parent];
    // What the file says of a name goes before what references do, whatever the hint.
    let mut given = from.by_function.iter().enumerate();
    if let Some((by, entry)) = given.find(|(_, entry)| entry.name == name) {
        let many = !entry.one;
        return Ok((entry.resource, Join::Called { by, many }));
    }
    let all = ways(plan, parent);
    // A table of the parent's own schema goes before a resource elsewhere that has its name.
    let near = |way: &Way<'_>| rest::schema(way.resource(way.to)) == rest::schema(from);
    let any_near = all.iter().any(|way| near(way) && way.leads_to(name));
    let seen = |way: &Way<'_>| !any_near || near(way);
    let hinted = |way: &Way<'_>| hint.is_none_or(|hint| way.is_hinted(hint));
    let sought: [&dyn Fn(&Way<'_>) -> bool; 5] = [
        &|way| way.is_strong() && seen(way) && way.is_called(name) && hinted(way),
        &|way| hint.is_none() && !way.link().is_derived() && way.is_followed(name),
        &|way| way.is_direct() && way.is_followed(name) && hinted(way),
        // With a hint, a self-reference to the parent may be named by the resource.
        &|way| way.is_direct() && hint.is_some() && way.leads_to(name) && seen(way) && hinted(way),
        &|way| {
            let weak = !way.is_strong() && hinted(way);
            way.leads_to(name) && seen(way) && (weak || hint.is_some_and(|hint| way.leads_by(hint)))
        },
    ];
    let mut fit: Vec<&Way<'_>> = Vec::new();
    for (stage, wanted) in sought.into_iter().enumerate() {
        fit = all.iter().filter(|way| wanted(way)).collect();
        if !fit.is_empty() {
            // A view shows the columns of one constraint, which leads to a table and to views of it: the file has the
            // nearest first.
            if stage == 2 && hint.is_none() && fit.iter().all(|way| way.link().is_derived()) {
                fit.truncate(1);
            }
            break;
        }
    }
    match fit[..] {
        [] => Err(none(plan, from, &all, name, hint)),
        [way] => {
            let between = match &way.kind {
                Kind::Through { near, .. } => near.owner,
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
            Ok((way.to, way.join()))
        }
        _ => Err(ambiguous(from, name, fit)),
    }
}

fn none(plan: &Plan, from: &Resource, all: &[Way<'_>], name: &str, hint: Option<&str>) -> Refusal {
    let known = || {
        let given = from.by_function.iter().map(|entry| entry.name.as_str());
        all.iter()
            .map(|way| relation_name(&plan.resources[way.to]))
            .chain(given)
    };
    let near = nearest(name, known()).filter(|_| !known().any(|known| known == name));
    let (name, hint) = (shorten(name), hint.map(shorten));
    let by = |word: &str| {
        hint.as_ref()
            .map_or_else(String::new, |hint| word.replace('*', hint))
    };
    let message = format!(
        "Could not find a relationship between '{}' and '{name}' in the schema cache",
        relation_name(from)
    );
    let details = format!(
        "Searched for a foreign key relationship between '{}' and '{name}'{} in the schema '{}', but no matches were found.",
        relation_name(from),
        by(" using the hint '*'"),
        rest::schema(from)
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
        let others = fit.iter().filter(|other| other.hint() == way.hint()).count();
        if !way.is_direct() && others == 1 {
            format!("{name}!{}", way.hint())
        } else {
            format!("{name}!{}", way.field())
        }
    };
    let choices: Vec<String> = fit.iter().map(choice).collect();
    let one = |way: &&Way<'_>| {
        json!({
            "cardinality": way.cardinality().1,
            "embedding": format!("{} with {}", relation_name(from), relation_name(way.resource(way.to))),
            "relationship": way.relationship(),
        })
    };
    let quoted = |way: &&Way<'_>| format!("'{}!{}'", relation_name(way.resource(way.to)), way.hint());
    let message = format!(
        "Could not embed because more than one relationship was found for '{}' and '{name}'",
        relation_name(from)
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
