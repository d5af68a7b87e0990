//! Handles after their time: closed, inherited by a forked child, outlived by views and cursors; and the
//! packed calls from end to end.

use crate::calls::{CALLS, KEY, Objects, Opened, Pointer, WorkDir, garbage, message, open, status_name};
use crate::{built_library, run_c_program};
use ::larder::ffi::cursor::{larder_cursor, larder_cursor_close, larder_cursor_next, larder_cursor_open};
use ::larder::ffi::error::*;
use ::larder::ffi::handle::larder_close;
use ::larder::ffi::keys::*;
use ::larder::ffi::packed::{larder_get_many_packed, larder_write_packed};
use ::larder::ffi::view::{larder_get_view, larder_view, larder_view_release};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};

fn view_of(opened: &Opened, key: &[u8]) -> larder_view {
    let mut view = larder_view { data: null(), len: 0, version: 0, expires_at_ms: 0, pin: null_mut() };
    // SAFETY: every pointer is live.
    let status = unsafe { larder_get_view(opened.db, key.as_ptr().cast(), key.len(), &raw mut view, null_mut()) };
    assert_eq!(status, LARDER_OK);
    view
}

fn bytes_of(view: &larder_view) -> &[u8] {
    assert!(!view.data.is_null());
    // SAFETY: the view is held.
    unsafe { std::slice::from_raw_parts(view.data.cast(), view.len) }
}

#[test]
fn a_closed_handle_answers_closed_to_every_call() {
    let opened = Opened::new();
    let mut objects = Objects::new(&opened);
    assert_eq!(opened.close(), LARDER_OK);
    for call in CALLS.iter().filter(|call| call.parameters[0].1 != Pointer::Options) {
        let pointers = objects.pointers(call);
        let mut err = garbage();
        // SAFETY: the table's pointers are live; a closed handle stays valid.
        let status = unsafe { (call.run)(&pointers, &raw mut err) };
        assert_eq!((status, err.status), (LARDER_CLOSED, LARDER_CLOSED), "{}: {}", call.name, status_name(status));
        assert!(!message(&err).is_empty());
        assert!(objects.are_outputs_untouched(), "{}", call.name);
    }
    for _ in 0..2 {
        assert_eq!(opened.close(), LARDER_CLOSED);
    }
}

#[test]
fn views_outlive_overwrite_delete_compaction_and_close() {
    let opened = Opened::new();
    opened.set(b"overwritten", b"first");
    opened.set(b"deleted", b"there");
    opened.set(b"empty", b"");
    let mut views = [view_of(&opened, b"overwritten"), view_of(&opened, b"deleted"), view_of(&opened, b"empty")];
    assert!(views[0].version < views[1].version && views[1].version < views[2].version);
    opened.set(b"overwritten", b"second");
    // SAFETY: every pointer is live.
    unsafe {
        assert_eq!(larder_del(opened.db, b"deleted".as_ptr().cast(), 7, null_mut()), LARDER_OK);
        assert_eq!(::larder::ffi::store::larder_compact(opened.db, null_mut()), LARDER_OK);
    }
    assert_eq!(opened.close(), LARDER_OK);
    assert_eq!(views.each_ref().map(bytes_of), [&b"first"[..], b"there", b""]);
    for view in &mut views {
        for _ in 0..2 {
            // SAFETY: the view is held, then zeroed.
            unsafe { larder_view_release(view) };
            assert!(view.data.is_null() && view.pin.is_null());
            assert_eq!((view.len, view.version, view.expires_at_ms), (0, 0, 0));
        }
    }
    // SAFETY: NULL is allowed.
    unsafe { larder_view_release(null_mut()) };
}

/// Runs `child` in a forked child; it answers with a number of its own.
fn in_child(child: impl FnOnce() -> u8) -> i32 {
    // SAFETY: the child calls the library and leaves by _exit, without the parent's exit handlers. The C
    // library's allocator works in a child of a program with threads.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let answer = child();
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(answer)) };
    }
    let mut wait_status = 0;
    // SAFETY: `pid` is our child, `wait_status` is writable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut wait_status, 0) }, pid);
    assert!(libc::WIFEXITED(wait_status), "the child ended with {wait_status:#x}");
    libc::WEXITSTATUS(wait_status)
}

