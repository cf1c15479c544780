//! `stores:` and `shared:`

use super::{Context, Reader, list, read::default};
use crate::{
    fault::codes,
    grammar::{self, Flaw, Grammar, Words, name, net, net::StoreUrl, policy, units},
    node::{Node, Value},
    plan::{DatabaseRoles, Durability, PostgresShard, Secret, Store, StoreKind},
    report::Report,
    spec::{Key, MapSpec, Shape},
};

/// Shards of a store at most: a list that no key narrows down asks all of them.
const SHARDS_MAX: usize = 64;

pub(crate) const STORE_SHAPE: Shape = Shape::Any(&[Shape::Value(&net::STORE_WORDS), Shape::Map(&STORE)]);

pub(crate) static STORE: MapSpec = MapSpec {
    name: "store",
    doc: "The long form of a store; exactly one of its keys.",
    keys: &[
        Key::new(
            "sqlite",
            Shape::Value(&net::SQLITE_WORDS),
            "An embedded database in this file.",
            "shop.db",
        ),
        Key::new(
            "postgres",
            Shape::Any(&[Shape::Value(&net::POSTGRES_WORDS), Shape::Map(&POSTGRES)]),
            "PostgreSQL, one server or several shards.",
            "{ shards: [{ write: \"${DB_URL}\" }] }",
        ),
    ],
    instead: &[
        ("url", "write `NAME: sqlite:FILE` or `NAME: postgres://…`"),
        ("path", "did you mean `sqlite`?"),
    ],
};

pub(crate) static POSTGRES: MapSpec = MapSpec {
    name: "postgres",
    doc: "PostgreSQL in shards. Rows are spread over them by the bucket of their shard key.",
    keys: &[
        Key::new(
            "shards",
            Shape::List(&Shape::Map(&SHARD)),
            "The shards; their order never changes.",
            "[{ write: \"${DB0_URL}\", read: [\"${DB0_RO_URL}\"] }]",
        )
        .needed(),
        Key::new(
            "max_lag",
            Shape::Value(&units::DURATION_WORDS),
            "A replica that is further behind its primary is read by nobody until it has caught up.",
            "10s",
        )
        .or("10s"),
        Key::new(
            "durability",
            Shape::Value(&policy::DURABILITY_WORDS),
            "What has happened when a write is answered: the primary's disk has it, or its synchronous replicas' too.",
            "replicated",
        )
        .or("local"),
        Key::new(
            "roles",
            Shape::Map(&ROLES),
            "Runs each caller's statements as a role of the database, with the token's claims in `request.jwt.claims`, so that row-level security written for PostgREST keeps working.",
            "{ allowed: [web_user], anonymous: web_anon }",
        ),
    ],
    instead: &[("url", "write `postgres: URL`, or `shards: [{ write: URL }]`")],
};

pub(crate) static ROLES: MapSpec = MapSpec {
    name: "database_roles",
    doc: "The roles of the database as which callers' statements run. The store's own login must be a member of each.",
    keys: &[
        Key::new(
            "claim",
            Shape::Value(&CLAIM_WORDS),
            "The claim that names the role; dots lead into claims.",
            "app_metadata.role",
        )
        .or("role"),
        Key::new(
            "allowed",
            Shape::List(&Shape::Value(&ROLE_WORDS)),
            "The roles that a token may name. One that is not listed here is refused.",
            "[web_user, editor]",
        )
        .or("[]"),
        Key::new(
            "anonymous",
            Shape::Value(&ROLE_WORDS),
            "The role of callers without a token, and of tokens that name none. Without it they are refused.",
            "web_anon",
        ),
    ],
    instead: &[
        ("anon", "did you mean `anonymous`?"),
        ("role", "did you mean `claim` or `allowed`?"),
    ],
};

static CLAIM_WORDS: Words = Words::new("a claim", codes::TEXT, &["role", "app_metadata.role"]);
static ROLE: Grammar<String> = Grammar {
    words: &ROLE_WORDS,
    parse: role,
};
static ROLE_WORDS: Words = Words::new("a role of the database", codes::NAME, &["web_user", "web_anon"]);

