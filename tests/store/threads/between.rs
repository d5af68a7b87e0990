//! What compaction may do between two steps of a write: after the append and before the index is changed, and after
//! both and before the sync has ended.

use super::{Ending, plain};
use crate::passing::{passes_on_file, passes_on_storage};
use crate::world::{small_options, small_tuning};
use larder::format::KeyHasher;
use larder::format::manifest::ManifestHead;
use larder::storage::{AppendMap, File, MapAccess, SimulatedStorage, Storage};
use larder::store::{BatchOp, Ttl};
use larder::{CompactionMode, Options, Status, Store, SyncMode};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// So few hashes that an entry has hundreds of neighbours, and changing the index takes long.
const FEW_HASHES: u64 = 0xF << 60;

/// A segment can be full, sealed and compacted while a writer that has appended to it has not yet changed the index. All
/// its records look dead then to who does not wait for the stripe's lock.
#[test]
fn r4_compaction_waits_for_a_writer_that_has_appended_and_not_yet_changed_the_index() {
    let sim = SimulatedStorage::new(4);
    let store =
        Store::open_in(Arc::new(sim.clone()), &small_options(SyncMode::None, 4096), &small_tuning(FEW_HASHES)).unwrap();
    let head = ManifestHead::decode(&sim.read_file("MANIFEST")).unwrap();
    let hasher = KeyHasher::with_mask(head.hash_seed, FEW_HASHES);
    // The batch's keys share one stripe, so that nothing but what looks at them waits for it.
    let is_of_batch = |key: &Vec<u8>| hasher.hash(key) >> 60 == 3;
    let mut keys = (0_u32..).map(|n| n.to_le_bytes().to_vec());
    let batch: Vec<_> = keys.by_ref().filter(is_of_batch).take(250).collect();
    let fillers: Vec<_> = keys.filter(|key| !is_of_batch(key)).take(4).collect();
    for round in 0..25_u8 {
        let value = [round; 40];
        let ops: Vec<_> = batch.iter().map(|key| BatchOp::Set { key, value: &value, ttl: Ttl::Forever }).collect();
        let is_written = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ending = Ending(&is_written);
                store.write(&ops, false).unwrap();
            });
            let mut n = 0;
            while !is_written.load(Ordering::Acquire) || n < 4 {
                // Larger than what is left of any segment: the one before is full now, and is sealed and compacted.
                store.set(&fillers[n % fillers.len()], &[n as u8; 3_000]).unwrap();
                store.step_background().unwrap();
                n += 1;
            }
        });
        for key in &batch {
            assert_eq!(store.get(key).unwrap().as_deref(), Some(&value[..]), "round {round}: {key:?}");
        }
    }
}

/// The same with the writer stopped at that moment, which a build with the feature `switches` can do.
#[cfg(feature = "switches")]
#[test]
fn r4_a_record_is_not_judged_while_its_writer_has_appended_and_not_yet_changed_the_index() {
    let sim = SimulatedStorage::new(4);
    let options = small_options(SyncMode::None, 4096);
    let store = Store::open_in(Arc::new(sim.clone()), &options, &small_tuning(FEW_HASHES)).unwrap();
    let head = ManifestHead::decode(&sim.read_file("MANIFEST")).unwrap();
    let hasher = KeyHasher::with_mask(head.hash_seed, FEW_HASHES);
    let key = b"k";
    // In another stripe, which the writer has not locked.
    let mut others = (0_u32..).map(|n| n.to_le_bytes()).filter(|other| hasher.hash(other) != hasher.hash(key));
    let filler = others.next().unwrap();
    store.set(key, b"before").unwrap();
    store.set(&filler, &[0; 2_000]).unwrap();
    let (has_appended, appended) = std::sync::mpsc::channel();
    let (may_go_on, go_on) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            larder::rules::when_appended(move || {
                has_appended.send(()).unwrap();
                go_on.recv().unwrap();
            });
            store.set(key, b"after").unwrap();
        });
        appended.recv().unwrap();
        // The segment with the record is full, sealed and, but for that record, dead.
        for n in 0..6 {
            store.set(&filler, &[n; 2_000]).unwrap();
        }
        let compacting = scope.spawn(|| (0..8).filter(|_| store.step_background().unwrap()).count());
        let begin = std::time::Instant::now();
        while !compacting.is_finished() && begin.elapsed() < Duration::from_millis(500) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let has_waited = !compacting.is_finished();
        may_go_on.send(()).unwrap();
        writer.join().unwrap();
        compacting.join().unwrap();
        assert!(has_waited, "the compaction has not waited for the writer");
    });
    assert_eq!(store.get(key).unwrap().as_deref(), Some(&b"after"[..]));
    assert!(!sim.names().iter().any(|name| name == "000001.seg"), "nothing was compacted");
    drop(store);
    let store = Store::open_in(Arc::new(sim.kill()), &options, &small_tuning(FEW_HASHES)).unwrap();
    assert_eq!(store.get(key).unwrap().as_deref(), Some(&b"after"[..]));
}

/// What is to go wrong, and when.
#[derive(Default)]
struct Faults {
    state: Mutex<FaultState>,
    changed: Condvar,
}

#[derive(Default)]
struct FaultState {
    /// The next file that is made is a compaction's output.
    awaits_output: bool,
    /// The next write of the manifest waits until a sync waits, and then finds the disk full.
    manifest_is_armed: bool,
    /// It has.
    is_over: bool,
    /// Syncs of segments wait, and fail when they may go on.
    syncs_are_held: bool,
    is_sync_waiting: bool,
}

