//! `references:` of a resource, entry by entry.

use super::resources::{NAMES_SHAPE, TABLE_WORDS};
use crate::{
    grammar::name,
    spec::{Key, MapSpec, Shape},
};

pub(crate) static REFERENCE: MapSpec = MapSpec {
    name: "reference",
    doc: "A way from an existing table or view to another resource.",
    keys: &[
        Key::new(
            "name",
            Shape::Value(&name::TEXT_WORDS),
            "What the constraint is called, which callers may write in place of the resource or as a hint. Left out: PostgreSQL's own name for it. With `function`: what callers embed it by; left out, the function's name.",
            "shift",
        ),
        Key::new(
            "fields",
            NAMES_SHAPE,
            "The fields here. Needed, unless there is a `function`.",
            "[unit, day]",
        ),
        Key::new(
            "to",
            Shape::Value(&name::NAME_WORDS),
            "The resource that they refer to, of the same store.",
            "shifts",
        )
        .needed(),
        Key::new(
            "targets",
            NAMES_SHAPE,
            "The fields there, one for each and of the same type; its key when left out.",
            "[unit, day]",
        ),
        Key::new(
            "derived",
            Shape::Bool,
            "Whether the database has no such constraint: a view shows its columns. Where a name means several ways, those with a constraint win.",
            "true",
        )
        .or("false"),
        Key::new(
            "function",
            Shape::Value(&TABLE_WORDS),
            "In place of `fields`: the function of PostgreSQL that takes a row of this table and returns rows of the table of `to`. Without a schema, in this table's.",
            "public.authors_of",
        ),
        Key::new(
            "one",
            Shape::Bool,
            "Whether the function leads to one row at most, so that an embed is an object or null, no list: it returns no set, or says `ROWS 1`.",
            "true",
        )
        .or("false"),
    ],
    instead: &[
        ("columns", "did you mean `fields`?"),
        ("resource", "did you mean `to`?"),
        ("key", "did you mean `targets`?"),
    ],
};