/// Bytes of a role's name at most.
const ROLE_BYTES_MAX: usize = 63;

fn role(text: &str) -> Result<String, Flaw> {
    let flaw = |says: &str| Err(Flaw::whole(text, says));
    match text {
        "" => flaw("a role has a name"),
        // `SET ROLE none` takes the login's own role back.
        _ if text.eq_ignore_ascii_case("none") => flaw("`none` is no role: it stands for the login itself"),
        _ if text.len() > ROLE_BYTES_MAX || text.contains('\0') => flaw("a role's name has 1 to 63 bytes"),
        _ => Ok(text.to_owned()),
    }
}

pub(crate) static SHARD: MapSpec = MapSpec {
    name: "postgres_shard",
    doc: "A primary and its replicas.",
    keys: &[
        Key::new(
            "write",
            Shape::Value(&net::POSTGRES_WORDS),
            "URL of the primary.",
            "\"${DB0_URL}\"",
        )
        .needed(),
        Key::new(
            "read",
            Shape::List(&Shape::Value(&net::POSTGRES_WORDS)),
            "URLs of the replicas.",
            "[\"${DB0_RO_URL}\"]",
        )
        .or("[]"),
    ],
    instead: &[
        ("url", "did you mean `write`?"),
        ("primary", "did you mean `write`?"),
        ("replicas", "did you mean `read`?"),
    ],
};

/// Reads `stores:`. A store with a fault is left out, but its name stays known to `names`.
pub(crate) fn stores(
    node: &Node,
    context: &Context<'_>,
    names: &mut Vec<String>,
    report: &mut Report<'_>,
) -> Vec<Store> {
    let Value::Map(map) = &node.value else {
        if !node.is_null() {
            report
                .wrong_type(node, "`stores`", "a map of names and stores")
                .help("such as `stores: { main: sqlite:shop.db }`");
        }
        return Vec::new();
    };
    let mut stores = Vec::new();
    for entry in &map.entries {
        if let Err(flaw) = name::name(&entry.key) {
            report.add(codes::NAME, entry.key_span, flaw.message);
        }
        names.push(entry.key.clone());
        if entry.value.is_left_out() {
            let message = format!("store `{}` says nothing", entry.key);
            report
                .add(codes::MISSING_KEY, entry.key_span, message)
                .help(format!("such as `{}: sqlite:shop.db`", entry.key));
        } else if entry.value.is_null() {
            // Its fault is told.
        } else if let Some(kind) = store(&entry.key, &entry.value, context, report) {
            stores.push(Store {
                name: entry.key.clone(),
                kind,
            });
        }
    }
    stores
}

fn store(name: &str, node: &Node, context: &Context<'_>, report: &mut Report<'_>) -> Option<StoreKind> {
    if node.map().is_none() {
        return Some(match grammar::scalar(node, &net::STORE, report)? {
            StoreUrl::Sqlite(path) => StoreKind::Sqlite {
                path: context.path(&path),
            },
            StoreUrl::Postgres(url) => one_server(url),
        });
    }
    let read = Reader::open(&STORE, node, format!("store `{name}`"), report)?;
    match (read.has("sqlite"), read.has("postgres")) {
        (true, false) => {
            let path = read.value("sqlite", &net::SQLITE, report)?;
            Some(StoreKind::Sqlite {
                path: context.path(path.strip_prefix("sqlite:").unwrap_or(&path)),
            })
        }
        (false, true) => postgres(read.get("postgres")?, report),
        (true, true) => {
            report
                .add_with(
                    codes::EXCLUSIVE,
                    read.key_span("postgres"),
                    format!("store `{name}` is `sqlite` and `postgres`"),
                    (read.key_span("sqlite"), "the other one"),
                )
                .help("keep one of them; a profile removes a key of the base with `sqlite: null`");
            None
        }
        (false, false) => {
            report
                .add(
                    codes::STORE,
                    node.span,
                    format!("store `{name}` does not say what it is"),
                )
                .help("add `sqlite: FILE` or `postgres: URL`");
            None
        }
    }
}

