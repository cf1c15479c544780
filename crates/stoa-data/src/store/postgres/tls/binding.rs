//! What binds a login to the connection it is made over (`tls-server-end-point`, RFC 5929): a hash of the server's own
//! certificate, by the hash that it is signed with.

use aws_lc_rs::digest::{self, Algorithm, SHA256, SHA384, SHA512};

/// `sha1WithRSAEncryption` and its kin, of which the last number is the hash.
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01];
/// `ecdsa-with-SHA1`.
const ECDSA_SHA1: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x01];
/// `ecdsa-with-SHA2`, of which the last number is the hash.
const ECDSA: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03];
const SEQUENCE: u8 = 0x30;
const OBJECT: u8 = 0x06;

/// The hash of a certificate in DER; `None` where the standard has none for how it is signed.
pub(super) fn of(certificate: &[u8]) -> Option<Vec<u8>> {
    let (signed, _) = element(certificate, SEQUENCE)?;
    let (_, rest) = element(signed, SEQUENCE)?;
    let (algorithm, _) = element(rest, SEQUENCE)?;
    let (name, _) = element(algorithm, OBJECT)?;
    Some(digest::digest(hash(name)?, certificate).as_ref().to_vec())
}

/// Weak ones are replaced by SHA-256.
fn hash(name: &[u8]) -> Option<&'static Algorithm> {
    if name == ECDSA_SHA1 {
        return Some(&SHA256);
    }
    let (last, family) = name.split_last()?;
    match (family, last) {
        (RSA, 4 | 5 | 11) | (ECDSA, 2) => Some(&SHA256),
        (RSA, 12) | (ECDSA, 3) => Some(&SHA384),
        (RSA, 13) | (ECDSA, 4) => Some(&SHA512),
        _ => None,
    }
}

/// What is in the first element, which is of this kind, and what comes behind it.
fn element(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        let length = digits.iter().try_fold(0_usize, |length, digit| {
            length.checked_mul(256)?.checked_add(usize::from(*digit))
        })?;
        (length, rest)
    };
    (found == kind).then_some(())?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::{hash, of};
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject;

    #[test]
    fn a_certificate_is_hashed_as_it_is_signed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/contract/tls/server.pem");
        let certificate = CertificateDer::from_pem_file(path).unwrap();
        let bound = of(&certificate).unwrap();
        assert!([32, 48, 64].contains(&bound.len()), "{}", bound.len());
        for end in 0..certificate.len().min(300) {
            assert_eq!(of(&certificate[..end]), None, "{end}");
        }
        let rsa = |last: u8| [super::RSA, &[last]].concat();
        assert!(hash(&rsa(10)).is_none() && hash(&rsa(13)) == Some(&super::SHA512));
        assert!(hash(&[]).is_none());
    }
}
