//! `stoa dev`: on a laptop.

use super::{Failure, Outcome, init};
use crate::{
    cli::{Dev, Init, ProfiledFile},
    run::{self, Mode, Setup},
    terminal,
};
use std::path::PathBuf;

/// Serves the file; without one, offers to write it.
pub(crate) fn run(arguments: Dev, json: bool) -> Outcome {
    let file = ProfiledFile {
        path: arguments.path,
        profile: Some(String::from("dev")),
    };
    let path = file.path();
    let missing = if path.is_dir() {
        !path.join("stoa.yaml").exists()
    } else {
        !path.exists()
    };
    if missing {
        offer(&path)?;
    }
    run::run(Setup {
        mode: Mode::Dev,
        file,
        addresses: arguments.addresses,
        only: Vec::new(),
        json,
    })
}

/// In a terminal asks whether to write the shop; otherwise says the command.
fn offer(path: &std::path::Path) -> Outcome {
    let folder = if path.extension().is_some() {
        path.parent()
    } else {
        Some(path)
    };
    let folder = folder.filter(|f| !f.as_os_str().is_empty());
    let command = folder.map_or_else(
        || String::from("stoa init"),
        |f| format!("stoa init {}", f.display()),
    );
    let named = path.file_name().is_some_and(|n| n == "stoa.yaml") || path.extension().is_none();
    let none = format!(
        "there is no API file at {}; `{command}` writes one",
        path.display()
    );
    if !named || !terminal::interactive() {
        return Err(Failure::Input(none));
    }
    terminal::say_raw(format_args!(
        "there is no API file at {}. Write one now? [Y/n] ",
        path.display()
    ));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    let yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes");
    if read.is_err() || !answer.ends_with('\n') || !yes {
        return Err(Failure::Input(none));
    }
    let folder: Option<PathBuf> = folder.map(PathBuf::from);
    init::run(
        &Init {
            folder,
            template: None,
            from: None,
        },
        false,
    )
}
