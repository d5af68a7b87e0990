//! Files of every structure that Redis has written since 2.6, made here by hand; then cut and changed everywhere.

use super::super::string::{append_len, append_string};
use super::super::{crc64, write};
use super::*;

/// What comes before and after `body` in a file of this version.
fn file(version: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("REDIS{version:04}").into_bytes();
    bytes.extend_from_slice(body);
    bytes.push(opcode::END);
    if version >= VERSION_SUMMED {
        let checksum = crc64::crc64(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
    }
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<Item>, Flaw> {
    let mut reader = Reader::new(bytes)?;
    let mut items = Vec::new();
    while let Some(item) = reader.next()? {
        items.push(item);
    }
    assert_eq!(reader.next()?, None, "the end stays the end");
    Ok(items)
}

fn string(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    append_string(text, &mut bytes);
    bytes
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    numbers.iter().for_each(|number| append_len(*number, &mut bytes));
    bytes
}

/// Every type, with a value of it.
fn values() -> Vec<(u8, Vec<u8>)> {
    let (a, long, number) = (string(b"a"), string(&[b'x'; 300]), string(b"-12345"));
    let compressed = vec![0xC3, 5, 8, 1, b'a', b'b', 0x80, 1];
    let packed = |kind| (kind, [&long[..]].concat());
    let group = |kind: u8| {
        let entries_read = if kind >= kind::STREAM_LISTPACKS_2 { numbers(&[70_000]) } else { vec![] };
        let times = if kind >= kind::STREAM_LISTPACKS_3 { 16 } else { 8 };
        [
            string(b"group"),
            numbers(&[5, 6]),
            entries_read,
            numbers(&[1]),
            vec![0xFF; 24],
            numbers(&[3]),
            numbers(&[1]),
            string(b"consumer"),
            vec![0xFE; times],
            numbers(&[2]),
            vec![0xFD; 32],
        ]
        .concat()
    };
    let stream = |kind: u8| {
        let ids = if kind >= kind::STREAM_LISTPACKS_2 {
            numbers(&[2, 1 << 40, 6, 0, 1, 2, 3, 4])
        } else {
            numbers(&[2, 1 << 40, 6])
        };
        (kind, [numbers(&[1]), string(&[9; 16]), long.clone(), ids, numbers(&[2]), group(kind), group(kind)].concat())
    };
    vec![
        (kind::LIST, [&numbers(&[4])[..], &a, &long, &number, &compressed].concat()),
        (kind::SET, [&numbers(&[2])[..], &a, &number].concat()),
        (kind::ZSET, [&numbers(&[4])[..], &a, b"\x033.5", &a, &[253], &a, &[254], &a, &[255]].concat()),
        (kind::ZSET_2, [&numbers(&[1])[..], &a, &[0xFF; 8]].concat()),
        (kind::HASH, [&numbers(&[2])[..], &a, &long, &number, &compressed].concat()),
        packed(kind::HASH_ZIPMAP),
        packed(kind::LIST_ZIPLIST),
        packed(kind::SET_INTSET),
        packed(kind::ZSET_ZIPLIST),
        packed(kind::HASH_ZIPLIST),
        packed(kind::HASH_LISTPACK),
        packed(kind::ZSET_LISTPACK),
        packed(kind::SET_LISTPACK),
        (kind::LIST_QUICKLIST, [&numbers(&[2])[..], &long, &compressed].concat()),
        (kind::LIST_QUICKLIST_2, [&numbers(&[2, 1])[..], &a, &numbers(&[2]), &long].concat()),
        stream(kind::STREAM_LISTPACKS),
        stream(kind::STREAM_LISTPACKS_2),
        stream(kind::STREAM_LISTPACKS_3),
        (kind::HASH_METADATA, [&[0xFF; 8][..], &numbers(&[2, 0]), &a, &a, &numbers(&[1 << 40]), &a, &long].concat()),
        (kind::HASH_LISTPACK_EX, [&[0xFF; 8][..], &long].concat()),
        (
            kind::MODULE_2,
            [
                numbers(&[1 << 60, 1, 77, 2, 78, 3]),
                vec![1; 4],
                numbers(&[4]),
                vec![1; 8],
                numbers(&[5]),
                long.clone(),
                vec![0],
            ]
            .concat(),
        ),
    ]
}

/// A file with everything that stands between keys, and after each value of another type a string that has to be found.
fn everything() -> (Vec<u8>, usize) {
    let mut body = vec![opcode::AUX];
    body.extend([string(b"redis-ver"), string(b"7.0.15")].concat());
    body.push(opcode::FUNCTION);
    body.extend(string(b"#!lua name=mylib\nredis.register_function('f', function() return 1 end)"));
    body.push(opcode::MODULE_AUX);
    body.extend([numbers(&[1 << 60, 2, 1, 5]), string(b"state"), vec![0]].concat());
    body.extend([opcode::SELECT_DATABASE, 0, opcode::RESIZE_DATABASE, 3, 1]);
    body.push(opcode::SLOT_INFO);
    body.extend(numbers(&[16_383, 70_000, 1]));
    let values = values();
    for (i, (kind, value)) in values.iter().enumerate() {
        body.extend([&[*kind][..], &string(format!("other{i}").as_bytes()), value].concat());
        body.extend(
            [&[opcode::IDLE, 5, kind::STRING][..], &string(format!("k{i}").as_bytes()), &string(b"v")].concat(),
        );
    }
    body.push(opcode::EXPIRES_MS);
    body.extend(1_900_000_000_123_i64.to_le_bytes());
    body.extend([opcode::FREQUENCY, 0xFF, kind::STRING]);
    body.extend([string(b"ms"), vec![0xC3, 5, 8, 1, b'a', b'b', 0x80, 1]].concat());
    body.push(opcode::EXPIRES_S);
    body.extend(1_900_000_000_i32.to_le_bytes());
    body.push(kind::STRING);
    body.extend([string(b"s"), string(b"-77")].concat());
    body.extend([opcode::SELECT_DATABASE, 9, kind::STRING, 1, b'k', 1, b'v']);
    (file(10, &body), values.len())
}

#[test]
fn strings_are_found_among_every_type_and_everything_between_keys() {
    let (bytes, count) = everything();
    let items = read(&bytes).unwrap();
    assert_eq!(items.len(), 2 * count + 3);
    for (i, pair) in items[..2 * count].chunks(2).enumerate() {
        let expected = skip::name(values()[i].0).unwrap();
        assert_eq!(pair[0].content, Content::Other(expected));
        assert_eq!(pair[0].key.as_deref(), Some(format!("other{i}").as_bytes()));
        assert_eq!(pair[1].content, Content::Text(b"v".to_vec()), "behind type {}", values()[i].0);
        assert_eq!(pair[1].key.as_deref(), Some(format!("k{i}").as_bytes()));
    }
    let text = |item: &Item| match &item.content {
        Content::Text(text) => (item.database, item.expires_at_ms, String::from_utf8(text.clone()).unwrap()),
        other => panic!("{other:?}"),
    };
    assert_eq!(text(&items[2 * count]), (0, 1_900_000_000_123, "abababab".into()));
    assert_eq!(text(&items[2 * count + 1]), (0, 1_900_000_000_000, "-77".into()));
    assert_eq!(text(&items[2 * count + 2]), (9, 0, "v".into()));
}

#[test]
fn an_expiry_belongs_to_one_key_only_and_one_before_1970_has_passed() {
    let key = [kind::STRING, 1, b'k', 1, b'v'];
    let body = [&[opcode::EXPIRES_MS][..], &(-5_i64).to_le_bytes(), &key, &key].concat();
    let items = read(&file(9, &body)).unwrap();
    assert_eq!((items[0].expires_at_ms, items[1].expires_at_ms), (1, 0));
}

#[test]
fn a_key_too_long_for_a_store_is_stepped_over() {
    let body =
        [&[kind::STRING][..], &string(&vec![b'k'; KEY_BYTES_MAX + 1]), b"\x01v", &[kind::STRING, 1, b'a', 1, b'b']]
            .concat();
    let items = read(&file(9, &body)).unwrap();
    assert_eq!(items[0].key, None);
    assert_eq!(items[1].key.as_deref(), Some(&b"a"[..]));
}

#[test]
fn old_files_have_no_checksum_and_zero_is_none() {
    let body = [kind::STRING, 1, b'k', 1, b'v'];
    assert_eq!(read(&file(4, &body)).unwrap().len(), 1);
    let mut bytes = file(6, &body);
    let at = bytes.len() - 8;
    bytes[at..].fill(0);
    assert_eq!(read(&bytes).unwrap().len(), 1);
}

#[test]
fn other_files_and_newer_versions_are_refused() {
    for (bytes, what) in [
        (&b"REDIX0009"[..], "no RDB file"),
        (b"REDIS00x9", "without a version"),
        (b"REDIS+009", "without a version"),
        (b"REDIS0000", "version 0"),
        (b"REDIS0013", "version 13 (known are 1 to 12)"),
        (b"REDIS", "ends in the middle"),
        (b"", "ends in the middle"),
    ] {
        let flaw = read(bytes).unwrap_err();
        assert!(flaw.what.contains(what), "{flaw}");
    }
}

#[test]
fn what_is_not_known_is_refused_where_it_stands() {
    for kind in (0..=255).filter(|kind| skip::name(*kind).is_none() && !(opcode::SLOT_INFO..).contains(kind)) {
        let flaw = read(&file(10, &[kind, 1, b'k', 1, b'v'])).unwrap_err();
        assert_eq!(flaw, Flaw::new(9, format!("a value of an unknown type ({kind})")));
    }
    assert_eq!(read(&file(10, &[246, 1, b'k'])).unwrap_err().offset, 9, "functions of no released version");
    let unread = [&[opcode::MODULE_AUX][..], &numbers(&[1, 1])].concat();
    assert_eq!(read(&file(10, &unread)).unwrap_err().offset, 11);
    let unknown = [&[kind::MODULE_2, 1, b'k'][..], &numbers(&[1, 6])].concat();
    assert_eq!(read(&file(10, &unknown)).unwrap_err(), Flaw::new(13, "an unknown part of a module's data (6)"));
}

#[test]
fn a_file_cut_anywhere_is_refused_with_the_place() {
    let (bytes, _) = everything();
    for len in 0..bytes.len() {
        let flaw = read(&bytes[..len]).expect_err(&format!("cut to {len}"));
        assert_eq!(flaw.offset, len as u64, "{flaw}");
    }
    for more in [&b"x"[..], b"0", &[b'0'; 39], &[b'a'; 41], b"*2\r\n$6\r\nSELECT\r\n"] {
        let longer = [&bytes[..], more].concat();
        assert_eq!(read(&longer).unwrap_err(), Flaw::new(bytes.len() as u64, "more bytes behind the end"));
    }
    assert_eq!(read(&[&bytes[..], &[b'7'; 40]].concat()), read(&bytes), "the mark at the end of a stream");
}

#[test]
fn a_file_with_any_bit_changed_is_refused() {
    let (bytes, _) = everything();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            // To change the version's digits to older ones leaves what is read; the checksum tells.
            assert!(read(&changed).is_err(), "bit {bit} of byte {at}");
        }
    }
}

