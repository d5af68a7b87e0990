//! A simulated directory as a whole: names, files, limits, clock, lock and the calls made to it.
//!
//! Not here: what each call does (`sim::traits`), what one file or the names go through in a crash
//! (`sim::inode`, `sim::directory`).
//!
//! Invariants:
//!   C1. Every name, live or durable or pending, names a file that is kept.
//!   C2. Once the power is cut or the process killed, what the next boot or process starts from
//!       never changes: it is a copy, out of reach of maps.

use super::call::{CallKind, Calls, Verdict};
use super::directory::{Directory, InodeId};
use super::inode::Inode;
use super::random::Random;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// The clock of a new directory: some day in 2023, in milliseconds.
const START_MS: u64 = 1_700_000_000_000;

pub(super) struct State {
    pub(super) content: Content,
    pub(super) calls: Calls,
    /// Draws write-backs and partial writes.
    random: Random,
    /// Draws what the store asks for, so that this does not depend on the number of calls.
    identities: Random,
    pub(super) now_ms: u64,
    pub(super) space_bytes_max: Option<u64>,
    pub(super) write_back_of_256: u32,
    pub(super) is_read_only: bool,
    pub(super) is_locked: bool,
    /// What was there when the power was cut or the process killed; set for ever (C2).
    frozen: Option<Content>,
}

/// Names and files.
#[derive(Default)]
pub(super) struct Content {
    pub(super) directory: Directory,
    inodes: BTreeMap<InodeId, Inode>,
    next_id: InodeId,
}

/// How much of what is not durable a power cut leaves, over all files and names.
#[derive(Clone, Copy)]
pub(super) enum Survival {
    Nothing,
    Everything,
    Mixed,
}

/// Why a call was cut short, and so what it may leave behind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    Failure,
    PowerCut,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            content: Content::default(),
            calls: Calls::default(),
            identities: Random::new(random.next()),
            random,
            now_ms: START_MS,
            space_bytes_max: None,
            write_back_of_256: 64,
            is_read_only: false,
            is_locked: false,
            frozen: None,
        }
    }

    pub(super) fn crash(&mut self, seed: u64) -> State {
        let mut random = Random::new(seed);
        let content = self.freeze().crash(&mut random);
        self.successor(random.next(), content)
    }

    pub(super) fn kill(&mut self) -> State {
        let content = self.freeze().copy();
        let seed = self.random.next();
        self.successor(seed, content)
    }

    fn successor(&self, seed: u64, content: Content) -> State {
        State {
            content,
            now_ms: self.now_ms,
            space_bytes_max: self.space_bytes_max,
            write_back_of_256: self.write_back_of_256,
            is_read_only: self.is_read_only,
            ..State::new(seed)
        }
    }

    fn freeze(&mut self) -> &Content {
        self.frozen.get_or_insert_with(|| self.content.copy())
    }

    /// Counts a call and says whether it may go on. If it may not, `interrupted` leaves behind what
    /// such a call may have done until then.
    pub(super) fn begin(
        &mut self,
        kind: CallKind,
        line: String,
        interrupted: impl FnOnce(&mut Content, &mut Random, Interruption),
    ) -> io::Result<()> {
        let verdict = self.calls.begin(kind, line);
        let errno = match verdict {
            _ if self.frozen.is_some() => libc::EIO,
            Verdict::Go => {
                if self.random.chance(self.write_back_of_256) {
                    self.content.write_back(&mut self.random);
                }
                return Ok(());
            }
            Verdict::Fail(errno) => {
                interrupted(&mut self.content, &mut self.random, Interruption::Failure);
                errno
            }
            Verdict::Crash => {
                interrupted(&mut self.content, &mut self.random, Interruption::PowerCut);
                self.freeze();
                libc::EIO
            }
        };
        Err(self.fail(errno))
    }

    /// [`State::begin`] for a call that changes something: not on a read-only file system.
    pub(super) fn begin_change(
        &mut self,
        kind: CallKind,
        line: String,
        interrupted: impl FnOnce(&mut Content, &mut Random, Interruption),
    ) -> io::Result<()> {
        self.begin(kind, line, interrupted)?;
        if self.is_read_only { Err(self.fail(libc::EROFS)) } else { Ok(()) }
    }

    /// The error of the call that began last.
    pub(super) fn fail(&mut self, errno: i32) -> io::Error {
        self.calls.note_failure(errno);
        io::Error::from_raw_os_error(errno)
    }

    /// Bytes of blocks that may still be given out.
    pub(super) fn space_left(&self) -> u64 {
        self.space_bytes_max.map_or(u64::MAX, |limit| limit.saturating_sub(self.content.space_used()))
    }

    pub(super) fn random_u64(&mut self) -> u64 {
        self.identities.next()
    }
}

impl Content {
    /// The file behind `name`. Panics if there is none.
    pub(super) fn inode(&mut self, name: &str) -> &mut Inode {
        match self.directory.get(name).and_then(|id| self.inodes.get_mut(&id)) {
            Some(inode) => inode,
            None => panic!("no simulated file {name}"),
        }
    }

    /// The file of a handle, which keeps it even without a name.
    pub(super) fn inode_of(&mut self, id: InodeId) -> &mut Inode {
        match self.inodes.get_mut(&id) {
            Some(inode) => inode,
            None => panic!("C1: the simulated file {id} of an open handle is gone"),
        }
    }

    pub(super) fn add(&mut self, inode: Inode) -> InodeId {
        self.next_id += 1;
        self.inodes.insert(self.next_id, inode);
        self.next_id
    }

    /// Forgets files that have no name, may not get one back, and are not in use.
    pub(super) fn collect(&mut self) {
        let reachable = self.directory.reachable();
        self.inodes.retain(|id, inode| reachable.contains(id) || inode.is_used());
    }

    /// Blocks of all files with a live name, and of those still in use.
    pub(super) fn space_used(&self) -> u64 {
        let named = |id| self.directory.name_of(id).is_some();
        let counted = self.inodes.iter().filter(|(id, inode)| named(**id) || inode.is_used());
        counted.map(|(_, inode)| inode.space_used()).sum()
    }

    pub(super) fn put_file(&mut self, name: &str, bytes: &[u8]) {
        let id = self.add(Inode::durable(bytes.to_vec()));
        self.directory.set_durably(name, Some(id));
        self.collect();
    }

    pub(super) fn delete_file(&mut self, name: &str) {
        assert!(self.directory.get(name).is_some(), "no simulated file {name}");
        self.directory.set_durably(name, None);
        self.collect();
    }

    fn write_back(&mut self, random: &mut Random) {
        let nth = random.below(self.inodes.len());
        if let Some(inode) = self.inodes.values_mut().nth(nth) {
            inode.write_back(random);
        }
    }

    fn copy(&self) -> Content {
        let inodes = self.inodes.iter().map(|(id, inode)| (*id, inode.copy())).collect();
        Content { directory: self.directory.clone(), inodes, next_id: self.next_id }
    }

    fn crash(&self, random: &mut Random) -> Content {
        let survival = match random.below(8) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            _ => Survival::Mixed,
        };
        let directory = self.directory.crash(random, survival);
        let survivors = directory.reachable();
        let inodes = self.inodes.iter().filter(|(id, _)| survivors.contains(id));
        let inodes = inodes.map(|(id, inode)| (*id, inode.crash(random, survival))).collect();
        Content { directory, inodes, next_id: self.next_id }
    }
}

impl Inode {
    /// Whether a handle or a map has it.
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.pins) > 1
    }
}
