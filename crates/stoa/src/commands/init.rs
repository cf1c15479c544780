//! `stoa init`: writes a file that `check` accepts and `dev` serves.

mod database;

use super::{Failure, Outcome};
use crate::{
    cli::{Init, Template},
    terminal::{self, style},
};
use serde_json::json;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};
use stoa_config::plan::Secret;
use stoa_data::{introspect, store::StoreError};

/// Makes editors complete and explain the file.
const SCHEMA_LINE: &str = "# yaml-language-server: $schema=./stoa.schema.json\n";

/// The same line in the examples, where the schema is elsewhere.
const EXAMPLES_SCHEMA_LINE: &str = "# yaml-language-server: $schema=../../docs/stoa.schema.json\n";

/// One file to write.
struct File {
    name: &'static str,
    text: String,
}

/// Writes the files, never over existing ones, and says what to do next.
pub(crate) fn run(arguments: &Init, json: bool) -> Outcome {
    let folder = arguments.folder.clone().unwrap_or_else(|| PathBuf::from("."));
    let mut files = match &arguments.from {
        Some(source) => vec![from(source, &folder)?],
        None => template(arguments.template.unwrap_or(Template::Shop)),
    };
    files.push(File {
        name: "stoa.schema.json",
        text: format!("{:#}\n", stoa_config::json_schema()),
    });
    let taken: Vec<&str> = files
        .iter()
        .map(|f| f.name)
        .filter(|name| folder.join(name).exists())
        .collect();
    // The schema is generated: an older one of ours may be replaced.
    let taken: Vec<&str> = taken
        .into_iter()
        .filter(|name| *name != "stoa.schema.json")
        .collect();
    if !taken.is_empty() {
        let names = taken.join(", ");
        let shown = folder.display();
        return Err(Failure::Input(format!(
            "{names} exists in {shown} and is not overwritten; choose another folder"
        )));
    }
    for file in &files {
        write(&folder, file).map_err(|e| {
            Failure::Input(format!(
                "{} cannot be written: {e}",
                folder.join(file.name).display()
            ))
        })?;
    }
    report(&folder, &files, json);
    Ok(())
}

fn template(template: Template) -> Vec<File> {
    let yaml = match template {
        Template::Hello => include_str!("../../../../examples/hello/stoa.yaml"),
        Template::Shop => include_str!("../../../../examples/shop/stoa.yaml"),
        Template::Gateway => include_str!("../../../../examples/gateway/stoa.yaml"),
    };
    let yaml = yaml.strip_prefix(EXAMPLES_SCHEMA_LINE).unwrap_or(yaml);
    let mut files = vec![File {
        name: "stoa.yaml",
        text: format!("{SCHEMA_LINE}{yaml}"),
    }];
    if template == Template::Shop {
        let text = String::from(include_str!("../../../../examples/shop/seed.json"));
        files.push(File {
            name: "seed.json",
            text,
        });
    }
    files
}

fn write(folder: &Path, file: &File) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut options = OpenOptions::new();
    if file.name == "stoa.schema.json" {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    options
        .write(true)
        .open(folder.join(file.name))?
        .write_all(file.text.as_bytes())
}

fn report(folder: &Path, files: &[File], json: bool) {
    let here = folder == Path::new(".");
    let next = if here {
        String::from("stoa dev")
    } else {
        format!("stoa dev {}", folder.display())
    };
    if json {
        let names: Vec<&str> = files.iter().map(|f| f.name).collect();
        terminal::result_json(&json!({ "folder": folder, "files": names, "next": next }));
        return;
    }
    let (name, dim) = (style::NAME, style::DIM);
    terminal::say(format_args!("{}/", folder.display()));
    for (position, file) in files.iter().enumerate() {
        let branch = if position + 1 == files.len() {
            "└──"
        } else {
            "├──"
        };
        terminal::say(format_args!("{dim}{branch}{dim:#} {}", file.name));
    }
    terminal::say(format_args!("\nnext: {name}{next}{name:#}"));
}