/// The checksum says that something is wrong only at the end: until then everything has to be survived.
#[test]
fn whatever_a_file_holds_reading_it_ends_and_takes_little_memory() {
    let (bytes, _) = everything();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut changed = bytes[..bytes.len() - 8].to_vec();
        for _ in 0..1 + random() % 4 {
            let at = 9 + random() as usize % (changed.len() - 9);
            match random() % 4 {
                0 => changed[at] = random() as u8,
                1 => changed[at] = [0x80, 0x81, 0xC3, 0xFF, 0xF7, 0][random() as usize % 6],
                2 => drop(changed.drain(at..changed.len().min(at + random() as usize % 9))),
                _ => changed.splice(at..at, (0..random() % 9).map(|_| random() as u8)).for_each(drop),
            }
        }
        changed.extend([0; 8]);
        match read(&changed) {
            Ok(items) => {
                accepted += 1;
                let bytes: usize = items
                    .iter()
                    .map(|item| if let Content::Text(text) = &item.content { text.capacity() } else { 0 })
                    .sum();
                assert!(bytes < changed.len() * 100, "{bytes} bytes from {}", changed.len());
            }
            Err(flaw) => assert!(flaw.offset <= changed.len() as u64, "{flaw}"),
        }
    }
    assert!(accepted > 0, "some changes are to values only");
}

#[test]
fn what_is_written_is_read() {
    let items = [
        (&b"a"[..], &b"1"[..], 0),
        (b"", b"", 5),
        (b"\xFF\0", &[7; 70_000], u64::MAX),
        (b"12", b"-3000000000", 1 << 41),
    ];
    let mut writer = write::Writer::new(Vec::new(), 4, 3).unwrap();
    for (key, value, expires_at_ms) in items {
        writer.item(key, value, expires_at_ms).unwrap();
    }
    let found = read(&writer.finish().unwrap()).unwrap();
    assert_eq!(found.len(), items.len());
    for (found, (key, value, expires_at_ms)) in found.iter().zip(items) {
        assert_eq!((found.database, found.key.as_deref()), (0, Some(key)));
        assert_eq!(found.content, Content::Text(value.to_vec()));
        assert_eq!(found.expires_at_ms, expires_at_ms.min(i64::MAX as u64));
    }
}
