//! What callers may get wrong: NULL for every pointer, lengths at and past every limit, errors that are
//! filled whatever the outcome.

use crate::calls::{CALLS, KEY, Objects, Opened, Pointer, garbage, give_back, message, status_name};
use ::larder::ffi::cursor::{larder_cursor_next, larder_cursor_open};
use ::larder::ffi::error::*;
use ::larder::ffi::expiry::{larder_expire, larder_ttl};
use ::larder::ffi::handle::{larder_close, larder_open};
use ::larder::ffi::keys::*;
use ::larder::ffi::options::{larder_options_free, larder_options_new, larder_options_set};
use ::larder::ffi::packed::{larder_get_many_packed, larder_write_packed};
use ::larder::ffi::store::larder_stats_get;
use ::larder::ffi::view::{larder_get_view, larder_view, larder_view_release};
use std::ffi::c_void;
use std::ptr::{null, null_mut};

#[test]
fn every_call_succeeds_with_and_without_an_error() {
    let opened = Opened::new();
    for call in CALLS {
        let mut objects = Objects::new(&opened);
        for with_error in [true, false] {
            opened.set(KEY, b"value");
            let pointers = objects.pointers(call);
            let mut err = garbage();
            // SAFETY: the table's pointers are live and of their kind.
            unsafe {
                let status = (call.run)(&pointers, if with_error { &raw mut err } else { null_mut() });
                let said = if with_error { message(&err) } else { "" };
                assert_eq!(status, LARDER_OK, "{}: {} {said}", call.name, status_name(status));
                give_back(call, &pointers);
            }
            if with_error {
                assert_eq!((err.status, err.os_errno, err.offset, message(&err)), (0, 0, 0, ""), "{}", call.name);
            }
            // The cursor has one key only.
            objects = Objects::new(&opened);
        }
    }
}

#[test]
fn null_is_refused_for_every_pointer_that_needs_one() {
    let opened = Opened::new();
    let mut objects = Objects::new(&opened);
    let mut refused_count = 0;
    for call in CALLS {
        for (index, (parameter, pointer)) in call.parameters.iter().enumerate() {
            opened.set(KEY, b"value");
            let mut pointers = objects.pointers(call);
            pointers[index] = null_mut();
            let mut err = garbage();
            // SAFETY: the table's pointers are live and of their kind, or NULL.
            let status = unsafe { (call.run)(&pointers, &raw mut err) };
            let what = format!("{}({parameter} = NULL): {}", call.name, message(&err));
            assert_eq!(err.status, status, "{what}");
            if *pointer == Pointer::OptionalOutput {
                assert_eq!(status, LARDER_OK, "{what}");
                continue;
            }
            refused_count += 1;
            assert_eq!(status, LARDER_INVALID_ARGUMENT, "{what}");
            assert!(message(&err).contains(parameter), "{what}");
            assert!(objects.are_outputs_untouched(), "{what}");
        }
    }
    assert!(refused_count > 40, "{refused_count}");
}

#[test]
fn a_handle_of_another_kind_is_refused() {
    let opened = Opened::new();
    let mut objects = Objects::new(&opened);
    let other_kinds: [*mut c_void; 2] = [objects.cursor.cast(), objects.db.cast()];
    for call in CALLS {
        let mut pointers = objects.pointers(call);
        pointers[0] = other_kinds[usize::from(call.parameters[0].1 == Pointer::Cursor)];
        let mut err = garbage();
        // SAFETY: the table's pointers are live; the first is a live object of another kind.
        let status = unsafe { (call.run)(&pointers, &raw mut err) };
        assert_eq!(status, LARDER_INVALID_ARGUMENT, "{}", call.name);
        assert!(message(&err).contains(call.parameters[0].0), "{}: {}", call.name, message(&err));
        assert!(objects.are_outputs_untouched(), "{}", call.name);
    }
}

