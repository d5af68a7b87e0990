//! A process that is killed while several of its threads write: nothing acknowledged is lost, and batches
//! are whole (P1, P3), in every sync mode.
//!
//! The child is this very program, told by an environment variable to write; it acknowledges by a
//! line into a pipe. What call `n` of a thread does follows from `n` alone, so the parent knows
//! what must be there from the last line that it read.

use super::{MODES, number_of, small, tuning, value};
use crate::basics::Scratch;
use larder::Store;
use larder::storage::DiskStorage;
use larder::store::{BatchOp, Ttl};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const DIRECTORY: &str = "LARDER_TEST_KILLED_DIRECTORY";
const MODE: &str = "LARDER_TEST_KILLED_MODE";
const START: &str = "LARDER_TEST_KILLED_START";

const THREAD_COUNT: usize = 3;
const KEY_COUNT: u64 = 30;
const BATCH_LEN: u64 = 5;

/// The keys that call `n` sets, all in one batch if there are several.
fn keys_of(thread: usize, n: u64) -> Vec<Vec<u8>> {
    match n % 4 {
        0 => (0..BATCH_LEN).map(|member| format!("batch-{thread}-{member}").into_bytes()).collect(),
        _ => vec![format!("single-{thread}-{}", n % KEY_COUNT).into_bytes()],
    }
}

fn open(directory: &Path, mode: usize) -> Store {
    let storage = DiskStorage::open(directory, true, false).unwrap();
    Store::open_in(Arc::new(storage), &small(MODES[mode].1), &tuning()).unwrap()
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(' ').map(|word| word.parse().unwrap()).collect()
}

/// What the child does; without the variables, which the parent sets, there is no child and nothing to do.
#[test]
fn a_child_writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let mode: usize = std::env::var(MODE).unwrap().parse().unwrap();
    let start = numbers(&std::env::var(START).unwrap());
    let store = open(Path::new(&directory), mode);
    std::thread::scope(|scope| {
        for (thread, start) in start.into_iter().enumerate() {
            let store = &store;
            scope.spawn(move || {
                for n in start.. {
                    let bytes = value(n, (n % 700) as usize);
                    match keys_of(thread, n).as_slice() {
                        [key] => drop(store.set(key, &bytes).unwrap()),
                        keys => {
                            let set = |key| BatchOp::Set { key, value: &bytes, ttl: Ttl::Forever };
                            let ops: Vec<_> = keys.iter().map(|key| set(key)).collect();
                            store.write(&ops, false).unwrap();
                        }
                    }
                    // One write of one line: whole or not at all, to a pipe.
                    let line = format!("done {thread} {n}\n");
                    std::io::stderr().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

/// Starts the child, kills it after about `line_count` acknowledgements, and returns the last of each thread.
fn run_and_kill(directory: &Path, mode: usize, start: &[u64], line_count: usize) -> Vec<u64> {
    let words: Vec<_> = start.iter().map(u64::to_string).collect();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "threads::killed::a_child_writes_until_it_is_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(MODE, mode.to_string())
        .env(START, words.join(" "))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged: Vec<u64> = start.iter().map(|n| n - 1).collect();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for (count, line) in lines.map_while(Result::ok).enumerate() {
        let Some(line) = line.strip_prefix("done ") else { panic!("the child says: {line}") };
        let line = numbers(line);
        assert!(acknowledged[line[0] as usize] < line[1]);
        acknowledged[line[0] as usize] = line[1];
        // On reading until the pipe's end: what was acknowledged before the signal arrived counts.
        if count == line_count {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL), "{status}");
    acknowledged
}

fn run(mode: usize, line_counts: [usize; 2]) {
    let name = MODES[mode].0;
    let scratch = Scratch::new();
    let mut start = vec![1; THREAD_COUNT];
    // What each key holds, by what was acknowledged and what was found after the last kill.
    let mut held = std::collections::HashMap::new();
    for line_count in line_counts {
        let acknowledged = run_and_kill(scratch.path(), mode, &start, line_count);
        let store = open(scratch.path(), mode);
        for thread in 0..THREAD_COUNT {
            let last = acknowledged[thread];
            for n in start[thread]..=last {
                held.extend(keys_of(thread, n).into_iter().map(|key| (key, n)));
            }
            // The call that was under way may have come through, but then all of it.
            let next = keys_of(thread, last + 1);
            let number = |key: &Vec<u8>| store.get_with(key, number_of).unwrap();
            let found: Vec<_> = next.iter().map(number).collect();
            assert!(found.iter().all(|n| *n == found[0]), "mode {name}: half a batch: {found:?}");
            if found[0] == Some(last + 1) {
                held.extend(next.into_iter().map(|key| (key, last + 1)));
            }
        }
        for (key, n) in &held {
            let key_text = String::from_utf8_lossy(key);
            let found = store.get_with(key, number_of).unwrap();
            assert_eq!(found, Some(*n), "mode {name}: {key_text} after {acknowledged:?}");
        }
        assert_eq!(store.len().unwrap(), held.len() as u64);
        assert_eq!(store.verify().unwrap().bad_records, 0);
        store.close().unwrap();
        start = acknowledged.iter().map(|last| last + 2).collect();
    }
}

#[test]
fn a_killed_process_loses_nothing_of_what_several_threads_wrote_in_mode_always() {
    run(0, [150, 60]);
}

#[test]
fn a_killed_process_loses_nothing_of_what_several_threads_wrote_in_mode_interval() {
    run(1, [1_500, 400]);
}

#[test]
fn a_killed_process_loses_nothing_of_what_several_threads_wrote_in_mode_none() {
    run(2, [2_500, 700]);
}
