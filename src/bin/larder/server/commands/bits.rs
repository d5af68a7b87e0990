//! Values as strings of bits, the highest bit of a byte first.

use super::super::execute::{Call, Done, Failure, SYNTAX_ERROR, failure};
use super::super::keyspace::event;
use super::super::request::Args;
use super::{integer, is};
use larder::store::Ttl;

/// A place of a bit that a value can have.
fn bit_offset(call: &Call<'_>, arg: &[u8]) -> Result<usize, Failure> {
    let out_of_range = || failure("ERR bit offset is not an integer or out of range");
    let offset = integer(arg).map_err(|_| out_of_range())?;
    if offset < 0 || offset >> 3 >= call.server.settings.bulk_bytes_max {
        return Err(out_of_range());
    }
    usize::try_from(offset).map_err(|_| out_of_range())
}

fn bit_at(value: &[u8], offset: usize) -> u8 {
    value.get(offset / 8).map_or(0, |byte| byte >> (7 - offset % 8) & 1)
}

pub fn setbit(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let key = args.get(1);
    let offset = bit_offset(call, args.get(2))?;
    let bad_bit = || failure("ERR bit is not an integer or out of range");
    let bit = integer(args.get(3)).map_err(|_| bad_bit())?;
    if bit & !1 != 0 {
        return Err(bad_bit());
    }
    let held = call.server.held(key)?;
    let is_new = held.is_none();
    let mut value = held.map(|held| held.value).unwrap_or_default();
    let before = bit_at(&value, offset);
    if value.len() <= offset / 8 {
        value.resize(offset / 8 + 1, 0);
    } else if i64::from(before) == bit && !is_new {
        call.reply.integer(bit);
        return Ok(());
    }
    let mask = 1 << (7 - offset % 8);
    if bit == 1 {
        value[offset / 8] |= mask;
    } else {
        value[offset / 8] &= !mask;
    }
    call.server.put(key, &value, Ttl::Keep)?;
    call.server.notify(event::STRING, "setbit", key);
    call.reply.integer(i64::from(before));
    Ok(())
}

pub fn getbit(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let offset = bit_offset(call, args.get(2))?;
    let bit = call.server.find(args.get(1), |value| bit_at(value, offset))?;
    call.reply.integer(i64::from(bit.unwrap_or(0)));
    Ok(())
}

/// Whether the range's unit is a bit.
fn is_bit_unit(arg: &[u8]) -> Result<bool, Failure> {
    match arg {
        _ if is(arg, "BIT") => Ok(true),
        _ if is(arg, "BYTE") => Ok(false),
        _ => Err(SYNTAX_ERROR),
    }
}

/// The bits from `start` to `end`, both included, negative ones counted from the end; `None` for none.
fn bit_range(len: usize, start: i64, end: i64, is_bits: bool) -> Option<(usize, usize)> {
    let total = (len as i64) * if is_bits { 8 } else { 1 };
    let clamp = |at: i64| if at < 0 { total.saturating_add(at).max(0) } else { at };
    let (start, end) = (clamp(start), clamp(end).min(total - 1));
    if start > end {
        return None;
    }
    let (start, end) = (start as usize, end as usize);
    Some(if is_bits { (start, end) } else { (start * 8, end * 8 + 7) })
}

fn count_ones(value: &[u8], from: usize, to: usize) -> u64 {
    let (first, last) = (from / 8, to / 8);
    let head = 0xFF_u8 >> (from % 8);
    let tail = 0xFF_u8 << (7 - to % 8);
    if first == last {
        return u64::from((value[first] & head & tail).count_ones());
    }
    let ends = (value[first] & head).count_ones() + (value[last] & tail).count_ones();
    u64::from(ends) + value[first + 1..last].iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

pub fn bitcount(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if !call.server.exists(args.get(1))? {
        call.reply.integer(0);
        return Ok(());
    }
    let range = match args.len() {
        2 => None,
        4 | 5 => {
            let (start, end) = (integer(args.get(2))?, integer(args.get(3))?);
            if start < 0 && end < 0 && start > end {
                call.reply.integer(0);
                return Ok(());
            }
            let is_bits = if args.len() == 5 { is_bit_unit(args.get(4))? } else { false };
            Some((start, end, is_bits))
        }
        _ => return Err(SYNTAX_ERROR),
    };
    let count = call.server.find(args.get(1), |value| {
        let (start, end, is_bits) = range.unwrap_or((0, -1, false));
        bit_range(value.len(), start, end, is_bits).map_or(0, |(from, to)| count_ones(value, from, to))
    })?;
    call.reply.integer(count.unwrap_or(0) as i64);
    Ok(())
}

pub fn bitpos(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let bit = integer(args.get(2))?;
    if bit != 0 && bit != 1 {
        return Err(failure("ERR The bit argument must be 1 or 0."));
    }
    let Some(value) = call.server.find(args.get(1), <[u8]>::to_vec)? else {
        call.reply.integer(if bit == 1 { -1 } else { 0 });
        return Ok(());
    };
    if args.len() > 6 {
        return Err(SYNTAX_ERROR);
    }
    let start = if args.len() >= 4 { integer(args.get(3))? } else { 0 };
    let is_bits = if args.len() == 6 { is_bit_unit(args.get(5))? } else { false };
    let end = if args.len() >= 5 { integer(args.get(4))? } else { -1 };
    let position = bit_range(value.len(), start, end, is_bits).map(|(from, to)| {
        let found = (from..=to).find(|at| i64::from(bit_at(&value, *at)) == bit);
        match found {
            Some(at) => at as i64,
            // Behind the end of a value there are zeros, unless an end was named.
            None if bit == 0 && args.len() < 5 => value.len() as i64 * 8,
            None => -1,
        }
    });
    call.reply.integer(position.unwrap_or(-1));
    Ok(())
}

pub fn bitop(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let (name, target) = (args.get(1), args.get(2));
    let combine: fn(u8, u8) -> u8 = match name.to_ascii_lowercase().as_slice() {
        b"and" => |a, b| a & b,
        b"or" => |a, b| a | b,
        b"xor" => |a, b| a ^ b,
        b"not" => |_, b| !b,
        _ => return Err(SYNTAX_ERROR),
    };
    let is_not = is(name, "NOT");
    if is_not && args.len() != 4 {
        return Err(failure("ERR BITOP NOT must be called with a single source key."));
    }
    let mut sources = Vec::new();
    for key in args.from(3).iter() {
        sources.push(call.server.find(key, <[u8]>::to_vec)?.unwrap_or_default());
    }
    let len = sources.iter().map(Vec::len).max().unwrap_or(0);
    let mut result = sources.remove(0);
    result.resize(len, 0);
    if is_not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    for source in &sources {
        for (i, byte) in result.iter_mut().enumerate() {
            *byte = combine(*byte, source.get(i).copied().unwrap_or(0));
        }
    }
    if len > 0 {
        call.server.put(target, &result, Ttl::Forever)?;
        call.server.notify(event::STRING, "set", target);
    } else if call.server.remove(target)? {
        call.server.notify(event::GENERIC, "del", target);
    }
    call.reply.integer(len as i64);
    Ok(())
}
