//! A real store's directory, damaged: it opens or says what is wrong, and every value that it gives out was once written
//! for that key. A deleted directory's worth of keys may be missing; none may be made up, and none may be another's.

use super::{Held, check_it_lives, held, open, options};
use crate::input::Input;
use larder::format::manifest::ManifestHead;
use larder::storage::SimulatedStorage;
use larder::store::BatchOp;
use larder::store::Ttl;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// A store's files at one moment of its life, and every pair that it was ever given.
struct Moment {
    files: Vec<(String, Vec<u8>)>,
}

struct Life {
    moments: Vec<Moment>,
    written: BTreeSet<(Vec<u8>, Vec<u8>)>,
}

/// Two lives, so that files can come from a stranger.
fn lives() -> &'static [Life; 2] {
    static LIVES: OnceLock<[Life; 2]> = OnceLock::new();
    LIVES.get_or_init(|| [live(11), live(12)])
}

fn live(seed: u64) -> Life {
    let mut storage = SimulatedStorage::new(seed);
    let mut store = open(&storage, &options()).expect("a new store");
    let mut life = Life { moments: Vec::new(), written: BTreeSet::new() };
    for n in 0..60_u64 {
        let key = vec![b'k', (n % 11) as u8];
        let value: Vec<u8> = (0..20 + n * 13 % 400).map(|at| (at * n + seed) as u8).collect();
        match n % 7 {
            3 => drop(store.del(&key).expect("a del")),
            5 => {
                let other = vec![b'b', (n % 5) as u8];
                let batch = [
                    BatchOp::Set { key: &key, value: &value, ttl: Ttl::Forever },
                    BatchOp::Del { key: b"k\x01" },
                    BatchOp::Set { key: &other, value: &value, ttl: Ttl::Millis(1 << 40) },
                ];
                store.write(&batch, n % 2 == 0).expect("a batch");
                life.written.insert((key, value.clone()));
                life.written.insert((other, value));
            }
            _ => {
                store.set(&key, &value).expect("a set");
                life.written.insert((key, value));
            }
        }
        store.step_background().expect("a step");
        match n {
            20 => store.sync().expect("a sync"),
            30 | 45 => store.compact().expect("a compaction"),
            _ => {}
        }
        if n % 20 == 19 {
            // As a kill leaves it, and as a close does.
            life.moments.push(moment(&storage.kill()));
            storage = storage.kill();
            drop(store);
            store = open(&storage, &options()).expect("after a kill");
            store.close().expect("a close");
            life.moments.push(moment(&storage));
            store = open(&storage, &options()).expect("after a close");
        }
    }
    life
}

fn moment(storage: &SimulatedStorage) -> Moment {
    Moment { files: storage.names().into_iter().map(|name| (name.clone(), storage.read_file(&name))).collect() }
}

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let [life, stranger] = lives();
    let mut files = life.moments[input.below(life.moments.len())].files.clone();
    let earlier = &life.moments[input.below(life.moments.len())].files;
    for _ in 0..16 {
        if input.is_over() || files.is_empty() {
            break;
        }
        damage(&mut input, &mut files, [earlier, &stranger.moments[0].files]);
    }
    let storage = SimulatedStorage::new(3);
    for (name, bytes) in &files {
        storage.write_file(name, bytes);
    }
    let Ok(store) = open(&storage, &options()) else { return };
    // Whose store it is, its manifest decides: with enough files of the stranger it is the stranger's.
    let written =
        if store_id(&files) == store_id(&stranger.moments[0].files) { &stranger.written } else { &life.written };
    check_was_written(&held(&store), written);
    check_was_written(&check_it_lives(storage, store), written);
}

fn store_id(files: &[(String, Vec<u8>)]) -> Option<u64> {
    let (_, bytes) = files.iter().find(|(name, _)| name == "MANIFEST")?;
    ManifestHead::decode(bytes).ok().map(|head| head.store_id)
}

fn check_was_written(held: &Held, written: &BTreeSet<(Vec<u8>, Vec<u8>)>) {
    for (key, value) in held {
        assert!(written.contains(&(key.clone(), value.clone())), "{key:?} has {} bytes that nobody wrote", value.len());
    }
}

/// One thing that goes wrong with a directory.
fn damage(input: &mut Input<'_>, files: &mut Vec<(String, Vec<u8>)>, others: [&Vec<(String, Vec<u8>)>; 2]) {
    let place = input.below(files.len());
    let len = files[place].1.len().max(1);
    match input.u8() % 10 {
        0..=2 => {
            // Near the beginning more often: most of a segment's file is room.
            let limit = if input.u8() & 1 == 0 { len.min(512) } else { len };
            let at = input.below(limit);
            if let Some(byte) = files[place].1.get_mut(at) {
                *byte ^= 1 << (input.u8() % 8);
            }
        }
        3 => {
            let at = input.below(len) / 8 * 8;
            let new = input.take(8);
            if let Some(bytes) = files[place].1.get_mut(at..at + new.len()) {
                bytes.copy_from_slice(new);
            }
        }
        4 => {
            // A run of sectors that never reached the disk.
            let (at, count) = (input.below(len) / 512 * 512, 1 + input.below(8));
            let end = (at + count * 512).min(files[place].1.len());
            files[place].1[at.min(end)..end].fill(0);
        }
        5 => {
            let cut = input.below(len);
            files[place].1.truncate(cut);
        }
        6 => drop(files.remove(place)),
        7 => {
            let other = input.below(files.len());
            let bytes = std::mem::take(&mut files[place].1);
            files[place].1 = std::mem::replace(&mut files[other].1, bytes);
        }
        8 => {
            // Sectors of the same file from another time, or of a stranger's.
            let source = others[usize::from(input.u8() & 1)];
            let name = files[place].0.clone();
            if let Some((_, old)) = source.iter().find(|(other, _)| *other == name) {
                let (at, count) = (input.below(len) / 512 * 512, 1 + input.below(16));
                let end = (at + count * 512).min(old.len()).min(files[place].1.len());
                if at < end {
                    files[place].1[at..end].copy_from_slice(&old[at..end]);
                }
            }
        }
        _ => {
            // A whole file of another time or a stranger's.
            let source = others[usize::from(input.u8() & 1)];
            if let Some((name, old)) = source.get(input.below(source.len())) {
                files.retain(|(other, _)| other != name);
                files.push((name.clone(), old.clone()));
            }
        }
    }
}
