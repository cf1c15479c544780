//! The data half's problems.

stoa_exchange::codes! {
    BAD_QUERY = "bad-query", 400, "The query string cannot be read",
        "A filter, `select`, `order` or another parameter breaks the grammar. `detail` names the part and the place in it. Values that hold `,` or `)` inside `in.(…)` and `or=(…)` go in double quotes.";
    UNKNOWN_PARAMETER = "unknown-parameter", 400, "The query names something this address does not know",
        "A parameter is neither a field of the resource nor one of `select order limit offset after columns on_conflict and or`, or it does nothing on this method. Nothing is ignored silently: a filter with a slip in its name would otherwise show every row.";
    UNKNOWN_FIELD = "unknown-field", 400, "The resource has no such field",
        "The name is not among the fields that the API file declares; the hint names the nearest.";
    UNKNOWN_OPERATOR = "unknown-operator", 400, "There is no such operator",
        "Filters are written `field=operator.value` with `eq neq gt gte lt lte like ilike in is isdistinct cs cd ov`, on PostgreSQL also `match imatch fts plfts phfts wfts sl sr nxr nxl adj`, each with `not.` in front if wanted.";
    NEEDS_POSTGRES = "needs-postgres", 400, "Only PostgreSQL can do this",
        "Regular expressions, text search, ranges and functions of the database are PostgreSQL's own. The resource is in SQLite, where they do not exist; the same request is served once its store is a PostgreSQL server.";
    NOT_FILTERABLE = "not-filterable", 400, "The field may not be filtered by",
        "`list.filter` of the resource names the fields a caller may filter by; left out, every field with a single value. JSON and lists must be named there.";
    NOT_SORTABLE = "not-sortable", 400, "The field may not be sorted by",
        "`list.sort` of the resource names the fields a caller may sort by; left out, every field with a single value.";
    BAD_VALUE = "bad-value", 400, "A value does not fit its field",
        "The value in the query or path is not of the field's type. `detail` says what the type takes.";
    UNKNOWN_RELATION = "unknown-relation", 400, "There is no way from one resource to the other",
        "`select=other(…)` follows a field declared as `ref other`, in either direction, or goes through a resource that refers to both. The name is the other resource's, or that of the `ref` field.";
    AMBIGUOUS_RELATION = "ambiguous-relation", 400, "There is more than one way from one resource to the other",
        "Several `ref` fields connect the two resources. Say which: `select=other!ref_field(…)`, or `select=other!between(…)` through the resource `between`.";
    NO_AGGREGATES = "no-aggregates", 400, "The resource does not take aggregates",
        "`count()`, `sum()`, `avg()`, `min()` and `max()` in `select` read every row that the filter finds. A resource takes them where its file says `list: { aggregates: true }`.";
    NOT_SUPPORTED = "not-supported", 400, "This part of the dialect is not served",
        "The request is well formed in PostgREST's dialect, but asks for something that a declared resource does not offer. `detail` names it.";
    TOO_COMPLEX = "too-complex", 400, "The request asks for too much at once",
        "Filters, list items, nesting, selected items and rows of a body are bounded, so that one request cannot hold a database. `detail` names the bound.";
    UNKNOWN_SCHEMA = "unknown-schema", 406, "There is no such schema",
        "`Accept-Profile` and `Content-Profile` choose among the schemas that the tables and functions of the API file are in: `public` for those that Stoa makes.";
    BAD_CURSOR = "bad-cursor", 400, "The cursor does not fit this request",
        "`after` takes what a `Link` of the same list gave: same resource, same filters, same order, same caller. Start again without `after`.";
    BAD_BODY = "bad-body", 400, "The body cannot be read",
        "The body is not JSON, holds a key twice, is nested deeper than 64, or has another shape than this address takes.";
    BAD_ARGUMENTS = "bad-arguments", 400, "The function does not take these arguments",
        "Arguments are given by name, in the query string of a `GET` or as the members of the JSON object in the body of a `POST`. Every argument that the API file does not call `optional` must be there, and none that it does not name.";
    BAD_PREFERENCE = "bad-preference", 400, "A preference is not known",
        "With `Prefer: handling=strict`, preferences that are not known refuse the request. Without it, they are ignored.";
    BAD_IDEMPOTENCY_KEY = "bad-idempotency-key", 400, "The idempotency key is not well formed",
        "`Idempotency-Key` is 1 to 255 visible characters, bare or in double quotes.";
    BAD_CONSISTENCY = "bad-consistency", 400, "The consistency token is not one of this API",
        "`Stoa-Consistency` takes the token of a write's reply as it was, or `strong`. Leave it out to read without.";
    FILTER_REQUIRED = "filter-required", 400, "A change of many rows needs a filter",
        "`PATCH` and `DELETE` without a filter would change every row. Say which rows; `id=not.is.null` means all of them.";
    MAX_AFFECTED = "max-affected", 400, "More rows would change than the request allows",
        "`Prefer: max-affected` bounds the rows that a write may change. Nothing was changed.";
    INVALID_FIELDS = "invalid-fields", 422, "The body does not fit the resource",
        "`errors` names every bad field: missing, unknown, of the wrong type, or against a constraint of the API file.";
    REFERENCE_MISSING = "reference-missing", 422, "A reference leads nowhere",
        "A `ref` field holds a key that no row of the other resource has.";
    IDEMPOTENCY_MISMATCH = "idempotency-mismatch", 422, "The idempotency key was used for another request",
        "The first request with this key had another payload, query, media type or preference. Use a new key for a new request.";
    IDEMPOTENCY_RUNNING = "idempotency-running", 409, "The first request with this key is still running",
        "Send the request again in a moment: it will then be answered with the first reply.";
    ALREADY_EXISTS = "already-exists", 409, "Another row has this value",
        "The field is `unique` (or the key), and a row with the value exists. `resolution=merge-duplicates` overwrites it instead.";
    STILL_REFERRED = "still-referred", 409, "Other rows refer to this one",
        "Rows of another resource hold this row's key in a `ref` field. Remove or change them first.";
    ROW_NOT_FOUND = "row-not-found", 404, "There is no such row",
        "No row has this key, or the caller may not see it.";
    ROW_REFUSED = "row-refused", 403, "The row would not be the caller's to write",
        "The access rule of the resource does not hold for the row as it would be after the write, as when its `owner` field names somebody else.";
    PRECONDITION_FAILED = "precondition-failed", 412, "The row is not in the state that the request expects",
        "`If-Match` names another version than the row has now, or `If-None-Match: *` met a row that exists. Read the row again and decide anew.";
    NOT_ONE_ROW = "not-one-row", 406, "The result is not exactly one row",
        "`Accept: application/vnd.pgrst.object+json` asks for one object, and the result has another number of rows. A write was undone.";
    RANGE_NOT_SATISFIABLE = "range-not-satisfiable", 416, "The page begins after the last row",
        "`offset` is beyond the counted rows, or a bound of the range is negative.";
    READ_ONLY = "read-only", 405, "The resource can only be read",
        "The resource is bound to a view, or to a table without a key.";
    VALUE_REFUSED = "value-refused", 422, "The database refused a value",
        "A constraint of the bound table itself does not hold for the row.";
    RAISED = "raised", 400, "The database refused the request by a rule of its own",
        "A function or trigger of the database ended the request with `RAISE`. `detail` is what it said; `RAISE SQLSTATE 'PTxyz'` chooses the status.";
    STATEMENT_DEADLINE = "statement-deadline", 504, "The database did not answer in time",
        "The statement was stopped at its deadline and changed nothing. A narrower filter or an index on the filtered field helps.";
    STORE_OVERLOADED = "store-overloaded", 503, "The store has too much to do",
        "Too many requests wait for the store already. `Retry-After` says when to come back.";
    STORE_UNAVAILABLE = "store-unavailable", 503, "The store does not answer",
        "The database is down, locked or broken; the log of the server has the cause. `Retry-After` says when to come back.";
    NO_PRIMARY = "no-primary", 503, "No server of the store takes writes",
        "The primary does not answer and no replica has been promoted, or two servers take writes on one timeline, and nobody knows which of them is right. The log names the servers. Writes go on as soon as one server is the primary; `Retry-After` says when to come back.";
    SPANS_SHARDS = "spans-shards", 400, "The request spans shards",
        "The rows lie on several shards, and what was asked for holds on one: a transaction, a position deep in a list, an order inside JSON, a condition on rows of other shards. `detail` says which, `hint` how to ask instead: mostly by the shard key. `Prefer: atomic=per-shard` splits a write, and answers 207 with what became of each shard's part.";
    STORE_FULL = "store-full", 507, "The store has no space left",
        "Nothing was changed. Reads still work.";
}
