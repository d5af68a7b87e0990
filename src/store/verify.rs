//! Looking for damage: every record of every segment against its checksum.

use super::inner::Inner;
use crate::error::{Error, Result, Status};
use crate::format::record::Kind;
use crate::format::segment::HEAD_LEN;
use crate::log::Segment;
use crate::log::scanner::Scanner;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// What [`crate::Store::verify`] found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Places where records fail their check; a run of damaged bytes counts once.
    pub bad_records: u64,
    /// The first of them, with file and offset.
    pub first: Option<Error>,
}

impl VerifyReport {
    fn add(&mut self, error: Error) {
        self.bad_records += 1;
        self.first.get_or_insert(error);
    }
}

impl Inner {
    pub(crate) fn verify(&self) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        for segment in self.log.segments().all() {
            if self.is_closing.load(Ordering::Relaxed) {
                return Err(Error::new(Status::Closed, "the store was closed during a long call"));
            }
            verify_segment(&segment, &mut report)?;
        }
        Ok(report)
    }

    /// Whether the books say of every segment what the index shows, while nobody writes; what differs if not. A write
    /// that will never settle is in the index and not in the books, which have what was before it.
    pub(crate) fn check_books(&self) -> std::result::Result<(), String> {
        let guard = self.epochs.enter();
        let mut shown: BTreeMap<u64, (u64, u64, BTreeMap<u64, u64>)> = BTreeMap::new();
        let (mut locations, mut from) = (Vec::new(), Some(0));
        while let Some(hash) = from {
            from = self.index.collect(hash, &mut locations);
        }
        let settled = |shown| {
            let mut location = shown;
            while let Some(previous) = self.unsettled.shown_instead(location, false) {
                location = previous?;
            }
            Some((location, location == shown))
        };
        for (location, is_shown) in locations.into_iter().filter_map(settled) {
            let located = self.log.record(&guard, location).ok_or_else(|| format!("{location:?} is no record"))?;
            let head = located.record.head;
            if head.kind == Kind::Set {
                let sums = shown.entry(located.segment.id()).or_default();
                sums.0 += 1;
                sums.1 += head.record_len();
                if head.expires_at_ms != 0 {
                    *sums.2.entry(head.expires_at_ms.div_ceil(1_000)).or_insert(0) += 1;
                }
                if is_shown && head.expires_at_ms != 0 && head.expires_at_ms < located.segment.expiry_next_ms() {
                    return Err(format!("a record of {} expires before its bound", located.segment.name()));
                }
            }
        }
        for segment in self.log.segments().all() {
            let (count, bytes, expiring) = shown.remove(&segment.id()).unwrap_or_default();
            let (shown, booked) = ((count, bytes, expiring.into_iter().collect()), segment.book_sums());
            if shown != booked {
                return Err(format!("{}: the index shows {shown:?}, the books say {booked:?}", segment.name()));
            }
        }
        if shown.is_empty() { Ok(()) } else { Err(format!("the index shows segments that are gone: {shown:?}")) }
    }
}

/// An error if the device cannot read what is to be checked: no damage, and no reason to think otherwise.
fn verify_segment(segment: &Segment, report: &mut VerifyReport) -> Result<()> {
    segment.fetch(0..HEAD_LEN as u64)?;
    if let Err(error) = segment.check_head() {
        report.add(error);
    }
    let mut scanner = match Scanner::new(segment, segment.end()) {
        Ok(scanner) => scanner,
        Err(error) => {
            report.add(error);
            return Ok(());
        }
    };
    loop {
        while scanner.next_record().is_some() {}
        let Some(what) = scanner.stop()? else { return Ok(()) };
        report.add(Error::corrupt(&segment.name(), scanner.offset(), what));
        if scanner.skip_damage().is_none() {
            return scanner.stop().map(drop);
        }
    }
}
