//! Batches: a transaction of one server.
//!
//! MULTI and EXEC of a server are one step to everybody, and one entry of its log. The operations go out in parts whose
//! answers are read before the next part is sent, so neither side's buffers have to hold a whole batch. Until EXEC
//! is sent nothing is done: whatever fails before it has changed nothing, and may be sent again.
//!
//! Not here: operations of one server of a cluster on several slots. They could be sent, but while slots move nobody
//! carries them out as one.

use super::asking::{Kind, Request};
use super::node::{Failure, Node};
use super::replies::executed;
use super::routes::{Routes, slot_of};
use super::{Inner, set_command};
use crate::error::{Error, Result, Status};
use crate::store::{BatchOp, Condition};
use redis::{Value, cmd};

/// A part ends when it has so many commands or bytes.
const PART_COUNT: usize = 1024;
const PART_BYTES: usize = 1 << 20;

impl Inner {
    pub(super) fn write(&self, ops: &[BatchOp<'_>], sync: bool) -> Result<()> {
        let durable = if sync { Some(self.durability()?) } else { None };
        if let Some(first) = ops.first() {
            let slot = slot_of(key_of(first));
            if let (Routes::Cluster(_), Some(stray)) = (&self.routes, ops.iter().find(|op| slot_of(key_of(op)) != slot))
            {
                return Err(across_slots(key_of(first), key_of(stray)));
            }
            let parts = parts_of(ops)?;
            let (node, mut replies) =
                self.follow(Kind::Changes, slot, |node, is_asking| transact(node, is_asking, &parts))?;
            executed(node.place(), replies.pop().unwrap_or(Value::Nil), ops.len())?;
        }
        durable.map_or(Ok(()), |durability| self.make_durable(durability))
    }
}

fn key_of<'a>(op: &BatchOp<'a>) -> &'a [u8] {
    match op {
        BatchOp::Set { key, .. } | BatchOp::Del { key } => key,
    }
}

fn across_slots(one: &[u8], other: &[u8]) -> Error {
    let message = format!(
        "a batch of a cluster has its keys in one slot, and these are in {} and {}: keys with the same \"{{tag}}\" share one",
        slot_of(one),
        slot_of(other)
    );
    Error::new(Status::Unsupported, message)
}

fn parts_of(ops: &[BatchOp<'_>]) -> Result<Vec<Request>> {
    let mut parts = vec![Request::default()];
    for op in ops {
        if parts.last().is_none_or(|part| part.count >= PART_COUNT || part.bytes.len() >= PART_BYTES) {
            parts.push(Request::default());
        }
        let command = match op {
            BatchOp::Set { key, value, ttl } => set_command(key, value, *ttl, Condition::Always)?,
            BatchOp::Del { key } => cmd("DEL").arg(key).to_owned(),
        };
        if let Some(part) = parts.last_mut() {
            part.add(&command);
        }
    }
    Ok(parts)
}

/// What EXEC answered; or, if a command was refused, that.
fn transact(node: &Node, is_asking: bool, parts: &[Request]) -> std::result::Result<Vec<Value>, Failure> {
    let mut lease = node.take().map_err(Failure::Unsent)?;
    let mut begin = Request::default();
    if is_asking {
        begin.add(&cmd("ASKING"));
    }
    begin.add(&cmd("MULTI"));
    for part in std::iter::once(&begin).chain(parts) {
        lease.send(&part.bytes).map_err(nothing_done)?;
        for _ in 0..part.count {
            let reply = lease.receive().map_err(nothing_done)?;
            if let Value::ServerError(_) = reply {
                // The lease ends the connection, and that the transaction.
                return Ok(vec![reply]);
            }
        }
    }
    let end = Request::of(&cmd("EXEC"));
    lease.send(&end.bytes)?;
    let reply = lease.receive()?;
    lease.give_back();
    Ok(vec![reply])
}

fn nothing_done(failure: Failure) -> Failure {
    match failure {
        Failure::Unanswered { error, .. } => Failure::Unsent(error),
        failure => failure,
    }
}
