//! The API file of an existing database: one resource per table or view, bound to it with `table:`, so that
//! nothing is created or altered.

use crate::yaml;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};
use stoa_config::{
    Options,
    fault::{self, Severity},
};

/// A table or view that was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Schema, where the database has several.
    pub(super) schema: Option<String>,
    /// Name.
    pub(super) name: String,
    /// What somebody wrote about it in the database.
    pub(super) comment: Option<String>,
    /// In their order.
    pub(super) columns: Vec<Column>,
    /// Names of the key's columns, in the order of the key.
    pub(super) key: Vec<String>,
    /// Rules that nobody can be given.
    pub(super) refuses: Vec<&'static str>,
    /// Foreign keys.
    pub(super) references: Vec<Reference>,
    /// Functions that lead from a row to rows of a table.
    pub(super) leads: Vec<Lead>,
}

/// One column.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    /// Name.
    pub(super) name: String,
    /// The type as the API file writes it; `None` for what no type fits.
    pub(super) ty: Option<String>,
    /// Whether it may be null.
    pub(super) optional: bool,
    /// Whether no two rows have the same value.
    pub(super) unique: bool,
    /// When the database fills it in.
    pub(super) filled: Filled,
    /// What somebody wrote about it in the database.
    pub(super) comment: Option<String>,
    /// The function in the table's schema that gives it, in place of a column.
    pub(super) function: Option<String>,
}

/// When the database fills a column in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Filled {
    /// Never, or with null.
    #[default]
    Never,
    /// When it is left out.
    LeftOut,
    /// Always: nobody else may.
    Alone,
}

/// A foreign key.
#[derive(Clone, Debug, Default)]
pub(super) struct Reference {
    /// What it is called, where the database has names for them.
    pub(super) name: Option<String>,
    /// Whether it is no constraint: a view shows the columns of one.
    pub(super) derived: bool,
    /// Whether its last columns are periods.
    pub(super) temporal: bool,
    /// Columns here.
    pub(super) columns: Vec<String>,
    /// Position of the other table among those found; `None` when it is not there.
    pub(super) table: Option<usize>,
    /// Columns there.
    pub(super) targets: Vec<String>,
}

/// A function in the table's schema that takes a row of it and returns rows of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Lead {
    /// Name.
    pub(super) function: String,
    /// Position of that table among those found; `None` when it is not there.
    pub(super) table: Option<usize>,
    /// Whether it is one row at most.
    pub(super) one: bool,
}

/// Names that the API keeps for itself or that would hide its documents.
const RESERVED: &[&str] = &[
    "docs", "rest", "openapi", "livez", "readyz", "metrics", "purge", "admin", "stoa",
];
/// Bytes of a name at most.
const NAME_BYTES_MAX: usize = 63;
/// Lines of a comment that are taken over.
const COMMENT_LINES_MAX: usize = 20;
/// Characters of such a line.
const COMMENT_LINE_CHARS_MAX: usize = 160;

/// The file. `store` is the store's value as YAML writes it, such as [`value`] of `sqlite:flights.db`.
pub(super) fn file(api: &str, store: &str, tables: &[Table]) -> String {
    let names = resource_names(tables);
    let mut out = format!("api: {api}\n\nstores:\n  main: {store}\n\nresources:\n");
    for (position, table) in tables.iter().enumerate() {
        resource(&mut out, position, table, tables, &names);
    }
    out
}

fn resource(out: &mut String, position: usize, table: &Table, tables: &[Table], names: &[String]) {
    let name = &names[position];
    comment(out, "  ", table.comment.as_deref());
    if *name != table.name {
        let _ = writeln!(
            out,
            "  # named `{name}` here, since a resource's name is part of its path"
        );
    }
    let _ = writeln!(out, "  {}:", key(name));
    let bound = match &table.schema {
        Some(schema) => format!("{}.{}", part(schema), part(&table.name)),
        None => part(&table.name),
    };
    let _ = writeln!(out, "    table: {}", value(&bound));
    for reference in &table.references {
        if let Some(why) = skipped(table, reference, tables) {
            let _ = writeln!(out, "    # not a ref: ({}), {why}", reference.columns.join(", "));
        }
    }
    out.push_str("    fields:\n");
    let fields = field_names(&table.columns);
    for (column, name) in table.columns.iter().zip(&fields) {
        field(out, name, column, table, tables, names);
    }
    references(out, table, tables, names);
    list(out, table, &fields);
    out.push_str("    read: public\n");
    out.push_str(
        "    write: none                             # nobody writes; for example `role admin` lets admins\n",
    );
    for rule in &table.refuses {
        let _ = writeln!(
            out,
            "    {rule}: none                            # the view takes none"
        );
    }
}

