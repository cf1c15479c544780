//! Durations, sizes, percentages, counts.

use super::{Flaw, Grammar, Words};
use crate::fault::codes;
use std::time::Duration;

pub(crate) static DURATION: Grammar<Duration> = Grammar {
    words: &DURATION_WORDS,
    parse: duration,
};
pub(crate) static DURATION_WORDS: Words =
    Words::new("a duration", codes::DURATION, &["250ms", "10s", "5m", "1h", "7d"])
        .pattern("^([0-9]+(ms|s|m|h|d)|.*\\$\\{.*)$");

/// As [`DURATION`], and `0s`.
pub(crate) static DURATION_OR_ZERO: Grammar<Duration> = Grammar {
    words: &DURATION_WORDS,
    parse: duration_or_zero,
};

pub(crate) static SIZE: Grammar<u64> = Grammar {
    words: &SIZE_WORDS,
    parse: size,
};
pub(crate) static SIZE_WORDS: Words = Words::new("a size", codes::SIZE, &["64KiB", "1MiB", "512B"])
    .pattern("^([0-9]+(B|KiB|MiB|GiB)|.*\\$\\{.*)$");

pub(crate) static PERCENT: Grammar<u8> = Grammar {
    words: &PERCENT_WORDS,
    parse: percent,
};
pub(crate) static PERCENT_WORDS: Words =
    Words::new("a percentage", codes::PERCENT, &["20%"]).pattern("^(0*(100|[0-9]{1,2})%|.*\\$\\{.*)$");

/// The longest duration a file may name.
const LONGEST: Duration = Duration::from_hours(8784);

pub(crate) fn duration(text: &str) -> Result<Duration, Flaw> {
    let duration = duration_or_zero(text)?;
    if duration.is_zero() {
        return Err(Flaw::whole(text, "the duration must be longer than nothing"));
    }
    Ok(duration)
}

pub(crate) fn duration_or_zero(text: &str) -> Result<Duration, Flaw> {
    let Parts {
        number,
        unit,
        unit_at,
    } = number_and_unit(text, "a duration", "10s")?;
    let Some(millis) = millis(unit) else {
        if unit.is_empty() {
            return Err(Flaw::whole(text, "the duration has no unit")
                .help(format!("write `{number}s` for seconds; units are ms, s, m, h, d")));
        }
        let meant = match unit {
            "min" | "mins" | "minute" | "minutes" => "m",
            "sec" | "secs" | "second" | "seconds" | "S" => "s",
            "hour" | "hours" | "hr" | "H" => "h",
            "day" | "days" | "D" => "d",
            "millisecond" | "milliseconds" | "millis" => "ms",
            _ => "",
        };
        let flaw = Flaw::at(unit_at..text.len(), format!("`{unit}` is not a unit of time"));
        return Err(flaw.help(if meant.is_empty() {
            "units are ms, s, m, h, d".to_owned()
        } else {
            format!("write `{number}{meant}`")
        }));
    };
    no_blank(text, number, unit, unit_at)?;
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .filter(|d| *d <= LONGEST)
        .ok_or_else(|| Flaw::whole(text, "the duration is longer than 366d"))
}

fn millis(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    })
}

pub(crate) fn size(text: &str) -> Result<u64, Flaw> {
    let Parts {
        number,
        unit,
        unit_at,
    } = number_and_unit(text, "a size", "64KiB")?;
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "" => {
            return Err(Flaw::whole(text, "the size has no unit")
                .help(format!("write `{number}B` for bytes; units are B, KiB, MiB, GiB")));
        }
        other => {
            let meant = match other.to_ascii_lowercase().as_str() {
                "k" | "kb" | "kib" => "KiB",
                "m" | "mb" | "mib" => "MiB",
                "g" | "gb" | "gib" => "GiB",
                _ => "",
            };
            let flaw = Flaw::at(unit_at..text.len(), format!("`{other}` is not a unit of size"));
            return Err(flaw.help(if meant.is_empty() {
                "units are B, KiB, MiB, GiB".to_owned()
            } else {
                format!("write `{number}{meant}`")
            }));
        }
    };
    no_blank(text, number, unit, unit_at)?;
    number
        .checked_mul(1_u64 << shift)
        .filter(|bytes| *bytes <= 1 << 40)
        .ok_or_else(|| Flaw::whole(text, "the size is larger than 1024GiB"))
}

pub(crate) fn percent(text: &str) -> Result<u8, Flaw> {
    let Some(digits) = text.strip_suffix('%') else {
        return Err(Flaw::whole(text, "a percentage ends in `%`").help("such as `20%`"));
    };
    digits
        .parse()
        .ok()
        .filter(|n| *n <= 100 && is_digits(digits))
        .ok_or_else(|| Flaw::whole(text, "a percentage is a whole number from 0% to 100%"))
}

/// A whole number written in digits only.
pub(crate) fn digits(text: &str) -> Option<u64> {
    if is_digits(text) { text.parse().ok() } else { None }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// What a duration or a size consists of.
struct Parts<'t> {
    number: u64,
    unit: &'t str,
    unit_at: usize,
}

fn number_and_unit<'t>(text: &'t str, what: &str, such_as: &str) -> Result<Parts<'t>, Flaw> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(end);
    let unit = rest.trim_start();
    let unit_at = text.len() - unit.len();
    if end == 0 {
        return Err(Flaw::whole(text, format!("`{text}` is not {what}")).help(format!("such as `{such_as}`")));
    }
    if rest.starts_with('.') {
        return Err(
            Flaw::whole(text, format!("{what} is a whole number and a unit")).help("use a smaller unit")
        );
    }
    let number = number
        .parse()
        .map_err(|_| Flaw::whole(text, "the number is too large"))?;
    Ok(Parts {
        number,
        unit,
        unit_at,
    })
}

/// Asked after the unit is known to be one: the edit must be one that is taken.
fn no_blank(text: &str, number: u64, unit: &str, unit_at: usize) -> Result<(), Flaw> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    if unit_at == end {
        return Ok(());
    }
    Err(
        Flaw::at(end..unit_at, "a blank stands between the number and its unit")
            .help(format!("write `{number}{unit}`")),
    )
}
