//! The simulated directory and file as the store sees them.
//!
//! Not here: crashes, failures and damage (`sim`, `sim::state`).
//!
//! Locks: the simulation's mutex, taken by every call for its whole length.

use super::call::CallKind;
use super::directory::InodeId;
use super::image::Image;
use super::inode::{Inode, PAGE_LEN};
use super::random::Random;
use super::state::{Content, Interruption, State};
use super::{Shared, SimulatedStorage};
use crate::lock::MutexGuard;
use crate::storage::map::{Backing, Map};
use crate::storage::{File, LockError, LockGuard, MapAccess, Storage};
use std::io;
use std::ops::Range;
use std::sync::Arc;

const LOCK_NAME: &str = "LOCK";

/// What an interrupted call leaves behind that does all of its work or none.
fn nothing(_: &mut Content, _: &mut Random, _: Interruption) {}

impl SimulatedStorage {
    fn handle(&self, state: &mut State, id: InodeId, access: MapAccess) -> Box<dyn File> {
        let pin = Arc::clone(&state.content.inode_of(id).pins);
        Box::new(SimulatedFile { shared: Arc::clone(&self.shared), id, access, pin })
    }
}

impl Storage for SimulatedStorage {
    fn describe(&self) -> String {
        "simulated".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.shared.state.lock();
        state.begin(CallKind::List, "list".to_owned(), nothing)?;
        Ok(state.content.directory.live().keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut state = self.shared.state.lock();
        state.begin_change(CallKind::Create, format!("create {name}"), nothing)?;
        if state.content.directory.get(name).is_some() {
            return Err(state.fail(libc::EEXIST));
        }
        let id = state.content.add(Inode::new());
        state.content.directory.link(name, id);
        Ok(self.handle(&mut state, id, MapAccess::ReadWrite))
    }

    fn open(&self, name: &str, access: MapAccess) -> io::Result<Box<dyn File>> {
        let mut state = self.shared.state.lock();
        let line = format!("open {name}");
        match access {
            MapAccess::ReadOnly => state.begin(CallKind::Open, line, nothing)?,
            MapAccess::ReadWrite => state.begin_change(CallKind::Open, line, nothing)?,
        }
        match state.content.directory.get(name) {
            Some(id) => Ok(self.handle(&mut state, id, access)),
            None => Err(state.fail(libc::ENOENT)),
        }
    }

    fn rename(&self, source: &str, target: &str) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.begin_change(CallKind::Rename, format!("rename {source} {target}"), nothing)?;
        if state.content.directory.get(source).is_none() {
            return Err(state.fail(libc::ENOENT));
        }
        state.content.directory.rename(source, target);
        state.content.collect();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.begin_change(CallKind::Remove, format!("remove {name}"), nothing)?;
        if state.content.directory.get(name).is_none() {
            return Err(state.fail(libc::ENOENT));
        }
        state.content.directory.unlink(name);
        state.content.collect();
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.begin_change(CallKind::SyncDirectory, "sync-directory".to_owned(), |content, _, interruption| {
            if interruption == Interruption::Failure {
                content.directory.fail_sync();
            }
        })?;
        state.content.directory.sync();
        state.content.collect();
        Ok(())
    }

    fn lock(&self) -> Result<Box<dyn LockGuard>, LockError> {
        let mut state = self.shared.state.lock();
        state.begin_change(CallKind::Lock, "lock".to_owned(), nothing).map_err(LockError::Io)?;
        let pid = std::process::id();
        if state.is_locked {
            state.fail(libc::EWOULDBLOCK);
            return Err(LockError::Busy { pid });
        }
        state.is_locked = true;
        if state.content.directory.get(LOCK_NAME).is_none() {
            let id = state.content.add(Inode::new());
            state.content.directory.link(LOCK_NAME, id);
        }
        let line = format!("{pid}\n");
        state.content.inode(LOCK_NAME).write(line.as_bytes(), 0);
        Ok(Box::new(SimulatedLock { shared: Arc::clone(&self.shared) }))
    }

