//! Damaged files: bits flipped, files cut, lengthened, missing, swapped. Whatever is done to them, a store
//! opens or says why not, and never returns a value that was not stored (P6, P7, P8).

use crate::files::{Files, directory, files_of};
use crate::model::{number, seconds};
use crate::world::{Random, small_options, small_tuning};
use larder::storage::SimulatedStorage;
use larder::store::{BatchOp, Condition, SetOptions, Ttl};
use larder::{Error, Options, Status, Store, SyncMode};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Instant;

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store's files, and what may be found in it: moments of its history, the last of them certain if
/// all of it was promised durable.
struct Subject {
    name: &'static str,
    files: Files,
    history: Vec<State>,
    is_durable: bool,
}

const KEYS: [&[u8]; 8] = [b"", b"a", b"b", b"batch 1", b"batch 2", b"gone", b"large", b"lasting"];

fn open(sim: &SimulatedStorage, read_only: bool) -> Result<Store, Error> {
    let options = Options { read_only, ..small_options(SyncMode::None, 4096) };
    Store::open_in(Arc::new(sim.clone()), &options, &small_tuning(u64::MAX))
}

fn make(name: &'static str, seed: u64, sync: SyncMode, is_closed: bool) -> Subject {
    let sim = SimulatedStorage::new(seed);
    let store = Store::open_in(Arc::new(sim.clone()), &small_options(sync, 4096), &small_tuning(u64::MAX)).unwrap();
    let mut history = vec![State::new()];
    let mut note = |change: &dyn Fn(&mut State)| {
        let mut state = history.last().unwrap().clone();
        change(&mut state);
        history.push(state);
    };
    let mut set = |key: &[u8], value: Vec<u8>, ttl: Ttl| {
        let options = SetOptions { ttl, condition: Condition::Always, sync: false };
        store.set_with(key, &value, &options).unwrap();
        note(&|state| {
            state.insert(key.to_vec(), value.clone());
        });
    };
    set(b"a", b"first".to_vec(), Ttl::Forever);
    set(b"gone", b"deleted later".to_vec(), Ttl::Forever);
    set(b"", vec![9; 33], Ttl::Forever);
    set(b"lasting", b"for a while".to_vec(), Ttl::Millis(1 << 40));
    set(b"large", vec![3; 3_700], Ttl::Forever);
    set(b"a", vec![seed as u8; 200], Ttl::Forever);
    let ops = [
        BatchOp::Set { key: b"batch 1", value: &[1; 90], ttl: Ttl::Forever },
        BatchOp::Set { key: b"batch 2", value: &[2; 61], ttl: Ttl::Forever },
        BatchOp::Del { key: b"gone" },
    ];
    store.write(&ops, false).unwrap();
    note(&|state| {
        state.insert(b"batch 1".to_vec(), vec![1; 90]);
        state.insert(b"batch 2".to_vec(), vec![2; 61]);
        state.remove(b"gone".as_slice());
    });
    store.set(b"b", b"last").unwrap();
    note(&|state| {
        state.insert(b"b".to_vec(), b"last".to_vec());
    });
    let files = if is_closed {
        store.close().unwrap();
        files_of(&sim)
    } else {
        files_of(&sim.kill())
    };
    Subject { name, files, history, is_durable: is_closed || sync == SyncMode::Always }
}

fn subjects() -> Vec<Subject> {
    vec![
        make("closed", 1, SyncMode::None, true),
        make("killed, mode always", 2, SyncMode::Always, false),
        make("killed, mode none", 3, SyncMode::None, false),
    ]
}

/// What came of a damaged directory.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// Not opened.
    Refused(Status),
    /// Opened: how many keys were reported damaged, and how many places verify found.
    Opened { damaged_keys: usize, bad_records: u64 },
}

