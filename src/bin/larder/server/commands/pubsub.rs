//! SUBSCRIBE, PUBLISH, and who listens to what.

use super::super::execute::{Call, Done};
use super::super::glob;
use super::super::pubsub::PubSub;
use super::super::request::Args;

/// Tells the client that it listens, or no longer does, and to how much.
fn confirm(call: &mut Call<'_>, what: &str, name: Option<&[u8]>) {
    let count = call.session().subscription_count() as i64;
    call.reply.push(3);
    call.reply.bulk(what.as_bytes());
    match name {
        Some(name) => call.reply.bulk(name),
        None => call.reply.null(),
    }
    call.reply.integer(count);
}

pub fn subscribe(call: &mut Call<'_>, args: Args<'_>) -> Done {
    for name in args.from(1).iter() {
        if call.session().channels.insert(name.to_vec()) {
            let client = call.client;
            PubSub::add(&mut call.server.pubsub.channels, name, client);
        }
        confirm(call, "subscribe", Some(name));
    }
    Ok(())
}

pub fn psubscribe(call: &mut Call<'_>, args: Args<'_>) -> Done {
    for name in args.from(1).iter() {
        if call.session().patterns.insert(name.to_vec()) {
            let client = call.client;
            PubSub::add(&mut call.server.pubsub.patterns, name, client);
        }
        confirm(call, "psubscribe", Some(name));
    }
    Ok(())
}

fn leave_channel(call: &mut Call<'_>, name: &[u8]) {
    if call.session().channels.remove(name) {
        let client = call.client;
        PubSub::remove(&mut call.server.pubsub.channels, name, client);
    }
}

fn leave_pattern(call: &mut Call<'_>, name: &[u8]) {
    if call.session().patterns.remove(name) {
        let client = call.client;
        PubSub::remove(&mut call.server.pubsub.patterns, name, client);
    }
}

pub fn unsubscribe(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let mut names: Vec<Vec<u8>> = args.from(1).iter().map(<[u8]>::to_vec).collect();
    if args.len() == 1 {
        names = call.session().channels.iter().cloned().collect();
        if names.is_empty() {
            confirm(call, "unsubscribe", None);
        }
    }
    for name in names {
        leave_channel(call, &name);
        confirm(call, "unsubscribe", Some(&name));
    }
    Ok(())
}

pub fn punsubscribe(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let mut names: Vec<Vec<u8>> = args.from(1).iter().map(<[u8]>::to_vec).collect();
    if args.len() == 1 {
        names = call.session().patterns.iter().cloned().collect();
        if names.is_empty() {
            confirm(call, "punsubscribe", None);
        }
    }
    for name in names {
        leave_pattern(call, &name);
        confirm(call, "punsubscribe", Some(&name));
    }
    Ok(())
}

/// The client listens to nothing any more, and is not told.
pub fn leave_all(call: &mut Call<'_>) {
    for name in call.session().channels.clone() {
        leave_channel(call, &name);
    }
    for name in call.session().patterns.clone() {
        leave_pattern(call, &name);
    }
}

pub fn publish(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let count = call.server.publish(args.get(1), args.get(2));
    call.reply.integer(count as i64);
    Ok(())
}

pub fn pubsub_channels(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if args.len() > 3 {
        return Err(call.wrong_subcommand_arity(args));
    }
    let pattern = if args.len() == 3 { args.get(2) } else { b"*" };
    let mut found: Vec<&Vec<u8>> =
        call.server.pubsub.channels.keys().filter(|name| glob::matches(pattern, name)).collect();
    found.sort();
    call.reply.array(found.len());
    found.into_iter().for_each(|name| call.reply.bulk(name));
    Ok(())
}

pub fn pubsub_numsub(call: &mut Call<'_>, args: Args<'_>) -> Done {
    call.reply.array((args.len() - 2) * 2);
    for name in args.from(2).iter() {
        call.reply.bulk(name);
        let count = call.server.pubsub.channels.get(name).map_or(0, Vec::len);
        call.reply.integer(count as i64);
    }
    Ok(())
}

pub fn pubsub_numpat(call: &mut Call<'_>, _: Args<'_>) -> Done {
    call.reply.integer(call.server.pubsub.patterns.len() as i64);
    Ok(())
}

pub fn pubsub_help(call: &mut Call<'_>, _: Args<'_>) -> Done {
    super::help(
        call,
        "PUBSUB",
        &[
            "CHANNELS [<pattern>]",
            "    Channels that somebody listens to, all or those that match the pattern.",
            "NUMPAT",
            "    How many patterns are listened to.",
            "NUMSUB [<channel> ...]",
            "    How many clients listen to each of the channels.",
        ],
    )
}
