//! What every request writes, in its ids, forwarded fields and log line: `write!` costs several times as much.

use std::{fmt::Write, net::IpAddr};

pub(crate) const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Bytes as hexadecimal digits in lower case, in place.
pub fn put_hex(digits: &mut [u8], bytes: &[u8]) {
    for (byte, two) in bytes.iter().zip(digits.as_chunks_mut().0) {
        *two = PAIRS[usize::from(*byte)];
    }
}

/// Writes bytes as hexadecimal digits in lower case.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    for some in bytes.chunks(32) {
        let mut digits = [0; 64];
        put_hex(&mut digits, some);
        // One look at all of it: a `String` takes nothing unseen.
        text.push_str(std::str::from_utf8(&digits[..some.len() * 2]).unwrap_or_default());
    }
}

/// The two digits of each byte.
static PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Writes a number in hexadecimal digits, without zeros in front.
pub fn push_hex_number(text: &mut String, number: u64) {
    let start = text.len();
    push_hex(text, &number.to_be_bytes());
    let zeros = (number.leading_zeros() as usize / 4).min(15);
    text.drain(start..start + zeros);
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
