//! What an engine takes: memory that no file backs, room on disk, and time of processors.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Memory of this process that no file backs.
pub fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kibibytes = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (kibibytes("RssAnon:") + kibibytes("RssShmem:")) * 1024
}

/// Time of processors that this process has used, in all its threads and in the kernel.
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the output is ours.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Has the kernel own `bytes` of free memory. A virtual machine may return its free memory to the host and get it back
/// page by page (12 µs for 4 KiB where docs/benchmarks.md was measured, instead of 1.4): without this, a row would
/// mostly say who came first.
pub fn have_free_memory(bytes: u64) {
    let mut memory = vec![0_u8; bytes as usize];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    std::hint::black_box(&memory);
}

/// What the files of a directory take on disk. A file that goes away meanwhile counts nothing.
pub fn disk_bytes(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let sizes = entries.flatten().filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(if metadata.is_dir() { disk_bytes(&entry.path()) } else { metadata.blocks() * 512 })
    });
    sizes.sum()
}

/// Looks at a directory's size ten times a second.
pub struct DiskWatch {
    most: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl DiskWatch {
    pub fn new(directory: &Path) -> Self {
        let (most, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (to, end, path) = (most.clone(), is_over.clone(), PathBuf::from(directory));
        let thread = std::thread::spawn(move || {
            loop {
                to.fetch_max(disk_bytes(&path), Ordering::Relaxed);
                if end.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { most, is_over, thread }
    }

    /// The most that was seen.
    pub fn most_bytes(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.most.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_is_remembered_when_files_are_gone() {
        let directory = std::env::temp_dir().join(format!("larder-compare-disk-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let watch = DiskWatch::new(&directory);
        std::fs::write(directory.join("a"), vec![1; 1 << 20]).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        std::fs::remove_file(directory.join("a")).unwrap();
        assert_eq!(disk_bytes(&directory), 0);
        assert!(watch.most_bytes() >= 1 << 20);
        std::fs::remove_dir(&directory).unwrap();
    }
}
