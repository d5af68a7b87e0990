//! Salvage of stores that are whole, and of stores that are damaged in every way there is (P7). What must come out is
//! taken from the undamaged files by a walk of its own, record by record: of each key, the newest version that the
//! damage does not touch.

use crate::files::{Files, directory, files_of};
use crate::model::{for_seeds, number, program, seconds};
use crate::world::{KEY_COUNT, Mix, Random, World, key_bytes, small_options, small_tuning, sync_modes};
use larder::format::Seed;
use larder::format::record::{self, Kind, Record};
use larder::format::segment::HEAD_LEN;
use larder::storage::{SimulatedStorage, Storage};
use larder::store::{BatchOp, Condition, SetOptions, Ttl};
use larder::{Error, Loss, Options, SalvageReport, Status, Store, SyncMode, salvage_in};
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Instant;

/// What a key shows: value, expiry, version.
type Shown = Option<(Vec<u8>, u64, u64)>;

/// One record of an undamaged store.
#[derive(Clone, Debug)]
struct Version {
    seqno: u64,
    file: String,
    range: Range<usize>,
    shown: Shown,
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Every record of every segment, by key, oldest first.
fn versions_of(files: &Files) -> BTreeMap<Vec<u8>, Vec<Version>> {
    let mut versions: BTreeMap<Vec<u8>, Vec<Version>> = BTreeMap::new();
    for (file, bytes) in files.iter().filter(|(name, _)| name.ends_with(".seg")) {
        let seed = Seed::new(u64_at(bytes, 16), u64_at(bytes, 24));
        let mut at = HEAD_LEN;
        while let Some(found) = bytes.get(at..).and_then(Record::at_start_of) {
            if !record::is_intact(found.bytes, seed, at as u64) {
                break;
            }
            let end = at + found.bytes.len();
            if found.head.kind != Kind::Batch {
                let (seqno, head) = (found.head.seqno, found.head);
                let shown = (head.kind == Kind::Set).then(|| (found.value().to_vec(), found.head.expires_at_ms, seqno));
                let version = Version { seqno, file: file.clone(), range: at..end, shown };
                versions.entry(found.key().to_vec()).or_default().push(version);
            }
            at = end;
        }
    }
    versions.values_mut().for_each(|versions| versions.sort_by_key(|version| version.seqno));
    versions
}

/// Salvages `files`, and checks that the source stays as it is.
fn salvage(files: &Files) -> Result<(SimulatedStorage, SalvageReport), Error> {
    let source = directory(files);
    let target = SimulatedStorage::new(2);
    let into: Arc<dyn Storage> = Arc::new(target.clone());
    let done = salvage_in(&source, &into, &small_options(SyncMode::None, 4096), &mut |_, _| true);
    assert!(files_of(&source) == *files, "the source was changed");
    if done.is_err() {
        assert!(target.names().iter().all(|name| name == "LOCK"), "left behind: {:?}", target.names());
    }
    done.map(|report| (target, report))
}

fn show(store: &Store, keys: impl Iterator<Item = Vec<u8>>) -> BTreeMap<Vec<u8>, Shown> {
    let shown = |key: &[u8]| {
        let view = store.view(key).unwrap();
        let shown = view.map(|view| (view.bytes().to_vec(), view.expires_at_ms(), view.version()));
        assert_eq!(store.get(key).unwrap(), shown.as_ref().map(|shown| shown.0.clone()));
        shown
    };
    keys.map(|key| (key.clone(), shown(&key))).collect()
}

fn open(sim: &SimulatedStorage, options: &Options) -> Result<Store, Error> {
    Store::open_in(Arc::new(sim.clone()), options, &small_tuning(u64::MAX))
}

/// What the new store shows of `keys`, and that it holds nothing else and is whole.
fn salvaged(files: &Files, keys: &[Vec<u8>]) -> Result<(BTreeMap<Vec<u8>, Shown>, SalvageReport), Error> {
    let (target, report) = salvage(files)?;
    let store = open(&target, &small_options(SyncMode::Always, 4096)).unwrap();
    let shown = show(&store, keys.iter().cloned());
    let live = shown.values().filter(|shown| shown.is_some()).count() as u64;
    assert_eq!((report.keys, store.len().unwrap()), (live, live), "{report:?}");
    assert_eq!(store.verify().unwrap().bad_records, 0);
    store.set(b"new", b"value").unwrap();
    store.close().unwrap();
    Ok((shown, report))
}

/// For messages, and as good as the whole: values of one program differ in their first bytes.
fn brief(shown: &Shown) -> Option<(&[u8], usize, u64, u64)> {
    shown
        .as_ref()
        .map(|(value, expires_at_ms, version)| (&value[..value.len().min(8)], value.len(), *expires_at_ms, *version))
}

struct Subject {
    name: &'static str,
    files: Files,
    versions: BTreeMap<Vec<u8>, Vec<Version>>,
    keys: Vec<Vec<u8>>,
}

/// A store with overwritten, deleted, expiring, batched and large records in several segments.
fn make(name: &'static str, seed: u64, sync: SyncMode, is_closed: bool, is_compacted: bool) -> Subject {
    let sim = SimulatedStorage::new(seed);
    let store = open(&sim, &small_options(sync, 4096)).unwrap();
    let set = |key: &[u8], value: &[u8], ttl: Ttl| {
        store.set_with(key, value, &SetOptions { ttl, condition: Condition::Always, sync: false }).unwrap();
    };
    set(b"a", b"first", Ttl::Forever);
    set(b"gone", b"deleted later", Ttl::Forever);
    set(b"", &[9; 33], Ttl::Forever);
    set(b"lasting", b"for a while", Ttl::Millis(1 << 40));
    set(b"large", &[3; 3_700], Ttl::Forever);
    if is_compacted {
        set(b"large", &[4; 3_600], Ttl::Forever);
        set(b"gone", b"and set once more", Ttl::Forever);
        store.step_background().unwrap();
        store.compact().unwrap();
    }
    set(b"a", &[seed as u8; 200], Ttl::Forever);
    let ops = [
        BatchOp::Set { key: b"batch 1", value: &[1; 90], ttl: Ttl::Forever },
        BatchOp::Set { key: b"batch 2", value: &[2; 61], ttl: Ttl::Millis(1 << 41) },
        BatchOp::Del { key: b"gone" },
    ];
    store.write(&ops, false).unwrap();
    set(b"a", b"last but one", Ttl::Forever);
    set(b"b", b"last", Ttl::Forever);
    let files = if is_closed {
        store.close().unwrap();
        files_of(&sim)
    } else {
        files_of(&sim.kill())
    };
    let versions = versions_of(&files);
    let keys = versions.keys().cloned().collect();
    Subject { name, files, versions, keys }
}

fn subjects() -> Vec<Subject> {
    vec![
        make("closed", 1, SyncMode::None, true, false),
        make("killed", 2, SyncMode::Always, false, false),
        make("compacted and closed", 3, SyncMode::None, true, true),
        make("compacted and killed", 4, SyncMode::Always, false, true),
    ]
}

impl Subject {
    /// Salvages `files`, of which the bytes `is_damaged` says differ from the subject's, and checks every key.
    fn check(&self, files: &Files, what: &str, is_damaged: impl Fn(&str, usize) -> bool) -> SalvageReport {
        let checked = catch_unwind(AssertUnwindSafe(|| self.look(files, &is_damaged)));
        checked.unwrap_or_else(|panic| {
            eprintln!("a store that was {}: {what}", self.name);
            resume_unwind(panic)
        })
    }

