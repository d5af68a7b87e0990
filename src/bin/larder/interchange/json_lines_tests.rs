//! Lines written and read back; then lines by hand, cut and changed.

use super::*;

fn read(bytes: &[u8]) -> Result<Vec<Item>, Flaw> {
    let mut reader = Reader::new(bytes);
    let mut items = Vec::new();
    while let Some(item) = reader.next()? {
        items.push(item);
    }
    Ok(items)
}

fn text(item: &Item) -> (&[u8], &[u8], u64) {
    match &item.content {
        Content::Text(text) => (item.key.as_deref().unwrap(), text, item.expires_at_ms),
        other => panic!("{other:?}"),
    }
}

fn export() -> (Vec<u8>, Vec<(Vec<u8>, Vec<u8>, u64)>) {
    let items: Vec<(Vec<u8>, Vec<u8>, u64)> = vec![
        (b"plain".to_vec(), b"text".to_vec(), 0),
        (vec![], vec![], 1),
        ("schön \u{0}\n\"\\\u{2028}".into(), (0..=255).collect(), i64::MAX.unsigned_abs()),
        (vec![0xFF, 0xC0], vec![0xED, 0xA0, 0x80], 1 << 41),
        (b"{\"base64\":\"\"}".to_vec(), vec![b'\\'; 5000], 0),
    ];
    let mut writer = Writer::new(Vec::new()).unwrap();
    for (key, value, expires_at_ms) in &items {
        writer.item(key, value, *expires_at_ms).unwrap();
    }
    (writer.finish().unwrap(), items)
}

#[test]
fn what_is_written_is_read() {
    let (bytes, items) = export();
    let found = read(&bytes).unwrap();
    assert_eq!(found.len(), items.len());
    for (found, (key, value, expires_at_ms)) in found.iter().zip(&items) {
        assert_eq!(text(found), (&key[..], &value[..], *expires_at_ms));
    }
}

#[test]
fn lines_from_elsewhere_need_no_first_and_last_one() {
    let lines = b"\r\n {\"value\":\"\\u0041\", \"key\" : {\"base64\":\"/w==\"}}\r\n\n{\"key\":\"b\",\"found\":true,\"value\":\"\",\"version\":7,\"expires_at_ms\":9}";
    let items = read(lines).unwrap();
    assert_eq!(text(&items[0]), (&b"\xFF"[..], &b"A"[..], 0));
    assert_eq!(text(&items[1]), (&b"b"[..], &b""[..], 9));
    assert_eq!(read(b"").unwrap(), []);
}

#[test]
fn what_is_wrong_is_said_with_line_and_offset() {
    let good = "{\"key\":\"a\",\"value\":\"b\"}\n";
    for (line, offset, what) in [
        ("[1]", 0, "line 2: not a JSON object"),
        ("{\"key\":\"a\"}", 0, "line 2: a line needs"),
        ("{\"key\":\"a\",\"value\":1}", 19, "line 2: invalid type: integer `1`, expected a string or"),
        ("{\"key\":\"a\",\"value\":\"b\",\"ttl\":1}", 27, "line 2: unknown field `ttl`"),
        ("  {\"key\":\"a\",\"value\":\"\\ud800\"}", 28, "line 2: "),
        ("{\"key\":\"a\",\"value\":{\"base64\":\"a\"}}", 33, "line 2: is not base64"),
        ("{\"key\":\"a\",\"value\":{\"base32\":\"a\"}}", 28, "line 2: invalid type: map"),
        ("{\"key\":\"a\",\"value\":\"b\",\"expires_at_ms\":-1}", 40, "line 2: invalid value: integer `-1`"),
        ("{\"key\":\"a\",\"value\":\"b\"} x", 23, "line 2: trailing characters"),
        ("{\"key\":\"a\",\"key\":\"a\",\"value\":\"b\"}", 15, "line 2: duplicate field `key`"),
        ("{\"larder_export\":1}", 0, "line 2: an export of version 1 begins here"),
        ("{\"larder_export_keys\":1}", 0, "line 2: the export is said to have 1 keys"),
    ] {
        let flaw = read(format!("{good}{line}\n").as_bytes()).unwrap_err();
        assert!(flaw.what.starts_with(what), "{line}: {flaw}");
        assert!(
            flaw.offset.abs_diff(good.len() as u64 + offset) <= 1,
            "{line}: {flaw}, expected {}",
            good.len() as u64 + offset
        );
    }
    let invalid = read(b"{\"key\":\"\xFF\",\"value\":\"\"}").unwrap_err();
    assert!(invalid.what.starts_with("line 1: "), "{invalid}");
}

#[test]
fn an_export_cut_anywhere_is_refused() {
    let (bytes, _) = export();
    // Without the last newline nothing is missing.
    for len in 1..bytes.len() - 1 {
        let flaw = read(&bytes[..len]).expect_err(&format!("cut to {len}"));
        assert!(flaw.offset <= len as u64, "{flaw}");
    }
    let doubled = [&bytes[..], b"{\"key\":\"a\",\"value\":\"b\"}"].concat();
    assert!(read(&doubled).unwrap_err().what.contains("more lines behind"));
}

#[test]
fn whatever_lines_hold_reading_them_ends() {
    let (bytes, _) = export();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..5_000 {
        let mut changed = bytes.clone();
        for _ in 0..1 + random() % 3 {
            let at = random() as usize % changed.len();
            match random() % 3 {
                0 => changed[at] = b"{}[]\",:\\\n\0u\xFF0"[random() as usize % 13],
                1 => drop(changed.drain(at..changed.len().min(at + random() as usize % 40))),
                _ => changed.insert(at, random() as u8),
            }
        }
        if let Err(flaw) = read(&changed) {
            assert!(flaw.offset <= changed.len() as u64, "{flaw}");
        }
    }
    let nested = [&b"{\"key\":"[..], &b"[".repeat(1_000_000)].concat();
    assert!(read(&nested).is_err());
}

/// A line is looked at before all of it has come.
#[test]
fn bytes_without_an_end_are_refused_at_once() {
    let flaw = Reader::new(io::BufReader::new(io::repeat(b'x'))).next().unwrap_err();
    assert_eq!(flaw, Flaw::new(0, "line 1: not a JSON object, which would begin with {"));
}
