//! A segment of made-up records whose checksums are right: recovery takes them as far as a second reading of the format does
//! (whole batches, consecutive seqnos), not one further, and says the same each time.

use super::{Held, SEGMENT_BYTES, check_it_lives, held, open, options};
use crate::input::Input;
use larder::format::record::{self, Head, Kind};
use larder::format::{Seed, segment};
use larder::storage::{SimulatedStorage, Storage};
use std::sync::OnceLock;

/// The files of a store with one empty segment, after a kill.
fn files() -> &'static Vec<(String, Vec<u8>)> {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let storage = SimulatedStorage::new(1);
        let store = open(&storage, &options()).expect("a new store");
        store.set(b"k", b"v").expect("a set");
        let storage = storage.kill();
        drop(store);
        storage.names().into_iter().map(|name| (name.clone(), storage.read_file(&name))).collect()
    })
}

/// One record as it will stand in the file.
struct Made {
    head: Head,
    key: Vec<u8>,
    value: Vec<u8>,
}

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let storage = SimulatedStorage::new(1);
    let mut made = Vec::new();
    for (name, bytes) in files() {
        storage.write_file(name, bytes);
        if name == "000001.seg" {
            made = make(&mut input);
            storage.write_file(name, &encoded(&made, bytes));
        }
    }
    let read_only = larder::Options { read_only: true, ..options() };
    let seen = open(&storage, &read_only).map(|store| held(&store)).ok();
    if let Ok(store) = open(&storage, &options()) {
        let held = held(&store);
        assert_eq!(held, expected(&made, Storage::now_ms(&storage)), "recovery has read the log in another way");
        if let Some(seen) = seen {
            assert_eq!(held, seen, "opened for writing it holds something else than opened for reading");
        }
        let _ = check_it_lives(storage, store);
    }
}

/// Room for them in the segment, whatever the next one is.
const LEN_MAX: u64 = SEGMENT_BYTES - 300;

fn make(input: &mut Input<'_>) -> Vec<Made> {
    let mut made: Vec<Made> = Vec::new();
    let mut seqno = 1_u64;
    let mut len = segment::HEAD_LEN as u64;
    while !input.is_over() && len < LEN_MAX {
        let first = made.len();
        let shape = input.u8();
        if shape & 3 == 3 {
            batch(input, seqno, &mut made);
        } else {
            let is_in_batch = shape & 0x40 != 0 && input.u8() & 7 == 0;
            made.push(single(input, shape, seqno, is_in_batch));
        }
        let has_seqno = made[first..].iter().filter(|made| made.head.kind != Kind::Batch).count() as u64;
        seqno = seqno.saturating_add(has_seqno);
        if shape & 0x80 != 0 && input.u8() & 7 == 0 {
            // A gap, or a step back.
            seqno = input.odd_u64().max(1);
        }
        len += made[first..].iter().map(|made| made.head.record_len()).sum::<u64>();
    }
    made
}

fn single(input: &mut Input<'_>, shape: u8, seqno: u64, is_in_batch: bool) -> Made {
    let kind = if shape & 3 == 2 { Kind::Tombstone } else { Kind::Set };
    let key = input.take(usize::from(shape >> 4 & 3)).to_vec();
    let value = if kind == Kind::Set { input.take(usize::from(shape >> 2 & 3) * 5).to_vec() } else { Vec::new() };
    let expires_at_ms = if kind == Kind::Set && shape & 4 != 0 { input.odd_u64() } else { 0 };
    let (key_len, value_len) = (key.len() as u16, value.len() as u32);
    Made { head: Head { kind, is_in_batch, key_len, value_len, seqno, expires_at_ms }, key, value }
}

/// A batch, whole or with one thing wrong with it.
fn batch(input: &mut Input<'_>, seqno: u64, made: &mut Vec<Made>) {
    let (count, fault) = (1 + input.u8() % 4, input.u8());
    let mut members: Vec<Made> = Vec::new();
    for place in 0..count {
        let shape = input.u8();
        members.push(single(input, shape, seqno.saturating_add(u64::from(place)), true));
    }
    let len: u64 = members.iter().map(|member| member.head.record_len()).sum();
    let (mut value_len, mut expires_at_ms) = (u32::from(count), len);
    match fault {
        0 => value_len += 1,
        1 => expires_at_ms = expires_at_ms.wrapping_add(input.odd_u64()),
        2 => members[0].head.is_in_batch = false,
        3 => members[0].head.seqno = input.odd_u64().max(1),
        4 => value_len = value_len.saturating_sub(1).max(1),
        5 => drop(members.pop()),
        _ => {}
    }
    let head = Head { kind: Kind::Batch, is_in_batch: false, key_len: 0, value_len, seqno, expires_at_ms };
    if fault != 6 {
        made.push(Made { head, key: Vec::new(), value: Vec::new() });
    }
    made.append(&mut members);
}

fn encoded(made: &[Made], original: &[u8]) -> Vec<u8> {
    let store_id = u64::from_le_bytes(original[16..24].try_into().expect("eight bytes"));
    let seed = Seed::new(store_id, 1);
    let mut bytes = original[..segment::HEAD_LEN].to_vec();
    for Made { head, key, value } in made {
        let offset = bytes.len();
        bytes.resize(offset + head.record_len() as usize, 0);
        record::write(&mut bytes[offset..], seed, offset as u64, head, key, value);
    }
    bytes.resize(SEGMENT_BYTES as usize, 0);
    bytes
}

/// What docs/format.md makes of these records at the end of a log that nothing vouches for.
fn expected(made: &[Made], now_ms: u64) -> Held {
    let mut held = Held::new();
    let mut seqno = 1;
    let mut at = 0;
    while let Some(next) = made.get(at) {
        let members = match next.head.kind {
            Kind::Batch => whole_batch(&made[at..]),
            _ if next.head.is_in_batch => None,
            _ => Some(std::slice::from_ref(next)),
        };
        let Some(members) = members.filter(|members| members[0].head.seqno == seqno) else { break };
        for Made { head, key, value } in members {
            if head.kind == Kind::Set && !head.is_expired(now_ms) {
                held.insert(key.clone(), value.clone());
            } else {
                held.remove(key);
            }
        }
        seqno += members.len() as u64;
        at += members.len() + usize::from(next.head.kind == Kind::Batch);
    }
    held
}

/// The records of the batch that begins here, if it is whole.
fn whole_batch(made: &[Made]) -> Option<&[Made]> {
    let head = &made.first()?.head;
    let members = made.get(1..1 + head.value_len as usize)?;
    let len: u64 = members.iter().map(|member| member.head.record_len()).sum();
    let is_member = |(place, member): (usize, &Made)| {
        member.head.is_in_batch
            && member.head.kind != Kind::Batch
            && Some(member.head.seqno) == head.seqno.checked_add(place as u64)
    };
    (len == head.expires_at_ms && members.iter().enumerate().all(is_member)).then_some(members)
}
