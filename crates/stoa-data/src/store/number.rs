//! Numbers of any length: what PostgreSQL's `numeric` is to sums and averages.

use std::cmp::Ordering;

/// Digits of one number at most: far more than a column holds, and a bound for what JSON may hold.
const DIGITS_MAX: usize = 1_000;
/// Digits that PostgreSQL's division shows at least.
const DIVISION_DIGITS: i64 = 16;
/// Decimal digits of one of its groups.
const GROUP_DIGITS: i64 = 4;

/// A decimal number: its digits, the lowest first, of which `scale` stand behind the point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Number {
    negative: bool,
    digits: Vec<u8>,
    scale: usize,
}

impl Number {
    /// Reads `-12.50`, `1e3` or `+.5`. `None` when it is no number, or one with too many digits.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let negative = mantissa.starts_with('-');
        let plain = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
        let all = whole.len() + fraction.len();
        let is_digits = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        let far = i64::try_from(DIGITS_MAX).ok()?;
        if all == 0 || all > DIGITS_MAX || !is_digits || exponent.abs() > far {
            return None;
        }
        let mut digits: Vec<u8> = fraction
            .bytes()
            .rev()
            .chain(whole.bytes().rev())
            .map(|b| b - b'0')
            .collect();
        let scale = i64::try_from(fraction.len()).ok()? - exponent;
        if scale < 0 {
            let zeros = vec![0; usize::try_from(-scale).ok()?];
            digits.splice(0..0, zeros);
        }
        let mut number = Self {
            negative,
            digits,
            scale: usize::try_from(scale.max(0)).ok()?,
        };
        number.trim();
        Some(number)
    }

    pub(crate) fn from_int(n: i64) -> Self {
        Self::read(itoa::Buffer::new().format(n)).unwrap_or_default()
    }

    /// No zeros in front; zero is not negative.
    fn trim(&mut self) {
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        self.negative &= !self.digits.is_empty();
    }

    /// The same number with more digits behind the point.
    fn widened(&self, scale: usize) -> Self {
        let mut wide = self.clone();
        if scale > wide.scale {
            wide.digits.splice(0..0, vec![0; scale - wide.scale]);
            wide.scale = scale;
        }
        wide
    }

    /// Which of two is the larger.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        let (mut a, mut b) = (self.widened(scale), other.widened(scale));
        a.trim();
        b.trim();
        match (a.negative, b.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => magnitudes(&a.digits, &b.digits),
            (true, true) => magnitudes(&b.digits, &a.digits),
        }
    }

    /// Adds another.
    pub(crate) fn add(&mut self, other: &Self) {
        let scale = self.scale.max(other.scale);
        let (mut a, mut b) = (self.widened(scale), other.widened(scale));
        if a.negative == b.negative {
            a.digits = sum(&a.digits, &b.digits);
        } else {
            a.trim();
            b.trim();
            if magnitudes(&a.digits, &b.digits) == Ordering::Less {
                std::mem::swap(&mut a, &mut b);
            }
            a.digits = difference(&a.digits, &b.digits);
        }
        a.trim();
        *self = a;
    }

    /// Divides by a count, to as many digits as PostgreSQL's `numeric_div` shows, rounded half away from zero.
    pub(crate) fn divided(&self, count: u64) -> Self {
        let divisor = Self::read(itoa::Buffer::new().format(count)).unwrap_or_default();
        let ((weight, first), (by_weight, by_first)) = (self.lead(), divisor.lead());
        let quotient = weight - by_weight - i64::from(first <= by_first);
        let own = i64::try_from(self.scale).unwrap_or(i64::MAX);
        let scale = (DIVISION_DIGITS - quotient * GROUP_DIGITS)
            .max(own)
            .clamp(0, 1_000);
        let scale = usize::try_from(scale).unwrap_or_default();
        // One digit more, to round by.
        let wide = self.widened(scale + 1);
        let mut rest: u128 = 0;
        let mut digits = Vec::with_capacity(wide.digits.len());
        for digit in wide.digits.iter().rev() {
            rest = rest * 10 + u128::from(*digit);
            digits.push(u8::try_from(rest / u128::from(count.max(1))).unwrap_or(9));
            rest %= u128::from(count.max(1));
        }
        let last = digits.pop().unwrap_or_default();
        digits.reverse();
        if last >= 5 {
            digits = sum(&digits, &[1]);
        }
        let mut result = Self {
            negative: self.negative,
            digits,
            scale,
        };
        result.trim();
        result
    }

    /// Of its first group of four digits that is not zero: the power of 10,000 and the value.
    fn lead(&self) -> (i64, u16) {
        let Some(top) = self.digits.iter().rposition(|d| *d != 0) else {
            return (0, 0);
        };
        let place =
            |at: usize| i64::try_from(at).unwrap_or_default() - i64::try_from(self.scale).unwrap_or_default();
        let weight = place(top).div_euclid(GROUP_DIGITS);
        let value = (0..4_i64).rev().fold(0_u16, |value, digit| {
            let at = weight * GROUP_DIGITS + digit + i64::try_from(self.scale).unwrap_or_default();
            let digit = usize::try_from(at).ok().and_then(|at| self.digits.get(at));
            value * 10 + u16::from(digit.copied().unwrap_or_default())
        });
        (weight, value)
    }

    /// Without digits behind the point, rounded half away from zero.
    pub(crate) fn rounded(&self) -> Self {
        let half = self.scale.checked_sub(1).and_then(|at| self.digits.get(at));
        let up = half.is_some_and(|d| *d >= 5);
        let whole: Vec<u8> = self.digits.iter().skip(self.scale).copied().collect();
        let mut result = Self {
            negative: self.negative,
            digits: if up { sum(&whole, &[1]) } else { whole },
            scale: 0,
        };
        result.trim();
        result
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::with_capacity(self.digits.len() + 3);
        if self.negative {
            text.push('-');
        }
        let all = self.digits.len().max(self.scale + 1);
        for place in (0..all).rev() {
            if place + 1 == self.scale {
                text.push('.');
            }
            let digit = self.digits.get(place).copied().unwrap_or_default();
            text.push(char::from(b'0' + digit.min(9)));
        }
        f.write_str(&text)
    }
}

/// Compares digits without zeros in front, lowest first.
fn magnitudes(a: &[u8], b: &[u8]) -> Ordering {
    a.len()
        .cmp(&b.len())
        .then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut digits = Vec::with_capacity(a.len().max(b.len()) + 1);
    for place in 0..a.len().max(b.len()) {
        let digit = |of: &[u8]| of.get(place).copied().unwrap_or_default();
        let total = digit(a) + digit(b) + carry;
        digits.push(total % 10);
        carry = total / 10;
    }
    if carry > 0 {
        digits.push(carry);
    }
    digits
}

/// `a - b`, where `a` is not the smaller.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut digits = Vec::with_capacity(a.len());
    for (place, digit) in a.iter().enumerate() {
        let less = b.get(place).copied().unwrap_or_default() + borrow;
        borrow = u8::from(*digit < less);
        digits.push(digit + 10 * borrow - less);
    }
    digits
}

#[cfg(test)]
mod tests;
