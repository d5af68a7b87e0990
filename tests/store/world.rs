//! A store on a simulated directory beside what it should hold: operations, an oracle, and the two
//! run together. What the model, the crash and the failure tests share.
//!
//! The oracle knows the acknowledged history since the last open, how much of it is durable for certain,
//! and between which bounds the expiry clock stands. After a kill the store must show the end of
//! the history, after a power cut some moment of it at or past the durable mark.

use larder::storage::SimulatedStorage;
use larder::store::{BatchOp, Condition, SetOptions, SetOutcome, Ttl, TtlState, Tuning};
use larder::{CompactionMode, Error, Options, Status, Store, SyncMode};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Keys are few, so that every race between operations on one key happens soon.
pub const KEY_COUNT: u8 = 8;

/// SplitMix64 (Steele, Lea and Flood, 2014): the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// The bytes of key `n`: any bytes, of several lengths, none of them a prefix rule.
pub fn key_bytes(n: u8) -> Vec<u8> {
    match n {
        0 => Vec::new(),
        1 => vec![0],
        2 => b"\xff\xfe".to_vec(),
        3 => vec![b'k'; 90],
        _ => format!("key-{n}").into_bytes(),
    }
}

/// A value that no other number gives: `number` in front, then a pattern of it.
pub fn value_bytes(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((8..len.max(8)).map(|place| (number as usize * 31 + place) as u8));
    bytes.truncate(len);
    bytes
}

/// A value by number and length; see [`value_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    pub number: u64,
    pub len: usize,
}

#[derive(Clone, Debug)]
pub enum Op {
    Set {
        key: u8,
        value: Value,
        ttl: Ttl,
        condition: Condition,
        sync: bool,
    },
    Del {
        key: u8,
    },
    Expire {
        key: u8,
        ttl_ms: Option<u64>,
    },
    Batch {
        items: Vec<Item>,
        sync: bool,
    },
    Get {
        key: u8,
    },
    Exists {
        key: u8,
    },
    Ttl {
        key: u8,
    },
    View {
        key: u8,
    },
    GetMany {
        keys: Vec<u8>,
    },
    Walk {
        prefix: &'static [u8],
    },
    Len,
    CheckAll,
    Verify,
    Compact,
    Step,
    Sync,
    /// Forwards or backwards.
    Clock {
        by_ms: i64,
    },
    Reopen,
    ReopenReadOnly,
    Kill,
    PowerCut {
        seed: u64,
    },
}

/// One operation of a batch; `None` deletes.
#[derive(Clone, Debug)]
pub struct Item {
    pub key: u8,
    pub set: Option<(Value, Ttl)>,
}

/// How often which operations come, and how large values are.
#[derive(Clone, Copy)]
pub struct Mix {
    pub value_len_max: u64,
    /// One value in so many is larger than a segment; 0 for none.
    pub large_one_in: u64,
    /// Whether programs close, kill and cut the power themselves.
    pub has_restarts: bool,
}

pub fn draw_ttl(random: &mut Random) -> Ttl {
    match random.below(8) {
        0..=3 => Ttl::Forever,
        4 | 5 => Ttl::Keep,
        _ => Ttl::Millis([1, 50, 400, 3_000, 100_000][random.below(5) as usize]),
    }
}

