//! One server and the connections to it that wait for the next call.
//!
//! Any number of threads may ask. Each call has a connection of its own while it lasts; at most [`WIRES_MAX`] are open,
//! and whoever comes when all are in use waits for one, as long as for an answer.
//!
//! Not here: what to do when an answer does not come (`routes`).
//!
//! Locks: `wires`, for a few instructions and a system call that does not wait; never while anything is sent, received
//! or connected.

use super::address::Place;
use super::deadline::Deadline;
use super::wire::{Lost, Settings, Wire};
use crate::error::{Error, Result};
use parking_lot::{Condvar, Mutex};
use redis::Value;
use std::io;
use std::sync::Arc;

/// Most connections to one server.
const WIRES_MAX: usize = 16;

/// Why there is no answer.
pub(super) enum Failure {
    /// Nothing was asked.
    Unsent(Error),
    /// The server may have heard it.
    Unanswered {
        /// What happened.
        error: Error,
        /// The connection ended, rather than that time was up.
        is_cut: bool,
    },
}

pub(super) struct Node {
    place: Place,
    settings: Arc<Settings>,
    wires: Mutex<Wires>,
    freed: Condvar,
}

struct Wires {
    idle: Vec<Wire>,
    /// Open ones, idle or not.
    count: usize,
}

impl Node {
    pub(super) fn new(place: Place, settings: &Arc<Settings>) -> Self {
        let wires = Mutex::new(Wires { idle: Vec::new(), count: 0 });
        Self { place, settings: Arc::clone(settings), wires, freed: Condvar::new() }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Sends a request and reads so many replies.
    pub(super) fn exchange(&self, request: &[u8], reply_count: usize) -> std::result::Result<Vec<Value>, Failure> {
        let mut lease = self.take().map_err(Failure::Unsent)?;
        let mut replies = Vec::with_capacity(reply_count);
        lease.send(request)?;
        for _ in 0..reply_count {
            replies.push(lease.receive()?);
        }
        lease.give_back();
        Ok(replies)
    }

    /// A connection for as long as the lease lasts.
    pub(super) fn take(&self) -> Result<Lease<'_>> {
        let deadline = Deadline::after(self.settings.timeout);
        let mut wires = self.wires.lock();
        loop {
            match wires.idle.pop() {
                // The server may have ended it since, by being started again for one.
                Some(wire) if wire.is_quiet() => return Ok(Lease { wire, counted: Counted { node: self } }),
                Some(_) => wires.count -= 1,
                None if wires.count < WIRES_MAX => break,
                None => {
                    if self.freed.wait_for(&mut wires, deadline.left()).timed_out() {
                        let action = format!("talk to {}: all {WIRES_MAX} connections are in use", self.place);
                        return Err(Error::from_io(&action, &io::Error::from_raw_os_error(libc::ETIMEDOUT)));
                    }
                }
            }
        }
        wires.count += 1;
        drop(wires);
        let counted = Counted { node: self };
        Ok(Lease { wire: Wire::connect(&self.place, &self.settings)?, counted })
    }

    fn failure(&self, action: &str, lost: &Lost) -> Failure {
        let error = Error::from_io(&format!("{action} {}", self.place), &lost.source);
        if lost.is_sent { Failure::Unanswered { error, is_cut: !lost.is_timeout() } } else { Failure::Unsent(error) }
    }

    /// Ends the connections that nobody uses.
    pub(super) fn let_go(&self) {
        let mut wires = self.wires.lock();
        wires.count -= wires.idle.len();
        wires.idle.clear();
    }
}

/// A connection in use. Dropped, it is ended; only one whose replies were all read is given back.
pub(super) struct Lease<'a> {
    wire: Wire,
    counted: Counted<'a>,
}

impl Lease<'_> {
    pub(super) fn send(&mut self, bytes: &[u8]) -> std::result::Result<(), Failure> {
        self.wire.send(bytes).map_err(|lost| self.counted.node.failure("send to", &lost))
    }

    pub(super) fn receive(&mut self) -> std::result::Result<Value, Failure> {
        self.wire.receive().map_err(|lost| self.counted.node.failure("hear from", &lost))
    }

    pub(super) fn give_back(self) {
        let Self { wire, counted } = self;
        counted.node.wires.lock().idle.push(wire);
        counted.node.freed.notify_one();
        // An idle connection is an open one: it stays counted.
        std::mem::forget(counted);
    }
}

/// One of the connections that may be open; dropped, it is not any more.
struct Counted<'a> {
    node: &'a Node,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.node.wires.lock().count -= 1;
        self.node.freed.notify_one();
    }
}
