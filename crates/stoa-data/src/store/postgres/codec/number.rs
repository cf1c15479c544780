//! `numeric`: groups of four decimal digits, and where the point is among them.

use bytes::{BufMut, BytesMut};

/// What stands in the sign of a negative number.
const NEGATIVE: u16 = 0x4000;
/// What stands there for a number above zero, or zero.
const POSITIVE: u16 = 0x0000;
/// Groups before the point of a number that is read at most: PostgreSQL's own bound.
const WEIGHT_MAX: i32 = 32_768;

/// What stands in the sign of what is no number.
const NAN: u16 = 0xc000;
/// Of plus infinity.
const INFINITY: u16 = 0xd000;
/// Of minus infinity.
const MINUS_INFINITY: u16 = 0xf000;

/// The name of NaN or an infinity.
pub(super) fn endless(bytes: &[u8]) -> Option<&'static str> {
    match u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?]) {
        NAN => Some("NaN"),
        INFINITY => Some("Infinity"),
        MINUS_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

/// A number as JSON with at least `scale` digits after the point, and more when it has more: a column of somebody
/// else's may hold what its field does not expect, and nothing is cut off. NaN and the infinities, which JSON has not,
/// are null. `None` when the bytes are no number.
pub(super) fn write(bytes: &[u8], scale: u8, out: &mut Vec<u8>) -> Option<()> {
    let (head, groups) = bytes.split_at_checked(8)?;
    let word = |at: usize| Some(u16::from_be_bytes([*head.get(at)?, *head.get(at + 1)?]));
    let count = usize::from(word(0)?);
    let weight = i32::from(i16::from_be_bytes(word(2)?.to_be_bytes()));
    if groups.len() != count * 2 || weight.abs() > WEIGHT_MAX {
        return None;
    }
    match word(4)? {
        POSITIVE => {}
        NEGATIVE => out.push(b'-'),
        _ => {
            out.extend_from_slice(b"null");
            return Some(());
        }
    }
    // The group that stands for 10,000 to the power of `at`.
    let group = |at: i32| {
        let index = usize::try_from(weight - at).ok()?;
        let pair = groups.get(index * 2..index * 2 + 2)?;
        Some(u16::from_be_bytes([*pair.first()?, *pair.get(1)?]))
    };
    let digits = |value: u16| {
        let digit = |power: u16| b'0' + u8::try_from(value / power % 10).unwrap_or(0);
        [digit(1_000), digit(100), digit(10), digit(1)]
    };
    if weight < 0 || count == 0 {
        out.push(b'0');
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(group(weight).unwrap_or(0)).as_bytes());
        for at in (0..weight).rev() {
            out.extend_from_slice(&digits(group(at).unwrap_or(0)));
        }
    }
    let mut left = usize::from(scale).max(usize::from(word(6)?));
    if left > 0 {
        out.push(b'.');
    }
    let mut at = -1;
    while left > 0 {
        let four = digits(group(at).unwrap_or(0));
        let shown = left.min(4);
        out.extend_from_slice(four.get(..shown).unwrap_or_default());
        left -= shown;
        at -= 1;
    }
    Some(())
}

/// Canonical digits (`-12.50`) as `numeric`. `None` when they are none.
pub(super) fn encode(text: &str, out: &mut BytesMut) -> Option<()> {
    let sign = match text {
        "NaN" => NAN,
        "Infinity" => INFINITY,
        "-Infinity" => MINUS_INFINITY,
        _ => POSITIVE,
    };
    if sign != POSITIVE {
        out.extend_from_slice(&[0, 0, 0, 0]);
        out.put_u16(sign);
        out.put_u16(0);
        return Some(());
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (NEGATIVE, rest),
        None => (POSITIVE, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = |part: &[u8]| part.iter().fold(0_u16, |n, b| n * 10 + u16::from(b - b'0'));
    let mut groups: Vec<u16> = Vec::with_capacity(whole.len() / 4 + fraction.len() / 4 + 2);
    let lead = whole.len() % 4;
    let (first, rest) = whole.as_bytes().split_at(lead);
    if lead > 0 {
        groups.push(value(first));
    }
    groups.extend(rest.chunks(4).map(value));
    let mut weight = i16::try_from(groups.len()).ok()? - 1;
    for part in fraction.as_bytes().chunks(4) {
        let missing = u32::try_from(4 - part.len()).unwrap_or(0);
        groups.push(value(part) * 10_u16.pow(missing));
    }
    // No group of zeros at either end.
    let zeros = groups.iter().take_while(|g| **g == 0).count();
    groups.drain(..zeros);
    weight -= i16::try_from(zeros).ok()?;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    out.put_u16(u16::try_from(groups.len()).ok()?);
    out.put_i16(weight);
    out.put_u16(if groups.is_empty() { POSITIVE } else { sign });
    out.put_u16(u16::try_from(fraction.len()).ok()?);
    for group in groups {
        out.put_u16(group);
    }
    Some(())
}
