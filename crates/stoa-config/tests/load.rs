//! Files that are right, and the plans they make.

use std::path::Path;
use stoa_config::{Loaded, Options, fault::render_human, load_text};

fn load(text: &str, profile: Option<&str>) -> Loaded {
    let env = |name: &str| match name {
        "DB0_URL" | "DB1_URL" | "DB0_RO_URL" | "DB1_RO_URL" => Some("postgres://u:canary@db/shop".to_owned()),
        "REDIS_URL" => Some("redis://:canary@redis:6379".to_owned()),
        "OTLP_URL" => Some("http://otel:4318".to_owned()),
        _ => None,
    };
    let options = Options {
        profile,
        profile_optional: false,
        env: &env,
    };
    load_text("stoa.yaml", text, Path::new("/srv/api"), &options)
}

fn plan(text: &str, profile: Option<&str>) -> stoa_config::plan::Plan {
    let loaded = load(text, profile);
    let shown = render_human(&loaded.faults, &loaded.sources, false);
    loaded.plan.unwrap_or_else(|| panic!("{shown}"))
}

#[test]
fn the_smallest_files() {
    let hello = plan(include_str!("files/hello.yaml"), None);
    assert_eq!(hello.services[0].routes[0].display.to_string(), "/payments/**");
    let shop = plan(include_str!("files/shop.yaml"), None);
    assert_eq!(shop.resources[0].fields[0].name, "id");
    assert_eq!(shop.stores[0].name, "main");
}

#[test]
fn the_large_file_in_both_profiles() {
    let text = include_str!("files/large.yaml");
    for profile in [None, Some("prod")] {
        let plan = plan(text, profile);
        assert_eq!(plan.services.len(), 2);
        assert_eq!(plan.resources[1].fields.len(), 5);
        assert_eq!(plan.limits.len(), 2);
    }
}

/// Every example of the repository is right, in every profile it has.
#[test]
fn the_examples() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path().join("stoa.yaml");
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        seen += 1;
        for profile in [None, Some("dev"), Some("prod")] {
            let env = |name: &str| {
                let url = if name.contains("REDIS") {
                    "redis://r:6379"
                } else {
                    "postgres://u:p@db/shop"
                };
                Some(match name {
                    "OTLP_URL" => "http://otel:4318".to_owned(),
                    "JWT_SECRET" => "s".repeat(32),
                    _ => url.to_owned(),
                })
            };
            let options = Options {
                profile,
                profile_optional: true,
                env: &env,
            };
            let loaded = load_text("stoa.yaml", &text, path.parent().unwrap(), &options);
            let shown = render_human(&loaded.faults, &loaded.sources, false);
            assert!(loaded.plan.is_some(), "{} {profile:?}\n{shown}", path.display());
            if profile != Some("prod") {
                let missing = stoa_config::not_built(loaded.plan.as_ref().unwrap());
                assert!(
                    missing.is_empty(),
                    "{}: {}",
                    path.display(),
                    render_human(&missing, &loaded.sources, false)
                );
            }
        }
    }
    assert!(seen >= 3);
}
