//! CONFIG: what can be asked and set while the server runs.
//!
//! Names and values are those of Redis where the thing is the same. Nothing that names a file can be set (V3).

use super::super::Server;
use super::super::execute::{Call, Done, failure_of};
use super::super::expiries::Expiries;
use super::super::glob;
use super::super::keyspace::event;
use super::super::request::Args;
use super::super::watching::Counts;
use super::numbers;
use super::server::{parse_events, show_events};
use std::time::Duration;

/// Everything that CONFIG GET shows.
fn shown(server: &Server) -> Vec<(&'static str, String)> {
    let settings = &server.settings;
    let fsync = match (settings.is_always, settings.sync_interval) {
        (true, _) => "always",
        (false, Some(_)) => "everysec",
        (false, None) => "no",
    };
    let password = settings.password.as_deref().map_or_else(String::new, |p| String::from_utf8_lossy(p).into_owned());
    vec![
        ("appendfsync", fsync.into()),
        ("appendonly", "yes".into()),
        ("bind", String::new()),
        ("busy-reply-threshold", settings.script_max.as_millis().to_string()),
        ("client-query-buffer-limit", settings.query_bytes_max.to_string()),
        ("databases", "1".into()),
        ("dir", settings.directory.clone()),
        ("latency-monitor-threshold", server.latency.threshold_ms.to_string()),
        ("lua-time-limit", settings.script_max.as_millis().to_string()),
        ("maxclients", settings.clients_max.to_string()),
        ("maxmemory", "0".into()),
        ("maxmemory-policy", "noeviction".into()),
        ("notify-keyspace-events", show_events(settings.events)),
        ("port", settings.port.to_string()),
        ("proto-max-bulk-len", settings.bulk_bytes_max.to_string()),
        ("requirepass", password),
        ("save", String::new()),
        ("slowlog-log-slower-than", server.slow.threshold_us.to_string()),
        ("slowlog-max-len", server.slow.count_max.to_string()),
        ("timeout", settings.idle_max.as_secs().to_string()),
        ("unixsocket", settings.unix_path.clone()),
    ]
}

pub fn config_get(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let mut found = shown(call.server);
    found.retain(|(name, _)| args.from(2).iter().any(|pattern| glob::matches_folded(pattern, name.as_bytes(), true)));
    call.reply.map(found.len());
    for (name, value) in found {
        call.reply.bulk(name.as_bytes());
        call.reply.bulk(value.as_bytes());
    }
    Ok(())
}

/// Sets one thing; what is wrong with the value.
pub fn set_by_name(server: &mut Server, name: &str, value: &[u8]) -> Result<(), String> {
    let number = |least: i64, most: i64| match numbers::parse_i64(value) {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        Some(_) => Err(format!("argument must be between {least} and {most} inclusive")),
        None => Err("argument couldn't be parsed into an integer".to_owned()),
    };
    let unsigned = |least: i64, most: i64| number(least, most).map(i64::unsigned_abs);
    let int_max = i64::from(i32::MAX);
    match name {
        "latency-monitor-threshold" => server.latency.threshold_ms = unsigned(0, i64::MAX)?,
        "lua-time-limit" | "busy-reply-threshold" => {
            server.settings.script_max = Duration::from_millis(unsigned(0, i64::MAX)?)
        }
        "maxclients" => server.settings.clients_max = unsigned(1, u32::MAX.into())? as usize,
        "notify-keyspace-events" => {
            let bits = parse_events(value).ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
            set_events(server, bits)?;
        }
        "proto-max-bulk-len" => server.settings.bulk_bytes_max = number(1 << 20, i64::MAX)?.min(1 << 30),
        "client-query-buffer-limit" => server.settings.query_bytes_max = unsigned(1 << 20, 1 << 31)? as usize,
        "requirepass" => server.settings.password = Some(value.to_vec()).filter(|password| !password.is_empty()),
        "slowlog-log-slower-than" => server.slow.threshold_us = number(-1, i64::MAX)?,
        "slowlog-max-len" => {
            server.slow.count_max = unsigned(0, i64::MAX)? as usize;
            server.slow.entries.truncate(server.slow.count_max);
        }
        "timeout" => server.settings.idle_max = Duration::from_secs(unsigned(0, int_max)?),
        // Accepted as they are; tools set them before they work.
        "save" if value.is_empty() => {}
        "appendonly" if value == b"yes" => {}
        "maxmemory" if value == b"0" => {}
        "maxmemory-policy" if value == b"noeviction" => {}
        _ => return Err("can't set immutable config".into()),
    }
    Ok(())
}

fn set_events(server: &mut Server, bits: u32) -> Result<(), String> {
    server.settings.events = bits;
    let listens = bits & event::EXPIRED != 0 && bits & (event::KEYSPACE | event::KEYEVENT) != 0;
    if !listens {
        server.expiries = None;
    } else if server.expiries.is_none() {
        let mut expiries = Expiries::default();
        let (mut from, mut page) = (Some(0), Vec::new());
        while let Some(hash) = from {
            page.clear();
            from = server.store.scan_page(hash, &mut page).map_err(|error| error.to_string())?;
            for (_, key) in &page {
                let expiry = server.expiry(key).map_err(|error| error.to_string())?;
                expiries.note(key, expiry.unwrap_or(0));
            }
        }
        server.expiries = Some(expiries);
    }
    Ok(())
}

pub fn config_set(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if !args.len().is_multiple_of(2) {
        return Err(super::SYNTAX_ERROR);
    }
    let known = shown(call.server);
    let pairs: Vec<_> = (2..args.len()).step_by(2).map(|i| (args.get(i), args.get(i + 1))).collect();
    for (i, (name, _)) in pairs.iter().enumerate() {
        if !known.iter().any(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)) {
            return Err(failure_of(
                [b"ERR Unknown option or number of arguments for CONFIG SET - '", *name, b"'"].concat(),
            ));
        }
        if pairs[..i].iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
            return Err(failed(name, "duplicate parameter"));
        }
    }
    for (name, value) in pairs {
        let lower = String::from_utf8_lossy(name).to_lowercase();
        set_by_name(call.server, &lower, value).map_err(|why| failed(name, &why))?;
    }
    call.reply.ok();
    Ok(())
}

fn failed(name: &[u8], why: &str) -> super::Failure {
    let name = String::from_utf8_lossy(name);
    failure_of(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
}

pub fn config_resetstat(call: &mut Call<'_>, _: Args<'_>) -> Done {
    call.server.stats = Counts { dirty: call.server.stats.dirty, ..Counts::default() };
    call.reply.ok();
    Ok(())
}

pub fn config_help(call: &mut Call<'_>, _: Args<'_>) -> Done {
    super::help(
        call,
        "CONFIG",
        &[
            "GET <pattern> [<pattern> ...]",
            "    The settings whose names match.",
            "RESETSTAT",
            "    Begin the counts of INFO anew.",
            "SET <name> <value> [<name> <value> ...]",
            "    Change settings until the server stops.",
        ],
    )
}