    fn probe_lock(&self) -> Result<(), LockError> {
        let mut state = self.shared.state.lock();
        state.begin(CallKind::ProbeLock, "probe-lock".to_owned(), nothing).map_err(LockError::Io)?;
        if state.is_locked { Err(LockError::Busy { pid: std::process::id() }) } else { Ok(()) }
    }

    fn now_ms(&self) -> u64 {
        self.shared.state.lock().now_ms
    }

    fn random_u64(&self) -> u64 {
        self.shared.state.lock().random_u64()
    }
}

/// Frees the lock of the directory it was taken in; a crash or kill has freed it in the next one.
struct SimulatedLock {
    shared: Arc<Shared>,
}

impl LockGuard for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.shared.state.lock().is_locked = false;
    }
}

/// An open simulated file.
struct SimulatedFile {
    shared: Arc<Shared>,
    id: InodeId,
    access: MapAccess,
    pin: Arc<()>,
}

impl SimulatedFile {
    /// Locks the state, and says how a trace names this file and its call.
    fn begin(&self, call: &str, details: &str) -> (MutexGuard<'_, State>, String) {
        let state = self.shared.state.lock();
        let name = state.content.directory.name_of(self.id).unwrap_or("(unlinked)");
        let line = format!("{call} {name}{details}");
        (state, line)
    }

    fn require_writable(&self, state: &mut State) -> io::Result<()> {
        match self.access {
            MapAccess::ReadWrite => Ok(()),
            MapAccess::ReadOnly => Err(state.fail(libc::EBADF)),
        }
    }
}

impl File for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        let (mut state, line) = self.begin("len", "");
        state.begin(CallKind::Len, line, nothing)?;
        Ok(state.content.inode_of(self.id).len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let (mut state, line) = self.begin("read", &format!(" {offset}+{}", buffer.len()));
        state.begin(CallKind::ReadAt, line, nothing)?;
        if state.content.inode_of(self.id).read(buffer, usize::try_from(offset).unwrap_or(usize::MAX)) {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends before the bytes to be read"))
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut state, line) = self.begin("write", &format!(" {offset}+{}", bytes.len()));
        let offset = usize::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
        let left = state.space_left();
        let fitting_len = match self.access {
            MapAccess::ReadWrite => state.content.inode_of(self.id).fitting_len(offset, bytes.len(), left),
            MapAccess::ReadOnly => 0,
        };
        state.begin_change(CallKind::WriteAt, line, |content, random, _| {
            // A write that is cut short has written some of it; of an aligned word, all or nothing.
            let is_word = bytes.len() == 8 && offset.is_multiple_of(8);
            let len = if is_word { random.below(2) * fitting_len } else { random.below(fitting_len + 1) };
            content.inode_of(self.id).write(&bytes[..len], offset);
        })?;
        self.require_writable(&mut state)?;
        state.content.inode_of(self.id).write(&bytes[..fitting_len], offset);
        if fitting_len < bytes.len() { Err(state.fail(libc::ENOSPC)) } else { Ok(()) }
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let (mut state, line) = self.begin("reserve", &format!(" {len}"));
        state.begin_change(CallKind::Reserve, line, nothing)?;
        self.require_writable(&mut state)?;
        let len = usize::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
        if state.content.inode_of(self.id).space_needed(0..len) > state.space_left() {
            return Err(state.fail(libc::ENOSPC));
        }
        state.content.inode_of(self.id).reserve(len);
        Ok(())
    }

    fn write_zeros(&self, len: u64) -> io::Result<()> {
        let (mut state, line) = self.begin("write-zeros", &format!(" {len}"));
        state.begin_change(CallKind::WriteAt, line, nothing)?;
        self.require_writable(&mut state)
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        let (mut state, line) = self.begin("punch", &format!(" {offset}+{len}"));
        state.begin_change(CallKind::PunchHole, line, nothing)?;
        self.require_writable(&mut state)?;
        let bounded = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        state.content.inode_of(self.id).punch(bounded(offset), bounded(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, line) = self.begin("sync", "");
        state.begin(CallKind::Sync, line, |content, _, interruption| {
            if interruption == Interruption::Failure {
                content.inode_of(self.id).fail_sync(0..usize::MAX);
            }
        })?;
        state.content.inode_of(self.id).sync(0..usize::MAX);
        Ok(())
    }

    fn map(&self, len: usize, access: MapAccess) -> io::Result<Map> {
        let (mut state, line) = self.begin("map", &format!(" {len}"));
        state.begin(CallKind::Map, line, nothing)?;
        let is_writable = access == MapAccess::ReadWrite;
        if is_writable && self.access != MapAccess::ReadWrite {
            return Err(state.fail(libc::EACCES));
        }
        let inode = state.content.inode_of(self.id);
        if len > inode.len() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than what was to be mapped"));
        }
        let image = inode.map(len, is_writable);
        Ok(self.map_of(image, len, access, false))
    }

    fn map_staged(&self, len: usize) -> io::Result<Map> {
        let (mut state, line) = self.begin("map-staged", &format!(" {len}"));
        state.begin(CallKind::Map, line, nothing)?;
        self.require_writable(&mut state)?;
        let inode = state.content.inode_of(self.id);
        if len > inode.len() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than what was to be mapped"));
        }
        inode.map(len, true);
        let image = Image::new(inode.len());
        image.store(0, &inode.live_bytes());
        Ok(self.map_of(Arc::new(image), len, MapAccess::ReadWrite, true))
    }
}

