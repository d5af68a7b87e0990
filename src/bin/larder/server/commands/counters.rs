//! Numbers kept as text: INCR and its kin.

use super::super::execute::{Call, Done, failure};
use super::super::keyspace::event;
use super::super::numbers::{self, Extended};
use super::super::request::Args;
use super::integer;
use larder::store::Ttl;

fn add(call: &mut Call<'_>, key: &[u8], increment: i64) -> Done {
    let present = call.server.peek(key, numbers::parse_i64)?;
    let present = present.map_or(Some(0), |number| number).ok_or(super::NOT_AN_INTEGER)?;
    let sum = present.checked_add(increment).ok_or_else(|| failure("ERR increment or decrement would overflow"))?;
    call.server.put(key, sum.to_string().as_bytes(), Ttl::Keep)?;
    call.server.notify(event::STRING, "incrby", key);
    call.reply.integer(sum);
    Ok(())
}

pub fn incr(call: &mut Call<'_>, args: Args<'_>) -> Done {
    add(call, args.get(1), 1)
}

pub fn decr(call: &mut Call<'_>, args: Args<'_>) -> Done {
    add(call, args.get(1), -1)
}

pub fn incrby(call: &mut Call<'_>, args: Args<'_>) -> Done {
    add(call, args.get(1), integer(args.get(2))?)
}

pub fn decrby(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let decrement = integer(args.get(2))?;
    add(call, args.get(1), decrement.checked_neg().ok_or_else(|| failure("ERR decrement would overflow"))?)
}

pub fn incrbyfloat(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let key = args.get(1);
    let not_a_float = || failure("ERR value is not a valid float");
    let present = match call.server.peek(key, Extended::parse)? {
        Some(number) => number.ok_or_else(not_a_float)?,
        None => Extended::parse(b"0").ok_or_else(not_a_float)?,
    };
    let increment = Extended::parse(args.get(2)).ok_or_else(not_a_float)?;
    let sum = present.add(&increment).ok_or_else(|| failure("ERR increment would produce NaN or Infinity"))?;
    let text = sum.to_text();
    call.server.put(key, text.as_bytes(), Ttl::Keep)?;
    call.server.notify(event::STRING, "incrbyfloat", key);
    call.reply.bulk(text.as_bytes());
    Ok(())
}
