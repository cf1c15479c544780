//! Views: which column of which table each of their columns shows, and so their keys and references.

use super::{Cells, OURS, TEMPORAL};
use crate::introspect::{Column, Reference, Table};
use crate::store::postgres::alone::Alone;
use std::collections::HashMap;
use tokio_postgres::Error;

/// Views over views over views at most.
const DEPTH_MAX: usize = 32;

/// What `pg_relation_is_updatable` calls a change (`CmdType` of PostgreSQL), and the rule that gives it.
const EVENTS: [(u32, &str); 3] = [(1 << 3, "create"), (1 << 2, "update"), (1 << 4, "delete")];
/// All of them.
const WRITES: u32 = 1 << 2 | 1 << 3 | 1 << 4;

/// A column by the numbers of its table and of itself.
type Place = (u32, i16);

/// What a database's columns are called, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Position among the tables that were read.
    pub(super) tables: HashMap<u32, usize>,
    /// Names.
    pub(super) columns: HashMap<Place, String>,
}

/// Where each column of each view comes from.
type Origins = HashMap<Place, Place>;

/// Gives the views that can be written the key of the one table behind them, and every view the references of the
/// columns it shows.
pub(super) async fn complete(alone: &Alone, tables: &mut [Table], numbers: &Numbers) -> Result<(), Error> {
    let rules = format!(
        "SELECT c.oid, pg_relation_is_updatable(c.oid, true), r.ev_action \
         FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE r.ev_type = '1' AND c.relkind IN ('v', 'm') AND {OURS}"
    );
    let (mut origins, mut views) = (Origins::new(), Vec::new());
    for row in alone.rows(&rules).await? {
        let mut row = Cells::of(row);
        let (view, events, rule): (u32, u32, _) = (row.number(), row.number(), row.text());
        for (at, origin) in sources(&rule) {
            origins.insert((view, at), origin);
        }
        views.push((view, events));
    }
    if views.is_empty() {
        return Ok(());
    }
    let keys = keys(alone).await?;
    for (view, events) in &views {
        let Some(position) = numbers.tables.get(view) else {
            continue;
        };
        if events & WRITES == 0 {
            continue;
        }
        let (shown, found) = (shown(*view, &origins), key(*view, &origins, &keys, numbers));
        let columns = columns(*view, &shown, tables, numbers);
        if let Some(table) = tables.get_mut(*position) {
            table.view = false;
            let refused = EVENTS.iter().filter(|(event, _)| events & event == 0);
            table.refuses = refused.map(|(_, rule)| *rule).collect();
            table.key = found;
            mark(table, &columns);
        }
    }
    references(alone, tables, numbers, &origins, &views).await
}

/// The columns of each table's key.
async fn keys(alone: &Alone) -> Result<HashMap<u32, Vec<i16>>, Error> {
    let all = "SELECT indrelid, indnkeyatts, indkey::text FROM pg_index WHERE indisprimary";
    let mut keys = HashMap::new();
    for row in alone.rows(all).await? {
        let mut row = Cells::of(row);
        let (table, count): (u32, usize) = (row.number(), row.number());
        let columns = row.text();
        let columns = columns.split(' ').take(count).filter_map(|n| n.parse().ok());
        keys.insert(table, columns.collect::<Vec<i16>>());
    }
    Ok(keys)
}

/// The key of the one table behind a view, if the view shows all of it.
fn key(view: u32, origins: &Origins, keys: &HashMap<u32, Vec<i16>>, numbers: &Numbers) -> Vec<String> {
    let shown = shown(view, origins);
    let mut behind = shown.iter().map(|(_, (table, _))| *table);
    let Some(first) = behind.next().filter(|first| behind.all(|other| other == *first)) else {
        return Vec::new();
    };
    let parts = keys.get(&first).into_iter().flatten().map(|column| {
        let (here, _) = shown.iter().find(|(_, (_, there))| there == column)?;
        numbers.columns.get(&(view, *here)).cloned()
    });
    parts.collect::<Option<_>>().unwrap_or_default()
}

