//! Sending a request until it is answered or cannot be: redirections, lost connections, waiting.
//!
//! Invariants:
//!   Q1. A request that may change something is sent once: after that it is sent again only if the server has
//!       said that it did nothing. Whoever loses the answer is told that the outcome is not known.
//!   Q2. A request that only reads is sent again once, if its connection ended. Not if time was up: the call would take
//!       twice as long.
//!   Q3. What is waited for (a slot that moves, a server that loads) is waited for as long as for an answer.

use super::Inner;
use super::deadline::Deadline;
use super::node::{Failure, Node};
use super::replies::{Detour, detour, only, refusal};
use super::routes::{Routes, slot_of};
use crate::error::{Error, Result, Status};
use redis::Value;
use std::sync::Arc;
use std::time::Duration;

/// Pause before a request that has to wait is sent again.
const PAUSE: Duration = Duration::from_millis(20);

/// Most redirections without a pause: nodes that point at each other end there.
const DETOURS_MAX: u32 = 16;

const ASKING: &[u8] = b"*1\r\n$6\r\nASKING\r\n";

/// Commands as they are sent, one after the other. Several about one key are a transaction.
#[derive(Default)]
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    pub(super) count: usize,
}

impl Request {
    /// Of one command.
    pub(super) fn of(command: &redis::Cmd) -> Self {
        let mut request = Self::default();
        request.add(command);
        request
    }

    pub(super) fn add(&mut self, command: &redis::Cmd) {
        command.write_packed_command(&mut self.bytes);
        self.count += 1;
    }
}

/// Whether a request may be sent again when its answer is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Reads,
    Changes,
}

impl Inner {
    /// The answer to one command about `key`.
    pub(super) fn ask(&self, kind: Kind, key: &[u8], command: &redis::Cmd) -> Result<Value> {
        let (node, replies) = self.ask_all(kind, key, &Request::of(command))?;
        only(node.place(), replies)
    }

    /// The answers to commands that are all about `key`, and who gave them.
    pub(super) fn ask_all(&self, kind: Kind, key: &[u8], request: &Request) -> Result<(Arc<Node>, Vec<Value>)> {
        self.follow(kind, slot_of(key), |node, is_asking| exchange(node, is_asking, request))
    }

    /// The answers of one server, which is not to be another.
    pub(super) fn ask_node(&self, kind: Kind, node: &Node, request: &Request) -> Result<Vec<Value>> {
        match (exchange(node, false, request), kind) {
            (Err(Failure::Unanswered { is_cut: true, .. }), Kind::Reads) => exchange(node, false, request),
            (outcome, _) => outcome,
        }
        .map_err(|failure| told(kind, failure))
    }

    /// Sends to whoever has the slot. `send` is called anew for each server, and says with `true` that the server does not
    /// own the slot yet.
    pub(super) fn follow(
        &self,
        kind: Kind,
        slot: u16,
        mut send: impl FnMut(&Node, bool) -> std::result::Result<Vec<Value>, Failure>,
    ) -> Result<(Arc<Node>, Vec<Value>)> {
        let deadline = Deadline::after(self.settings.timeout);
        let mut node = self.routes.node_of(slot)?;
        let (mut is_asking, mut detour_count, mut is_repeated) = (false, 0, false);
        loop {
            let error = match send(&node, is_asking) {
                Ok(replies) => match (detour(node.place(), &replies), &self.routes) {
                    (Some(Detour::Moved { slot, place }), Routes::Cluster(cluster)) if detour_count < DETOURS_MAX => {
                        node = cluster.node_at(place);
                        cluster.moved(slot, &node);
                        (is_asking, detour_count) = (false, detour_count + 1);
                        continue;
                    }
                    (Some(Detour::Ask { place }), Routes::Cluster(cluster)) if detour_count < DETOURS_MAX => {
                        node = cluster.node_at(place);
                        (is_asking, detour_count) = (true, detour_count + 1);
                        continue;
                    }
                    (None, _) | (Some(Detour::Moved { .. } | Detour::Ask { .. }), Routes::One(_)) => {
                        return Ok((node, replies));
                    }
                    (Some(_), _) => refused(&node, &replies),
                },
                Err(Failure::Unanswered { is_cut: true, .. }) if kind == Kind::Reads && !is_repeated => {
                    is_repeated = true;
                    continue;
                }
                // Another node may own the slot by now; a single server is there or it is not.
                Err(Failure::Unsent(error)) if matches!(self.routes, Routes::Cluster(_)) => error,
                Err(failure) => return Err(told(kind, failure)),
            };
            if deadline.left() <= PAUSE {
                return Err(error);
            }
            std::thread::sleep(PAUSE);
            if let Routes::Cluster(cluster) = &self.routes {
                // Whoever is asked next says what is wrong, if this fails.
                let _ = cluster.refresh();
            }
            node = self.routes.node_of(slot)?;
            (is_asking, detour_count) = (false, 0);
        }
    }
}

fn exchange(node: &Node, is_asking: bool, request: &Request) -> std::result::Result<Vec<Value>, Failure> {
    if !is_asking {
        return node.exchange(&request.bytes, request.count);
    }
    // The permission holds for the next command, and if that is MULTI, to the end of the transaction.
    let mut replies = node.exchange(&[ASKING, &request.bytes].concat(), request.count + 1)?;
    replies.remove(0);
    Ok(replies)
}

/// What a failure is to the caller.
fn told(kind: Kind, failure: Failure) -> Error {
    match failure {
        Failure::Unsent(error) => error,
        Failure::Unanswered { error, .. } if kind == Kind::Reads => error,
        Failure::Unanswered { error, .. } => error.with_words("; whether the write was carried out is not known"),
    }
}

fn refused(node: &Node, replies: &[Value]) -> Error {
    let refused = replies.iter().find_map(|reply| match reply {
        Value::ServerError(refused) if matches!(refused.code(), "MOVED" | "ASK") => {
            Some(Error::new(Status::Io, format!("{} and other nodes redirect without an end", node.place())))
        }
        Value::ServerError(refused) => Some(refusal(node.place(), refused)),
        _ => None,
    });
    refused.unwrap_or_else(|| Error::from(Status::Io))
}
