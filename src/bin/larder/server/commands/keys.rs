//! Keys as such: deleting, renaming, copying, asking.

use super::super::execute::{Call, Done, Failure, SYNTAX_ERROR, failure};
use super::super::keyspace::event;
use super::super::request::Args;
use super::{int, is};
use larder::store::Ttl;

pub const NO_SUCH_KEY: Failure = failure("ERR no such key");

pub fn del(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let mut count = 0;
    for key in args.from(1).iter() {
        if call.server.remove(key)? {
            call.server.notify(event::GENERIC, "del", key);
            count += 1;
        }
    }
    call.reply.integer(count);
    Ok(())
}

pub fn unlink(call: &mut Call<'_>, args: Args<'_>) -> Done {
    del(call, args)
}

pub fn exists(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let mut count = 0;
    for key in args.from(1).iter() {
        let is_there = call.server.exists(key)?;
        call.server.count_lookup(key, is_there);
        count += i64::from(is_there);
    }
    call.reply.integer(count);
    Ok(())
}

pub fn touch(call: &mut Call<'_>, args: Args<'_>) -> Done {
    exists(call, args)
}

pub fn type_of(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let is_there = call.server.exists(args.get(1))?;
    call.reply.simple(if is_there { "string" } else { "none" });
    Ok(())
}

/// Moves a key, with its expiry; false if there is one already that must not be replaced.
fn move_key(call: &mut Call<'_>, args: Args<'_>, replaces: bool) -> Result<bool, Failure> {
    let (source, target) = (args.get(1), args.get(2));
    let held = call.server.held(source)?.ok_or(NO_SUCH_KEY)?;
    if source == target {
        return Ok(replaces);
    }
    if !replaces && call.server.exists(target)? {
        return Ok(false);
    }
    call.server.rename(source, target, &held.value, kept(held.expires_at_ms))?;
    call.server.notify(event::GENERIC, "rename_from", source);
    call.server.notify(event::GENERIC, "rename_to", target);
    Ok(true)
}

/// The expiry of a key that was found with it.
pub fn kept(expires_at_ms: u64) -> Ttl {
    if expires_at_ms == 0 { Ttl::Forever } else { Ttl::Until(expires_at_ms) }
}

pub fn rename(call: &mut Call<'_>, args: Args<'_>) -> Done {
    move_key(call, args, true)?;
    call.reply.ok();
    Ok(())
}

pub fn renamenx(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let is_moved = move_key(call, args, false)?;
    call.reply.integer(i64::from(is_moved));
    Ok(())
}

pub fn copy(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let (source, target) = (args.get(1), args.get(2));
    let (mut replaces, mut i) = (false, 3);
    while i < args.len() {
        if is(args.get(i), "REPLACE") {
            replaces = true;
        } else if is(args.get(i), "DB") && i + 1 < args.len() {
            i += 1;
            if int(args.get(i))? != 0 {
                return Err(failure("ERR DB index is out of range"));
            }
        } else {
            return Err(SYNTAX_ERROR);
        }
        i += 1;
    }
    if source == target {
        return Err(failure("ERR source and destination objects are the same"));
    }
    let Some(held) = call.server.held(source)? else {
        call.reply.integer(0);
        return Ok(());
    };
    if !replaces && call.server.exists(target)? {
        call.reply.integer(0);
        return Ok(());
    }
    call.server.put(target, &held.value, kept(held.expires_at_ms))?;
    call.server.notify(event::GENERIC, "copy_to", target);
    call.reply.integer(1);
    Ok(())
}
