//! Every command there is: its name, how many arguments it takes, where its keys stand, who carries it out.
//!
//! The figures are Redis 7's, so that clients which ask (COMMAND) get the answers they know.

use super::commands::*;
use super::execute::{Handler, container};

pub const WRITE: u32 = 1;
pub const READONLY: u32 = 1 << 1;
pub const DENYOOM: u32 = 1 << 2;
pub const ADMIN: u32 = 1 << 3;
pub const PUBSUB: u32 = 1 << 4;
pub const NOSCRIPT: u32 = 1 << 5;
pub const LOADING: u32 = 1 << 6;
pub const STALE: u32 = 1 << 7;
pub const FAST: u32 = 1 << 8;
pub const NO_AUTH: u32 = 1 << 9;
pub const NO_MULTI: u32 = 1 << 10;
pub const SKIP_MONITOR: u32 = 1 << 11;
pub const SKIP_SLOWLOG: u32 = 1 << 12;
pub const MOVABLEKEYS: u32 = 1 << 13;
pub const NO_MANDATORY_KEYS: u32 = 1 << 14;
pub const NO_ASYNC_LOADING: u32 = 1 << 15;
pub const ALLOW_BUSY: u32 = 1 << 16;

/// What each flag is called, in the order in which COMMAND INFO lists them.
pub const FLAG_NAMES: [(u32, &str); 17] = [
    (WRITE, "write"),
    (READONLY, "readonly"),
    (DENYOOM, "denyoom"),
    (ADMIN, "admin"),
    (PUBSUB, "pubsub"),
    (NOSCRIPT, "noscript"),
    (LOADING, "loading"),
    (STALE, "stale"),
    (SKIP_MONITOR, "skip_monitor"),
    (SKIP_SLOWLOG, "skip_slowlog"),
    (FAST, "fast"),
    (NO_AUTH, "no_auth"),
    (NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (NO_ASYNC_LOADING, "no_async_loading"),
    (NO_MULTI, "no_multi"),
    (MOVABLEKEYS, "movablekeys"),
    (ALLOW_BUSY, "allow_busy"),
];

/// One command, or one of a command's subcommands (`config|get`).
pub struct Spec {
    pub name: &'static str,
    /// Arguments, the name included; negative: at least so many.
    pub arity: i32,
    pub flags: u32,
    /// Which arguments are keys: the first, the last (negative: counted from the end), every how many.
    pub keys: (i32, i32, i32),
    pub handler: Handler,
    pub subcommands: &'static [Spec],
}

impl Spec {
    const fn new(name: &'static str, arity: i32, flags: u32, keys: (i32, i32, i32), handler: Handler) -> Self {
        Self { name, arity, flags, keys, handler, subcommands: &[] }
    }

    const fn with(mut self, subcommands: &'static [Spec]) -> Self {
        self.subcommands = subcommands;
        self
    }

    pub fn takes(&self, count: usize) -> bool {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let arity = i64::from(self.arity);
        if arity < 0 { count >= -arity } else { count == arity }
    }

    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

const CONNECTION: &[Spec] = &[
    Spec::new("hello", -1, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY, (0, 0, 0), connection::hello),
    Spec::new("auth", -2, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY, (0, 0, 0), connection::auth),
    Spec::new("ping", -1, FAST, (0, 0, 0), connection::ping),
    Spec::new("echo", 2, LOADING | STALE | FAST, (0, 0, 0), connection::echo),
    Spec::new("quit", -1, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY, (0, 0, 0), connection::quit),
    Spec::new("reset", 1, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY, (0, 0, 0), connection::reset),
    Spec::new("select", 2, LOADING | STALE | FAST, (0, 0, 0), connection::select),
    Spec::new("time", 1, LOADING | STALE | FAST, (0, 0, 0), connection::time),
    Spec::new("client", -2, 0, (0, 0, 0), container).with(&[
        Spec::new("client|id", 2, NOSCRIPT | LOADING | STALE, (0, 0, 0), client::client_id),
        Spec::new("client|info", 2, NOSCRIPT | LOADING | STALE, (0, 0, 0), client::client_info),
        Spec::new("client|list", -2, ADMIN | NOSCRIPT | LOADING | STALE, (0, 0, 0), client::client_list),
        Spec::new("client|kill", -3, ADMIN | NOSCRIPT | LOADING | STALE, (0, 0, 0), client::client_kill),
        Spec::new("client|setname", 3, NOSCRIPT | LOADING | STALE, (0, 0, 0), client::client_setname),
        Spec::new("client|getname", 2, NOSCRIPT | LOADING | STALE, (0, 0, 0), client::client_getname),
        Spec::new("client|setinfo", 4, NOSCRIPT | LOADING | STALE, (0, 0, 0), client::client_setinfo),
        Spec::new("client|reply", 3, NOSCRIPT | LOADING | STALE, (0, 0, 0), client::client_reply),
        Spec::new("client|no-evict", 3, ADMIN | NOSCRIPT | LOADING | STALE, (0, 0, 0), client::client_no_evict),
        Spec::new("client|no-touch", 3, NOSCRIPT | LOADING | STALE, (0, 0, 0), client::client_no_touch),
        Spec::new("client|help", 2, LOADING | STALE, (0, 0, 0), client::client_help),
    ]),
];

const SERVER: &[Spec] = &[
    Spec::new("command", -1, LOADING | STALE, (0, 0, 0), about::command).with(&[
        Spec::new("command|count", 2, LOADING | STALE, (0, 0, 0), about::command_count),
        Spec::new("command|docs", -2, LOADING | STALE, (0, 0, 0), about::command_docs),
        Spec::new("command|info", -2, LOADING | STALE, (0, 0, 0), about::command_info),
        Spec::new("command|list", -2, LOADING | STALE, (0, 0, 0), about::command_list),
        Spec::new("command|getkeys", -4, LOADING | STALE, (0, 0, 0), about::command_getkeys),
        Spec::new("command|help", 2, LOADING | STALE, (0, 0, 0), about::command_help),
    ]),
    Spec::new("dbsize", 1, READONLY | FAST, (0, 0, 0), server::dbsize),
    Spec::new("lastsave", 1, LOADING | STALE | FAST, (0, 0, 0), server::lastsave),
    Spec::new("save", 1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI, (0, 0, 0), server::save),
    Spec::new("bgsave", -1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING, (0, 0, 0), server::bgsave),
    Spec::new("bgrewriteaof", 1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING, (0, 0, 0), server::bgrewriteaof),
    Spec::new("shutdown", -1, ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY, (0, 0, 0), server::shutdown),
    Spec::new("wait", 3, NOSCRIPT, (0, 0, 0), server::wait),
    Spec::new("config", -2, 0, (0, 0, 0), container).with(&[
        Spec::new("config|get", -3, ADMIN | NOSCRIPT | LOADING | STALE, (0, 0, 0), config::config_get),
        Spec::new("config|set", -4, ADMIN | NOSCRIPT | LOADING | STALE, (0, 0, 0), config::config_set),
        Spec::new("config|resetstat", 2, ADMIN | NOSCRIPT | LOADING | STALE, (0, 0, 0), config::config_resetstat),
        Spec::new("config|help", 2, LOADING | STALE, (0, 0, 0), config::config_help),
    ]),
    Spec::new("info", -1, LOADING | STALE, (0, 0, 0), info::info),
    Spec::new("memory", -2, 0, (0, 0, 0), container).with(&[
        Spec::new("memory|usage", -3, READONLY, (2, 2, 1), watching::memory_usage),
        Spec::new("memory|help", 2, LOADING | STALE, (0, 0, 0), watching::memory_help),
    ]),
    Spec::new("monitor", 1, ADMIN | NOSCRIPT | LOADING | STALE, (0, 0, 0), watching::monitor),
    Spec::new("slowlog", -2, 0, (0, 0, 0), container).with(&[
        Spec::new("slowlog|get", -2, ADMIN | LOADING | STALE, (0, 0, 0), watching::slowlog_get),
        Spec::new("slowlog|len", 2, ADMIN | LOADING | STALE, (0, 0, 0), watching::slowlog_len),
        Spec::new("slowlog|reset", 2, ADMIN | LOADING | STALE, (0, 0, 0), watching::slowlog_reset),
        Spec::new("slowlog|help", 2, LOADING | STALE, (0, 0, 0), watching::slowlog_help),
    ]),
    Spec::new("latency", -2, 0, (0, 0, 0), container).with(&[
        Spec::new("latency|latest", 2, ADMIN | NOSCRIPT | LOADING | STALE, (0, 0, 0), watching::latency_latest),
        Spec::new("latency|history", 3, ADMIN | NOSCRIPT | LOADING | STALE, (0, 0, 0), watching::latency_history),
        Spec::new("latency|reset", -2, ADMIN | NOSCRIPT | LOADING | STALE, (0, 0, 0), watching::latency_reset),
        Spec::new("latency|help", 2, LOADING | STALE, (0, 0, 0), watching::latency_help),
    ]),
    Spec::new("flushdb", -1, WRITE, (0, 0, 0), server::flushdb),
    Spec::new("flushall", -1, WRITE, (0, 0, 0), server::flushall),
];

const STRING: &[Spec] = &[
    Spec::new("get", 2, READONLY | FAST, (1, 1, 1), strings::get),
    Spec::new("set", -3, WRITE | DENYOOM, (1, 1, 1), strings::set),
    Spec::new("setnx", 3, WRITE | DENYOOM | FAST, (1, 1, 1), strings::setnx),
    Spec::new("setex", 4, WRITE | DENYOOM, (1, 1, 1), strings::setex),
    Spec::new("psetex", 4, WRITE | DENYOOM, (1, 1, 1), strings::psetex),
    Spec::new("getset", 3, WRITE | DENYOOM | FAST, (1, 1, 1), strings::getset),
    Spec::new("getdel", 2, WRITE | FAST, (1, 1, 1), strings::getdel),
    Spec::new("getex", -2, WRITE | FAST, (1, 1, 1), strings::getex),
    Spec::new("mget", -2, READONLY | FAST, (1, -1, 1), strings::mget),
    Spec::new("mset", -3, WRITE | DENYOOM, (1, -1, 2), strings::mset),
    Spec::new("msetnx", -3, WRITE | DENYOOM, (1, -1, 2), strings::msetnx),
    Spec::new("append", 3, WRITE | DENYOOM | FAST, (1, 1, 1), ranges::append),
    Spec::new("strlen", 2, READONLY | FAST, (1, 1, 1), ranges::strlen),
    Spec::new("getrange", 4, READONLY, (1, 1, 1), ranges::getrange),
    Spec::new("substr", 4, READONLY, (1, 1, 1), ranges::substr),
    Spec::new("setrange", 4, WRITE | DENYOOM, (1, 1, 1), ranges::setrange),
    Spec::new("incr", 2, WRITE | DENYOOM | FAST, (1, 1, 1), counters::incr),
    Spec::new("decr", 2, WRITE | DENYOOM | FAST, (1, 1, 1), counters::decr),
    Spec::new("incrby", 3, WRITE | DENYOOM | FAST, (1, 1, 1), counters::incrby),
    Spec::new("decrby", 3, WRITE | DENYOOM | FAST, (1, 1, 1), counters::decrby),
    Spec::new("incrbyfloat", 3, WRITE | DENYOOM | FAST, (1, 1, 1), counters::incrbyfloat),
    Spec::new("lcs", -3, READONLY, (1, 2, 1), lcs::lcs),
];

const BITMAP: &[Spec] = &[
    Spec::new("setbit", 4, WRITE | DENYOOM, (1, 1, 1), bits::setbit),
    Spec::new("getbit", 3, READONLY | FAST, (1, 1, 1), bits::getbit),
    Spec::new("bitcount", -2, READONLY, (1, 1, 1), bits::bitcount),
    Spec::new("bitpos", -3, READONLY, (1, 1, 1), bits::bitpos),
    Spec::new("bitop", -4, WRITE | DENYOOM, (2, -1, 1), bits::bitop),
];

const GENERIC: &[Spec] = &[
    Spec::new("del", -2, WRITE, (1, -1, 1), keys::del),
    Spec::new("unlink", -2, WRITE | FAST, (1, -1, 1), keys::unlink),
    Spec::new("exists", -2, READONLY | FAST, (1, -1, 1), keys::exists),
    Spec::new("type", 2, READONLY | FAST, (1, 1, 1), keys::type_of),
    Spec::new("ttl", 2, READONLY | FAST, (1, 1, 1), expiry::ttl),
    Spec::new("pttl", 2, READONLY | FAST, (1, 1, 1), expiry::pttl),
    Spec::new("expire", -3, WRITE | FAST, (1, 1, 1), expiry::expire),
    Spec::new("pexpire", -3, WRITE | FAST, (1, 1, 1), expiry::pexpire),
    Spec::new("expireat", -3, WRITE | FAST, (1, 1, 1), expiry::expireat),
    Spec::new("pexpireat", -3, WRITE | FAST, (1, 1, 1), expiry::pexpireat),
    Spec::new("expiretime", 2, READONLY | FAST, (1, 1, 1), expiry::expiretime),
    Spec::new("pexpiretime", 2, READONLY | FAST, (1, 1, 1), expiry::pexpiretime),
    Spec::new("persist", 2, WRITE | FAST, (1, 1, 1), expiry::persist),
    Spec::new("keys", 2, READONLY, (0, 0, 0), scan::keys),
    Spec::new("scan", -2, READONLY, (0, 0, 0), scan::scan),
    Spec::new("randomkey", 1, READONLY, (0, 0, 0), scan::randomkey),
    Spec::new("rename", 3, WRITE, (1, 2, 1), keys::rename),
    Spec::new("renamenx", 3, WRITE | FAST, (1, 2, 1), keys::renamenx),
    Spec::new("copy", -3, WRITE | DENYOOM, (1, 2, 1), keys::copy),
    Spec::new("touch", -2, READONLY | FAST, (1, -1, 1), keys::touch),
    Spec::new("dump", 2, READONLY, (1, 1, 1), dump::dump),
    Spec::new("restore", -4, WRITE | DENYOOM, (1, 1, 1), dump::restore),
    Spec::new("object", -2, 0, (0, 0, 0), container).with(&[
        Spec::new("object|encoding", 3, READONLY, (2, 2, 1), object::object_encoding),
        Spec::new("object|freq", 3, READONLY, (2, 2, 1), object::object_freq),
        Spec::new("object|idletime", 3, READONLY, (2, 2, 1), object::object_idletime),
        Spec::new("object|refcount", 3, READONLY, (2, 2, 1), object::object_refcount),
        Spec::new("object|help", 2, LOADING | STALE, (0, 0, 0), object::object_help),
    ]),
];

const TRANSACTIONS: &[Spec] = &[
    Spec::new("multi", 1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY, (0, 0, 0), transactions::multi),
    Spec::new("exec", 1, NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG, (0, 0, 0), transactions::exec),
    Spec::new("discard", 1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY, (0, 0, 0), transactions::discard),
    Spec::new("watch", -2, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY, (1, -1, 1), transactions::watch),
    Spec::new("unwatch", 1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY, (0, 0, 0), transactions::unwatch),
];

const PUBSUB_GROUP: &[Spec] = &[
    Spec::new("subscribe", -2, PUBSUB | NOSCRIPT | LOADING | STALE, (0, 0, 0), pubsub::subscribe),
    Spec::new("unsubscribe", -1, PUBSUB | NOSCRIPT | LOADING | STALE, (0, 0, 0), pubsub::unsubscribe),
    Spec::new("psubscribe", -2, PUBSUB | NOSCRIPT | LOADING | STALE, (0, 0, 0), pubsub::psubscribe),
    Spec::new("punsubscribe", -1, PUBSUB | NOSCRIPT | LOADING | STALE, (0, 0, 0), pubsub::punsubscribe),
    Spec::new("publish", 3, PUBSUB | LOADING | STALE | FAST, (0, 0, 0), pubsub::publish),
    Spec::new("pubsub", -2, 0, (0, 0, 0), container).with(&[
        Spec::new("pubsub|channels", -2, PUBSUB | LOADING | STALE, (0, 0, 0), pubsub::pubsub_channels),
        Spec::new("pubsub|numsub", -2, PUBSUB | LOADING | STALE, (0, 0, 0), pubsub::pubsub_numsub),
        Spec::new("pubsub|numpat", 2, PUBSUB | LOADING | STALE, (0, 0, 0), pubsub::pubsub_numpat),
        Spec::new("pubsub|help", 2, LOADING | STALE, (0, 0, 0), pubsub::pubsub_help),
    ]),
];

const SCRIPTING: &[Spec] = &[
    Spec::new("eval", -3, NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | MOVABLEKEYS, (0, 0, 0), scripts::eval),
    Spec::new(
        "evalsha",
        -3,
        NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | MOVABLEKEYS,
        (0, 0, 0),
        scripts::evalsha,
    ),
    Spec::new(
        "eval_ro",
        -3,
        READONLY | NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | MOVABLEKEYS,
        (0, 0, 0),
        scripts::eval_ro,
    ),
    Spec::new(
        "evalsha_ro",
        -3,
        READONLY | NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | MOVABLEKEYS,
        (0, 0, 0),
        scripts::evalsha_ro,
    ),
    Spec::new("script", -2, 0, (0, 0, 0), container).with(&[
        Spec::new("script|load", 3, NOSCRIPT | STALE, (0, 0, 0), scripts::script_load),
        Spec::new("script|exists", -3, NOSCRIPT, (0, 0, 0), scripts::script_exists),
        Spec::new("script|flush", -2, NOSCRIPT, (0, 0, 0), scripts::script_flush),
        Spec::new("script|help", 2, LOADING | STALE, (0, 0, 0), scripts::script_help),
    ]),
];

/// All of them, by group.
pub const GROUPS: [(&str, &[Spec]); 8] = [
    ("connection", CONNECTION),
    ("server", SERVER),
    ("string", STRING),
    ("bitmap", BITMAP),
    ("generic", GENERIC),
    ("transactions", TRANSACTIONS),
    ("pubsub", PUBSUB_GROUP),
    ("scripting", SCRIPTING),
];

/// Finds commands by name, in any case.
pub struct Table {
    /// Ordered by the name's bytes as one number.
    specs: Vec<(u128, &'static Spec)>,
}

impl Table {
    pub fn new() -> Self {
        let all = GROUPS.iter().flat_map(|(_, specs)| specs.iter());
        let mut specs: Vec<_> = all.filter_map(|spec| Some((name_number(spec.name.as_bytes())?, spec))).collect();
        specs.sort_by_key(|(number, _)| *number);
        Self { specs }
    }

    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&'static Spec> {
        let number = name_number(name)?;
        let at = self.specs.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(self.specs[at].1)
    }

    pub fn count(&self) -> usize {
        self.specs.len()
    }
}

/// The name in small letters as a number; `None` if it is longer than any command's.
#[inline]
fn name_number(name: &[u8]) -> Option<u128> {
    let mut bytes = [0_u8; 16];
    bytes.get_mut(..name.len())?.copy_from_slice(name);
    bytes.make_ascii_lowercase();
    Some(u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_name_in_any_case() {
        let table = Table::new();
        let all: Vec<_> = GROUPS.iter().flat_map(|(_, specs)| specs.iter()).collect();
        assert_eq!(table.count(), all.len());
        for spec in all {
            assert!(table.find(spec.name.to_uppercase().as_bytes()).is_some_and(|found| found.name == spec.name));
        }
        assert!(table.find(b"hset").is_none());
        assert!(table.find(b"a name that is far too long").is_none());
    }
}