impl Subject {
    /// Opens `files`, reads everything in every way, and checks that nothing wrong is returned.
    fn look(&self, files: &Files, read_only: bool) -> Outcome {
        let sim = directory(files);
        let store = match open(&sim, read_only) {
            Ok(store) => store,
            Err(error) => {
                assert!(
                    matches!(error.status(), Status::Corrupt | Status::Incompatible | Status::NotFound),
                    "{:?}: {error}",
                    error.status()
                );
                assert!(error.message().contains("MANIFEST") || error.message().contains(".seg"), "{error}");
                return Outcome::Refused(error.status());
            }
        };
        let mut found = Vec::new();
        let mut damaged_keys = 0;
        for key in KEYS {
            let copied = store.get(key);
            if let Err(error) = &copied {
                assert_eq!(error.status(), Status::Corrupt);
                damaged_keys += 1;
            } else if let Ok(shown) = &copied {
                found.push((key.to_vec(), shown.clone()));
            }
            let mut many = Vec::new();
            store
                .get_many_with(&[key], |_, value| {
                    many.push(value.map(|value| value.map(<[u8]>::to_vec)).map_err(|error| error.status()));
                    true
                })
                .unwrap();
            assert_eq!(many, [copied.map_err(|error| error.status())]);
            // These do not check values, but must not fail in any other way.
            for error in [store.exists(key).err(), store.ttl(key).err(), store.view(key).err()].into_iter().flatten() {
                assert_eq!(error.status(), Status::Corrupt);
            }
        }
        let fits = |state: &State| found.iter().all(|(key, value)| state.get(key) == value.as_ref());
        let first = if self.is_durable { self.history.len() - 1 } else { 0 };
        assert!(self.history[first..].iter().any(fits), "a wrong answer: {found:?}");
        self.walk(&store);
        let report = store.verify().unwrap();
        assert_eq!(report.first.is_some(), report.bad_records > 0);
        if let Some(error) = report.first {
            assert!(error.status() == Status::Corrupt && error.message().contains(".seg"), "{error}");
        }
        if !read_only {
            // Writing and compacting beside the damage must not make anything worse, or panic.
            match store.set(b"new", b"value") {
                Ok(_) => assert_eq!(store.get(b"new").unwrap(), Some(b"value".to_vec())),
                Err(error) => assert!(matches!(error.status(), Status::ReadOnly | Status::Corrupt), "{error}"),
            }
            let _ = store.compact();
            for (key, value) in &found {
                if let Ok(now) = store.get(key) {
                    assert_eq!(&now, value, "after compaction");
                }
            }
        }
        let _ = store.close();
        Outcome::Opened { damaged_keys, bad_records: report.bad_records }
    }

    fn walk(&self, store: &Store) {
        let mut cursor = store.cursor(b"").unwrap();
        for _ in 0..100 {
            match cursor.next() {
                Ok(None) => return,
                Ok(Some((key, value))) => {
                    let is_known = self.history.iter().any(|state| state.get(key).is_some_and(|it| it == value));
                    assert!(is_known, "a cursor returned a wrong value of {key:?}");
                }
                Err(error) => assert_eq!(error.status(), Status::Corrupt),
            }
        }
        panic!("a cursor finds no end");
    }

    /// The same, and says what was done if it fails.
    fn check(&self, files: &Files, read_only: bool, what: impl Fn() -> String) -> Outcome {
        catch_unwind(AssertUnwindSafe(|| self.look(files, read_only))).unwrap_or_else(|panic| {
            eprintln!("a store that was {}: {}", self.name, what());
            resume_unwind(panic)
        })
    }

    /// End of the bytes of a file that are not all zeros.
    fn used(&self, name: &str) -> usize {
        self.files[name].iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1)
    }
}

#[test]
fn undamaged_subjects_show_everything() {
    for subject in subjects() {
        let outcome = subject.check(&subject.files, false, || "nothing was done".to_owned());
        assert_eq!(outcome, Outcome::Opened { damaged_keys: 0, bad_records: 0 });
        assert!(subject.files.keys().filter(|name| name.ends_with(".seg")).count() >= 2, "{:?}", subject.files.keys());
    }
}

