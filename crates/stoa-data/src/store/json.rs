//! Values as JSON text: one way to write each, whatever store they come from.

use crate::value::{Value, write_date, write_time};

/// A value as JSON.
pub(crate) fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Default => out.extend_from_slice(b"null"),
        Value::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
        Value::Int(n) => write_int(*n, out),
        Value::Float(n) => write_float(*n, out),
        Value::Decimal(text) | Value::Json(text) => out.extend_from_slice(text.as_bytes()),
        Value::Text(text) => write_text(text, out),
        Value::Uuid(id) => write_text(
            id.hyphenated().encode_lower(&mut ::uuid::Uuid::encode_buffer()),
            out,
        ),
        Value::Time(micros) => quoted(out, |out| write_time(*micros, out)),
        Value::Date(days) => quoted(out, |out| write_date(*days, out)),
        Value::List(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_value(item, out);
            }
            out.push(b']');
        }
    }
}

/// A float as JSON; infinities, which JSON has not, as null.
pub(crate) fn write_float(n: f64, out: &mut Vec<u8>) {
    if n.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(n).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// A whole number as JSON.
pub(crate) fn write_int(n: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// A JSON string.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Nearly always nothing is special, which is seen in few steps by a loop without a way out.
    let some = |found: u8, b: u8| found | u8::from(b < 0x20) | u8::from(b == b'"') | u8::from(b == b'\\');
    if text.bytes().fold(0, some) != 0 {
        serde_json::to_writer(out, text).expect("text becomes JSON, and memory takes it");
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

/// Plain text that is written in place, between quotes.
pub(crate) fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}
