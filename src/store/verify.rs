//! Looking for damage: every record of every segment against its checksum.

use super::inner::Inner;
use crate::error::{Error, Result, Status};
use crate::format::segment::HEAD_LEN;
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
            verify_segment(&segment, &mut report)?;
        }
        Ok(report)
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
