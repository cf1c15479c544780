//! Lists: filters, order, pages, counts, embeds.

use super::*;

#[test]
fn filters_find_what_they_say() {
    let api = Api::shop();
    api.letters();
    for (query, names) in [
        ("name=eq.c", "c"),
        ("name=neq.c&order=name", "abd"),
        ("price=gt.3.5&order=name", "efg"),
        ("price=gte.3.50&order=name", "def"),
        ("price=lt.1&order=name", "a"),
        ("price=lte.1.5&order=name", "ab"),
        ("stock=eq.1&order=name", "be"),
        ("stock=not.eq.1&order=name.desc", "gfd"),
        ("name=in.(b,\"c\",zz)&order=name", "bc"),
        ("name=in.()", ""),
        ("name=like.*b*", "b"),
        ("name=ilike.B", "b"),
        ("name=like(any).{a*,g*}&order=name", "ag"),
        ("price=gt(all).{1,2,4}&order=name", "efg"),
        ("sku=is.null", ""),
        ("sku=not.is.null&order=name&limit=2", "ab"),
        ("or=(name.eq.a,and(stock.eq.1,price.gt.2))&order=name", "ae"),
        ("not.or=(stock.eq.0,stock.eq.1)&order=name", "cf"),
        (
            "and=(name.gte.b,name.lte.d,not.or(name.eq.c,name.eq.zz))&order=name",
            "bd",
        ),
        ("name=isdistinct.a&order=name&limit=1", "b"),
        ("order=stock.desc,name.asc&limit=3", "cfb"),
        ("order=name&offset=5", "fg"),
        ("order=name&limit=100", "abcde"),
        ("order=name&limit=0", ""),
    ] {
        assert_eq!(api.names(query), names, "{query}");
    }
}