/// The line in front of the references of a table.
const REFERENCES: &str = "    references:";

/// Foreign keys that no `ref` of a field says, or not under their own name; and functions that lead on.
fn references(out: &mut String, table: &Table, tables: &[Table], names: &[String]) {
    let fields = |of: &Table, columns: &[String]| {
        let all = field_names(&of.columns);
        let name = |column: &String| {
            let at = of.columns.iter().position(|c| c.name == *column)?;
            all.get(at).map(|name| quoted(name))
        };
        let list: Option<Vec<String>> = columns.iter().map(name).collect();
        list.map(|list| list.join(", "))
    };
    let mut lines = Vec::new();
    for reference in &table.references {
        let Some(position) = reference
            .table
            .filter(|_| skipped(table, reference, tables).is_none())
        else {
            continue;
        };
        if is_said(table, reference, tables) {
            continue;
        }
        let other = &tables[position];
        if let (Some(here), Some(there)) = (
            fields(table, &reference.columns),
            fields(other, &reference.targets),
        ) {
            let derived = if reference.derived { ", derived: true" } else { "" };
            let name = reference.name.as_ref();
            let name = name.map_or_else(String::new, |name| format!("name: {}, ", quoted(name)));
            lines.push(format!(
                "      - {{ {name}fields: [{here}], to: {}, targets: [{there}]{derived} }}\n",
                names[position],
            ));
        }
    }
    for lead in &table.leads {
        let Some(name) = lead.table.and_then(|position| names.get(position)) else {
            continue;
        };
        let one = if lead.one { ", one: true" } else { "" };
        lines.push(format!(
            "      - {{ function: {}, to: {name}{one} }}\n",
            quoted(&part(&lead.function))
        ));
    }
    if !lines.is_empty() {
        out.push_str(REFERENCES);
        out.push('\n');
        out.push_str(&lines.concat());
    }
}

/// Whether the `ref` of a field says all that there is to say: of that name is PostgreSQL's own choice.
fn is_said(table: &Table, reference: &Reference, tables: &[Table]) -> bool {
    let [column] = &reference.columns[..] else {
        return false;
    };
    let own = format!("{}_{column}_fkey", table.name);
    let named = reference.name.as_ref().is_none_or(|name| *name == own);
    named
        && !reference.derived
        && chosen(table, column, tables).is_some_and(|chosen| std::ptr::eq(chosen, reference))
}

/// The foreign key that becomes the `ref` of a column.
fn chosen<'t>(table: &'t Table, column: &str, tables: &[Table]) -> Option<&'t Reference> {
    let fits = |reference: &&Reference| {
        let to_key = |other: &Table| other.key.len() == 1 && reference.targets == other.key;
        reference.columns == [column]
            && reference
                .table
                .and_then(|other| tables.get(other))
                .is_some_and(to_key)
            && skipped(table, reference, tables).is_none()
    };
    table.references.iter().find(fits)
}

/// The size of a page; and every field by name where some are not filtered and sorted by as they are.
fn list(out: &mut String, table: &Table, names: &[String]) {
    let whole = |ty: &str| ty != "json" && !ty.starts_with("list of");
    if table.columns.iter().filter_map(|c| c.ty.as_deref()).all(whole) {
        out.push_str("    list: { page: 50, max: 200 }\n");
        return;
    }
    let shown = table.columns.iter().zip(names).filter(|(c, _)| c.ty.is_some());
    let all: Vec<String> = shown.map(|(_, name)| quoted(name)).collect();
    let all = all.join(", ");
    let _ = writeln!(
        out,
        "    list:\n      page: 50\n      max: 200\n      filter: [{all}]\n      sort: [{all}]"
    );
}

/// What somebody wrote about a table or column.
fn comment(out: &mut String, indent: &str, text: Option<&str>) {
    for line in text.unwrap_or_default().lines().take(COMMENT_LINES_MAX) {
        let line: String = line
            .chars()
            .filter(|c| !c.is_control())
            .take(COMMENT_LINE_CHARS_MAX)
            .collect();
        let _ = writeln!(out, "{}", format!("{indent}# {line}").trim_end());
    }
}

