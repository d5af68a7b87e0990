//! Files that somebody made on purpose, on a real directory: checksums hold, and what they guard is impossible. And
//! files that change while they are worked with. Whatever they say, the answer is an error or the truth: never a panic,
//! never an abort for want of memory, never a later write that counts as an older one.
//!
//! Not here: damage that checksums find (`damage`, `salvage`), how much a walk over damage costs (counted in the
//! library's own tests).

use crate::basics::Scratch;
use crate::passing::{passes_on_file, passes_on_storage};
use crate::world::{small_options, small_tuning};
use larder::format::checkpoint::{self, Contents};
use larder::format::manifest::{self, Change, Edit, ManifestHead, decode_edit, encode_edit};
use larder::format::record::{self, Head, Kind, Record};
use larder::format::segment::HEAD_LEN;
use larder::format::{Seed, align8};
use larder::storage::{DiskStorage, File, MapAccess, Storage};
use larder::store::{BatchOp, Ttl};
use larder::{CompactionMode, Error, Options, Status, Store, SyncMode, salvage};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::{fs, io};

fn options() -> Options {
    Options { compaction: CompactionMode::Manual, ..small_options(SyncMode::None, 8 << 10) }
}

fn disk(path: &Path) -> Arc<dyn Storage> {
    Arc::new(DiskStorage::open(path, true, false).unwrap())
}

fn open_in(storage: Arc<dyn Storage>) -> Result<Store, Error> {
    Store::open_in(storage, &options(), &small_tuning(u64::MAX))
}

fn open(path: &Path) -> Result<Store, Error> {
    open_in(disk(path))
}

fn key(n: u64) -> Vec<u8> {
    format!("key {n:04}").into_bytes()
}

fn fill(store: &Store) {
    for n in 0..60 {
        store.set(&key(n), &[n as u8; 500]).unwrap();
    }
    let batch = [BatchOp::Set { key: b"of a batch", value: b"1", ttl: Ttl::Forever }, BatchOp::Del { key: b"gone" }];
    store.write(&batch, false).unwrap();
    while store.step_background().unwrap() {}
}

/// A copy of all files of a store.
fn copy_of(path: &Path) -> Scratch {
    let copy = Scratch::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn names(path: &Path, has: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| has(path.file_name().unwrap().to_str().unwrap()));
    names.sort();
    names
}

