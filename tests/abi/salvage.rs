//! `larder_salvage` through the ABI: its arguments, its outputs, and a store with a damaged record on a real disk.

#![allow(clippy::unwrap_used)] // Tests end at the first surprise.

use crate::calls::{WorkDir, garbage, message, open};
use ::larder::ffi::error::*;
use ::larder::ffi::handle::{larder, larder_close};
use ::larder::ffi::keys::{larder_exists, larder_free, larder_set};
use ::larder::ffi::options::{larder_options_free, larder_options_new};
use ::larder::ffi::salvage::{larder_salvage, larder_salvage_report};
use std::ffi::{CStr, c_void};
use std::fs;
use std::path::Path;
use std::ptr::{null, null_mut};

fn empty_report() -> larder_salvage_report {
    // SAFETY: every field is a number.
    let mut report: larder_salvage_report = unsafe { std::mem::zeroed() };
    report.struct_size = size_of::<larder_salvage_report>() as u32;
    report
}

fn set(db: *mut larder, key: &str, value: &[u8]) {
    // SAFETY: the handle is open, the slices are live.
    let status =
        unsafe { larder_set(db, key.as_ptr().cast(), key.len(), value.as_ptr().cast(), value.len(), null_mut()) };
    assert_eq!(status, LARDER_OK);
}

fn exists(db: *mut larder, key: &str) -> bool {
    // SAFETY: the handle is open, the key is live.
    unsafe { larder_exists(db, key.as_ptr().cast(), key.len(), null_mut()) == LARDER_OK }
}

fn close(db: *mut larder) {
    // SAFETY: the handle comes from `larder_open`.
    assert_eq!(unsafe { larder_close(db, null_mut()) }, LARDER_OK);
}

/// A closed store with a hundred keys, and one record in the middle damaged.
fn damaged_store(dir: &WorkDir) {
    let db = open(&dir.location("source"), &[]);
    for n in 0..100 {
        set(db, &format!("key {n}"), &[n; 300]);
    }
    close(db);
    let mut hits = 0;
    for entry in fs::read_dir(dir.path().join("source")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(300).position(|window| window == [50; 300]) {
            bytes[at + 7] ^= 4;
            fs::write(&path, bytes).unwrap();
            hits += 1;
        }
    }
    assert_eq!(hits, 1);
}

fn content(path: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<_> =
        files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect();
    all.sort_unstable();
    all
}

#[test]
fn a_salvage_recovers_all_but_the_damaged_record_and_names_it() {
    let dir = WorkDir::new();
    damaged_store(&dir);
    let before = content(&dir.path().join("source"));
    let (source, target) = (dir.location("source"), dir.location("target"));
    let (mut report, mut err) = (empty_report(), garbage());
    let (mut losses, mut losses_len) = (null_mut::<c_void>(), 0);
    // SAFETY: every pointer is live; on LARDER_OK the list is ours until it is freed.
    let list = unsafe {
        let status = larder_salvage(
            source.as_ptr(),
            target.as_ptr(),
            null(),
            &raw mut report,
            &raw mut losses,
            &raw mut losses_len,
            &raw mut err,
        );
        assert_eq!(status, LARDER_OK, "{}", message(&err));
        let list = String::from_utf8(std::slice::from_raw_parts(losses.cast::<u8>(), losses_len).to_vec()).unwrap();
        larder_free(losses);
        list
    };
    assert_eq!((report.keys, report.losses, report.has_whole_manifest), (99, 1, 1));
    assert_eq!((report.records, report.lost_bytes), (99, 344));
    let fields: Vec<&str> = list.strip_suffix('\n').unwrap().split('\t').collect();
    assert!(fields[0].ends_with(".seg"), "{list}");
    assert_eq!(fields[2..], ["344", "\"key 50\"", "-", "a record fails its check"]);
    assert_eq!(content(&dir.path().join("source")), before, "the source was changed");
    let db = open(&target, &[]);
    for n in 0..100 {
        assert_eq!(exists(db, &format!("key {n}")), n != 50);
    }
    close(db);
}

