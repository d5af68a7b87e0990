//! A disk whose syncs can be stopped, slowed down and counted: a real directory, seen through a valve.
//!
//! Only syncs of segments that are mapped pass the valve. Making a new segment syncs it too, before
//! it is mapped; that is no sync of anybody's write.

use super::Moments;
use crate::passing::{passes_on_file, passes_on_storage};
use larder::storage::{AppendMap, DiskStorage, File, Map, MapAccess, Storage};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What syncs pass.
#[derive(Default)]
pub struct Valve {
    state: Mutex<ValveState>,
    changed: Condvar,
    pub moments: Moments,
}

#[derive(Default)]
struct ValveState {
    is_shut: bool,
    waiting_count: u64,
    /// When each sync began and ended.
    syncs: Vec<(u64, u64)>,
    pause: Duration,
    is_skipping: bool,
}

impl Valve {
    /// From now on syncs wait, until what is returned is dropped.
    pub fn shut(&self) -> Shut<'_> {
        self.state.lock().is_shut = true;
        Shut(self)
    }

    /// Makes every sync take this much longer.
    pub fn slow_down(&self, pause: Duration) {
        self.state.lock().pause = pause;
    }

    /// Makes every sync take no time, and do nothing.
    pub fn skip(&self) {
        self.state.lock().is_skipping = true;
    }

    /// Waits until somebody's sync waits.
    pub fn await_waiting(&self) {
        let mut state = self.state.lock();
        while state.waiting_count == 0 {
            let timed_out = self.changed.wait_for(&mut state, Duration::from_secs(10)).timed_out();
            assert!(!timed_out, "nobody syncs");
        }
    }

    /// When each sync so far began and ended.
    pub fn syncs(&self) -> Vec<(u64, u64)> {
        self.state.lock().syncs.clone()
    }

    fn pass(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let began = self.moments.next();
        let pause = {
            let mut state = self.state.lock();
            if state.is_skipping {
                return Ok(());
            }
            state.waiting_count += 1;
            self.changed.notify_all();
            while state.is_shut {
                self.changed.wait(&mut state);
            }
            state.waiting_count -= 1;
            state.pause
        };
        std::thread::sleep(pause);
        sync()?;
        self.state.lock().syncs.push((began, self.moments.next()));
        Ok(())
    }
}

/// As long as it lives, syncs wait.
pub struct Shut<'a>(&'a Valve);

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.0.state.lock().is_shut = false;
        self.0.changed.notify_all();
    }
}

/// A directory behind a valve.
pub struct StoppingStorage {
    disk: DiskStorage,
    valve: Arc<Valve>,
}

impl StoppingStorage {
    pub fn open(path: &Path) -> (Arc<Self>, Arc<Valve>) {
        let valve = Arc::new(Valve::default());
        let disk = DiskStorage::open(path, true, false).unwrap();
        (Arc::new(Self { disk, valve: Arc::clone(&valve) }), valve)
    }

    fn wrap(&self, name: &str, file: Box<dyn File>) -> Box<dyn File> {
        let valve = Arc::clone(&self.valve);
        Box::new(StoppingFile { file, valve, is_segment: name.ends_with(".seg"), is_mapped: AtomicBool::new(false) })
    }
}

impl Storage for StoppingStorage {
    passes_on_storage!(disk: describe list rename remove sync_directory lock probe_lock now_ms random_u64);

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.wrap(name, self.disk.create(name)?))
    }

    fn open(&self, name: &str, access: MapAccess) -> io::Result<Box<dyn File>> {
        Ok(self.wrap(name, self.disk.open(name, access)?))
    }
}

struct StoppingFile {
    file: Box<dyn File>,
    valve: Arc<Valve>,
    is_segment: bool,
    is_mapped: AtomicBool,
}

impl File for StoppingFile {
    passes_on_file!(file: len read_at write_at reserve punch_hole write_zeros);

    fn sync(&self) -> io::Result<()> {
        if self.is_segment && self.is_mapped.load(Ordering::Relaxed) {
            return self.valve.pass(|| self.file.sync());
        }
        self.file.sync()
    }

    fn sync_range(&self, map: &AppendMap, range: Range<usize>) -> io::Result<()> {
        self.valve.pass(|| self.file.sync_range(map, range))
    }

    fn map(&self, len: usize, access: MapAccess) -> io::Result<Map> {
        self.is_mapped.store(true, Ordering::Relaxed);
        self.file.map(len, access)
    }

    fn map_staged(&self, len: usize) -> io::Result<Map> {
        self.is_mapped.store(true, Ordering::Relaxed);
        self.file.map_staged(len)
    }
}
