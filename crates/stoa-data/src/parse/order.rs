//! `order=field[.asc|.desc][.nullsfirst|.nullslast],…`; in place of the field `embed(field)`, of a to-one embed.

use super::{Scope, not_embedded, scan::Scanner, select};
use crate::{
    codes,
    operation::{Item, Order, is_grouped},
    refusal::{Refusal, Result, shorten},
};
use stoa_config::plan::Type;

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
    let words = if scanner.eat(".") { 0 } else { WORDS.len() };
    let Some(first) = word(scanner, words)? else {
        return Ok(order);
    };
    let nulls = match first {
        "asc" | "desc" => {
            (order.descending, order.nulls_first) = (first == "desc", first == "desc");
            ends(scanner, true)?;
            let words = if scanner.eat(".") { DIRECTIONS } else { WORDS.len() };
            word(scanner, words)?
        }
        nulls => Some(nulls),
    };
    if let Some(nulls) = nulls {
        order.nulls_first = nulls == "nullsfirst";
        ends(scanner, false)?;
    }
    Ok(order)
}

/// What may stand behind a field: a direction, then where nulls are.
const WORDS: [&str; 4] = ["asc", "desc", "nullsfirst", "nullslast"];
/// How many of these are directions.
const DIRECTIONS: usize = 2;

/// One of the words from position `from`; none where there are no such words. A refusal names what PostgREST's parser
/// stumbles over: the first character that is not as in the first word.
fn word(scanner: &mut Scanner<'_>, from: usize) -> Result<Option<&'static str>> {
    let words = WORDS.get(from..).unwrap_or_default();
    if words.is_empty() {
        return Ok(None);
    }
    if let Some(word) = words.iter().find(|word| scanner.eat(word)) {
        return Ok(Some(word));
    }
    let mut pairs = scanner.rest().chars().zip(words[0].chars());
    let found = pairs.find(|(here, wanted)| here != wanted).map(|(here, _)| here);
    let found = found.map_or_else(|| String::from("end of input"), |c| format!("\"{c}\""));
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let (last, others) = quoted
        .split_last()
        .map_or(("", &[][..]), |(l, o)| (l.as_str(), o));
    Err(scanner.refuse(format!(
        "unexpected {found} expecting {} or {last}",
        others.join(", ")
    )))
}

/// Refuses what stands behind a word and ends no entry.
fn ends(scanner: &Scanner<'_>, more: bool) -> Result<()> {
    match scanner.peek() {
        None | Some(',' | ' ') => Ok(()),
        Some('.') if more => Ok(()),
        Some(c) => {
            let delimiter = if more { "delimiter (.), " } else { "" };
            Err(scanner.refuse(format!(
                "unexpected '{c}' expecting {delimiter}\",\" or end of input"
            )))
        }
    }
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
        select::has_inside(scope.plan, scope.resource(), declared)?;
    }
    let resource = scope.resource();
    // JSON outside may be anything inside a table that others made on PostgreSQL, and JSON itself has an order there.
    let ordered = scope.store().0 && resource.table.is_some() && *declared.ty.value() == Type::Json;
    let whole = path.is_empty() && !declared.ty.value().is_scalar() && !ordered;
    if !scope.may_sort(name) || whole {
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
