//! Every key of a server, by SCAN, and its value as DUMP answers it.
//!
//! A key's value and its expiry are asked for in one transaction, so that they belong together; keys come as they are when
//! they are read, one after the other, not as of one moment. SCAN may name a key twice, and then it comes once.
//!
//! Not here: what a payload holds (`rdb::payload`).

use super::link::Link;
use crate::bytes::Shown;
use crate::failure::{Exit, Failure};
use redis::{ConnectionInfo, Value, cmd};
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Keys per SCAN.
const SCAN_COUNT: usize = 500;
/// Keys that are asked for at a time: what a server has to keep for us is that many values.
const WINDOW_COUNT: usize = 64;

/// A key with its value as a payload of DUMP.
pub struct Dumped {
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
    /// Unix milliseconds, 0 without expiry.
    pub expires_at_ms: u64,
}

pub struct Source {
    link: Link,
    /// What SCAN said to go on from; `None` at the end.
    cursor: Option<Vec<u8>>,
    /// Named, and not asked for yet.
    keys: VecDeque<Vec<u8>>,
    /// Asked for.
    waiting: VecDeque<Vec<u8>>,
    /// Two hashes for each key that was named, with seeds of their own: 128 bits, which do not meet by chance.
    seen: HashSet<(u64, u64)>,
    seeds: (RandomState, RandomState),
    has_pexpiretime: bool,
}

impl Source {
    pub fn open(info: &ConnectionInfo, time_max: Duration) -> Result<Self, Failure> {
        let mut link = Link::open(info, time_max)?;
        // From Redis 7.0 on a server says when a key expires; others only how long it still lives.
        let has_pexpiretime = matches!(link.ask(cmd("PEXPIRETIME").arg(""))?, Value::Int(_));
        Ok(Self {
            link,
            cursor: Some(b"0".to_vec()),
            keys: VecDeque::new(),
            waiting: VecDeque::new(),
            seen: HashSet::new(),
            seeds: (RandomState::new(), RandomState::new()),
            has_pexpiretime,
        })
    }

    /// How many keys there are about.
    pub fn count(&mut self) -> Result<u64, Failure> {
        match self.link.ask(&cmd("DBSIZE"))? {
            Value::Int(count) => Ok(u64::try_from(count).unwrap_or(0)),
            other => Err(self.link.unexpected("DBSIZE", &other)),
        }
    }

    /// The next key; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Dumped>, Failure> {
        loop {
            if let Some(key) = self.waiting.pop_front() {
                if let Some(dumped) = self.receive(key)? {
                    return Ok(Some(dumped));
                }
            } else if !self.keys.is_empty() {
                self.ask_for_some()?;
            } else if let Some(cursor) = self.cursor.take() {
                self.scan(&cursor)?;
            } else {
                return Ok(None);
            }
        }
    }

    fn scan(&mut self, cursor: &[u8]) -> Result<(), Failure> {
        let reply = self.link.ask(cmd("SCAN").arg(cursor).arg("COUNT").arg(SCAN_COUNT))?;
        let (next, keys) = match reply {
            Value::Array(parts) => match <[Value; 2]>::try_from(parts) {
                Ok([Value::BulkString(next), Value::Array(keys)]) => (next, keys),
                Ok(other) => return Err(self.link.unexpected("SCAN", &Value::Array(other.into()))),
                Err(other) => return Err(self.link.unexpected("SCAN", &Value::Array(other))),
            },
            other => return Err(self.link.unexpected("SCAN", &other)),
        };
        for key in keys {
            let Value::BulkString(key) = key else { return Err(self.link.unexpected("SCAN", &key)) };
            if self.seen.insert((self.seeds.0.hash_one(&key), self.seeds.1.hash_one(&key))) {
                self.keys.push_back(key);
            }
        }
        self.cursor = (next != b"0").then_some(next);
        Ok(())
    }

    fn ask_for_some(&mut self) -> Result<(), Failure> {
        let mut packed = Vec::new();
        let count = self.keys.len().min(WINDOW_COUNT);
        for key in self.keys.drain(..count) {
            cmd("MULTI").write_packed_command(&mut packed);
            cmd("DUMP").arg(&key).write_packed_command(&mut packed);
            if self.has_pexpiretime {
                cmd("PEXPIRETIME").arg(&key).write_packed_command(&mut packed);
            } else {
                cmd("PTTL").arg(&key).write_packed_command(&mut packed);
                cmd("TIME").write_packed_command(&mut packed);
            }
            cmd("EXEC").write_packed_command(&mut packed);
            self.waiting.push_back(key);
        }
        self.link.send(&packed)
    }

    /// The replies for one key; `None` if it is gone.
    fn receive(&mut self, key: Vec<u8>) -> Result<Option<Dumped>, Failure> {
        let queued_count = if self.has_pexpiretime { 3 } else { 4 };
        for _ in 0..queued_count {
            // A refusal is in the reply of EXEC once more.
            self.link.receive()?;
        }
        let what = || format!("DUMP of {}", Shown(&key));
        let parts = match self.link.receive()? {
            Value::Array(parts) => parts,
            other => return Err(self.link.unexpected(&what(), &other)),
        };
        let (payload, expires_at_ms) = match parts.as_slice() {
            [Value::Nil, ..] => return Ok(None),
            [Value::BulkString(payload), Value::Int(at_ms)] => (payload, *at_ms),
            [Value::BulkString(payload), Value::Int(ttl_ms), Value::Array(time)] => match (*ttl_ms, moment_ms(time)) {
                (..0, _) => (payload, *ttl_ms),
                (ttl_ms, Some(now_ms)) => (payload, now_ms.saturating_add(ttl_ms)),
                (_, None) => return Err(self.link.unexpected("TIME", &Value::Array(time.clone()))),
            },
            [error @ Value::ServerError(_), ..] | [_, error @ Value::ServerError(_), ..] => {
                return Err(self.link.unexpected(&what(), error));
            }
            _ => {
                return Err(Failure::new(
                    Exit::Io,
                    format!("{}: {} has an answer of another form", self.link.name, what()),
                ));
            }
        };
        match expires_at_ms {
            // Gone between the one and the other, where a server's transactions allow that.
            -2 => Ok(None),
            at_ms => {
                Ok(Some(Dumped { payload: payload.clone(), expires_at_ms: u64::try_from(at_ms).unwrap_or(0), key }))
            }
        }
    }
}

/// What TIME answers: seconds and microseconds.
fn moment_ms(time: &[Value]) -> Option<i64> {
    let number = |value: &Value| match value {
        Value::BulkString(text) => std::str::from_utf8(text).ok()?.parse::<i64>().ok(),
        Value::Int(number) => Some(*number),
        _ => None,
    };
    let [seconds, micros] = time else { return None };
    number(seconds)?.checked_mul(1000)?.checked_add(number(micros)? / 1000)
}