/// The file of an existing database, which is only read.
fn from(source: &str, folder: &Path) -> Result<File, Failure> {
    let input = |e: StoreError| Failure::Input(e.to_string());
    let (shown, store, name, found) = if source.starts_with("postgres://")
        || source.starts_with("postgresql://")
    {
        let url = url::Url::parse(source)
            .map_err(|e| Failure::Usage(format!("this is not the URL of a database: {e}")))?;
        let found = introspect::introspect_postgres(&Secret::new(source)).map_err(input)?;
        let name = url.path().trim_matches('/').to_owned();
        let shown = without_password(url);
        (shown.clone(), in_file(source, &shown), name, found)
    } else if let Some(path) = source.strip_prefix("sqlite:").filter(|p| !p.is_empty()) {
        let path = Path::new(path);
        let found = introspect::introspect(path).map_err(input)?;
        let stem = path.file_stem().map(|s| s.to_string_lossy()).unwrap_or_default();
        let store = database::value(&format!("sqlite:{}", as_seen_from(folder, path)));
        (path.display().to_string(), store, stem.into_owned(), found)
    } else {
        return Err(Failure::Usage(format!(
            "`{source}` cannot be read by this version; write --from sqlite:PATH or --from postgres://USER@HOST/DATABASE"
        )));
    };
    if found.is_empty() {
        return Err(Failure::Input(format!("{shown} holds no table that can be read")));
    }
    let text = database::file(&database::api_name(&name), &store, &tables(found));
    let text = database::mend(&format!("{SCHEMA_LINE}{text}"), folder).map_err(|faults| {
        Failure::Input(format!(
            "the tables of {shown} cannot be written as resources:\n{faults}"
        ))
    })?;
    Ok(File {
        name: "stoa.yaml",
        text,
    })
}

/// The URL as anybody may see it.
fn without_password(mut url: url::Url) -> String {
    if url.password().is_some() {
        let _ = url.set_password(None);
    }
    url.to_string()
}

/// The store's value: a password never goes into the file.
fn in_file(source: &str, shown: &str) -> String {
    if source == shown || url::Url::parse(source).is_ok_and(|u| u.password().is_none()) {
        return database::value(source);
    }
    format!("\"${{DATABASE_URL:-{shown}}}\"")
}

fn tables(found: Vec<introspect::Table>) -> Vec<database::Table> {
    let names: Vec<_> = found.iter().map(|t| (t.schema.clone(), t.name.clone())).collect();
    let position =
        |schema: &Option<String>, name: &str| names.iter().position(|(s, n)| s == schema && n == name);
    let column = |c: introspect::Column| database::Column {
        name: c.name,
        ty: c.ty,
        optional: !c.not_null,
        unique: c.unique,
        filled: match (c.computed, c.generated && c.not_null) {
            (true, _) => database::Filled::Alone,
            (false, true) => database::Filled::LeftOut,
            (false, false) => database::Filled::Never,
        },
        comment: c.comment,
        function: c.function,
    };
    let reference = |r: introspect::Reference| database::Reference {
        name: r.name,
        derived: r.derived,
        temporal: r.temporal,
        columns: r.columns,
        table: position(&r.schema, &r.table),
        targets: r.targets,
    };
    let lead = |l: introspect::Lead| database::Lead {
        table: position(&l.schema, &l.table),
        function: l.function,
        one: l.one,
    };
    let table = |t: introspect::Table| database::Table {
        key: key(&t),
        refuses: if t.view {
            vec!["create", "update", "delete"]
        } else {
            t.refuses
        },
        schema: t.schema,
        name: t.name,
        comment: t.comment,
        columns: t.columns.into_iter().map(column).collect(),
        references: t.references.into_iter().map(reference).collect(),
        leads: t.leads.into_iter().map(lead).collect(),
    };
    found.into_iter().map(table).collect()
}

/// The key; of a table without one, columns that are unique together and never null.
fn key(table: &introspect::Table) -> Vec<String> {
    let never_null = |name: &String| table.columns.iter().any(|c| c.name == *name && c.not_null);
    let instead = || {
        table
            .uniques
            .iter()
            .find(|columns| columns.iter().all(never_null))
    };
    if table.key.is_empty() && !table.view {
        instead().cloned().unwrap_or_default()
    } else {
        table.key.clone()
    }
}

/// The path as the file in `folder` names it: paths in a file are relative to it.
fn as_seen_from(folder: &Path, path: &Path) -> String {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let folder = folder.canonicalize().unwrap_or(folder);
    absolute
        .strip_prefix(&folder)
        .unwrap_or(&absolute)
        .display()
        .to_string()
}