#[test]
fn keys_are_judged_by_their_length_in_every_call() {
    let opened = Opened::new();
    let longest = vec![b'k'; 65_536];
    let (db, key) = (opened.db, longest.as_ptr().cast::<c_void>());
    let with_length = |len: usize, key: *const c_void| -> Vec<(&str, larder_status)> {
        let (mut out, mut need, mut ttl_ms) = (null_mut(), 0, 0);
        let (mut cursor, mut buffer) = (null_mut(), [0u8; 4]);
        let mut view = larder_view { data: null(), len: 0, version: 0, expires_at_ms: 0, pin: null_mut() };
        let err = null_mut();
        // SAFETY: the outputs are live; lengths past the buffer's are refused before a byte is read.
        unsafe {
            let statuses = vec![
                ("set", larder_set(db, key, len, null(), 0, err)),
                ("set_with", larder_set_with(db, key, len, null(), 0, 0, 0, null_mut(), err)),
                ("get", larder_get(db, key, len, &raw mut out, &raw mut need, err)),
                ("get_into", larder_get_into(db, key, len, buffer.as_mut_ptr().cast(), 4, &raw mut need, err)),
                ("get_view", larder_get_view(db, key, len, &raw mut view, err)),
                ("exists", larder_exists(db, key, len, err)),
                ("ttl", larder_ttl(db, key, len, &raw mut ttl_ms, err)),
                ("expire", larder_expire(db, key, len, 60_000, err)),
                ("cursor_open", larder_cursor_open(db, key, len, &raw mut cursor, err)),
                ("del", larder_del(db, key, len, err)),
            ];
            larder_free(out);
            larder_view_release(&raw mut view);
            ::larder::ffi::cursor::larder_cursor_close(cursor);
            statuses
        }
    };
    for len in [0, 1, 65_534, 65_535] {
        assert!(
            with_length(len, key).iter().all(|(_, status)| *status == LARDER_OK),
            "{len}: {:?}",
            with_length(len, key)
        );
    }
    for len in [65_536, 1 << 32, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX] {
        for (name, status) in with_length(len, key) {
            assert_eq!(status, LARDER_TOO_LARGE, "{name} with {len}");
        }
    }
    assert!(with_length(0, null()).iter().all(|(_, status)| *status == LARDER_OK));
    for len in [1, 65_535, 65_536, usize::MAX] {
        for (name, status) in with_length(len, null()) {
            assert_eq!(status, LARDER_INVALID_ARGUMENT, "{name} with NULL and {len}");
        }
    }
}

#[test]
fn values_and_buffers_are_judged_by_their_length() {
    let opened = Opened::new();
    let (db, err, byte) = (opened.db, null_mut(), 7u8);
    let (value, key) = ((&raw const byte).cast::<c_void>(), KEY.as_ptr().cast::<c_void>());
    // SAFETY: lengths past the byte's own are refused before anything is read.
    let set = |value: *const c_void, len: usize| unsafe { larder_set(db, key, KEY.len(), value, len, err) };
    assert_eq!(set(value, 0), LARDER_OK);
    assert_eq!(set(value, 1), LARDER_OK);
    assert_eq!(set(null(), 0), LARDER_OK);
    assert_eq!(opened.get(KEY).as_deref(), Some(&b""[..]));
    for len in [1 << 32, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX] {
        assert_eq!(set(value, len), LARDER_TOO_LARGE, "{len}");
        assert_eq!(set(null(), len), LARDER_INVALID_ARGUMENT, "{len}");
    }
    let (mut used, mut answered, mut need) = (9, 9, 9);
    for len in [isize::MAX as usize + 1, usize::MAX] {
        // SAFETY: as above.
        unsafe {
            assert_eq!(larder_write_packed(db, value, len, 0, null_mut(), err), LARDER_INVALID_ARGUMENT);
            let out = (&raw const byte).cast_mut().cast();
            for (keys_len, capacity) in [(len, 1), (0, len)] {
                let status =
                    larder_get_many_packed(db, value, keys_len, out, capacity, &raw mut used, &raw mut answered, err);
                assert_eq!(status, LARDER_INVALID_ARGUMENT);
            }
            assert_eq!(larder_get_into(db, key, KEY.len(), out, len, &raw mut need, err), LARDER_INVALID_ARGUMENT);
            let status = larder_get_into(db, key, KEY.len(), null_mut(), 1, &raw mut need, err);
            assert_eq!(status, LARDER_INVALID_ARGUMENT);
        }
    }
    assert_eq!((used, answered, need), (9, 9, 9));
}

