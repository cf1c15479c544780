//! What a store found becomes a reply.

use super::*;

#[test]
fn ranges_of_pages() {
    for (offset, rows, total, want) in [
        (0, 0, None, "*/*"),
        (0, 0, Some(0), "*/0"),
        (9, 0, Some(7), "*/7"),
        (0, 3, None, "0-2/*"),
        (5, 2, Some(7), "5-6/7"),
        (u64::MAX, 2, None, "18446744073709551615-18446744073709551615/*"),
    ] {
        assert_eq!(content_range(offset, rows, total), want);
    }
}

#[test]
fn one_row_or_a_refusal() {
    let object = Media::Object { stripped: false };
    assert_eq!(body(b"{\"a\":1}", 1, object, &[]).expect("one"), b"{\"a\":1}");
    for rows in [0, 2] {
        let problem = body(b"", rows, object, &[]).expect_err("none").into_problem(true);
        assert_eq!(problem.status(), 406);
        assert_eq!(
            problem.details,
            Some(format!("The result contains {rows} rows").into())
        );
    }
    assert_eq!(
        body(b"{\"a\":null,\"b\":1}", 1, Media::Object { stripped: true }, &[]).expect("one"),
        b"{\"b\":1}"
    );
}

#[test]
fn csv_quotes_what_would_break_it() {
    let rows = br#"{"a":"x,y","b":null},{"b":[1],"a":"l\n\"q\""}"#;
    let got = body(rows, 2, Media::Csv, &["a", "b"]).expect("CSV");
    assert_eq!(
        String::from_utf8(got).expect("UTF-8"),
        "a,b\n\"x,y\",\n\"l\n\"\"q\"\"\",[1]"
    );
}
