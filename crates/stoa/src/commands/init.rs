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

fn from(source: &str, _folder: &Path) -> Result<File, Failure> {
    Err(Failure::Usage(format!(
        "`{source}` is no source; write sqlite:PATH"
    )))
}
