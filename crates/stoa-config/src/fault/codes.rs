//! Every code and its long text. A code is never used again for something else.

/// A code with its texts.
pub(crate) struct Code {
    pub(crate) name: &'static str,
    /// A few words.
    pub(crate) title: &'static str,
    /// What `stoa explain` prints.
    pub(crate) text: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $title:literal, $text:literal;)*) => {
        $($(#[$doc])* pub(crate) const $name: &str = $code;)*
        /// Every code, in order.
        pub(crate) const ALL: &[Code] = &[$(Code { name: $code, title: $title, text: $text }),*];
    };
}

codes! {
    UNREADABLE = "E0001", "the file cannot be read",
        "The API file is not there or may not be read. FILE is a file or a folder that holds `stoa.yaml`; left out, it is `stoa.yaml` in the current folder. `stoa init` writes one.";
    TOO_LARGE = "E0002", "the file is too large",
        "An API file has at most 8 MiB. What makes it longer is usually data, which belongs into a store, not into the file.";
    NOT_UTF8 = "E0003", "the file is not UTF-8",
        "The API file must be text in UTF-8. Save it again with that encoding; editors show it in their status line.";
    SYNTAX = "E0004", "this is not YAML",
        "The text breaks a rule of YAML, so nothing after this place can be understood. Common reasons: a value that holds `: `, `{`, `[` or `,` and is not quoted, a bracket that is not closed, or a line indented more than its neighbours. Quote the value, or write the map form.";
    BUDGET = "E0005", "the file is too deep or has too many values",
        "Maps and lists may be nested 64 deep, and a file may hold 100,000 values. An API file needs about six levels; a deeper one is a mistake or an attack.";
    YAML_FEATURE = "E0006", "a feature of YAML that is not read here",
        "Anchors (`&a`), aliases (`*a`), merge keys (`<<:`) and tags (`!t`) are refused: with them a value has no single place in the file that a message could point at. Write the value out. What routes share goes into `limits:`, what environments share into `profiles:`.";
    DOCUMENTS = "E0007", "more than one document",
        "An API file is one YAML document. Remove the `---` inside the file, or split it into two files.";
    DUPLICATE_KEY = "E0008", "a key is written twice",
        "A map may hold a key once. YAML readers disagree about which of the two counts, so the file is refused. Keep one, or give the other its own name.";
    TAB = "E0009", "a tab in the indentation",
        "YAML is indented with spaces. Set your editor to insert spaces, and replace the tab.";
    SPLIT = "E0010", "a value is split at its comma",
        "Inside `{…}` YAML ends a value at each comma. `{ price: decimal(12,2), min 0 }` is read as three keys: `price`, `2)` and `min 0`. Quote the value: `{ price: \"decimal(12,2), min 0\" }`, or write one key per line, where no quotes are needed.";
    EMPTY = "E0011", "the file is empty",
        "There is nothing in the file. The smallest API file names the API and one service or resource:\n\n    api: hello\n    services:\n      payments: http://127.0.0.1:9001";
    KEY_NOT_TEXT = "E0012", "a key is not text",
        "Keys are words. A list or map as a key (YAML's `? [a, b]`) has no meaning here; often a `{` that opens a value without quotes is the reason.";
    TOO_MANY_FAULTS = "E0013", "more faults than are shown",
        "A file with so many faults usually has one mistake at its start that makes the others. Mend the first and check again.";

    UNKNOWN_KEY = "E0101", "an unknown key",
        "The map has no key of this name. The message names the nearest known one. `stoa schema` writes a JSON Schema with which editors complete the keys; the file reference lists them all.";
    WRONG_TYPE = "E0102", "the wrong kind of value",
        "A map, a list or a single value stands where another kind belongs. Where a short and a long form exist, the message names them.";
    MISSING_KEY = "E0103", "a key is missing",
        "The map needs a key that is not there, or that has no value.";
    NOT_BOOL = "E0104", "not `true` or `false`",
        "A switch is `true` or `false`. `yes`, `no`, `on` and `off` are texts in YAML 1.2, and are not guessed at.";
    NUMBER = "E0105", "not a number in range",
        "A whole number belongs here, in digits only, within the bounds the message names. Octal (`012`) and exponents (`1e3`) are not numbers here.";
    NAME = "E0106", "not a name",
        "Names of services, stores, limits and resources start with a letter and hold letters, digits, `_` and `-`, at most 63 characters. The API's own name is lower case.";
    EXCLUSIVE = "E0107", "keys that exclude each other",
        "The keys say the same thing in different ways, or one makes the other meaningless. Keep one.";
    TEXT = "E0108", "not a usable text",
        "The text is empty or holds a character that cannot stand there.";
    CHOICE = "E0109", "not one of the words",
        "Only certain words can stand here; the message lists them.";

    DURATION = "E0201", "not a duration",
        "A duration is a whole number and a unit without a blank between: `250ms`, `10s`, `5m`, `1h`, `7d`.";
    SIZE = "E0202", "not a size",
        "A size is a whole number and a unit: `512B`, `64KiB`, `1MiB`, `2GiB`. Only binary units are known, so that a size means one number of bytes.";
    PERCENT = "E0203", "not a percentage",
        "A percentage is a whole number from 0 to 100 and `%`: `20%`.";
    ADDRESS = "E0204", "not an address to listen on",
        "A listener is ADDRESS:PORT: `127.0.0.1:8080`, `[::1]:8080`, or `0.0.0.0:8080` for every address of the machine. Ports are 0 to 65535; port 0 asks the system for a free one.";
    CIDR = "E0205", "not a network",
        "A network is an address and the length of its prefix, `10.0.0.0/8` or `fd00::/8`; a single address stands for itself.";
    URL = "E0206", "not a URL that fits here",
        "A URL of the right scheme belongs here. A service's URL is `http://HOST[:PORT][/BASE]` or `https://…`, without user, query and fragment.";
    STORE = "E0207", "not a store",
        "A store is `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/DATABASE`; the long forms are `{ sqlite: FILE }` and `{ postgres: { shards: [{ write: URL, read: [URL] }] } }`. `sqlite::memory:` is refused, because nothing kept there is durable.";
    LIMIT = "E0208", "not a limit",
        "A limit is COUNT/UNIT [by KEY] [burst N]. UNIT is s, min, hour or day. KEY is user (the address for a caller without identity), ip, key, claim NAME, header NAME or all. The long form is `{ requests: 100, per: 1m, by: user, burst: 20 }`.";
    CACHE = "E0209", "not a rule for caching",
        "`cache:` is a duration, with `private` before it for a reply kept per caller, or `public` for one that is shared although the request carried credentials: `60s`, `private 10s`, `public 60s`. The long form is `{ fresh: 60s, scope: public, stale: 5m, tags: [rates] }`.";
    BALANCE = "E0210", "not a way of balancing",
        "`balance:` is round-robin, least-requests, least-latency (the default) or `hash KEY`, with KEY as in a limit.";
    HEADER = "E0211", "not the name of a header field",
        "A header field's name has letters, digits and a few marks, no blanks and no colon (RFC 9110 section 5.1).";
    METHOD = "E0212", "not a method",
        "Methods are written in capitals: GET, POST, PUT, PATCH, DELETE. CONNECT and TRACE are never served.";
    ROUTE = "E0213", "not a route",
        "A route is `[METHOD[,METHOD]] /path`. A segment is a text, `{name}` for any one segment, and `**` at the end for any rest: `GET /payments/{id}`, `/admin/**`.";
    HOST = "E0214", "not a host's name",
        "`host:` is a name without scheme, port and path: `api.example.com`, or `*.example.com` for the names one label below.";
    CORS = "E0215", "a rule for other origins that cannot hold",
        "`cors: true` allows every origin without credentials. The long form names `origins`; with `credentials: true` they must be named one by one, because a browser refuses `*` together with credentials.";
    ACCESS = "E0216", "not an access rule",
        "An access rule is `public`, `none`, `user`, `role NAME[, NAME]` (any of them), `scope NAME[, NAME]` (all of them), `owner FIELD` (resources only) or `when: CEL`.";
    CEL = "E0217", "not a usable CEL expression",
        "`when:` takes an expression of the Common Expression Language over `claims`, `request` and, in resources, `row`. It has at most 1,024 bytes and a bounded depth, because it runs on every request.";
    FIELD_TYPE = "E0218", "not a type",
        "Types are uuid7, uuid, text, int, float, decimal(p,s), bool, time, date, json, enum(a, b), ref RESOURCE, and `list of` one of the plain ones.";
    CONSTRAINT = "E0219", "not a constraint, or one that does not fit the type",
        "Constraints follow the type after commas: key, unique, optional, auto, generated, computed, immutable, index, column NAME, function NAME, default V, min N, max N, N..M, N..M chars, was NAME, matches REGEX (last). `generated`, `computed` and `column` are for tables that exist, `function` for those of PostgreSQL, where it stands with no other but `optional`. `min` and `max` need a type with an order; `chars` counts the characters of a text or the items of a list.";
    REGEX = "E0220", "not a regular expression",
        "`matches` takes a regular expression in the syntax of RE2 (no look-around, no back-references), which runs in linear time. The whole text must match.";
    CONSISTENCY = "E0221", "not a way of being consistent",
        "`consistency:` is `session` (the default: a caller sees what it wrote, by the `Stoa-Consistency` of its write's reply), `strong` (the primary answers), `bounded DURATION` (a replica at most so far behind) or `eventual` (any replica within the store's `max_lag`).";

    FUNCTION = "E0222", "not what a function is",
        "`returns:` is `void`, `value`, `rows` or `rows RESOURCE`; `volatility:` is `volatile` (the default), `stable` or `immutable`, as the database knows it.";

    TARGET = "E0240", "not a path or URL to lead to",
        "`redirect` takes a path (`/new/{id}/**`) or a URL whose host stands in the file (`https://example.com/**`), `rewrite` a path. `{name}` is the route's parameter, `**` at the end its rest; both must be in the route's key. So no request chooses the host that its caller is sent to.";
    FIELD_VALUE = "E0241", "not the value of a header field",
        "A value is visible ASCII and blanks, never a line break. `{name}` is a parameter of the route, `{claims.NAME}` a claim of the caller's token (requests only), `{request.ip}`, `{request.host}` and `{request.id}` are the client's address, the host it asked for and `x-request-id`. `{{` and `}}` stand for braces.";
    FIELD_OWN = "E0242", "a header field that a route may not change",
        "Fields that frame a message (`content-length`, `transfer-encoding`), those of one hop (`connection`, `upgrade` …), `host`, and those that Stoa writes itself (`x-request-id`, `traceparent`, `via`, `forwarded`, `x-forwarded-…`) are not for routes: a wrong value would let two servers read one message in two ways, or tell a service who the caller is not.";
    ANSWER = "E0243", "an answer that cannot be given",
        "`reply: STATUS` or `{ status, body, headers }`: the status is 200 to 599, not 206 and 304, and 204 and 205 have no body. A text is sent as `text/plain`, a map or list as JSON. `redirect` has a status of 301, 302, 303, 307 (the default) or 308.";

    MEDIA_TYPE = "E0244", "not a media type",
        "`content_types` lists media types without parameters, `application/json`, or all of a kind, `image/*`.";

    SHARES = "E0245", "not a way to split requests",
        "`split:` maps other services to `N%`, `N% by KEY` (whose requests stay together: user, ip, key, claim NAME, header NAME, cookie NAME), `header NAME[=VALUE]` or `cookie NAME[=VALUE]`. Shares have the same key and are 100% at most; the rest stays with the service itself.";

    PROFILE = "E0301", "an unknown profile",
        "`--profile NAME` names a key of `profiles:`. Without any profile the file is used as it is.";
    PROFILE_SCOPE = "E0302", "a profile changes what it may not",
        "A profile says where an API runs, not what it is: it may not change `api`, nor add or remove resources, nor change their `fields`, `table` and `shard`.";
    VARIABLE = "E0303", "a variable is not set",
        "`${NAME}` is replaced by the environment variable NAME, which is not set. Set it, or write `${NAME:-default}`.";
    SECRET_FILE = "E0304", "a file of a value cannot be read",
        "`${file:/path}` is replaced by what the file holds, without the line break at its end. The file is missing, unreadable, larger than 64 KiB or not text.";
    EXPANSION = "E0305", "not an expansion",
        "`${NAME}`, `${NAME:-default}` and `${file:/path}` are known. NAME has letters, digits and `_`. `$$` stands for one `$`.";

    UNKNOWN_LIMIT = "E0401", "an unknown limit",
        "`limit:` names a limit that `limits:` does not hold. Define it there, or write the limit in place: `limit: 100/min by user`.";
    UNKNOWN_STORE = "E0402", "an unknown store",
        "`store:` names a store that `stores:` does not hold. Left out, it is the only store, or the one called `main`.";
    UNKNOWN_RESOURCE = "E0403", "an unknown resource",
        "`ref NAME` refers to a resource of this file.";
    UNKNOWN_FIELD = "E0404", "an unknown field",
        "The resource has no field of this name. A generated key is called `id`; columns of Stoa's own (`_version`, `_bucket`) are not fields.";
    KEY = "E0405", "a key that cannot be one",
        "A created table has exactly one key field; `id: uuid7, key` is added when none is declared. A key is not optional, and is a type with equality: uuid7, uuid, text, int, date, time, decimal, enum or a ref. A `ref` needs a target with exactly one key field.";
    DEFAULT = "E0406", "a default that does not fit",
        "`default V` must be a value of the field's type and keep the field's own constraints.";
    SHARD = "E0407", "a field that cannot be the shard key",
        "The shard key decides where a row lives, so every row has one: it is a field of the resource, not optional, of a plain type, and never changes.";
    RESERVED = "E0408", "a reserved name",
        "Some names are Stoa's own: paths it serves itself (docs, rest, openapi …), tables it keeps (`stoa_…`, `sqlite_…`), fields that start with `_`, and words of the query string (select, order, limit, offset, and, or, not, columns, on_conflict, after), which could not be filtered by.";
    SAME_ROUTE = "E0409", "two routes for one request",
        "Both routes match the same requests and neither is more specific (a literal segment wins over `{name}`, and that over `**`, segment by segment). Remove one, or give them different methods or hosts.";
    ROUTE_MEETS_RESOURCE = "E0410", "a route and a resource at one path",
        "Resources are served at `/NAME` and `/NAME/{id}`, and Stoa's own documents at `/docs`, `/openapi.json` and `/rest/v1/**`. A service's route may not take the same path. Rename one of them.";
    JWT_KEYS = "E0411", "where a token's key comes from",
        "`auth.jwt` takes exactly one of `secret`, `public_key` and `jwks`; with `issuer` alone the key set is found by OpenID Connect discovery. The algorithms must belong to the kind of key: HS… to a secret, the others to public keys.";
    WEAK_SECRET = "E0412", "a secret that is too short",
        "The secret of HS256 has at least 32 bytes (RFC 7518 section 3.2). `openssl rand -base64 48` makes a good one; pass it as `${JWT_SECRET}`.";
    PLAIN_HTTP = "E0413", "keys over plain HTTP",
        "Who can change what is fetched decides whose tokens are believed. `http://` is accepted on the loopback only; use `https://`.";
    IDEMPOTENCY_STORE = "E0414", "idempotency without a place for it",
        "On a service's route the first reply must be kept somewhere: add a store under `stores:` or set `shared:`.";
    SAME_ADDRESS = "E0415", "two listeners at one address",
        "`server.http` and `server.admin` must differ: what is served on the admin port is never public.";
    CONTRADICTION = "E0416", "bounds that contradict each other",
        "The smallest allowed value is larger than the largest.";
    DUPLICATE_VALUE = "E0417", "a value is listed twice",
        "Each value of this list has a meaning once.";
    RULE_PLACE = "E0418", "a rule that cannot hold here",
        "`owner` and `row` speak of a row, which only resources have. The owner field is compared to the caller's `sub`, so it is a text, uuid or int, or a ref to one.";
    SAME_LETTERS = "E0419", "names that differ only in case",
        "Databases compare names of tables and columns without regard to case.";
    NOTHING_SERVED = "E0420", "nothing to serve",
        "The file has neither services nor resources.";
    REF_CYCLE = "E0421", "keys that refer to each other",
        "The key of one resource is a `ref` to another whose key is a `ref` back to it, so neither has a type. Give one of them a key of its own. References between other fields may go in circles.";
    KEYS_REFUSED = "E0422", "the keys of tokens are refused",
        "A key that is too short, of a kind that is not accepted, private, or meant for something else would let strangers in or keep everybody out, so none of its file is used. The message names the key and what is wrong with it.";
    RULE_ROWS = "E0423", "a rule over rows that the database cannot judge",
        "Rules over `row` become part of the SQL, so that no row leaves the database that the caller may not see. A rule may compare a field with a value or another field (`row.owner == claims.sub`), ask `row.field in claims.list`, `value in row.list` or `row.field == null`, and join these with `&&`, `||`, `!`. Texts have no order there, and a value that is written out must be one that the field can hold. A field that is null satisfies no comparison but the one with null.";
    SEED = "E0424", "first rows that cannot be loaded",
        "`seed:` names a JSON file of an object with a list of rows for each resource: `{\"products\": [{\"name\": \"Pen\"}]}`. It is missing, not JSON, larger than 16 MiB, or names a resource that the file does not have or that is bound to an existing table. Only `dev` loads it.";

    FUNCTION_STORE = "E0425", "a function in a store that has none",
        "`functions:` names functions of one PostgreSQL database. SQLite has none: keep the section in a profile whose store is PostgreSQL, or leave it out. On several shards a function would see the rows of one: keep it in a store of one shard.";

    CERTIFICATE = "E0440", "a certificate or its key cannot be used",
        "`server.tls` names PEM files: `cert` holds the certificate and after it those that it was issued by, `key` the private key that belongs to it (PKCS #8, PKCS #1 or SEC 1, not encrypted). The message names the file and what is wrong with it: missing, unreadable, of another kind, a key of another certificate, or one that is no longer or not yet valid. While the API runs, files that change are read again; what cannot be used then changes nothing and is said in the log.";
    FAULT_PROFILE = "E0441", "a fault on purpose",
        "`fault:` delays or refuses requests to see how callers take it. It is taken from a profile only, so that it is never on by accident, and it is said whenever the file is read.";
    UNKNOWN_SERVICE = "E0442", "an unknown service",
        "`split` and `mirror` name other services of this file.";

    OPENAPI = "E0443", "an OpenAPI document that cannot be used",
        "`openapi:` of a service names a document of OpenAPI 3.0 or 3.1, JSON or YAML, at most 4 MiB. Its operations are the service's routes where `routes:` is left out, and requests are judged by its parameters and JSON schemas. References lead to `#/components/…` of the same file. Words of JSON Schema that are not checked are named in a warning.";
    SERVICE_TLS = "E0444", "files for TLS to a service that cannot be used",
        "`tls` of a service names files in PEM: `ca` with certificates of authorities, `cert` with a certificate and what it was issued by, `key` with its private key. One of them is missing, is not PEM, or does not fit the others.";

    NOT_BUILT = "E0901", "not built yet",
        "The file is right, but this version would silently do nothing about this part. `dev` and `serve` refuse it, so that nobody relies on what is not there. Leave it out until a version that has it; `stoa check` accepts it.";
}
