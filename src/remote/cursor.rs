//! A walk over all keys of a server or a cluster.
//!
//! One server is walked by SCAN, which returns every key that is live throughout at least once, and more than once when
//! its table was resized meanwhile. A cursor has to return it once, so it remembers what it has returned: 16 bytes per
//! key, a hash under a seed that nobody knows, which no two keys share in practice.
//!
//! A cluster is walked slot by slot, because a slot may move from a node that was not walked yet to one that was. The
//! keys of a few slots are asked for at their owners first and then at everybody else: a key is at its new node before it leaves
//! the old one, so it is missed by neither, unless its slot moves twice in that moment. Only the slots at hand have to
//! be remembered.
//!
//! Not here: an order that means anything to the caller.

use super::asking::{Kind, Request};
use super::node::Node;
use super::replies::{refusal, unexpected};
use super::routes::{Routes, SLOT_COUNT};
use super::{Inner, KEYS_AT_ONCE};
use crate::error::{Error, Result, Status};
use crate::format::digest;
use redis::{Value, cmd};
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Keys that SCAN is asked for at once.
const SCAN_COUNT: u32 = 256;

/// Slots that are asked for at once.
const SLOTS_AT_ONCE: u16 = 64;

/// More keys than any slot has: all of them.
const KEYS_OF_A_SLOT_MAX: i32 = i32::MAX;

/// Walks all live keys. Not a snapshot: every key that is live throughout is returned exactly once.
///
/// For one thread at a time. It does not keep the store open: after a close it answers `Closed`.
pub struct RemoteCursor {
    inner: Arc<Inner>,
    prefix: Vec<u8>,
    place: Progress,
    digest_seed: u64,
    returned: HashSet<u128>,
    /// Found, and not asked for yet.
    keys: VecDeque<Vec<u8>>,
    /// Asked for, and not returned yet.
    pairs: VecDeque<(Vec<u8>, Vec<u8>)>,
    present: (Vec<u8>, Vec<u8>),
}

/// How far a walk has come.
enum Progress {
    /// The number to give SCAN next.
    Scan(Vec<u8>),
    /// The first slot that was not walked.
    Slot(u16),
    End,
}

impl RemoteCursor {
    pub(super) fn new(inner: Arc<Inner>, prefix: &[u8]) -> Self {
        let place = match inner.routes {
            Routes::One(_) => Progress::Scan(b"0".to_vec()),
            Routes::Cluster(_) => Progress::Slot(0),
        };
        Self {
            inner,
            prefix: prefix.to_vec(),
            place,
            digest_seed: RandomState::new().hash_one(0),
            returned: HashSet::new(),
            keys: VecDeque::new(),
            pairs: VecDeque::new(),
            present: Default::default(),
        }
    }

    /// The next key and value, borrowed until the next call; `None` at the end.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let inner = Arc::clone(&self.inner);
        let entered = inner.enter()?;
        loop {
            if let Some(pair) = self.pairs.pop_front() {
                self.present = pair;
                return Ok(Some((&self.present.0, &self.present.1)));
            }
            if !self.keys.is_empty() {
                self.read_values(entered.0)?;
                continue;
            }
            // What is to come is found out before anything is forgotten, so that a failure can be tried again.
            match &self.place {
                Progress::End => return Ok(None),
                Progress::Scan(number) => {
                    let (next, keys) = scan(entered.0, number, &self.prefix)?;
                    self.take(keys);
                    self.place = if next == b"0" { Progress::End } else { Progress::Scan(next) };
                }
                Progress::Slot(first) => {
                    let end = first.saturating_add(SLOTS_AT_ONCE).min(SLOT_COUNT);
                    let keys = keys_of_slots(entered.0, *first, end)?;
                    self.returned.clear();
                    self.take(keys);
                    self.place = if end == SLOT_COUNT { Progress::End } else { Progress::Slot(end) };
                }
            }
        }
    }

    fn take(&mut self, keys: Vec<Vec<u8>>) {
        for key in keys {
            if key.starts_with(&self.prefix) && self.returned.insert(digest(&key, self.digest_seed)) {
                self.keys.push_back(key);
            }
        }
    }

    fn read_values(&mut self, inner: &Inner) -> Result<()> {
        let count = self.keys.len().min(KEYS_AT_ONCE);
        let keys: Vec<&[u8]> = self.keys.iter().take(count).map(Vec::as_slice).collect();
        let no_string_is_nothing = |value| match value {
            Err(error) if Error::status(&error) == Status::Unsupported => Ok(None),
            value => value,
        };
        let values = inner.values_of(&keys)?.into_iter().map(no_string_is_nothing).collect::<Result<Vec<_>>>()?;
        for (key, value) in self.keys.drain(..count).zip(values) {
            self.pairs.extend(value.map(|value| (key, value)));
        }
        Ok(())
    }
}

