//! Tests.

use super::*;
use proptest::prelude::*;

#[test]
fn forms() {
    for (path, form) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/", "/a/"),
        ("/%41%7e", "/A~"),
        ("/%3a", "/%3A"),
        ("/a%20b", "/a%20b"),
        ("/%e2%82%ac", "/%E2%82%AC"),
        ("/a\"b", "/a%22b"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a;x=1/b", "/a;x=1/b"),
    ] {
        assert_eq!(canonical(path).as_deref(), Ok(form), "{path}");
    }
    for path in [
        "", "a", "//", "/a//b", "/.", "/..", "/../a", "/a/./b", "/%2E/", "/a/..;x", "/.%3Bx/a", "/%2f",
        "/%5C", "/\\", "/%00", "/%", "/%f", "/%C0%AF", "/é",
    ] {
        assert!(canonical(path).is_err(), "{path}");
    }
}

proptest! {
    /// The form of a form is itself, and it holds nothing that two servers could read differently.
    #[test]
    fn the_form_is_final(path in "(/([a-zA-Z0-9._~;:%|\\\\\"]|%[0-9a-fA-F]{2}|/){0,12})") {
        if let Ok(form) = canonical(&path) {
            prop_assert_eq!(canonical(&form), Ok(Cow::Borrowed(form.as_ref())));
            let decoded = decode(&form).into_owned();
            prop_assert!(!decoded.contains("//") && !decoded.contains('\\') && !decoded.contains('\0'));
            prop_assert!(!segments(&form).any(|s| matches!(&*decode(s), "." | "..")));
            // Decoding before or after the cut into segments is the same.
            let before: Vec<_> = segments(&decoded).map(str::to_owned).collect();
            let after: Vec<_> = segments(&form).map(|s| decode(s).into_owned()).collect();
            prop_assert_eq!(before, after);
        }
    }
}
