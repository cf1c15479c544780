//! `stoa token mint` and `stoa token decode`.

use super::*;
use crate::policy::auth::token::{explain, mint};
use serde_json::json;

const HOUR: Duration = Duration::from_hours(1);

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn demanding() -> Jwt {
    let mut demands = secret();
    demands.issuer = Some(String::from("https://id.example.com"));
    demands.audience = names(&["shop", "till"]);
    demands.roles = names(&["realm_access", "roles"]);
    demands
}

#[test]
fn a_minted_token_is_accepted_by_the_file_that_made_it() {
    for (demands, algorithm) in [
        (secret(), None),
        (demanding(), None),
        (demanding(), Some(Algorithm::HS384)),
        (demanding(), Some(Algorithm::HS512)),
    ] {
        let mut demands = demands;
        demands.algorithms.extend(algorithm);
        let token = mint(
            &auth(demands.clone()),
            "ada",
            &names(&["admin"]),
            &names(&["a", "b"]),
            HOUR,
        )
        .unwrap();
        let identity = outcome(&open_one(demands.clone()), &token).unwrap();
        let caller = identity.caller().unwrap();
        assert_eq!(caller.subject, "ada");
        assert_eq!(
            (caller.roles.clone(), caller.scopes.clone()),
            (names(&["admin"]), names(&["a", "b"]))
        );
        assert_eq!(explain(&auth(demands), &token)["accepted"], true);
    }
}

/// Another implementation reads what is minted here.
#[test]
fn a_minted_token_is_a_jwt() {
    let token = mint(&auth(demanding()), "ada", &[], &[], HOUR).unwrap();
    let key = jsonwebtoken::DecodingKey::from_secret(SECRET.as_bytes());
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.set_audience(&["till"]);
    validation.set_issuer(&["https://id.example.com"]);
    let read = jsonwebtoken::decode::<serde_json::Value>(&token, &key, &validation).unwrap();
    assert_eq!(read.claims["sub"], "ada");
}

#[test]
fn what_cannot_be_minted_says_why() {
    let public = auth(jwt(JwtKeys::PublicKey(file("rsa.pem"))));
    let mut wrong = demanding();
    wrong.roles = names(&["sub"]);
    let cases = [
        (plan::Auth::default(), "ada", "no `auth.jwt`"),
        (public, "ada", "private key"),
        (auth(jwt(JwtKeys::Secret(Secret::new("short")))), "ada", "5 bytes"),
        (auth(secret()), "", "user is empty"),
        (auth(wrong), "ada", "claim `sub`"),
    ];
    for (auth, user, reason) in cases {
        let why = mint(&auth, user, &names(&["a"]), &[], HOUR).unwrap_err();
        assert!(why.contains(reason), "{why}");
    }
    assert!(
        mint(&auth(secret()), &"x".repeat(20_000), &[], &[], HOUR)
            .unwrap_err()
            .contains("16 KiB")
    );
}

#[test]
fn every_reason_is_told_at_once() {
    let claims = format!(
        r#"{{"iss":"x","aud":7,"exp":{},"nbf":{},"iat":{}}}"#,
        years(-1),
        years(1),
        years(1)
    );
    let token = forge(
        r#"{"alg":"HS256","typ":"x","crit":[]}"#,
        &claims,
        Signer::Bytes(b"x"),
    );
    let report = explain(&auth(demanding()), &token);
    let reasons = report["refused"].to_string();
    for part in [
        "typ",
        "crit",
        "signature",
        "no sub",
        "iss",
        "aud",
        "expired",
        "not valid before",
    ] {
        assert!(reasons.contains(part), "{part}: {reasons}");
    }
    assert_eq!(report["accepted"], false);
    assert_eq!(report["signature"], "invalid");
    assert_eq!(report["claims"]["iss"], "x");
    assert_eq!(report["clock"]["leeway_seconds"], 60);
    assert!(
        report["clock"]["issuer_ahead_seconds"].as_f64().unwrap() > 1e6,
        "{report}"
    );
    assert!(
        report["clock"]["expires_in_seconds"].as_f64().unwrap() < -1e6,
        "{report}"
    );
}

#[test]
fn a_token_that_cannot_be_read_or_judged_is_explained_too() {
    assert_eq!(explain(&auth(secret()), "x")["accepted"], false);
    let token = forge(r#"{"alg":"RS256"}"#, r#"{"sub":"ada"}"#, RS256);
    let report = explain(&plan::Auth::default(), &token);
    assert_eq!(
        (&report["accepted"], &report["signature"]),
        (&json!(false), &json!("not checked"))
    );
    assert_eq!(report["claims"]["sub"], "ada");
}
