//! The store as a whole: its size, making it durable, emptying it, stopping.

use super::super::execute::{Call, Done, SYNTAX_ERROR, failure, failure_of};
use super::super::keyspace::event;
use super::super::log::Log;
use super::super::request::Args;
use super::super::watching::now_s;
use super::is;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub fn dbsize(call: &mut Call<'_>, _: Args<'_>) -> Done {
    let count = call.server.store.len()?;
    call.reply.integer(count as i64);
    Ok(())
}

pub fn lastsave(call: &mut Call<'_>, _: Args<'_>) -> Done {
    call.reply.integer(call.server.last_save_s as i64);
    Ok(())
}

/// Everything that was written is durable when it replies.
pub fn save(call: &mut Call<'_>, _: Args<'_>) -> Done {
    call.server.store.sync()?;
    call.server.last_save_s = now_s();
    call.server.stats.dirty = 0;
    call.reply.ok();
    Ok(())
}

/// What a background save would do is done at once: it is one sync, and no process is forked.
pub fn bgsave(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if args.len() > 2 || (args.len() == 2 && !is(args.get(1), "SCHEDULE")) {
        return Err(SYNTAX_ERROR);
    }
    call.server.store.sync()?;
    call.server.last_save_s = now_s();
    call.server.stats.dirty = 0;
    call.reply.simple("Background saving started");
    Ok(())
}

/// Rewriting the log is compaction here; it runs on a thread of its own while clients are served.
pub fn bgrewriteaof(call: &mut Call<'_>, _: Args<'_>) -> Done {
    let is_compacting = Arc::clone(&call.server.is_compacting);
    if is_compacting.swap(true, Ordering::AcqRel) {
        return Err(failure("ERR Background append only file rewriting already in progress"));
    }
    let store = Arc::clone(&call.server.store);
    let flag = Arc::clone(&is_compacting);
    let log = Log::new(call.server.settings.log_level);
    let started = std::thread::Builder::new().name("larder-compact".into()).spawn(move || {
        match store.compact() {
            Ok(()) => log.info("compacted"),
            Err(error) => log.error(format_args!("compaction: {error}")),
        }
        flag.store(false, Ordering::Release);
    });
    if let Err(error) = started {
        is_compacting.store(false, Ordering::Release);
        return Err(failure_of(format!("ERR Can't execute an AOF background rewriting: {error}")));
    }
    call.reply.simple("Background append only file rewriting started");
    Ok(())
}

/// The server stops: what clients are owed is sent, then the store is synced and closed. There is no reply.
pub fn shutdown(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let mut is_aborting = false;
    for arg in args.from(1).iter() {
        match arg.to_ascii_lowercase().as_slice() {
            b"nosave" | b"save" | b"now" | b"force" => {}
            b"abort" => is_aborting = true,
            _ => return Err(SYNTAX_ERROR),
        }
    }
    if is_aborting {
        return Err(if args.len() == 2 { failure("ERR No shutdown in progress.") } else { SYNTAX_ERROR });
    }
    call.server.is_stopping = true;
    let addr = call.session().addr.clone();
    call.server.log.info(format_args!("stopping: SHUTDOWN was said by {addr}"));
    Ok(())
}

/// There are no replicas, so none has anything; the wait would last its time for nothing.
pub fn wait(call: &mut Call<'_>, args: Args<'_>) -> Done {
    super::connection::wait_arguments(args)?;
    call.reply.integer(0);
    Ok(())
}

pub fn flushall(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if args.len() > 2 || (args.len() == 2 && !is(args.get(1), "ASYNC") && !is(args.get(1), "SYNC")) {
        return Err(SYNTAX_ERROR);
    }
    call.server.remove_all()?;
    call.reply.ok();
    Ok(())
}

pub fn flushdb(call: &mut Call<'_>, args: Args<'_>) -> Done {
    flushall(call, args)
}

/// `notify-keyspace-events` as bits; `None` if a letter is none.
pub fn parse_events(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |bits, letter| {
        let (_, bit) = EVENT_LETTERS.iter().find(|(known, _)| known == letter)?;
        Some(bits | bit)
    })
}

/// The letters in the order in which they are shown.
const EVENT_LETTERS: [(u8, u32); 15] = [
    (b'A', event::ALL),
    (b'g', event::GENERIC),
    (b'$', event::STRING),
    (b'l', event::LIST),
    (b's', event::SET),
    (b'h', event::HASH),
    (b'z', event::ZSET),
    (b'x', event::EXPIRED),
    (b'e', event::EVICTED),
    (b't', event::STREAM),
    (b'd', event::MODULE),
    (b'n', event::NEW),
    (b'K', event::KEYSPACE),
    (b'E', event::KEYEVENT),
    (b'm', event::KEY_MISS),
];

/// The setting's text again.
pub fn show_events(bits: u32) -> String {
    let mut shown = String::new();
    let all = bits & event::ALL == event::ALL;
    for (letter, bit) in &EVENT_LETTERS {
        // Redis 7.0 leaves the letter n out beside A, though it is none of A's.
        let is_part_of_all = (event::ALL | event::NEW) & bit != 0 && *letter != b'A';
        if bits & bit == *bit && !(all && is_part_of_all) {
            shown.push(char::from(*letter));
        }
    }
    shown
}
