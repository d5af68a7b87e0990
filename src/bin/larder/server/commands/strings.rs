//! SET and GET in their many forms.

use super::super::execute::{Call, Done, Failure, SYNTAX_ERROR, failure_of};
use super::super::keyspace::event;
use super::super::request::Args;
use super::{integer, is};
use larder::store::Ttl;

/// The options of SET and GETEX.
#[derive(Default)]
struct Options<'a> {
    is_absent: bool,
    is_present: bool,
    gets: bool,
    keeps_ttl: bool,
    persists: bool,
    expiry: Option<(&'a [u8], Unit)>,
}

/// How a moment is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    pub is_seconds: bool,
    /// From now on, not since 1970.
    pub is_relative: bool,
}

/// Longer keys are not in a store, and it refuses to look for them.
const KEY_BYTES_MAX: usize = u16::MAX as usize;

pub const SECONDS: Unit = Unit { is_seconds: true, is_relative: true };
pub const MILLISECONDS: Unit = Unit { is_seconds: false, is_relative: true };
pub const UNIX_SECONDS: Unit = Unit { is_seconds: true, is_relative: false };
pub const UNIX_MILLISECONDS: Unit = Unit { is_seconds: false, is_relative: false };

impl<'a> Options<'a> {
    /// Parses the options from the argument at `from` on; `is_set`: those of SET, else those of GETEX.
    fn parse(args: Args<'a>, from: usize, is_set: bool) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut i = from;
        while i < args.len() {
            let arg = args.get(i);
            let has_next = i + 1 < args.len();
            let unit = [("EX", SECONDS), ("PX", MILLISECONDS), ("EXAT", UNIX_SECONDS), ("PXAT", UNIX_MILLISECONDS)]
                .iter()
                .find(|(name, _)| is(arg, name))
                .map(|(_, unit)| *unit);
            if is_set && is(arg, "NX") && !options.is_present {
                options.is_absent = true;
            } else if is_set && is(arg, "XX") && !options.is_absent {
                options.is_present = true;
            } else if is_set && is(arg, "GET") {
                options.gets = true;
            } else if is_set && is(arg, "KEEPTTL") && options.expiry.is_none() {
                options.keeps_ttl = true;
            } else if !is_set && is(arg, "PERSIST") && options.expiry.is_none() {
                options.persists = true;
            } else if let Some(unit) = unit
                && !options.keeps_ttl
                && !options.persists
                && options.expiry.is_none_or(|(_, earlier)| earlier == unit)
                && has_next
            {
                i += 1;
                options.expiry = Some((args.get(i), unit));
            } else {
                return Err(SYNTAX_ERROR);
            }
            i += 1;
        }
        Ok(options)
    }
}

/// When that is, in Unix milliseconds; it must be after 1970, but may have passed.
pub fn expires_at_ms(call: &Call<'_>, arg: &[u8], unit: Unit) -> Result<i64, Failure> {
    let invalid = || failure_of(format!("ERR invalid expire time in '{}' command", call.spec.name));
    let given = integer(arg)?;
    if given <= 0 {
        return Err(invalid());
    }
    let ms = if unit.is_seconds { given.checked_mul(1_000).ok_or_else(invalid)? } else { given };
    if unit.is_relative { ms.checked_add(call.server.now_ms()?).ok_or_else(invalid) } else { Ok(ms) }
}

pub fn until(expires_at_ms: i64) -> Ttl {
    Ttl::Until(expires_at_ms.unsigned_abs())
}

pub fn get(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let reply = &mut *call.reply;
    let found = call.server.find(args.get(1), |value| reply.bulk(value))?;
    if found.is_none() {
        call.reply.null();
    }
    Ok(())
}

pub fn set(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let (key, value) = (args.get(1), args.get(2));
    if args.len() == 3 {
        call.server.put(key, value, Ttl::Forever)?;
        call.server.notify(event::STRING, "set", key);
        call.reply.ok();
        return Ok(());
    }
    let options = Options::parse(args, 3, true)?;
    let expiry = match options.expiry {
        Some((arg, unit)) => Some(expires_at_ms(call, arg, unit)?),
        None => None,
    };
    if options.gets {
        get(call, args)?;
    }
    if options.is_absent || options.is_present {
        let is_there = call.server.exists(key)?;
        if is_there == options.is_absent {
            if !options.gets {
                call.reply.null();
            }
            return Ok(());
        }
    }
    let ttl = match expiry {
        Some(expires_at_ms) => until(expires_at_ms),
        None if options.keeps_ttl => Ttl::Keep,
        None => Ttl::Forever,
    };
    call.server.put(key, value, ttl)?;
    call.server.notify(event::STRING, "set", key);
    if expiry.is_some() {
        call.server.notify(event::GENERIC, "expire", key);
    }
    if !options.gets {
        call.reply.ok();
    }
    Ok(())
}

