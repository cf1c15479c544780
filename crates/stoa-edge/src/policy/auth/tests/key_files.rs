//! Keys that are read, and keys that are refused with a reason.
#![expect(clippy::too_many_lines, reason = "tables of cases")]

use super::*;
use serde_json::{Value, json};

fn refusal(keys: JwtKeys) -> String {
    let faults = open(&auth(jwt(keys)), "shop").err().expect("must be refused");
    assert!(faults.iter().all(|fault| fault.severity == Severity::Error));
    faults
        .into_iter()
        .map(|fault| fault.message)
        .collect::<Vec<_>>()
        .join("\n")
}

fn refused_text(text: &str, set: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, text).unwrap();
    refusal(if set {
        JwtKeys::JwksFile(path)
    } else {
        JwtKeys::PublicKey(path)
    })
}

#[test]
fn keys_and_tokens_of_another_implementation() {
    let tokens: Value = serde_json::from_str(&text("tokens.json")).unwrap();
    let token = |name: &str| tokens[name].as_str().unwrap();
    let rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    let cases: [(JwtKeys, &[&str]); 10] = [
        (JwtKeys::Secret(Secret::new(SECRET)), &["HS256", "HS384", "HS512"]),
        (JwtKeys::PublicKey(file("rsa.pem")), &rsa),
        (JwtKeys::PublicKey(file("rsa-pkcs1.pem")), &rsa),
        (JwtKeys::PublicKey(file("rsa-cert.pem")), &rsa),
        (JwtKeys::PublicKey(file("p256.pem")), &["ES256"]),
        (JwtKeys::PublicKey(file("p256-cert.pem")), &["ES256"]),
        (JwtKeys::PublicKey(file("p384.pem")), &["ES384"]),
        (JwtKeys::PublicKey(file("ed25519.pem")), &["EdDSA"]),
        (JwtKeys::PublicKey(file("ed25519-cert.pem")), &["EdDSA"]),
        (
            JwtKeys::JwksFile(file("jwks.json")),
            &["RS256", "PS512", "ES256", "ES384", "EdDSA"],
        ),
    ];
    for (keys, algorithms) in cases {
        let auth = open_one(jwt(keys.clone()));
        for name in tokens.as_object().unwrap().keys() {
            let set = matches!(keys, JwtKeys::JwksFile(_)) && !name.starts_with("HS");
            let fits = algorithms.contains(&name.as_str()) || set;
            let got = outcome(&auth, token(name));
            assert_eq!(got.is_ok(), fits, "{keys:?} {name}: {got:?}");
            if let Ok(identity) = got {
                let caller = identity.caller().unwrap();
                assert_eq!(
                    (caller.subject.as_str(), caller.roles.len(), caller.scopes.len()),
                    ("ada", 1, 2)
                );
            }
        }
    }
}

#[test]
fn secrets_that_are_too_short() {
    for (secret, reason) in [
        ("", "empty"),
        ("changeme", "8 bytes"),
        (&"x".repeat(31), "31 bytes"),
    ] {
        let message = refusal(JwtKeys::Secret(Secret::new(secret)));
        assert!(message.contains(reason), "{message}");
        assert!(secret.is_empty() || !message.contains(secret));
    }
    open_one(jwt(JwtKeys::Secret(Secret::new("x".repeat(32)))));
}

