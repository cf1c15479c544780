//! What every request writes, in its ids, forwarded fields and log line: `write!` costs several times as much.

use std::{fmt::Write, net::IpAddr};

pub(crate) const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes bytes as hexadecimal digits in lower case.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    for part in bytes.chunks(16) {
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(part) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        text.push_str(std::str::from_utf8(&digits[..part.len() * 2]).unwrap_or_default());
    }
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
    for (position, byte) in address.octets().into_iter().enumerate() {
        if position > 0 {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(byte));
    }
}

#[cfg(test)]
mod tests;
