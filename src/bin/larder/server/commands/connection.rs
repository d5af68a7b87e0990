//! A client and its connection: who it is, which protocol, PING.

use super::super::execute::{Call, Done, Failure, failure, failure_of};
use super::super::request::Args;
use super::super::session::{Closing, Mute};
use super::{SYNTAX_ERROR, int, integer, is, numbers};
use std::time::{SystemTime, UNIX_EPOCH};

/// The version of Redis whose replies these are.
pub const REDIS_VERSION: &str = "7.0.15";

/// Whether name and password are right. Takes as long for a wrong password as for a right one of its length.
fn authenticate(call: &mut Call<'_>, name: &[u8], password: &[u8]) -> Result<(), Failure> {
    let is_right = match &call.server.settings.password {
        None => true,
        Some(wanted) => {
            let differences = wanted.iter().zip(password).fold(0, |sum, (a, b)| sum | (a ^ b));
            wanted.len() == password.len() && differences == 0
        }
    };
    if name != b"default" || !is_right {
        let addr = call.session().addr.clone();
        call.server.log.warn(format_args!("{addr} gave a wrong password"));
        return Err(failure("WRONGPASS invalid username-password pair or user is disabled."));
    }
    call.session().is_authenticated = true;
    Ok(())
}

pub fn auth(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let (name, password) = match args.len() {
        2 if call.server.settings.password.is_none() => {
            return Err(failure(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
            ));
        }
        2 => (&b"default"[..], args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return Err(SYNTAX_ERROR),
    };
    authenticate(call, name, password)?;
    call.reply.ok();
    Ok(())
}

pub fn hello(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let mut protocol = None;
    if args.len() > 1 {
        let number = numbers::parse_i64(args.get(1))
            .ok_or_else(|| failure("ERR Protocol version is not an integer or out of range"))?;
        if number != 2 && number != 3 {
            return Err(failure("NOPROTO unsupported protocol version"));
        }
        protocol = Some(number);
    }
    let (mut credentials, mut name) = (None, None);
    let mut i = 2;
    while i < args.len() {
        let more = args.len() - 1 - i;
        if is(args.get(i), "AUTH") && more >= 2 {
            credentials = Some((args.get(i + 1), args.get(i + 2)));
            i += 3;
        } else if is(args.get(i), "SETNAME") && more >= 1 {
            name = Some(args.get(i + 1));
            check_name(args.get(i + 1), "Client names cannot contain spaces, newlines or special characters.")?;
            i += 2;
        } else {
            return Err(failure_of([b"ERR Syntax error in HELLO option '", args.get(i), b"'"].concat()));
        }
    }
    if let Some((name, password)) = credentials {
        authenticate(call, name, password)?;
    }
    if !call.session().is_authenticated {
        return Err(failure(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        call.session().name = name.to_vec();
    }
    if let Some(protocol) = protocol {
        call.reply.is_third = protocol == 3;
    }
    let id = call.session().id as i64;
    let reply = &mut *call.reply;
    reply.map(7);
    for (field, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if reply.is_third { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(id);
    for (field, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

/// Names must not break the lines of CLIENT LIST.
pub fn check_name(name: &[u8], sentence: &str) -> Result<(), Failure> {
    if name.iter().all(|b| (b'!'..=b'~').contains(b)) { Ok(()) } else { Err(failure_of(format!("ERR {sentence}"))) }
}

pub fn ping(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if args.len() > 2 {
        return Err(call.wrong_arity());
    }
    if call.session().subscription_count() > 0 && !call.reply.is_third {
        call.reply.array(2);
        call.reply.bulk(b"pong");
        call.reply.bulk(if args.len() == 2 { args.get(1) } else { b"" });
    } else if args.len() == 2 {
        call.reply.bulk(args.get(1));
    } else {
        call.reply.simple("PONG");
    }
    Ok(())
}

pub fn echo(call: &mut Call<'_>, args: Args<'_>) -> Done {
    call.reply.bulk(args.get(1));
    Ok(())
}

pub fn quit(call: &mut Call<'_>, _: Args<'_>) -> Done {
    call.reply.ok();
    call.session().close(Closing::AfterReply);
    Ok(())
}

pub fn select(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let number = int(args.get(1))?;
    if number != 0 {
        return Err(failure("ERR DB index is out of range"));
    }
    call.reply.ok();
    Ok(())
}

pub fn reset(call: &mut Call<'_>, _: Args<'_>) -> Done {
    let client = call.client;
    super::transactions::forget(call);
    super::pubsub::leave_all(call);
    call.server.monitors.retain(|other| *other != client);
    let is_open = call.server.settings.password.is_none();
    let session = call.session();
    session.is_monitor = false;
    session.name.clear();
    session.mute = Mute::No;
    session.is_authenticated = is_open;
    call.reply.is_third = false;
    call.reply.simple("RESET");
    Ok(())
}

pub fn time(call: &mut Call<'_>, _: Args<'_>) -> Done {
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    call.reply.array(2);
    call.reply.bulk((now_us / 1_000_000).to_string().as_bytes());
    call.reply.bulk((now_us % 1_000_000).to_string().as_bytes());
    Ok(())
}

pub fn wait_arguments(args: Args<'_>) -> Result<(), Failure> {
    integer(args.get(1))?;
    let timeout =
        numbers::parse_i64(args.get(2)).ok_or_else(|| failure("ERR timeout is not an integer or out of range"))?;
    if timeout < 0 { Err(failure("ERR timeout is negative")) } else { Ok(()) }
}
