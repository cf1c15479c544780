//! Numbers against whole numbers of 128 bits, and against what PostgreSQL prints.

use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Number {
    Number::read(text).expect("a number")
}

fn scaled(n: i64, scale: u32) -> String {
    let digits = format!("{:0width$}", n.unsigned_abs(), width = scale as usize + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    let sign = if n < 0 { "-" } else { "" };
    let dot = if scale == 0 { "" } else { "." };
    format!("{sign}{whole}{dot}{fraction}")
}

#[test]
fn averages_have_the_digits_of_numeric() {
    // `SELECT avg(x)` over these in PostgreSQL.
    for (sum, count, shown) in [
        ("8800", 8, "1100.0000000000000000"),
        ("300", 2, "150.0000000000000000"),
        ("1", 3, "0.33333333333333333333"),
        ("2", 3, "0.66666666666666666667"),
        ("-2", 3, "-0.66666666666666666667"),
        ("10", 3, "3.3333333333333333"),
        ("15.75", 3, "5.2500000000000000"),
        ("0", 5, "0.00000000000000000000"),
        ("0.001", 3, "0.00033333333333333333"),
        ("100000", 7, "14285.714285714286"),
        (
            "123456789012345678901234567890",
            7,
            "17636684144620811271604938270",
        ),
    ] {
        assert_eq!(read(sum).divided(count).to_string(), shown, "{sum} / {count}");
    }
}

#[test]
fn any_writing_of_a_number() {
    for (text, shown) in [
        ("1e3", "1000"),
        ("1.5e-3", "0.0015"),
        ("-.5", "-0.5"),
        ("+7", "7"),
        ("007.10", "7.10"),
        ("-0", "0"),
        (" 12 ", "12"),
    ] {
        assert_eq!(read(text).to_string(), shown, "{text}");
    }
    for text in ["", ".", "-", "1e", "e5", "1 2", "0x1", "NaN", "1e5000", "--1"] {
        assert_eq!(Number::read(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn sums_and_orders_are_exact(a: i64, b: i64, wide in 0_u32..6, narrow in 0_u32..6) {
        let (left, right) = (read(&scaled(a, wide)), read(&scaled(b, narrow)));
        let scale = wide.max(narrow);
        let whole = |n: i64, own: u32| i128::from(n) * 10_i128.pow(scale - own);
        let (x, y) = (whole(a, wide), whole(b, narrow));
        prop_assert_eq!(left.compare(&right), x.cmp(&y));
        let mut total = left.clone();
        total.add(&right);
        prop_assert_eq!(total.compare(&read(&format!("{}e-{scale}", x + y))), Ordering::Equal);
        let mut back = total.clone();
        back.add(&read(&scaled(b, narrow).strip_prefix('-').map_or_else(|| format!("-{}", scaled(b, narrow)), str::to_owned)));
        prop_assert_eq!(back.compare(&left), Ordering::Equal);
    }

    #[test]
    fn quotients_are_next_to_the_truth(n: i64, count in 1_u64..1_000_000, scale in 0_u32..4) {
        let quotient: f64 = read(&scaled(n, scale)).divided(count).to_string().parse().expect("a number");
        let truth = n as f64 / 10_f64.powi(scale.cast_signed()) / count as f64;
        prop_assert!((quotient - truth).abs() <= truth.abs() * 1e-12 + 1e-12, "{quotient} {truth}");
    }

    #[test]
    fn any_text_is_read_or_not(text in r"\PC{0,40}") {
        if let Some(number) = Number::read(&text) {
            prop_assert_eq!(read(&number.to_string()), number.clone());
            let _ = (number.rounded(), number.divided(7));
        }
    }
}