/// Stores that were closed, with a checkpoint and without, and one that was killed.
fn subjects() -> Vec<(&'static str, Scratch)> {
    let store_path = Scratch::new();
    let store = open(store_path.path()).unwrap();
    fill(&store);
    let killed = copy_of(store_path.path());
    store.close().unwrap();
    let bare = copy_of(store_path.path());
    for checkpoint in names(bare.path(), |name| name.starts_with("INDEX")) {
        fs::remove_file(checkpoint).unwrap();
    }
    vec![("closed", store_path), ("without its checkpoint", bare), ("killed", killed)]
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Changes the head of the last record that is no part of a batch in a segment's file; its key, if there is one.
fn change_record(path: &Path, change: impl Fn(&mut Head)) -> Option<Vec<u8>> {
    let mut bytes = fs::read(path).unwrap();
    let seed = Seed::new(u64_at(&bytes, 16), u64_at(&bytes, 24));
    let (mut at, mut last) = (HEAD_LEN, None);
    while let Some(found) = bytes.get(at..).and_then(Record::at_start_of) {
        if found.head.kind == Kind::Set && !found.head.is_in_batch {
            last = Some((at, found.head, found.key().to_vec(), found.value().to_vec()));
        }
        at += found.bytes.len();
    }
    let (at, mut head, key, value) = last?;
    change(&mut head);
    let len = head.record_len() as usize;
    record::write(&mut bytes[at..at + len], seed, at as u64, &head, &key, &value);
    fs::write(path, bytes).unwrap();
    Some(key)
}

/// Adds an edit to a manifest.
fn add_edit(path: &Path, changes: &[Change]) {
    let path = path.join("MANIFEST");
    let mut bytes = fs::read(&path).unwrap();
    let head = ManifestHead::decode(&bytes).unwrap();
    let (mut at, mut number) = (manifest::HEAD_LEN, 1);
    while let Edit::Whole { len, .. } = decode_edit(&bytes[at..], head.seed(), at as u64, number) {
        at += align8(len as u64) as usize;
        number += 1;
    }
    let mut edit = Vec::new();
    encode_edit(&mut edit, head.seed(), at as u64, number, changes);
    bytes[at..at + edit.len()].copy_from_slice(&edit);
    fs::write(&path, bytes).unwrap();
}

/// Does everything with a store, with a compaction or without, and nothing of it may be a panic. What is written counts
/// from then on. How many places were found damaged before, if it opened.
fn work_with(path: &Path, victim: &[u8], compacts: bool, what: &str) -> Option<u64> {
    let is_refusal = |error: &Error| assert_eq!(error.status(), Status::Corrupt, "{what}: {error}");
    let mut bad_records = None;
    if let Ok(store) = open(path).inspect_err(is_refusal) {
        bad_records = Some(store.verify().unwrap().bad_records);
        let _ = store.get(victim).inspect_err(is_refusal);
        store.set(victim, b"written later").unwrap();
        if compacts {
            let _ = store.compact().inspect_err(is_refusal);
        }
        store.set(b"another", b"written later").unwrap();
        assert_eq!(store.get(victim).unwrap().as_deref(), Some(&b"written later"[..]), "{what}");
        store.close().unwrap();
    }
    if bad_records.is_some() {
        for checkpoint in names(path, |name| name.starts_with("INDEX")) {
            fs::remove_file(checkpoint).unwrap();
        }
        if let Ok(store) = open(path).inspect_err(is_refusal) {
            for key in [victim, b"another"] {
                assert_eq!(store.get(key).unwrap().as_deref(), Some(&b"written later"[..]), "{what}");
            }
            store.close().unwrap();
        }
    }
    bad_records
}

fn salvage_and_work_with(path: &Path, what: &str) -> larder::SalvageReport {
    let target = Scratch::new();
    let report = salvage(path, target.path(), &options(), &mut |_, _| true).unwrap();
    let store = open(target.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
    store.set(&key(3), b"written later").unwrap();
    store.close().unwrap();
    let store = open(target.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(store.get(&key(3)).unwrap().as_deref(), Some(&b"written later"[..]), "{what}");
    store.close().unwrap();
    report
}

#[test]
fn a_record_with_an_impossible_seqno_is_damage_wherever_it_is() {
    for (name, subject) in subjects() {
        let segments = names(subject.path(), |name| name.ends_with(".seg")).len();
        for place in 0..segments {
            for seqno in [500, 1 << 61, (1 << 62) - 1, 1 << 62, u64::MAX - 1, u64::MAX] {
                for compacts in [false, true] {
                    let crafted = copy_of(subject.path());
                    let path = &names(crafted.path(), |name| name.ends_with(".seg"))[place];
                    let Some(victim) = change_record(path, |head| head.seqno = seqno) else { continue };
                    let what = format!("{name}, seqno {seqno:#x} in {}, {compacts}", path.display());
                    if seqno >= 1 << 60 && !compacts {
                        let report = salvage_and_work_with(crafted.path(), &what);
                        assert!(report.keys >= 30, "{what}: {report:?}");
                    }
                    let bad_records = work_with(crafted.path(), &victim, compacts, &what);
                    // Of a sealed segment it is known what it holds. That of others nobody asks while the checkpoint
                    // answers for them.
                    assert!(place > 0 || bad_records != Some(0), "{what}");
                }
            }
        }
    }
}

#[test]
fn impossible_numbers_in_a_manifest_are_refused_and_salvaged() {
    let advance = |segment_id_next, seqno_next, clock_ms, tombstone_floor| Change::Advance {
        segment_id_next,
        seqno_next,
        clock_ms,
        tombstone_floor,
    };
    for (name, subject) in subjects() {
        for number in [1 << 61, (1 << 62) - 2, (1 << 62) - 1, 1 << 62, u64::MAX] {
            let changes = [
                advance(number, 0, 0, 0),
                advance(0, number, 0, 0),
                advance(0, 0, number, 0),
                advance(0, 0, 0, number),
                Change::Add { id: number, file_len: 4096 },
                Change::Add { id: 900, file_len: number },
                Change::Close { id: 0, end: 64, seqno_next: number },
            ];
            for change in changes {
                let crafted = copy_of(subject.path());
                add_edit(crafted.path(), &[change]);
                let what = format!("{name}, {change:?}");
                let error = open(crafted.path()).map(drop).unwrap_err();
                assert_eq!(error.status(), Status::Corrupt, "{what}: {error}");
                salvage_and_work_with(crafted.path(), &what);
            }
        }
    }
}

#[test]
fn a_segment_that_is_said_to_be_newer_than_the_next_write_is_refused() {
    for (name, subject) in subjects() {
        let bytes = fs::read(subject.path().join("000001.seg")).unwrap();
        let (mut end, mut seqno_last) = (HEAD_LEN, 0);
        while let Some(found) = bytes.get(end..).and_then(Record::at_start_of) {
            end += found.bytes.len();
            seqno_last = found.head.seqno;
        }
        let sealed = |seqno_max| {
            let (id, file_len, end) = (1, bytes.len() as u64, end as u64);
            [Change::Remove { id }, Change::Add { id, file_len }, Change::Seal { id, end, seqno_min: 1, seqno_max }]
        };
        add_edit(subject.path(), &sealed(seqno_last));
        open(copy_of(subject.path()).path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        add_edit(subject.path(), &sealed(100_000));
        let error = open(subject.path()).map(drop).unwrap_err();
        assert_eq!(error.status(), Status::Corrupt, "{name}: {error}");
    }
}

/// Changes what a store's checkpoint says of its segments, or of anything but the index.
fn change_checkpoint(path: &Path, change: impl Fn(&mut Contents)) {
    let [path] = names(path, |name| name.starts_with("INDEX")).try_into().unwrap();
    let bytes = fs::read(&path).unwrap();
    let store_id = u64_at(&bytes, 16);
    let head = checkpoint::Head::decode(bytes[..checkpoint::HEAD_LEN].try_into().unwrap(), store_id).unwrap();
    let mut contents = head.contents(store_id, &bytes[head.body_offset() as usize..]).unwrap();
    change(&mut contents);
    let body = contents.encode_body();
    let head = checkpoint::Head::new(store_id, head.file_id, &body, head.image_len);
    let mut crafted = bytes[..head.body_offset() as usize].to_vec();
    crafted.extend_from_slice(&body);
    crafted[..checkpoint::HEAD_LEN].copy_from_slice(&head.encode(store_id));
    fs::write(path, crafted).unwrap();
}

#[test]
fn a_checkpoint_with_impossible_figures_is_void() {
    let subject = &subjects()[0].1;
    let store = open(copy_of(subject.path()).path()).unwrap();
    assert!(store.opening().unwrap().is_from_checkpoint, "what is changed below is used");
    drop(store);
    type Craft = fn(&mut Contents, u64);
    let crafts: [Craft; 8] = [
        |contents, number| contents.seqno_next = number,
        |contents, number| contents.segments[0].seqno_max = number,
        |contents, number| contents.segments[0].live_count = number,
        |contents, number| contents.segments[0].live_bytes = number,
        |contents, number| contents.segments[0].tombstone_bytes = number,
        |contents, number| contents.segments[0].expiring = vec![(1, number)],
        |contents, number| contents.segments[0].expiring = vec![(1, 1), (2, number)],
        |contents, number| contents.segments[0].end = number,
    ];
    for (n, craft) in crafts.iter().enumerate() {
        for number in [1 << 61, 1 << 62, (1 << 63) - 1, u64::MAX] {
            let crafted = copy_of(subject.path());
            change_checkpoint(crafted.path(), |contents| craft(contents, number));
            let store = open(crafted.path()).unwrap();
            assert!(!store.opening().unwrap().is_from_checkpoint, "craft {n}, {number:#x}");
            assert_eq!(store.stats().unwrap().keys, 61, "craft {n}, {number:#x}");
            store.close().unwrap();
            work_with(crafted.path(), &key(7), true, &format!("craft {n}, {number:#x}"));
        }
    }
}

/// A tebibyte, which no machine that runs this has the memory for.
const HUGE_LEN: u64 = 1 << 40;

fn set_len(path: &Path, len: u64) -> fs::File {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    file.set_len(len).unwrap();
    file
}

/// Writes the head of a checkpoint with these lengths over the one that is there.
fn write_checkpoint_head(file: &fs::File, body_len: u64, image_len: u64) {
    let mut head = [0; checkpoint::HEAD_LEN];
    file.read_exact_at(&mut head, 0).unwrap();
    let store_id = u64_at(&head, 16);
    let head = checkpoint::Head::decode(&head, store_id).unwrap();
    let head = checkpoint::Head { body_len, image_len, ..head };
    file.write_all_at(&head.encode(store_id), 0).unwrap();
}

fn checkpoint_of(path: &Path) -> PathBuf {
    let [checkpoint] = names(path, |name| name.starts_with("INDEX")).try_into().unwrap();
    checkpoint
}

fn opens_without_checkpoint(path: &Path) {
    let storage = Arc::new(Watched::over(path));
    let store = open_in(Arc::clone(&storage) as Arc<dyn Storage>).unwrap();
    assert!(!store.opening().unwrap().is_from_checkpoint);
    assert_eq!(store.get(&key(7)).unwrap().as_deref(), Some(&[7; 500][..]));
    assert!(storage.watch.read_bytes.load(Ordering::Relaxed) < 4 << 20, "more was read than there is");
    store.close().unwrap();
}

#[test]
fn a_checkpoint_whose_body_is_a_hole_as_large_as_it_says_costs_nothing() {
    let subject = &subjects()[0].1;
    let file = set_len(&checkpoint_of(subject.path()), HUGE_LEN);
    let mut head = [0; checkpoint::HEAD_LEN];
    file.read_exact_at(&mut head, 0).unwrap();
    let image_len = u64_at(&head, 40);
    write_checkpoint_head(&file, HUGE_LEN - 64 - image_len, image_len);
    opens_without_checkpoint(subject.path());
}

/// Puts the foot of an index image in its place, with a checksum of `table` and it.
fn write_foot(file: &fs::File, image_len: u64, page_count: u64, entry_count: u64, table_at: u64, table: &[u8]) {
    let mut id = [0; 32];
    file.read_exact_at(&mut id, 0).unwrap();
    let seed = Seed::new(u64_at(&id, 16), u64_at(&id, 24));
    let mut end = table.to_vec();
    end.extend_from_slice(b"XIREDRAL");
    [page_count, entry_count, table_at, image_len].iter().for_each(|word| end.extend_from_slice(&word.to_le_bytes()));
    let checksum = seed.checksum(table_at, &end);
    end.extend_from_slice(&checksum.to_le_bytes());
    end.resize(end.len().next_multiple_of(32), 0);
    let foot_at = 64 + image_len - 64;
    file.write_all_at(&end[table.len()..], foot_at).unwrap();
    file.write_all_at(table, foot_at - table.len() as u64).unwrap();
}

/// The body of a store's checkpoint, put behind an image of another length.
fn move_body(path: &Path, image_len: u64) -> fs::File {
    let bytes = fs::read(path).unwrap();
    let store_id = u64_at(&bytes, 16);
    let head = checkpoint::Head::decode(bytes[..checkpoint::HEAD_LEN].try_into().unwrap(), store_id).unwrap();
    let body = &bytes[head.body_offset() as usize..];
    let head = checkpoint::Head::new(store_id, head.file_id, body, image_len);
    let file = set_len(path, head.file_len());
    file.write_all_at(body, head.body_offset()).unwrap();
    file.write_all_at(&head.encode(store_id), 0).unwrap();
    file
}

#[test]
fn an_index_whose_page_table_is_a_hole_as_large_as_it_says_costs_nothing() {
    let subject = &subjects()[0].1;
    let checkpoint = checkpoint_of(subject.path());
    let file = move_body(&checkpoint, HUGE_LEN);
    let page_count = (HUGE_LEN - 128) / 32;
    write_foot(&file, HUGE_LEN, page_count, 0, 64, &[]);
    opens_without_checkpoint(subject.path());
}

#[test]
fn a_page_whose_spill_is_a_hole_as_large_as_it_says_costs_nothing() {
    let subject = &subjects()[0].1;
    let checkpoint = checkpoint_of(subject.path());
    let bytes = fs::read(&checkpoint).unwrap();
    let image_len = u64_at(&bytes, 40) as usize;
    let foot = &bytes[image_len..64 + image_len];
    let [page_count, entry_count, table_at] = [8, 16, 24].map(|at| u64_at(foot, at));
    let mut table = bytes[64 + table_at as usize..image_len].to_vec();
    // The last page says that it has as many spilled entries as a number can say: 64 GiB of them.
    let last = table.len() - 32;
    let added = u32::MAX - 3;
    assert_eq!(table[last + 20..last + 24], [0; 4], "no page of this store spills");
    table[last + 20..last + 24].copy_from_slice(&added.to_le_bytes());
    let added_len = (u64::from(added) * 16).next_multiple_of(64);
    let file = move_body(&checkpoint, image_len as u64 + added_len);
    let entry_count = entry_count + u64::from(added);
    write_foot(&file, image_len as u64 + added_len, page_count, entry_count, table_at + added_len, &table);
    let storage = Arc::new(Watched::over(subject.path()));
    let store = open_in(Arc::clone(&storage) as Arc<dyn Storage>).unwrap();
    for n in 0..60 {
        assert_eq!(store.get(&key(n)).unwrap().as_deref(), Some(&[n as u8; 500][..]));
    }
    while store.step_background().unwrap() {}
    assert!(storage.watch.read_bytes.load(Ordering::Relaxed) < 4 << 20, "more was read than there is");
    store.close().unwrap();
}

#[test]
fn of_a_manifest_no_more_is_read_than_it_has_edits() {
    let subject = &subjects()[0].1;
    set_len(&subject.path().join("MANIFEST"), 1 << 30);
    let storage = Arc::new(Watched::over(subject.path()));
    let store = open_in(Arc::clone(&storage) as Arc<dyn Storage>).unwrap();
    assert!(storage.watch.read_bytes.load(Ordering::Relaxed) < 4 << 20, "more was read than there is");
    store.close().unwrap();
    // An edit longer than what is read at first is read all the same.
    let long = vec![Change::Open; 400_000];
    set_len(&subject.path().join("MANIFEST"), 8 << 20);
    add_edit(subject.path(), &long);
    add_edit(
        subject.path(),
        &[Change::Advance { segment_id_next: 777, seqno_next: 0, clock_ms: 0, tombstone_floor: 0 }],
    );
    let store = open(subject.path()).unwrap();
    for n in 0..60 {
        store.set(&key(n), &[1; 900]).unwrap();
    }
    assert!(!names(subject.path(), |name| name == "000777.seg").is_empty(), "the last edit was not read");
    store.close().unwrap();
}

/// What is done with the files of a directory.
#[derive(Default)]
struct Watch {
    read_bytes: AtomicU64,
    /// Done once, when the directory is next synced.
    at_sync: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// From then on the manifest has no room.
    is_full: Mutex<bool>,
}

struct Watched {
    disk: DiskStorage,
    watch: Arc<Watch>,
}

impl Watched {
    fn over(path: &Path) -> Self {
        Self { disk: DiskStorage::open(path, true, false).unwrap(), watch: Arc::default() }
    }

    fn wrap(&self, name: &str, file: Box<dyn File>) -> Box<dyn File> {
        let is_segment = name.ends_with(".seg");
        Box::new(WatchedFile {
            file,
            is_manifest: name.starts_with("MANIFEST"),
            is_segment,
            watch: Arc::clone(&self.watch),
        })
    }
}

impl Storage for Watched {
    passes_on_storage!(disk: describe list rename remove lock probe_lock now_ms random_u64);

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.wrap(name, self.disk.create(name)?))
    }

    fn open(&self, name: &str, access: MapAccess) -> io::Result<Box<dyn File>> {
        Ok(self.wrap(name, self.disk.open(name, access)?))
    }

    fn sync_directory(&self) -> io::Result<()> {
        if let Some(act) = self.watch.at_sync.lock().unwrap().take() {
            act();
        }
        self.disk.sync_directory()
    }
}

struct WatchedFile {
    file: Box<dyn File>,
    is_manifest: bool,
    is_segment: bool,
    watch: Arc<Watch>,
}

impl WatchedFile {
    fn require_room(&self) -> io::Result<()> {
        let is_full = self.is_manifest && *self.watch.is_full.lock().unwrap();
        if is_full { Err(io::Error::from_raw_os_error(libc::ENOSPC)) } else { Ok(()) }
    }
}

impl File for WatchedFile {
    passes_on_file!(file: len write_zeros punch_hole sync sync_range map map_staged);

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if !self.is_segment {
            self.watch.read_bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        }
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        // What withdraws an edit is zeros, and finds room.
        if bytes.iter().any(|byte| *byte != 0) {
            self.require_room()?;
        }
        self.file.write_at(bytes, offset)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.require_room()?;
        self.file.reserve(len)
    }
}

/// Has a compaction copy the records of its first input, and then damages the head of the first of them.
fn compact_over_damage(offset_in_head: u64, is_full: bool) {
    let path = Scratch::new();
    let storage = Arc::new(Watched::over(path.path()));
    let store = open_in(Arc::clone(&storage) as Arc<dyn Storage>).unwrap();
    fill(&store);
    // Something to compact in every segment, behind records that live.
    for n in (1..60).filter(|n| n % 3 == 1) {
        store.set(&key(n), &[n as u8; 500]).unwrap();
    }
    while store.step_background().unwrap() {}
    let input = path.path().join("000001.seg");
    let watch = Arc::clone(&storage.watch);
    *storage.watch.at_sync.lock().unwrap() = Some(Box::new(move || {
        // Everything is copied and durable; the index still shows the inputs.
        let file = fs::File::options().read(true).write(true).open(input).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, HEAD_LEN as u64 + offset_in_head).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], HEAD_LEN as u64 + offset_in_head).unwrap();
        *watch.is_full.lock().unwrap() = is_full;
    }));
    let compacted = store.compact();
    assert!(storage.watch.at_sync.lock().unwrap().is_none(), "nothing was copied");
    *storage.watch.is_full.lock().unwrap() = false;
    let mut unreadable = 0;
    for n in 0..60 {
        match store.get(&key(n)) {
            Ok(value) => assert_eq!(value.as_deref(), Some(&[n as u8; 500][..]), "key {n}, byte {offset_in_head}"),
            Err(error) => {
                assert_eq!(error.status(), Status::Corrupt, "{error}");
                unreadable += 1;
            }
        }
    }
    if is_full {
        assert_eq!(compacted.unwrap_err().status(), Status::NoSpace);
        assert_eq!(unreadable, 1, "the one whose copy was taken back, byte {offset_in_head}");
    } else {
        compacted.unwrap();
        assert_eq!(unreadable, 0, "byte {offset_in_head}");
        store.check_books().unwrap_or_else(|what| panic!("byte {offset_in_head}: {what}"));
    }
}