#[test]
fn lists_and_json_are_filtered_inside() {
    let api = Api::shop();
    for (name, tags, details) in [
        ("a", r#"["x","y"]"#, r#"{"color":"red","size":{"w":1}}"#),
        ("b", r#"["y"]"#, r#"{"color":"blue"}"#),
        ("c", "[]", "null"),
    ] {
        let body = format!(r#"{{"name":"{name}","price":1,"tags":{tags},"details":{details}}}"#);
        api.ask("POST", "/products").send(&body).is(201);
    }
    for (query, names) in [
        ("tags=cs.{x}", "a"),
        ("tags=cs.{y}&order=name", "ab"),
        ("tags=cd.{y,z}&order=name", "bc"),
        ("tags=ov.{x,z}", "a"),
        ("details->>color=eq.red", "a"),
        ("details->size->>w=eq.1", "a"),
        ("details=cs.{\"color\":\"blue\"}", "b"),
        ("details=is.null", "c"),
        ("or=(tags.cs.{x,y},name.eq.c)&order=name", "ac"),
    ] {
        assert_eq!(api.names(query), names, "{query}");
    }
    let got = api
        .get("/products?select=n:name,details->>color,w:details->size->w&order=name&limit=1")
        .is(200);
    assert_eq!(got.body, r#"[{"n":"a","color":"red","w":1}]"#);
}

#[test]
fn pages_follow_their_links_to_the_end() {
    let api = Api::shop();
    api.letters();
    for order in [
        "order=name",
        "order=stock.desc,name",
        "order=price.desc",
        "order=stock.nullsfirst",
    ] {
        let mut path = format!("/products?select=name&{order}&limit=2");
        let mut seen = String::new();
        for turn in 0..5 {
            let got = api.get(&path).is(200);
            let rows = got.json();
            let names: Vec<_> = rows
                .as_array()
                .unwrap()
                .iter()
                .map(|r| r["name"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(
                got.header("content-range"),
                format!("{}-{}/*", turn * 2, turn * 2 + names.len() - 1)
            );
            seen.extend(names);
            let link = got.header("link").to_owned();
            if link.is_empty() {
                break;
            }
            let next = link
                .strip_prefix("<http://localhost")
                .and_then(|l| l.strip_suffix(">; rel=\"next\""));
            path = next.expect("an absolute link").to_owned();
            assert!(path.contains("limit=2") && path.contains("&after="), "{path}");
        }
        let mut sorted: Vec<char> = seen.chars().collect();
        sorted.sort_unstable();
        assert_eq!(sorted.iter().collect::<String>(), "abcdefg", "{order}: {seen}");
    }
}

#[test]
fn counts_and_ranges() {
    let api = Api::shop();
    assert_eq!(api.get("/products").is(200).header("content-range"), "*/*");
    api.letters();
    let got = api.ask("GET", "/products").prefer("count=exact").get().is(200);
    assert_eq!(
        (got.header("content-range"), got.header("preference-applied")),
        ("0-2/7", "count=exact")
    );
    let got = api
        .ask("GET", "/products?offset=8")
        .prefer("count=exact")
        .get()
        .problem(416, "range-not-satisfiable");
    assert_eq!(got.header("content-range"), "*/7");
    api.ask("GET", "/products?offset=8").get().is(200);
    let head = api.ask("HEAD", "/products?order=name").get().is(200);
    let whole = api.get("/products?order=name");
    assert_eq!(
        (head.body.as_str(), head.header("content-length")),
        ("", whole.body.len().to_string().as_str())
    );
}

#[test]
fn embeds_follow_refs_both_ways() {
    let api = Api::shop();
    let (a, b) = (api.product("a", "1"), api.product("b", "2"));
    let rows = format!(
        r#"[{{"id":1,"product_id":"{a}","stars":5}},{{"id":2,"product_id":"{a}","stars":3}},{{"id":3,"product_id":"{b}","stars":1}}]"#
    );
    api.ask("POST", "/reviews").send(&rows).is(201);
    for (path, want) in [
        (
            "/products?select=name,reviews(stars)&order=name",
            r#"[{"name":"a","reviews":[{"stars":5},{"stars":3}]},{"name":"b","reviews":[{"stars":1}]}]"#,
        ),
        (
            "/products?select=name,r:reviews(stars)&r.stars=gt.4&order=name",
            r#"[{"name":"a","r":[{"stars":5}]},{"name":"b","r":[]}]"#,
        ),
        (
            "/products?select=name,reviews!inner(stars)&reviews.stars=lt.2",
            r#"[{"name":"b","reviews":[{"stars":1}]}]"#,
        ),
        (
            "/products?select=name,reviews(stars)&reviews.order=stars&reviews.limit=1&name=eq.a",
            r#"[{"name":"a","reviews":[{"stars":3}]}]"#,
        ),
        (
            "/products?select=name,reviews()&reviews.stars=eq.1&reviews=not.is.null",
            r#"[{"name":"b"}]"#,
        ),
        (
            "/products?select=name,reviews()&reviews.stars=eq.1&reviews=is.null",
            r#"[{"name":"a"}]"#,
        ),
        (
            "/reviews?select=id,products(name)&id=eq.3",
            r#"[{"id":3,"products":{"name":"b"}}]"#,
        ),
        (
            "/reviews?select=id,product_id(name)&id=eq.3",
            r#"[{"id":3,"product_id":{"name":"b"}}]"#,
        ),
        (
            "/reviews?select=id,p:products!reviews_product_id_fkey(name)&id=eq.3",
            r#"[{"id":3,"p":{"name":"b"}}]"#,
        ),
    ] {
        assert_eq!(api.get(path).is(200).body, want, "{path}");
    }
    api.ask("POST", "/people")
        .send(r#"[{"id":"b","name":"Bo"},{"id":"a","name":"Al","boss":"b"}]"#)
        .is(201);
    let got = api
        .get("/people?select=name,boss(name),people(name)&order=id")
        .is(200);
    assert_eq!(
        got.body,
        r#"[{"name":"Al","boss":{"name":"Bo"},"people":[]},{"name":"Bo","boss":null,"people":[{"name":"Al"}]}]"#
    );
}

#[test]
fn what_is_not_known_is_named() {
    let api = Api::shop();
    for (query, code, says) in [
        ("nme=eq.a", "unknown-field", "`name`"),
        ("ordr=name", "unknown-field", "`order`"),
        ("name=qe.a", "unknown-operator", "`eq`"),
        ("name=a", "unknown-operator", "eq neq"),
        ("name=fts.a", "needs-postgres", "fts"),
        ("price=eq.abc", "bad-value", "a decimal number"),
        ("price=eq.null", "bad-value", "is.null"),
        ("state=eq.lve", "bad-value", "did you mean live"),
        ("created_at=gt.2020-01-01", "not-filterable", "list.filter"),
        ("order=created_at", "not-sortable", "list.sort"),
        ("order=name.up", "bad-query", "nullsfirst"),
        ("select=nme", "unknown-field", "`name`"),
        ("select=name,name:sku", "bad-query", "two items"),
        ("select=review(id)", "unknown-relation", "`reviews`"),
        ("select=count()", "no-aggregates", "aggregates: true"),
        ("select=price.sum()", "no-aggregates", "aggregates: true"),
        ("select=name.sum()", "bad-query", "does not work on text"),
        ("select=name::money", "bad-query", "numeric"),
        ("select=price::date", "bad-query", "no cast"),
        ("reviews.stars=eq.1", "unknown-parameter", "not embedded"),
        ("limit=x", "bad-query", "a number"),
        ("limit=-1", "bad-query", "a number"),
        ("offset=9223372036854775808", "bad-query", "too large"),
        ("or=(name.eq.a", "bad-query", "expected"),
        ("or=()", "bad-query", "field name"),
        ("after=abc", "bad-cursor", "not a cursor"),
        ("columns=name", "unknown-parameter", "columns"),
        ("name=is.maybe", "bad-query", "not_null"),
        ("stock=like.1", "bad-query", "does not work"),
        ("name->x=eq.1", "not-supported", "json"),
    ] {
        let got = api.get(&format!("/products?{query}")).problem(400, code);
        assert!(got.body.contains(says), "{query}: {got:?} should say {says}");
    }
}

#[test]
fn other_representations() {
    let api = Api::shop();
    let id = api.product("a,\\\"b\\\"", "1");
    let one = api
        .ask("GET", "/products?select=name,sku")
        .header("accept", "application/vnd.pgrst.object+json")
        .get()
        .is(200);
    assert_eq!(one.body, r#"{"name":"a,\"b\"","sku":null}"#);
    let stripped = api
        .ask("GET", "/products?select=name,sku")
        .header("accept", "application/vnd.pgrst.array+json;nulls=stripped")
        .get()
        .is(200);
    assert_eq!(stripped.body, r#"[{"name":"a,\"b\""}]"#);
    let csv = api
        .ask("GET", "/products?select=name,sku,price,tags")
        .header("accept", "text/csv")
        .get()
        .is(200);
    assert_eq!(csv.body, "name,sku,price,tags\n\"a,\"\"b\"\"\",,1.00,[]");
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    api.product("b", "1");
    api.ask("GET", "/products")
        .header("accept", "application/vnd.pgrst.object+json")
        .get()
        .problem(406, "not-one-row");
    api.ask("GET", "/products")
        .header("accept", "image/png")
        .get()
        .problem(406, "not-acceptable");
    api.ask("GET", &format!("/products/{id}"))
        .header("accept", "text/html;q=0.9, */*;q=0.1")
        .get()
        .is(200);
}
