//! Codes of the problems that judging callers makes.

stoa_exchange::codes! {
    INVALID_TOKEN = "invalid-token", 401, "The token is refused",
        "The request carried a bearer token that was refused; `detail` and `error_description` in `WWW-Authenticate` say exactly why. `stoa token decode TOKEN` lists every reason.";
    INVALID_CREDENTIALS = "invalid-credentials", 400, "The credentials are not well formed",
        "`Authorization` came more than once, or names a scheme without a value. Send it once, as `Authorization: Bearer TOKEN`.";
}