#[test]
fn what_happens_to_inputs_after_they_were_copied_does_not_reach_the_index() {
    // The value's length, the kind, the key's length, the expiry.
    for offset_in_head in [8, 9, 4, 6, 24] {
        compact_over_damage(offset_in_head, false);
    }
}

#[test]
fn a_compaction_that_cannot_be_committed_is_undone_although_its_inputs_were_damaged() {
    for offset_in_head in [8, 9, 4, 6, 24] {
        compact_over_damage(offset_in_head, true);
    }
}

#[test]
fn a_value_of_heads_behind_damage_is_walked_over_in_a_moment() {
    let path = Scratch::new();
    let options = Options { segment_bytes: 16 << 20, ..options() };
    let store = Store::open_in(disk(path.path()), &options, &small_tuning(u64::MAX)).unwrap();
    let len = 8_u64 << 20;
    let mut value = Vec::new();
    for n in (0..len).step_by(16) {
        value.extend_from_slice(&[0xAA, 0xBB, 0xCC, 0xDD, Kind::Set as u8, 0, 0, 0]);
        value.extend_from_slice(&(len - n).to_le_bytes());
    }
    store.set(b"selected", &value).unwrap();
    store.set(b"behind", b"it").unwrap();
    store.close().unwrap();
    for segment in names(path.path(), |name| name.ends_with(".seg")) {
        let bytes = fs::read(&segment).unwrap();
        if let Some(at) = bytes.windows(8).position(|bytes| bytes == b"selected") {
            let file = fs::File::options().write(true).open(&segment).unwrap();
            file.write_all_at(b"C", at as u64).unwrap();
        }
    }
    let store = Store::open_in(disk(path.path()), &options, &small_tuning(u64::MAX)).unwrap();
    assert_eq!(store.verify().unwrap().bad_records, 1);
    assert_eq!(store.get(b"behind").unwrap().as_deref(), Some(&b"it"[..]));
    drop(store);
    let target = Scratch::new();
    let report = salvage(path.path(), target.path(), &options, &mut |_, _| true).unwrap();
    assert_eq!((report.keys, report.losses.len()), (1, 1), "{report:?}");
}
