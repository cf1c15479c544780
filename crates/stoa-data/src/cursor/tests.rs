//! Cursors come back as they were, and forged ones do not.

use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_cursor_survives_and_nothing_else_opens(key: [u8; 32], other: [u8; 32], name in proptest::option::of(r"[^\x00]{0,30}"), n: i64, position: u64, at: usize, bit in 0_u8..6) {
        let order = [&Type::Text, &Type::Int];
        let values = vec![name.map_or(Value::Null, |n| Value::Text(n.into())), Value::Int(n)];
        let cursor = Cursor { values, position };
        let signer = Signer::new(&key);
        let sealed = signer.seal("list", &cursor);
        let opened = signer.open("list", &sealed, &order);
        prop_assert_eq!(opened.expect("opens"), cursor);
        prop_assert!(signer.open("lis", &sealed, &order).is_err());
        prop_assert!(signer.open("tsil", &sealed, &order).is_err());
        prop_assert!(signer.open("list", &sealed, &order[..1]).is_err());
        prop_assert!(key == other || Signer::new(&other).open("list", &sealed, &order).is_err());
        // Any one bit of it.
        let mut raw = URL_SAFE_NO_PAD.decode(&sealed).expect("base64");
        let place = at % raw.len();
        raw[place] ^= 1 << bit;
        prop_assert!(signer.open("list", &URL_SAFE_NO_PAD.encode(raw), &order).is_err());
    }

    #[test]
    fn any_text_is_refused(text in r"\PC{0,60}") {
        prop_assert!(Signer::new(&[7; 32]).open("list", &text, &[&Type::Int]).is_err());
    }
}
