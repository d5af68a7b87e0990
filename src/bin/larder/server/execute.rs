//! From a request to its reply: which command, whether it may run now, and running it.
//!
//! Commands run one at a time, to their end, on the one thread that serves all clients. That is what makes a
//! transaction or a script one step to everybody else, without a lock.
//!
//! Not here: what each command does (`commands`), bytes (`request`, `reply`, `turn`).

use super::Server;
use super::reply::Reply;
use super::request::{Args, OwnedArgs};
use super::session::{Mute, Session};
use super::table::{NO_AUTH, NO_MULTI, NOSCRIPT, SKIP_MONITOR, SKIP_SLOWLOG, Spec, WRITE};
use larder::{Error, Status};
use std::borrow::Cow;
use std::time::Duration;

pub type Done = Result<(), Failure>;
pub type Handler = fn(&mut Call<'_>, Args<'_>) -> Done;

/// Why a command was not carried out; its reply is an error.
pub enum Failure {
    /// With its code: `ERR syntax error`.
    Said(Cow<'static, [u8]>),
    Store(Error),
}

pub const SYNTAX_ERROR: Failure = Failure::Said(Cow::Borrowed(b"ERR syntax error"));
pub const NOT_AN_INTEGER: Failure = Failure::Said(Cow::Borrowed(b"ERR value is not an integer or out of range"));

/// An error that is always the same.
pub const fn failure(text: &'static str) -> Failure {
    Failure::Said(Cow::Borrowed(text.as_bytes()))
}

/// An error that quotes something.
pub fn failure_of(text: impl Into<Vec<u8>>) -> Failure {
    Failure::Said(Cow::Owned(text.into()))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Store(error)
    }
}

impl Failure {
    pub fn text(&self) -> Cow<'_, [u8]> {
        match self {
            Failure::Said(text) => Cow::Borrowed(text),
            Failure::Store(error) => match error.status() {
                Status::NoSpace | Status::OutOfMemory => {
                    Cow::Borrowed(&b"OOM command not allowed when used memory > 'maxmemory'."[..])
                }
                Status::ReadOnly => Cow::Owned(format!("READONLY {error}").into_bytes()),
                Status::Io | Status::Corrupt | Status::Panic => Cow::Owned(format!("MISCONF {error}").into_bytes()),
                _ => Cow::Owned(format!("ERR {error}").into_bytes()),
            },
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client, now.
    Client,
    /// A client's transaction.
    Transaction,
    /// A script.
    Script,
}

/// A command that is being carried out.
pub struct Call<'a> {
    pub server: &'a mut Server,
    pub client: usize,
    pub reply: &'a mut Reply,
    pub spec: &'static Spec,
    pub origin: Origin,
}

impl Call<'_> {
    pub fn session(&mut self) -> &mut Session {
        &mut self.server.sessions[self.client]
    }

    /// The command's name as errors quote it: small letters, a subcommand behind a bar.
    pub fn wrong_arity(&self) -> Failure {
        wrong_arity(self.spec)
    }

    /// For subcommands that take a few arguments more or less.
    pub fn wrong_subcommand_arity(&self, args: Args<'_>) -> Failure {
        let name = self.spec.name.split('|').next().unwrap_or_default().to_uppercase();
        let head = b"ERR unknown subcommand or wrong number of arguments for '";
        failure_of([head, cut(args.get(1), 128), format!("'. Try {name} HELP.").as_bytes()].concat())
    }
}

/// Handler of commands that are only a name before a subcommand.
pub fn container(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let name = args.get(1).to_ascii_lowercase();
    let found = call
        .spec
        .subcommands
        .iter()
        .find(|spec| spec.name.split_once('|').is_some_and(|(_, subcommand)| subcommand.as_bytes() == name));
    let Some(spec) = found else { return Err(unknown_subcommand(call.spec, args)) };
    call.spec = spec;
    (spec.handler)(call, args)
}

fn wrong_arity(spec: &Spec) -> Failure {
    failure_of(format!("ERR wrong number of arguments for '{}' command", spec.name))
}

fn unknown_subcommand(spec: &Spec, args: Args<'_>) -> Failure {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(cut(args.get(1), 128));
    text.extend_from_slice(format!("'. Try {} HELP.", spec.name.to_uppercase()).as_bytes());
    failure_of(text)
}

