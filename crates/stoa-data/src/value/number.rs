//! Numbers without a detour over floats.

use std::cmp::Ordering;

/// The largest exponent that is followed; beyond, a number is too large or zero for every type there is.
const EXPONENT_MAX: i64 = 400;

/// A number as digits: `digits` without leading zeros, times ten to the `exponent`.
struct Parts {
    negative: bool,
    digits: String,
    exponent: i64,
}

/// Takes a JSON number apart; `None` when the text is not one.
fn parts(text: &str) -> Option<Parts> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?,
        ),
        None => (rest, 0_i64),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = String::with_capacity(mantissa.len());
    digits.push_str(whole);
    digits.push_str(fraction);
    if whole.is_empty() || mantissa.ends_with('.') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if exponent.abs() > EXPONENT_MAX {
        return None;
    }
    let mut exponent = exponent - i64::try_from(fraction.len()).ok()?;
    while digits.len() > 1 && digits.ends_with('0') {
        digits.pop();
        exponent += 1;
    }
    let digits = digits.trim_start_matches('0').to_owned();
    Some(Parts {
        negative: negative && !digits.is_empty(),
        exponent: if digits.is_empty() { 0 } else { exponent },
        digits,
    })
}

/// A 64-bit integer; `1.0` and `1e3` are integers too.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    if let Ok(n) = text.parse()
        && !text.starts_with('+')
    {
        return Ok(n);
    }
    let Some(parts) = parts(text) else {
        return Err(String::from("must be an integer"));
    };
    let zeros = usize::try_from(parts.exponent)
        .map_err(|_| String::from("must be an integer, without digits after the point"))?;
    let sign = if parts.negative { "-" } else { "" };
    if parts.digits.is_empty() {
        return Ok(0);
    }
    format!("{sign}{}{}", parts.digits, "0".repeat(zeros.min(20)))
        .parse()
        .map_err(|_| format!("must be an integer from {} to {}", i64::MIN, i64::MAX))
}

/// A finite float.
pub(super) fn float(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|_| parts(text).is_some());
    let number = number.ok_or_else(|| String::from("must be a number"))?;
    if number.is_finite() {
        Ok(number)
    } else {
        Err(String::from("is too large for a float"))
    }
}

/// A decimal in its canonical form.
pub(super) fn decimal(text: &str, precision: u8, scale: u8) -> Result<String, String> {
    let Some(parts) = parts(text) else {
        return Err(String::from("must be a decimal number"));
    };
    let scale = usize::from(scale);
    let whole_max = usize::from(precision) - scale.min(usize::from(precision));
    // The value is 0.DIGITS times ten to the `point`.
    let length = i64::try_from(parts.digits.len()).unwrap_or(i64::MAX);
    let point = length + parts.exponent;
    let after = usize::try_from(-parts.exponent).unwrap_or(0);
    if after > scale {
        return Err(match scale {
            0 => String::from("must not have digits after the point"),
            1 => String::from("must not have more than 1 digit after the point"),
            _ => format!("must not have more than {scale} digits after the point"),
        });
    }
    if usize::try_from(point).unwrap_or(0) > whole_max {
        return Err(format!(
            "must not have more than {whole_max} digits before the point"
        ));
    }
    let trailing = usize::try_from(parts.exponent).unwrap_or(0);
    let all = format!(
        "{}{}{}",
        parts.digits,
        "0".repeat(trailing),
        "0".repeat(scale - after)
    );
    let all = format!("{all:0>width$}", width = scale + 1);
    let (whole, fraction) = all.split_at(all.len() - scale);
    let sign = if parts.negative { "-" } else { "" };
    let dot = if scale == 0 { "" } else { "." };
    Ok(format!("{sign}{whole}{dot}{fraction}"))
}

/// Compares two canonical decimals of one scale.
pub(super) fn compare_decimals(a: &str, b: &str) -> Ordering {
    let split = |text: &str| match text.strip_prefix('-') {
        Some(rest) => (true, rest.to_owned()),
        None => (false, text.to_owned()),
    };
    let ((a_negative, a), (b_negative, b)) = (split(a), split(b));
    let size = a.len().cmp(&b.len()).then_with(|| a.cmp(&b));
    match (a_negative, b_negative) {
        (false, false) => size,
        (true, true) => size.reverse(),
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
    }
}