#[test]
fn a_flipped_bit_anywhere_is_never_part_of_an_answer() {
    let (mut count, mut unseen) = (0, Vec::new());
    let (begin, subjects) = (Instant::now(), subjects());
    // Checkpoints have a test of their own, which asks for more.
    let is_authority = |name: &str| name != "LOCK" && !name.starts_with("INDEX-");
    let mut flip = |subject: &Subject, name: &str, at: usize, bit: usize| {
        let mut files = subject.files.clone();
        files.get_mut(name).unwrap()[at] ^= 1 << bit;
        let read_only = (at + bit).is_multiple_of(5);
        let outcome = subject.check(&files, read_only, || format!("bit {bit} of {name} at {at}"));
        count += 1;
        // What was promised durable is either answered for or reported.
        let is_record = name.ends_with(".seg") && (64..subject.used(name)).contains(&at);
        let is_unseen = outcome == (Outcome::Opened { damaged_keys: 0, bad_records: 0 });
        if is_record && subject.is_durable && is_unseen {
            unseen.push((subject.name, name.to_owned(), at, bit));
        }
    };
    for subject in &subjects {
        for (name, bytes) in subject.files.iter().filter(|(name, _)| is_authority(name)) {
            let used = subject.used(name);
            for (at, byte) in bytes.iter().enumerate() {
                let bits: &[usize] = match at {
                    0..64 => &[0, 1, 2, 3, 4, 5, 6, 7],
                    // The long value is all alike.
                    _ if at < used && (*byte != 3 || at % 16 == 0) => &[at % 8],
                    _ if at % 509 == 0 => &[3],
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
        let names: Vec<_> = subject.files.keys().filter(|name| is_authority(name)).collect();
        let name = names[random.below(names.len() as u64) as usize];
        flip(subject, name, random.below(subject.files[name].len() as u64) as usize, random.below(8) as usize);
    }
    println!("torture: flipped_bits={count} wrong=0 lost=0");
    assert!(unseen.is_empty(), "nobody noticed: {unseen:?}");
}

#[test]
fn damage_of_one_record_leaves_the_other_keys_readable() {
    let subject = make("closed", 1, SyncMode::None, true);
    let large = subject.files.iter().find(|(_, bytes)| bytes.windows(400).any(|window| window == [3; 400])).unwrap().0;
    let at = subject.files[large].windows(400).position(|window| window == [3; 400]).unwrap();
    let mut files = subject.files.clone();
    files.get_mut(large).unwrap()[at] ^= 1;
    let sim = directory(&files);
    let store = open(&sim, false).unwrap();
    let error = store.get(b"large").unwrap_err();
    assert!(error.status() == Status::Corrupt && error.message().contains(large.as_str()), "{error}");
    let last = subject.history.last().unwrap();
    for key in KEYS.iter().filter(|key| **key != b"large") {
        assert_eq!(store.get(key).unwrap().as_ref(), last.get(*key), "{key:?}");
    }
    let report = store.verify().unwrap();
    assert_eq!(report.bad_records, 1);
    assert_eq!(report.first.unwrap().offset(), error.offset());
}

#[test]
fn files_of_any_length_are_an_answer_or_an_error() {
    for subject in subjects() {
        for (name, bytes) in subject.files.iter().filter(|(name, _)| *name != "LOCK") {
            let used = subject.used(name);
            let lens = (0..bytes.len()).filter(|len| *len < 80 || (*len < used && len % 7 == 0) || len % 409 == 0);
            for len in lens.chain([bytes.len() + 1, bytes.len() + 4096]) {
                let mut files = subject.files.clone();
                files.get_mut(name).unwrap().resize(len, 0);
                let outcome = subject.check(&files, len % 5 == 0, || format!("{name} cut to {len} bytes"));
                if name.ends_with(".seg") && len < used && subject.is_durable {
                    assert_eq!(outcome, Outcome::Refused(Status::Corrupt), "{name} cut to {len} bytes");
                }
            }
        }
    }
}

#[test]
fn a_missing_file_is_named_or_not_needed() {
    for subject in subjects() {
        for name in subject.files.keys() {
            let mut files = subject.files.clone();
            files.remove(name);
            let outcome = subject.check(&files, false, || format!("{name} is missing"));
            match name.as_str() {
                "LOCK" => assert_eq!(outcome, Outcome::Opened { damaged_keys: 0, bad_records: 0 }),
                name if name.starts_with("INDEX-") => {
                    assert_eq!(outcome, Outcome::Opened { damaged_keys: 0, bad_records: 0 });
                }
                _ => assert_eq!(outcome, Outcome::Refused(Status::Corrupt), "{name}"),
            }
        }
    }
}

#[test]
fn files_swapped_between_stores_and_segments_are_refused() {
    for is_closed in [true, false] {
        let one = make("one of two", 5, SyncMode::Always, is_closed);
        let two = make("the other of two", 6, SyncMode::Always, is_closed);
        for name in one.files.keys().filter(|name| two.files.contains_key(*name) && *name != "LOCK") {
            let mut files = one.files.clone();
            files.insert(name.clone(), two.files[name].clone());
            let outcome = one.check(&files, false, || format!("{name} is of another store"));
            if name.starts_with("INDEX-") {
                assert_eq!(outcome, Outcome::Opened { damaged_keys: 0, bad_records: 0 });
            } else {
                assert_eq!(outcome, Outcome::Refused(Status::Corrupt), "{name}");
            }
        }
        let segments: Vec<_> = one.files.keys().filter(|name| name.ends_with(".seg")).cloned().collect();
        for pair in segments.windows(2) {
            let mut files = one.files.clone();
            files.insert(pair[0].clone(), one.files[&pair[1]].clone());
            files.insert(pair[1].clone(), one.files[&pair[0]].clone());
            let outcome = one.check(&files, false, || format!("{pair:?} have changed places"));
            assert_eq!(outcome, Outcome::Refused(Status::Corrupt));
        }
    }
}

#[test]
fn no_damage_of_a_checkpoint_changes_an_answer() {
    let subject = make("closed", 7, SyncMode::None, true);
    let name = subject.files.keys().find(|name| name.starts_with("INDEX-")).unwrap();
    let bytes = &subject.files[name];
    let right = Outcome::Opened { damaged_keys: 0, bad_records: 0 };
    let check = |content: Option<Vec<u8>>, what: String| {
        let mut files = subject.files.clone();
        match content {
            Some(content) => files.insert(name.clone(), content),
            None => files.remove(name),
        };
        assert_eq!(subject.check(&files, false, || what.clone()), right, "{what}");
    };
    check(None, "missing".to_owned());
    let step = (bytes.len() / 3_000).max(1);
    // The head, and the body with what is known of the segments, are short and have every byte damaged.
    let body = bytes.len() - u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
    for at in (0..bytes.len()).filter(|at| *at < 256 || *at >= body || at % step == 0) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        check(Some(damaged), format!("a bit flipped at {at}"));
    }
    for len in (0..bytes.len()).filter(|len| *len < 256 || len % (step * 7) == 0) {
        check(Some(bytes[..len].to_vec()), format!("cut to {len}"));
    }
    check(Some(vec![0; bytes.len()]), "zeros".to_owned());
    check(Some([bytes.as_slice(), &[0; 100]].concat()), "longer".to_owned());
}
