//! What the binary is made of, and that it can be made again: `cargo xtask sbom` and `cargo xtask reproducible`.

use crate::stage::{Outcome, cargo, command, output, root, run, stage};
use serde_json::{Value, json};
use std::{collections::BTreeSet, env, fs, path::Path};

/// Packages in the tree of the default build at most, ours included. Each one is somebody to trust and seconds of a
/// first build: raise it together with the reason in the change that needs it. Ten of them came with the three codings of
/// compressed replies.
const PACKAGES_MAX: usize = 210;

/// A bill of materials (CycloneDX 1.6) of the default build, as the lock file fixes it, on stdout.
pub(crate) fn sbom() -> Outcome {
    let packages = packages()?;
    let components: Vec<Value> = packages
        .iter()
        .filter(|p| p.source)
        .map(|p| {
            json!({
                "type": "library", "name": p.name, "version": p.version,
                "purl": format!("pkg:cargo/{}@{}", p.name, p.version), "bom-ref": format!("{}@{}", p.name, p.version),
                "licenses": [{ "expression": p.license }],
            })
        })
        .collect();
    let own = packages
        .iter()
        .find(|p| p.name == "stoa")
        .ok_or("the binary's package is missing")?;
    let bill = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": { "component": { "type": "application", "name": "stoa", "version": own.version } },
        "components": components,
    });
    println!("{bill:#}");
    Ok(())
}

/// The budget of dependencies holds, and every package is one that the lock file names.
pub(crate) fn budget() -> Outcome {
    let packages = packages()?;
    let lock =
        fs::read_to_string(root().join("Cargo.lock")).map_err(|e| format!("cannot read Cargo.lock: {e}"))?;
    for package in &packages {
        let entry = format!("name = \"{}\"\nversion = \"{}\"", package.name, package.version);
        if !lock.contains(&entry) {
            return Err(format!(
                "{} {} is not in Cargo.lock",
                package.name, package.version
            ));
        }
    }
    if packages.len() > PACKAGES_MAX {
        return Err(format!(
            "the default build has {} packages, more than {PACKAGES_MAX}: see PACKAGES_MAX in xtask/src/supply.rs",
            packages.len()
        ));
    }
    eprintln!("{} packages of at most {PACKAGES_MAX}", packages.len());
    Ok(())
}

/// One package of the binary's tree.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    license: String,
    /// Whether it comes from a registry.
    source: bool,
}

/// The packages of the default build on this platform, those of builds and macros included.
fn packages() -> Outcome<BTreeSet<Package>> {
    let words = [
        "tree",
        "--locked",
        "-p",
        "stoa",
        "-e",
        "normal,build",
        "--prefix",
        "none",
        "-f",
        "{p}\t{l}",
    ];
    let tree = output(&mut cargo(&words))?;
    let package = |line: &str| {
        let (name, license) = line.split_once('\t')?;
        let mut words = name.split_whitespace();
        let (name, version) = (words.next()?, words.next()?.trim_start_matches('v'));
        Some(Package {
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.replace('/', " OR ").trim_end_matches(" (*)").to_owned(),
            source: !line.contains("(/"),
        })
    };
    Ok(tree.lines().filter_map(package).collect())
}

/// Builds the release binary twice, in two folders, and compares the bytes.
pub(crate) fn reproducible() -> Outcome {
    let base = env::temp_dir().join(format!("stoa-reproducible-{}", std::process::id()));
    let commit = output(&mut command("git", &["rev-parse", "HEAD"]))?;
    let commit = commit.trim();
    let made = stage("first build", || build(commit, &base.join("one")))
        .and_then(|one| stage("second build", || build(commit, &base.join("another"))).map(|two| (one, two)));
    let _ = fs::remove_dir_all(&base);
    let (one, two) = made?;
    if one != two {
        return Err("the two binaries differ".to_owned());
    }
    eprintln!("the same {} bytes twice", one.len());
    Ok(())
}

/// The release binary of a commit, built in a folder of its own without a word of where that is.
fn build(commit: &str, folder: &Path) -> Outcome<Vec<u8>> {
    let shown = folder.display().to_string();
    run(&mut command(
        "git",
        &["clone", "--quiet", &root().display().to_string(), &shown],
    ))?;
    run(command("git", &["checkout", "--quiet", commit]).current_dir(folder))?;
    let home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")));
    let home = home.map_err(|_| "neither CARGO_HOME nor HOME is set".to_owned())?;
    let rust = format!("--remap-path-prefix={shown}=/stoa --remap-path-prefix={home}=/cargo");
    let c = format!("-ffile-prefix-map={shown}=/stoa -ffile-prefix-map={home}=/cargo");
    let mut build = cargo(&["build", "--release", "--locked", "--quiet"]);
    build
        .current_dir(folder)
        .env("RUSTFLAGS", rust)
        .env("CFLAGS", c)
        .env("SOURCE_DATE_EPOCH", "0")
        .env_remove("CARGO_TARGET_DIR");
    run(&mut build)?;
    let binary = folder.join("target/release/stoa");
    fs::read(&binary).map_err(|e| format!("cannot read {}: {e}", binary.display()))
}
