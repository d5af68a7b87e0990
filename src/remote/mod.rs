//! A store behind a server that speaks Redis's protocol: `larder serve`, Redis, Valkey, a Redis Cluster.
//!
//! [`Remote`] has the calls of [`crate::Store`] that a server can keep the promises of. The others are
//! `Unsupported`, and so is what only this server cannot promise; nothing is made up. `docs/targets.md` has the table.
//!
//! `address` says where, `wire` is a connection, `node` a server's connections, `routes` who has a key, `asking` what is
//! sent again, `batch`, `cursor` and `durable` are the calls that take more than one command.
//!
//! Invariants:
//!   N1. Nothing here reads or writes a file, starts a thread or prints.
//!   N2. Every call ends: by an answer, or as `Io` with the server's address, within the timeouts.
//!
//! Locks: see the files; none is held while the network is waited for, but for asking a cluster who owns what.

mod address;
mod asking;
mod batch;
mod cursor;
mod deadline;
mod durable;
mod node;
mod replies;
mod routes;
mod wire;

pub use cursor::RemoteCursor;

use crate::error::{Error, Result, Status};
use crate::options::Options;
use crate::store::{BatchOp, Condition, SetOptions, SetOutcome, Ttl, TtlState};
use address::Address;
use asking::{Kind, Request};
use node::Node;
use parking_lot::{Condvar, Mutex};
use redis::{Value, cmd};
use replies::{bytes, executed, integer, unexpected};
use routes::{Cluster, Routes, slot_of};
use std::sync::{Arc, OnceLock};
use wire::Settings;

/// Longest value: what servers take as one argument, unless they are told otherwise.
const VALUE_BYTES_MAX: usize = 512 << 20;

/// Most keys that are asked for at once.
const KEYS_AT_ONCE: usize = 64;

/// An open store behind a server. Shared by reference between threads; closed by [`Remote::close`] or on drop.
pub struct Remote {
    inner: Arc<Inner>,
}

/// What a store and its cursors share.
struct Inner {
    routes: Routes,
    settings: Arc<Settings>,
    is_read_only: bool,
    /// Why writes are refused, if they are.
    refusal: OnceLock<String>,
    calls: Mutex<Calls>,
    ended: Condvar,
}

struct Calls {
    is_closed: bool,
    under_way: usize,
}

/// A call that is under way: a close waits for it.
struct Entered<'a>(&'a Inner);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.calls.lock().under_way -= 1;
        self.0.ended.notify_all();
    }
}

/// A value and what is known of it, copied.
pub struct RemoteView {
    bytes: Box<[u8]>,
    expires_at_ms: u64,
}

impl RemoteView {
    /// The value.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Unix milliseconds by the server's clock, 0 without expiry.
    pub fn expires_at_ms(&self) -> u64 {
        self.expires_at_ms
    }
}

impl Remote {
    /// Opens what `location` names (see `docs/targets.md`): connects, and waits for a first answer.
    ///
    /// `Io` if the server cannot be reached or does not answer; `InvalidArgument` for a malformed location and a user or
    /// password that is refused; `Unsupported` for a database other than 0.
    pub fn open(location: &[u8], options: &Options) -> Result<Self> {
        let Address { mut places, is_cluster, credentials } = Address::parse(location, options)?;
        let settings =
            Arc::new(Settings { timeout: options.timeout, connect_timeout: options.connect_timeout, credentials });
        let routes = match places.pop() {
            Some(place) if !is_cluster => {
                let node = Node::new(place, &settings);
                node.take()?.give_back();
                Routes::One(Arc::new(node))
            }
            last => Routes::Cluster(Cluster::open(places.into_iter().chain(last).collect(), &settings)?),
        };
        let calls = Mutex::new(Calls { is_closed: false, under_way: 0 });
        let (is_read_only, refusal, ended) = (options.read_only, OnceLock::new(), Condvar::new());
        Ok(Self { inner: Arc::new(Inner { routes, settings, is_read_only, refusal, calls, ended }) })
    }

    /// Waits for calls under way and ends all connections. A second close is `Closed`.
    pub fn close(&self) -> Result<()> {
        let mut calls = self.inner.calls.lock();
        if calls.is_closed {
            return Err(closed());
        }
        calls.is_closed = true;
        self.inner.ended.wait_while(&mut calls, |calls| calls.under_way > 0);
        drop(calls);
        self.inner.routes.let_go();
        Ok(())
    }