    fn look(&self, files: &Files, is_damaged: &dyn Fn(&str, usize) -> bool) -> SalvageReport {
        let (shown, report) = salvaged(files, &self.keys).unwrap();
        for (key, versions) in &self.versions {
            let is_hurt = |version: &Version| version.range.clone().any(|at| is_damaged(&version.file, at));
            let newest = &versions[versions.len() - 1];
            let found = &shown[key];
            if !is_hurt(newest) {
                assert_eq!(brief(found), brief(&newest.shown), "key {key:?}: {:?}", report.losses);
                continue;
            }
            // The newest is damaged: the newest of the rest takes its place, and the place is told.
            let rest = versions.iter().rev().find(|version| !is_hurt(version)).and_then(|it| it.shown.clone());
            assert_eq!(brief(found), brief(&rest), "key {key:?}: {:?}", report.losses);
            let at = newest.range.clone().find(|at| is_damaged(&newest.file, *at)).unwrap() as u64;
            let covers = |loss: &&Loss| {
                let is_file = loss.file == newest.file && loss.offset == 0 && loss.len >= at.min(1);
                loss.file == newest.file && (is_file || (loss.offset..loss.offset + loss.len).contains(&at))
            };
            assert!(report.losses.iter().any(|loss| covers(&loss)), "key {key:?} is not told: {:?}", report.losses);
        }
        report
    }

