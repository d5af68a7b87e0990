//! What is asked by those who look after the server: SLOWLOG, LATENCY, MEMORY, MONITOR.

use super::super::execute::{Call, Done, failure};
use super::super::numbers;
use super::super::request::Args;
use super::{SYNTAX_ERROR, is};

/// Bytes of a record besides its key and value, before it is padded to a multiple of 8.
const RECORD_HEAD_BYTES: u64 = 32;
/// Bytes of memory that the index takes for a key, at most.
const ENTRY_BYTES_MAX: u64 = 16;

pub fn slowlog_get(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if args.len() > 3 {
        return Err(call.wrong_subcommand_arity(args));
    }
    let mut count = 10;
    if args.len() == 3 {
        let wanted = numbers::parse_i64(args.get(2)).filter(|wanted| *wanted >= -1);
        let wanted = wanted.ok_or_else(|| failure("ERR count should be greater than or equal to -1"))?;
        count = usize::try_from(wanted).unwrap_or(usize::MAX);
    }
    let shown = count.min(call.server.slow.entries.len());
    call.reply.array(shown);
    for entry in call.server.slow.entries.iter().take(shown) {
        call.reply.array(6);
        call.reply.integer(entry.id as i64);
        call.reply.integer(entry.at_s as i64);
        call.reply.integer(entry.took_us as i64);
        call.reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| call.reply.bulk(arg));
        call.reply.bulk(entry.addr.as_bytes());
        call.reply.bulk(&entry.name);
    }
    Ok(())
}

pub fn slowlog_len(call: &mut Call<'_>, _: Args<'_>) -> Done {
    call.reply.integer(call.server.slow.entries.len() as i64);
    Ok(())
}

pub fn slowlog_reset(call: &mut Call<'_>, _: Args<'_>) -> Done {
    call.server.slow.entries.clear();
    call.reply.ok();
    Ok(())
}

pub fn slowlog_help(call: &mut Call<'_>, _: Args<'_>) -> Done {
    super::help(
        call,
        "SLOWLOG",
        &[
            "GET [<count>]",
            "    The newest entries, 10 unless a count is given, -1 for all: number, Unix seconds,",
            "    microseconds, arguments, address and name of the client.",
            "LEN",
            "    How many entries there are.",
            "RESET",
            "    Forget them.",
        ],
    )
}

pub fn latency_latest(call: &mut Call<'_>, _: Args<'_>) -> Done {
    call.reply.array(call.server.latency.events.len());
    for (name, spikes) in &call.server.latency.events {
        let (at_s, took_ms) = spikes.samples.back().copied().unwrap_or_default();
        call.reply.array(4);
        call.reply.bulk(name.as_bytes());
        for value in [at_s, took_ms, spikes.worst_ms] {
            call.reply.integer(value as i64);
        }
    }
    Ok(())
}

pub fn latency_history(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let name = String::from_utf8_lossy(args.get(2)).into_owned();
    let samples = call.server.latency.events.get(name.as_str()).map(|spikes| spikes.samples.clone());
    let samples = samples.unwrap_or_default();
    call.reply.array(samples.len());
    for (at_s, took_ms) in samples {
        call.reply.array(2);
        call.reply.integer(at_s as i64);
        call.reply.integer(took_ms as i64);
    }
    Ok(())
}

pub fn latency_reset(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let events = &mut call.server.latency.events;
    let before = events.len();
    if args.len() == 2 {
        events.clear();
    } else {
        events.retain(|name, _| !args.from(2).iter().any(|wanted| wanted == name.as_bytes()));
    }
    let count = before - events.len();
    call.reply.integer(count as i64);
    Ok(())
}

pub fn latency_help(call: &mut Call<'_>, _: Args<'_>) -> Done {
    super::help(
        call,
        "LATENCY",
        &[
            "HISTORY <event>",
            "    When an event took long, and how many milliseconds.",
            "LATEST",
            "    The last time for each event, and the worst.",
            "RESET [<event> ...]",
            "    Forget all events, or these.",
        ],
    )
}

/// What the key takes: its record in the log and its entry of the index.
pub fn memory_usage(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let mut i = 3;
    while i < args.len() {
        if !is(args.get(i), "SAMPLES") || i + 1 == args.len() {
            return Err(SYNTAX_ERROR);
        }
        if super::integer(args.get(i + 1))? < 0 {
            return Err(SYNTAX_ERROR);
        }
        i += 2;
    }
    let key = args.get(2);
    match call.server.store.get_with(key, <[u8]>::len)? {
        Some(len) => {
            let record = (RECORD_HEAD_BYTES + (key.len() + len) as u64).next_multiple_of(8);
            call.reply.integer((record + ENTRY_BYTES_MAX) as i64);
        }
        None => call.reply.null(),
    }
    Ok(())
}

pub fn memory_help(call: &mut Call<'_>, _: Args<'_>) -> Done {
    super::help(
        call,
        "MEMORY",
        &["USAGE <key> [SAMPLES <count>]", "    Bytes that a key takes, in the log and in memory."],
    )
}

pub fn monitor(call: &mut Call<'_>, _: Args<'_>) -> Done {
    let client = call.client;
    if !call.session().is_monitor {
        call.session().is_monitor = true;
        call.server.monitors.push(client);
    }
    call.reply.ok();
    Ok(())
}
