//! MULTI, EXEC, WATCH: several commands as one step, unless a key that was watched has changed.

use super::super::execute::{Call, Done, Origin, failure};
use super::super::request::Args;
use super::super::session::{Transaction, Watched};
use super::super::table::SKIP_MONITOR;
use super::whole;

pub fn multi(call: &mut Call<'_>, _: Args<'_>) -> Done {
    if call.session().transaction.is_some() {
        return Err(failure("ERR MULTI calls can not be nested"));
    }
    call.session().transaction = Some(Transaction::default());
    call.reply.ok();
    Ok(())
}

pub fn exec(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let Some(transaction) = call.session().transaction.take() else { return Err(failure("ERR EXEC without MULTI")) };
    let mut is_dirty = call.session().is_dirty;
    if !is_dirty {
        // A key that was there and has expired since has changed too.
        let now_ms = call.server.now_ms()?.unsigned_abs();
        is_dirty =
            call.session().watched.iter().any(|watched| watched.expires_at_ms != 0 && watched.expires_at_ms <= now_ms);
    }
    unwatch_all(call);
    if transaction.is_broken {
        return Err(failure("EXECABORT Transaction discarded because of previous errors."));
    }
    if is_dirty {
        call.reply.null_array();
        return Ok(());
    }
    call.reply.array(transaction.commands.len());
    if !whole::carry_out(call, &transaction)? {
        one_by_one(call, &transaction);
    }
    if !call.server.monitors.is_empty() {
        call.server.feed_monitors(Some(call.client), args);
    }
    Ok(())
}

fn one_by_one(call: &mut Call<'_>, transaction: &Transaction) {
    for (spec, queued) in &transaction.commands {
        if !call.server.monitors.is_empty() && !spec.has(SKIP_MONITOR) {
            call.server.feed_monitors(Some(call.client), queued.args());
        }
        let (server, client) = (&mut *call.server, call.client);
        Call { server, client, reply: call.reply, spec, origin: Origin::Transaction }.carry_out(queued.args());
    }
}

/// Shows all commands of a transaction to those who watch every command.
pub fn tell_monitors(call: &mut Call<'_>, transaction: &Transaction) {
    if call.server.monitors.is_empty() {
        return;
    }
    for (spec, queued) in &transaction.commands {
        if !spec.has(SKIP_MONITOR) {
            call.server.feed_monitors(Some(call.client), queued.args());
        }
    }
}

pub fn discard(call: &mut Call<'_>, _: Args<'_>) -> Done {
    if call.session().transaction.is_none() {
        return Err(failure("ERR DISCARD without MULTI"));
    }
    forget(call);
    call.reply.ok();
    Ok(())
}

/// Drops what was queued and watched.
pub fn forget(call: &mut Call<'_>) {
    call.session().transaction = None;
    unwatch_all(call);
}

pub fn watch(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if call.session().transaction.is_some() {
        return Err(failure("ERR WATCH inside MULTI is not allowed"));
    }
    for key in args.from(1).iter() {
        if call.session().watched.iter().any(|watched| watched.key == key) {
            continue;
        }
        let expires_at_ms = call.server.expiry(key)?.unwrap_or(0);
        call.session().watched.push(Watched { key: key.to_vec(), expires_at_ms });
        let client = call.client;
        call.server.watches.add(key, client);
    }
    call.reply.ok();
    Ok(())
}

pub fn unwatch(call: &mut Call<'_>, _: Args<'_>) -> Done {
    unwatch_all(call);
    call.reply.ok();
    Ok(())
}

fn unwatch_all(call: &mut Call<'_>) {
    let client = call.client;
    let server = &mut *call.server;
    if let Some(session) = server.sessions.get_mut(client) {
        server.watches.forget(client, session);
    }
}
