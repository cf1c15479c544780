//! Requests through the handler over a real SQLite store, as a caller sees them.

mod alias;
mod attacks;
mod lists;
mod rows;
mod rules;
mod writes;

use super::*;
use http::{HeaderMap, StatusCode};
use stoa_exchange::{Caller, Identity, read_to_limit};

/// An API with every kind of field, and callers who share it.
pub(crate) const SHOP: &str = r#"
api: shop
auth:
  jwt: { secret: "0123456789abcdef0123456789abcdef" }
server: { allow_rollback: true }
resources:
  products:
    fields:
      id: uuid7, key
      name: text, 1..20 chars
      sku: text, unique, optional
      price: decimal(12,2), min 0
      stock: int, default 0
      tags: { type: list of text, default: [] }
      details: json, optional
      state: { type: "enum(draft, live)", default: draft }
      created_at: time, auto
    list: { filter: [name, sku, price, stock, tags, details, state], sort: [name, price, stock], page: 3, max: 5 }
    read: public
    write: public
  reviews:
    fields:
      id: int, key
      product_id: ref products
      stars: int, 1..5
      text: text, optional
    read: public
    write: public
  orders:
    shard: customer_id
    fields:
      id: uuid7, key
      customer_id: text
      note: text, optional
      quantity: { type: int, min: 1, max: 99, default: 1 }
    read: owner customer_id
    write: owner customer_id
  people:
    fields:
      id: text, key
      name: text
      boss: ref people, optional
    read: public
    create: public
    update: none
    delete: none
"#;

/// An open API in a folder of its own.
pub(super) struct Api {
    handlers: HashMap<String, Arc<dyn Handler>>,
    _folder: tempfile::TempDir,
}

/// A reply, read whole.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().expect("text"))
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Fails unless the status is this one.
    #[track_caller]
    pub(super) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Fails unless it is a problem with this code.
    #[track_caller]
    pub(super) fn problem(self, status: u16, code: &str) -> Self {
        let got = self.is(status);
        assert_eq!(got.json()["code"], code, "{got:?}");
        got
    }
}

/// A request in the making.
pub(super) struct Ask<'a> {
    api: &'a Api,
    request: http::request::Builder,
    path: String,
    subject: Option<&'a str>,
}

impl<'a> Ask<'a> {
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(super) fn prefer(self, value: &str) -> Self {
        self.header("prefer", value)
    }

    pub(super) fn by(mut self, subject: &'a str) -> Self {
        self.subject = Some(subject);
        self
    }

    pub(super) fn send(self, body: &str) -> Got {
        let name = self
            .path
            .trim_start_matches("/rest/v1")
            .split(['/', '?'])
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let handler = self
            .api
            .handlers
            .get(&name)
            .unwrap_or_else(|| panic!("no resource {name}"));
        let request = self.request.body(Body::full(body.to_owned())).expect("a request");
        let mut context = Context::local();
        if let Some(subject) = self.subject {
            context.identity = Identity::Known(Arc::new(Caller {
                subject: subject.to_owned(),
                ..Caller::default()
            }));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let reply = match handler.handle(&mut context, request).await {
                Ok(reply) => reply,
                Err(problem) => {
                    assert_ne!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR, "{problem}");
                    problem.into_reply(Some(&context))
                }
            };
            let (parts, body) = reply.into_parts();
            let body = read_to_limit(body, 1 << 24).await.expect("a body");
            Got {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body: String::from_utf8(body.to_vec()).expect("UTF-8"),
            }
        })
    }

    pub(super) fn get(self) -> Got {
        self.send("")
    }
}

impl Api {
    pub(super) fn shop() -> Self {
        Self::open(SHOP)
    }

    pub(super) fn open(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let plan = crate::testing::plan_in(folder.path(), yaml);
        crate::migrate::apply(&plan, 0, false).expect("tables");
        let store = crate::store::open(&plan, 0).expect("a store");
        let data = Data::open(plan, vec![store]).expect("data");
        Self {
            handlers: data.handlers(),
            _folder: folder,
        }
    }

    pub(super) fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        Ask {
            api: self,
            request: http::Request::builder().method(method).uri(
                path.replace(' ', "%20")
                    .replace('"', "%22")
                    .replace('{', "%7B")
                    .replace('}', "%7D")
                    .replace('>', "%3E"),
            ),
            path: path.to_owned(),
            subject: None,
        }
    }

    pub(super) fn get(&self, path: &str) -> Got {
        self.ask("GET", path).get()
    }

    /// A product, and its id.
    pub(super) fn product(&self, name: &str, price: &str) -> String {
        let body = format!(r#"{{"name":"{name}","price":{price}}}"#);
        let got = self.ask("POST", "/products").send(&body).is(201);
        got.json()["id"].as_str().expect("an id").to_owned()
    }

    /// Products a..g, whose price is their position and whose stock is their position modulo 3.
    pub(super) fn letters(&self) {
        let row = |(i, name): (usize, char)| {
            format!(
                r#"{{"name":"{name}","price":{i}.5,"stock":{},"sku":"s{i}"}}"#,
                i % 3
            )
        };
        let rows: Vec<_> = ('a'..='g').enumerate().map(row).collect();
        self.ask("POST", "/products")
            .send(&format!("[{}]", rows.join(",")))
            .is(201);
    }

    /// The names in a list.
    #[track_caller]
    pub(super) fn names(&self, query: &str) -> String {
        let got = self.get(&format!("/products?select=name&{query}"));
        assert_eq!(got.status, 200, "{query}: {got:?}");
        let rows = got.json();
        rows.as_array()
            .expect("a list")
            .iter()
            .map(|r| r["name"].as_str().expect("a name"))
            .collect()
    }
}
