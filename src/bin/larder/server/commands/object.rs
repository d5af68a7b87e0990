//! OBJECT: how a value is kept. Here every value is bytes in the log; what is said is what Redis would say of the
//! same value just stored.

use super::super::execute::{Call, Done, Failure, failure};
use super::super::numbers;
use super::super::request::Args;

/// Longest value that Redis keeps together with its head, bytes.
const EMBEDDED_BYTES_MAX: usize = 44;
/// Redis shares the objects of small numbers, and says so by this count.
const SHARED_COUNT: i64 = i32::MAX as i64;

fn ask<R>(call: &mut Call<'_>, args: Args<'_>, f: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, Failure> {
    let found = call.server.store.get_with(args.get(2), f)?;
    if found.is_none() {
        call.reply.null();
    }
    Ok(found)
}

pub fn object_encoding(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let encoding = ask(call, args, |value| match numbers::parse_i64(value) {
        Some(_) => "int",
        None if value.len() <= EMBEDDED_BYTES_MAX => "embstr",
        None => "raw",
    })?;
    if let Some(encoding) = encoding {
        call.reply.bulk(encoding.as_bytes());
    }
    Ok(())
}

pub fn object_refcount(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let is_shared = ask(call, args, |value| numbers::parse_i64(value).is_some_and(|n| (0..10_000).contains(&n)))?;
    if let Some(is_shared) = is_shared {
        call.reply.integer(if is_shared { SHARED_COUNT } else { 1 });
    }
    Ok(())
}

/// The store does not note when a key was read: no key is ever said to have been idle.
pub fn object_idletime(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if ask(call, args, |_| ())?.is_some() {
        call.reply.integer(0);
    }
    Ok(())
}

pub fn object_freq(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if ask(call, args, |_| ())?.is_none() {
        return Ok(());
    }
    Err(failure(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
    ))
}

pub fn object_help(call: &mut Call<'_>, _: Args<'_>) -> Done {
    super::help(
        call,
        "OBJECT",
        &[
            "ENCODING <key>",
            "    How Redis would keep the value.",
            "FREQ <key>",
            "    An error: the frequency of access is not noted.",
            "IDLETIME <key>",
            "    0: the time of access is not noted.",
            "REFCOUNT <key>",
            "    How often Redis would share the value.",
        ],
    )
}