    /// End of the bytes of a file that are not all zeros.
    fn used(&self, name: &str) -> usize {
        self.files[name].iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1)
    }
}

#[test]
fn a_salvage_of_an_undamaged_store_equals_it() {
    for subject in subjects() {
        let report = subject.check(&subject.files, "nothing was done", |_, _| false);
        assert!(report.losses.is_empty() && report.has_whole_manifest, "{report:?}");
        assert!(report.segments >= 2 && report.keys == 7, "{report:?}");
    }
}

/// After whatever a program did, in every sync mode, after a close, a kill and a power cut: the salvage of the files
/// shows what an open of them shows, to the version.
#[test]
fn a_salvage_shows_what_an_open_shows_after_random_programs() {
    let count = for_seeds("salvage", 60, |seed| {
        for (mode, sync) in sync_modes().into_iter().enumerate() {
            let mut random = Random::new(seed.wrapping_mul(3) + mode as u64);
            let mix = Mix {
                value_len_max: [40, 300, 2_000][random.below(3) as usize],
                large_one_in: if random.one_in(2) { 0 } else { 30 },
                has_restarts: true,
            };
            let op_count = 10 + random.below(120) as usize;
            let ops = program(&mut random, &mix, op_count);
            let options = small_options(sync, 4096);
            let mut world = World::new(random.next(), options.clone(), small_tuning(u64::MAX));
            for op in &ops {
                world.apply(op).unwrap();
            }
            let after = match seed % 3 {
                0 => {
                    world.store().close().unwrap();
                    world.sim.kill()
                }
                1 => world.sim.kill(),
                _ => world.sim.crash(random.next()),
            };
            let files = files_of(&after);
            let keys: Vec<_> = (0..KEY_COUNT).map(key_bytes).collect();
            let (target, report) = salvage(&files).unwrap();
            assert!(report.losses.is_empty(), "{:?}", report.losses);
            // Both look at the same time: which keys are over depends on it.
            target.set_now_ms(after.now_ms());
            let expected = show(&open(&after, &options).unwrap(), keys.iter().cloned());
            let shown = show(&open(&target, &options).unwrap(), keys.into_iter());
            for (key, shown) in shown {
                let (found, wanted) = (brief(&shown), brief(&expected[&key]));
                assert_eq!(found, wanted, "key {key:?}: {report:?}\n{:?}", after.names());
            }
        }
    });
    println!("torture: salvages={} lost=0 wrong=0", count * 3);
}

#[test]
fn after_any_flipped_bit_every_key_whose_record_is_intact_is_salvaged() {
    // All of them in a long run.
    let stride = if number("LARDER_CASES", 0) > 1_000 { 1 } else { 3 };
    let (begin, subjects) = (Instant::now(), subjects());
    let mut count = 0;
    let mut flip = |subject: &Subject, name: &str, at: usize, bit: usize| {
        let mut files = subject.files.clone();
        files.get_mut(name).unwrap()[at] ^= 1 << bit;
        let what = format!("bit {bit} of {name} at {at}");
        subject.check(&files, &what, |file, place| file == name && place == at);
        count += 1;
    };
    for (n, subject) in subjects.iter().enumerate() {
        for (name, bytes) in subject.files.iter().filter(|(name, _)| *name != "LOCK") {
            let used = subject.used(name);
            for (at, byte) in bytes.iter().enumerate().take(used + 8) {
                let is_filler = *byte == 3 || *byte == 4 || name.starts_with("INDEX-");
                let bits: &[usize] = match at {
                    0..64 => &[0, 1, 2, 3, 4, 5, 6, 7],
                    _ if stride == 1 => &[0, 1, 2, 3, 4, 5, 6, 7],
                    _ if is_filler && at % 61 != 0 => continue,
                    _ if at % stride == n % stride => &[at % 8],
                    _ => continue,
                };
                bits.iter().for_each(|bit| flip(subject, name, at, *bit));
            }
        }
    }
    // For a given time, any others.
    let mut random = Random::new(number("LARDER_FROM", 0));
    while seconds().is_some_and(|limit| begin.elapsed() < limit) {
        let subject = &subjects[random.below(subjects.len() as u64) as usize];
        let names: Vec<_> =
            subject.files.keys().filter(|name| *name != "LOCK" && !name.starts_with("INDEX-")).collect();
        let name = names[random.below(names.len() as u64) as usize];
        flip(subject, name, random.below(subject.used(name) as u64) as usize, random.below(8) as usize);
    }
    println!("torture: bits_salvaged={count} lost=0 wrong=0");
}