impl SimulatedFile {
    fn map_of(&self, image: Arc<Image>, len: usize, access: MapAccess, is_staged: bool) -> Map {
        let base = image.base();
        let file = SimulatedFile { shared: Arc::clone(&self.shared), id: self.id, access, pin: Arc::clone(&self.pin) };
        // SAFETY: aligned to 8 and valid for `len` bytes, since `len` is at most the file's length and
        // that at most the image's capacity; the backing keeps the image, which never moves (I1);
        // the simulation itself stores there only when the store writes or punches.
        unsafe { Map::new(base, len, access, Arc::new(Memory { image, file, is_staged })) }
    }
}

/// What a map lives on.
struct Memory {
    image: Arc<Image>,
    file: SimulatedFile,
    /// The image is not the file's.
    is_staged: bool,
}

impl Memory {
    /// Copies a part of a staged image into the file.
    fn copy_out(&self, content: &mut Content, range: Range<usize>) {
        if self.is_staged {
            let mut bytes = vec![0; range.len()];
            self.image.load(range.start, &mut bytes);
            content.inode_of(self.file.id).write(&bytes, range.start);
        }
    }
}

impl Backing for Memory {
    fn sync(&self, range: Range<usize>) -> io::Result<()> {
        let (mut state, line) = self.file.begin("sync", &format!(" {}+{}", range.start, range.len()));
        let pages = range.start / PAGE_LEN..range.end.div_ceil(PAGE_LEN);
        state.begin(CallKind::Sync, line, |content, random, interruption| {
            self.copy_out(content, range.start..range.start + random.below(range.len() + 1));
            if interruption == Interruption::Failure {
                content.inode_of(self.file.id).fail_sync(pages.clone());
            }
        })?;
        self.copy_out(&mut state.content, range);
        state.content.inode_of(self.file.id).sync(pages);
        Ok(())
    }

    fn write_out(&self, range: Range<usize>) -> io::Result<()> {
        if !self.is_staged {
            return Ok(());
        }
        let (mut state, line) = self.file.begin("write", &format!(" {}+{}", range.start, range.len()));
        state.begin(CallKind::WriteAt, line, |content, random, _| {
            self.copy_out(content, range.start..range.start + random.below(range.len() + 1));
        })?;
        self.copy_out(&mut state.content, range);
        Ok(())
    }

    fn write_out_word(&self, offset: usize, _: [u8; 8]) {
        if self.is_staged {
            // As a store is: no call that could fail.
            let mut state = self.file.shared.state.lock();
            self.copy_out(&mut state.content, offset..offset + 8);
        }
    }
}
