//! Loading into a resource that only remembers what it is sent.

use super::{Loaded, load, without_rules};
use http::Method;
use serde_json::Value;
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
};
use stoa_config::plan::{Access, Plan};
use stoa_exchange::{
    Body, Context, FieldError, Handler, HandlerFuture, Problem, Reply, Request, codes, read_to_limit,
};

/// The plan of an API file that is right.
pub(crate) fn plan(text: &str) -> Plan {
    plan_in(text, Path::new("/nowhere"))
}

fn plan_in(text: &str, folder: &Path) -> Plan {
    let options = stoa_config::Options {
        profile: None,
        profile_optional: true,
        env: &|_| None,
    };
    let loaded = stoa_config::load_text("stoa.yaml", text, folder, &options);
    let faults = stoa_config::fault::render_human(&loaded.faults, &loaded.sources, false);
    loaded.plan.unwrap_or_else(|| panic!("{faults}"))
}

/// A resource that remembers what it was sent.
#[derive(Default)]
struct Table {
    rows: Mutex<Vec<Value>>,
    requests: Mutex<usize>,
    refuse: bool,
}

impl Handler for Table {
    fn handle<'a>(&'a self, context: &'a mut Context, request: Request) -> HandlerFuture<'a> {
        Box::pin(async move {
            *self.requests.lock().unwrap() += 1;
            if request.method() == Method::GET {
                let full = !self.rows.lock().unwrap().is_empty();
                return Ok(Reply::new(Body::from(if full { "[{}]" } else { "[]" })));
            }
            let body = read_to_limit(request.into_body(), context.body_bytes_max)
                .await
                .unwrap();
            let rows: Vec<Value> = serde_json::from_slice(&body).unwrap();
            if self.refuse {
                let error = FieldError {
                    field: "1.name".into(),
                    message: "is missing".into(),
                };
                return Err(Problem::new(&codes::BAD_REQUEST, "1 field is not right.").errors(vec![error]));
            }
            self.rows.lock().unwrap().extend(rows);
            Ok(Reply::default())
        })
    }
}

const FILE: &str = "api: a\nseed: seed.json\nresources:\n  things:\n    fields: { name: text }\n    read: none\n    write: none\n";

type Handlers = HashMap<String, Arc<dyn Handler>>;

fn setup(seed: &str, table: Table) -> (tempfile::TempDir, Plan, Arc<Table>, Handlers) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("seed.json"), seed).unwrap();
    let plan = plan_in(FILE, folder.path());
    let table = Arc::new(table);
    let handler: Arc<dyn Handler> = Arc::clone(&table) as Arc<dyn Handler>;
    (
        folder,
        plan,
        table,
        HashMap::from([("things".to_owned(), handler)]),
    )
}

#[tokio::test]
async fn rows_are_loaded_once() {
    let rows: Vec<_> = (0..1201).map(|i| format!(r#"{{"name":"{i}"}}"#)).collect();
    let seed = format!(r#"{{"things":[{}]}}"#, rows.join(","));
    let (_folder, plan, table, handlers) = setup(&seed, Table::default());
    let loaded = load(&plan, &handlers).await.unwrap();
    assert_eq!(
        loaded,
        [Loaded {
            resource: "things".into(),
            rows: 1201
        }]
    );
    assert_eq!(
        *table.requests.lock().unwrap(),
        1 + 3,
        "one look and three transactions"
    );
    assert_eq!(load(&plan, &handlers).await.unwrap(), []);
    assert_eq!(table.rows.lock().unwrap().len(), 1201);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_place() {
    for (seed, expected) in [
        ("nonsense", "seed.json is not JSON"),
        ("[]", "must be an object"),
        (r#"{"things": 1}"#, "must be a list of rows"),
        (r#"{"other": []}"#, "no resource `other`"),
        (r#"{"things": [{}, {}]}"#, "row 1, name: is missing"),
    ] {
        let table = Table {
            refuse: true,
            ..Table::default()
        };
        let (_folder, plan, _table, handlers) = setup(seed, table);
        let error = load(&plan, &handlers).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{seed}: {error}");
    }
}

#[test]
fn loading_knows_no_rules() {
    let open = without_rules(&plan(FILE));
    for (_, rule) in open.resources[0].rules.each() {
        assert!(matches!(rule.access, Access::Public));
    }
}
