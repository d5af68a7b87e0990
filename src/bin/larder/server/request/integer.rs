//! 64-bit integers as Redis reads them, without any freedom of spelling.

/// An integer in its one spelling: digits, no leading zeros, no plus, a minus before anything but 0.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    if text == b"0" {
        return Some(0);
    }
    let (is_negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if !digits.first().is_some_and(|b| (b'1'..=b'9').contains(b)) || digits.len() > 19 {
        return None;
    }
    let mut magnitude: u64 = 0;
    for b in digits {
        if !b.is_ascii_digit() {
            return None;
        }
        // 19 digits fit.
        magnitude = magnitude * 10 + u64::from(b - b'0');
    }
    if is_negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}
