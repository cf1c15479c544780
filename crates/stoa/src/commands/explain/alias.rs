//! The codes of replies under `/rest/v1`: PostgREST's own and the SQLSTATEs it passes on, for its client libraries.

/// Codes and what they say, in order.
pub(super) const CODES: &[(&str, &str)] = &[
    (
        "21000",
        "The query asks one row to stand in several places, which the database refuses.",
    ),
    ("2201B", "A regular expression cannot be read by PostgreSQL."),
    ("22003", "A number is larger than its column takes."),
    ("22P02", "A value cannot be read as the type of its field."),
    ("23502", "A field that every row needs is missing or null."),
    (
        "23503",
        "A `ref` names a row that is not there, or rows still refer to the row that is to go.",
    ),
    ("23505", "Another row has this value in a `unique` field or key."),
    (
        "23514",
        "A value breaks a constraint of its field: `min`, `max`, `chars`, `matches`, an enum's names.",
    ),
    (
        "25006",
        "What is bound with `table:` is a view: it cannot be written.",
    ),
    (
        "42501",
        "The access rule of the resource does not let this caller do it.",
    ),
    (
        "42703",
        "The resource has no such field. The hint names a near one.",
    ),
    (
        "42601",
        "The words of a text search cannot be read; `plfts` and `wfts` read any words.",
    ),
    (
        "42704",
        "The server does not know the name, such as the language of a text search.",
    ),
    (
        "42712",
        "Two columns of the reply have the same name: rename one, `select=other:name`.",
    ),
    ("42883", "The operator does not fit the type of the field."),
    (
        "428C9",
        "The field is filled in by Stoa (`auto`) and cannot be written.",
    ),
    (
        "42P10",
        "`on_conflict` names fields that are not unique together.",
    ),
    ("53100", "The disk of the store is full."),
    ("57014", "The statement took longer than it may and was stopped."),
    (
        "P0001",
        "A function or trigger of the database ended the request with `RAISE`.",
    ),
    (
        "PGRST000",
        "The store cannot be reached. Try again; the log holds the cause.",
    ),
    (
        "PGRST003",
        "Too many requests wait for the store. `Retry-After` says when to come back.",
    ),
    (
        "PGRST100",
        "A parameter of the query string cannot be read; `details` says where.",
    ),
    (
        "PGRST101",
        "A function is run by POST, or read-only by GET and HEAD.",
    ),
    (
        "PGRST102",
        "The body is not the JSON that this request needs: an object, or an array of objects.",
    ),
    (
        "PGRST103",
        "The range lies outside the rows: `offset` or `Range` begins after the last one.",
    ),
    (
        "PGRST105",
        "A `PUT` must name the whole key in its filters, with `eq` alone.",
    ),
    (
        "PGRST106",
        "`Accept-Profile` or `Content-Profile` names a schema that the file has no table or function of.",
    ),
    ("PGRST107", "No representation fits `Accept`."),
    (
        "PGRST108",
        "A filter or order names an embedded resource that `select` does not embed.",
    ),
    ("PGRST114", "A `PUT` takes no `limit` and no `offset`."),
    (
        "PGRST115",
        "The key in the body of a `PUT` is not the one in its address.",
    ),
    (
        "PGRST116",
        "One object was asked for, and the result has none or several rows.",
    ),
    ("PGRST117", "The method is not served here."),
    (
        "PGRST120",
        "An embedded resource can only be filtered with `is.null` or `not.is.null` here.",
    ),
    (
        "PGRST121",
        "A function or trigger raised SQLSTATE `PGRST`, and what it said is not the JSON it must be.",
    ),
    (
        "PGRST122",
        "`Prefer: handling=strict` was sent with a preference that is not known.",
    ),
    (
        "PGRST123",
        "Aggregates are not served; `Prefer: count=exact` counts rows.",
    ),
    (
        "PGRST124",
        "More rows would change than `Prefer: max-affected` allows.",
    ),
    (
        "PGRST127",
        "This part of the dialect is not served, or not on this store.",
    ),
    (
        "PGRST128",
        "`max-affected` bounds rows, and this function gives one value or nothing.",
    ),
    ("PGRST200", "No reference joins the two resources."),
    (
        "PGRST201",
        "Several references join the two resources: name one, `other!field(…)`.",
    ),
    (
        "PGRST202",
        "The file names no function like this, or it takes other arguments; the hint names its own.",
    ),
    (
        "PGRST204",
        "The body names a field that the resource does not have.",
    ),
    (
        "PGRST205",
        "The file has no resource of this name in the schema that was asked for.",
    ),
];
