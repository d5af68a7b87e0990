//! A walk over all live keys.
//!
//! The index is walked page by page in the order of the hash, and each page's keys are copied when the
//! cursor comes to it; values are read when they are asked for. So a key that is live throughout is
//! returned exactly once, whatever is written, compacted or grown meanwhile.
//!
//! Not here: an order that means anything to the caller.

use crate::error::{Error, Result, Status};
use crate::store::Shared;
use std::collections::VecDeque;
use std::sync::Arc;

/// Walks all live keys. Not a snapshot: every key that is live throughout is returned exactly once.
///
/// For one thread at a time. It does not keep the store open: after a close it answers `Closed`.
pub struct Cursor {
    shared: Arc<Shared>,
    prefix: Vec<u8>,
    /// The hash to go on from; `None` when the whole index has been walked.
    next_hash: Option<u64>,
    /// Keys of the page that is being returned.
    keys: VecDeque<Box<[u8]>>,
    /// Damaged records met on that page.
    damage: VecDeque<Error>,
    key: Box<[u8]>,
    value: Vec<u8>,
}

impl Cursor {
    pub(crate) fn new(shared: Arc<Shared>, prefix: &[u8]) -> Self {
        Self {
            shared,
            prefix: prefix.to_vec(),
            next_hash: Some(0),
            keys: VecDeque::new(),
            damage: VecDeque::new(),
            key: Box::default(),
            value: Vec::new(),
        }
    }

    /// The next key and value, borrowed until the next call; `None` at the end.
    ///
    /// A damaged record is reported once, as `Corrupt`; the call after that goes on behind it.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        loop {
            if let Some(error) = self.damage.pop_front() {
                return Err(error);
            }
            let shared = Arc::clone(&self.shared);
            let store = shared.enter()?;
            let Some(key) = self.keys.pop_front() else {
                let Some(from) = self.next_hash else { return Ok(None) };
                self.next_hash =
                    store.collect_keys(store.guard(), from, &self.prefix, &mut self.keys, &mut self.damage);
                continue;
            };
            let value = &mut self.value;
            let copied = store.get_with(store.guard(), &key, |bytes| {
                value.clear();
                value.try_reserve(bytes.len()).map(|()| value.extend_from_slice(bytes))
            })?;
            match copied {
                None => {}
                Some(Err(_)) => return Err(Error::from(Status::OutOfMemory)),
                Some(Ok(())) => {
                    self.key = key;
                    return Ok(Some((&self.key, &self.value)));
                }
            }
        }
    }
}
