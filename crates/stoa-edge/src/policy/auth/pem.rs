//! A public key or certificate in PEM (RFC 7468), as far as is needed to know what kind of key it is.

use super::keys::Material;
use base64::{Engine, engine::general_purpose::STANDARD};

/// The key in a PEM file.
///
/// # Errors
/// What is wrong with the file, in words.
pub(super) fn read(text: &str) -> Result<Material, String> {
    let mut blocks = text.split("-----BEGIN ").skip(1);
    let (Some(block), None) = (blocks.next(), blocks.next()) else {
        return Err(String::from(
            "it must hold exactly one PEM block, as `-----BEGIN PUBLIC KEY-----`; for several keys use `jwks`",
        ));
    };
    let damaged = || String::from("its PEM block is damaged");
    let (label, rest) = block.split_once("-----").ok_or_else(damaged)?;
    let (body, _) = rest
        .split_once(&format!("-----END {label}-----"))
        .ok_or_else(damaged)?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| damaged())?;
    match label {
        "PUBLIC KEY" => {
            let mut outer = Der(&der);
            outer
                .read(SEQUENCE)
                .filter(|_| outer.0.is_empty())
                .ok_or_else(damaged)
                .and_then(public_key_info)
        }
        "RSA PUBLIC KEY" => rsa(&der).ok_or_else(damaged),
        "CERTIFICATE" => certificate(&der).ok_or_else(damaged).and_then(public_key_info),
        label if label.contains("PRIVATE KEY") => Err(String::from(
            "it is a private key: only who signs tokens may hold it. `openssl pkey -in FILE -pubout` makes the public one",
        )),
        _ => Err(String::from(
            "its PEM block is neither a public key nor a certificate",
        )),
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// What is left to read of a DER encoding (X.690).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, whatever it is, and its tag.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let count = usize::from(first & 0x7f);
            let (digits, rest) = rest
                .split_at_checked(count)
                .filter(|_| (1..=3).contains(&count))?;
            (
                digits
                    .iter()
                    .fold(0, |length, digit| length << 8 | usize::from(*digit)),
                rest,
            )
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn read(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|(found, _)| *found == tag)
            .map(|(_, content)| content)
    }

    /// `UTCTime` (`YYMMDDhhmmssZ`) or `GeneralizedTime` (with four digits of the year) in seconds since 1970.
    fn date(&mut self) -> Option<i64> {
        let (tag, text) = self.next()?;
        let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
        let (year, rest) = match tag {
            UTC_TIME => {
                let (year, rest) = text.split_at_checked(2)?;
                let year: i16 = year.parse().ok()?;
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME => {
                let (year, rest) = text.split_at_checked(4)?;
                (year.parse().ok()?, rest)
            }
            _ => return None,
        };
        let two = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
        let date = jiff::civil::DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0).ok()?;
        Some(
            date.to_zoned(jiff::tz::TimeZone::UTC)
                .ok()?
                .timestamp()
                .as_second(),
        )
    }

    /// An unsigned integer without the zero byte that marks it as such.
    fn unsigned(&mut self) -> Option<Vec<u8>> {
        let bytes = self.read(INTEGER)?;
        Some(bytes.strip_prefix(&[0]).unwrap_or(bytes).to_vec())
    }
}

/// The `SubjectPublicKeyInfo` in a certificate (RFC 5280 section 4.1).
fn certificate(der: &[u8]) -> Option<&[u8]> {
    let mut signed = Der(Der(der).read(SEQUENCE)?);
    let mut body = Der(signed.read(SEQUENCE)?);
    if body.0.first() == Some(&VERSION) {
        body.next()?;
    }
    body.read(INTEGER)?;
    for _ in ["signature", "issuer", "validity", "subject"] {
        body.read(SEQUENCE)?;
    }
    body.read(SEQUENCE)
}

/// From when until when a certificate is valid (RFC 5280 section 4.1.2.5), in seconds since 1970.
pub(crate) fn validity(der: &[u8]) -> Option<(i64, i64)> {
    let mut signed = Der(Der(der).read(SEQUENCE)?);
    let mut body = Der(signed.read(SEQUENCE)?);
    if body.0.first() == Some(&VERSION) {
        body.next()?;
    }
    body.read(INTEGER)?;
    for _ in ["signature", "issuer"] {
        body.read(SEQUENCE)?;
    }
    let mut dates = Der(body.read(SEQUENCE)?);
    Some((dates.date()?, dates.date()?))
}

/// `RSAPublicKey` (RFC 8017 appendix A.1.1).
fn rsa(der: &[u8]) -> Option<Material> {
    let mut numbers = Der(Der(der).read(SEQUENCE)?);
    let (n, e) = (numbers.unsigned()?, numbers.unsigned()?);
    numbers.0.is_empty().then_some(Material::Rsa { n, e })
}

/// The content of a `SubjectPublicKeyInfo` (RFC 5280 section 4.1, RFC 5480, RFC 8410).
fn public_key_info(content: &[u8]) -> Result<Material, String> {
    let damaged = || String::from("its PEM block is damaged");
    let mut info = Der(content);
    let mut algorithm = Der(info.read(SEQUENCE).ok_or_else(damaged)?);
    let [0, key @ ..] = info.read(BIT_STRING).ok_or_else(damaged)? else {
        return Err(damaged());
    };
    let kind = algorithm.read(OBJECT_ID).ok_or_else(damaged)?;
    let curve = algorithm.read(OBJECT_ID).unwrap_or_default();
    match (kind, curve) {
        (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", _) => rsa(key).ok_or_else(damaged),
        (b"\x2a\x86\x48\xce\x3d\x02\x01", b"\x2a\x86\x48\xce\x3d\x03\x01\x07") => {
            Ok(Material::P256(key.to_vec()))
        }
        (b"\x2a\x86\x48\xce\x3d\x02\x01", b"\x2b\x81\x04\x00\x22") => Ok(Material::P384(key.to_vec())),
        (b"\x2a\x86\x48\xce\x3d\x02\x01", _) => Err(String::from("its curve is neither P-256 nor P-384")),
        (b"\x2b\x65\x70", _) => Ok(Material::Ed25519(key.to_vec())),
        _ => Err(String::from("it is not an RSA, P-256, P-384 or Ed25519 key")),
    }
}
