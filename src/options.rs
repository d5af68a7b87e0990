//! How a store is opened: names and values, parsed and checked in one place.
//!
//! The C ABI hands names and values as text, so an option never needs a new ABI; Rust code sets the
//! same fields. Unknown names and malformed values are errors that name what was wrong.

use crate::error::{Error, Result, Status};
use std::fmt;
use std::time::Duration;

/// When an acknowledged write is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// Acknowledged is durable; concurrent writers share one sync.
    Always,
    /// Synced in the background this often: power loss takes at most this much, plus one sync.
    Interval(Duration),
    /// The kernel decides. A killed process still loses nothing.
    None,
}

/// Which reads check a record's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyReads {
    /// Every read that copies (the default).
    Copies,
    /// Views too.
    All,
    /// None: only recovery, compaction and verify check.
    None,
}

/// Who decides when space is reclaimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionMode {
    /// The store does, in the background.
    Auto,
    /// Only an explicit call.
    Manual,
}

/// Smallest value of `segment_size`, bytes.
pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Largest value of `segment_size`, bytes.
pub const SEGMENT_BYTES_MAX: u64 = 4 << 30;
/// Longest sync interval, milliseconds (one day).
pub const SYNC_INTERVAL_MS_MAX: u64 = 86_400_000;

/// Longest timeout, milliseconds (one day).
pub const TIMEOUT_MS_MAX: u64 = 86_400_000;

/// Text that nothing shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Options of [`crate::Store::open`].
#[derive(Clone, Debug)]
pub struct Options {
    /// When an acknowledged write is durable.
    pub sync: SyncMode,
    /// With [`SyncMode::None`]: a write counts only once [`Store::sync`](crate::Store::sync) has returned, and until then a
    /// kill may take it too. For whoever answers after that sync only, as a server does that has one for many
    /// clients: it then costs what it costs in [`SyncMode::Always`].
    pub acknowledged_by_sync: bool,
    /// Take no lock, create no file, refuse writes.
    pub read_only: bool,
    /// Create the store if it is not there.
    pub create: bool,
    /// Size that segments grow to, bytes.
    pub segment_bytes: u64,
    /// Most bytes the store may take on disk; 0 is no limit.
    pub bytes_max: u64,
    /// Which reads check the record's checksum.
    pub verify_reads: VerifyReads,
    /// Who decides when space is reclaimed.
    pub compaction: CompactionMode,
    /// How long a call waits for a server's next bytes. Without effect on a directory, as the rest below.
    pub timeout: Duration,
    /// How long a call waits for a connection.
    pub connect_timeout: Duration,
    /// Who asks a server; empty for its default user.
    pub user: String,
    /// The user's password; empty for none.
    pub password: Secret,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync: SyncMode::Always,
            acknowledged_by_sync: false,
            read_only: false,
            create: true,
            segment_bytes: 64 << 20,
            bytes_max: 0,
            verify_reads: VerifyReads::Copies,
            compaction: CompactionMode::Auto,
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            user: String::new(),
            password: Secret::default(),
        }
    }
}

