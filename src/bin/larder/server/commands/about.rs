//! COMMAND: what commands there are.

use super::super::execute::{Call, Done, failure};
use super::super::glob;
use super::super::reply::Reply;
use super::super::request::Args;
use super::super::table::{ADMIN, FAST, FLAG_NAMES, GROUPS, NO_MANDATORY_KEYS, PUBSUB, READONLY, Spec, WRITE};
use super::{SYNTAX_ERROR, is};

fn all() -> impl Iterator<Item = &'static Spec> {
    GROUPS.iter().flat_map(|(_, specs)| specs.iter())
}

fn write_spec(reply: &mut Reply, spec: &Spec) {
    reply.array(10);
    reply.bulk(spec.name.as_bytes());
    reply.integer(spec.arity.into());
    let flags: Vec<&str> = FLAG_NAMES.iter().filter(|(flag, _)| spec.has(*flag)).map(|(_, name)| *name).collect();
    reply.set(flags.len());
    flags.iter().for_each(|name| reply.simple(name));
    for key in [spec.keys.0, spec.keys.1, spec.keys.2] {
        reply.integer(key.into());
    }
    let mut categories = vec![if spec.has(FAST) { "@fast" } else { "@slow" }];
    for (flag, name) in [(WRITE, "@write"), (READONLY, "@read"), (ADMIN, "@admin"), (PUBSUB, "@pubsub")] {
        if spec.has(flag) {
            categories.push(name);
        }
    }
    if spec.has(ADMIN) {
        categories.push("@dangerous");
    }
    reply.set(categories.len());
    categories.iter().for_each(|name| reply.simple(name));
    // Tips and key specifications are for clients of a cluster.
    reply.array(0);
    reply.array(0);
    reply.array(spec.subcommands.len());
    spec.subcommands.iter().for_each(|subcommand| write_spec(reply, subcommand));
}

pub fn command(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if args.len() > 1 {
        return super::super::execute::container(call, args);
    }
    call.reply.array(call.server.table.count());
    all().for_each(|spec| write_spec(call.reply, spec));
    Ok(())
}

pub fn command_count(call: &mut Call<'_>, _: Args<'_>) -> Done {
    call.reply.integer(call.server.table.count() as i64);
    Ok(())
}

pub fn command_info(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if args.len() == 2 {
        return command(call, Args::new(b"command", &[(0, 7)]));
    }
    call.reply.array(args.len() - 2);
    for name in args.from(2).iter() {
        match find(call, name) {
            Some(spec) => write_spec(call.reply, spec),
            None => call.reply.null(),
        }
    }
    Ok(())
}

/// A command, or a subcommand by `command|subcommand`.
fn find(call: &Call<'_>, name: &[u8]) -> Option<&'static Spec> {
    let lower = name.to_ascii_lowercase();
    let mut parts = lower.splitn(2, |b| *b == b'|');
    let spec = call.server.table.find(parts.next()?)?;
    match parts.next() {
        None => Some(spec),
        Some(_) => spec.subcommands.iter().find(|subcommand| subcommand.name.as_bytes() == lower),
    }
}

pub fn command_docs(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let found: Vec<(&str, &Spec)> = GROUPS
        .iter()
        .flat_map(|(group, specs)| specs.iter().map(move |spec| (*group, spec)))
        .filter(|(_, spec)| args.len() == 2 || args.from(2).iter().any(|name| is(name, spec.name)))
        .collect();
    call.reply.map(found.len());
    for (group, spec) in found {
        call.reply.bulk(spec.name.as_bytes());
        call.reply.map(1);
        call.reply.bulk(b"group");
        call.reply.bulk(group.as_bytes());
    }
    Ok(())
}

pub fn command_list(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let mut found: Vec<&str> = all().map(|spec| spec.name).collect();
    let is_filtered = args.len() == 5;
    if is_filtered && is(args.get(2), "FILTERBY") {
        match args.get(3).to_ascii_lowercase().as_slice() {
            b"pattern" => found.retain(|name| glob::matches_folded(args.get(4), name.as_bytes(), true)),
            b"module" => found.clear(),
            b"aclcat" => {
                let wanted = args.get(4).to_ascii_lowercase();
                found = all().filter(|spec| has_category(spec, &wanted)).map(|spec| spec.name).collect();
            }
            _ => return Err(SYNTAX_ERROR),
        }
    } else if args.len() != 2 {
        return Err(SYNTAX_ERROR);
    }
    if is_filtered {
        call.reply.array(found.len())
    } else {
        call.reply.set(found.len())
    }
    found.iter().for_each(|name| call.reply.bulk(name.as_bytes()));
    Ok(())
}

fn has_category(spec: &Spec, name: &[u8]) -> bool {
    match name {
        b"fast" => spec.has(FAST),
        b"slow" => !spec.has(FAST),
        b"write" => spec.has(WRITE),
        b"read" => spec.has(READONLY),
        b"admin" | b"dangerous" => spec.has(ADMIN),
        b"pubsub" => spec.has(PUBSUB),
        _ => false,
    }
}

pub fn command_getkeys(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let asked = args.from(2);
    let Some(spec) = call.server.table.find(asked.get(0)) else { return Err(failure("ERR Invalid command specified")) };
    if !spec.takes(asked.len()) {
        return Err(failure("ERR Invalid number of arguments specified for command"));
    }
    let spec = match call.server.look_up(asked) {
        Ok(subcommand) => subcommand,
        Err(refusal) if refusal.text().starts_with(b"ERR wrong number") => {
            return Err(failure("ERR Invalid number of arguments specified for command"));
        }
        Err(_) => spec,
    };
    let keys: Vec<&[u8]> = if spec.name.starts_with("eval") {
        let count = super::integer(asked.get(2)).ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        if count <= asked.len() - 3 { asked.from(3).iter().take(count).collect() } else { Vec::new() }
    } else {
        let (first, last, step) = spec.keys;
        let last = if last < 0 { asked.len() as i64 + i64::from(last) } else { last.into() };
        let places = (i64::from(first)..=last).step_by(step.max(1) as usize).filter(|at| *at > 0);
        places
            .filter_map(|at| usize::try_from(at).ok())
            .filter(|at| *at < asked.len())
            .map(|at| asked.get(at))
            .collect()
    };
    if keys.is_empty() && !spec.has(NO_MANDATORY_KEYS) {
        return Err(failure("ERR The command has no key arguments"));
    }
    call.reply.array(keys.len());
    keys.iter().for_each(|key| call.reply.bulk(key));
    Ok(())
}

pub fn command_help(call: &mut Call<'_>, _: Args<'_>) -> Done {
    super::help(
        call,
        "COMMAND",
        &[
            "(no subcommand)",
            "    All commands.",
            "COUNT",
            "    How many there are.",
            "DOCS [<command> ...]",
            "    The groups they belong to.",
            "GETKEYS <command> [<arg> ...]",
            "    Which of the arguments are keys.",
            "INFO [<command> ...]",
            "    All that is known of them.",
            "LIST [FILTERBY (PATTERN|ACLCAT|MODULE) <value>]",
            "    Their names.",
        ],
    )
}
