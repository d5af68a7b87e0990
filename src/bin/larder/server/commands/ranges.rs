//! Parts of values: APPEND, STRLEN, GETRANGE, SETRANGE.

use super::super::execute::{Call, Done, Failure, failure};
use super::super::keyspace::event;
use super::super::request::Args;
use super::integer;
use larder::store::Ttl;

/// Refuses a value that would be longer than a request could hold.
pub fn check_len(call: &Call<'_>, len: usize, more: usize) -> Result<(), Failure> {
    match len.checked_add(more).and_then(|len| i64::try_from(len).ok()) {
        Some(len) if len <= call.server.settings.bulk_bytes_max => Ok(()),
        _ => Err(failure("ERR string exceeds maximum allowed size (proto-max-bulk-len)")),
    }
}

pub fn append(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let (key, more) = (args.get(1), args.get(2));
    let mut value = call.server.held(key)?.map(|held| held.value).unwrap_or_default();
    check_len(call, value.len(), more.len())?;
    value.extend_from_slice(more);
    call.server.put(key, &value, Ttl::Keep)?;
    call.server.notify(event::STRING, "append", key);
    call.reply.integer(value.len() as i64);
    Ok(())
}

pub fn strlen(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let len = call.server.find(args.get(1), <[u8]>::len)?;
    call.reply.integer(len.unwrap_or(0) as i64);
    Ok(())
}

pub fn getrange(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let (start, end) = (integer(args.get(2))?, integer(args.get(3))?);
    let reply = &mut *call.reply;
    let found = call.server.find(args.get(1), |value| reply.bulk(range(value, start, end)))?;
    if found.is_none() {
        call.reply.bulk(b"");
    }
    Ok(())
}

pub fn substr(call: &mut Call<'_>, args: Args<'_>) -> Done {
    getrange(call, args)
}

/// The bytes from `start` to `end`, both included, negative ones counted from the end.
fn range(value: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let len = value.len() as i64;
    let from_end = |at: i64| if at < 0 { len.saturating_add(at).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end || len == 0 { b"" } else { &value[start as usize..=end as usize] }
}

pub fn setrange(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let (key, part) = (args.get(1), args.get(3));
    let offset = usize::try_from(integer(args.get(2))?).map_err(|_| failure("ERR offset is out of range"))?;
    let held = call.server.held(key)?;
    if part.is_empty() {
        call.reply.integer(held.map_or(0, |held| held.value.len()) as i64);
        return Ok(());
    }
    check_len(call, offset, part.len())?;
    let mut value = held.map(|held| held.value).unwrap_or_default();
    let end = offset + part.len();
    if value.len() < end {
        value.resize(end, 0);
    }
    value[offset..end].copy_from_slice(part);
    call.server.put(key, &value, Ttl::Keep)?;
    call.server.notify(event::STRING, "setrange", key);
    call.reply.integer(value.len() as i64);
    Ok(())
}