pub fn draw_op(random: &mut Random, mix: &Mix, number: &mut u64) -> Op {
    let key = |random: &mut Random| random.below(u64::from(KEY_COUNT)) as u8;
    let mut value = |random: &mut Random| {
        *number += 1;
        let is_large = mix.large_one_in != 0 && random.one_in(mix.large_one_in);
        let len = if is_large { 4_000 + random.below(9_000) } else { random.below(mix.value_len_max + 1) };
        Value { number: *number, len: len as usize }
    };
    match random.below(if mix.has_restarts { 110 } else { 100 }) {
        0..=29 => {
            let condition = match random.below(6) {
                0 => Condition::IfAbsent,
                1 => Condition::IfPresent,
                _ => Condition::Always,
            };
            Op::Set { key: key(random), value: value(random), ttl: draw_ttl(random), condition, sync: random.one_in(8) }
        }
        30..=42 => Op::Del { key: key(random) },
        43..=49 => {
            let ttl_ms = match random.below(4) {
                0 => None,
                1 => Some(0),
                2 => Some(30),
                _ => Some(2_000),
            };
            Op::Expire { key: key(random), ttl_ms }
        }
        50..=59 => {
            let items = (0..random.below(6))
                .map(|_| Item {
                    key: key(random),
                    set: if random.one_in(3) { None } else { Some((value(random), draw_ttl(random))) },
                })
                .collect();
            Op::Batch { items, sync: random.one_in(8) }
        }
        60..=63 => Op::Get { key: key(random) },
        64 | 65 => Op::Exists { key: key(random) },
        66 | 67 => Op::Ttl { key: key(random) },
        68 | 69 => Op::View { key: key(random) },
        70 | 71 => Op::GetMany { keys: (0..random.below(10)).map(|_| key(random)).collect() },
        72 | 73 => Op::Walk { prefix: if random.one_in(2) { b"" } else { b"key-" } },
        74 => Op::Len,
        75..=77 => Op::CheckAll,
        78 => Op::Verify,
        79..=82 => Op::Compact,
        83..=90 => Op::Step,
        91..=93 => Op::Sync,
        94..=99 => {
            let by_ms = match random.below(6) {
                0 | 1 => 10 + random.below(100) as i64,
                2 | 3 => random.below(5_000) as i64,
                4 => -(random.below(5_000) as i64),
                _ => 200_000 - random.below(400_000) as i64,
            };
            Op::Clock { by_ms }
        }
        100..=102 => Op::Reopen,
        103 => Op::ReopenReadOnly,
        104..=106 => Op::Kill,
        _ => Op::PowerCut { seed: random.next() },
    }
}

/// What the oracle knows of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub value: Value,
    pub expires_at_ms: u64,
    /// It may be this much later: the clock was not known when it was written, and nobody was told.
    slack_ms: u64,
}

impl Entry {
    fn new(value: Value, expires_at_ms: u64) -> Self {
        Self { value, expires_at_ms, slack_ms: 0 }
    }

    fn is_live_at(&self, now_ms: u64) -> bool {
        self.expires_at_ms == 0 || now_ms < self.expires_at_ms
    }
}

/// All keys that were set and not deleted since; those whose time is over may still be in it.
pub type State = BTreeMap<u8, Entry>;

/// Bounds of a clock that is not known exactly.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub low: u64,
    pub high: u64,
}

/// What the store should hold.
#[derive(Clone)]
pub struct Oracle {
    /// States since the last open, one after each acknowledged write.
    history: Vec<State>,
    /// What may or may not have been done: writes that were cut short, or were acknowledged by a process
    /// that was dead already.
    interrupted: Vec<State>,
    /// Everything up to this state is durable for certain.
    durable: usize,
    /// The store's clock stood within these when it was last looked at.
    clock: Bounds,
    /// Somebody was told that it was at least this late: no restart may take that back (R3).
    clock_floor: u64,
    /// What of `clock_floor` a power cut cannot take back.
    clock_floor_durable: u64,
    version_max: u64,
    /// Several moments look alike to readers; in others of them, so many more keys are over, and still counted.
    len_slack: usize,
}

impl Oracle {
    fn new(now_ms: u64) -> Self {
        Self {
            history: vec![State::new()],
            interrupted: Vec::new(),
            durable: 0,
            // A store that has not looked at its clock yet has nothing to keep it from stepping back.
            clock: Bounds { low: 0, high: now_ms },
            clock_floor: 0,
            clock_floor_durable: 0,
            version_max: 0,
            len_slack: 0,
        }
    }

    /// Somebody was told that `expires_at_ms` is over.
    fn was_over(&mut self, expires_at_ms: u64) {
        self.clock.low = self.clock.low.max(expires_at_ms);
        self.clock_floor = self.clock_floor.max(expires_at_ms);
    }

    pub fn state(&self) -> &State {
        &self.history[self.history.len() - 1]
    }

    fn push(&mut self, state: State) {
        self.history.push(state);
    }

    fn mark_durable(&mut self) {
        self.durable = self.history.len() - 1;
        self.clock_floor_durable = self.clock_floor;
    }
}

/// What a key shows: its value and when it expires.
type Shown = Option<(Vec<u8>, u64)>;

/// The store and its oracle.
pub struct World {
    pub sim: SimulatedStorage,
    pub store: Option<Store>,
    pub options: Options,
    pub tuning: Tuning,
    pub oracle: Oracle,
    /// Whether the store may refuse writes for want of room.
    pub may_be_full: bool,
    pub power_cuts: u64,
}

pub fn sync_modes() -> [SyncMode; 3] {
    [SyncMode::Always, SyncMode::Interval(Duration::from_millis(50)), SyncMode::None]
}

pub fn small_options(sync: SyncMode, segment_bytes: u64) -> Options {
    Options { sync, segment_bytes, compaction: CompactionMode::Auto, ..Options::default() }
}

