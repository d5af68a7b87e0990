//! The value of one key: first by a glance, which is enough for most keys, then at length.
//!
//! What most keys come to is a durable record outside of any batch, without an expiry, whose checksum holds. That
//! is told by a few comparisons in one go, while [`Inner::live`] goes through everything that a key may be. The
//! difference is two hundred instructions a read, and with so many less the processor begins the next read while
//! this one still waits for memory.
//!
//! Not here: what is neither (`inner`). A glance only says yes; whatever it cannot say yes to is looked at again, by
//! the code that decides.
//!
//! Locks: none.

use super::inner::Inner;
use crate::epoch::EpochGuard;
use crate::error::Result;
use crate::format::record::{self, Plain};
use crate::index::Location;
use crate::options::SyncMode;
use crate::rules::{self, Rule};

/// What a first look at a key came to.
enum Glance<'g> {
    /// The index knows nothing that could be it.
    Absent,
    /// Its value.
    Value(&'g [u8]),
    /// There is something that has to be looked at more closely.
    Unclear,
}

impl Inner {
    /// The value of `key`, checked if copying reads are.
    #[inline]
    pub(super) fn value<'g>(&self, guard: &'g EpochGuard<'_>, key: &[u8], hash: u64) -> Result<Option<&'g [u8]>> {
        let mut glance = Glance::Absent;
        self.index.find(guard, hash, |location| {
            glance = self.glance(guard, key, location);
            true
        });
        match glance {
            Glance::Absent => Ok(None),
            Glance::Value(value) => Ok(Some(value)),
            Glance::Unclear => self.value_at_length(guard, key, hash),
        }
    }

    /// The value of a key of which the index was asked a moment ago, under this guard, for its first candidate: what
    /// was right then is an answer now. `None` if a glance is not enough.
    #[inline]
    pub(super) fn value_at<'g>(
        &self,
        candidate: Option<Location>,
        guard: &'g EpochGuard<'_>,
        key: &[u8],
    ) -> Option<Option<&'g [u8]>> {
        match candidate.map_or(Glance::Absent, |location| self.glance(guard, key, location)) {
            Glance::Absent => Some(None),
            Glance::Value(value) => Some(Some(value)),
            Glance::Unclear => None,
        }
    }

    /// Judges the first candidate that the index has.
    #[inline(always)]
    fn glance<'g>(&self, guard: &'g EpochGuard<'_>, key: &[u8], location: Location) -> Glance<'g> {
        let Some((segment, offset, bytes)) = self.log.segments().bytes_at(guard, location) else {
            return Glance::Unclear;
        };
        let Some(plain) = Plain::of_key(bytes, key) else { return Glance::Unclear };
        let is_durable_enough = self.options.sync != SyncMode::Always || offset < segment.durable();
        let is_intact = !self.verifies_copies()
            || !rules::holds(Rule::ReadsChecked)
            || record::is_intact(plain.bytes, segment.seed(), offset);
        if is_durable_enough && is_intact { Glance::Value(plain.value) } else { Glance::Unclear }
    }

    #[cold]
    fn value_at_length<'g>(&self, guard: &'g EpochGuard<'_>, key: &[u8], hash: u64) -> Result<Option<&'g [u8]>> {
        let version = self.live(guard, key, hash, self.verifies_copies())?;
        Ok(version.map(|version| version.located.record.value()))
    }
}
