//! What the operator is told while the server runs: lines on standard error, each with its time and level.
//!
//! Levels: `error` it cannot go on; `warn` somebody should look; `info` starts, stops and what they were made with;
//! `debug` every connection. What clients can cause as often as they like is told a few times a second at most, and
//! how often it was not told.
//!
//! Not here: what commands did (SLOWLOG, MONITOR), figures (INFO, `metrics`).

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Warnings in [`BURST_TIME`], of which clients can cause many.
const BURST_COUNT: u32 = 10;
const BURST_TIME: Duration = Duration::from_secs(1);

/// How much is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

/// Where it is told.
pub struct Log {
    level: Level,
    burst_began_at: Instant,
    burst_count: u32,
    /// Not told since the last line that was.
    left_out: u64,
}

impl Log {
    pub fn new(level: Level) -> Self {
        Self { level, burst_began_at: Instant::now(), burst_count: 0, left_out: 0 }
    }

    pub fn error(&self, text: impl Display) {
        self.line(Level::Error, "error", text);
    }

    pub fn info(&self, text: impl Display) {
        self.line(Level::Info, "info", text);
    }

    pub fn debug(&self, text: impl Display) {
        self.line(Level::Debug, "debug", text);
    }

    /// Tells of something that clients can cause.
    pub fn warn(&mut self, text: impl Display) {
        if self.burst_began_at.elapsed() > BURST_TIME {
            if self.left_out > 0 {
                self.line(Level::Warn, "warn", format_args!("{} warnings more were left out", self.left_out));
            }
            (self.burst_began_at, self.burst_count, self.left_out) = (Instant::now(), 0, 0);
        }
        if self.burst_count >= BURST_COUNT {
            self.left_out += 1;
            return;
        }
        self.burst_count += 1;
        self.line(Level::Warn, "warn", text);
    }

    fn line(&self, level: Level, name: &str, text: impl Display) {
        if level > self.level {
            return;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (text, when) = (text.to_string(), moment(since));
        // One write a line, so that lines of processes that share the stream do not mix; if nobody takes it, so be it.
        let line = format!("{when} {name} {}\n", text.escape_debug_lines());
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// Text that may hold what a client said is kept to its line.
trait EscapeLines {
    fn escape_debug_lines(&self) -> String;
}

impl EscapeLines for str {
    fn escape_debug_lines(&self) -> String {
        self.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
    }
}

/// `2026-01-31T12:00:00.000Z`, from the time since 1970. Days to a date as in Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>): years that begin in March, in eras of 400.
fn moment(since: Duration) -> String {
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_as_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_735_689_600, "2025-01-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(moment(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!("a\nb\u{1b}[31m".escape_debug_lines(), "a\\nb\\u{1b}[31m");
    }

    #[test]
    fn warnings_that_come_in_masses_are_counted_instead_of_told() {
        let mut log = Log::new(Level::Error);
        (0..100).for_each(|i| log.warn(i));
        assert_eq!((log.burst_count, log.left_out), (BURST_COUNT, u64::from(100 - BURST_COUNT)));
    }
}
