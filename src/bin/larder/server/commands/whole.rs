//! A transaction of plain SETs and DELs is one batch of the store: it is there whole or not at all, after a kill too.
//!
//! Everything else is carried out command by command (`transactions`), one step to every client, but not to a kill.
//! Replies, events and what SLOWLOG shows are the same either way.

use super::super::execute::{Call, Failure};
use super::super::keyspace::event;
use super::super::request::Args;
use super::super::session::Transaction;
use super::strings::{MILLISECONDS, expires_at_ms, until};
use super::{is, transactions};
use larder::store::{BatchOp, KEY_BYTES_MAX, Ttl};
use std::collections::HashMap;

/// One command of it, and what it does to the key.
struct Step<'a> {
    op: BatchOp<'a>,
    /// The key is there when it is this command's turn.
    was_there: bool,
}

/// Carries the transaction out if it is of that kind, replies included; false if it is not, and nothing is done.
pub fn carry_out(call: &mut Call<'_>, transaction: &Transaction) -> Result<bool, Failure> {
    if transaction.commands.len() < 2 {
        return Ok(false);
    }
    let Some(steps) = steps_of(call, transaction)? else { return Ok(false) };
    transactions::tell_monitors(call, transaction);
    // A deletion of what is not there is no change.
    let changes: Vec<_> =
        steps.iter().filter(|step| !matches!(step.op, BatchOp::Del { .. } if !step.was_there)).collect();
    let ops: Vec<BatchOp<'_>> = changes.iter().map(|step| step.op).collect();
    if let Err(error) = call.server.put_whole(&ops) {
        let failure = Failure::from(error);
        for _ in &steps {
            call.reply.error(&failure.text());
            call.server.stats.errors.note(&failure.text());
        }
        count(call, transaction, 1);
        return Ok(true);
    }
    for step in &steps {
        match step.op {
            BatchOp::Set { key, ttl, .. } => {
                if !step.was_there {
                    call.server.notify(event::NEW, "new", key);
                }
                call.server.notify(event::STRING, "set", key);
                if matches!(ttl, Ttl::Until(_)) {
                    call.server.notify(event::GENERIC, "expire", key);
                }
                call.reply.ok();
            }
            BatchOp::Del { key } => {
                if step.was_there {
                    call.server.notify(event::GENERIC, "del", key);
                }
                call.reply.integer(i64::from(step.was_there));
            }
        }
    }
    count(call, transaction, 0);
    Ok(true)
}

/// Counts the commands, each of which has ended `failed` times (0 or 1) in an error, and notes those that took long.
///
/// The store took them as one, so each one's time is a share: by its bytes, which is what a batch's time goes into.
fn count(call: &mut Call<'_>, transaction: &Transaction, failed: u64) {
    let took = call.server.lap();
    for (spec, queued) in &transaction.commands {
        let share = took.mul_f64(queued.len() as f64 / transaction.bytes.max(1) as f64);
        call.server.stats.ran(spec.name, 1, share, failed);
        call.server.note_if_slow(call.client, spec, share, queued.args());
    }
    // What nobody else was served in is all of it.
    call.server.latency.observe("command", took);
}

fn steps_of<'a>(call: &Call<'_>, transaction: &'a Transaction) -> Result<Option<Vec<Step<'a>>>, Failure> {
    let mut are_there: HashMap<&[u8], bool> = HashMap::new();
    let mut steps = Vec::with_capacity(transaction.commands.len());
    for (spec, queued) in &transaction.commands {
        let Some(op) = op_of(call, spec.name, queued.args()) else { return Ok(None) };
        let (BatchOp::Set { key, .. } | BatchOp::Del { key }) = op;
        let is_there = match are_there.get(key) {
            Some(is_there) => *is_there,
            None => call.server.exists(key)?,
        };
        are_there.insert(key, matches!(op, BatchOp::Set { .. }));
        steps.push(Step { op, was_there: is_there });
    }
    Ok(Some(steps))
}

/// The operation that a command is; `None` for another command, or one that would be refused.
fn op_of<'a>(call: &Call<'_>, name: &str, args: Args<'a>) -> Option<BatchOp<'a>> {
    let ttl = match (name, args.len()) {
        ("del" | "unlink", 2) => None,
        ("set", 3) => Some(Ttl::Forever),
        ("set", 4) if is(args.get(3), "KEEPTTL") => Some(Ttl::Keep),
        ("set", 5) if is(args.get(3), "PX") => Some(until(expires_at_ms(call, args.get(4), MILLISECONDS).ok()?)),
        _ => return None,
    };
    let key = args.get(1);
    if key.len() > KEY_BYTES_MAX {
        return None;
    }
    Some(ttl.map_or(BatchOp::Del { key }, |ttl| BatchOp::Set { key, value: args.get(2), ttl }))
}
