//! Tests.

use super::*;

#[test]
fn subdomains() {
    for (origin, fits) in [
        ("https://x.b.test", true),
        ("https://x.y.b.test", true),
        ("HTTPS://X.B.TEST", true),
        ("https://b.test", false),
        ("https://.b.test", false),
        ("https://xb.test", false),
        ("http://x.b.test", false),
        ("https://x.b.test:1", false),
        ("https://x@y.b.test", false),
        ("https://\u{e9}.b.test", false),
        ("x.b.test", false),
    ] {
        assert_eq!(below(origin, "https", "b.test"), fits, "{origin}");
    }
}
