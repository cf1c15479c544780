//! What is said of functions that do not lead where the file says.

use super::*;
use crate::testing;

/// The judgement of the entry `{ function: f, to: parts … }` of the table `s.items`.
fn judged(entry: &str, rows: &[&str]) -> Result<String, String> {
    let yaml = format!(
        "api: x\nstores: {{ main: postgres://h/d }}\nauth: {{ jwt: {{ secret: {} }} }}\nresources:\n  \
         items: {{ table: s.items, fields: {{ id: 'int, key' }}, references: [{{ {entry} }}], read: public, write: none }}\n  \
         parts: {{ table: s.parts, fields: {{ id: 'int, key' }}, read: public, write: none }}\n",
        "s".repeat(32)
    );
    let plan = testing::plan(&yaml);
    let resource = &plan.resources[0];
    // What is of the function as `SCHEMA TAKES SET ROWS TYPE FITS MAY`.
    let row = |text: &&str| -> Vec<Option<String>> {
        let parts: Vec<&str> = text.split(' ').collect();
        let [schema, takes, set, rows, ty, fits, may] = parts[..] else {
            panic!("{text}")
        };
        let shown = format!("{schema}.f(x)");
        let cells = [
            "s", "f", schema, &shown, takes, set, rows, "2249", "record", "f", may, ty, fits,
        ];
        cells.map(|cell| Some(cell.to_owned())).to_vec()
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    judge(&plan, resource, 0, &rows)
}

#[test]
fn the_function_of_the_schema_that_takes_the_row_leads_on() {
    let rows = [
        "public t t 1000 s.parts t t",
        "s f t 1000 s.parts t t",
        "s t t 1000 s.parts t t",
        "w t t 1 s.parts t t",
    ];
    for (entry, name) in [
        ("function: f, to: parts", "\"s\".\"f\""),
        ("function: w.f, to: parts", "\"w\".\"f\""),
        ("function: w.f, to: parts, one: true", "\"w\".\"f\""),
    ] {
        assert_eq!(judged(entry, &rows), Ok(name.to_owned()), "{entry}");
    }
}

#[test]
fn what_is_otherwise_is_said_with_what_to_do() {
    let one = "function: f, to: parts, one: true";
    let many = "function: f, to: parts";
    for (entry, row, why) in [
        (
            many,
            "public t t 1000 s.parts t t",
            "which the database does not have: CREATE FUNCTION \"s\".\"f\"(\"s\".\"items\")",
        ),
        (
            many,
            "s f t 1000 s.parts t t",
            "does not take a row of \"s\".\"items\" alone (there is s.f(x))",
        ),
        (
            many,
            "s t t 1000 s.others f t",
            "which returns s.others, no rows of the table of parts",
        ),
        (
            many,
            "s t f 0 s.parts t t",
            "which returns one row, no set: write `one: true`",
        ),
        (
            one,
            "s t t 1000 s.parts t t",
            "which may return several rows: ALTER FUNCTION s.f(x) ROWS 1",
        ),
        (one, "s t f 0 s.parts t f", "GRANT EXECUTE ON FUNCTION s.f(x)"),
    ] {
        let said = judged(entry, &[row]).expect_err(row);
        assert!(said.contains(why), "{said}");
        assert!(
            said.starts_with("resource items leads to parts by the function \"s\".\"f\""),
            "{said}"
        );
    }
}
