//! Hostile tokens, each with the reason why it is refused, and odd ones that are good.
#![expect(clippy::too_many_lines, reason = "tables of cases")]

use super::*;
use crate::policy::auth::tests::Signer::{Bytes, Hmac, P256, P384, Rsa};
use serde_json::json;

/// Header, payload, signer; the reason, or nothing when the token is good.
type Case<'a> = (&'a str, String, Signer<'a>, &'a str);

fn judge(auth: &Auth, cases: &[Case<'_>]) {
    for (header, claims, signer, reason) in cases {
        let token = forge(header, claims, *signer);
        let got = outcome(auth, &token);
        match got {
            Ok(identity) => assert!(reason.is_empty(), "{header} {claims}: accepted {identity:?}"),
            Err(why) => {
                assert!(
                    !reason.is_empty() && why.contains(reason),
                    "{header} {claims}: {why:?}, not {reason:?}"
                );
            }
        }
    }
}

fn ada() -> String {
    format!("{{\"sub\":\"ada\",\"exp\":{}}}", years(1))
}

#[test]
fn headers_of_a_secret_s_tokens() {
    let rsa = PAIRS.rsa_pem();
    let other = Hmac(hmac::HMAC_SHA256, b"another secret of thirty-two bytes");
    let sha384 = Hmac(hmac::HMAC_SHA384, SECRET.as_bytes());
    let known = "not an algorithm that is known";
    let cases: Vec<Case<'_>> = vec![
        (r#"{"alg":"HS256"}"#, ada(), HS256, ""),
        (r#"{"alg":"HS256","typ":"JWT"}"#, ada(), HS256, ""),
        (r#"{"alg":"HS256","typ":"jwt"}"#, ada(), HS256, ""),
        (r#"{"alg":"HS256","typ":"application/at+JWT"}"#, ada(), HS256, ""),
        (r#"{"alg":"HS384"}"#, ada(), sha384, ""),
        (
            r#"{"alg":"HS512"}"#,
            ada(),
            Hmac(hmac::HMAC_SHA512, SECRET.as_bytes()),
            "",
        ),
        (r#"{"alg":"HS256","kid":"whatever"}"#, ada(), HS256, ""),
        (
            r#"{"alg":"HS256","kid":"../../../../dev/null"}"#,
            ada(),
            HS256,
            "",
        ),
        (r#"{"alg":"HS256","kid":"' OR 1=1 --"}"#, ada(), HS256, ""),
        (
            r#"{"alg":"HS256","jku":"http://127.0.0.1:1/keys"}"#,
            ada(),
            HS256,
            "",
        ),
        (
            r#"{"alg":"HS256","x5u":"http://127.0.0.1:1/cert"}"#,
            ada(),
            HS256,
            "",
        ),
        (r#"{"alg":"HS256","b64":true}"#, ada(), HS256, ""),
        (r#" {"alg" : "HS256"} "#, ada(), HS256, ""),
        (
            r#"{"alg":"HS256","jku":"http://127.0.0.1:1/keys"}"#,
            ada(),
            other,
            "signature",
        ),
        (
            r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#,
            ada(),
            Hmac(hmac::HMAC_SHA256, &[0, 0, 0]),
            "signature",
        ),
        (r#"{"alg":"HS256"}"#, ada(), other, "signature"),
        (
            r#"{"alg":"HS256"}"#,
            ada(),
            Hmac(hmac::HMAC_SHA256, b""),
            "signature",
        ),
        (
            r#"{"alg":"HS256"}"#,
            ada(),
            Hmac(hmac::HMAC_SHA256, rsa.as_bytes()),
            "signature",
        ),
        (r#"{"alg":"HS256"}"#, ada(), sha384, "signature"),
        (r#"{"alg":"HS384"}"#, ada(), HS256, "signature"),
        (r#"{"alg":"HS256"}"#, ada(), Bytes(b""), "signature"),
        (r#"{"alg":"HS256"}"#, ada(), Bytes(&[0; 32]), "signature"),
        (r#"{"alg":"HS256"}"#, ada(), Bytes(&[0; 16]), "signature"),
        (r#"{"alg":"none"}"#, ada(), Bytes(b""), "none is never"),
        (r#"{"alg":"None"}"#, ada(), Bytes(b""), "none is never"),
        (r#"{"alg":"NONE"}"#, ada(), HS256, "none is never"),
        (r#"{"alg":"nOnE"}"#, ada(), HS256, "none is never"),
        (r#"{"alg":"none "}"#, ada(), HS256, known),
        (r#"{"alg":""}"#, ada(), HS256, known),
        (r#"{"alg":"hs256"}"#, ada(), HS256, known),
        (r#"{"alg":"HS256\u0000"}"#, ada(), HS256, known),
        (r#"{"alg":"HS1"}"#, ada(), HS256, known),
        (r#"{"alg":"ES512"}"#, ada(), HS256, known),
        (r#"{"alg":"dir"}"#, ada(), HS256, known),
        (r#"{"alg":"RSA-OAEP"}"#, ada(), HS256, known),
        (
            r#"{"alg":"PBES2-HS256+A128KW","p2c":2147483647}"#,
            ada(),
            HS256,
            known,
        ),
        (r#"{"alg":null}"#, ada(), HS256, "alg is not a string"),
        (r#"{"alg":256}"#, ada(), HS256, "alg is not a string"),
        (r#"{"alg":["HS256"]}"#, ada(), HS256, "alg is not a string"),
        (r"{}", ada(), HS256, "no alg"),
        (r#"{"Alg":"HS256"}"#, ada(), HS256, "no alg"),
        (r#"{"typ":"JWT"}"#, ada(), HS256, "no alg"),
        (
            r#"{"alg":"RS256"}"#,
            ada(),
            HS256,
            "RS256 is not accepted here, only HS256, HS384, HS512",
        ),
        (r#"{"alg":"ES256"}"#, ada(), P256, "ES256 is not accepted here"),
        (
            r#"{"alg":"EdDSA"}"#,
            ada(),
            Signer::Ed25519,
            "EdDSA is not accepted here",
        ),
        (r#"{"alg":"HS256","crit":[]}"#, ada(), HS256, "crit"),
        (r#"{"alg":"HS256","crit":["exp"]}"#, ada(), HS256, "crit"),
        (
            r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
            ada(),
            HS256,
            "crit",
        ),
        (
            r#"{"alg":"HS256","crit":["b64"],"b64":true}"#,
            ada(),
            HS256,
            "crit",
        ),
        (r#"{"alg":"HS256","crit":null}"#, ada(), HS256, "crit"),
        (r#"{"alg":"HS256","crit":"x"}"#, ada(), HS256, "crit"),
        (r#"{"alg":"HS256","b64":false}"#, ada(), HS256, "b64"),
        (r#"{"alg":"HS256","b64":"true"}"#, ada(), HS256, "b64"),
        (r#"{"alg":"HS256","zip":"DEF"}"#, ada(), HS256, "zip"),
        (r#"{"alg":"HS256","enc":"A256GCM"}"#, ada(), HS256, "enc"),
        (r#"{"alg":"HS256","cty":"JWT"}"#, ada(), HS256, "cty"),
        (r#"{"alg":"HS256","typ":"JOSE"}"#, ada(), HS256, "typ"),
        (r#"{"alg":"HS256","typ":"dpop+jwt"}"#, ada(), HS256, "typ"),
        (r#"{"alg":"HS256","typ":"logout+jwt"}"#, ada(), HS256, "typ"),
        (r#"{"alg":"HS256","typ":""}"#, ada(), HS256, "typ"),
        (r#"{"alg":"HS256","typ":7}"#, ada(), HS256, "typ"),
        (r#"{"alg":"HS256","kid":7}"#, ada(), HS256, "kid is not a string"),
        (
            r#"{"alg":"HS256","kid":null}"#,
            ada(),
            HS256,
            "kid is not a string",
        ),
        (
            r#"{"alg":"HS256","alg":"none"}"#,
            ada(),
            HS256,
            "header names a member twice",
        ),
        (
            r#"{"alg":"none","alg":"HS256"}"#,
            ada(),
            HS256,
            "header names a member twice",
        ),
        (
            r#"{"alg":"HS256","\u0061lg":"none"}"#,
            ada(),
            HS256,
            "header names a member twice",
        ),
        (
            r#"{"alg":"HS256","x":{"y":1,"y":2}}"#,
            ada(),
            HS256,
            "header names a member twice",
        ),
        (r#"["alg","HS256"]"#, ada(), HS256, "header is not a JSON object"),
        (r#""HS256""#, ada(), HS256, "header is not a JSON object"),
        (r"null", ada(), HS256, "header is not a JSON object"),
        (r"", ada(), HS256, "header is not JSON"),
        (r#"{"alg":"HS256"}{}"#, ada(), HS256, "header is not JSON"),
        (r#"{"alg":"HS256",}"#, ada(), HS256, "header is not JSON"),
        ("\u{feff}{\"alg\":\"HS256\"}", ada(), HS256, "header is not JSON"),
        (r"{'alg':'HS256'}", ada(), HS256, "header is not JSON"),
    ];
    judge(&open_one(secret()), &cases);
}

#[test]
fn payloads() {
    let (later, earlier) = (years(1), years(-1));
    let simple: [(String, &str); 50] = [
        (r#"{"sub":"ada"}"#.into(), ""),
        (format!(r#"{{"sub":"ada","exp":{later}.5}}"#), ""),
        (r#"{"sub":"ada","exp":9.9e12}"#.into(), ""),
        (format!(r#"{{"sub":"ada","nbf":{earlier},"iat":{later}}}"#), ""),
        (r#"{"sub":"ada","aud":"somebody else"}"#.into(), ""),
        (r#"{"sub":"ada","iss":"anybody"}"#.into(), ""),
        (r#"{"sub":"ada","aud":[]}"#.into(), ""),
        (r#"{"sub":"ada","nbf":-1}"#.into(), ""),
        (r#"{"sub":"ada","roles":7,"scope":{}}"#.into(), ""),
        (r#"{"sub":"ada\u0000","x":[1,[2,{"y":null}]]}"#.into(), ""),
        (format!(r#"{{"sub":"ada","exp":{earlier}}}"#), "expired 20"),
        (r#"{"sub":"ada","exp":0}"#.into(), "expired 1970-01-01T00:00:00Z"),
        (r#"{"sub":"ada","exp":-1}"#.into(), "expired 1969"),
        (r#"{"sub":"ada","exp":-1e300}"#.into(), "expired at a time beyond"),
        (r#"{"sub":"ada","exp":0.0}"#.into(), "expired"),
        (format!(r#"{{"sub":"ada","nbf":{later}}}"#), "not valid before 20"),
        (r#"{"sub":"ada","nbf":1e300}"#.into(), "not valid before"),
        (
            format!(r#"{{"sub":"ada","exp":"{later}"}}"#),
            "exp is not a number",
        ),
        (r#"{"sub":"ada","exp":null}"#.into(), "exp is not a number"),
        (r#"{"sub":"ada","exp":true}"#.into(), "exp is not a number"),
        (
            r#"{"sub":"ada","exp":[9999999999]}"#.into(),
            "exp is not a number",
        ),
        (r#"{"sub":"ada","exp":{}}"#.into(), "exp is not a number"),
        (r#"{"sub":"ada","exp":1e999}"#.into(), "exp is not a number"),
        (r#"{"sub":"ada","exp":""}"#.into(), "exp is not a number"),
        (r#"{"sub":"ada","nbf":"0"}"#.into(), "nbf is not a number"),
        (r#"{"sub":"ada","nbf":null}"#.into(), "nbf is not a number"),
        (r#"{"sub":"ada","iat":"now"}"#.into(), "iat is not a number"),
        (r#"{"sub":"ada","iat":-1e999}"#.into(), "iat is not a number"),
        (
            format!(r#"{{"sub":"ada","exp":{earlier},"exp":{later}}}"#),
            "payload names a member twice",
        ),
        (
            format!(r#"{{"sub":"ada","exp":{later},"e\u0078p":{later}}}"#),
            "payload names a member twice",
        ),
        (
            r#"{"sub":"ada","sub":"root"}"#.into(),
            "payload names a member twice",
        ),
        (
            r#"{"sub":"ada","x":[{"y":1,"y":1}]}"#.into(),
            "payload names a member twice",
        ),
        (r#"{"sub":""}"#.into(), "sub is empty"),
        (r#"{"sub":7}"#.into(), "sub is not a string"),
        (r#"{"sub":null}"#.into(), "sub is not a string"),
        (r#"{"sub":["ada"]}"#.into(), "sub is not a string"),
        (r"{}".into(), "has no sub"),
        (r#"{"Sub":"ada"}"#.into(), "has no sub"),
        (r#"{"sub":"ada","iss":7}"#.into(), "iss is not a string"),
        (r#"{"sub":"ada","iss":["a"]}"#.into(), "iss is not a string"),
        (r#"{"sub":"ada","aud":7}"#.into(), "aud is neither"),
        (r#"{"sub":"ada","aud":["shop",7]}"#.into(), "aud is neither"),
        (r#"{"sub":"ada","aud":{"shop":1}}"#.into(), "aud is neither"),
        (r"[]".into(), "payload is not a JSON object"),
        (r#""ada""#.into(), "payload is not a JSON object"),
        (String::new(), "payload is not JSON"),
        (r#"{"sub":"ada""#.into(), "payload is not JSON"),
        (r#"{"sub":"\ud800"}"#.into(), "payload is not JSON"),
        (r#"{"sub":"ada","exp":NaN}"#.into(), "payload is not JSON"),
        (
            format!("{}1{}", "[".repeat(200), "]".repeat(200)),
            "payload is not JSON",
        ),
    ];
    let auth = open_one(secret());
    let cases = simple.map(|(claims, reason)| (r#"{"alg":"HS256"}"#, claims, HS256, reason));
    judge(&auth, &cases);
}

#[test]
fn issuer_and_audience() {
    let mut demands = secret();
    demands.issuer = Some(String::from("https://id.example.com"));
    demands.audience = vec![String::from("shop"), String::from("till")];
    let auth = open_one(demands);
    let base = json!({ "sub": "ada", "iss": "https://id.example.com", "aud": "shop" });
    let cases = [
        (json!({}), ""),
        (json!({ "aud": "till" }), ""),
        (json!({ "aud": ["x", "shop"] }), ""),
        (
            json!({ "iss": "https://id.example.com/" }),
            "(iss) is not https://id.example.com",
        ),
        (json!({ "iss": "HTTPS://id.example.com" }), "(iss) is not"),
        (
            json!({ "iss": ["https://id.example.com"] }),
            "iss is not a string",
        ),
        (json!({ "iss": null }), "iss is not a string"),
        (json!({ "iss": "" }), "(iss) is not"),
        (json!({ "aud": "Shop" }), "(aud) does not hold shop or till"),
        (json!({ "aud": "shop till" }), "(aud) does not hold"),
        (json!({ "aud": [] }), "(aud) does not hold"),
        (json!({ "aud": [["shop"]] }), "aud is neither"),
        (json!({ "aud": null }), "aud is neither"),
    ];
    for (change, reason) in cases {
        let mut claims = base.clone();
        claims
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        judge(
            &auth,
            &[(r#"{"alg":"HS256"}"#, claims.to_string(), HS256, reason)],
        );
    }
    for (left_out, reason) in [("iss", "no iss"), ("aud", "no aud")] {
        let mut claims = base.clone();
        claims.as_object_mut().unwrap().shift_remove(left_out);
        judge(
            &auth,
            &[(r#"{"alg":"HS256"}"#, claims.to_string(), HS256, reason)],
        );
    }
}

#[test]
fn a_public_key_is_never_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rsa.pem");
    let pem_text = PAIRS.rsa_pem();
    std::fs::write(&path, &pem_text).unwrap();
    let der = PAIRS.rsa.public_key().as_ref().to_vec();
    let auth = open_one(jwt(JwtKeys::PublicKey(path)));
    let hs = |key| Hmac(hmac::HMAC_SHA256, key);
    let trimmed = pem_text.trim_end();
    let cases: Vec<Case<'_>> = vec![
        (r#"{"alg":"RS256"}"#, ada(), RS256, ""),
        (r#"{"alg":"RS384"}"#, ada(), Rsa(&sig::RSA_PKCS1_SHA384), ""),
        (r#"{"alg":"RS512"}"#, ada(), Rsa(&sig::RSA_PKCS1_SHA512), ""),
        (r#"{"alg":"PS256"}"#, ada(), Rsa(&sig::RSA_PSS_SHA256), ""),
        (r#"{"alg":"PS384"}"#, ada(), Rsa(&sig::RSA_PSS_SHA384), ""),
        (r#"{"alg":"PS512"}"#, ada(), Rsa(&sig::RSA_PSS_SHA512), ""),
        (
            r#"{"alg":"HS256"}"#,
            ada(),
            hs(pem_text.as_bytes()),
            "HS256 is not accepted here",
        ),
        (
            r#"{"alg":"HS256"}"#,
            ada(),
            hs(trimmed.as_bytes()),
            "HS256 is not accepted here",
        ),
        (
            r#"{"alg":"HS256"}"#,
            ada(),
            hs(&der),
            "HS256 is not accepted here",
        ),
        (
            r#"{"alg":"HS256","kid":"rsa"}"#,
            ada(),
            hs(&der),
            "HS256 is not accepted here",
        ),
        (r#"{"alg":"none"}"#, ada(), Bytes(b""), "none"),
        (r#"{"alg":"ES256"}"#, ada(), P256, "ES256 is not accepted here"),
        (r#"{"alg":"PS256"}"#, ada(), RS256, "signature"),
        (
            r#"{"alg":"RS256"}"#,
            ada(),
            Rsa(&sig::RSA_PSS_SHA256),
            "signature",
        ),
        (
            r#"{"alg":"RS256"}"#,
            ada(),
            Rsa(&sig::RSA_PKCS1_SHA512),
            "signature",
        ),
        (r#"{"alg":"RS256"}"#, ada(), Bytes(&[0; 256]), "signature"),
        (r#"{"alg":"RS256"}"#, ada(), Bytes(&[1]), "signature"),
        (r#"{"alg":"RS256"}"#, ada(), Bytes(&[0xff; 257]), "signature"),
    ];
    judge(&auth, &cases);
}

#[test]
fn a_set_chooses_by_kid_and_binds_each_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, PAIRS.jwks()).unwrap();
    let auth = open_one(jwt(JwtKeys::JwksFile(path.clone())));
    let not_for = "not for the algorithm";
    let zero = [0; 64];
    let mut order = [0; 64];
    order[31] = 1;
    order[63] = 1;
    let cases: Vec<Case<'_>> = vec![
        (r#"{"alg":"RS256","kid":"rsa"}"#, ada(), RS256, ""),
        (r#"{"alg":"RS256","kid":"rsa-256"}"#, ada(), RS256, ""),
        (r#"{"alg":"ES256","kid":"p256"}"#, ada(), P256, ""),
        (r#"{"alg":"ES384","kid":"p384"}"#, ada(), P384, ""),
        (r#"{"alg":"EdDSA","kid":"ed"}"#, ada(), Signer::Ed25519, ""),
        (r#"{"alg":"Ed25519","kid":"ed"}"#, ada(), Signer::Ed25519, ""),
        (r#"{"alg":"ES256"}"#, ada(), P256, ""),
        (r#"{"alg":"PS512"}"#, ada(), Rsa(&sig::RSA_PSS_SHA512), ""),
        (r#"{"alg":"RS256"}"#, ada(), RS256, "no kid, and more than one"),
        (r#"{"alg":"RS256","kid":"RSA"}"#, ada(), RS256, "names no key"),
        (r#"{"alg":"RS256","kid":""}"#, ada(), RS256, "names no key"),
        (r#"{"alg":"RS256","kid":"../rsa"}"#, ada(), RS256, "names no key"),
        (r#"{"alg":"RS256","kid":"p256"}"#, ada(), RS256, not_for),
        (
            r#"{"alg":"RS384","kid":"rsa-256"}"#,
            ada(),
            Rsa(&sig::RSA_PKCS1_SHA384),
            not_for,
        ),
        (
            r#"{"alg":"PS256","kid":"rsa-256"}"#,
            ada(),
            Rsa(&sig::RSA_PSS_SHA256),
            not_for,
        ),
        (r#"{"alg":"ES256","kid":"p384"}"#, ada(), P384, not_for),
        (r#"{"alg":"ES384","kid":"p256"}"#, ada(), P256, not_for),
        (r#"{"alg":"EdDSA","kid":"p256"}"#, ada(), Signer::Ed25519, not_for),
        (
            r#"{"alg":"HS256","kid":"rsa"}"#,
            ada(),
            HS256,
            "HS256 is not accepted here",
        ),
        (r#"{"alg":"ES256","kid":"p256"}"#, ada(), P384, "signature"),
        (
            r#"{"alg":"ES256","kid":"p256"}"#,
            ada(),
            Bytes(&zero),
            "signature",
        ),
        (
            r#"{"alg":"ES256","kid":"p256"}"#,
            ada(),
            Bytes(&order),
            "signature",
        ),
        (
            r#"{"alg":"ES256","kid":"p256"}"#,
            ada(),
            Bytes(&[0xff; 64]),
            "signature",
        ),
        (
            r#"{"alg":"ES256","kid":"p256"}"#,
            ada(),
            Bytes(&[0x30, 6, 2, 1, 1, 2, 1, 1]),
            "signature",
        ),
        (
            r#"{"alg":"ES384","kid":"p384"}"#,
            ada(),
            Bytes(&[0; 96]),
            "signature",
        ),
        (r#"{"alg":"EdDSA","kid":"ed"}"#, ada(), Bytes(&zero), "signature"),
        (
            r#"{"alg":"EdDSA","kid":"ed"}"#,
            ada(),
            Bytes(&[0; 32]),
            "signature",
        ),
    ];
    judge(&auth, &cases);

    let mut narrow = jwt(JwtKeys::JwksFile(path));
    narrow.algorithms = vec![
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];
    let cases: Vec<Case<'_>> = vec![
        (
            r#"{"alg":"PS256","kid":"rsa"}"#,
            ada(),
            Rsa(&sig::RSA_PSS_SHA256),
            "",
        ),
        (
            r#"{"alg":"PS384","kid":"rsa"}"#,
            ada(),
            Rsa(&sig::RSA_PSS_SHA384),
            "PS384 is not accepted here",
        ),
    ];
    judge(&open_one(narrow), &cases);
}

/// Ways to change the text of a good token without changing what a lenient reader sees in it.
#[test]
fn other_spellings_of_a_good_token() {
    let auth = open_one(secret());
    let good = forge(r#"{"alg":"HS256"}"#, &ada(), HS256);
    assert!(outcome(&auth, &good).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!()
    };
    let trailing_bits = {
        // 32 bytes leave two bits over in the 43rd character: the next letter decodes to the same bytes.
        let last = signature.as_bytes()[42];
        format!("{}{}", &signature[..42], char::from(last + 1))
    };
    let cases = [
        (
            format!("{header}.{claims}.{signature}="),
            "signature is not base64url",
        ),
        (format!("{header}.{claims}.{trailing_bits}"), "signature"),
        (
            format!("{header}==.{claims}.{signature}"),
            "header is not base64url",
        ),
        (
            format!("{header}.{claims}=.{signature}"),
            "payload is not base64url",
        ),
        (format!("{header}.{claims}.{signature}A"), "signature"),
        (format!("{header}.{claims}.{}", &signature[1..]), "signature"),
        (format!("{header}.{claims}."), "signature"),
        (format!("{header}.{claims}"), "three parts"),
        (format!("{header}.{claims}.{signature}."), "three parts"),
        (
            format!("{header}.{claims}.{signature}.{signature}"),
            "three parts",
        ),
        (
            format!("{header}.{claims}.{signature}.{signature}.{signature}"),
            "JWE",
        ),
        (format!(".{header}.{claims}.{signature}"), "three parts"),
        (format!("{header}..{signature}"), "payload is not JSON"),
        (format!(".{claims}.{signature}"), "header is not JSON"),
        ("..".into(), "header is not JSON"),
        (".".into(), "three parts"),
        ("x".into(), "three parts"),
        (
            format!("{header} .{claims}.{signature}"),
            "header is not base64url",
        ),
        (
            format!("{header}.{claims}.{}+", &signature[..42]),
            "signature is not base64url",
        ),
        (
            format!("{header}.{claims}.{}/", &signature[..42]),
            "signature is not base64url",
        ),
        (format!("{header}%2e{claims}.{signature}"), "three parts"),
        (
            format!("{header}.{}.{signature}", &claims[4..]),
            "payload is not JSON",
        ),
        (
            format!("{header}.{claims}.{}", signature.to_lowercase()),
            "signature",
        ),
        ("a".repeat(16 * 1024 + 1), "longer than 16 KiB"),
        (
            format!("{header}.{}.{signature}", "A".repeat(60 * 1024)),
            "longer than 16 KiB",
        ),
        (".".repeat(10_000), "three parts"),
        (
            json!({ "payload": claims, "signatures": [] }).to_string(),
            "three parts",
        ),
    ];
    for (token, reason) in cases {
        let why = outcome(&auth, &token).expect_err(&token);
        assert!(why.contains(reason), "{token}: {why}");
    }
}

#[test]
fn the_longest_token_is_read() {
    let auth = open_one(secret());
    let filled = |n: usize| {
        let claims = json!({ "sub": "ada", "x": "x".repeat(n) }).to_string();
        forge(r#"{"alg":"HS256"}"#, &claims, HS256)
    };
    assert!(outcome(&auth, &filled(12_000)).is_ok());
    assert!(filled(12_300).len() > 16 * 1024);
    assert!(outcome(&auth, &filled(12_300)).is_err());
}

#[test]
fn roles_and_scopes() {
    let claims = |value: serde_json::Value, path: &str| {
        let mut demands = secret();
        demands.roles = path.split('.').map(str::to_owned).collect();
        let auth = open_one(demands);
        let mut claims = value;
        claims["sub"] = json!("ada");
        let token = forge(r#"{"alg":"HS256"}"#, &claims.to_string(), HS256);
        let identity = outcome(&auth, &token).unwrap();
        let caller = identity.caller().unwrap();
        (caller.roles.join("|"), caller.scopes.join("|"))
    };
    let cases = [
        (json!({}), "roles", "", ""),
        (json!({ "roles": ["a", "b c"] }), "roles", "a|b c", ""),
        (json!({ "roles": "a  b" }), "roles", "a|b", ""),
        (json!({ "roles": { "a": true } }), "roles", "", ""),
        (json!({ "roles": ["a", 7, null, ["admin"]] }), "roles", "a", ""),
        (
            json!({ "realm_access": { "roles": ["a"] } }),
            "realm_access.roles",
            "a",
            "",
        ),
        (json!({ "realm_access": ["a"] }), "realm_access.roles", "", ""),
        (json!({ "roles": ["a"] }), "realm_access.roles", "", ""),
        (json!({ "scope": "x y" }), "roles", "", "x|y"),
        (json!({ "scp": ["x", "y"] }), "roles", "", "x|y"),
        (json!({ "scope": "x", "scp": "y x" }), "roles", "", "x|y"),
        (json!({ "scope": 7, "scp": null }), "roles", "", ""),
    ];
    for (value, path, roles, scopes) in cases {
        assert_eq!(
            claims(value.clone(), path),
            (roles.to_owned(), scopes.to_owned()),
            "{value} {path}"
        );
    }
}