#[test]
fn expected_outcomes_carry_their_sentence() {
    let opened = Opened::new();
    let (db, missing) = (opened.db, b"missing".as_ptr().cast::<c_void>());
    opened.set(KEY, b"value");
    let mut err = garbage();
    let mut outcomes = Vec::new();
    // SAFETY: every pointer is live.
    unsafe {
        outcomes.push((larder_exists(db, missing, 7, &raw mut err), LARDER_NOT_FOUND, message(&err).to_owned()));
        let key = KEY.as_ptr().cast::<c_void>();
        let status = larder_set_with(db, key, KEY.len(), null(), 0, 0, LARDER_IF_ABSENT, null_mut(), &raw mut err);
        outcomes.push((status, LARDER_EXISTS, message(&err).to_owned()));
        let status = larder_set_with(db, missing, 7, null(), 0, 0, LARDER_IF_PRESENT, null_mut(), &raw mut err);
        outcomes.push((status, LARDER_NOT_FOUND, message(&err).to_owned()));
        let mut need = 0;
        let status = larder_get_into(db, key, KEY.len(), null_mut(), 0, &raw mut need, &raw mut err);
        outcomes.push((status, LARDER_BUFFER_TOO_SMALL, message(&err).to_owned()));
        assert_eq!(need, 5);
    }
    for (status, expected, sentence) in outcomes {
        assert_eq!(status, expected);
        assert!(!sentence.is_empty() && sentence.chars().next().is_some_and(char::is_lowercase), "{sentence}");
    }
}

#[test]
fn open_judges_its_location() {
    let (mut db, mut err) = (null_mut(), garbage());
    let mut open = |location: Option<&std::ffi::CStr>| {
        // SAFETY: the outputs are live.
        let status =
            unsafe { larder_open(location.map_or(null(), |text| text.as_ptr()), null(), &raw mut db, &raw mut err) };
        assert_eq!(err.status, status);
        assert!(db.is_null());
        (status, message(&err).to_owned())
    };
    assert_eq!(open(None).0, LARDER_INVALID_ARGUMENT);
    assert_eq!(open(Some(c"")).0, LARDER_INVALID_ARGUMENT);
    for (location, scheme) in [(c"unix:/run/x", "unix:"), (c"redis+cluster://a", "redis+cluster:")] {
        let (status, message) = open(Some(location));
        assert_eq!(status, LARDER_UNSUPPORTED);
        assert!(message.contains(scheme), "{message}");
    }
    let dir = crate::calls::WorkDir::new();
    let location = dir.location("store");
    // SAFETY: `out` is NULL on purpose.
    assert_eq!(unsafe { larder_open(location.as_ptr(), null(), null_mut(), &raw mut err) }, LARDER_INVALID_ARGUMENT);
    assert!(!dir.path().join("store").exists());
    // SAFETY: NULL is allowed.
    assert_eq!(unsafe { larder_close(null_mut(), &raw mut err) }, LARDER_OK);
    assert_eq!((err.status, message(&err)), (0, ""));
}

#[test]
fn options_refuse_what_they_do_not_know() {
    let options = larder_options_new();
    for (name, value) in [
        (c"colour", c"blue"),
        (c"sync", c"sometimes"),
        (c"sync", c"interval:0"),
        (c"segment_size", c"1"),
        (c"\xFF", c"x"),
        (c"sync", c"\xFF"),
        (c"", c""),
    ] {
        let mut err = garbage();
        // SAFETY: every pointer is live.
        let status = unsafe { larder_options_set(options, name.as_ptr(), value.as_ptr(), &raw mut err) };
        assert_eq!((status, err.status), (LARDER_INVALID_ARGUMENT, LARDER_INVALID_ARGUMENT), "{name:?}");
        assert!(!message(&err).is_empty());
    }
    // SAFETY: made above; NULL is allowed.
    unsafe {
        larder_options_free(options);
        larder_options_free(null_mut());
    }
}