pub fn small_tuning(hash_mask: u64) -> Tuning {
    Tuning { segment_bytes_first: 4096, hash_mask, has_background: false, ..Tuning::default() }
}

/// As often as a program says: never, whenever there is anything new, or every few segments.
pub fn draw_checkpoints(random: &mut Random, tuning: Tuning) -> Tuning {
    let checkpoint_bytes = [u64::MAX, 0, 2_000, 10_000][random.below(4) as usize];
    Tuning { checkpoint_bytes, checkpoint_index_multiple: 0, ..tuning }
}

impl World {
    /// A new store in an empty directory.
    pub fn new(seed: u64, options: Options, tuning: Tuning) -> Self {
        let mut world = Self::unopened(SimulatedStorage::new(seed), options, tuning);
        world.open();
        world
    }

    pub fn unopened(sim: SimulatedStorage, options: Options, tuning: Tuning) -> Self {
        let oracle = Oracle::new(larder::storage::Storage::now_ms(&sim));
        Self { sim, store: None, options, tuning, oracle, may_be_full: false, power_cuts: 0 }
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn is_always(&self) -> bool {
        self.options.sync == SyncMode::Always
    }

    pub fn try_open(&mut self) -> Result<(), Error> {
        self.store = Some(Store::open_in(Arc::new(self.sim.clone()), &self.options, &self.tuning)?);
        Ok(())
    }

    pub fn open(&mut self) {
        if let Err(error) = self.try_open() {
            panic!("the store does not open: {error}\nfiles: {:?}\ncalls: {:#?}", self.sim.names(), self.last_calls());
        }
    }

    pub fn last_calls(&self) -> Vec<String> {
        let trace = self.sim.trace();
        trace[trace.len().saturating_sub(60)..].to_vec()
    }

    /// Within which the store's clock stands now.
    fn now(&self) -> Bounds {
        let now_ms = larder::storage::Storage::now_ms(&self.sim);
        Bounds { low: self.oracle.clock.low.max(now_ms), high: self.oracle.clock.high.max(now_ms) }
    }

    /// Called by everything that may make the store look at its clock.
    fn look_at_clock(&mut self) -> Bounds {
        let now = self.now();
        self.oracle.clock.high = now.high;
        now
    }

    /// `entry` was seen live, or not; tells the bounds of the clock, or what is wrong.
    fn learn(&mut self, key: u8, entry: Option<&Entry>, is_live: bool) -> Result<(), String> {
        let now = self.look_at_clock();
        let learned = learn(now, entry, is_live).map_err(|what| format!("key {key}: {what}"))?;
        self.oracle.clock.high = learned.high;
        if let Some(entry) = entry
            && !is_live
        {
            self.oracle.was_over(entry.expires_at_ms);
        }
        Ok(())
    }

    fn shown(&self, key: u8) -> Result<Shown, Error> {
        let view = self.store().view(&key_bytes(key))?;
        Ok(view.map(|view| (view.bytes().to_vec(), view.expires_at_ms())))
    }

    /// Whether `key` shows what the oracle expects.
    fn check_key(&mut self, key: u8) -> Result<(), String> {
        let entry = self.oracle.state().get(&key).cloned();
        let shown = self.shown(key).map_err(|error| format!("key {key}: {error}"))?;
        if let Some((bytes, expires_at_ms)) = &shown {
            let Some(entry) = &entry else {
                return Err(format!("key {key} is back: {} bytes, number {}", bytes.len(), number_of(bytes)));
            };
            same(key, entry, bytes, Some(*expires_at_ms))?;
        }
        self.learn(key, entry.as_ref(), shown.is_some())
    }

    /// Every key by every way of reading.
    pub fn check_all(&mut self) {
        for key in 0..KEY_COUNT {
            if let Err(what) = self.check_key(key) {
                panic!("{what}\nclock {:?}, storage's {:?}", self.oracle.clock, self.now());
            }
        }
        if let Err(what) = self.store().check_books() {
            panic!("{what}");
        }
        for op in [Op::GetMany { keys: (0..KEY_COUNT).collect() }, Op::Walk { prefix: b"" }, Op::Len] {
            self.apply(&op).unwrap();
        }
        for key in 0..KEY_COUNT {
            self.apply(&Op::Get { key }).unwrap();
            self.apply(&Op::Exists { key }).unwrap();
            self.apply(&Op::Ttl { key }).unwrap();
        }
    }

    /// Carries `op` out on both sides. An error of the store is handed out when nothing was done, as
    /// far as readers can see; anything that contradicts the oracle is a panic.
    pub fn apply(&mut self, op: &Op) -> Result<(), Error> {
        if !matches!(op, Op::Clock { .. }) {
            self.look_at_clock();
        }
        match op {
            Op::Set { key, value, ttl, condition, sync } => self.set(*key, *value, *ttl, *condition, *sync),
            Op::Del { key } => self.del(*key),
            Op::Expire { key, ttl_ms } => self.expire(*key, *ttl_ms),
            Op::Batch { items, sync } => self.batch(items, *sync),
            Op::Get { key } => self.get(*key),
            Op::Exists { key } => {
                let is_live = self.store().exists(&key_bytes(*key))?;
                self.saw(*key, is_live);
                Ok(())
            }
            Op::Ttl { key } => self.ttl(*key),
            Op::View { key } => self.check_key(*key).map_err(|what| panic!("{what}")),
            Op::GetMany { keys } => self.get_many(keys),
            Op::Walk { prefix } => self.walk(prefix),
            Op::Len => self.len(),
            Op::CheckAll => {
                self.check_all();
                Ok(())
            }
            Op::Verify => {
                let report = self.store().verify()?;
                assert_eq!(report.bad_records, 0, "{:?}", report.first);
                Ok(())
            }
            Op::Compact => {
                self.look_at_clock();
                self.store().compact()
            }
            Op::Step => {
                self.look_at_clock();
                self.store().step_background().map(|_| ())
            }
            Op::Sync => {
                self.store().sync()?;
                self.oracle.mark_durable();
                Ok(())
            }
            Op::Clock { by_ms } => {
                self.sim.advance_ms(*by_ms);
                Ok(())
            }
            Op::Reopen => self.reopen(),
            Op::ReopenReadOnly => self.reopen_read_only(),
            Op::Kill => {
                self.kill();
                self.open();
                self.check_after_kill();
                Ok(())
            }
            Op::PowerCut { seed } => {
                self.cut_power(*seed);
                self.open();
                self.check_after_power_cut();
                Ok(())
            }
        }
    }

    fn saw(&mut self, key: u8, is_live: bool) {
        let entry = self.oracle.state().get(&key).cloned();
        if is_live && entry.is_none() {
            panic!("key {key} is back");
        }
        if let Err(what) = self.learn(key, entry.as_ref(), is_live) {
            panic!("{what}");
        }
    }

    /// Whether `key` is live. Asks the store only where the clock is not known well enough.
    fn is_live(&mut self, key: u8) -> Result<bool, Error> {
        let now = self.now();
        match self.oracle.state().get(&key) {
            None => return Ok(false),
            Some(entry) if entry.is_live_at(now.low) == entry.is_live_at(now.high) => {
                return Ok(entry.is_live_at(now.low));
            }
            Some(_) => {}
        }
        let is_live = self.store().exists(&key_bytes(key))?;
        self.saw(key, is_live);
        Ok(is_live)
    }

    /// A write was acknowledged.
    fn acknowledged(&mut self, state: State, is_synced: bool) {
        self.oracle.interrupted.clear();
        self.oracle.push(state);
        if is_synced || self.is_always() {
            self.oracle.mark_durable();
        }
    }

    fn set(&mut self, key: u8, value: Value, ttl: Ttl, condition: Condition, sync: bool) -> Result<(), Error> {
        let was_live = self.is_live(key)?;
        let options = SetOptions { ttl, condition, sync };
        let now = self.look_at_clock();
        let mut state = self.oracle.state().clone();
        let expires_at_ms = match ttl {
            Ttl::Forever => 0,
            Ttl::Keep if was_live => state[&key].expires_at_ms,
            Ttl::Keep => 0,
            // If the clock is not known exactly, what was stored will tell.
            Ttl::Millis(ttl_ms) => now.low + ttl_ms,
            Ttl::Until(expires_at_ms) => expires_at_ms,
        };
        let slack_ms = if matches!(ttl, Ttl::Millis(_)) { now.high - now.low } else { 0 };
        state.insert(key, Entry { slack_ms, ..Entry::new(value, expires_at_ms) });
        let bytes = value_bytes(value.number, value.len);
        let outcome = match self.store().set_with(&key_bytes(key), &bytes, &options) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.failed(state);
                return Err(error);
            }
        };
        let expected = match condition {
            Condition::IfAbsent if was_live => Some(SetOutcome::Exists),
            Condition::IfPresent if !was_live => Some(SetOutcome::NotFound),
            _ => None,
        };
        match (outcome, expected) {
            (SetOutcome::Stored { version }, None) => {
                assert!(version > self.oracle.version_max, "version {version} was given out before");
                self.oracle.version_max = version;
                if let Ttl::Millis(ttl_ms) = ttl {
                    self.learn_expiry(key, &mut state, ttl_ms, now);
                }
                self.acknowledged(state, sync);
            }
            (outcome, Some(expected)) => {
                assert_eq!(outcome, expected, "key {key}");
                self.saw(key, was_live);
            }
            (outcome, None) => panic!("key {key} was to be set: {outcome:?}"),
        }
        Ok(())
    }

    /// A TTL was written while the clock was known to be within `now`: the record tells the clock.
    fn learn_expiry(&mut self, key: u8, state: &mut State, ttl_ms: u64, now: Bounds) {
        let clock = if now.low == now.high {
            now.low
        } else {
            let Some((_, expires_at_ms)) = self.shown(key).unwrap() else {
                panic!("key {key}: set to live {ttl_ms} ms, and is over at once");
            };
            expires_at_ms - ttl_ms
        };
        assert!((now.low..=now.high).contains(&clock), "key {key}: clock {clock} is not within {now:?}");
        self.oracle.clock = Bounds { low: clock, high: clock };
        if ttl_ms == 0 {
            self.oracle.was_over(clock);
        }
        if let Some(entry) = state.get_mut(&key) {
            (entry.expires_at_ms, entry.slack_ms) = (clock + ttl_ms, 0);
        }
    }

    /// A write was refused or broke off: `state` is what it would have led to.
    fn failed(&mut self, state: State) {
        self.oracle.interrupted.push(state);
    }

    fn del(&mut self, key: u8) -> Result<(), Error> {
        let was_live = self.is_live(key)?;
        let mut state = self.oracle.state().clone();
        state.remove(&key);
        match self.store().del(&key_bytes(key)) {
            Ok(is_deleted) => {
                assert_eq!(is_deleted, was_live, "del of key {key}");
                if is_deleted {
                    self.acknowledged(state, false);
                } else {
                    self.saw(key, false);
                }
                Ok(())
            }
            Err(error) => {
                self.failed(state);
                Err(error)
            }
        }
    }

    fn expire(&mut self, key: u8, ttl_ms: Option<u64>) -> Result<(), Error> {
        let was_live = self.is_live(key)?;
        let mut now = self.look_at_clock();
        if was_live && ttl_ms == Some(0) && now.low != now.high {
            // Afterwards nothing would show which time it was.
            self.expire(key, Some(1_000))?;
            now = self.look_at_clock();
        }
        let mut state = self.oracle.state().clone();
        if let Some(entry) = state.get_mut(&key) {
            entry.expires_at_ms = ttl_ms.map_or(0, |ttl_ms| now.low + ttl_ms);
            entry.slack_ms = if ttl_ms.is_some() { now.high - now.low } else { 0 };
        }
        match self.store().expire(&key_bytes(key), ttl_ms) {
            Ok(is_done) => {
                assert_eq!(is_done, was_live, "expire of key {key}");
                if !is_done {
                    self.saw(key, false);
                    return Ok(());
                }
                if let Some(ttl_ms) = ttl_ms {
                    self.learn_expiry(key, &mut state, ttl_ms, now);
                }
                if &state != self.oracle.state() {
                    self.acknowledged(state, false);
                }
                Ok(())
            }
            Err(error) => {
                self.failed(state);
                Err(error)
            }
        }
    }

    fn batch(&mut self, items: &[Item], sync: bool) -> Result<(), Error> {
        // So that `Keep` is judged by a clock that both sides have looked at.
        for item in items {
            self.is_live(item.key)?;
        }
        let now = self.look_at_clock();
        let mut state = self.oracle.state().clone();
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for item in items {
            keys.push(key_bytes(item.key));
            values.push(item.set.map_or_else(Vec::new, |(value, _)| value_bytes(value.number, value.len)));
        }
        let ops: Vec<BatchOp<'_>> = items
            .iter()
            .zip(keys.iter().zip(&values))
            .map(|(item, (key, value))| match item.set {
                Some((_, ttl)) => BatchOp::Set { key, value, ttl },
                None => BatchOp::Del { key },
            })
            .collect();
        for item in items {
            match item.set {
                None => {
                    state.remove(&item.key);
                }
                Some((value, ttl)) => {
                    let (expires_at_ms, slack_ms) = match ttl {
                        Ttl::Forever => (0, 0),
                        Ttl::Keep => {
                            let present = state.get(&item.key).filter(|entry| entry.is_live_at(now.low));
                            present.map_or((0, 0), |entry| (entry.expires_at_ms, entry.slack_ms))
                        }
                        Ttl::Millis(ttl_ms) => (now.low + ttl_ms, now.high - now.low),
                        Ttl::Until(expires_at_ms) => (expires_at_ms, 0),
                    };
                    state.insert(item.key, Entry { value, expires_at_ms, slack_ms });
                }
            }
        }
        if let Err(error) = self.store().write(&ops, sync) {
            self.failed(state);
            return Err(error);
        }
        if now.low != now.high {
            // The clock was read once for each TTL, and stood still.
            self.learn_batch(items, &mut state, now);
        }
        if items.is_empty() {
            if sync {
                self.oracle.mark_durable();
            }
        } else {
            self.acknowledged(state, sync);
        }
        Ok(())
    }

    /// The clock was not known: each record that a TTL was written to tells it.
    fn learn_batch(&mut self, items: &[Item], state: &mut State, now: Bounds) {
        let has_ttl = items.iter().any(|item| matches!(item.set, Some((_, Ttl::Millis(_)))));
        if !has_ttl {
            return;
        }
        for key in items.iter().map(|item| item.key) {
            let Some(entry) = state.get_mut(&key) else { continue };
            if entry.expires_at_ms == 0 {
                continue;
            }
            let Some((_, expires_at_ms)) = self.shown(key).unwrap() else { continue };
            let offset = expires_at_ms.wrapping_sub(entry.expires_at_ms);
            assert!(offset <= now.high - now.low, "key {key}: expires at {expires_at_ms}, {entry:?}, {now:?}");
            entry.expires_at_ms = expires_at_ms;
        }
        state.values_mut().for_each(|entry| entry.slack_ms = 0);
    }

    fn get(&mut self, key: u8) -> Result<(), Error> {
        let found = self.store().get(&key_bytes(key))?;
        self.saw_value(key, found.as_deref());
        Ok(())
    }

    fn saw_value(&mut self, key: u8, found: Option<&[u8]>) {
        if let Some(bytes) = found {
            match self.oracle.state().get(&key) {
                None => panic!("key {key} is back: number {}", number_of(bytes)),
                Some(entry) => same(key, entry, bytes, None).unwrap_or_else(|what| panic!("{what}")),
            }
        }
        self.saw(key, found.is_some());
    }

    fn ttl(&mut self, key: u8) -> Result<(), Error> {
        let shown = self.store().ttl(&key_bytes(key))?;
        let entry = self.oracle.state().get(&key).cloned();
        match (shown, entry) {
            (TtlState::Absent, None) => {}
            (TtlState::Absent | TtlState::Expired, Some(_)) => self.saw(key, false),
            // Its record is still there, whoever judged it over before.
            (TtlState::Expired, None) => {}
            (TtlState::Forever, Some(entry)) => assert_eq!(entry.expires_at_ms, 0, "key {key}"),
            (TtlState::Millis(left_ms), Some(entry)) => {
                let now = self.now();
                let clock = entry.expires_at_ms.wrapping_sub(left_ms);
                assert!((now.low..=now.high).contains(&clock), "key {key}: {left_ms} ms left of {entry:?}, {now:?}");
                self.saw(key, true);
            }
            (shown, None) => panic!("key {key} is back: {shown:?}"),
        }
        Ok(())
    }

    fn get_many(&mut self, keys: &[u8]) -> Result<(), Error> {
        let bytes: Vec<_> = keys.iter().map(|key| key_bytes(*key)).collect();
        let slices: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        let mut found = Vec::new();
        self.store().get_many_with(&slices, |place, value| {
            assert_eq!(place, found.len());
            found.push(value.map(|value| value.map(<[u8]>::to_vec)));
            true
        })?;
        assert_eq!(found.len(), keys.len());
        for (key, value) in keys.iter().zip(found) {
            self.saw_value(*key, value?.as_deref());
        }
        Ok(())
    }

    fn walk(&mut self, prefix: &[u8]) -> Result<(), Error> {
        let mut cursor = self.store().cursor(prefix)?;
        let mut found = BTreeMap::new();
        while let Some((key, value)) = cursor.next()? {
            assert!(found.insert(key.to_vec(), value.to_vec()).is_none(), "a cursor returned {key:?} twice");
        }
        for key in (0..KEY_COUNT).filter(|key| key_bytes(*key).starts_with(prefix)) {
            let value = found.remove(&key_bytes(key));
            self.saw_value(key, value.as_deref());
        }
        assert!(found.is_empty(), "a cursor returned keys that nobody wrote: {found:?}");
        Ok(())
    }

    fn len(&mut self) -> Result<(), Error> {
        let now = self.look_at_clock();
        let len = self.store().len()?;
        let count = |is_counted: &dyn Fn(u64) -> bool| {
            self.oracle.state().values().filter(|e| e.expires_at_ms == 0 || is_counted(e.expires_at_ms)).count() as u64
        };
        let least = count(&|at| at > now.high);
        let most = count(&|at| at + 1_000 > now.low) + self.oracle.len_slack as u64;
        assert!((least..=most).contains(&len), "len is {len}, not within {least}..={most}: {:?}", self.oracle.state());
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Error> {
        self.store().close()?;
        self.closed();
        self.try_open()?;
        self.check_after_kill();
        Ok(())
    }

    /// Closes, looks at everything read-only, and opens again for writing.
    fn reopen_read_only(&mut self) -> Result<(), Error> {
        self.store().close()?;
        self.closed();
        let names = self.sim.names();
        self.options.read_only = true;
        self.open();
        self.check_after_kill();
        assert_eq!(self.store().set(b"x", b"y").unwrap_err().status(), Status::ReadOnly);
        assert_eq!(self.store().compact().unwrap_err().status(), Status::ReadOnly);
        self.store().close()?;
        assert_eq!(self.sim.names(), names, "a read-only opener changed the directory");
        self.options.read_only = false;
        self.open();
        self.check_after_kill();
        Ok(())
    }

    /// A close has returned: everything is durable, the clock too.
    pub fn closed(&mut self) {
        self.store = None;
        self.oracle.clock_floor = self.oracle.clock.low;
        self.oracle.mark_durable();
    }

    /// Like [`World::apply`] while the power is to fail at call `cut_at`. An error, or false, once it has.
    pub fn apply_until_cut(&mut self, op: &Op, cut_at: Option<u64>) -> Result<bool, Error> {
        let before = self.oracle.clone();
        let result = self.apply(op);
        if cut_at.is_none_or(|cut_at| self.sim.call_count() < cut_at) {
            return result.map(|()| true);
        }
        if self.oracle.history.len() > before.history.len() {
            // Acknowledged by a process that had lost its power: the caller never heard of it.
            let interrupted = self.oracle.history.split_off(before.history.len());
            self.oracle = Oracle { interrupted, ..before };
        }
        result.map(|()| false)
    }

    /// The same world after a power cut, not yet opened.
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let mut next =
            Self { oracle: self.oracle.clone(), ..Self::unopened(self.sim.clone(), self.options.clone(), self.tuning) };
        next.cut_power(seed);
        next
    }

    pub fn kill(&mut self) {
        let next = self.sim.kill();
        self.sim = next;
        self.not_closed();
    }

    /// The store is gone, and no close has noted how far its clock was.
    pub fn not_closed(&mut self) {
        self.store = None;
        self.oracle.clock.low = self.oracle.clock_floor;
    }

    pub fn cut_power(&mut self, seed: u64) {
        let next = self.sim.crash(seed);
        self.sim = next;
        self.store = None;
        self.power_cuts += 1;
        self.oracle.clock_floor = self.oracle.clock_floor_durable;
        self.oracle.clock.low = self.oracle.clock_floor;
    }

    /// After a write that returned an error: readers see nothing of it (R12). Only of one that asked for a
    /// sync in a mode that does not wait for syncs, they may see all of it (`may_show`).
    pub fn check_after_failure(&mut self, may_show: bool) {
        let now = self.look_at_clock();
        let shown: Vec<Shown> = (0..KEY_COUNT).map(|key| self.shown(key).unwrap()).collect();
        if is_shown(self.oracle.state(), &shown, now).is_err()
            && may_show
            && let Some(state) = self.oracle.interrupted.pop()
            && is_shown(&state, &shown, now).is_ok()
        {
            self.oracle.push(state);
        }
        self.check_all();
    }

    /// After a kill or a close in order: exactly what was acknowledged.
    pub fn check_after_kill(&mut self) {
        let last = self.oracle.history.len() - 1;
        self.check_is_one_of(last, false);
    }

    /// After a power cut: some moment of the history at or past the durable mark.
    pub fn check_after_power_cut(&mut self) {
        let durable = self.oracle.durable;
        self.check_is_one_of(durable, true);
    }

    /// After a kill in the middle of a write, which may or may not have been done.
    pub fn check_after_kill_in_a_write(&mut self) {
        let last = self.oracle.history.len() - 1;
        self.check_is_one_of(last, true);
    }

    fn check_is_one_of(&mut self, first: usize, with_interrupted: bool) {
        let now = self.look_at_clock();
        let mut shown = Vec::new();
        for key in 0..KEY_COUNT {
            match self.shown(key) {
                Ok(found) => shown.push(found),
                Err(error) => panic!("after an open, key {key}: {error}"),
            }
        }
        let mut candidates: Vec<State> = self.oracle.history[first..].to_vec();
        if with_interrupted {
            candidates.append(&mut self.oracle.interrupted);
        }
        self.oracle.interrupted.clear();
        let mut best: Option<(Bounds, &State)> = None;
        let (mut wrong, mut alike) = (Vec::new(), Vec::new());
        for (place, state) in candidates.iter().enumerate() {
            match is_shown(state, &shown, now) {
                Ok(bounds) => {
                    alike.push(state);
                    if best.is_none_or(|(best, _)| bounds.low < best.low) {
                        best = Some((bounds, state));
                    }
                }
                Err(what) => wrong.push(format!("state {}: {what}", first + place)),
            }
        }
        let Some((bounds, state)) = best else {
            panic!(
                "what the store shows was never acknowledged, or is from before state {first}, which was durable:\n{}\n\
                 clock {now:?}",
                wrong.join("\n")
            );
        };
        let mut state = state.clone();
        for (key, entry) in &mut state {
            if let Some((_, expires_at_ms)) = &shown[usize::from(*key)] {
                entry.expires_at_ms = *expires_at_ms;
            }
            entry.slack_ms = 0;
        }
        let differing = |other: &&State| other.iter().filter(|(key, entry)| state.get(key) != Some(entry)).count();
        self.oracle.len_slack = self.oracle.len_slack.max(alike.iter().map(differing).max().unwrap_or(0));
        self.oracle.clock.high = bounds.high;
        self.oracle.history = vec![state];
        // An open makes durable what it finds, the clock as far as it was noted before: what these reads were
        // told is noted only now.
        self.oracle.mark_durable();
        for (key, entry) in self.oracle.state().clone() {
            if shown[usize::from(key)].is_none() {
                self.oracle.was_over(entry.expires_at_ms);
            }
        }
        self.check_all();
    }
}