    /// Sets `key` to `value`, for ever.
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let options = SetOptions { ttl: Ttl::Forever, condition: Condition::Always, sync: false };
        self.set_with(key, value, &options).map(|_| ())
    }

    /// Sets `key` to `value` if the condition holds. Servers count no versions: it is 0.
    pub fn set_with(&self, key: &[u8], value: &[u8], options: &SetOptions) -> Result<SetOutcome> {
        let inner = self.inner.enter_to_write()?;
        let durable = if options.sync { Some(inner.0.durability()?) } else { None };
        let command = set_command(key, value, options.ttl, options.condition)?;
        let outcome = match inner.0.ask(Kind::Changes, key, &command)? {
            Value::Okay => SetOutcome::Stored { version: 0 },
            Value::Nil if options.condition == Condition::IfAbsent => SetOutcome::Exists,
            Value::Nil if options.condition == Condition::IfPresent => SetOutcome::NotFound,
            _ => return Err(unexpected(inner.0.routes.node_of(slot_of(key))?.place())),
        };
        if let Some(durability) = durable {
            inner.0.make_durable(durability)?;
        }
        Ok(outcome)
    }

    /// Hands the key's value to `read`.
    pub fn get_with<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        let inner = self.inner.enter()?;
        let (node, replies) = inner.0.ask_all(Kind::Reads, key, &Request::of(cmd("GET").arg(key)))?;
        Ok(bytes(node.place(), replies::only(node.place(), replies)?)?.map(|value| read(&value)))
    }

    /// Hands the answers to `answer` in order (position, outcome) until it returns false.
    pub fn get_many_with(
        &self,
        keys: &[&[u8]],
        mut answer: impl FnMut(usize, Result<Option<&[u8]>>) -> bool,
    ) -> Result<()> {
        let inner = self.inner.enter()?;
        for (chunk, first) in keys.chunks(KEYS_AT_ONCE).zip((0..).step_by(KEYS_AT_ONCE)) {
            for (outcome, at) in inner.0.values_of(chunk)?.into_iter().zip(first..) {
                if !answer(at, outcome.as_ref().map(Option::as_deref).map_err(Error::clone)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A copy of the key's value, with its expiry as of the same moment.
    pub fn view(&self, key: &[u8]) -> Result<Option<RemoteView>> {
        let inner = self.inner.enter()?;
        let mut request = Request::of(&cmd("MULTI"));
        request.add(cmd("GET").arg(key));
        request.add(cmd("PEXPIRETIME").arg(key));
        request.add(&cmd("EXEC"));
        let (node, mut replies) = inner.0.ask_all(Kind::Reads, key, &request)?;
        let place = node.place();
        let mut values = executed(place, replies.pop().unwrap_or(Value::Nil), 2)?;
        // -1 for ever, -2 not there.
        let expires_at_ms = integer(place, &values[1])?.try_into().unwrap_or(0);
        let value = bytes(place, values.swap_remove(0))?;
        Ok(value.map(|bytes| RemoteView { bytes: bytes.into_boxed_slice(), expires_at_ms }))
    }

    /// Whether the key is live, whatever kind of value it has.
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        self.inner.enter()?.0.ask_integer(Kind::Reads, key, cmd("EXISTS").arg(key)).map(|count| count > 0)
    }

    /// Deletes the key, whatever kind of value it has; false if it was not live.
    pub fn del(&self, key: &[u8]) -> Result<bool> {
        self.inner.enter_to_write()?.0.ask_integer(Kind::Changes, key, cmd("DEL").arg(key)).map(|count| count > 0)
    }

    /// How much longer the key lives. Servers forget an expired key at once: it is `Absent`.
    pub fn ttl(&self, key: &[u8]) -> Result<TtlState> {
        let left_ms = self.inner.enter()?.0.ask_integer(Kind::Reads, key, cmd("PTTL").arg(key))?;
        Ok(match (left_ms, u64::try_from(left_ms)) {
            (_, Ok(left_ms)) => TtlState::Millis(left_ms),
            (-1, _) => TtlState::Forever,
            _ => TtlState::Absent,
        })
    }

    /// `None` makes the key live for ever, `Some(0)` expires it at once. False if it was not live.
    pub fn expire(&self, key: &[u8], ttl_ms: Option<u64>) -> Result<bool> {
        let inner = self.inner.enter_to_write()?;
        if let Some(ttl_ms) = ttl_ms {
            let was_live = inner.0.ask_integer(Kind::Changes, key, cmd("PEXPIRE").arg(key).arg(ttl_ms))?;
            return Ok(was_live > 0);
        }
        // PERSIST says the same of a key without expiry and of none.
        let mut request = Request::of(&cmd("MULTI"));
        request.add(cmd("PERSIST").arg(key));
        request.add(cmd("EXISTS").arg(key));
        request.add(&cmd("EXEC"));
        let (node, mut replies) = inner.0.ask_all(Kind::Changes, key, &request)?;
        let values = executed(node.place(), replies.pop().unwrap_or(Value::Nil), 2)?;
        Ok(integer(node.place(), &values[1])? > 0)
    }

    /// All operations or none. In a cluster the keys have to be in one slot: else it is `Unsupported`.
    pub fn write(&self, ops: &[BatchOp<'_>], sync: bool) -> Result<()> {
        self.inner.enter_to_write()?.0.write(ops, sync)
    }

    /// How many keys there are, whatever kinds of values they have, with those that are expired and not swept.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> Result<u64> {
        let inner = self.inner.enter()?;
        let mut sum = 0;
        for node in inner.0.routes.all()? {
            let replies = inner.0.ask_node(Kind::Reads, &node, &Request::of(&cmd("DBSIZE")))?;
            let count = integer(node.place(), &replies::only(node.place(), replies)?)?;
            sum += u64::try_from(count).unwrap_or(0);
        }
        Ok(sum)
    }

    /// Makes everything durable that was answered before the call, or says that this server cannot.
    pub fn sync(&self) -> Result<()> {
        let inner = self.inner.enter()?;
        if inner.0.is_read_only {
            return Ok(());
        }
        let durability = inner.0.durability()?;
        inner.0.make_durable(durability)
    }

    /// A walk over all keys that begin with `prefix` and have strings as values.
    pub fn cursor(&self, prefix: &[u8]) -> Result<RemoteCursor> {
        self.inner.enter()?;
        Ok(RemoteCursor::new(Arc::clone(&self.inner), prefix))
    }

    /// What no server does for its clients, `what` being the call.
    pub fn unsupported(&self, what: &str) -> Error {
        match self.inner.enter() {
            Ok(_) => Error::new(
                Status::Unsupported,
                format!("{what}: not through a server, which looks after its own files"),
            ),
            Err(error) => error,
        }
    }

    /// After a contained panic: every later write is `ReadOnly`.
    pub fn refuse_writes(&self, why: &str) {
        // The first reason is the one that counts.
        let _ = self.inner.refusal.set(why.to_owned());
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // Only a second close fails.
        let _ = self.close();
    }
}

impl Inner {
    fn enter(&self) -> Result<Entered<'_>> {
        let mut calls = self.calls.lock();
        if calls.is_closed {
            return Err(closed());
        }
        calls.under_way += 1;
        Ok(Entered(self))
    }

    fn enter_to_write(&self) -> Result<Entered<'_>> {
        let entered = self.enter()?;
        if self.is_read_only {
            return Err(Error::new(Status::ReadOnly, "the store was opened read-only"));
        }
        match self.refusal.get() {
            Some(why) => Err(Error::new(Status::ReadOnly, why.as_str())),
            None => Ok(entered),
        }
    }

    /// There is nobody else to ask.
    fn is_of_one(&self) -> bool {
        matches!(self.routes, Routes::One(_))
    }

    fn ask_integer(&self, kind: Kind, key: &[u8], command: &redis::Cmd) -> Result<i64> {
        let (node, replies) = self.ask_all(kind, key, &Request::of(command))?;
        integer(node.place(), &replies::only(node.place(), replies)?)
    }

    /// The values of a few keys: asked for together at each server, and again alone where that did not work.
    fn values_of(&self, keys: &[&[u8]]) -> Result<Vec<Result<Option<Vec<u8>>>>> {
        let mut values: Vec<Option<Result<Option<Vec<u8>>>>> = keys.iter().map(|_| None).collect();
        let mut by_node: Vec<(Arc<Node>, Vec<usize>, Request)> = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let node = self.routes.node_of(slot_of(key))?;
            let place = by_node.iter().position(|(other, ..)| Arc::ptr_eq(other, &node)).unwrap_or_else(|| {
                by_node.push((node, Vec::new(), Request::default()));
                by_node.len() - 1
            });
            by_node[place].1.push(at);
            by_node[place].2.add(cmd("GET").arg(key));
        }
        for (node, positions, request) in &by_node {
            // What has moved, and all if the connection ended, is asked for below.
            let replies = match self.ask_node(Kind::Reads, node, request) {
                Ok(replies) => replies,
                Err(error) if self.is_of_one() && error.os_errno() == libc::ETIMEDOUT => return Err(error),
                Err(_) => continue,
            };
            for (at, reply) in positions.iter().zip(replies) {
                if replies::detour(node.place(), std::slice::from_ref(&reply)).is_none() {
                    values[*at] = Some(bytes(node.place(), reply));
                }
            }
        }
        let alone = |key: &[u8]| {
            let (node, replies) = self.ask_all(Kind::Reads, key, &Request::of(cmd("GET").arg(key)))?;
            let mut replies = replies.into_iter();
            Ok(bytes(node.place(), replies.next().unwrap_or(Value::Okay)))
        };
        keys.iter().zip(values).map(|(key, value)| value.map_or_else(|| alone(key), Ok)).collect()
    }
}

fn closed() -> Error {
    Error::new(Status::Closed, "the store is closed")
}

/// SET as it is asked for.
fn set_command(key: &[u8], value: &[u8], ttl: Ttl, condition: Condition) -> Result<redis::Cmd> {
    if value.len() > VALUE_BYTES_MAX {
        let message = format!("value has {} bytes, more than the {VALUE_BYTES_MAX} that a server takes", value.len());
        return Err(Error::new(Status::TooLarge, message));
    }
    let mut command = cmd("SET");
    command.arg(key).arg(value);
    match ttl {
        Ttl::Forever => {}
        Ttl::Keep => {
            command.arg("KEEPTTL");
        }
        Ttl::Millis(ttl_ms) => {
            command.arg("PX").arg(ttl_ms);
        }
        Ttl::Until(expires_at_ms) => {
            command.arg("PXAT").arg(expires_at_ms);
        }
    }
    match condition {
        Condition::Always => {}
        Condition::IfAbsent => {
            command.arg("NX");
        }
        Condition::IfPresent => {
            command.arg("XX");
        }
    }
    Ok(command)
}
