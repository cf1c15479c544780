//! Decimals: as scaled integers, as text that sorts as the numbers do, and back to digits.

/// Digits before and after the point in a [`decimal_key`].
const KEY_WHOLE: usize = 20;
/// As above.
const KEY_FRACTION: u32 = 18;

/// `12.5` at scale 2 is 1250. More digits after the point than the scale are cut off. `None` when it is not a
/// plain decimal number or does not fit 38 digits.
pub(super) fn scaled(text: &str, scale: u8) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut n: i128 = 0;
    let fraction = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(usize::from(scale));
    for byte in whole.bytes().chain(fraction) {
        if !byte.is_ascii_digit() {
            return None;
        }
        n = n.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    Some(if negative { -n } else { n })
}

/// 1250 at scale 2 is `12.50`.
pub(super) fn write_scaled(n: i128, scale: u8, out: &mut Vec<u8>) {
    if n < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(n.unsigned_abs());
    let scale = usize::from(scale);
    if scale == 0 {
        out.extend_from_slice(digits.as_bytes());
        return;
    }
    let padding = (scale + 1).saturating_sub(digits.len());
    let mut all = vec![b'0'; padding];
    all.extend_from_slice(digits.as_bytes());
    let (whole, fraction) = all.split_at(all.len() - scale);
    out.extend_from_slice(whole);
    out.push(b'.');
    out.extend_from_slice(fraction);
}

/// Fixed-width text that sorts as the numbers do: `1` and the digits, or for a negative number `0` and the nines'
/// complement of the digits.
pub(super) fn sortable(n: i128, width: u8) -> String {
    let width = usize::from(width);
    if n >= 0 {
        format!("1{n:0width$}")
    } else {
        let digits = format!("{:0width$}", n.unsigned_abs());
        let complement = digits.bytes().map(|b| char::from(b'0' + (b'9' - b)));
        std::iter::once('0').chain(complement).collect()
    }
}

/// Back from [`sortable`].
pub(super) fn from_sortable(text: &str) -> Option<i128> {
    let digits = text.get(1..)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match text.as_bytes().first()? {
        b'1' => digits.parse().ok(),
        b'0' => {
            let back: String = digits.bytes().map(|b| char::from(b'0' + (b'9' - b))).collect();
            back.parse::<i128>().ok().map(|n| -n)
        }
        _ => None,
    }
}

/// Text that sorts as the number does whatever its scale: for decimals that are compared across columns or that
/// a table keeps as text. Exact for 20 digits before the point and 18 after.
pub(crate) fn decimal_key(text: &str, scale: u8) -> Option<String> {
    let canonical = decimal(text, scale)?;
    let (sign, digits) = match canonical.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", &*canonical),
    };
    let (whole, _) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() > KEY_WHOLE {
        return None;
    }
    scaled(
        &format!("{sign}{digits}"),
        u8::try_from(KEY_FRACTION).unwrap_or(18),
    )
    .map(|n| sortable(n, 38))
}

/// Any way to write a decimal number (`1e3`, `.5`, `+7`) as its canonical digits at a scale, rounded half away
/// from zero. `None` when it is no number or has more than 38 digits.
pub(crate) fn decimal(text: &str, scale: u8) -> Option<String> {
    let text = text.trim();
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let negative = mantissa.starts_with('-');
    let mantissa = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 400 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // The number is `digits` × 10^(exponent - fraction digits); the result is it × 10^scale, rounded.
    let shift = exponent
        .checked_sub(i32::try_from(fraction.len()).ok()?)?
        .checked_add(i32::from(scale))?;
    let digits = digits.trim_start_matches('0');
    let n: i128 = if digits.is_empty() {
        0
    } else if shift >= 0 {
        let zeros = usize::try_from(shift).ok().filter(|z| *z <= 38)?;
        format!("{digits}{}", "0".repeat(zeros)).parse().ok()?
    } else {
        let cut = usize::try_from(-shift).ok()?;
        if cut > digits.len() {
            0
        } else {
            let (kept, rest) = digits.split_at(digits.len() - cut);
            let kept: i128 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
            kept.checked_add(i128::from(rest.as_bytes().first().is_some_and(|b| *b >= b'5')))?
        }
    };
    let mut out = Vec::new();
    write_scaled(if negative { -n } else { n }, scale, &mut out);
    String::from_utf8(out).ok()
}
