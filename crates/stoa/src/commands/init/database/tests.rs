//! Names and the written file.

use super::*;

fn table(name: &str, columns: &[(&str, &str)], key: &[&str]) -> Table {
    let column = |(name, ty): &(&str, &str)| Column {
        name: (*name).to_owned(),
        ty: Some((*ty).to_owned()),
        ..Column::default()
    };
    Table {
        name: name.to_owned(),
        columns: columns.iter().map(column).collect(),
        key: key.iter().map(|k| (*k).to_owned()).collect(),
        ..Table::default()
    }
}

#[test]
fn resource_names_are_legal_and_different() {
    let names = ["a b", "a_b", "a-b", "1st", "docs", "", "ä", "A_B"];
    let tables: Vec<Table> = names.iter().map(|n| table(n, &[], &[])).collect();
    let names = resource_names(&tables);
    assert_eq!(
        names,
        [
            "a_b_3",
            "a_b",
            "a-b",
            "table_1st",
            "table_docs",
            "table_",
            "table__",
            "A_B_2"
        ]
    );
}

#[test]
fn a_name_that_two_schemas_have_gets_the_schema_in_front() {
    let with = |schema: &str, name: &str| Table {
        schema: Some(schema.into()),
        ..table(name, &[], &[])
    };
    let tables = [
        with("public", "users"),
        with("auth", "users"),
        with("public", "orders"),
    ];
    assert_eq!(resource_names(&tables), ["public_users", "auth_users", "orders"]);
}

#[test]
fn refs_lead_to_one_key_column_and_the_rest_are_references() {
    let mut flights = table(
        "flights",
        &[("id", "int"), ("origin", "text"), ("hour", "time")],
        &["id"],
    );
    let to = |columns: &[&str], table, targets: &[&str]| Reference {
        name: None,
        derived: false,
        temporal: false,
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        table,
        targets: targets.iter().map(|c| (*c).to_owned()).collect(),
    };
    flights.references = vec![
        to(&["origin"], Some(1), &["faa"]),
        to(&["origin", "hour"], Some(2), &["origin", "hour"]),
    ];
    let airports = table("airports", &[("faa", "text")], &["faa"]);
    let weather = table(
        "weather",
        &[("origin", "text"), ("hour", "time")],
        &["origin", "hour"],
    );
    let text = file("flights", "sqlite:flights.db", &[flights, airports, weather]);
    assert!(text.contains("      origin: ref airports\n"), "{text}");
    assert!(
        text.contains(
            "      - { fields: [\"origin\", \"hour\"], to: weather, targets: [\"origin\", \"hour\"] }\n"
        ),
        "{text}"
    );
    assert!(text.contains("      id: \"int, key\"\n"), "{text}");
}

#[test]
fn a_reserved_word_of_the_query_string_is_a_field_of_a_table_that_exists() {
    let columns = [
        ("id", "int"),
        ("select", "text"),
        ("order", "int"),
        ("_id", "text"),
        ("a b", "text"),
    ];
    let text = file("odd", "sqlite:odd.db", &[table("odd $x", &columns, &["id"])]);
    let mended = mend(&text, Path::new(".")).unwrap();
    assert_eq!(mended, text, "every field is kept");
    assert!(
        text.contains("table: odd $$x") || text.contains("table: \"odd $$x\""),
        "{text}"
    );
}

#[test]
fn columns_that_cannot_be_fields_are_called_otherwise() {
    let columns = [
        ("id", "int"),
        ("a.b", "text"),
        ("Name", "text"),
        ("name", "text"),
        ("bad", "nonsense"),
    ];
    let text = file("odd", "sqlite:odd.db", &[table("odd", &columns, &["id"])]);
    let mended = mend(&text, Path::new(".")).unwrap();
    for line in [
        "      a_b: { type: \"text\", column: \"a.b\" }\n",
        "      Name: text\n",
        "      name_2: { type: \"text\", column: \"name\" }\n",
        "      # left out (`nonsense` is not a type): bad: nonsense\n",
    ] {
        assert!(mended.contains(line), "{line} is not in\n{mended}");
    }
}

#[test]
fn what_was_written_about_a_table_stays_with_it() {
    let mut odd = table(
        "odd \"name\"",
        &[("id", "int"), ("n", "int"), ("sum", "int")],
        &["id"],
    );
    odd.schema = Some("my.schema".to_owned());
    odd.comment = Some("first\n\u{7}second # third".to_owned());
    odd.columns[0].filled = Filled::LeftOut;
    odd.columns[1].comment = Some("how: many".to_owned());
    odd.columns[2].filled = Filled::Alone;
    let text = mend(&file("odd", "sqlite:odd.db", &[odd]), Path::new(".")).unwrap();
    for part in [
        "  # first\n  # second # third\n",
        "    table: \"\\\"my.schema\\\".\\\"odd \\\"\\\"name\\\"\\\"\\\"\"\n",
        "      id: \"int, key, generated\"\n      # how: many\n      \"n\": int\n      sum: \"int, computed\"\n",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn what_a_function_gives_is_named_by_the_function() {
    let mut people = table(
        "people",
        &[
            ("id", "int"),
            ("full_name", "text"),
            ("a.b", "json"),
            ("ID", "int"),
        ],
        &["id"],
    );
    people.schema = Some("my.schema".to_owned());
    for column in &mut people.columns[1..] {
        column.optional = true;
        column.filled = Filled::Alone;
        column.function = Some(column.name.clone());
    }
    let lead = |function: &str, table, one| Lead {
        function: function.to_owned(),
        table,
        one,
    };
    people.leads = vec![
        lead("friends", Some(0), false),
        lead("a.b", Some(0), true),
        lead("gone", None, false),
    ];
    let text = mend(&file("odd", "postgres://h/d", &[people]), Path::new(".")).unwrap();
    assert!(!text.contains("gone"), "{text}");
    for part in [
        "      full_name: \"text, function\"\n",
        "      a_b: { type: \"json\", function: \"\\\"my.schema\\\".\\\"a.b\\\"\" }\n",
        "      ID_2: { type: \"int\", function: \"\\\"my.schema\\\".ID\" }\n",
        "filter: [\"id\", \"full_name\", \"a_b\", \"ID_2\"]\n",
        "    references:\n      - { function: \"friends\", to: people }\n",
        "      - { function: \"\\\"a.b\\\"\", to: people, one: true }\n",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn an_api_name_is_made_of_any_file_name() {
    for (stem, name) in [
        ("flights", "flights"),
        ("My Data.2", "my-data-2"),
        ("___", "api"),
        ("ÄÖ", "api"),
    ] {
        assert_eq!(api_name(stem), name);
    }
}
