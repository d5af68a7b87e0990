//! Every key of a store with its value and its expiry, once.
//!
//! Of a store that was opened read-only this is what was there when it was opened.

use larder::{Result, Store};

/// A live key.
pub struct Live {
    pub key: Box<[u8]>,
    pub value: Vec<u8>,
    /// Unix milliseconds, 0 without expiry.
    pub expires_at_ms: u64,
}

pub struct Walk<'a> {
    store: &'a Store,
    /// The hash to go on from; `None` when the index has been walked.
    next_hash: Option<u64>,
    keys: Vec<(u64, Box<[u8]>)>,
}

impl<'a> Walk<'a> {
    pub fn new(store: &'a Store) -> Self {
        Self { store, next_hash: Some(0), keys: Vec::new() }
    }

    pub fn next(&mut self) -> Result<Option<Live>> {
        loop {
            if let Some((_, key)) = self.keys.pop() {
                let found = self.store.find_with(&key, |found| (found.value.to_vec(), found.expires_at_ms))?;
                // What has expired meanwhile is not there any more.
                if let Some((value, expires_at_ms)) = found {
                    return Ok(Some(Live { key, value, expires_at_ms }));
                }
            } else if let Some(from) = self.next_hash {
                self.next_hash = self.store.scan_page(from, &mut self.keys)?;
            } else {
                return Ok(None);
            }
        }
    }
}
