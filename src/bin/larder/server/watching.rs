//! What the server notes of itself: slow commands (SLOWLOG), spikes (LATENCY), counts (INFO).

use super::calls::{CallTable, ErrorTable};
use super::metrics::Durations;
use super::request::Args;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Counts since the start, or since CONFIG RESETSTAT.
#[derive(Default)]
pub struct Counts {
    pub connections: u64,
    pub refused_connections: u64,
    pub commands: u64,
    pub hits: u64,
    pub misses: u64,
    /// By command.
    pub calls: CallTable,
    pub durations: Durations,
    /// Error replies.
    pub errors: ErrorTable,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub expired_events: u64,
    /// Changes since the last save.
    pub dirty: u64,
}

impl Counts {
    /// The command ran `count` times, which took this long together, `failed` times to an error.
    #[inline]
    pub fn ran(&mut self, name: &'static str, count: u64, took: Duration, failed: u64) {
        self.commands += count;
        self.calls.note(name, count, took, failed);
        self.durations.note(took, count);
    }
}

/// A command that took long.
pub struct SlowCommand {
    pub id: u64,
    pub at_s: u64,
    pub took_us: u64,
    pub args: Vec<Vec<u8>>,
    pub addr: String,
    pub name: Vec<u8>,
}

const SLOW_ARGS_MAX: usize = 32;
const SLOW_ARG_BYTES_MAX: usize = 128;

/// The slow log: the newest first.
pub struct SlowLog {
    /// From how many microseconds on; negative for never.
    pub threshold_us: i64,
    pub count_max: usize,
    pub entries: VecDeque<SlowCommand>,
    next_id: u64,
}

impl Default for SlowLog {
    fn default() -> Self {
        Self { threshold_us: 10_000, count_max: 128, entries: VecDeque::new(), next_id: 0 }
    }
}

impl SlowLog {
    #[inline]
    pub fn is_slow(&self, took_us: u64) -> bool {
        u64::try_from(self.threshold_us).is_ok_and(|threshold_us| took_us >= threshold_us)
    }

    /// Slow commands since the start.
    pub fn count(&self) -> u64 {
        self.next_id
    }

    pub fn add(&mut self, took_us: u64, args: Args<'_>, addr: String, name: Vec<u8>) {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for (i, arg) in args.iter().enumerate() {
            if i == SLOW_ARGS_MAX - 1 && args.len() > SLOW_ARGS_MAX {
                kept.push(format!("... ({} more arguments)", args.len() - i).into_bytes());
                break;
            }
            if arg.len() > SLOW_ARG_BYTES_MAX {
                let more = format!("... ({} more bytes)", arg.len() - SLOW_ARG_BYTES_MAX);
                kept.push([&arg[..SLOW_ARG_BYTES_MAX], more.as_bytes()].concat());
            } else {
                kept.push(arg.to_vec());
            }
        }
        let entry = SlowCommand { id: self.next_id, at_s: now_s(), took_us, args: kept, addr, name };
        self.next_id += 1;
        self.entries.push_front(entry);
        self.entries.truncate(self.count_max);
    }
}

/// How many spikes of one event are remembered.
const SPIKES_MAX: usize = 160;

/// Spikes over a threshold, per event.
#[derive(Default)]
pub struct Latency {
    /// Milliseconds; 0 for off.
    pub threshold_ms: u64,
    pub events: BTreeMap<&'static str, Spikes>,
}

#[derive(Default)]
pub struct Spikes {
    /// Unix seconds and milliseconds.
    pub samples: VecDeque<(u64, u64)>,
    pub worst_ms: u64,
}

impl Latency {
    #[inline]
    pub fn observe(&mut self, event: &'static str, took: Duration) {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if self.threshold_ms != 0 && took_ms >= self.threshold_ms {
            self.add(event, took_ms);
        }
    }

    #[cold]
    fn add(&mut self, event: &'static str, took_ms: u64) {
        let spikes = self.events.entry(event).or_default();
        spikes.worst_ms = spikes.worst_ms.max(took_ms);
        let at_s = now_s();
        match spikes.samples.back_mut() {
            Some((last_s, last_ms)) if *last_s == at_s => *last_ms = took_ms.max(*last_ms),
            _ => spikes.samples.push_back((at_s, took_ms)),
        }
        if spikes.samples.len() > SPIKES_MAX {
            spikes.samples.pop_front();
        }
    }
}

/// Unix seconds.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