#[test]
fn flags_and_ttls_out_of_range_are_refused() {
    let opened = Opened::new();
    let (db, key) = (opened.db, KEY.as_ptr().cast::<c_void>());
    let mut version = 77;
    let mut set_with = |ttl_ms, flags| {
        // SAFETY: every pointer is live.
        unsafe { larder_set_with(db, key, KEY.len(), null(), 0, ttl_ms, flags, &raw mut version, null_mut()) }
    };
    for flags in [3, 7, 8, u32::MAX] {
        assert_eq!(set_with(0, flags), LARDER_INVALID_ARGUMENT, "{flags}");
    }
    for ttl_ms in [-2, i64::MIN, i64::MAX] {
        assert_eq!(set_with(ttl_ms, 0), LARDER_INVALID_ARGUMENT, "{ttl_ms}");
        // SAFETY: every pointer is live.
        assert_eq!(unsafe { larder_expire(db, key, KEY.len(), ttl_ms, null_mut()) }, LARDER_INVALID_ARGUMENT);
    }
    assert_eq!(version, 77);
    assert_eq!(opened.get(KEY), None);
    // SAFETY: every pointer is live.
    unsafe {
        for flags in [1, 2, 3, 8] {
            assert_eq!(larder_write_packed(db, null(), 0, flags, null_mut(), null_mut()), LARDER_INVALID_ARGUMENT);
        }
        assert_eq!(larder_write_packed(db, null(), 0, LARDER_SYNC, null_mut(), null_mut()), LARDER_OK);
    }
}

#[test]
fn a_cursors_value_outputs_may_be_missing_together() {
    let opened = Opened::new();
    let objects = Objects::new(&opened);
    let (mut key, mut key_len) = (null(), 0);
    // SAFETY: every pointer is live or NULL.
    unsafe {
        let status =
            larder_cursor_next(objects.cursor, &raw mut key, &raw mut key_len, null_mut(), null_mut(), null_mut());
        assert_eq!(status, LARDER_OK);
        assert_eq!(std::slice::from_raw_parts(key.cast::<u8>(), key_len), KEY);
    }
}

#[test]
fn stats_stay_inside_the_size_that_the_caller_names() {
    let opened = Opened::new();
    opened.set(KEY, b"value");
    let known = size_of::<::larder::ffi::store::larder_stats>();
    let get = |struct_size: usize| {
        let mut words = vec![u64::MAX; 9000];
        words[0] = struct_size as u64 | 0xFFFF_FFFF << 32;
        let mut err = garbage();
        // SAFETY: the buffer is longer than every size here that is not refused.
        let status = unsafe { larder_stats_get(opened.db, words.as_mut_ptr().cast(), &raw mut err) };
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        (status, bytes, message(&err).to_owned())
    };
    for struct_size in [8, 16, 24, known - 8, known, known + 8, known + 1000, 65_536] {
        let (status, bytes, _) = get(struct_size);
        assert_eq!(status, LARDER_OK, "{struct_size}");
        assert_eq!(bytes[..4], u32::try_from(struct_size).unwrap().to_le_bytes());
        assert_eq!(bytes[4..8], [0; 4], "reserved");
        if struct_size >= 16 {
            assert_eq!(bytes[8..16], 1u64.to_le_bytes(), "keys");
        }
        if struct_size > known {
            assert!(bytes[known..struct_size].iter().all(|byte| *byte == 0), "{struct_size}");
        }
        assert!(bytes[struct_size..].iter().all(|byte| *byte == 0xFF), "{struct_size}");
    }
    for struct_size in [0, 1, 7, 65_537, u32::MAX as usize] {
        let (status, bytes, message) = get(struct_size);
        assert_eq!(status, LARDER_INVALID_ARGUMENT, "{struct_size}");
        assert!(message.contains("struct_size"), "{message}");
        assert!(bytes[4..].iter().all(|byte| *byte == 0xFF), "{struct_size}");
    }
}