fn one_server(url: String) -> StoreKind {
    StoreKind::Postgres {
        shards: vec![PostgresShard {
            write: Secret::new(url),
            read: Vec::new(),
        }],
        max_lag: default(&POSTGRES, "max_lag", &units::DURATION),
        durability: Durability::default(),
        roles: None,
    }
}

fn postgres(node: &Node, report: &mut Report<'_>) -> Option<StoreKind> {
    if node.map().is_none() {
        return grammar::scalar(node, &net::POSTGRES, report).map(one_server);
    }
    let read = Reader::open(&POSTGRES, node, "`postgres`", report)?;
    let list_node = read.get("shards")?;
    let items = list(list_node, "shards", report);
    if items.is_empty() && list_node.list().is_some() {
        report
            .add(codes::STORE, list_node.span, "`shards` is empty")
            .help("such as `[{ write: \"${DB_URL}\" }]`");
    }
    if items.len() > SHARDS_MAX {
        report.add(
            codes::STORE,
            list_node.span,
            format!("{} shards; a store has at most {SHARDS_MAX}", items.len()),
        );
    }
    let mut shards: Vec<PostgresShard> = Vec::new();
    for item in items {
        let Some(read) = Reader::open(&SHARD, item, "this shard", report) else {
            continue;
        };
        let write = read.value("write", &net::POSTGRES, report);
        let replicas = read
            .get("read")
            .map(|n| list(n, "read", report))
            .unwrap_or_default();
        if let Some(write) = &write {
            not_the_primary(write, replicas, report);
        }
        let replicas: Vec<Secret> = replicas
            .iter()
            .filter_map(|n| grammar::scalar(n, &net::POSTGRES, report))
            .map(Secret::new)
            .collect();
        if let Some(write) = write {
            if shards.iter().any(|s| s.write.expose() == write) {
                report
                    .add(codes::STORE, item.span, "two shards have one URL".to_owned())
                    .help("each shard is a database of its own");
            }
            shards.push(PostgresShard {
                write: Secret::new(write),
                read: replicas,
            });
        }
    }
    let max_lag = read.value("max_lag", &units::DURATION, report);
    let durability = read.value("durability", &policy::DURABILITY, report);
    (!shards.is_empty()).then(|| StoreKind::Postgres {
        shards,
        max_lag: read.or_default(max_lag, "max_lag", &units::DURATION),
        durability: durability.unwrap_or_default(),
        roles: read.get("roles").and_then(|n| roles(n, report)),
    })
}

/// A primary's own address among those of its replicas gives no replica. Whether another address leads to it is seen where
/// the servers are.
fn not_the_primary(write: &str, replicas: &[Node], report: &mut Report<'_>) {
    for node in replicas {
        if node.scalar().is_some_and(|url| url.text == write) {
            report
                .warn(
                    codes::STORE,
                    node.span,
                    "`read` names the primary itself, which is no replica",
                )
                .help("name a streaming replica of it, or leave `read` out: reads go to the primary then");
        }
    }
}

fn roles(node: &Node, report: &mut Report<'_>) -> Option<DatabaseRoles> {
    let read = Reader::open(&ROLES, node, "`roles`", report)?;
    let claim = read.value("claim", &name::TEXT, report);
    let claim = claim.unwrap_or_else(|| "role".to_owned());
    let claim: Vec<String> = claim.split('.').map(str::to_owned).collect();
    if let (true, Some(node)) = (claim.iter().any(String::is_empty), read.get("claim")) {
        report
            .add(
                codes::TEXT,
                node.span,
                "a claim's path has a word between its dots",
            )
            .help("such as `app_metadata.role`");
    }
    let items = read
        .get("allowed")
        .map(|n| list(n, "allowed", report))
        .unwrap_or_default();
    let allowed: Vec<String> = items
        .iter()
        .filter_map(|n| grammar::scalar(n, &ROLE, report))
        .collect();
    let anonymous = read.value("anonymous", &ROLE, report);
    if items.is_empty() && anonymous.is_none() && !read.has("anonymous") {
        report
            .add(codes::STORE, node.span, "`roles` names no role")
            .help("such as `{ allowed: [web_user], anonymous: web_anon }`");
    }
    Some(DatabaseRoles {
        claim,
        allowed,
        anonymous,
    })
}
