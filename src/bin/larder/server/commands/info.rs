//! INFO: the server and its store in figures, under Redis's names where the thing is the same.

use super::super::Server;
use super::super::execute::{Call, Done};
use super::super::request::Args;
use super::connection::REDIS_VERSION;
use larder::Stats;
use std::fmt::Write;
use std::sync::atomic::Ordering;

const SECTIONS: [&str; 9] =
    ["server", "clients", "memory", "persistence", "stats", "replication", "commandstats", "errorstats", "keyspace"];
/// Shown when it is asked for, or everything is.
const ON_REQUEST: &str = "commandstats";

pub fn info(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let wanted: Vec<String> = args.from(1).iter().map(|name| String::from_utf8_lossy(name).to_lowercase()).collect();
    let is_default = wanted.is_empty() || wanted.iter().any(|name| name == "default");
    let is_all = wanted.iter().any(|name| matches!(name.as_str(), "all" | "everything"));
    let stats = call.server.store.stats()?;
    let mut text = String::new();
    for section in SECTIONS {
        let is_shown = is_all || is_default && section != ON_REQUEST || wanted.iter().any(|name| name == section);
        if !is_shown {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let mut title = section.to_owned();
        title[..1].make_ascii_uppercase();
        // Writing to a String cannot fail.
        let _ = write!(text, "# {title}\r\n");
        write_section(&mut text, section, call.server, &stats)?;
    }
    call.reply.verbatim(text.as_bytes());
    Ok(())
}

fn write_section(text: &mut String, section: &str, server: &Server, stats: &Stats) -> Result<(), larder::Error> {
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        let _ = write!(text, "{name}:{value}\r\n");
    };
    let counts = &server.stats;
    match section {
        "server" => {
            let uptime_s = server.clock_at.saturating_duration_since(server.started_at).as_secs();
            line("redis_version", &REDIS_VERSION);
            line("larder_version", &env!("CARGO_PKG_VERSION"));
            line("redis_mode", &"standalone");
            line("os", &format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
            line("arch_bits", &usize::BITS);
            line("process_id", &std::process::id());
            line("tcp_port", &server.settings.port);
            line("uptime_in_seconds", &uptime_s);
            line("uptime_in_days", &(uptime_s / 86_400));
        }
        "clients" => {
            let listening = server.sessions.iter().filter(|(_, session)| session.subscription_count() > 0).count();
            line("connected_clients", &server.sessions.len());
            line("maxclients", &server.settings.clients_max);
            line("blocked_clients", &0);
            line("pubsub_clients", &listening);
        }
        "memory" => {
            let used = stats.index_bytes + server.buffer_bytes as u64 + server.scripts.memory_bytes() as u64;
            line("used_memory", &used);
            line("used_memory_rss", &super::super::metrics::resident_bytes().unwrap_or(0));
            line("index_bytes", &stats.index_bytes);
            line("client_buffer_bytes", &server.buffer_bytes);
            line("used_memory_lua", &server.scripts.memory_bytes());
            line("number_of_cached_scripts", &server.scripts.count());
            line("mapped_bytes", &stats.mapped_bytes);
            line("maxmemory", &0);
            line("maxmemory_policy", &"noeviction");
        }
        "persistence" => {
            line("loading", &0);
            line("async_loading", &0);
            line("rdb_changes_since_last_save", &counts.dirty);
            line("rdb_bgsave_in_progress", &0);
            line("rdb_last_save_time", &server.last_save_s);
            line("rdb_last_bgsave_status", &"ok");
            line("aof_enabled", &1);
            line("aof_rewrite_in_progress", &u8::from(server.is_compacting.load(Ordering::Acquire)));
            line("aof_last_write_status", &"ok");
            line("live_bytes", &stats.live_bytes);
            line("dead_bytes", &stats.dead_bytes);
            line("file_bytes", &stats.file_bytes);
            line("segments", &stats.segments);
            line("syncs", &stats.syncs);
            line("compactions", &stats.compactions);
            line("compacted_bytes", &stats.compacted_bytes);
        }
        "stats" => {
            line("total_connections_received", &counts.connections);
            line("total_commands_processed", &counts.commands);
            line("total_net_input_bytes", &counts.bytes_in);
            line("total_net_output_bytes", &counts.bytes_out);
            line("rejected_connections", &counts.refused_connections);
            line("expired_keys", &stats.expired);
            line("slow_commands", &server.slow.count());
            line("evicted_keys", &0);
            line("keyspace_hits", &counts.hits);
            line("keyspace_misses", &counts.misses);
            line("pubsub_channels", &server.pubsub.channels.len());
            line("pubsub_patterns", &server.pubsub.patterns.len());
            line("total_error_replies", &counts.errors.count());
        }
        "replication" => {
            line("role", &"master");
            line("connected_slaves", &0);
            line("master_repl_offset", &0);
        }
        "commandstats" => {
            for (name, calls) in counts.calls.all() {
                let took_us = calls.took.as_micros();
                let each_us =
                    if calls.count == 0 { 0.0 } else { calls.took.as_nanos() as f64 / 1e3 / calls.count as f64 };
                let what = format_args!(
                    "calls={},usec={took_us},usec_per_call={each_us:.2},rejected_calls={},failed_calls={}",
                    calls.count, calls.rejected, calls.failed
                );
                line(&format!("cmdstat_{name}"), &what);
            }
        }
        "errorstats" => {
            for (code, count) in counts.errors.all() {
                line(&format!("errorstat_{code}"), &format_args!("count={count}"));
            }
        }
        _ => {
            let (keys, expiring) = (server.store.len()?, server.store.expiring_len()?);
            if keys > 0 {
                line("db0", &format_args!("keys={keys},expires={expiring},avg_ttl=0"));
            }
        }
    }
    Ok(())
}
