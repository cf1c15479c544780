//! `order=field[.asc|.desc][.nullsfirst|.nullslast],…`; in place of the field `embed(field)`, of a to-one embed.

use super::{Scope, not_embedded, scan::Scanner, select};
use crate::{
    codes,
    operation::{Item, Order, is_grouped},
    refusal::{Refusal, Result, shorten},
};

/// The most entries of one `order`.
const ENTRIES_MAX: usize = 20;

/// Reads `order`.
pub(crate) fn order(scope: &Scope<'_>, text: &str) -> Result<Vec<Order>> {
    let mut scanner = Scanner::new("order", text);
    let mut entries: Vec<Order> = Vec::new();
    loop {
        let entry = entry(scope, &mut scanner)?;
        if entries.len() == ENTRIES_MAX {
            return Err(scanner.refuse(format!("at most {ENTRIES_MAX} entries are taken")));
        }
        // The first of two entries for one field decides: the second orders nothing more.
        if !entries
            .iter()
            .any(|e| (e.embed, e.field, &e.path) == (entry.embed, entry.field, &entry.path))
        {
            entries.push(entry);
        }
        if scanner.at_end() {
            break;
        }
        scanner.expect(",")?;
    }
    if is_grouped(scope.items) {
        for entry in &entries {
            grouped(scope, entry)?;
        }
    }
    Ok(entries)
}

/// Groups are ordered by what they have in common.
fn grouped(scope: &Scope<'_>, entry: &Order) -> Result<()> {
    let level = match entry.embed.and_then(|position| scope.embed_at(position)) {
        None => *scope,
        Some(embed) => scope.inside(embed),
    };
    let lifted = entry
        .embed
        .is_none_or(|position| scope.embed_at(position).is_some_and(|embed| embed.spread));
    let shown = |item: &Item| matches!(item, Item::Field { field, path, cast: None, .. } if (*field, path) == (entry.field, &entry.path));
    if lifted && level.items.iter().any(shown) {
        return Ok(());
    }
    let resource = level.resource();
    let name = resource.fields.get(entry.field).map_or("", |f| f.name.as_str());
    let detail = format!("Rows are grouped, and `{name}` is not among what `select` groups them by.");
    let message = format!(
        "column \"{}.{name}\" must appear in the GROUP BY clause or be used in an aggregate function",
        resource.name
    );
    Err(Refusal::new(&codes::BAD_QUERY, detail)
        .hint(format!("Add `{name}` to `select`."))
        .postgrest("42803", 400, message)
        .exactly())
}

fn entry(scope: &Scope<'_>, scanner: &mut Scanner<'_>) -> Result<Order> {
    let name = scanner.name()?;
    let mut order = if scanner.eat("(") {
        let (embed, inside) = related(scope, &name)?;
        let mut name = scanner.name()?;
        if let Some(field) = select::renamed(inside.items, &name) {
            // PostgREST knows the columns of an embed by the names that they have in the reply.
            name.clone_from(&inside.resource().fields[field].name);
        }
        let order = key(&inside, scanner, &name)?;
        scanner.space();
        scanner.expect(")")?;
        Order {
            embed: Some(embed),
            ..order
        }
    } else {
        key(scope, scanner, &name)?
    };
    let (mut directed, mut placed) = (false, false);
    while scanner.eat(".") {
        let start = scanner.clone();
        match scanner.until(|c| matches!(c, '.' | ',')).trim() {
            "asc" if !directed && !placed => directed = true,
            "desc" if !directed && !placed => {
                (directed, order.descending, order.nulls_first) = (true, true, true);
            }
            "nullsfirst" if !placed => (placed, order.nulls_first) = (true, true),
            "nullslast" if !placed => (placed, order.nulls_first) = (true, false),
            _ => return Err(start.refuse("asc, desc, nullsfirst or nullslast was expected")),
        }
    }
    Ok(order)
}

/// The to-one embed that an entry orders by.
fn related<'a>(scope: &Scope<'a>, name: &str) -> Result<(usize, Scope<'a>)> {
    let found = scope.embed(name).and_then(|at| Some((at, scope.embed_at(at)?)));
    let Some((position, embed)) = found else {
        return Err(not_embedded(scope, name));
    };
    if embed.join.is_many() {
        let (origin, name) = (&scope.resource().name, shorten(name));
        let detail = format!("`{name}` may have many rows for one of `{origin}`, which order nothing.");
        return Err(Refusal::new(&codes::BAD_QUERY, detail)
            .hint("Order by an embed of one row, or inside the embed, as in `embed.order=field`.")
            .postgrest(
                "PGRST118",
                400,
                format!("A related order on '{name}' is not possible"),
            )
            .details(format!(
                "'{origin}' and '{name}' do not form a many-to-one or one-to-one relationship"
            ))
            .exactly());
    }
    Ok((position, scope.inside(embed)))
}

/// The field of an entry, and the path behind it.
fn key(scope: &Scope<'_>, scanner: &mut Scanner<'_>, name: &str) -> Result<Order> {
    let path = scanner.path()?;
    let (field, declared) = scope.field(name)?;
    if !path.is_empty() {
        select::has_inside(declared)?;
    }
    if !scope.may_sort(name) || (path.is_empty() && !declared.ty.value().is_scalar()) {
        let resource = scope.resource();
        let allowed = resource.list.sort.iter().filter_map(|i| resource.fields.get(*i));
        let allowed: Vec<_> = allowed.map(|f| f.name.as_str()).collect();
        let detail = format!("`{}` may not be sorted by `{name}`.", resource.name);
        return Err(Refusal::new(&codes::NOT_SORTABLE, detail.clone())
            .hint(format!("`list.sort` takes the key and: {}.", allowed.join(", ")))
            .postgrest("PGRST100", 400, detail));
    }
    Ok(Order {
        embed: None,
        field,
        path,
        descending: false,
        nulls_first: false,
    })
}
