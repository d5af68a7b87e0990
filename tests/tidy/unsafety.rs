//! Rule: `unsafe` lives where the operating system, what is read without locks, and C are, and nowhere else.

use crate::tokens::tokens;
use crate::tree::{self, TextFile};

// The checksum's is for an instruction that not every processor has.
const ALLOWED: [&str; 6] = ["src/storage/", "src/index/", "src/epoch", "src/slots", "src/ffi/", "src/format/crc"];

#[test]
fn unsafe_stays_where_it_belongs() {
    crate::assert_none(&problems(&tree::files()));
}

fn problems(files: &[TextFile]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.is_below("src/") && file.has_extension("rs"))
        .filter(|file| !ALLOWED.iter().any(|place| file.is_below(place)))
        .flat_map(|file| {
            tokens(&file.text)
                .into_iter()
                .filter(|token| token.is("unsafe"))
                .map(|token| format!("{}:{}: unsafe outside {}", file.path, token.line, ALLOWED.join(", ")))
        })
        .collect()
}

#[test]
fn misplaced_unsafe_is_found() {
    let found = problems(&[
        TextFile::new("src/log/segment.rs", "// unsafe here is a word\nfn f() { unsafe { g() } }"),
        TextFile::new("src/store/mod.rs", "unsafe impl Send for S {}"),
        TextFile::new("src/epoch.rs", "unsafe { fine() }"),
        TextFile::new("src/storage/map.rs", "unsafe { fine() }"),
    ]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("src/log/segment.rs:2:"), "{found:?}");
}
