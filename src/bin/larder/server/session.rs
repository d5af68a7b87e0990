//! One client: who it is, what it has begun, and what it is still to be sent.

use super::reply::Reply;
use super::request::OwnedArgs;
use super::table::Spec;
use std::collections::BTreeSet;
use std::time::Instant;

/// Whether replies are sent (CLIENT REPLY).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mute {
    No,
    /// SKIP was said: the next command has no reply.
    Next,
    /// This command has no reply.
    This,
    /// OFF was said.
    Always,
}

/// A transaction whose commands are being collected.
#[derive(Default)]
pub struct Transaction {
    pub commands: Vec<(&'static Spec, OwnedArgs)>,
    /// Bytes that they take.
    pub bytes: usize,
    /// A command was refused: EXEC will be too.
    pub is_broken: bool,
}

/// A key that a transaction is to fail for, if it changes.
pub struct Watched {
    pub key: Vec<u8>,
    /// When it was to expire, 0 for never.
    pub expires_at_ms: u64,
}

/// A client.
pub struct Session {
    pub id: u64,
    pub reply: Reply,
    pub addr: String,
    pub local_addr: String,
    pub name: Vec<u8>,
    pub library_name: Vec<u8>,
    pub library_version: Vec<u8>,
    pub is_authenticated: bool,
    pub mute: Mute,
    pub transaction: Option<Transaction>,
    pub watched: Vec<Watched>,
    /// A watched key has changed.
    pub is_dirty: bool,
    pub channels: BTreeSet<Vec<u8>>,
    pub patterns: BTreeSet<Vec<u8>>,
    pub is_monitor: bool,
    pub is_kept: bool,
    pub is_no_touch: bool,
    /// To be closed: once its reply is sent, or at once.
    pub closing: Closing,
    pub last_command: &'static str,
    pub opened_at: Instant,
    pub last_at: Instant,
}

/// How a client is to be closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closing {
    No,
    AfterReply,
    Now,
}

impl Session {
    pub fn new(id: u64, addr: String, local_addr: String, is_authenticated: bool, now: Instant) -> Self {
        Self {
            id,
            reply: Reply::default(),
            addr,
            local_addr,
            name: Vec::new(),
            library_name: Vec::new(),
            library_version: Vec::new(),
            is_authenticated,
            mute: Mute::No,
            transaction: None,
            watched: Vec::new(),
            is_dirty: false,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            is_monitor: false,
            is_kept: false,
            is_no_touch: false,
            closing: Closing::No,
            last_command: "NULL",
            opened_at: now,
            last_at: now,
        }
    }

    pub fn subscription_count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    pub fn close(&mut self, closing: Closing) {
        self.closing = self.closing.max(closing);
    }
}

impl Transaction {
    pub fn queue(&mut self, spec: &'static Spec, args: OwnedArgs) {
        self.bytes += args.len();
        self.commands.push((spec, args));
    }
}
