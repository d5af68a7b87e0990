//! Waiting for sockets without going to sleep, for as long as that is likely to pay.
//!
//! A client that waits for each reply sends its next request some microseconds after the last one was answered. A
//! thread that sleeps meanwhile is woken by the kernel, which takes as long again, on an idle processor several times
//! that. So while the waits of late were short the loop asks again and again, for `spin_max` at most, before it sleeps.
//!
//! What it costs is bounded: after eight waits that were longer it sleeps at once, until there was a short one
//! again. Between two looks the processor is offered to whoever else wants it, so on a busy machine it is not spun on.
//!
//! With one processor nobody can answer while the loop spins, so it does not.

use mio::{Events, Poll};
use std::io;
use std::time::{Duration, Instant};

/// What is remembered of the last waits: a bit each.
type Waits = u8;

/// Whether to spin.
pub struct Spin {
    max: Duration,
    /// Set for those that were short.
    short: Waits,
}

impl Spin {
    pub fn new(max: Duration) -> Self {
        let has_others = std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
        Self { max: if has_others { max } else { Duration::ZERO }, short: 0 }
    }

    /// Waits until there are events, for `timeout` at most.
    pub fn poll(&mut self, poll: &mut Poll, events: &mut Events, timeout: Duration) -> io::Result<()> {
        if timeout.is_zero() || self.max.is_zero() {
            return poll.poll(events, Some(timeout));
        }
        // What is there already is no wait.
        poll.poll(events, Some(Duration::ZERO))?;
        if !events.is_empty() {
            return Ok(());
        }
        let begin = Instant::now();
        if self.short != 0 {
            while begin.elapsed() < self.max.min(timeout) {
                std::thread::yield_now();
                poll.poll(events, Some(Duration::ZERO))?;
                if !events.is_empty() {
                    self.note(true);
                    return Ok(());
                }
            }
        }
        poll.poll(events, Some(timeout))?;
        self.note(!events.is_empty() && begin.elapsed() < self.max);
        Ok(())
    }

    fn note(&mut self, was_short: bool) {
        self.short = self.short << 1 | u8::from(was_short);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_as_many_long_waits_as_are_remembered_it_sleeps_at_once() {
        let mut spin = Spin { max: Duration::from_micros(50), short: 0 };
        spin.note(true);
        for _ in 0..Waits::BITS - 1 {
            spin.note(false);
            assert_ne!(spin.short, 0);
        }
        spin.note(false);
        assert_eq!(spin.short, 0);
    }
}