#[test]
fn every_argument_is_judged_before_anything_is_made() {
    let dir = WorkDir::new();
    damaged_store(&dir);
    let (source, target) = (dir.location("source"), dir.location("target"));
    let (mut list, mut list_len) = (null_mut::<c_void>(), 7);
    let refused = |source: Option<&CStr>, target: Option<&CStr>, report, losses, losses_len| {
        let mut err = garbage();
        let pointer = |text: Option<&CStr>| text.map_or(null(), CStr::as_ptr);
        // SAFETY: every pointer is live or NULL.
        let status = unsafe {
            larder_salvage(pointer(source), pointer(target), null(), report, losses, losses_len, &raw mut err)
        };
        assert_eq!(err.status, status);
        (status, message(&err).to_owned())
    };
    let (source, target) = (Some(source.as_c_str()), Some(target.as_c_str()));
    let mut report = empty_report();
    let (report, losses, losses_len) = (&raw mut report, &raw mut list, &raw mut list_len);
    for (name, (status, said)) in [
        ("source", refused(None, target, report, losses, losses_len)),
        ("target", refused(source, None, report, losses, losses_len)),
        ("report", refused(source, target, null_mut(), losses, losses_len)),
        ("losses", refused(source, target, report, null_mut(), losses_len)),
        ("losses", refused(source, target, report, losses, null_mut())),
        ("source", refused(Some(c""), target, report, losses, losses_len)),
        ("target", refused(source, Some(c""), report, losses, losses_len)),
        ("empty", refused(source, source, report, losses, losses_len)),
    ] {
        assert_eq!(status, LARDER_INVALID_ARGUMENT, "{name}: {said}");
        assert!(said.contains(name), "{said}");
    }
    for size in [0, 7, (64 << 10) + 1, u32::MAX] {
        let mut wrong = larder_salvage_report { struct_size: size, ..empty_report() };
        let (status, said) = refused(source, target, &raw mut wrong, losses, losses_len);
        assert!(status == LARDER_INVALID_ARGUMENT && said.contains("struct_size"), "{said}");
    }
    assert_eq!(refused(Some(c"redis://x"), target, report, losses, losses_len).0, LARDER_UNSUPPORTED);
    let missing = dir.location("missing");
    assert_eq!(refused(Some(&missing), target, report, losses, losses_len).0, LARDER_NOT_FOUND);
    assert!(!dir.path().join("target").exists() && !dir.path().join("missing").exists());
    assert!(list.is_null() && list_len == 7);
    let db = open(source.unwrap(), &[]);
    assert_eq!(refused(source, target, report, losses, losses_len).0, LARDER_BUSY);
    close(db);
    assert!(!dir.path().join("target").exists());
    // Neither list is fine, and a caller that knows less of the report is left alone beyond it.
    let mut short = [0x5A5A_5A5A_5A5A_5A5A_u64; 8];
    short[0] = 16;
    let (status, said) = refused(source, target, short.as_mut_ptr().cast(), null_mut(), null_mut());
    assert_eq!(status, LARDER_OK, "{said}");
    assert_eq!((short[0], short[2]), (16, 0x5A5A_5A5A_5A5A_5A5A));
    assert!(short[1] >= 1 && short[1] < 100, "segments: {}", short[1]);
}

#[test]
fn options_of_another_kind_are_refused_and_those_of_this_one_taken() {
    let dir = WorkDir::new();
    damaged_store(&dir);
    let (source, target) = (dir.location("source"), dir.location("target"));
    let db = open(&dir.location("other"), &[]);
    let options = larder_options_new();
    let mut report = empty_report();
    let mut run = |options: *const c_void| {
        // SAFETY: every pointer is live; the first options are a live object of another kind.
        unsafe {
            let (report, list) = (&raw mut report, null_mut());
            larder_salvage(source.as_ptr(), target.as_ptr(), options.cast(), report, list, null_mut(), null_mut())
        }
    };
    assert_eq!(run(db.cast_const().cast()), LARDER_INVALID_ARGUMENT);
    assert_eq!(run(options.cast_const().cast()), LARDER_OK);
    // SAFETY: made above.
    unsafe { larder_options_free(options) };
    close(db);
}