/// The first `len` bytes, at most, and nothing behind a zero byte.
pub fn cut(text: &[u8], len: usize) -> &[u8] {
    let text = &text[..text.len().min(len)];
    text.split(|b| *b == 0).next().unwrap_or_default()
}

fn unknown_command(args: Args<'_>) -> Failure {
    let mut quoted = Vec::new();
    for arg in args.from(1).iter() {
        if quoted.len() >= 128 {
            break;
        }
        let room = 128 - quoted.len();
        quoted.push(b'\'');
        quoted.extend_from_slice(cut(arg, room));
        quoted.extend_from_slice(b"' ");
    }
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(cut(args.get(0), 128));
    text.extend_from_slice(b"', with args beginning with: ");
    text.extend_from_slice(&quoted);
    failure_of(text)
}

impl Server {
    /// The command that these arguments ask for, with its subcommand, and whether they are as many as it takes.
    pub fn look_up(&self, args: Args<'_>) -> Result<&'static Spec, Failure> {
        let spec = self.table.find(args.get(0)).ok_or_else(|| unknown_command(args))?;
        if !spec.subcommands.is_empty() && args.len() > 1 {
            let name = args.get(1).to_ascii_lowercase();
            let found = spec
                .subcommands
                .iter()
                .find(|spec| spec.name.split_once('|').is_some_and(|(_, subcommand)| subcommand.as_bytes() == name));
            let found = found.ok_or_else(|| unknown_subcommand(spec, args))?;
            return if found.takes(args.len()) { Ok(found) } else { Err(wrong_arity(found)) };
        }
        if spec.takes(args.len()) { Ok(spec) } else { Err(wrong_arity(spec)) }
    }

    /// Carries out one request of `client`; the reply is behind what it was sent already.
    pub fn execute(&mut self, client: usize, args: Args<'_>) {
        let session = &mut self.sessions[client];
        let is_third = session.reply.is_third;
        let mut reply = std::mem::replace(&mut session.reply, Reply::new(is_third));
        let begin = reply.bytes.len();
        let mute = session.mute;
        self.run(client, args, &mut reply);
        if let Some(session) = self.sessions.get_mut(client) {
            if !session.reply.bytes.is_empty() {
                // What was published to the client itself comes before the reply to its own command.
                let pushed = std::mem::take(&mut session.reply.bytes);
                reply.bytes.splice(begin..begin, pushed);
            }
            if session.mute != Mute::No {
                if session.mute == Mute::Next {
                    session.mute = Mute::This;
                } else if session.mute == Mute::This {
                    session.mute = Mute::No;
                }
                if mute != Mute::No || session.mute != Mute::No {
                    reply.bytes.truncate(begin);
                }
            }
            session.reply = reply;
        }
    }

    fn run(&mut self, client: usize, args: Args<'_>, reply: &mut Reply) {
        let spec = match self.look_up(args).and_then(|spec| self.may_run(client, spec).map(|()| spec)) {
            Ok(spec) => spec,
            Err(failure) => {
                self.stats.errors.note(&failure.text());
                // Of a command that is not there nothing can be counted.
                if let Some(spec) = self.table.find(args.get(0)) {
                    self.stats.calls.reject(spec.name);
                }
                if let Some(transaction) = &mut self.sessions[client].transaction {
                    transaction.is_broken = true;
                }
                if args.get(0).eq_ignore_ascii_case(b"exec") {
                    self.abort_transaction(client, &failure, reply);
                } else {
                    reply.error(&failure.text());
                }
                return;
            }
        };
        let session = &mut self.sessions[client];
        session.last_command = spec.name;
        if let Some(transaction) = &mut session.transaction
            && !matches!(spec.name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
        {
            transaction.queue(spec, OwnedArgs::of(args.iter()));
            reply.simple("QUEUED");
            return;
        }
        if !self.monitors.is_empty() && !spec.has(SKIP_MONITOR) && spec.name != "exec" {
            self.feed_monitors(Some(client), args);
        }
        Call { server: self, client, reply, spec, origin: Origin::Client }.carry_out(args);
    }

    /// Notes a command that took long, unless it is one whose parts are noted.
    #[inline]
    pub fn note_if_slow(&mut self, client: usize, spec: &'static Spec, took: Duration, args: Args<'_>) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if self.slow.is_slow(took_us) && !spec.has(SKIP_SLOWLOG) {
            self.note_slow(client, spec.name, took_us, args);
        }
    }

    /// A command took long: for SLOWLOG and the operator.
    #[cold]
    pub fn note_slow(&mut self, client: usize, name: &'static str, took_us: u64, args: Args<'_>) {
        let session = &self.sessions[client];
        let (addr, client_name) = (session.addr.clone(), session.name.clone());
        // What is stored is nothing for a log.
        self.log.warn(format_args!("{name} of {addr} took {took_us} µs (SLOWLOG GET shows it)"));
        self.slow.add(took_us, args, addr, client_name);
    }

    /// An EXEC that may not run ends its transaction all the same.
    fn abort_transaction(&mut self, client: usize, why: &Failure, reply: &mut Reply) {
        let session = &mut self.sessions[client];
        session.transaction = None;
        self.watches.forget(client, session);
        let text = why.text();
        let text = text.strip_prefix(b"ERR ").unwrap_or(&text);
        reply.error(&[b"EXECABORT Transaction discarded because of: ", text].concat());
    }

    /// Whether the client may have this carried out now.
    #[inline]
    fn may_run(&self, client: usize, spec: &'static Spec) -> Result<(), Failure> {
        let session = &self.sessions[client];
        if !session.is_authenticated && !spec.has(NO_AUTH) {
            return Err(failure("NOAUTH Authentication required."));
        }
        if spec.has(NO_MULTI) && session.transaction.is_some() {
            return Err(failure("ERR Command not allowed inside a transaction"));
        }
        if session.subscription_count() > 0
            && !session.reply.is_third
            && !matches!(
                spec.name,
                "ping" | "subscribe" | "unsubscribe" | "psubscribe" | "punsubscribe" | "quit" | "reset"
            )
        {
            return Err(failure_of(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
                spec.name
            )));
        }
        Ok(())
    }
}

