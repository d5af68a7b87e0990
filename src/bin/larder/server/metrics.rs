//! The server in figures, for Prometheus: the text of `GET /metrics`, in its exposition format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! Names end with their unit, those of counters with `_total`; a label says which command or error. The figures are
//! those of INFO.
//!
//! Not here: answering a scrape (`scrape`).

use super::Server;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bounds of the buckets in which commands are counted by how long they took: powers of two of microseconds.
const BUCKETS: usize = 22;

/// How long commands took.
#[derive(Default)]
pub struct Durations {
    /// The bucket at `i` holds those that took less than 2^i microseconds, and no less than half of that.
    counts: [u64; BUCKETS + 1],
}

impl Durations {
    /// `count` commands took this long together.
    #[inline]
    pub fn note(&mut self, took: Duration, count: u64) {
        let each_us = (took.as_nanos() as u64).div_ceil(1_000 * count.max(1));
        let bucket = (u64::BITS - each_us.leading_zeros()) as usize;
        self.counts[bucket.min(BUCKETS)] += count;
    }
}

/// One metric: its name, what it is, and a line for each of its values.
struct Text {
    out: String,
}

impl Text {
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.begin(name, "gauge", help);
        let _ = writeln!(self.out, "{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.begin(name, "counter", help);
        let _ = writeln!(self.out, "{name} {value}");
    }

    /// A line of a metric that has a label. Labels are the server's own names: nothing in them needs a backslash.
    fn labelled(&mut self, name: &str, label: &str, of: &str, value: impl Display) {
        let _ = writeln!(self.out, "{name}{{{label}=\"{of}\"}} {value}");
    }
}

/// Bytes of memory that the process has in use, as the kernel counts them; `None` where it does not say.
pub fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The whole text.
pub fn text(server: &Server) -> Result<String, larder::Error> {
    let stats = server.store.stats()?;
    let counts = &server.stats;
    let mut text = Text { out: String::with_capacity(16 << 10) };
    text.begin("larder_info", "gauge", "The version, as a label.");
    text.labelled("larder_info", "version", env!("CARGO_PKG_VERSION"), 1);
    let uptime = server.clock_at.saturating_duration_since(server.started_at);
    text.gauge("larder_uptime_seconds", "Since the start.", uptime.as_secs_f64());

    text.gauge("larder_clients", "Connected clients.", server.sessions.len());
    text.gauge("larder_clients_max", "Clients that may be connected.", server.settings.clients_max);
    text.counter("larder_connections_total", "Clients that came.", counts.connections);
    text.counter("larder_connections_refused_total", "Clients over the limit.", counts.refused_connections);
    text.counter("larder_received_bytes_total", "Bytes of requests.", counts.bytes_in);
    text.counter("larder_sent_bytes_total", "Bytes of replies.", counts.bytes_out);
    text.gauge("larder_client_buffer_bytes", "Requests and replies that wait.", server.buffer_bytes);
    let listeners = server.sessions.iter().filter(|(_, session)| session.subscription_count() > 0).count();
    text.gauge("larder_listeners", "Clients that listen to channels.", listeners);

    commands(&mut text, server);

    text.counter("larder_hits_total", "Keys that were looked for and found.", counts.hits);
    text.counter("larder_misses_total", "Keys that were looked for and not found.", counts.misses);
    text.gauge("larder_keys", "Keys.", server.store.len()?);
    text.gauge("larder_keys_expiring", "Keys that will expire.", server.store.expiring_len()?);
    text.counter("larder_keys_expired_total", "Keys whose time was over.", stats.expired);

    text.gauge("larder_live_bytes", "Records that count.", stats.live_bytes);
    text.gauge(
        "larder_dead_bytes",
        "Records that were overwritten or deleted and not yet given back.",
        stats.dead_bytes,
    );
    text.gauge("larder_file_bytes", "What the files take.", stats.file_bytes);
    text.gauge("larder_mapped_bytes", "What of them is mapped into memory.", stats.mapped_bytes);
    text.gauge("larder_index_bytes", "The index, in memory.", stats.index_bytes);
    text.gauge("larder_script_bytes", "Scripts, in memory.", server.scripts.memory_bytes());
    text.gauge("larder_segments", "Files of the log.", stats.segments);
    text.counter("larder_syncs_total", "Times that the log was made durable.", stats.syncs);
    text.counter("larder_compactions_total", "Times that space was reclaimed.", stats.compactions);
    text.counter("larder_compacted_bytes_total", "Bytes copied for it.", stats.compacted_bytes);
    let is_compacting = u8::from(server.is_compacting.load(Ordering::Acquire));
    text.gauge("larder_compacting", "1 while BGREWRITEAOF runs.", is_compacting);
    text.gauge("larder_changes_unsaved", "Changes since the last SAVE.", counts.dirty);
    if let Some(bytes) = resident_bytes() {
        text.gauge("process_resident_memory_bytes", "Memory in use, pages of the log among it.", bytes);
    }
    Ok(text.out)
}

fn commands(text: &mut Text, server: &Server) {
    let counts = &server.stats;
    let all = counts.calls.all();
    let mut each = |name: &str, help: &str, value: &dyn Fn(&super::calls::Calls) -> String| {
        text.begin(name, "counter", help);
        for (command, calls) in &all {
            text.labelled(name, "command", command, value(calls));
        }
    };
    each("larder_commands_total", "Commands that ran.", &|calls| calls.count.to_string());
    each("larder_commands_seconds_total", "Time that they took.", &|calls| calls.took.as_secs_f64().to_string());
    each("larder_commands_failed_total", "Commands that replied with an error.", &|calls| calls.failed.to_string());
    each("larder_commands_rejected_total", "Commands that could not run as they were asked for.", &|calls| {
        calls.rejected.to_string()
    });
    text.begin("larder_errors_total", "counter", "Errors that were replied, by code.");
    for (code, count) in counts.errors.all() {
        text.labelled("larder_errors_total", "code", code, count);
    }
    text.counter("larder_slow_commands_total", "Commands over slowlog-log-slower-than.", server.slow.count());

    let name = "larder_command_duration_seconds";
    text.begin(name, "histogram", "How long commands took, those of scripts not apart.");
    let mut sum = 0;
    for (i, count) in counts.durations.counts[..BUCKETS].iter().enumerate() {
        sum += count;
        // Less than 2^i in whole microseconds, rounded up, is at most 2^i - 1.
        let bound_s = ((1_u64 << i) - 1) as f64 / 1e6;
        text.labelled(&format!("{name}_bucket"), "le", &bound_s.to_string(), sum);
    }
    sum += counts.durations.counts[BUCKETS];
    text.labelled(&format!("{name}_bucket"), "le", "+Inf", sum);
    let took: f64 = all.values().map(|calls| calls.took.as_secs_f64()).sum();
    let _ = write!(text.out, "{name}_sum {took}\n{name}_count {sum}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_in_the_bucket_that_holds_them() {
        let mut durations = Durations::default();
        for (took_ns, bucket) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (3_000, 2), (3_001, 3), (u64::MAX, BUCKETS)] {
            let before = durations.counts[bucket];
            durations.note(Duration::from_nanos(took_ns), 1);
            assert_eq!(durations.counts[bucket], before + 1, "{took_ns}");
        }
        durations.note(Duration::from_micros(64), 32);
        assert_eq!(durations.counts[2], 2 + 32);
    }
}
