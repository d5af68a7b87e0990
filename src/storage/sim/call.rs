//! The calls that were made: their number, their names in order, and which of them are to fail.
//!
//! Not here: what a failing call leaves behind (`sim::traits`, `sim::inode`).

use std::collections::VecDeque;

/// Lines of the trace that are kept.
const TRACE_LINES_MAX: usize = 100_000;

/// What a call to the simulated system does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CallKind {
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncDirectory,
    Lock,
    ProbeLock,
    Len,
    ReadAt,
    WriteAt,
    Reserve,
    PunchHole,
    Sync,
    Map,
}

/// A call that is to fail.
#[derive(Clone)]
pub(super) struct Failure {
    /// `None`: any call counts.
    pub(super) kind: Option<CallKind>,
    /// 1 is the next one.
    pub(super) remaining: u64,
    pub(super) errno: i32,
}

/// What is to become of a call.
pub(super) enum Verdict {
    Go,
    Fail(i32),
    /// The power fails during this call.
    Crash,
}

/// The calls made to one simulated directory.
#[derive(Default)]
pub(super) struct Calls {
    count: u64,
    trace: VecDeque<String>,
    failures: Vec<Failure>,
    /// The count at which the power fails.
    crash_at: Option<u64>,
}

impl Calls {
    /// Counts a call and says what becomes of it.
    pub(super) fn begin(&mut self, kind: CallKind, line: String) -> Verdict {
        self.count += 1;
        if self.trace.len() == TRACE_LINES_MAX {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
        let mut verdict = Verdict::Go;
        self.failures.retain_mut(|failure| {
            if failure.kind.is_none_or(|wanted| wanted == kind) {
                failure.remaining = failure.remaining.saturating_sub(1);
                if failure.remaining == 0 {
                    verdict = Verdict::Fail(failure.errno);
                    return false;
                }
            }
            true
        });
        if self.crash_at.is_some_and(|at| self.count >= at) {
            verdict = Verdict::Crash;
        }
        verdict
    }

    /// Notes that the call that began last has failed.
    pub(super) fn note_failure(&mut self, errno: i32) {
        if let Some(line) = self.trace.back_mut() {
            line.push_str(&format!(" = errno {errno}"));
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        assert!(failure.remaining > 0, "calls are counted from 1");
        self.failures.push(failure);
    }

    pub(super) fn crash_at(&mut self, n: u64) {
        assert!(n > 0, "calls are counted from 1");
        self.crash_at = Some(self.count + n);
    }

    pub(super) fn clear_failures(&mut self) {
        self.failures.clear();
        self.crash_at = None;
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.trace.iter().cloned().collect()
    }

    pub(super) fn clear_trace(&mut self) {
        self.trace.clear();
    }
}