fn number_of(bytes: &[u8]) -> u64 {
    let mut number = [0; 8];
    let len = bytes.len().min(8);
    number[..len].copy_from_slice(&bytes[..len]);
    u64::from_le_bytes(number)
}

fn same(key: u8, entry: &Entry, bytes: &[u8], expires_at_ms: Option<u64>) -> Result<(), String> {
    if bytes != value_bytes(entry.value.number, entry.value.len) {
        let (len, number) = (bytes.len(), number_of(bytes));
        return Err(format!("key {key}: a value of {len} bytes, number {number}, and not {:?}", entry.value));
    }
    match expires_at_ms {
        Some(at) if at != entry.expires_at_ms && at.wrapping_sub(entry.expires_at_ms) > entry.slack_ms => {
            Err(format!("key {key}: expires at {at}, not {entry:?}"))
        }
        _ => Ok(()),
    }
}

/// Bounds of the clock after an entry was seen live or not.
fn learn(mut now: Bounds, entry: Option<&Entry>, is_live: bool) -> Result<Bounds, String> {
    let Some(Entry { expires_at_ms, slack_ms, .. }) = entry else {
        return if is_live { Err("live, and was never set".to_owned()) } else { Ok(now) };
    };
    match (is_live, *expires_at_ms) {
        (true, 0) => {}
        (false, 0) => return Err(format!("missing: {entry:?}")),
        (true, at) => now.high = now.high.min(at + slack_ms - 1),
        (false, at) => now.low = now.low.max(at),
    }
    if now.low > now.high {
        let what = if is_live { "live although its time is over" } else { "over before its time" };
        return Err(format!("{what}: {entry:?}, clock {now:?}"));
    }
    Ok(now)
}

fn is_shown(state: &State, shown: &[Shown], mut now: Bounds) -> Result<Bounds, String> {
    for (key, shown) in (0..KEY_COUNT).zip(shown) {
        let entry = state.get(&key);
        if let Some((bytes, expires_at_ms)) = shown {
            let entry = entry.ok_or_else(|| format!("key {key} is there: number {}", number_of(bytes)))?;
            same(key, entry, bytes, Some(*expires_at_ms))?;
        }
        now = learn(now, entry, shown.is_some()).map_err(|what| format!("key {key}: {what}"))?;
    }
    Ok(now)
}