#[test]
fn key_files_that_are_refused() {
    let files = [
        ("refused-rsa-1024.pem", "1024 bits"),
        ("refused-p521.pem", "neither P-256 nor P-384"),
        ("refused-p224.pem", "neither P-256 nor P-384"),
        ("refused-secp256k1.pem", "neither P-256 nor P-384"),
        ("refused-x25519.pem", "not an RSA"),
        ("refused-ed448.pem", "not an RSA"),
        ("jwks.json", "exactly one PEM block"),
        ("none.pem", "cannot be read"),
    ];
    for (name, reason) in files {
        let message = refusal(JwtKeys::PublicKey(file(name)));
        assert!(message.contains(reason) && message.contains(name), "{message}");
    }
    let good = text("rsa.pem");
    let private = {
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = PAIRS.rsa.as_der().unwrap();
        pem("PRIVATE KEY", der.as_ref())
    };
    let texts = [
        (private.clone(), "private key"),
        (private.replace("PRIVATE", "RSA PRIVATE"), "private key"),
        (private.replace("PRIVATE", "PUBLIC"), "damaged"),
        (format!("{good}{good}"), "exactly one"),
        (String::new(), "exactly one"),
        (good.replace("END PUBLIC", "END"), "damaged"),
        (good.replacen("MIIB", "MII*", 1), "damaged"),
        (good.replacen("MIIB", "", 1), "damaged"),
        (pem("PUBLIC KEY", b""), "damaged"),
        (
            pem("PUBLIC KEY", &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
            "damaged",
        ),
        (pem("CERTIFICATE", &[0x30, 0x80]), "damaged"),
        (pem("CERTIFICATE REQUEST", &[0x30, 0]), "neither"),
    ];
    for (text, reason) in texts {
        let message = refused_text(&text, false);
        assert!(message.contains(reason), "{text}: {message}");
    }
    let whole = refused_text(&"x".repeat(1024 * 1024 + 1), false);
    assert!(whole.contains("1 MiB"), "{whole}");
    for keys in [
        JwtKeys::JwksUrl(String::from("https://id.example.com")),
        JwtKeys::Discovery,
    ] {
        assert!(refusal(keys).contains("not built yet"));
    }
}

#[test]
fn poisoned_key_sets() {
    let pairs: Value = serde_json::from_str(&PAIRS.jwks()).unwrap();
    let key = |position: usize, change: Value| {
        let mut key = pairs["keys"][position].clone();
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(key.as_object_mut().unwrap().shift_remove(name)),
                value => key[name] = value.clone(),
            }
        }
        key
    };
    let one = |key: Value| json!({ "keys": [key] }).to_string();
    let set = |keys: &[Value]| json!({ "keys": keys }).to_string();
    let oct = |bytes: usize, change: Value| {
        let mut key = json!({ "kty": "oct", "k": to_base64url(vec![7; bytes]) });
        key.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        key
    };
    let (rsa, p256, ed) = (0, 2, 4);
    let weak: Value = serde_json::from_str(&text("refused-rsa-1024.json")).unwrap();
    let n = pairs["keys"][0]["n"].as_str().unwrap();
    let mut modulus = strict::base64url(n).unwrap();
    let led_by_zero = to_base64url([&[0], &modulus[..]].concat());
    *modulus.last_mut().unwrap() &= 0xfe;
    let even = to_base64url(&modulus);
    let mut zero_order = [0; 32];
    zero_order[0] = 1;
    let cases: Vec<(String, &str)> = vec![
        (one(oct(0, json!({}))), "empty"),
        (one(oct(31, json!({}))), "31 bytes"),
        (one(oct(32, json!({ "alg": "HS512" }))), "does not fit"),
        (one(oct(63, json!({ "alg": "HS512" }))), "does not fit"),
        (one(oct(32, json!({ "alg": "RS256" }))), "does not fit"),
        (one(json!({ "kty": "oct" })), "no `k`"),
        (one(json!({ "kty": "oct", "k": "AAAA====" })), "not base64url"),
        (one(json!({ "kty": "oct", "k": 7 })), "no `k`"),
        (one(weak), "1024 bits"),
        (one(key(rsa, json!({ "n": led_by_zero }))), "zero byte"),
        (one(key(rsa, json!({ "n": even }))), "even"),
        (one(key(rsa, json!({ "n": "" }))), "empty"),
        (
            one(key(rsa, json!({ "n": to_base64url(vec![0xff; 2048]) }))),
            "16384 bits",
        ),
        (one(key(rsa, json!({ "e": "AQ" }))), "exponent"),
        (one(key(rsa, json!({ "e": "Ag" }))), "exponent"),
        (one(key(rsa, json!({ "e": "" }))), "exponent"),
        (one(key(rsa, json!({ "e": to_base64url([0xff; 9]) }))), "exponent"),
        (one(key(rsa, json!({ "e": null }))), "no `e`"),
        (one(key(rsa, json!({ "alg": "HS256" }))), "does not fit"),
        (one(key(rsa, json!({ "alg": "ES256" }))), "does not fit"),
        (one(key(rsa, json!({ "alg": "none" }))), "not an algorithm"),
        (one(key(rsa, json!({ "alg": 7 }))), "not an algorithm"),
        (one(key(rsa, json!({ "alg": "RSA-OAEP" }))), "not an algorithm"),
        (
            one(key(rsa, json!({ "use": "enc" }))),
            "none may check a signature",
        ),
        (one(key(rsa, json!({ "use": "SIG" }))), "use is \"SIG\""),
        (one(key(rsa, json!({ "use": 7 }))), "use is 7"),
        (
            one(key(rsa, json!({ "key_ops": ["sign"] }))),
            "does not hold \"verify\"",
        ),
        (
            one(key(rsa, json!({ "key_ops": [] }))),
            "does not hold \"verify\"",
        ),
        (one(key(rsa, json!({ "key_ops": "verify" }))), "not an array"),
        (one(key(rsa, json!({ "key_ops": ["verify", "verify"] }))), "twice"),
        (
            one(key(rsa, json!({ "key_ops": ["verify", "decrypt"] }))),
            "mixes",
        ),
        (one(key(rsa, json!({ "d": "AQAB" }))), "private key"),
        (one(key(rsa, json!({ "p": "AQAB" }))), "private key"),
        (one(key(p256, json!({ "d": "AQAB" }))), "private key"),
        (one(key(p256, json!({ "crv": "P-384" }))), "48 bytes"),
        (one(key(p256, json!({ "crv": "P-521" }))), "crv is not one"),
        (one(key(p256, json!({ "crv": "secp256k1" }))), "crv is not one"),
        (one(key(p256, json!({ "crv": null }))), "no `crv`"),
        (
            one(key(p256, json!({ "x": to_base64url([1; 32]) }))),
            "not on its curve",
        ),
        (
            one(key(
                p256,
                json!({ "x": to_base64url([0; 32]), "y": to_base64url([0; 32]) }),
            )),
            "not on its curve",
        ),
        (
            one(key(p256, json!({ "x": to_base64url([0xff; 32]) }))),
            "not on its curve",
        ),
        (one(key(p256, json!({ "y": to_base64url([1; 31]) }))), "32 bytes"),
        (one(key(p256, json!({ "alg": "ES384" }))), "does not fit"),
        (one(key(ed, json!({ "crv": "X25519" }))), "crv is not one"),
        (one(key(ed, json!({ "x": to_base64url([1; 31]) }))), "31 bytes"),
        (one(key(ed, json!({ "x": to_base64url([0; 32]) }))), "small order"),
        (
            one(key(ed, json!({ "x": to_base64url(zero_order) }))),
            "small order",
        ),
        (one(key(rsa, json!({ "kty": "rsa" }))), "kty is not one"),
        (one(key(rsa, json!({ "kty": null }))), "no `kty`"),
        (one(key(rsa, json!({ "kid": 7 }))), "kid is not a text"),
        (one(key(rsa, json!({ "kid": "" }))), "kid is not a text"),
        (one(json!("key")), "not a JSON object"),
        (set(&[key(rsa, json!({})), key(rsa, json!({}))]), "same kid"),
        (
            set(&[key(rsa, json!({})), key(p256, json!({ "kid": "rsa" }))]),
            "same kid",
        ),
        (
            set(&[key(rsa, json!({})), key(p256, json!({ "kid": null }))]),
            "needs a kid",
        ),
        (
            set(&[
                key(rsa, json!({})),
                oct(32, json!({ "kid": "s", "alg": "HS256" })),
            ]),
            "mixes secrets",
        ),
        (
            set(&[
                key(rsa, json!({ "use": "enc" })),
                key(p256, json!({ "use": "enc" })),
            ]),
            "none may check a signature",
        ),
        (
            set(&[
                key(rsa, json!({})),
                key(p256, json!({ "use": "enc", "d": "AQAB" })),
            ]),
            "private key",
        ),
        (
            set(&[key(rsa, json!({})), key(p256, json!({ "use": "ENC" }))]),
            "use is \"ENC\"",
        ),
        (set(&[]), "0 keys"),
        (set(&vec![key(rsa, json!({})); 257]), "257 keys"),
        (json!({ "keys": {} }).to_string(), "no array `keys`"),
        (json!({}).to_string(), "no array `keys`"),
        (key(rsa, json!({})).to_string(), "no array `keys`"),
        (String::from(r#"{"keys":[],"keys":[]}"#), "twice"),
        (
            one(key(rsa, json!({}))).replace("\"kid\"", "\"kty\":\"oct\",\"kid\""),
            "twice",
        ),
        (String::from("keys"), "not JSON"),
    ];
    for (text, reason) in &cases {
        let message = refused_text(text, true);
        assert!(message.contains(reason), "{text}: {message}");
    }
}

/// Identity providers publish their encryption key beside the signing ones, under an algorithm of its own.
#[test]
fn a_key_for_encryption_is_left_out_of_a_set() {
    let pairs: Value = serde_json::from_str(&PAIRS.jwks()).unwrap();
    let mut signing = pairs["keys"][1].clone();
    signing.as_object_mut().unwrap().shift_remove("kid");
    let mut encryption = pairs["keys"][0].clone();
    encryption["use"] = json!("enc");
    encryption["alg"] = json!("RSA-OAEP");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, json!({ "keys": [encryption, signing] }).to_string()).unwrap();
    let auth = open_one(jwt(JwtKeys::JwksFile(path)));
    let token = forge(r#"{"alg":"RS256"}"#, r#"{"sub":"ada"}"#, RS256);
    assert!(outcome(&auth, &token).is_ok());
}

#[test]
fn every_fault_of_a_set_is_told() {
    let set = json!({ "keys": [
        { "kid": "a", "kty": "oct", "k": "" },
        { "kid": "b", "kty": "EC", "crv": "P-521" },
        { "kid": "c", "kty": "RSA", "n": "AQ", "e": "AQAB" },
    ]});
    let message = refused_text(&set.to_string(), true);
    for part in ["key 1 (kid \"a\")", "key 2 (kid \"b\")", "key 3 (kid \"c\")"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_mixed_set_with_fixed_algorithms_is_read() {
    let pairs: Value = serde_json::from_str(&PAIRS.jwks()).unwrap();
    let mut rsa = pairs["keys"][1].clone();
    rsa["kid"] = json!("r");
    let secret = json!({ "kty": "oct", "kid": "s", "alg": "HS256", "k": to_base64url(SECRET), "key_ops": ["sign", "verify"] });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, json!({ "keys": [rsa, secret] }).to_string()).unwrap();
    let auth = open_one(jwt(JwtKeys::JwksFile(path)));
    let claims = r#"{"sub":"ada"}"#;
    assert!(outcome(&auth, &forge(r#"{"alg":"RS256","kid":"r"}"#, claims, RS256)).is_ok());
    assert!(outcome(&auth, &forge(r#"{"alg":"HS256","kid":"s"}"#, claims, HS256)).is_ok());
    let der = PAIRS.rsa.public_key().as_ref();
    let confused = Signer::Hmac(hmac::HMAC_SHA256, der);
    assert!(outcome(&auth, &forge(r#"{"alg":"HS256","kid":"r"}"#, claims, confused)).is_err());
}

#[test]
fn algorithms_of_the_file_must_leave_a_use_for_the_key() {
    let mut demands = jwt(JwtKeys::PublicKey(file("p256.pem")));
    demands.algorithms = vec![Algorithm::RS256];
    let faults = open(&auth(demands), "shop").err().unwrap();
    assert!(
        faults[0].message.contains("none of the `algorithms`"),
        "{faults:?}"
    );
}

#[test]
fn a_check_reads_the_key_files_that_are_there() {
    let severities = |keys| {
        let faults = check(&auth(jwt(keys)));
        faults.iter().map(|fault| fault.severity).collect::<Vec<_>>()
    };
    assert_eq!(severities(JwtKeys::PublicKey(file("rsa.pem"))), []);
    assert_eq!(
        severities(JwtKeys::PublicKey(file("refused-p521.pem"))),
        [Severity::Error]
    );
    assert_eq!(
        severities(JwtKeys::JwksFile(file("none.json"))),
        [Severity::Warning]
    );
    assert_eq!(severities(JwtKeys::Discovery), []);
    assert!(check(&plan::Auth::default()).is_empty());
}