impl Call<'_> {
    /// Runs the handler, writes the error if there is one, and counts and times it.
    #[inline]
    pub fn carry_out(&mut self, args: Args<'_>) {
        let begin = self.reply.bytes.len();
        let mut failed = 0;
        if let Err(failure) = (self.spec.handler)(self, args) {
            // A reply that was begun is not sent: the error stands in its place.
            self.reply.bytes.truncate(begin);
            self.reply.error(&failure.text());
            self.server.stats.errors.note(&failure.text());
            failed = 1;
        }
        if self.origin == Origin::Script {
            // Its time is the script's.
            self.server.stats.commands += 1;
            self.server.stats.calls.note(self.spec.name, 1, Duration::ZERO, failed);
            return;
        }
        let took = self.server.lap();
        self.server.stats.ran(self.spec.name, 1, took, failed);
        self.server.note_if_slow(self.client, self.spec, took, args);
        self.server.latency.observe("command", took);
    }

    /// Carries out a command for a script; the reply is RESP2.
    pub fn carry_out_for_script(&mut self, args: Args<'_>, is_read_only: bool) -> Result<Vec<u8>, Failure> {
        let spec = self.server.look_up(args).map_err(|refusal| match refusal {
            Failure::Said(text) if text.starts_with(b"ERR unknown") => {
                failure("ERR Unknown Redis command called from script")
            }
            Failure::Said(text) if text.starts_with(b"ERR wrong number") => {
                failure("ERR Wrong number of args calling Redis command from script")
            }
            other => other,
        })?;
        if spec.has(NOSCRIPT) {
            return Err(failure("ERR This Redis command is not allowed from script"));
        }
        if is_read_only && spec.has(WRITE) {
            return Err(failure("ERR Write commands are not allowed from read-only scripts."));
        }
        let mut reply = Reply::new(false);
        if !self.server.monitors.is_empty() && !spec.has(SKIP_MONITOR) {
            self.server.feed_monitors(None, args);
        }
        Call { server: self.server, client: self.client, reply: &mut reply, spec, origin: Origin::Script }
            .carry_out(args);
        Ok(reply.bytes)
    }
}
