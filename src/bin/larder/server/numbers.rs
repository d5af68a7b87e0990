//! Numbers as Redis reads and writes them: 64-bit integers without any freedom of spelling, and the 80-bit floating
//! point numbers that INCRBYFLOAT calculates with.
//!
//! The second kind is calculated exactly and then rounded to 64 bits of mantissa, half to even, which is what the
//! processor's extended precision does (IEEE 754, x87). So `0.1 + 0.2` is `0.3` here as there.

use num_bigint::{BigInt, BigUint, Sign};
use std::cmp::Ordering;

// Lengths are spelled as numbers are.
pub use super::request::integer::parse_i64;

/// A cursor of SCAN: what `strtoul` makes of the whole text, where nothing is 0 and a minus counts from the end.
pub fn parse_cursor(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    if text.is_empty() {
        return Some(0);
    }
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number: u64 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some(if is_negative { number.wrapping_neg() } else { number })
}

/// As `%.17g`.
pub fn show_17_digits(number: f64) -> String {
    if !number.is_finite() {
        let sign = if number.is_sign_negative() { "-" } else { "" };
        return format!("{sign}{}", if number.is_nan() { "nan" } else { "inf" });
    }
    let scientific = format!("{number:.16e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..17).contains(&exponent) {
        let decimals = usize::try_from(16 - exponent).unwrap_or(0);
        return trimmed(&format!("{number:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.unsigned_abs())
}

/// Texts that are this long are no number.
const EXTENDED_TEXT_BYTES_MAX: usize = 5 << 10;
/// Bits of the mantissa.
const PRECISION: u64 = 64;
/// One more than the greatest exponent of a number, as a power of two of its highest bit.
const EXPONENT_LIMIT: i64 = 16_384;
/// Numbers whose highest bit is below this are nothing.
const EXPONENT_MIN: i64 = -16_445;

/// A floating point number of extended precision: `mantissa × 2^exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extended {
    Finite { mantissa: BigInt, exponent: i64 },
    Infinite { is_negative: bool },
}

impl Extended {
    /// Reads a number as `strtold` does, all of the text and no space before it; `None` if it is no number, not a
    /// number by name, or out of range.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text =
            std::str::from_utf8(text).ok().filter(|text| !text.is_empty() && text.len() < EXTENDED_TEXT_BYTES_MAX)?;
        let (is_negative, digits) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        if digits.eq_ignore_ascii_case("inf") || digits.eq_ignore_ascii_case("infinity") {
            return Some(Self::Infinite { is_negative });
        }
        let (numerator, denominator) = match digits.get(..2) {
            Some(prefix) if prefix.eq_ignore_ascii_case("0x") => parse_scaled(&digits[2..], 16, 'p')?,
            _ => parse_scaled(digits, 10, 'e')?,
        };
        let sign = if is_negative { Sign::Minus } else { Sign::Plus };
        match Self::rounded(sign, &numerator, &denominator) {
            Self::Infinite { .. } => None,
            Self::Finite { mantissa, .. } if mantissa.sign() == Sign::NoSign && numerator.bits() > 0 => None,
            finite => Some(finite),
        }
    }

    /// The sum; `None` if it is not a finite number.
    pub fn add(&self, other: &Self) -> Option<Self> {
        let (Self::Finite { mantissa: a, exponent: i }, Self::Finite { mantissa: b, exponent: j }) = (self, other)
        else {
            return None;
        };
        let exponent = *i.min(j);
        let sum = (a << (i - exponent) as u64) + (b << (j - exponent) as u64);
        let (numerator, denominator) = scaled_by_two(sum.magnitude().clone(), exponent);
        match Self::rounded(sum.sign(), &numerator, &denominator) {
            Self::Infinite { .. } => None,
            finite => Some(finite),
        }
    }

    /// As `%.17Lf` without the zeros at its end.
    pub fn to_text(&self) -> String {
        let Self::Finite { mantissa, exponent } = self else { return "inf".into() };
        let scaled = mantissa.magnitude() * BigUint::from(10_u32).pow(17);
        let (numerator, denominator) = scaled_by_two(scaled, *exponent);
        let digits = divide_to_even(&numerator, &denominator).to_string();
        let digits = format!("{digits:0>18}");
        let (whole, fraction) = digits.split_at(digits.len() - 17);
        let fraction = fraction.trim_end_matches('0');
        let minus = if mantissa.sign() == Sign::Minus && (whole != "0" || !fraction.is_empty()) { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{minus}{whole}{point}{fraction}")
    }

    fn rounded(sign: Sign, numerator: &BigUint, denominator: &BigUint) -> Self {
        if numerator.bits() == 0 {
            return Self::Finite { mantissa: BigInt::ZERO, exponent: 0 };
        }
        // The quotient is to have 64 bits, at most one more or less.
        let mut exponent = numerator.bits() as i64 - denominator.bits() as i64 - PRECISION as i64;
        loop {
            let (n, d) = match exponent.cmp(&0) {
                Ordering::Greater => (numerator.clone(), denominator << exponent as u64),
                _ => (numerator << exponent.unsigned_abs(), denominator.clone()),
            };
            let quotient = divide_to_even(&n, &d);
            // Rounding up may have carried into one bit more: a power of two, which loses nothing below.
            let is_exact_power = quotient.bits() == PRECISION + 1 && quotient.trailing_zeros() == Some(PRECISION);
            if quotient.bits() > PRECISION && !is_exact_power {
                exponent += 1;
                continue;
            }
            if quotient.bits() < PRECISION {
                exponent -= 1;
                continue;
            }
            let highest = exponent + quotient.bits() as i64;
            if highest > EXPONENT_LIMIT {
                return Self::Infinite { is_negative: sign == Sign::Minus };
            }
            if highest <= EXPONENT_MIN {
                return Self::Finite { mantissa: BigInt::ZERO, exponent: 0 };
            }
            return Self::Finite { mantissa: BigInt::from_biguint(sign, quotient), exponent };
        }
    }
}

/// `number × 2^exponent` as a fraction.
fn scaled_by_two(number: BigUint, exponent: i64) -> (BigUint, BigUint) {
    let one = BigUint::from(1_u32);
    if exponent >= 0 { (number << exponent as u64, one) } else { (number, one << exponent.unsigned_abs()) }
}

fn divide_to_even(numerator: &BigUint, denominator: &BigUint) -> BigUint {
    let quotient = numerator / denominator;
    let twice = (numerator - &quotient * denominator) << 1_u32;
    match twice.cmp(denominator) {
        Ordering::Greater => quotient + 1_u32,
        Ordering::Equal if quotient.bit(0) => quotient + 1_u32,
        _ => quotient,
    }
}

/// Digits with a point and an exponent, as a fraction.
fn parse_scaled(text: &str, radix: u32, exponent_mark: char) -> Option<(BigUint, BigUint)> {
    let at = text.find(|c: char| c.eq_ignore_ascii_case(&exponent_mark));
    let (digits, exponent) = match at {
        Some(at) => {
            let exponent = &text[at + 1..];
            let unsigned = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let magnitude = unsigned.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000);
            (&text[..at], if exponent.starts_with('-') { -magnitude } else { magnitude })
        }
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let number = BigUint::parse_bytes(all.as_bytes(), radix)?;
    if number.bits() == 0 {
        return Some((number, BigUint::from(1_u32)));
    }
    // Far outside of what can be held: no need to raise anything to such a power.
    if exponent.abs() > 40_000 {
        return None;
    }
    let base = BigUint::from(if radix == 16 { 2_u32 } else { 10 });
    let digit_shift = fraction.len() as i64 * if radix == 16 { 4 } else { 1 };
    let exponent = exponent - digit_shift;
    let power = base.pow(exponent.unsigned_abs() as u32);
    Some(if exponent >= 0 { (number * power, BigUint::from(1_u32)) } else { (number, power) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        Extended::parse(a.as_bytes())?.add(&Extended::parse(b.as_bytes())?).map(|sum| sum.to_text())
    }

    #[test]
    fn integers_have_one_spelling() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("-0", None),
            ("01", None),
            ("+1", None),
            ("", None),
            ("-", None),
            (" 1", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775809", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn doubles_are_shown_with_seventeen_digits() {
        for (number, wanted) in [
            (1.5, "1.5"),
            (0.1, "0.10000000000000001"),
            (3.0, "3"),
            (-0.0, "-0"),
            (1e20, "1e+20"),
            (1e-7, "9.9999999999999995e-08"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (12345678901234568.0, "12345678901234568"),
        ] {
            assert_eq!(show_17_digits(number), wanted);
        }
    }

    #[test]
    fn sums_are_those_of_extended_precision() {
        assert_eq!(sum("0.1", "0.2").as_deref(), Some("0.3"));
        assert_eq!(sum("10.50", "0.1").as_deref(), Some("10.6"));
        assert_eq!(sum("5.0e3", "200").as_deref(), Some("5200"));
        assert_eq!(sum("1", "-1").as_deref(), Some("0"));
        assert_eq!(sum("-0", "0").as_deref(), Some("0"));
        assert_eq!(sum("1e18", "0.5").as_deref(), Some("1000000000000000000.5"));
        assert_eq!(sum("0x10", "0").as_deref(), Some("16"));
        assert_eq!(sum("inf", "1"), None);
        assert_eq!(sum("1e4932", "1.1e4932"), None);
        for text in ["", " 1", "1 ", "abc", "1e", "1e99999", "nan", ".", "1e-9999", "--1"] {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text}");
        }
    }
}