impl Faults {
    fn wait_while(&self, is_waiting: impl Fn(&FaultState) -> bool) {
        let state = self.state.lock().unwrap();
        let limit = Duration::from_secs(20);
        let (_state, timeout) = self.changed.wait_timeout_while(state, limit, |state| is_waiting(state)).unwrap();
        assert!(!timeout.timed_out(), "nothing happened");
    }

    fn change(&self, change: impl FnOnce(&mut FaultState)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    /// At a write of the manifest.
    fn at_manifest(&self) -> io::Result<()> {
        if !std::mem::take(&mut self.state.lock().unwrap().manifest_is_armed) {
            return Ok(());
        }
        // The compaction has pointed the index at its copies: now somebody writes.
        self.change(|state| state.syncs_are_held = true);
        self.wait_while(|state| !state.is_sync_waiting);
        self.change(|state| state.is_over = true);
        Err(io::Error::from_raw_os_error(libc::ENOSPC))
    }

    /// At a sync of a segment.
    fn at_sync(&self) -> io::Result<()> {
        if !self.state.lock().unwrap().syncs_are_held {
            return Ok(());
        }
        self.change(|state| state.is_sync_waiting = true);
        self.wait_while(|state| state.syncs_are_held);
        Err(io::Error::from_raw_os_error(libc::EIO))
    }
}

struct FaultyStorage {
    sim: SimulatedStorage,
    faults: Arc<Faults>,
}

struct FaultyFile {
    file: Box<dyn File>,
    is_manifest: bool,
    faults: Arc<Faults>,
}

impl FaultyStorage {
    fn wrap(&self, name: &str, file: Box<dyn File>) -> Box<dyn File> {
        Box::new(FaultyFile { file, is_manifest: name.starts_with("MANIFEST"), faults: Arc::clone(&self.faults) })
    }
}

impl Storage for FaultyStorage {
    passes_on_storage!(sim: describe list rename remove sync_directory lock probe_lock now_ms random_u64);

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.faults.change(|state| state.manifest_is_armed |= std::mem::take(&mut state.awaits_output));
        Ok(self.wrap(name, self.sim.create(name)?))
    }

    fn open(&self, name: &str, access: MapAccess) -> io::Result<Box<dyn File>> {
        Ok(self.wrap(name, self.sim.open(name, access)?))
    }
}

impl File for FaultyFile {
    passes_on_file!(file: len read_at reserve write_zeros punch_hole map map_staged);

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.is_manifest {
            self.faults.at_manifest()?;
        }
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if !self.is_manifest {
            self.faults.at_sync()?;
        }
        self.file.sync()
    }

    fn sync_range(&self, map: &AppendMap, range: Range<usize>) -> io::Result<()> {
        self.faults.at_sync()?;
        self.file.sync_range(map, range)
    }
}

/// Two faults: a compaction has pointed the index at its copies and finds no room for the edit; before it takes that
/// back somebody overwrites one of the keys, and the sync of that write fails. Readers are shown the version before it
/// from then on, which is the copy.
#[test]
fn r12_after_a_compaction_without_room_and_a_failed_sync_the_version_before_is_still_there() {
    let sim = SimulatedStorage::new(12);
    let faults = Arc::new(Faults::default());
    let storage = FaultyStorage { sim: sim.clone(), faults: Arc::clone(&faults) };
    let options = Options { compaction: CompactionMode::Manual, ..small_options(SyncMode::Always, 4096) };
    let store = Store::open_in(Arc::new(storage), &options, &small_tuning(u64::MAX)).unwrap();
    store.set(b"k", b"before").unwrap();
    store.set(b"other", b"also").unwrap();
    for n in 0..12 {
        store.set(b"churn", &[n; 900]).unwrap();
    }
    // The next segment is there, so the first file that a compaction makes is its output.
    store.step_background().unwrap();
    faults.change(|state| state.awaits_output = true);
    std::thread::scope(|scope| {
        let compacting = scope.spawn(|| store.compact().map_err(|error| error.status()));
        faults.wait_while(|state| !state.syncs_are_held);
        let writing = scope.spawn(|| store.set(b"k", b"never durable").map_err(|error| error.status()));
        faults.wait_while(|state| !state.is_over);
        // Long enough for a compaction that does not wait to take everything back.
        std::thread::sleep(Duration::from_millis(100));
        faults.change(|state| state.syncs_are_held = false);
        assert_eq!(writing.join().unwrap(), Err(Status::Io));
        assert!(compacting.join().unwrap().is_err());
    });
    for _ in 0..3 {
        assert_eq!(store.get(b"k").unwrap().as_deref(), Some(&b"before"[..]));
        assert_eq!(store.view(b"k").unwrap().unwrap().bytes(), b"before");
        assert_eq!(store.get(b"other").unwrap().as_deref(), Some(&b"also"[..]));
        // Whatever is freed late is freed now.
        let _ = store.step_background();
    }
    assert_eq!(store.set(b"k", b"no more").unwrap_err().status(), Status::ReadOnly);
    drop(store);
    let next = Store::open_in(Arc::new(sim.kill()), &options, &small_tuning(u64::MAX)).unwrap();
    assert_eq!(next.get(b"k").unwrap().as_deref(), Some(&b"before"[..]));
    next.set_with(b"k", b"after", &plain()).unwrap();
}
