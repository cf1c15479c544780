//! The API file: read, checked, resolved into the [`plan`]. No sockets, no async.
//!
//! [`load`] reads the file and reports every fault in one run; a [`Loaded`] without errors holds the
//! [`plan::Plan`]. The tables that decode also make the JSON Schema ([`json_schema`]) and the file
//! reference ([`reference()`]).

mod decode;
mod effective;
mod expand;
pub mod fault;
mod grammar;
mod lint;
mod node;
mod not_built;
mod openapi;
pub mod plan;
mod profile;
mod reference;
mod report;
mod resolve;
mod schema;
mod source;
mod spec;
mod yaml;

use fault::{Fault, codes};
use node::{Node, Span};
use report::Report;
use serde_json::Value;
use source::Text;
use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

pub use not_built::not_built;

/// How a file is read.
pub struct Options<'a> {
    /// The profile to merge over the file; an unknown one is a fault unless `profile_optional`.
    pub profile: Option<&'a str>,
    /// A profile that does not exist is left out silently (`dev` does that).
    pub profile_optional: bool,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// What reading a file gave.
pub struct Loaded {
    /// The plan; `None` when there are errors.
    pub plan: Option<plan::Plan>,
    /// Every fault, errors first by place.
    pub faults: Vec<Fault>,
    /// Files that were read (the API file, included files), to watch and to show lines of: name and text.
    /// Secrets that stand in a file are masked in the text.
    pub sources: Vec<Source>,
    /// The tree the plan was made from: merged and expanded.
    tree: Option<Node>,
}

impl Loaded {
    /// Takes the plan, and lets go of what it was made of.
    pub fn take_plan(&mut self) -> Option<plan::Plan> {
        self.tree = None;
        self.plan.take()
    }
}

/// A file that was read.
pub struct Source {
    /// As the user named it; places refer to it.
    pub name: String,
    /// Absolute.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// The file that is read when a folder is named.
pub const FILE_NAME: &str = "stoa.yaml";

/// Reads the API file at `path` (a file, or a folder that holds `stoa.yaml`) and everything it names.
/// Never panics and never stops at the first fault.
pub fn load(path: &Path, options: &Options<'_>) -> Loaded {
    let path = if path.is_dir() {
        path.join(FILE_NAME)
    } else {
        path.to_owned()
    };
    let name = path.to_string_lossy().into_owned();
    let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    match read(&path) {
        Ok(text) => load_file(&name, text, absolute, options),
        Err((code, message)) => {
            let empty = Text::new(&name, String::new());
            let mut report = Report::new(&empty);
            report.add(code, Span::default(), message).help = help_for_unreadable(code);
            Loaded {
                plan: None,
                faults: report.finish(),
                sources: vec![Source {
                    name,
                    path: absolute,
                    text: String::new(),
                }],
                tree: None,
            }
        }
    }
}

fn help_for_unreadable(code: &str) -> Option<String> {
    (code == codes::UNREADABLE).then(|| "`stoa init` writes a file; FILE names another one".to_owned())
}

fn read(path: &Path) -> Result<String, (&'static str, String)> {
    let unreadable = |e: std::io::Error| (codes::UNREADABLE, format!("cannot read {}: {e}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(yaml::BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > yaml::BYTES_MAX {
        return Err((
            codes::TOO_LARGE,
            format!("{} is larger than 8 MiB", path.display()),
        ));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        (
            codes::NOT_UTF8,
            format!("{} is not text in UTF-8: byte {at} is wrong", path.display()),
        )
    })
}

/// As [`load`], from text; relative paths are relative to `folder`.
pub fn load_text(name: &str, text: &str, folder: &Path, options: &Options<'_>) -> Loaded {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let file_name = Path::new(name).file_name().unwrap_or(FILE_NAME.as_ref());
    load_file(name, text.to_owned(), folder.join(file_name), options)
}

fn load_file(name: &str, text: String, path: PathBuf, options: &Options<'_>) -> Loaded {
    let text = Text::new(name, text);
    let mut report = Report::new(&text);
    let mut tree = None;
    let mut plan = None;
    let mut secrets = Vec::new();
    if text.content.len() > yaml::BYTES_MAX {
        report.add(codes::TOO_LARGE, Span::default(), "the file is larger than 8 MiB");
    } else if let Some(mut root) = yaml::parse(&mut report) {
        secrets = effective::secrets(&root);
        plan = resolve_tree(&mut root, &path, options, &mut report);
        tree = Some(root);
        secrets.extend(likely_secrets(&text.content, false));
    } else {
        secrets = likely_secrets(&text.content, true);
    }
    let failed = report.has_errors();
    let faults = report.finish();
    Loaded {
        plan: plan.filter(|_| !failed),
        faults,
        sources: vec![Source {
            name: name.to_owned(),
            path,
            text: masked(text.content, &secrets),
        }],
        tree,
    }
}

fn resolve_tree(
    root: &mut Node,
    path: &Path,
    options: &Options<'_>,
    report: &mut Report<'_>,
) -> Option<plan::Plan> {
    let wanted = profile::Wanted {
        name: options.profile,
        optional: options.profile_optional,
    };
    let profile = profile::apply(root, &wanted, report);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut expander = expand::Expander {
        env: options.env,
        folder,
        variables: std::collections::BTreeMap::new(),
    };
    expander.expand(root, report);
    let mut plan = decode::root::decode(root, folder, expander.variables, profile.as_deref(), report)?;
    path.clone_into(&mut plan.file);
    plan.marks = not_built::marks(root, report.text);
    Some(plan)
}

/// The plan in force as one tree in the shape of the file, defaults filled, secrets as `[redacted]`; with
/// `origin`, each value as `{value, origin}` where origin is `default`, `FILE:LINE:COLUMN`, `profile NAME
/// (FILE:LINE:COLUMN)` or `env NAME`. `null` for a file with errors.
pub fn effective(loaded: &Loaded, origin: bool) -> Value {
    match (&loaded.tree, &loaded.plan, loaded.sources.first()) {
        (Some(tree), Some(plan), Some(source)) => {
            effective::show(tree, plan, &Text::new(&source.name, source.text.clone()), origin)
        }
        _ => Value::Null,
    }
}

/// JSON Schema (2020-12) of the API file.
pub fn json_schema() -> Value {
    schema::schema()
}

/// The file reference, Markdown.
pub fn reference() -> String {
    reference::reference()
}

/// What may be secret wherever it stands: users and passwords of URLs; in a text that is not YAML also what
/// follows `secret:`.
fn likely_secrets(text: &str, keys: bool) -> Vec<Span> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let colon = line
            .find("secret")
            .filter(|_| keys)
            .and_then(|key| Some(key + line[key..].find(':')? + 1));
        if let Some(colon) = colon {
            found.push(Span::new(at + colon..at + line.trim_end().len().max(colon)));
        } else if let Some((scheme, sign)) = line.find("://").zip(line.rfind('@')).filter(|(s, a)| s + 3 < *a)
        {
            found.push(Span::new(at + scheme + 3..at + sign));
        }
        at += line.len();
    }
    found
}

/// Puts `*` over the secrets that stand in the file itself: faults show lines of it.
fn masked(mut text: String, secrets: &[Span]) -> String {
    for span in secrets {
        if let Some(secret) = text.get(span.range()) {
            let stars: String = secret
                .bytes()
                .map(|b| if b == b'\n' { '\n' } else { '*' })
                .collect();
            text.replace_range(span.range(), &stars);
        }
    }
    text
}