#[test]
fn a_forked_child_is_told_so_by_every_call_and_harms_nothing() {
    let opened = Opened::new();
    let mut objects = Objects::new(&opened);
    let mut view = view_of(&opened, KEY);
    let answer = in_child(|| {
        let calls = CALLS.iter().filter(|call| call.parameters[0].1 != Pointer::Options);
        for (number, call) in calls.enumerate() {
            let pointers = objects.pointers(call);
            let mut err = garbage();
            // SAFETY: the table's pointers are live.
            let status = unsafe { (call.run)(&pointers, &raw mut err) };
            if status != LARDER_FORKED || err.status != LARDER_FORKED || !objects.are_outputs_untouched() {
                return number as u8 + 1;
            }
        }
        // SAFETY: the handle is live; the view is held; the cursor is live until it is closed.
        unsafe {
            for _ in 0..2 {
                if larder_close(opened.db, null_mut()) != LARDER_FORKED {
                    return 100;
                }
            }
            if bytes_of(&view) != b"value" {
                return 101;
            }
            larder_view_release(&raw mut view);
            if !view.pin.is_null() {
                return 102;
            }
            larder_cursor_close(objects.cursor);
        }
        0
    });
    assert_eq!(answer, 0);
    // The parent, its cursor and its view are as they were.
    assert_eq!(bytes_of(&view), b"value");
    opened.set(b"after", b"fork");
    assert_eq!(opened.get(b"after").as_deref(), Some(&b"fork"[..]));
    // SAFETY: the view is held.
    unsafe { larder_view_release(&raw mut view) };
    drop(objects);
    assert_eq!(opened.close(), LARDER_OK);
}

#[test]
fn a_forked_child_may_open_stores_of_its_own() {
    let opened = Opened::new();
    opened.set(KEY, b"parent's");
    let dir = WorkDir::new();
    let answer = in_child(|| {
        let db = open(&dir.location("child's"), &[]);
        let mut need = 0;
        let mut buffer = [0u8; 16];
        // SAFETY: every pointer is live.
        unsafe {
            let key = KEY.as_ptr().cast::<c_void>();
            let steps = [
                larder_set(db, key, KEY.len(), b"child's".as_ptr().cast(), 7, null_mut()) == LARDER_OK,
                larder_get_into(db, key, KEY.len(), buffer.as_mut_ptr().cast(), 16, &raw mut need, null_mut())
                    == LARDER_OK,
                &buffer[..need] == b"child's",
                larder_exists(opened.db, key, KEY.len(), null_mut()) == LARDER_FORKED,
                larder_close(db, null_mut()) == LARDER_OK,
                larder_close(db, null_mut()) == LARDER_CLOSED,
            ];
            steps.iter().position(|done| !done).map_or(0, |step| step as u8 + 1)
        }
    });
    assert_eq!(answer, 0);
    assert_eq!(opened.get(KEY).as_deref(), Some(&b"parent's"[..]));
}

/// A copy of the next key and value.
///
/// # Safety
///
/// The cursor is open.
unsafe fn next(cursor: *mut larder_cursor) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut key, mut key_len, mut value, mut value_len) = (null(), 0, null(), 0);
    // SAFETY: every pointer is live; what the cursor hands out is copied before its next call.
    unsafe {
        let status =
            larder_cursor_next(cursor, &raw mut key, &raw mut key_len, &raw mut value, &raw mut value_len, null_mut());
        if status == LARDER_DONE {
            return None;
        }
        assert_eq!(status, LARDER_OK);
        assert!(!key.is_null() && !value.is_null());
        let key = std::slice::from_raw_parts(key.cast::<u8>(), key_len).to_vec();
        let value = std::slice::from_raw_parts(value.cast::<u8>(), value_len).to_vec();
        Some((key, value))
    }
}