impl Options {
    /// Sets one option from its text form. On an error nothing is changed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "sync" => self.sync = parse_sync(value)?,
            "read_only" => self.read_only = parse_bool(name, value)?,
            "create" => self.create = parse_bool(name, value)?,
            "segment_size" => {
                let bytes = parse_bytes(name, value)?;
                if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) {
                    return Err(malformed(name, value, "64KiB to 4GiB"));
                }
                self.segment_bytes = bytes;
            }
            "max_size" => self.bytes_max = parse_bytes(name, value)?,
            "verify_reads" => {
                self.verify_reads = match value {
                    "copies" => VerifyReads::Copies,
                    "all" => VerifyReads::All,
                    "none" => VerifyReads::None,
                    _ => return Err(malformed(name, value, "copies, all or none")),
                }
            }
            "compaction" => {
                self.compaction = match value {
                    "auto" => CompactionMode::Auto,
                    "manual" => CompactionMode::Manual,
                    _ => return Err(malformed(name, value, "auto or manual")),
                }
            }
            "timeout_ms" => self.timeout = parse_timeout(name, value)?,
            "connect_timeout_ms" => self.connect_timeout = parse_timeout(name, value)?,
            "user" => self.user = value.to_owned(),
            "password" => self.password = Secret(value.to_owned()),
            _ => {
                return Err(Error::new(
                    Status::InvalidArgument,
                    format!(
                        "unknown option \"{}\"; known are sync, read_only, create, segment_size, max_size, verify_reads, compaction, timeout_ms, connect_timeout_ms, user, password",
                        shown(name)
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// At most 40 characters of what the caller wrote, so that a message always fits.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

fn malformed(name: &str, value: &str, wanted: &str) -> Error {
    Error::new(Status::InvalidArgument, format!("option {name}: \"{}\" is not {wanted}", shown(value)))
}

fn parse_bool(name: &str, value: &str) -> Result<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(malformed(name, value, "true or false")),
    }
}

fn parse_sync(value: &str) -> Result<SyncMode> {
    const WANTED: &str = "always, none or interval:<milliseconds, 1 to 86400000>";
    match value {
        "always" => return Ok(SyncMode::Always),
        "none" => return Ok(SyncMode::None),
        _ => {}
    }
    let interval_ms = value
        .strip_prefix("interval:")
        .and_then(parse_digits)
        .filter(|ms| (1..=SYNC_INTERVAL_MS_MAX).contains(ms))
        .ok_or_else(|| malformed("sync", value, WANTED))?;
    Ok(SyncMode::Interval(Duration::from_millis(interval_ms)))
}

fn parse_bytes(name: &str, value: &str) -> Result<u64> {
    const UNITS: [(&str, u32); 3] = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let (digits, shift) = UNITS
        .iter()
        .find_map(|(unit, shift)| value.strip_suffix(unit).map(|digits| (digits, *shift)))
        .unwrap_or((value, 0));
    parse_digits(digits)
        .and_then(|count| count.checked_mul(1 << shift))
        .ok_or_else(|| malformed(name, value, "a number of bytes, as 1048576, 1024KiB, 1MiB or 1GiB"))
}

fn parse_timeout(name: &str, value: &str) -> Result<Duration> {
    parse_digits(value)
        .filter(|ms| (1..=TIMEOUT_MS_MAX).contains(ms))
        .map(Duration::from_millis)
        .ok_or_else(|| malformed(name, value, "milliseconds, 1 to 86400000"))
}

/// Digits only: `str::parse` alone would take a sign.
fn parse_digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<Options> {
        let mut options = Options::default();
        options.set(name, value)?;
        Ok(options)
    }

    #[test]
    fn every_documented_form_is_taken() {
        assert_eq!(set("sync", "always").unwrap().sync, SyncMode::Always);
        assert_eq!(set("sync", "none").unwrap().sync, SyncMode::None);
        assert_eq!(set("sync", "interval:250").unwrap().sync, SyncMode::Interval(Duration::from_millis(250)));
        assert_eq!(set("segment_size", "64KiB").unwrap().segment_bytes, 65_536);
        assert_eq!(set("segment_size", "4GiB").unwrap().segment_bytes, 4 << 30);
        assert_eq!(set("max_size", "0").unwrap().bytes_max, 0);
        assert_eq!(set("max_size", "12345").unwrap().bytes_max, 12_345);
        assert_eq!(set("verify_reads", "all").unwrap().verify_reads, VerifyReads::All);
        assert_eq!(set("compaction", "manual").unwrap().compaction, CompactionMode::Manual);
        assert!(set("read_only", "true").unwrap().read_only);
        assert!(!set("create", "false").unwrap().create);
        assert_eq!(set("timeout_ms", "1").unwrap().timeout, Duration::from_millis(1));
        assert_eq!(set("connect_timeout_ms", "86400000").unwrap().connect_timeout, Duration::from_secs(86_400));
        assert_eq!(set("user", "ann").unwrap().user, "ann");
        let options = set("password", "sesame").unwrap();
        assert_eq!(options.password.0, "sesame");
        assert!(!format!("{options:?}").contains("sesame"));
    }

    #[test]
    fn malformed_values_are_refused_and_named() {
        for (name, value) in [
            ("sync", ""),
            ("sync", "Always"),
            ("sync", "interval:0"),
            ("sync", "interval:"),
            ("sync", "interval:-1"),
            ("sync", "interval:+1"),
            ("sync", "interval: 5"),
            ("sync", "interval:86400001"),
            ("read_only", "1"),
            ("create", "TRUE"),
            ("segment_size", "65535"),
            ("segment_size", "5GiB"),
            ("segment_size", "64 KiB"),
            ("segment_size", "64kib"),
            ("segment_size", "KiB"),
            ("max_size", "-1"),
            ("max_size", "18446744073709551616"),
            ("max_size", "99999999999GiB"),
            ("verify_reads", "yes"),
            ("compaction", "off"),
            ("timeout_ms", "0"),
            ("timeout_ms", "86400001"),
            ("connect_timeout_ms", "-1"),
            ("connect_timeout_ms", "1s"),
            ("colour", "blue"),
        ] {
            let error = set(name, value).expect_err(&format!("{name}={value}"));
            assert_eq!(error.status(), Status::InvalidArgument, "{name}={value}");
            assert!(error.message().contains(name), "{}", error.message());
        }
    }
}