/// The columns of a view, in order, with where they come from in the end.
fn shown(view: u32, origins: &Origins) -> Vec<(i16, Place)> {
    let mut list: Vec<(i16, Place)> = origins
        .keys()
        .filter(|(of, _)| *of == view)
        .filter_map(|(_, at)| Some((*at, traced((view, *at), origins)?)))
        .collect();
    list.sort_unstable();
    list
}

/// The column of a table in the end, through as many views as there are.
fn traced(column: Place, origins: &Origins) -> Option<Place> {
    let mut place = *origins.get(&column)?;
    for _ in 0..DEPTH_MAX {
        match origins.get(&place) {
            Some(next) => place = *next,
            None => return Some(place),
        }
    }
    None
}

/// What the one table behind a view says of the columns that it shows.
fn columns(view: u32, shown: &[(i16, Place)], tables: &[Table], numbers: &Numbers) -> Vec<(String, Column)> {
    let one = |(at, origin): &(i16, Place)| {
        let behind = tables.get(*numbers.tables.get(&origin.0)?)?;
        let name = numbers.columns.get(origin)?;
        let column = behind.columns.iter().find(|c| c.name == *name)?;
        Some((numbers.columns.get(&(view, *at))?.clone(), column.clone()))
    };
    if shown.windows(2).any(|pair| pair[0].1.0 != pair[1].1.0) {
        return Vec::new();
    }
    shown.iter().filter_map(one).collect()
}

/// Writes down at the columns that they are the key, and what is known of them from the table behind. A view itself says
/// of no column that it is never null or filled in.
fn mark(table: &mut Table, behind: &[(String, Column)]) {
    for column in &mut table.columns {
        let Some((_, origin)) = behind.iter().find(|(name, _)| *name == column.name) else {
            continue;
        };
        column.not_null = origin.not_null;
        column.generated |= origin.generated;
        column.computed |= origin.computed;
        column.unique |= origin.unique;
    }
    for (position, name) in table.key.iter().enumerate() {
        if let Some(column) = table.columns.iter_mut().find(|c| c.name == *name) {
            column.key_position = u32::try_from(position + 1).ok();
            column.not_null = true;
        }
    }
}

/// Ways to show the same columns of one table in a view, at most.
const SHOWN_MAX: usize = 16;

/// Columns of a table or view that show those of a foreign key.
struct Shown {
    /// The table or view.
    relation: u32,
    /// In the order of the key.
    columns: Vec<i16>,
    derived: bool,
}

/// A view that shows all columns of a foreign key refers to what they refer to, and what shows all that they refer to
/// is referred to: tables and views of its own schema, or the other table itself where the schema has none.
async fn references(
    alone: &Alone,
    tables: &mut [Table],
    numbers: &Numbers,
    origins: &Origins,
    views: &[(u32, u32)],
) -> Result<(), Error> {
    let all = format!(
        "SELECT conname, conrelid, array_to_string(conkey, ' '), confrelid, array_to_string(confkey, ' ') \
         FROM pg_constraint f WHERE contype = 'f' AND conparentid = 0 AND NOT {TEMPORAL} ORDER BY conrelid, conname"
    );
    let all_shown: Vec<(u32, Vec<(i16, Place)>)> = views
        .iter()
        .map(|(view, _)| (*view, shown(*view, origins)))
        .collect();
    for row in alone.rows(&all).await? {
        let mut row = Cells::of(row);
        let name = row.text();
        let mut side = || {
            let (table, columns): (u32, String) = (row.number(), row.text());
            let columns: Vec<i16> = columns.split(' ').filter_map(|n| n.parse().ok()).collect();
            (table, columns)
        };
        let (from, to) = (side(), side());
        let (from, to) = (showing(&from, &all_shown), showing(&to, &all_shown));
        for here in &from {
            let schema = |of: &Shown| {
                let table = tables.get(*numbers.tables.get(&of.relation)?)?;
                table.schema.clone()
            };
            let own = schema(here);
            let mut near: Vec<&Shown> = to.iter().filter(|there| schema(there) == own).collect();
            // Itself, then tables, then views.
            near.sort_by_key(|there| (there.relation != here.relation, there.derived));
            let near = if near.is_empty() {
                to.iter().take(1).collect()
            } else {
                near
            };
            let found: Vec<Reference> = near
                .iter()
                .filter(|there| here.derived || there.derived)
                .filter_map(|there| reference(&name, here, there, tables, numbers))
                .collect();
            let position = numbers.tables.get(&here.relation);
            if let Some(table) = position.and_then(|position| tables.get_mut(*position)) {
                table.references.extend(found);
            }
        }
    }
    Ok(())
}