#[test]
fn a_cursor_hands_out_every_key_once() {
    let opened = Opened::new();
    let expected: BTreeMap<Vec<u8>, Vec<u8>> =
        (0..500u32).map(|n| (format!("key{n}").into_bytes(), vec![n as u8; n as usize % 40])).collect();
    for (key, value) in &expected {
        opened.set(key, value);
    }
    opened.set(b"other", b"not under the prefix");
    let (mut cursor, mut seen) = (null_mut(), BTreeMap::new());
    // SAFETY: every pointer is live.
    unsafe {
        assert_eq!(larder_cursor_open(opened.db, b"key".as_ptr().cast(), 3, &raw mut cursor, null_mut()), LARDER_OK);
        while let Some((key, value)) = next(cursor) {
            assert!(seen.insert(key, value).is_none());
        }
        assert!(next(cursor).is_none());
        larder_cursor_close(cursor);
        larder_cursor_close(null_mut());
    }
    assert_eq!(seen, expected);
}

/// An operation of a packed batch.
fn op(op: u32, key: &[u8], value: &[u8], ttl_ms: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(op.to_le_bytes());
    bytes.extend(u32::try_from(key.len()).expect("a short key").to_le_bytes());
    bytes.extend((value.len() as u64).to_le_bytes());
    bytes.extend(ttl_ms.to_le_bytes());
    bytes.extend([key, value].concat());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn write_packed(opened: &Opened, ops: &[u8]) -> (larder_status, usize) {
    let mut bad_offset = 77;
    // SAFETY: every pointer is live.
    let status =
        unsafe { larder_write_packed(opened.db, ops.as_ptr().cast(), ops.len(), 0, &raw mut bad_offset, null_mut()) };
    (status, bad_offset)
}

#[test]
fn a_packed_batch_is_carried_out_whole_or_not_at_all() {
    let opened = Opened::new();
    opened.set(b"gone", b"soon");
    let good = [op(1, b"a", b"1", 0), op(2, b"gone", b"", 0), op(1, b"a", b"2", 0), op(2, b"never", b"", 0)].concat();
    assert_eq!(write_packed(&opened, &good), (LARDER_OK, 77));
    assert_eq!(opened.get(b"a").as_deref(), Some(&b"2"[..]));
    assert_eq!(opened.get(b"gone"), None);
    let bad = [op(1, b"a", b"3", 0), op(1, b"b", b"3", 0), op(9, b"c", b"3", 0)].concat();
    assert_eq!(write_packed(&opened, &bad), (LARDER_INVALID_ARGUMENT, 64));
    assert_eq!(opened.get(b"a").as_deref(), Some(&b"2"[..]));
    assert_eq!(opened.get(b"b"), None);
    let longer = vec![b'k'; 65_536];
    let large = [op(1, b"a", b"3", 0), op(1, &longer, b"", 0)].concat();
    assert_eq!(write_packed(&opened, &large), (LARDER_TOO_LARGE, 32));
    for len in (0..good.len()).filter(|len| ![0, 32, 64, 96].contains(len)) {
        let (status, bad_offset) = write_packed(&opened, &good[..len]);
        assert_eq!((status, bad_offset), (LARDER_INVALID_ARGUMENT, len / 32 * 32), "{len}");
    }
    assert_eq!(opened.get(b"a").as_deref(), Some(&b"2"[..]));
}

#[test]
fn many_keys_are_read_in_as_many_calls_as_the_buffer_needs() {
    let opened = Opened::new();
    let wanted: Vec<Vec<u8>> = (0..100).map(|n| format!("key{n}").into_bytes()).collect();
    for (n, key) in wanted.iter().enumerate().filter(|(n, _)| n % 3 != 0) {
        opened.set(key, &vec![n as u8; n]);
    }
    let entries: Vec<Vec<u8>> = wanted
        .iter()
        .map(|key| {
            let mut entry = u32::try_from(key.len()).unwrap().to_le_bytes().to_vec();
            entry.extend(key);
            entry.resize(entry.len().next_multiple_of(8), 0);
            entry
        })
        .collect();
    for capacity in [128, 129, 1000, 100_000] {
        let (mut done, mut calls) = (0, 0);
        while done < wanted.len() {
            let keys = entries[done..].concat();
            let mut out = vec![0xCC_u8; capacity];
            let (mut used, mut answered) = (usize::MAX, usize::MAX);
            // SAFETY: every pointer is live.
            let status = unsafe {
                larder_get_many_packed(
                    opened.db,
                    keys.as_ptr().cast(),
                    keys.len(),
                    out.as_mut_ptr().cast(),
                    capacity,
                    &raw mut used,
                    &raw mut answered,
                    null_mut(),
                )
            };
            let is_last = done + answered == wanted.len();
            assert_eq!(status, if is_last { LARDER_OK } else { LARDER_BUFFER_TOO_SMALL }, "{capacity}");
            assert!(answered > 0);
            assert!(out[used..].iter().all(|byte| *byte == 0xCC));
            let mut rest = &out[..used];
            for n in done..done + answered {
                let (head, tail) = rest.split_at(16);
                let value_len = u64::from_le_bytes(head[8..].try_into().unwrap()) as usize;
                let expected = if n % 3 == 0 { (1, 0) } else { (0, n) };
                assert_eq!((head[0], value_len), expected);
                assert!(head[1..8].iter().all(|byte| *byte == 0));
                assert!(tail[..value_len].iter().all(|byte| *byte == n as u8));
                assert!(tail[value_len..value_len.next_multiple_of(8)].iter().all(|byte| *byte == 0));
                rest = &tail[value_len.next_multiple_of(8)..];
            }
            assert!(rest.is_empty());
            done += answered;
            calls += 1;
        }
        assert_eq!(calls == 1, capacity == 100_000);
    }
}

fn open_and_close(location: &CStr) {
    let db = open(location, &[]);
    // SAFETY: the handle is live.
    unsafe {
        assert_eq!(larder_set(db, KEY.as_ptr().cast(), KEY.len(), null(), 0, null_mut()), LARDER_OK);
        assert_eq!(larder_close(db, null_mut()), LARDER_OK);
    }
}

#[test]
fn no_map_and_no_file_of_a_closed_store_stays() {
    let dir = WorkDir::new();
    let location = dir.location("store");
    open_and_close(&location);
    let path = location.to_str().unwrap();
    assert!(!std::fs::read_to_string("/proc/self/maps").unwrap().contains(path), "a map remains");
    let files: Vec<_> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.starts_with(path))
        .collect();
    assert!(files.is_empty(), "open files remain: {files:?}");
}

/// Opens and closes some stores and answers with what one of them left in the heap, in KiB, rounded up.
#[cfg(target_env = "gnu")]
const SHELL_PROGRAM: &str = r#"
#include "larder.h"
#include <malloc.h>
#define COUNT 20

int main(int argc, char **argv) {
  size_t in_use = 0, shell_bytes;
  int round;
  for (round = 0; round < COUNT + 4; round++) {
    larder *db;
    if (argc != 2 || larder_open(argv[1], NULL, &db, NULL) != LARDER_OK) return 101;
    if (larder_set(db, "k", 1, "v", 1, NULL) != LARDER_OK) return 102;
    if (larder_close(db, NULL) != LARDER_OK) return 103;
    /* The first stores pay for what the process has once. */
    if (round == 3) in_use = mallinfo2().uordblks;
  }
  shell_bytes = (mallinfo2().uordblks - in_use) / COUNT;
  return shell_bytes > 0 && shell_bytes < 4096 ? 0 : 1 + (int)(shell_bytes / 1024) % 100;
}
"#;

#[test]
#[cfg(target_env = "gnu")]
fn a_closed_handle_costs_what_the_header_says() {
    run_c_program(&built_library(), SHELL_PROGRAM);
}
