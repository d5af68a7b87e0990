//! CLIENT: the connections, and one's own.

use super::super::execute::{Call, Done, Failure, SYNTAX_ERROR, cut, failure, failure_of};
use super::super::request::Args;
use super::super::session::{Closing, Mute, Session};
use super::connection::check_name;
use super::{is, numbers};
use std::time::Instant;

/// What a client is to those who filter by kind.
fn kind(session: &Session) -> &'static str {
    if session.subscription_count() > 0 { "pubsub" } else { "normal" }
}

/// One line of CLIENT LIST.
fn line(client: usize, session: &Session, is_third: bool, now: Instant) -> String {
    let mut flags = String::new();
    for (is_set, flag) in [
        (session.is_monitor, 'O'),
        (session.subscription_count() > 0, 'P'),
        (session.transaction.is_some(), 'x'),
        (session.is_dirty, 'd'),
        (session.closing == Closing::AfterReply, 'c'),
        (session.addr.starts_with('/') || session.addr.starts_with('.'), 'U'),
        (session.is_kept, 'e'),
        (session.is_no_touch, 'T'),
    ] {
        if is_set {
            flags.push(flag);
        }
    }
    if flags.is_empty() {
        flags.push('N');
    }
    let multi = session.transaction.as_ref().map_or(-1, |transaction| transaction.commands.len() as i64);
    let multi_bytes = session.transaction.as_ref().map_or(0, |transaction| transaction.bytes);
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={flags} db=0 sub={} psub={} ssub=0 multi={multi} qbuf=0 qbuf-free=0 argv-mem=0 multi-mem={multi_bytes} rbs={} rbp=0 obl={} oll=0 omem=0 tot-mem={} events=r cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={}",
        session.id,
        session.addr,
        session.local_addr,
        client,
        String::from_utf8_lossy(&session.name),
        now.saturating_duration_since(session.opened_at).as_secs(),
        now.saturating_duration_since(session.last_at).as_secs(),
        session.channels.len(),
        session.patterns.len(),
        session.reply.bytes.capacity(),
        session.reply.bytes.len(),
        session.reply.bytes.capacity() + multi_bytes + size_of::<Session>(),
        session.last_command,
        if is_third { 3 } else { 2 },
        String::from_utf8_lossy(&session.library_name),
        String::from_utf8_lossy(&session.library_version),
    )
}

pub fn client_id(call: &mut Call<'_>, _: Args<'_>) -> Done {
    let id = call.session().id as i64;
    call.reply.integer(id);
    Ok(())
}

pub fn client_info(call: &mut Call<'_>, _: Args<'_>) -> Done {
    let (client, now, is_third) = (call.client, call.server.clock_at, call.reply.is_third);
    let line = line(client, call.session(), is_third, now) + "\n";
    call.reply.verbatim(line.as_bytes());
    Ok(())
}

/// A client's number; one below 1 is nobody's, which is no error.
fn parse_id(arg: &[u8]) -> Result<u64, Failure> {
    let id = numbers::parse_i64(arg).ok_or_else(|| failure("ERR Invalid client ID"))?;
    Ok(u64::try_from(id).unwrap_or(0))
}

fn parse_kind(arg: &[u8]) -> Result<&'static str, Failure> {
    match arg.to_ascii_lowercase().as_slice() {
        b"normal" => Ok("normal"),
        b"pubsub" => Ok("pubsub"),
        b"master" => Ok("master"),
        b"replica" | b"slave" => Ok("replica"),
        _ => Err(failure_of([b"ERR Unknown client type '", cut(arg, arg.len()), b"'"].concat())),
    }
}

pub fn client_list(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let (mut wanted_kind, mut wanted_ids) = (None, None);
    if args.len() == 4 && is(args.get(2), "TYPE") {
        wanted_kind = Some(parse_kind(args.get(3))?);
    } else if args.len() > 3 && is(args.get(2), "ID") {
        wanted_ids = Some(args.from(3).iter().map(parse_id).collect::<Result<Vec<_>, _>>()?);
    } else if args.len() != 2 {
        return Err(SYNTAX_ERROR);
    }
    let now = call.server.clock_at;
    let mut text = String::new();
    for (client, session) in &call.server.sessions {
        let is_wanted = wanted_kind.is_none_or(|wanted| wanted == kind(session))
            && wanted_ids.as_ref().is_none_or(|wanted| wanted.contains(&session.id));
        if is_wanted {
            text.push_str(&line(client, session, session.reply.is_third, now));
            text.push('\n');
        }
    }
    call.reply.verbatim(text.as_bytes());
    Ok(())
}

/// Whether a client is among those to be closed.
type Condition = Box<dyn Fn(&Session) -> bool>;

