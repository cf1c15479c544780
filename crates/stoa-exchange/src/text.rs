//! What every request writes, in its ids, forwarded fields and log line: `write!` costs several times as much.

use std::{fmt::Write, net::IpAddr};

pub(crate) const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes bytes as hexadecimal digits in lower case, four at a time.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    let (fours, rest) = bytes.as_chunks::<4>();
    for four in fours {
        let digits = eight_digits(u32::from_be_bytes(*four));
        text.push_str(std::str::from_utf8(&digits).unwrap_or_default());
    }
    for byte in rest {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// The digits of a number, all at once: a digit in each byte, without a branch or a table.
fn eight_digits(number: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut nibbles = u64::from(number);
    nibbles = (nibbles | nibbles << 16) & 0x0000_ffff_0000_ffff;
    nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff;
    nibbles = (nibbles | nibbles << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in each byte that is a letter.
    let letters = (nibbles + 6 * ONES) >> 4 & ONES;
    (nibbles + u64::from(b'0') * ONES + u64::from(b'a' - b'0' - 10) * letters).to_be_bytes()
}

/// Writes a number in decimal digits.
pub fn push_number(text: &mut String, number: u64) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// Writes an address as its `Display` does.
pub fn push_address(text: &mut String, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        let _ = write!(text, "{address}");
        return;
    };
    let (mut digits, mut length) = ([0; 15], 0);
    let mut push = |digit| {
        digits[length] = digit;
        length += 1;
    };
    for (position, byte) in address.octets().into_iter().enumerate() {
        if position > 0 {
            push(b'.');
        }
        if byte >= 100 {
            push(b'0' + byte / 100);
        }
        if byte >= 10 {
            push(b'0' + byte / 10 % 10);
        }
        push(b'0' + byte % 10);
    }
    text.push_str(std::str::from_utf8(&digits[..length]).unwrap_or_default());
}

#[cfg(test)]
mod tests;