#[test]
fn of_a_file_cut_at_any_length_everything_before_the_cut_is_salvaged() {
    for subject in subjects() {
        for (name, bytes) in subject.files.iter().filter(|(name, _)| *name != "LOCK") {
            let used = subject.used(name);
            for len in (0..bytes.len()).filter(|len| *len < 80 || (*len < used && len % 11 == 0) || len % 811 == 0) {
                let mut files = subject.files.clone();
                files.get_mut(name).unwrap().truncate(len);
                subject
                    .check(&files, &format!("{name} cut to {len} bytes"), |file, place| file == name && place >= len);
            }
            let mut files = subject.files.clone();
            files.get_mut(name).unwrap().resize(bytes.len() + 4096, 0);
            subject.check(&files, &format!("{name} grew"), |_, _| false);
        }
    }
}

#[test]
fn whatever_file_is_missing_the_records_of_the_others_are_salvaged() {
    for subject in subjects() {
        for name in subject.files.keys() {
            let mut files = subject.files.clone();
            files.remove(name);
            let report = subject.check(&files, &format!("{name} is missing"), |file, _| file == name);
            assert_eq!(report.has_whole_manifest, name != "MANIFEST");
            let is_told = report.losses.iter().any(|loss| loss.file == *name);
            assert_eq!(is_told, name == "MANIFEST" || name.ends_with(".seg"), "{name}: {:?}", report.losses);
        }
    }
}

#[test]
fn a_file_of_another_store_or_segment_is_never_read_as_this_ones() {
    let other = make("another", 9, SyncMode::Always, true, false);
    for subject in subjects() {
        for name in subject.files.keys().filter(|name| other.files.contains_key(*name) && *name != "LOCK") {
            let mut files = subject.files.clone();
            files.insert(name.clone(), other.files[name].clone());
            let what = format!("{name} is of another store");
            let report = subject.check(&files, &what, |file, _| file == name);
            let is_told = report.losses.iter().any(|loss| loss.file == *name && loss.what.contains("another store"));
            assert_eq!(is_told, !name.starts_with("INDEX-"), "{what}: {:?}", report.losses);
        }
        let segments: Vec<_> = subject.files.keys().filter(|name| name.ends_with(".seg")).cloned().collect();
        for pair in segments.windows(2) {
            let mut files = subject.files.clone();
            files.insert(pair[0].clone(), subject.files[&pair[1]].clone());
            files.insert(pair[1].clone(), subject.files[&pair[0]].clone());
            // An intact head says which segment a file is, whatever its name.
            subject.check(&files, "two segments have changed places", |_, _| false);
        }
    }
}

#[test]
fn runs_of_damage_anywhere_and_of_any_length_cost_only_what_they_touch() {
    for_seeds("runs of damage", 300, |seed| {
        let mut random = Random::new(seed);
        let subject = make("closed or killed", seed % 200, SyncMode::Always, seed % 2 == 0, seed % 3 == 0);
        let segments: Vec<_> = subject.files.keys().filter(|name| name.ends_with(".seg")).cloned().collect();
        let mut files = subject.files.clone();
        let mut hurt: Vec<(String, Range<usize>)> = Vec::new();
        for _ in 0..=random.below(2) {
            let name = &segments[random.below(segments.len() as u64) as usize];
            let used = subject.used(name);
            if used <= HEAD_LEN {
                continue;
            }
            let start = HEAD_LEN + random.below((used - HEAD_LEN) as u64) as usize;
            let len_max = [8, 64, 600][random.below(3) as usize];
            let end = (start + 1 + random.below(len_max) as usize).min(used);
            let is_zeroed = random.one_in(2);
            for byte in &mut files.get_mut(name).unwrap()[start..end] {
                *byte = if is_zeroed { 0 } else { random.next() as u8 };
            }
            hurt.push((name.clone(), start..end));
        }
        // A byte that was replaced by the same byte is not damaged.
        subject.check(&files, &format!("{hurt:?}"), |file, at| files[file][at] != subject.files[file][at]);
    });
}

