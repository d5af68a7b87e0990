//! Who syncs, and who waits for which sync: writers that wait at the same time share one.
//!
//! A writer that finds nobody leading leads. Before it syncs it lets its group form: it waits until as
//! many have joined as the last sync left behind, those that it served and those that were already
//! waiting for the next, but no longer than half of what that sync took. So threads that write in a
//! circle meet in every sync instead of in every other one, and a writer alone never waits.
//!
//! Who comes while a sync is under way waits for that one, if it covers what was written, or else for
//! the next one. When a sync ends one of those who wait for the next is woken, to lead it unless
//! somebody was faster, and then, at once, all that were served.
//!
//! Not here: what a sync does (`sync`).
//!
//! Invariants:
//!   G1. There is one leader at most. Every leader's term ends, also in a panic.
//!   G2. Whoever waits does so for a sync that somebody leads, or was woken after it had ended.
//!   G3. `durable_seqno` grows only at the end of a sync that succeeded and covered it (Y1).
//!
//! Locks: `state`, never held during a sync.

#[cfg(all(test, loom))]
mod models;

use crate::error::Result;
use crate::storage::Moment;
use crate::sync::{AtomicU64, Condvar, Ordering, WaitMutex, yield_now};
use std::sync::PoisonError;
use std::time::Duration;

/// The longest that a sync counts as, for how long a group may take to form.
const PACE_MAX: Duration = Duration::from_millis(1);

/// Who waits for the disk.
pub(super) struct GroupSync {
    durable_seqno: AtomicU64,
    /// How many have joined the group that is forming; for its leader to look at without the lock.
    joined_count: AtomicU64,
    state: WaitMutex<GroupState>,
    /// Where those wait who wait for a sync, by the parity of its number.
    ended: [Condvar; 2],
}

struct GroupState {
    /// How many syncs have ended: the number of the one that is led, or led next.
    number: u64,
    is_led: bool,
    /// What the sync that is under way covers; `None` while its group forms.
    covered_seqno: Option<u64>,
    /// How many wait for a sync, by the parity of its number.
    waiting_counts: [u64; 2],
    /// How many are likely to write again soon.
    expected_count: u64,
    /// What the last sync took.
    pace: Duration,
}

impl GroupSync {
    pub(super) fn new(durable_seqno: u64) -> Self {
        let state = GroupState {
            number: 0,
            is_led: false,
            covered_seqno: None,
            waiting_counts: [0; 2],
            expected_count: 1,
            pace: Duration::ZERO,
        };
        Self {
            durable_seqno: AtomicU64::new(durable_seqno),
            joined_count: AtomicU64::new(0),
            state: WaitMutex::new(state),
            ended: [Condvar::new(), Condvar::new()],
        }
    }

    /// Returns once everything up to `seqno` is durable. `sync` makes durable what was written before it was
    /// called; it says to which seqno that is, by [`Term::covers`], before it waits for the disk. `check`
    /// says why no sync can succeed any more.
    pub(super) fn through(
        &self,
        seqno: u64,
        check: impl Fn() -> Result<()>,
        sync: impl FnOnce(&Term<'_>) -> Result<()>,
    ) -> Result<()> {
        let term = match self.follow(seqno, &check)? {
            Some(term) => term,
            None => return Ok(()),
        };
        term.form();
        let begun = Moment::now();
        sync(&term)?;
        check()?;
        term.succeed(begun.elapsed());
        Ok(())
    }

    fn is_durable(&self, seqno: u64) -> bool {
        self.durable_seqno.load(Ordering::Acquire) >= seqno
    }

    /// Waits for others' syncs, until `seqno` is durable, or there is nobody to wait for: then a new term begins.
    fn follow(&self, seqno: u64, check: impl Fn() -> Result<()>) -> Result<Option<Term<'_>>> {
        let mut state = self.lock();
        loop {
            if self.is_durable(seqno) {
                return Ok(None);
            }
            if let Err(error) = check() {
                // Who was woken to lead and does not has to let the others know.
                drop(state);
                self.ended.iter().for_each(Condvar::notify_all);
                return Err(error);
            }
            if !state.is_led {
                break;
            }
            let is_too_late = state.covered_seqno.is_some_and(|covered| covered < seqno);
            let number = state.number + u64::from(is_too_late);
            let parity = (number & 1) as usize;
            state.waiting_counts[parity] += 1;
            if !is_too_late {
                self.joined_count.store(state.waiting_counts[parity], Ordering::Relaxed);
            }
            state = self.ended[parity].wait(state).unwrap_or_else(PoisonError::into_inner);
            if state.number <= number {
                // Not served: woken to lead. The end of a sync clears the count of those who are served.
                state.waiting_counts[parity] -= 1;
            }
        }
        let parity = (state.number & 1) as usize;
        state.is_led = true;
        state.covered_seqno = None;
        self.joined_count.store(state.waiting_counts[parity], Ordering::Relaxed);
        Ok(Some(Term { group: self, expected_count: state.expected_count, form_max: state.pace / 2 }))
    }

    fn lock(&self) -> crate::sync::WaitGuard<'_, GroupState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A leader's term: from the moment in which it leads to the end of its sync.
pub(super) struct Term<'a> {
    group: &'a GroupSync,
    expected_count: u64,
    form_max: Duration,
}

impl Term<'_> {
    /// Lets the group form.
    fn form(&self) {
        let begun = Moment::now();
        while self.group.joined_count.load(Ordering::Relaxed) + 1 < self.expected_count
            && begun.elapsed() < self.form_max
        {
            yield_now();
        }
    }

    /// The sync covers everything up to `seqno`: who comes from now on and has written later is not of this group.
    pub(super) fn covers(&self, seqno: u64) {
        self.group.lock().covered_seqno = Some(seqno);
    }

    /// The sync, which took `pace`, has made durable what it covers.
    fn succeed(&self, pace: Duration) {
        let mut state = self.group.lock();
        // In models no group is waited for.
        state.pace = if cfg!(loom) { Duration::ZERO } else { pace.min(PACE_MAX) };
        if let Some(covered) = state.covered_seqno {
            self.group.durable_seqno.fetch_max(covered, Ordering::AcqRel);
        }
    }
}

impl Drop for Term<'_> {
    fn drop(&mut self) {
        let mut state = self.group.lock();
        let served = (state.number & 1) as usize;
        let next = served ^ 1;
        state.expected_count = 1 + state.waiting_counts[served] + state.waiting_counts[next];
        state.waiting_counts[served] = 0;
        state.number += 1;
        state.is_led = false;
        let has_next = state.waiting_counts[next] > 0;
        drop(state);
        if has_next {
            // Those who were served are many, and the disk waits for the one who leads next.
            self.group.ended[next].notify_one();
        }
        self.group.ended[served].notify_all();
    }
}
