//! No input panics, and nothing but the right token is accepted.

use super::*;
use proptest::prelude::*;

static AUTH: LazyLock<Auth> = LazyLock::new(|| open_one(secret()));

proptest! {
    #[test]
    fn random_fields_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&[b"Bearer ", &bytes[..]].concat()) {
            headers.insert(header::AUTHORIZATION, value);
            prop_assert!(AUTH.authenticate(&headers).is_err());
        }
    }

    #[test]
    fn random_parts_are_judged(header in ".{0,60}", claims in ".{0,60}") {
        let token = forge(&header, &claims, HS256);
        prop_assert!(outcome(&AUTH, &token).is_err());
    }

    #[test]
    fn a_changed_token_is_refused(at in 0..1_000_usize, to in "[A-Za-z0-9_.-]") {
        let good = forge(r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"sub":"ada","roles":["user"]}"#, HS256);
        let at = at % good.len();
        let changed = format!("{}{to}{}", &good[..at], &good[at + 1..]);
        prop_assert_eq!(outcome(&AUTH, &changed).is_ok(), changed == good);
    }

    #[test]
    fn random_key_files_are_judged(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = super::super::pem::read(&text);
        let _ = super::super::pem::read(&pem("PUBLIC KEY", &bytes));
        let _ = super::super::pem::read(&pem("CERTIFICATE", &bytes));
        let _ = jwks::read(&bytes, &[]);
        let _ = jwks::read(format!("{{\"keys\":[{text}]}}").as_bytes(), &[]);
    }

    #[test]
    fn damaged_certificates_are_judged(at in 0..4_000_usize, to in any::<u8>()) {
        use base64::{Engine, engine::general_purpose::STANDARD};
        for name in ["rsa-cert.pem", "p256.pem", "rsa-pkcs1.pem"] {
            let text = text(name);
            let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
            let mut der = STANDARD.decode(body).unwrap();
            let at = at % der.len();
            der[at] = to;
            for label in ["PUBLIC KEY", "CERTIFICATE", "RSA PUBLIC KEY"] {
                if let Ok(material) = super::super::pem::read(&pem(label, &der)) {
                    let _ = keys::Key::bind(None, &material, None, &[]);
                }
            }
        }
    }
}