/// One step of SCAN: the number to go on with, and keys.
fn scan(inner: &Inner, number: &[u8], prefix: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>)> {
    let Routes::One(node) = &inner.routes else { return Err(Error::from(Status::Unsupported)) };
    let mut command = cmd("SCAN");
    command.arg(number).arg("COUNT").arg(SCAN_COUNT);
    if !prefix.is_empty() {
        command.arg("MATCH").arg(pattern(prefix));
    }
    let mut replies = inner.ask_node(Kind::Reads, node, &Request::of(&command))?;
    match replies.pop() {
        Some(Value::ServerError(refused)) => Err(refusal(node.place(), &refused)),
        Some(Value::Array(parts)) => match <[Value; 2]>::try_from(parts) {
            Ok([Value::BulkString(next), keys]) => Ok((next, keys_in(node, keys)?)),
            _ => Err(unexpected(node.place())),
        },
        _ => Err(unexpected(node.place())),
    }
}

/// What begins with `prefix`, as SCAN's patterns say it.
fn pattern(prefix: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for byte in prefix {
        if b"*?[]^-\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'*');
    pattern
}

/// All keys of the slots from `first` to below `end`.
fn keys_of_slots(inner: &Inner, first: u16, end: u16) -> Result<Vec<Vec<u8>>> {
    let nodes = inner.routes.all()?;
    let mut keys = Vec::new();
    let owners = (first..end).map(|slot| inner.routes.node_of(slot)).collect::<Result<Vec<_>>>()?;
    for of_owners in [true, false] {
        for node in &nodes {
            let mut request = Request::default();
            for (slot, owner) in (first..end).zip(&owners) {
                if Arc::ptr_eq(owner, node) == of_owners {
                    request.add(cmd("CLUSTER").arg("GETKEYSINSLOT").arg(slot).arg(KEYS_OF_A_SLOT_MAX));
                }
            }
            if request.count == 0 {
                continue;
            }
            for reply in inner.ask_node(Kind::Reads, node, &request)? {
                keys.append(&mut keys_in(node, reply)?);
            }
        }
    }
    Ok(keys)
}

fn keys_in(node: &Node, reply: Value) -> Result<Vec<Vec<u8>>> {
    let keys = match reply {
        Value::Array(keys) => keys,
        Value::ServerError(refused) => return Err(refusal(node.place(), &refused)),
        _ => return Err(unexpected(node.place())),
    };
    let taken = keys.into_iter().map(|key| match key {
        Value::BulkString(key) => Ok(key),
        _ => Err(unexpected(node.place())),
    });
    taken.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_its_prefix_as_it_is() {
        assert_eq!(pattern(b"user:"), b"user:*");
        assert_eq!(pattern(b"a*b?[c]^-\\"), b"a\\*b\\?\\[c\\]\\^\\-\\\\*");
        assert_eq!(pattern(b"\x00\xFF"), b"\x00\xFF*");
    }
}
