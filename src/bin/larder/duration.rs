//! How long a key lives, as people write it (`90s`, `1h 30m`, `250ms`), and back.

use std::time::Duration;

/// A time to live in milliseconds; at least one.
pub fn parse_ttl_ms(text: &str) -> Result<u64, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error} (as 250ms, 90s, 1h 30m or 7d)"))?;
    match u64::try_from(duration.as_millis()) {
        Ok(0) => Err("less than a millisecond is no time to live".into()),
        Ok(ttl_ms) => Ok(ttl_ms),
        Err(_) => Err("that is longer than milliseconds can be counted".into()),
    }
}

pub fn shown_ms(ttl_ms: u64) -> String {
    humantime::format_duration(Duration::from_millis(ttl_ms)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_needs_a_unit_and_at_least_a_millisecond() {
        for (text, ttl_ms) in [("250ms", 250), ("90s", 90_000), ("1h 30m", 5_400_000), ("7d", 604_800_000)] {
            assert_eq!(parse_ttl_ms(text), Ok(ttl_ms), "{text}");
        }
        for text in ["90", "", "0s", "1ns", "-5s", "five", "99999999999999999999y"] {
            assert!(parse_ttl_ms(text).is_err(), "{text}");
        }
        assert_eq!(shown_ms(5_400_250), "1h 30m 250ms");
    }
}
