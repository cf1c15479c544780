//! Stable codes of problems. `stoa explain CODE` prints the long text; the `type` of a problem leads to it.
//!
//! A code is never renamed and never changes its status. Each half declares its own with [`codes!`](crate::codes!)
//! and lists them in its `codes::ALL`.

/// One kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable name, `kebab-case`.
    pub name: &'static str,
    /// HTTP status.
    pub status: u16,
    /// What is wrong, in one short line that does not change between occurrences (RFC 9457 `title`).
    pub title: &'static str,
    /// For the caller who looks it up: why it happens and what to do.
    pub explain: &'static str,
}

/// Declares `pub static NAME: Code` for each line, and `ALL` with every one of them.
#[macro_export]
macro_rules! codes {
    ($($(#[$doc:meta])* $ident:ident = $name:literal, $status:literal, $title:literal, $explain:literal;)+) => {
        $(#[doc = $title] pub static $ident: $crate::Code = $crate::Code {
            name: $name, status: $status, title: $title, explain: $explain,
        };)+
        /// Every code declared here.
        pub static ALL: &[&$crate::Code] = &[$(&$ident),+];
    };
}

codes! {
    INTERNAL = "internal", 500, "Something went wrong inside",
        "Stoa met a state it did not expect. The request id of this reply finds the cause in the log.";
    NOT_FOUND = "not-found", 404, "Nothing is served at this address",
        "No route and no resource matches the path. The hint names a near one. `stoa route METHOD PATH` shows what a request meets.";
    METHOD_NOT_ALLOWED = "method-not-allowed", 405, "The address does not serve this method",
        "The path is known, the method is not among those in `Allow`.";
    UNAUTHENTICATED = "unauthenticated", 401, "The caller is not known",
        "The request carried no token, or one that was refused; `WWW-Authenticate` says why. `stoa token decode TOKEN` explains a token.";
    FORBIDDEN = "forbidden", 403, "The caller may not do this",
        "The caller is known, but the access rule named in `detail` does not let it through.";
    INSUFFICIENT_SCOPE = "insufficient-scope", 403, "The token does not hold the scope that is needed",
        "The rule of this address asks for scopes that the token's `scope` does not hold; `scope` in `WWW-Authenticate` names them.";
    BODY_TOO_LARGE = "body-too-large", 413, "The request's body is too large",
        "`max_body` bounds the body of a request, 1 MiB unless the file says otherwise.";
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", 415, "The body's media type is not served here",
        "`Content-Type` names a format that this address does not read. `detail` lists those it does.";
    NOT_ACCEPTABLE = "not-acceptable", 406, "No representation fits `Accept`",
        "`Accept` names only formats that this address does not write.";
    BAD_REQUEST = "bad-request", 400, "The request is not well formed",
        "`detail` says which part could not be read.";
    BODY_TIMEOUT = "body-timeout", 408, "The request's body did not arrive in time",
        "The next part of the body took longer than `body_timeout`.";
    UNAVAILABLE = "unavailable", 503, "Not able to answer now",
        "A part that is needed is down or has too much to do. `Retry-After` says when to come back.";
}