/// The table itself, and every view that shows all of these columns of it.
fn showing((table, columns): &(u32, Vec<i16>), views: &[(u32, Vec<(i16, Place)>)]) -> Vec<Shown> {
    let mut list = vec![Shown {
        relation: *table,
        columns: columns.clone(),
        derived: false,
    }];
    for (view, shown) in views {
        let mut ways: Vec<Vec<i16>> = vec![Vec::new()];
        for column in columns {
            let here = shown.iter().filter(|(_, place)| *place == (*table, *column));
            let here: Vec<i16> = here.map(|(at, _)| *at).collect();
            let longer = |way: Vec<i16>| {
                let add = |at: &i16| way.iter().copied().chain([*at]).collect::<Vec<i16>>();
                here.iter().map(add).collect::<Vec<_>>()
            };
            ways = ways.into_iter().flat_map(longer).take(SHOWN_MAX).collect();
        }
        list.extend(ways.into_iter().map(|columns| Shown {
            relation: *view,
            columns,
            derived: true,
        }));
    }
    list
}

fn reference(name: &str, from: &Shown, to: &Shown, tables: &[Table], numbers: &Numbers) -> Option<Reference> {
    let target = tables.get(*numbers.tables.get(&to.relation)?)?;
    let names = |of: &Shown| {
        let name = |at: &i16| numbers.columns.get(&(of.relation, *at)).cloned();
        of.columns.iter().map(name).collect::<Option<Vec<String>>>()
    };
    Some(Reference {
        name: Some(name.to_owned()),
        derived: true,
        temporal: false,
        columns: names(from)?,
        schema: target.schema.clone(),
        table: target.name.clone(),
        targets: names(to)?,
    })
}

/// The columns of a view's query that show a column as it is. The rule is a tree in PostgreSQL's own notation
/// (`src/backend/nodes/outfuncs.c`), which has been the same for these members since version 7: the entries of the
/// outermost `:targetList` stand two brackets deep.
fn sources(rule: &str) -> Vec<(i16, Place)> {
    let (mut depth, mut within) = (0_usize, false);
    let mut found = Vec::new();
    let mut entry: HashMap<&str, &str> = HashMap::new();
    let mut member = "";
    for token in tokens(rule) {
        match token {
            "{" => depth += 1,
            "}" => {
                if within && depth == 2 {
                    found.extend(source(&entry));
                    entry.clear();
                }
                depth = depth.saturating_sub(1);
            }
            "(" | ")" => {}
            name if name.starts_with(':') && depth == 1 => within = name == ":targetList",
            name if name.starts_with(':') && depth == 2 => member = name,
            value if within && depth == 2 => {
                entry.insert(member, value);
            }
            _ => {}
        }
    }
    found
}

fn source(entry: &HashMap<&str, &str>) -> Option<(i16, Place)> {
    let at = entry.get(":resno")?.parse().ok()?;
    let table: u32 = entry.get(":resorigtbl")?.parse().ok()?;
    let column: i16 = entry.get(":resorigcol")?.parse().ok()?;
    (table > 0 && column > 0 && entry.get(":resjunk") == Some(&"false")).then_some((at, (table, column)))
}

/// Brackets, and what stands between spaces and brackets; a backslash keeps the next character from being either.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let mut end = 0;
        let mut chars = rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => {
                    chars.next();
                }
                ' ' | '\n' | '\t' => break,
                '{' | '}' | '(' | ')' => {
                    end = if at == 0 { 1 } else { at };
                    break;
                }
                _ => {}
            }
            end = chars.offset();
        }
        let (token, after) = rest.split_at(end);
        rest = after;
        (!token.is_empty()).then_some(token)
    })
}