#[test]
fn records_that_the_manifest_took_back_do_not_come_back() {
    // Segments that compaction gave up, left by a crash before they were unlinked: their keys are older, or deleted.
    let sim = SimulatedStorage::new(5);
    let store = open(&sim, &small_options(SyncMode::None, 4096)).unwrap();
    for n in 0..40 {
        store.set(b"doomed", &[n; 300]).unwrap();
    }
    let before = files_of(&sim);
    store.del(b"doomed").unwrap();
    // The tombstone is compacted away too: nothing but the manifest says that the key is gone.
    for _ in 0..4 {
        store.step_background().unwrap();
        store.compact().unwrap();
    }
    store.close().unwrap();
    let mut files = files_of(&sim);
    assert!(!versions_of(&files).contains_key(b"doomed".as_slice()), "the tombstone is still there");
    let count = files.len();
    for (name, bytes) in before.iter().filter(|(name, _)| name.ends_with(".seg")) {
        files.entry(name.clone()).or_insert_with(|| bytes.clone());
    }
    assert!(files.len() > count, "no segment was compacted away");
    let (shown, report) = salvaged(&files, &[b"doomed".to_vec()]).unwrap();
    assert_eq!((&shown[b"doomed".as_slice()], report.keys, report.has_whole_manifest), (&None, 0, true));
    // Also if the manifest is damaged behind the edits that took them back: here in its last, the close.
    let manifest = files.get_mut("MANIFEST").unwrap();
    let end = manifest.iter().rposition(|byte| *byte != 0).unwrap();
    manifest[end - 12] ^= 1;
    let (shown, report) = salvaged(&files, &[b"doomed".to_vec()]).unwrap();
    assert_eq!((&shown[b"doomed".as_slice()], report.keys, report.has_whole_manifest), (&None, 0, false));
}

#[test]
fn a_key_is_named_as_long_as_it_can_be_read() {
    let subject = make("closed", 1, SyncMode::None, true, false);
    let newest = &subject.versions[b"a".as_slice()][2];
    let mut files = subject.files.clone();
    let last = newest.range.end - 9;
    files.get_mut(&newest.file).unwrap()[last] ^= 1;
    let report = subject.check(&files, "the value", |file, at| file == newest.file && at == last);
    let [loss] = report.losses.as_slice() else { panic!("{:?}", report.losses) };
    let older = &subject.versions[b"a".as_slice()][1];
    assert_eq!((loss.offset, loss.len), (newest.range.start as u64, newest.range.len() as u64));
    assert_eq!((loss.key.as_deref(), loss.kept_version), (Some(b"a".as_slice()), Some(older.seqno)));
    assert_eq!(
        loss.to_string(),
        format!("{}\t{}\t{}\t\"a\"\t{}\ta record fails its check", loss.file, loss.offset, loss.len, older.seqno)
    );
    // A head that lies about its lengths names nothing.
    let mut files = subject.files.clone();
    files.get_mut(&newest.file).unwrap()[newest.range.start + 8] ^= 16;
    let place = newest.range.start + 8;
    let report = subject.check(&files, "a length", |file, at| file == newest.file && at == place);
    assert_eq!(report.losses[0].key, None);
    let loss = Loss { key: Some(b"\"\\\n\xff".to_vec()), kept_version: None, ..report.losses[0].clone() };
    assert!(loss.to_string().contains("\t\"\\x22\\x5c\\x0a\\xff\"\t-\t"), "{loss}");
}

fn refused(files: &Files) -> Status {
    salvage(files).map(|_| ()).unwrap_err().status()
}

