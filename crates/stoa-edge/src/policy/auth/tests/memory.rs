//! What is remembered of tokens, and for how long.

use super::*;
use crate::policy::auth::memory::Memory;
use stoa_exchange::clock;

fn valid(seconds: i64) -> String {
    let exp = i64::try_from(clock::unix_seconds()).unwrap() + seconds;
    forge(
        r#"{"alg":"HS256"}"#,
        &format!("{{\"sub\":\"ada\",\"exp\":{exp}}}"),
        HS256,
    )
}

/// The only test here that moves the wall clock.
#[test]
fn a_remembered_token_ends_when_it_says() {
    let auth = open_one(secret());
    let (token, nbf) = (valid(600), clock::unix_seconds() + 3_600);
    let later = forge(
        r#"{"alg":"HS256"}"#,
        &format!("{{\"sub\":\"ada\",\"nbf\":{nbf}}}"),
        HS256,
    );
    assert!(outcome(&auth, &token).is_ok());
    assert!(outcome(&auth, &later).unwrap_err().contains("not valid before"));

    let steps = [(500, true), (630, true), (700, false), (0, true), (-3_600, true)];
    for (shift, good) in steps {
        clock::shift_wall_ms(shift * 1_000);
        let got = outcome(&auth, &token);
        assert_eq!(got.is_ok(), good, "{shift}: {got:?}");
    }
    // A token with a start is judged anew too once it is remembered.
    clock::shift_wall_ms(3_700_000);
    assert!(outcome(&auth, &later).is_ok());
    clock::shift_wall_ms(0);
    assert!(outcome(&auth, &later).unwrap_err().contains("not valid before"));
}

#[test]
fn a_token_without_an_end_is_remembered_too() {
    let bearer = jwt::Bearer::open(&secret(), "shop").unwrap_or_else(|faults| panic!("{faults:?}"));
    let token = super::bearer(&forge(r#"{"alg":"HS256"}"#, r#"{"sub":"ada"}"#, HS256));
    let Ok(Identity::Known(first)) = bearer.authenticate(&token) else {
        panic!("a token without `exp` is taken")
    };
    let Ok(Identity::Known(again)) = bearer.authenticate(&token) else {
        panic!("and taken again")
    };
    assert!(std::sync::Arc::ptr_eq(&first, &again), "verified twice");
}

#[test]
fn good_tokens_are_remembered_and_bad_ones_never_become_good() {
    let bearer = jwt::Bearer::open(&secret(), "shop").unwrap_or_else(|faults| panic!("{faults:?}"));
    let token = valid(years(1));
    let first = bearer.authenticate(&super::bearer(&token)).unwrap();
    let again = bearer.authenticate(&super::bearer(&token)).unwrap();
    let (Identity::Known(first), Identity::Known(again)) = (first, again) else {
        panic!()
    };
    assert!(std::sync::Arc::ptr_eq(&first, &again), "verified twice");

    let mut forged = token.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'E' } else { 'A' });
    for _ in 0..3 {
        assert!(bearer.authenticate(&super::bearer(&forged)).is_err());
    }
    assert!(bearer.authenticate(&super::bearer(&token)).is_ok());
}

#[test]
fn the_memory_is_bounded() {
    let memory = Memory::new();
    let caller = std::sync::Arc::new(stoa_exchange::Caller::default());
    for i in 0..40_000_u32 {
        let mut fingerprint = [0; 32];
        fingerprint[..4].copy_from_slice(&i.to_be_bytes());
        memory.keep_bad(fingerprint);
        memory.keep_good(
            fingerprint,
            16 * 1024,
            std::sync::Arc::clone(&caller),
            claims::Times::default(),
        );
    }
    let (good, good_bytes, bad) = memory.size();
    assert!(
        good_bytes <= 16 * 1024 * 1024 && good <= 1024,
        "{good} {good_bytes}"
    );
    assert!(bad <= 8192, "{bad}");
}

#[test]
fn other_keys_forget_what_the_first_ones_knew() {
    let token = valid(years(1));
    assert!(outcome(&open_one(secret()), &token).is_ok());
    let other = jwt(JwtKeys::Secret(Secret::new("another secret of thirty-two bytes")));
    assert!(
        outcome(&open_one(other), &token)
            .unwrap_err()
            .contains("signature")
    );
}
