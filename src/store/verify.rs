//! Looking for damage: every record of every segment against its checksum.

use super::inner::Inner;
use crate::error::{Error, Result, Status};
use crate::log::Segment;
use crate::log::scanner::Scanner;
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
            verify_segment(&segment, &mut report);
        }
        Ok(report)
    }
}

fn verify_segment(segment: &Segment, report: &mut VerifyReport) {
    if let Err(error) = segment.check_head() {
        report.add(error);
    }
    let area = match segment.record_area(segment.end()) {
        Ok(area) => area,
        Err(error) => return report.add(error),
    };
    let mut scanner = Scanner::new(area, segment.seed());
    loop {
        while scanner.next_record().is_some() {}
        let Some(what) = scanner.stop() else { return };
        report.add(Error::corrupt(&segment.name(), scanner.offset(), what));
        if scanner.skip_damage().is_none() {
            return;
        }
    }
}