/// A schema's or table's name as `table:` takes it.
fn part(name: &str) -> String {
    if name.contains(['.', '"']) || name.trim() != name {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

/// A name for each column's field, different from all others: the column's own where a field can have it.
fn field_names(columns: &[Column]) -> Vec<String> {
    // What stands between these characters and a name is spelled out in the file reference.
    let plain = |c: char| !c.is_control() && !"\".,():".contains(c);
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut names = vec![String::new(); columns.len()];
    // Columns whose own name is legal come first, so that they keep it.
    for legal in [true, false] {
        for (name, column) in names.iter_mut().zip(columns) {
            let own = &column.name;
            let is_legal = !own.trim().is_empty() && own.chars().all(plain);
            if !name.is_empty() || (legal && (!is_legal || taken.contains(&own.to_lowercase()))) {
                continue;
            }
            let made: String = own.chars().map(|c| if plain(c) { c } else { '_' }).collect();
            let wanted = if made.trim().is_empty() {
                String::from("column")
            } else {
                made
            };
            let mut number = 1;
            name.clone_from(&wanted);
            while !taken.insert(name.to_lowercase()) {
                number += 1;
                let room = NAME_BYTES_MAX - 8;
                let end = (0..=wanted.len().min(room))
                    .rev()
                    .find(|at| wanted.is_char_boundary(*at));
                *name = format!("{}_{number}", &wanted[..end.unwrap_or(0)]);
            }
        }
    }
    names
}

fn field(out: &mut String, name: &str, column: &Column, table: &Table, tables: &[Table], names: &[String]) {
    comment(out, "      ", column.comment.as_deref());
    let Some(ty) = &column.ty else {
        let shown = column.name.escape_debug();
        let _ = writeln!(
            out,
            "      # left out: the column `{shown}`, no type of a field fits it"
        );
        return;
    };
    if let Some(function) = &column.function {
        return given(out, name, ty, function, table);
    }
    let target = chosen(table, &column.name, tables).and_then(|reference| reference.table);
    let ty = match target {
        Some(other) => format!("ref {}", names[other]),
        None => ty.clone(),
    };
    let key_part = table.key.contains(&column.name);
    let mut words = Vec::new();
    if key_part {
        words.push("key");
    } else {
        if column.unique {
            words.push("unique");
        }
        if column.optional {
            words.push("optional");
        }
    }
    match column.filled {
        Filled::Never => {}
        Filled::LeftOut => words.push("generated"),
        Filled::Alone => words.push("computed"),
    }
    let text = if name == column.name {
        words.insert(0, &ty);
        value(&words.join(", "))
    } else {
        let mut words = words.join(": true, ");
        if !words.is_empty() {
            words.push_str(": true, ");
        }
        format!(
            "{{ type: {}, {words}column: {} }}",
            quoted(&ty),
            quoted(&column.name)
        )
    };
    let _ = writeln!(out, "      {}: {text}", key(name));
}

/// A field that a function gives, which is found in the table's schema where it has the field's name.
fn given(out: &mut String, name: &str, ty: &str, function: &str, table: &Table) {
    let text = if name == function {
        value(&format!("{ty}, function"))
    } else {
        let schema = table.schema.as_ref().map_or_else(String::new, |s| part(s) + ".");
        let function = quoted(&(schema + &part(function)));
        format!("{{ type: {}, function: {function} }}", quoted(ty))
    };
    let _ = writeln!(out, "      {}: {text}", key(name));
}

/// Why a foreign key leads nowhere.
fn skipped(table: &Table, reference: &Reference, tables: &[Table]) -> Option<String> {
    let Some(other) = reference.table.and_then(|position| tables.get(position)) else {
        return Some(String::from("the other table is not there"));
    };
    if reference.temporal {
        return Some(String::from(
            "its rows belong to those whose periods cover theirs, not to equal ones",
        ));
    }
    let name = &other.name;
    let ty = |table: &Table, name: &str| {
        let column = table.columns.iter().find(|c| c.name == name);
        column.and_then(|c| c.ty.clone())
    };
    let same = |(here, there): (&String, &String)| {
        let (here, there) = (ty(table, here), ty(other, there));
        here.is_some() && here == there
    };
    let pairs = reference.columns.iter().zip(&reference.targets);
    if reference.columns.len() != reference.targets.len() || !pairs.clone().all(same) {
        return Some(format!(
            "its values are not of the type of the key of {}",
            name.escape_debug()
        ));
    }
    (std::ptr::eq(table, other) && reference.columns == reference.targets)
        .then(|| String::from("it leads to itself"))
}

/// How often a file is read again after a line of it was left out.
const MENDS_MAX: usize = 1_000;

/// Leaves out each field that `check` refuses, with the reason as a comment, until the file is fine. The names
/// and types of somebody else's database may be anything.
///
/// # Errors
/// The faults, for people, when what is refused is not a field.
pub(super) fn mend(text: &str, folder: &Path) -> Result<String, String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..MENDS_MAX {
        let text = lines.join("\n") + "\n";
        let options = Options {
            profile: None,
            profile_optional: true,
            env: &|_| None,
        };
        let loaded = stoa_config::load_text("stoa.yaml", &text, folder, &options);
        if loaded.plan.is_some() {
            return Ok(text);
        }
        let mut mended = false;
        for fault in loaded.faults.iter().filter(|f| f.severity == Severity::Error) {
            let line = lines.get_mut((fault.place.line as usize).saturating_sub(1));
            // A field, a reference, or the list of references that has none left.
            let is_mine =
                |l: &String| l.starts_with("      ") && !l.trim_start().starts_with('#') || *l == REFERENCES;
            if let Some(line) = line.filter(|line| is_mine(line)) {
                *line = format!(
                    "      # left out ({}): {}",
                    fault.message.replace('\n', " "),
                    line.trim()
                );
                mended = true;
            }
        }
        if !mended {
            return Err(fault::render_human(&loaded.faults, &loaded.sources, false));
        }
    }
    Err(String::from("too many fields are refused"))
}

/// A legal name for each table's resource, different from all others: the table's own where that is one. With
/// several schemas a name that occurs twice gets the schema in front.
fn resource_names(tables: &[Table]) -> Vec<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for table in tables {
        *times.entry(legal(&table.name)).or_default() += 1;
    }
    let mut taken: BTreeSet<String> = BTreeSet::new();
    // Tables whose own name is legal come first, so that they keep it.
    let mut order: Vec<usize> = (0..tables.len()).collect();
    order.sort_by_key(|position| legal(&tables[*position].name) != tables[*position].name);
    let mut names = vec![String::new(); tables.len()];
    for position in order {
        let table = &tables[position];
        let own = legal(&table.name);
        let wanted = match &table.schema {
            Some(schema) if times.get(&own).is_some_and(|n| *n > 1) => legal(&format!("{schema}_{own}")),
            _ => own,
        };
        let mut name = wanted.clone();
        let mut number = 1;
        while taken.contains(&name.to_ascii_lowercase()) {
            number += 1;
            name = format!("{}_{number}", &wanted[..wanted.len().min(NAME_BYTES_MAX - 8)]);
        }
        taken.insert(name.to_ascii_lowercase());
        names[position] = name;
    }
    names
}

/// Letters, digits, `_` and `-`, a letter first, none of the API's own paths.
fn legal(name: &str) -> String {
    let mut text: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let reserved = RESERVED.contains(&text.to_ascii_lowercase().as_str());
    if reserved || !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        text.insert_str(0, "table_");
    }
    text.truncate(NAME_BYTES_MAX);
    text
}

/// The API's name from a file's: lower-case letters, digits and `-`.
pub(super) fn api_name(stem: &str) -> String {
    let text: String = stem
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .take(NAME_BYTES_MAX)
        .collect();
    let text = text.trim_matches('-');
    if text.is_empty() {
        String::from("api")
    } else {
        text.to_owned()
    }
}

/// `text` as YAML would read it back: a key, where `$` is itself.
fn key(text: &str) -> String {
    yaml::scalar(&Value::String(text.to_owned()))
}

/// The same inside `{…}`, always in quotes.
fn quoted(text: &str) -> String {
    Value::String(text.replace('$', "$$")).to_string()
}

/// `text` as YAML would read it back: a value, where `$` starts an expansion and `$$` is one `$`.
pub(super) fn value(text: &str) -> String {
    key(&text.replace('$', "$$"))
}

#[cfg(test)]
mod tests;