pub fn setnx(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let key = args.get(1);
    let is_there = call.server.exists(key)?;
    if !is_there {
        call.server.put(key, args.get(2), Ttl::Forever)?;
        call.server.notify(event::STRING, "set", key);
    }
    call.reply.integer(i64::from(!is_there));
    Ok(())
}

fn set_expiring(call: &mut Call<'_>, args: Args<'_>, unit: Unit) -> Done {
    let key = args.get(1);
    let expires_at_ms = expires_at_ms(call, args.get(2), unit)?;
    call.server.put(key, args.get(3), until(expires_at_ms))?;
    call.server.notify(event::STRING, "set", key);
    call.server.notify(event::GENERIC, "expire", key);
    call.reply.ok();
    Ok(())
}

pub fn setex(call: &mut Call<'_>, args: Args<'_>) -> Done {
    set_expiring(call, args, SECONDS)
}

pub fn psetex(call: &mut Call<'_>, args: Args<'_>) -> Done {
    set_expiring(call, args, MILLISECONDS)
}

pub fn getset(call: &mut Call<'_>, args: Args<'_>) -> Done {
    get(call, args)?;
    call.server.put(args.get(1), args.get(2), Ttl::Forever)?;
    call.server.notify(event::STRING, "set", args.get(1));
    Ok(())
}

pub fn getdel(call: &mut Call<'_>, args: Args<'_>) -> Done {
    get(call, args)?;
    if call.server.remove(args.get(1))? {
        call.server.notify(event::GENERIC, "del", args.get(1));
    }
    Ok(())
}

pub fn getex(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let key = args.get(1);
    let options = Options::parse(args, 2, false)?;
    let Some(before) = call.server.expiry(key)? else {
        call.server.count_lookup(key, false);
        call.reply.null();
        return Ok(());
    };
    let expiry = match options.expiry {
        Some((arg, unit)) => Some((expires_at_ms(call, arg, unit)?, unit)),
        None => None,
    };
    get(call, args)?;
    match expiry {
        Some((expires_at_ms, unit)) if !unit.is_relative && expires_at_ms <= call.server.now_ms()? => {
            call.server.remove(key)?;
            call.server.notify(event::GENERIC, "del", key);
        }
        Some((expires_at_ms, _)) => {
            call.server.set_expiry(key, expires_at_ms.unsigned_abs())?;
            call.server.notify(event::GENERIC, "expire", key);
        }
        None if options.persists && before != 0 => {
            call.server.set_expiry(key, 0)?;
            call.server.notify(event::GENERIC, "persist", key);
        }
        None => {}
    }
    Ok(())
}

pub fn mget(call: &mut Call<'_>, args: Args<'_>) -> Done {
    call.reply.array(args.len() - 1);
    if args.from(1).iter().all(|key| key.len() <= KEY_BYTES_MAX) {
        return mget_together(call, args.from(1));
    }
    for key in args.from(1).iter() {
        let reply = &mut *call.reply;
        if call.server.find(key, |value| reply.bulk(value))?.is_none() {
            call.reply.null();
        }
    }
    Ok(())
}

/// Looks the keys up in one go, so that their cache misses overlap.
fn mget_together(call: &mut Call<'_>, keys: Args<'_>) -> Done {
    let keys: Vec<&[u8]> = keys.iter().collect();
    let mut outcome = Ok(());
    let mut missing = Vec::new();
    let reply = &mut *call.reply;
    call.server.store.get_many_with(&keys, |i, found| {
        match found {
            Ok(Some(value)) => reply.bulk(value),
            Ok(None) => {
                missing.push(i);
                reply.null();
            }
            Err(error) => outcome = Err(error),
        }
        outcome.is_ok()
    })?;
    outcome?;
    call.server.stats.hits += (keys.len() - missing.len()) as u64;
    for i in missing {
        call.server.count_lookup(keys[i], false);
    }
    Ok(())
}

fn set_all(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let pairs: Vec<_> = (1..args.len()).step_by(2).map(|i| (args.get(i), args.get(i + 1))).collect();
    call.server.put_all(&pairs)?;
    for (key, _) in pairs {
        call.server.notify(event::STRING, "set", key);
    }
    Ok(())
}

pub fn mset(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if args.len().is_multiple_of(2) {
        return Err(call.wrong_arity());
    }
    set_all(call, args)?;
    call.reply.ok();
    Ok(())
}

pub fn msetnx(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if args.len().is_multiple_of(2) {
        return Err(call.wrong_arity());
    }
    for i in (1..args.len()).step_by(2) {
        if call.server.exists(args.get(i))? {
            call.reply.integer(0);
            return Ok(());
        }
    }
    set_all(call, args)?;
    call.reply.integer(1);
    Ok(())
}