pub fn client_kill(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let own = call.client;
    if args.len() == 3 {
        let found = call.server.sessions.iter().find(|(_, session)| session.addr.as_bytes() == args.get(2));
        let Some((client, _)) = found else { return Err(failure("ERR No such client")) };
        end(call, client);
        call.reply.ok();
        return Ok(());
    }
    let mut skips_own = true;
    let mut conditions: Vec<Condition> = Vec::new();
    for i in (2..args.len()).step_by(2) {
        if i + 1 == args.len() {
            return Err(SYNTAX_ERROR);
        }
        let value = args.get(i + 1).to_vec();
        match args.get(i).to_ascii_lowercase().as_slice() {
            b"id" => {
                let id = numbers::parse_i64(&value).filter(|id| *id > 0);
                let id = id.ok_or_else(|| failure("ERR client-id should be greater than 0"))?.unsigned_abs();
                conditions.push(Box::new(move |session| session.id == id));
            }
            b"addr" => conditions.push(Box::new(move |session| session.addr.as_bytes() == value)),
            b"laddr" => conditions.push(Box::new(move |session| session.local_addr.as_bytes() == value)),
            b"type" => {
                let wanted = parse_kind(&value)?;
                conditions.push(Box::new(move |session| kind(session) == wanted));
            }
            b"user" => {
                if value != b"default" {
                    return Err(failure_of([b"ERR No such user '", cut(&value, value.len()), b"'"].concat()));
                }
            }
            b"skipme" => match value.to_ascii_lowercase().as_slice() {
                b"yes" => skips_own = true,
                b"no" => skips_own = false,
                _ => return Err(SYNTAX_ERROR),
            },
            _ => return Err(SYNTAX_ERROR),
        }
    }
    let chosen: Vec<usize> = call
        .server
        .sessions
        .iter()
        .filter(|(client, session)| !(skips_own && *client == own) && conditions.iter().all(|holds| holds(session)))
        .map(|(client, _)| client)
        .collect();
    call.reply.integer(chosen.len() as i64);
    chosen.into_iter().for_each(|client| end(call, client));
    Ok(())
}

/// Closes a client; the one that asks, after its reply.
fn end(call: &mut Call<'_>, client: usize) {
    let closing = if client == call.client { Closing::AfterReply } else { Closing::Now };
    call.server.close_client(client, closing);
}

pub fn client_setname(call: &mut Call<'_>, args: Args<'_>) -> Done {
    check_name(args.get(2), "Client names cannot contain spaces, newlines or special characters.")?;
    call.session().name = args.get(2).to_vec();
    call.reply.ok();
    Ok(())
}

pub fn client_getname(call: &mut Call<'_>, _: Args<'_>) -> Done {
    let name = call.session().name.clone();
    if name.is_empty() {
        call.reply.null();
    } else {
        call.reply.bulk(&name);
    }
    Ok(())
}

pub fn client_setinfo(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let value = args.get(3).to_vec();
    if is(args.get(2), "LIB-NAME") {
        check_name(&value, "lib-name cannot contain spaces, newlines or special characters.")?;
        call.session().library_name = value;
    } else if is(args.get(2), "LIB-VER") {
        check_name(&value, "lib-ver cannot contain spaces, newlines or special characters.")?;
        call.session().library_version = value;
    } else {
        return Err(failure_of([b"ERR Unrecognized option '", args.get(2), b"'"].concat()));
    }
    call.reply.ok();
    Ok(())
}

pub fn client_reply(call: &mut Call<'_>, args: Args<'_>) -> Done {
    match args.get(2).to_ascii_lowercase().as_slice() {
        b"on" => {
            call.session().mute = Mute::No;
            call.reply.ok();
        }
        b"off" => call.session().mute = Mute::Always,
        b"skip" => {
            if call.session().mute != Mute::Always {
                call.session().mute = Mute::Next;
            }
        }
        _ => return Err(SYNTAX_ERROR),
    }
    Ok(())
}

/// ON or OFF.
fn switch(arg: &[u8]) -> Result<bool, Failure> {
    match arg {
        _ if is(arg, "ON") => Ok(true),
        _ if is(arg, "OFF") => Ok(false),
        _ => Err(SYNTAX_ERROR),
    }
}

pub fn client_no_evict(call: &mut Call<'_>, args: Args<'_>) -> Done {
    call.session().is_kept = switch(args.get(2))?;
    call.reply.ok();
    Ok(())
}

pub fn client_no_touch(call: &mut Call<'_>, args: Args<'_>) -> Done {
    call.session().is_no_touch = switch(args.get(2))?;
    call.reply.ok();
    Ok(())
}

pub fn client_help(call: &mut Call<'_>, _: Args<'_>) -> Done {
    super::help(
        call,
        "CLIENT",
        &[
            "GETNAME",
            "    This connection's name.",
            "ID",
            "    This connection's number.",
            "INFO",
            "    This connection's line of LIST.",
            "KILL <ip:port> | [ID|ADDR|LADDR|TYPE|USER|SKIPME <value> ...]",
            "    Close connections.",
            "LIST [TYPE <type>] [ID <id> ...]",
            "    One line for each connection.",
            "NO-EVICT (ON|OFF)",
            "    Accepted: connections are not evicted.",
            "NO-TOUCH (ON|OFF)",
            "    Accepted: the time of access is not noted.",
            "REPLY (ON|OFF|SKIP)",
            "    Whether commands are replied to.",
            "SETINFO (LIB-NAME|LIB-VER) <value>",
            "    Name the client's library.",
            "SETNAME <name>",
            "    Name this connection.",
        ],
    )
}
