//! Rule: one word for one thing. ARCHITECTURE.md has the words; these are the other names that the
//! same things have elsewhere, and names that say nothing. They are no identifiers and no file
//! names in `src/`; comments may mention them to say what something is known as.

use crate::tokens::{Token, tokens};
use crate::tree::{self, TextFile};

/// A part of a name (or two, joined by `_`), and the word to use.
const BANNED: [(&str, &str); 21] = [
    ("keydir", "index"),
    ("offset_map", "index"),
    ("memtable", "index"),
    ("sstable", "segment"),
    ("vlog", "log"),
    ("value_log", "log"),
    ("wal", "log"),
    ("datafile", "segment"),
    ("data_file", "segment"),
    ("hint_file", "checkpoint"),
    ("lsn", "seqno"),
    ("seq_no", "seqno"),
    ("sequence_number", "seqno"),
    ("expire_at", "expires_at_ms"),
    ("expiry_ms", "expires_at_ms"),
    ("gc", "compaction"),
    ("util", "what it is for"),
    ("utils", "what it is for"),
    ("helper", "what it does"),
    ("helpers", "what they do"),
    ("manager", "what it does"),
];

/// These say nothing as the name of a file, though they may be a word in an identifier.
const BANNED_FILES: [&str; 3] = ["common", "misc", "types"];

/// Names that a crate has given, and where they have to be said.
const OTHERS: [(&str, &str); 2] =
    [("src/bin/larder/shell.rs", "set_helper"), ("src/bin/larder/shell/completing.rs", "Helper")];

#[test]
fn things_have_one_name() {
    crate::assert_none(&problems(&tree::files()));
}

fn problems(files: &[TextFile]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.is_below("src/")) {
        for part in file.path.trim_end_matches(".rs").split('/').skip(1) {
            problems.extend(banned(part).map(|word| format!("{}: a file's name; say {word}", file.path)));
            if BANNED_FILES.contains(&part) {
                problems.push(format!("{}: a name that says nothing", file.path));
            }
        }
        if file.has_extension("rs") {
            for token in tokens(&file.text).iter().filter(|token| Token::is_word(token)) {
                if OTHERS.contains(&(file.path.as_str(), token.text.as_str())) {
                    continue;
                }
                let word = banned(&token.text);
                problems.extend(word.map(|word| format!("{}:{}: {}; say {word}", file.path, token.line, token.text)));
            }
        }
    }
    problems
}

/// The word to use instead of a name that contains a banned one as a whole part.
fn banned(name: &str) -> Option<&'static str> {
    let snake = format!("_{}_", snake_case(name));
    BANNED.iter().find(|(word, _)| snake.contains(&format!("_{word}_"))).map(|(_, instead)| *instead)
}

/// `KeyDirEntry`, `KEY_DIR_ENTRY` and `keyDirEntry` alike are `key_dir_entry`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && after_lower {
            snake.push('_');
        }
        after_lower = c.is_lowercase() || c.is_ascii_digit();
        snake.extend(c.to_lowercase());
    }
    snake
}

#[test]
fn second_names_are_found() {
    for name in ["keydir", "Wal", "WAL_PATH", "open_wal", "SegmentManager", "offset_map", "OffsetMap", "helper", "gc"] {
        assert!(banned(name).is_some(), "{name}");
    }
    for name in ["wall_clock", "walk", "utilization", "offset", "map", "segment", "expires_at_ms", "LARDER_OK"] {
        assert!(banned(name).is_none(), "{name}");
    }
    let found = problems(&[
        TextFile::new("src/log/helpers.rs", "// the keydir of Bitcask\nfn open_wal() { \"memtable\"; }"),
        TextFile::new("src/common.rs", ""),
        TextFile::new("tests/helper.rs", "fn helper() {}"),
    ]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[1].starts_with("src/log/helpers.rs:2: open_wal"), "{found:?}");
}