#[test]
fn what_cannot_be_salvaged_is_refused_and_leaves_no_store() {
    assert_eq!(refused(&Files::new()), Status::NotFound);
    let subject = make("closed", 1, SyncMode::None, true, false);
    // A head of another version that is intact for that version, in the manifest and in a segment.
    for (name, file_id) in [("MANIFEST", 0), ("000001.seg", 1)] {
        let mut files = subject.files.clone();
        let bytes = files.get_mut(name).unwrap();
        bytes[8] = 2;
        let checksum = Seed::new(u64_at(bytes, 16), file_id).checksum(0, &bytes[..40]);
        bytes[40..44].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(refused(&files), Status::Incompatible, "{name}");
    }
    let nothing: Files = subject.files.iter().map(|(name, bytes)| (name.clone(), vec![0; bytes.len()])).collect();
    assert_eq!(refused(&nothing), Status::Corrupt);

    let options = small_options(SyncMode::None, 4096);
    let source = directory(&subject.files);
    let into = |sim: &SimulatedStorage| -> Arc<dyn Storage> { Arc::new(sim.clone()) };
    let taken = SimulatedStorage::new(3);
    taken.write_file("README", b"mine");
    let error = salvage_in(&source, &into(&taken), &options, &mut |_, _| true).unwrap_err();
    assert_eq!((error.status(), taken.names()), (Status::InvalidArgument, vec!["README".to_owned()]));
    let empty = SimulatedStorage::new(4);
    let held = open(&source, &options).unwrap();
    assert_eq!(salvage_in(&source, &into(&empty), &options, &mut |_, _| true).unwrap_err().status(), Status::Busy);
    held.close().unwrap();
    assert!(empty.names().is_empty());
}

#[test]
fn a_salvage_that_is_interrupted_leaves_no_store_and_can_begin_again() {
    let sim = SimulatedStorage::new(1);
    let options = Options { segment_bytes: 1 << 20, ..small_options(SyncMode::None, 1 << 20) };
    let store = open(&sim, &options).unwrap();
    for n in 0..400_u32 {
        store.set(&n.to_le_bytes(), &[n as u8; 10_000]).unwrap();
    }
    store.close().unwrap();
    let target = SimulatedStorage::new(2);
    let into: Arc<dyn Storage> = Arc::new(target.clone());
    let mut steps = Vec::new();
    salvage_in(&sim, &into, &options, &mut |done, total| {
        assert!(done <= total);
        steps.push(done);
        true
    })
    .unwrap();
    assert!(steps.len() >= 6 && steps.is_sorted(), "{steps:?}");
    for stop_at in 0..steps.len() {
        let target = SimulatedStorage::new(2);
        let into: Arc<dyn Storage> = Arc::new(target.clone());
        let mut left = stop_at;
        let mut watch = |_, _| {
            left = left.wrapping_sub(1);
            left != usize::MAX
        };
        let error = salvage_in(&sim, &into, &options, &mut watch).unwrap_err();
        assert_eq!((error.status(), target.names()), (Status::Interrupted, vec!["LOCK".to_owned()]));
        let report = salvage_in(&sim, &into, &options, &mut |_, _| true).unwrap();
        assert_eq!(report.keys, 400);
    }
}

#[test]
fn a_power_cut_at_any_call_leaves_no_store_or_a_whole_one() {
    let subject = make("closed", 1, SyncMode::None, true, false);
    let source = directory(&subject.files);
    let options = small_options(SyncMode::Always, 4096);
    let mut outcomes = [0, 0];
    for n in 1.. {
        let target = SimulatedStorage::new(n);
        let into: Arc<dyn Storage> = Arc::new(target.clone());
        target.crash_at_call(n);
        let done = salvage_in(&source, &into, &options, &mut |_, _| true);
        for seed in 0..8 {
            let after = target.crash(seed);
            match open(&after, &Options { create: false, ..options.clone() }) {
                Ok(store) => {
                    outcomes[1] += 1;
                    for (key, shown) in show(&store, subject.keys.iter().cloned()) {
                        assert_eq!(shown, subject.versions[&key].last().unwrap().shown, "call {n}, image {seed}");
                    }
                }
                Err(error) => {
                    outcomes[0] += 1;
                    assert!(done.is_err(), "call {n}, image {seed}: {error}");
                    assert!(matches!(error.status(), Status::NotFound | Status::Corrupt), "{error}");
                }
            }
        }
        if done.is_ok() && target.call_count() < n {
            break;
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}
