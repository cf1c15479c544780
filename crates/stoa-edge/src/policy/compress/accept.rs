//! `Accept-Encoding` (RFC 9110 section 12.5.3).

use http::{HeaderMap, header};

/// A content coding that is written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Zstd,
    Br,
    Gzip,
}

impl Coding {
    /// In the order in which they are chosen where the request does not prefer one.
    pub(super) const ALL: [Self; 3] = [Self::Zstd, Self::Br, Self::Gzip];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// What a request accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// The coding to use.
    pub(super) best: Option<Coding>,
    /// Whether the reply may be sent as it is.
    pub(super) plain: bool,
}

/// Members that are looked at.
const MEMBERS_MAX: usize = 32;

impl Accepted {
    /// What a request without the field accepts.
    pub(super) const ANYTHING_PLAIN: Self = Self {
        best: None,
        plain: true,
    };

    pub(super) fn of(sent: &HeaderMap) -> Self {
        let mut weights = [None; 3];
        let (mut identity, mut star) = (None, None);
        let lines = sent.get_all(header::ACCEPT_ENCODING).iter();
        let members = lines.flat_map(|value| value.to_str().unwrap_or_default().split(','));
        for member in members.take(MEMBERS_MAX) {
            let mut parts = member.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = weight(parts);
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if is("identity") {
                identity = Some(weight);
            } else if name == "*" {
                star = Some(weight);
            } else if is("x-gzip") {
                weights[2] = weights[2].or(Some(weight));
            } else if let Some(at) = Coding::ALL.iter().position(|c| is(c.as_str())) {
                weights[at] = Some(weight);
            }
        }
        let plain = identity.or(star).is_none_or(|weight| weight > 0);
        // A request that would rather have it plain gets that.
        let least = identity.unwrap_or(0);
        let mut best = (0, None);
        for (coding, weight) in Coding::ALL.into_iter().zip(weights) {
            let weight = weight.or(star).unwrap_or(0);
            if weight > best.0 && weight >= least {
                best = (weight, Some(coding));
            }
        }
        Self { best: best.1, plain }
    }

    /// Whether no reply at all is acceptable.
    pub(super) fn nothing(self) -> bool {
        self.best.is_none() && !self.plain
    }
}

/// `q` in thousandths; 1000 when it is not said, 0 when it is malformed.
fn weight<'v>(mut parameters: impl Iterator<Item = &'v str>) -> u16 {
    let said = parameters.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
    let Some(text) = said else { return 1000 };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    match (whole, digits) {
        ("1", true) if fraction.bytes().all(|b| b == b'0') => 1000,
        ("0", true) => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}
