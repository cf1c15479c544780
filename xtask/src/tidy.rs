//! Rules about files that no compiler knows.

use crate::stage::{Outcome, command, output, root};
use std::{fs, path::Path};

/// Lines of a source file; the style asks for 100 to 500.
const LINES_MAX: usize = 600;
/// Lines of a file that holds only tests, a list of equals.
const TEST_LINES_MAX: usize = 1_200;
/// Packages in Cargo.lock: what a cold build costs follows from it.
const PACKAGES_MAX: usize = 400;
/// Bytes of a file: big data does not belong into the repository.
const BYTES_MAX: u64 = 512 * 1024;

pub(crate) fn tidy() -> Outcome {
    let listed = output(&mut command(
        "git",
        &["ls-files", "--cached", "--others", "--exclude-standard"],
    ))?;
    let mut faults = Vec::new();
    for name in listed.lines() {
        let path = root().join(name);
        let Ok(data) = fs::metadata(&path) else { continue };
        if data.len() > BYTES_MAX {
            faults.push(format!("{name}: {} bytes; the most is {BYTES_MAX}", data.len()));
        }
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        any_text(name, &text, &mut faults);
        match path.extension().and_then(|e| e.to_str()) {
            Some("rs") => rust(name, &text, &mut faults),
            Some("md") => markdown(name, &path, &text, &mut faults),
            _ => {}
        }
    }
    packages(&mut faults);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(format!("{} faults\n{}", faults.len(), faults.join("\n")))
    }
}

fn any_text(name: &str, text: &str, faults: &mut Vec<String>) {
    for (line, content) in (1..).zip(text.lines()) {
        if content.starts_with("<<<<<<< ") || content.starts_with(">>>>>>> ") {
            faults.push(format!("{name}:{line}: a mark of a merge that was not ended"));
        }
    }
}

fn rust(name: &str, text: &str, faults: &mut Vec<String>) {
    if !text.starts_with("//!") {
        faults.push(format!(
            "{name}:1: starts without `//!`: say what the file is for"
        ));
    }
    let tests = name.ends_with("tests.rs") || name.contains("/tests/") || name.starts_with("tests/");
    let (lines, most) = (
        text.lines().count(),
        if tests { TEST_LINES_MAX } else { LINES_MAX },
    );
    if lines > most {
        faults.push(format!(
            "{name}: {lines} lines; the most is {most}: find the second subject and move it out"
        ));
    }
    // In two parts, so that this file does not find itself.
    for (mark, why) in [
        (concat!("TO", "DO"), "write an issue instead"),
        (concat!("FIX", "ME"), "mend it or write an issue"),
        (concat!("#[ig", "nore"), "a test that does not run proves nothing"),
    ] {
        if let Some(line) = text.lines().position(|l| l.contains(mark)) {
            faults.push(format!("{name}:{}: {mark}: {why}", line + 1));
        }
    }
}

/// Links between pages lead somewhere.
fn markdown(name: &str, path: &Path, text: &str, faults: &mut Vec<String>) {
    let folder = path.parent().unwrap_or(root());
    for (line, content) in (1..).zip(text.lines()) {
        for rest in content.split("](").skip(1) {
            let Some((target, _)) = rest.split_once(')') else {
                continue;
            };
            let target = target.split('#').next().unwrap_or_default();
            let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !outside && !target.contains(' ') && !folder.join(target).exists() {
                faults.push(format!("{name}:{line}: the link leads nowhere: {target}"));
            }
        }
    }
}

fn packages(faults: &mut Vec<String>) {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap_or_default();
    let count = lock.lines().filter(|line| *line == "[[package]]").count();
    if count == 0 || count > PACKAGES_MAX {
        faults.push(format!(
            "Cargo.lock: {count} packages; the most is {PACKAGES_MAX}"
        ));
    }
}
