//! Access rules of routes: who passes, and what the others are told.

use super::allow;
use crate::{Gateway, Parts as GatewayParts};
use http::{Request, StatusCode, header, request::Parts};
use serde_json::{Value, json};
use std::sync::Arc;
use stoa_config::plan::{Access, Cel};
use stoa_exchange::{Body, Caller, Context, Identity, Observer, Problem, Record};

fn caller(claims: Value) -> Identity {
    let Value::Object(claims) = claims else {
        panic!("claims are an object")
    };
    let words = |name: &str| {
        let list = claims
            .get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        list.iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    Identity::Known(Arc::new(Caller {
        subject: String::from("ada"),
        roles: words("roles"),
        scopes: words("scopes"),
        claims,
        expires_unix: None,
    }))
}

fn request(target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method("POST").uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn judge(rule: &Access, identity: &Identity) -> Result<(), Problem> {
    let mut context = Context::local();
    context.identity = identity.clone();
    allow(rule, "shop", &context, &request("/a?x=1", &[]))
}

fn when(source: &str) -> Access {
    Access::When(Cel {
        source: source.into(),
        program: Arc::new(cel::Program::compile(source).unwrap()),
    })
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn rules_by_caller() {
    let nobody = Identity::Anonymous;
    let plain = caller(json!({ "sub": "ada" }));
    let admin = caller(json!({ "roles": ["admin"], "scopes": ["read", "write"] }));
    let role = Access::Role(names(&["root", "admin"]));
    let scope = Access::Scope(names(&["read", "write"]));
    let more = Access::Scope(names(&["read", "delete"]));
    let cases = [
        (&Access::Public, [0, 0, 0]),
        (&Access::Nobody, [403, 403, 403]),
        (&Access::User, [401, 0, 0]),
        (&role, [401, 403, 0]),
        (&scope, [401, 403, 0]),
        (&more, [401, 403, 403]),
        (&Access::Owner(0), [403, 403, 403]),
    ];
    for (rule, wanted) in cases {
        let got =
            [&nobody, &plain, &admin].map(|who| judge(rule, who).err().map_or(0, |p| p.status().as_u16()));
        assert_eq!(got, wanted, "{rule}");
    }
}

#[test]
fn refusals_name_the_rule_and_challenge() {
    let plain = caller(json!({ "sub": "ada", "email": "ada@example.com", "roles": ["clerk"] }));
    let problem = judge(&Access::Role(names(&["root", "admin"])), &plain).unwrap_err();
    assert_eq!(problem.detail, "needs role root or admin");

    let problem = judge(&Access::Scope(names(&["a", "b"])), &plain).unwrap_err();
    assert_eq!(problem.detail, "needs scope a and b");
    let challenge = problem.headers[header::WWW_AUTHENTICATE].to_str().unwrap();
    assert_eq!(
        challenge,
        "Bearer realm=\"shop\", error=\"insufficient_scope\", scope=\"a b\""
    );

    let problem = judge(&when("claims.email == 'root@example.com'"), &plain).unwrap_err();
    assert_eq!(problem.status(), StatusCode::FORBIDDEN);
    assert!(!format!("{problem}").contains("ada"), "{problem}");

    let problem = judge(&Access::User, &Identity::Anonymous).unwrap_err();
    assert_eq!(problem.headers[header::WWW_AUTHENTICATE], "Bearer realm=\"shop\"");
}

#[test]
fn cel_over_claims() {
    let who = caller(json!({
        "sub": "ada", "level": 3, "big": 18_446_744_073_709_551_615_u64, "share": 0.5, "vip": true, "none": null,
        "groups": ["a", "b"], "org": { "id": 7 },
    }));
    let cases = [
        ("claims.sub == 'ada'", true),
        ("claims.level >= 3 && claims.level < 4", true),
        ("claims.big > 0u", true),
        ("claims.share < 1.0", true),
        ("claims.vip", true),
        ("claims.none == null", true),
        ("'a' in claims.groups", true),
        ("claims.groups.exists(g, g == 'b')", true),
        ("claims.org.id == 7", true),
        ("has(claims.org) && !has(claims.nothing)", true),
        ("claims['sub'].startsWith('a')", true),
        ("claims.missing == 'x' || claims.vip", true),
        ("claims.missing == 'x'", false),
        ("claims.missing != 'x'", false),
        ("!(claims.missing == 'x')", false),
        ("claims.sub", false),
        ("claims.level", false),
        ("'true'", false),
        ("claims.level > 'a'", false),
        ("claims.level / 0 == 1", false),
        ("claims.sub == 'ada' && claims.nothing", false),
        ("[][0] == 1 || false", false),
        ("unknown(claims.sub)", false),
    ];
    for (source, wanted) in cases {
        assert_eq!(judge(&when(source), &who).is_ok(), wanted, "{source}");
    }
}

#[test]
fn cel_without_a_caller() {
    for (source, status) in [
        ("claims.sub == 'ada'", 401),
        ("request.method == 'GET'", 403),
        ("request.method == 'POST'", 0),
        ("!has(claims.sub)", 0),
        ("request.method == 'POST' || claims.sub == 'ada'", 0),
    ] {
        let got = judge(&when(source), &Identity::Anonymous)
            .err()
            .map_or(0, |p| p.status().as_u16());
        assert_eq!(got, status, "{source}");
    }
}

#[test]
fn cel_over_the_request() {
    let target = "/a/%62%2Fc/d%65?x=1&y=a%20b+c&z=1&z=2&n&bad=%ff";
    let fields = [
        ("X-Key", "k"),
        ("x-two", "1"),
        ("x-two", "2"),
        ("x-raw", "\u{e9}"),
    ];
    let parts = request(target, &fields);
    let mut context = Context::local();
    context.host = String::from("api.example.com:8080");
    let cases = [
        ("request.method == 'POST'", true),
        ("request.path == '/a/%62%2Fc/de'", true),
        ("request.host == 'api.example.com:8080'", true),
        ("request.ip == '127.0.0.1'", true),
        ("request.headers['x-key'] == 'k'", true),
        ("request.headers['x-two'] == '1, 2'", true),
        ("request.headers['X-Key'] == 'k'", false),
        ("has(request.headers.missing)", false),
        ("'x-raw' in request.headers", false),
        ("request.query.x == '1'", true),
        ("request.query.y == 'a b c'", true),
        ("request.query.n == ''", true),
        ("request.query.z == '1'", false),
        ("request.query.z == '2'", false),
        ("has(request.query.bad)", false),
        ("request.path.startsWith('/admin')", false),
    ];
    for (source, wanted) in cases {
        assert_eq!(
            allow(&when(source), "shop", &context, &parts).is_ok(),
            wanted,
            "{source}"
        );
    }
}

/// An encoded letter names the same route, so a rule must see the same path.
#[test]
fn an_encoded_path_does_not_slip_past_a_rule() {
    let rule = when("!request.path.startsWith('/admin')");
    let context = Context::local();
    for target in ["/admin", "/%61dmin", "/adm%69n/x", "/%61%64%6d%69%6e"] {
        assert!(
            allow(&rule, "shop", &context, &request(target, &[])).is_err(),
            "{target}"
        );
    }
    assert!(allow(&rule, "shop", &context, &request("/other", &[])).is_ok());
}

struct Mute;

impl Observer for Mute {
    fn record(&self, _: &Record<'_>) {}
}

fn gateway(text: &str) -> (Arc<Gateway>, stoa_config::plan::Auth) {
    let options = stoa_config::Options {
        profile: None,
        profile_optional: true,
        env: &|_| None,
    };
    let loaded = stoa_config::load_text("stoa.yaml", text, std::path::Path::new("/"), &options);
    let plan = Arc::new(loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.faults)));
    let parts = GatewayParts {
        resources: std::collections::HashMap::new(),
        rest: None,
        documents: Vec::new(),
        observer: Arc::new(Mute),
        explain: false,
    };
    let built = Gateway::build(&plan, parts, None).unwrap_or_else(|faults| panic!("{faults:?}"));
    (Arc::new(built), plan.auth.clone())
}

/// The service is not there: who gets as far as it is answered with 502.
#[test]
fn a_whole_request_meets_its_rule() {
    let text = "
api: gate
auth: { jwt: { secret: only-for-tests-only-for-tests-only-for-tests } }
services:
  nowhere:
    url: http://127.0.0.1:1
    routes:
      /public: { access: public }
      /user: { access: user }
      /left-out: {}
      /nobody: { access: none }
      /admin: { access: role admin }
      /scope: { access: scope a }
";
    let (gateway, auth) = gateway(text);
    let hour = std::time::Duration::from_hours(1);
    let plain = crate::token::mint(&auth, "ada", &[], &[], hour).unwrap();
    let admin = crate::token::mint(&auth, "root", &names(&["admin"]), &names(&["a"]), hour).unwrap();
    let bad = format!("{plain}x");
    let cases = [
        ("/public", [502, 502, 502, 502]),
        ("/user", [401, 401, 502, 502]),
        ("/left-out", [401, 401, 502, 502]),
        ("/nobody", [403, 401, 403, 403]),
        ("/admin", [401, 401, 403, 502]),
        ("/scope", [401, 401, 403, 502]),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for (path, wanted) in cases {
        let got = [None, Some(&bad), Some(&plain), Some(&admin)].map(|token| {
            let mut request = Request::builder().uri(path).header("host", "localhost");
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let reply = runtime.block_on(gateway.answer(request.body(Body::Empty).unwrap()));
            let challenged = reply.headers().contains_key(header::WWW_AUTHENTICATE);
            assert!(challenged || reply.status() != StatusCode::UNAUTHORIZED, "{path}");
            reply.status().as_u16()
        });
        assert_eq!(got, wanted, "{path}");
    }
}
