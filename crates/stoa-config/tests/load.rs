//! Files that are right, and the plans they make.

use std::path::Path;
use stoa_config::{Loaded, Options, fault::render_human, load_text};

fn load(text: &str, profile: Option<&str>) -> Loaded {
    let env = |name: &str| match name {
        "DB0_URL" | "DB1_URL" | "DB0_RO_URL" | "DB1_RO_URL" => {
            Some(format!("postgres://u:canary@{name}/shop"))
        }
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
                    "DB1_URL" => format!("{url}_1"),
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

/// The plan without the places, which differ.
fn without_places(plan: &stoa_config::plan::Plan) -> String {
    let mut plan = plan.clone();
    plan.marks.clear();
    let text = format!("{plan:#?}");
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line == "place: Place {" {
            lines.by_ref().take_while(|l| l.trim() != "},").for_each(drop);
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Each short form has a long form that means the same.
#[test]
fn short_and_long_forms_make_one_plan() {
    let short = plan(include_str!("files/short_forms.yaml"), None);
    let long = plan(include_str!("files/long_forms.yaml"), None);
    let (short, long) = (without_places(&short), without_places(&long));
    let differs = short.lines().zip(long.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None);
    assert_eq!(short, long);
    assert!(short.lines().count() > 300, "{short}");
}

/// Values that YAML readers turn into something else stay what the key expects.
#[test]
fn traps_of_yaml() {
    let text = "\
api: a
version: 1.10
resources:
  things:
    fields:
      state: enum(no, yes, 012, 1e3), default no
      code: { type: text, default: 012 }
      exact: { type: text, default: 1.10 }
      answer: { type: \"enum(yes, no)\", default: yes }
    read: none
";
    let plan = plan(text, None);
    assert_eq!(plan.version, "1.10");
    let things = &plan.resources[0];
    let default = |name: &str| format!("{:?}", things.field(name).unwrap().1.default);
    assert!(default("state").contains("\"no\""));
    assert!(default("code").contains("\"012\""));
    assert!(default("exact").contains("\"1.10\""));
    assert!(default("answer").contains("\"yes\""));
    assert!(matches!(
        things.rules.read.access,
        stoa_config::plan::Access::Nobody
    ));
}

#[test]
fn expansion_and_profiles() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "0123456789012345678901234567890123\n").unwrap();
    let text = "\
api: a
auth: { jwt: { secret: \"${file:key}\" } }
server: { http: \"${HOST:-127.0.0.1}:${PORT}\", max_headers: \"${HEADERS:-50}\", drain: 5s, idle_timeout: 9s }
stores: { main: \"sqlite:$$x.db\" }
services: { s: [http://127.0.0.1:1, http://127.0.0.1:2] }
resources: { p: { fields: { n: \"text, matches ^a$\" } } }
profiles:
  p: { server: { drain: null, idle_timeout: 7s }, services: { s: \"http://127.0.0.1:3\" } }
";
    let options = Options {
        profile: Some("p"),
        profile_optional: false,
        env: &|name| (name == "PORT").then(|| "81".to_owned()),
    };
    let loaded = load_text("stoa.yaml", text, folder.path(), &options);
    let shown = render_human(&loaded.faults, &loaded.sources, false);
    let plan = loaded.plan.unwrap_or_else(|| panic!("{shown}"));
    assert_eq!(plan.server.http.to_string(), "127.0.0.1:81");
    assert_eq!(plan.server.headers_max, 50);
    assert_eq!(plan.server.drain.as_secs(), 30, "null in a profile removes");
    assert_eq!(plan.server.idle_timeout.as_secs(), 7);
    assert_eq!(plan.services[0].endpoints.len(), 1, "a value replaces a list");
    assert_eq!(plan.profile.as_deref(), Some("p"));
    let variables: Vec<(&str, bool)> = plan.variables.iter().map(|(n, f)| (n.as_str(), *f)).collect();
    assert_eq!(
        variables,
        [
            ("HEADERS", false),
            ("HOST", false),
            ("PORT", true),
            ("file:key", true)
        ]
    );
    let stoa_config::plan::StoreKind::Sqlite { path } = &plan.stores[0].kind else {
        panic!("a file");
    };
    assert_eq!(path, &folder.path().join("$x.db"));
    let pattern = plan.resources[0].fields[1].matches.as_ref().unwrap();
    assert!(pattern.regex.is_match("a") && !pattern.regex.is_match("ab"));
}

#[test]
fn an_optional_profile_may_be_missing() {
    let options = Options {
        profile: Some("dev"),
        profile_optional: true,
        env: &|_| None,
    };
    let loaded = load_text(
        "stoa.yaml",
        include_str!("files/hello.yaml"),
        Path::new("."),
        &options,
    );
    assert_eq!(loaded.plan.unwrap().profile, None);
}

#[test]
fn rules_left_open() {
    let text = "\
api: a
services: { s: { url: \"http://127.0.0.1:1\", routes: { GET /s: {}, POST /s: { access: user } } } }
resources: { p: { fields: { n: text }, write: none } }
";
    assert_eq!(plan(text, None).rules_left_open(), ["GET /s", "p.read"]);
    let closed = format!("{text}auth: {{ jwt: {{ jwks: keys.json }} }}\n");
    assert!(plan(&closed, None).rules_left_open().is_empty());
}
