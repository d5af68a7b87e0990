//! DUMP and RESTORE: a value as Redis's own payload, so that keys move between the two.
//!
//! Numbers are packed as Redis packs them; other values are written as they are, and read also where Redis has
//! compressed them. Not here: what a payload looks like (`rdb::payload`).

use super::super::execute::{Call, Done, Failure, SYNTAX_ERROR, failure};
use super::super::keyspace::event;
use super::super::request::Args;
use super::{integer, is};
use crate::rdb::payload::{self, Refusal};
use larder::store::Ttl;

const BAD_DATA: Failure = failure("ERR Bad data format");

/// What RESTORE takes at most, as Redis 7.0 does.
const VERSION_MAX: u16 = 10;

pub fn dump(call: &mut Call<'_>, args: Args<'_>) -> Done {
    match call.server.find(args.get(1), payload::encode)? {
        Some(payload) => call.reply.bulk(&payload),
        None => call.reply.null(),
    }
    Ok(())
}

pub fn restore(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let key = args.get(1);
    let (mut replaces, mut is_absolute, mut i) = (false, false, 4);
    while i < args.len() {
        let more = args.len() - 1 - i;
        if is(args.get(i), "REPLACE") {
            replaces = true;
        } else if is(args.get(i), "ABSTTL") {
            is_absolute = true;
        } else if is(args.get(i), "IDLETIME") && more >= 1 {
            i += 1;
            if integer(args.get(i))? < 0 {
                return Err(failure("ERR Invalid IDLETIME value, must be >= 0"));
            }
        } else if is(args.get(i), "FREQ") && more >= 1 {
            i += 1;
            if !(0..=255).contains(&integer(args.get(i))?) {
                return Err(failure("ERR Invalid FREQ value, must be >= 0 and <= 255"));
            }
        } else {
            return Err(SYNTAX_ERROR);
        }
        i += 1;
    }
    if !replaces && call.server.exists(key)? {
        return Err(failure("BUSYKEY Target key name already exists."));
    }
    let ttl_ms = integer(args.get(2))?;
    if ttl_ms < 0 {
        return Err(failure("ERR Invalid TTL value, must be >= 0"));
    }
    let bytes_max = call.server.settings.bulk_bytes_max.unsigned_abs();
    let value = payload::decode(args.get(3), bytes_max, VERSION_MAX).map_err(|refusal| match refusal {
        Refusal::Footer => failure("ERR DUMP payload version or checksum are wrong"),
        Refusal::OtherType | Refusal::Malformed => BAD_DATA,
    })?;
    let now_ms = call.server.now_ms()?;
    let expires_at_ms = match ttl_ms {
        0 => 0,
        _ if is_absolute => ttl_ms,
        _ => ttl_ms.saturating_add(now_ms),
    };
    if expires_at_ms != 0 && expires_at_ms <= now_ms {
        // Stored and expired in one: the key that was there is gone.
        if call.server.remove(key)? {
            call.server.notify(event::GENERIC, "del", key);
        }
        call.reply.ok();
        return Ok(());
    }
    let ttl = if expires_at_ms == 0 { Ttl::Forever } else { Ttl::Until(expires_at_ms.unsigned_abs()) };
    call.server.put(key, &value, ttl)?;
    call.server.notify(event::GENERIC, "restore", key);
    call.reply.ok();
    Ok(())
}
