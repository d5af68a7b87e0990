//! GETs that a client has sent one behind the other, answered together.
//!
//! A pipeline is mostly made of one command, and of reads mostly of GET. Looked up together, their cache misses
//! overlap (`Store::get_many_with`), and what is the same for all of them is asked once: who the client is, whether
//! somebody watches, what time it is. One GET alone is answered this way too.
//!
//! The replies are those of the general way (`execute`), and so is the order; a run holds nothing but GETs, so nothing
//! can have changed between the first and the last.
//!
//! Not here: finding them in what was read (`request::gets`); clients for whom a GET is more than its reply (a
//! transaction, a monitor, events): those go the general way.

use super::Server;
use super::execute::Failure;
use super::request::Args;
use super::request::gets::Gets;
use super::session::{Closing, Mute};

/// With a lower threshold each command has to be timed by itself.
const SLOW_US_LEAST: i64 = 1_000;

impl Server {
    /// Whether a GET of this client is its reply and nothing else.
    #[inline]
    pub fn may_get_together(&self, client: usize) -> bool {
        let session = &self.sessions[client];
        session.is_authenticated
            && session.transaction.is_none()
            && session.mute == Mute::No
            && session.closing == Closing::No
            && (session.reply.is_third || session.subscription_count() == 0)
            && self.monitors.is_empty()
            && self.settings.events == 0
            && !(0..SLOW_US_LEAST).contains(&self.slow.threshold_us)
    }

    /// Answers the GETs until the client is owed more than `reply_bytes_max`; how many bytes of requests that were.
    pub fn get_together(&mut self, client: usize, gets: &Gets<'_>, reply_bytes_max: usize) -> usize {
        let session = &mut self.sessions[client];
        let reply = &mut session.reply;
        let errors = &mut self.stats.errors;
        let (mut answered, mut hits, mut failed) = (0, 0, 0);
        let outcome = self.store.get_many_with(gets.keys(), |_, found| {
            match found {
                Ok(Some(value)) => {
                    hits += 1;
                    reply.bulk(value);
                }
                Ok(None) => reply.null(),
                Err(error) => {
                    failed += 1;
                    let failure = Failure::Store(error);
                    errors.note(&failure.text());
                    reply.error(&failure.text());
                }
            }
            answered += 1;
            reply.bytes.len() <= reply_bytes_max
        });
        if let Err(error) = outcome {
            // Said of all of them: the store is closed.
            let text = Failure::Store(error);
            while answered < gets.keys().len() {
                errors.note(&text.text());
                reply.error(&text.text());
                (answered, failed) = (answered + 1, failed + 1);
            }
        }
        session.last_command = "get";
        self.stats.hits += hits;
        self.stats.misses += answered as u64 - hits - failed;
        let took = self.lap();
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if self.slow.is_slow(took_us) {
            // Nobody knows which of them it was: it is noted once, with its first key.
            let text = [b"GET", gets.keys()[0]].concat();
            let ranges = [(0, 3), (3, text.len() as u32)];
            self.note_slow(client, "get", took_us, Args::new(&text, &ranges));
        }
        self.latency.observe("command", took);
        self.stats.ran("get", answered as u64, took, failed);
        gets.ends()[answered - 1]
    }
}
