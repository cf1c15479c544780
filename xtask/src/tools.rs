//! Installs what checks and tests need, once, below `target/tools` or the user's cache.

use crate::stage::{Outcome, cargo, command, output, run, tools_folder, works};
use std::{env, fs, path::Path};

/// Version of cargo-deny whose configuration `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

/// Python packages of the tests.
const PYTHON_PACKAGES: &str = include_str!("../../tests/clients/requirements.txt");

/// The npm package file of the tests, and what pins it.
const NODE_FOLDER: &str = "tests/clients";

/// The path of a cargo-deny that works; built from its source when there is none.
pub(crate) fn cargo_deny() -> Outcome<String> {
    for program in ["cargo-deny".to_owned(), in_cache("bin/cargo-deny")?] {
        let newest = format!("cargo-deny {CARGO_DENY}");
        let found = output(&mut command(&program, &["--version"]));
        if found.is_ok_and(|version| version.trim() == newest) {
            return Ok(program);
        }
    }
    let folder = in_cache("")?;
    eprintln!("cargo-deny {CARGO_DENY} is missing: building it into {folder}");
    let mut install = cargo(&[
        "install",
        "--locked",
        "--debug",
        "--version",
        CARGO_DENY,
        "--root",
        &folder,
    ]);
    // A debug build takes a third of the time of a release build, and this one runs for seconds.
    install
        .arg("cargo-deny")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env_remove("CARGO_TARGET_DIR");
    run(&mut install)?;
    in_cache("bin/cargo-deny")
}

/// The Python of a virtual environment that has the packages of the tests.
pub(crate) fn python() -> Outcome<String> {
    let folder = tools_folder().join("venv");
    let python = text(&folder.join("bin/python"));
    if is_fresh(&folder, PYTHON_PACKAGES) {
        return Ok(python);
    }
    if !works("python3", &["-c", "import ensurepip, venv"]) {
        return Err(
            "the tests need Python 3.9 or newer with venv: `apt-get install python3-venv`".to_owned(),
        );
    }
    run(&mut command("python3", &["-m", "venv", &text(&folder)]))?;
    let wanted = folder.join("requirements.txt");
    fs::write(&wanted, PYTHON_PACKAGES).map_err(|e| format!("cannot write {}: {e}", wanted.display()))?;
    let quiet = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ];
    run(command(&python, &quiet).arg(&wanted))?;
    mark_fresh(&folder, PYTHON_PACKAGES)?;
    Ok(python)
}

/// The folder whose `node_modules` has the npm packages of the tests.
pub(crate) fn node() -> Outcome<String> {
    let folder = tools_folder().join("npm");
    let wanted = fs::read_to_string(crate::stage::root().join(NODE_FOLDER).join("package.json"))
        .map_err(|e| format!("cannot read {NODE_FOLDER}/package.json: {e}"))?;
    if is_fresh(&folder, &wanted) {
        return Ok(text(&folder));
    }
    if !works("node", &["--version"]) || !works("npm", &["--version"]) {
        return Err("the tests need Node.js 20 or newer and npm: `apt-get install nodejs npm`".to_owned());
    }
    fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    fs::write(folder.join("package.json"), &wanted).map_err(|e| e.to_string())?;
    run(command("npm", &["install", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder))?;
    mark_fresh(&folder, &wanted)?;
    Ok(text(&folder))
}

/// Everything that the tests need.
pub(crate) fn all() -> Outcome {
    python()?;
    node()?;
    postgres()
}

/// PostgreSQL's own programs, 15 or newer, `PgBouncer`, and those by which root starts them as another user and finds them.
pub(crate) fn postgres() -> Outcome {
    let installed = || {
        let versions = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten();
        versions
            .into_iter()
            .any(|version| version.path().join("bin/initdb").exists())
    };
    let needed = ["postgresql", "pgbouncer", "procps"];
    if installed() && works("pgrep", &["--version"]) && works("pgbouncer", &["--version"]) {
        return Ok(());
    }
    let told = || {
        format!(
            "the tests need PostgreSQL 15 or newer and PgBouncer: `apt-get install {}`",
            needed.join(" ")
        )
    };
    let mut install = command("apt-get", &["install", "-y", "-qq", "--no-install-recommends"]);
    install.args(needed).env("DEBIAN_FRONTEND", "noninteractive");
    let mut update = command("apt-get", &["update", "-qq"]);
    run(&mut update)
        .and_then(|()| run(&mut install))
        .map_err(|e| format!("{e}; {}", told()))?;
    if installed() { Ok(()) } else { Err(told()) }
}

/// A folder is fresh when it was completed for the same list of packages.
fn is_fresh(folder: &Path, wanted: &str) -> bool {
    fs::read_to_string(folder.join("installed")).is_ok_and(|installed| installed == wanted)
}

fn mark_fresh(folder: &Path, wanted: &str) -> Outcome {
    fs::write(folder.join("installed"), wanted)
        .map_err(|e| format!("cannot write into {}: {e}", folder.display()))
}

/// A path in the user's cache: cargo-deny outlives `cargo clean`, since it takes minutes to build.
fn in_cache(name: &str) -> Outcome<String> {
    let cache = env::var("XDG_CACHE_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cache")));
    let cache = cache.map_err(|_| "neither XDG_CACHE_HOME nor HOME is set".to_owned())?;
    Ok(text(&Path::new(&cache).join("stoa-xtask").join(name)))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
