//! Rule: a module imports only from lower ones.
//!
//! The levels are those of ARCHITECTURE.md. Modules of one level do not import each other, but for
//! those of level 4, which together are the Rust API. The program in `src/bin` sees the public API
//! and nothing of `ffi`.

use crate::tokens::{Token, starts_with, tokens};
use crate::tree::{self, TextFile};
use std::collections::BTreeMap;

/// Module and level. The second figure orders modules of one level where one builds on another.
const LEVELS: [(&str, (u8, u8)); 24] = [
    ("error", (0, 0)),
    ("rules", (0, 0)),
    ("sort", (0, 0)),
    ("lock", (0, 0)),
    ("options", (0, 1)),
    ("stats", (0, 1)),
    ("format", (0, 1)),
    ("sync", (0, 1)),
    ("epoch", (1, 0)),
    ("storage", (1, 1)),
    ("index", (1, 1)),
    ("slots", (1, 1)),
    ("log", (2, 0)),
    ("recovery", (3, 0)),
    ("compaction", (3, 0)),
    ("expiry", (3, 0)),
    ("checkpoint", (3, 0)),
    ("salvage", (3, 0)),
    ("snapshot", (3, 0)),
    ("store", (4, 0)),
    ("cursor", (4, 0)),
    ("batch", (4, 0)),
    ("remote", (4, 1)),
    ("ffi", (5, 0)),
];
const PEERS_LEVEL: (u8, u8) = (4, 0);

fn level(module: &str) -> Option<(u8, u8)> {
    LEVELS.iter().find(|(name, _)| *name == module).map(|(_, level)| *level)
}

#[test]
fn modules_import_only_from_lower_ones() {
    crate::assert_none(&problems(&tree::files()));
}

fn problems(files: &[TextFile]) -> Vec<String> {
    let sources = || files.iter().filter(|file| file.is_below("src/") && file.has_extension("rs"));
    let reexports = sources().find(|file| file.path == "src/lib.rs").map(reexports).unwrap_or_default();
    let mut problems = Vec::new();
    for file in sources().filter(|file| file.path != "src/lib.rs") {
        if file.is_below("src/bin/") {
            problems.extend(imports_of_ffi(file));
            continue;
        }
        let path = module_path(&file.path);
        let Some(own) = level(&path[0]) else {
            problems.push(format!("{}: module {} has no level in tests/tidy/layers.rs", file.path, path[0]));
            continue;
        };
        for (name, line) in names_at_the_root(&path, &tokens(&file.text)) {
            let target = reexports.get(&name).unwrap_or(&name);
            let Some(other) = level(target) else {
                problems.push(format!("{}:{line}: crate::{name} has no level in tests/tidy/layers.rs", file.path));
                continue;
            };
            let allowed = *target == path[0] || other < own || (own == other && own == PEERS_LEVEL);
            if !allowed {
                problems.push(format!("{}:{line}: {} imports {target}, which is not below it", file.path, path[0]));
            }
        }
    }
    problems
}

/// `src/a/mod.rs` and `src/a.rs` are `[a]`, `src/a/b.rs` is `[a, b]`.
fn module_path(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inner.split('/').map(String::from).collect()
}

/// Names that `lib.rs` lifts to the crate's root, and the modules they come from.
fn reexports(lib: &TextFile) -> BTreeMap<String, String> {
    let tokens = tokens(&lib.text);
    let mut lifted = BTreeMap::new();
    for (at, token) in tokens.iter().enumerate() {
        if !token.is("use") || !starts_with(&tokens[at + 2..], &[":", ":"]) {
            continue;
        }
        let module = &tokens[at + 1].text;
        for name in tokens[at + 4..].iter().take_while(|token| !token.is(";")).filter(|token| token.is_word()) {
            lifted.insert(name.text.clone(), module.clone());
        }
    }
    lifted
}

/// What a file names directly below the crate's root, by `crate::…` or by enough `super::`.
fn names_at_the_root(path: &[String], tokens: &[Token]) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    let (mut depth, mut inline_modules) = (0, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline_modules.last() == Some(&depth) {
                    inline_modules.pop();
                }
            }
            "mod" if tokens.get(at + 2).is_some_and(|next| next.is("{")) => inline_modules.push(depth),
            "crate" if starts_with(&tokens[at + 1..], &[":", ":"]) => first_names(&tokens[at + 3..], &mut names),
            "super" if !follows_super(tokens, at) => {
                let (mut left, mut next) = (path.len() + inline_modules.len(), at);
                while left > 0 && starts_with(&tokens[next..], &["super", ":", ":"]) {
                    left -= 1;
                    next += 3;
                }
                if left == 0 {
                    first_names(&tokens[next..], &mut names);
                }
            }
            _ => {}
        }
    }
    names
}

fn follows_super(tokens: &[Token], at: usize) -> bool {
    at >= 3 && starts_with(&tokens[at - 3..], &["super", ":", ":"])
}

/// The first name of a path, or of each path of a group in braces.
fn first_names(tokens: &[Token], names: &mut Vec<(String, usize)>) {
    if !tokens.first().is_some_and(|token| token.is("{")) {
        names.extend(tokens.first().map(|token| (token.text.clone(), token.line)));
        return;
    }
    let (mut depth, mut at_start) = (0, true);
    for token in tokens {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => {
                at_start = true;
                continue;
            }
            _ if depth == 1 && at_start => {
                names.push((token.text.clone(), token.line));
                at_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

fn imports_of_ffi(file: &TextFile) -> Vec<String> {
    let tokens = tokens(&file.text);
    let named = |at: usize| starts_with(&tokens[at..], &["larder", ":", ":", "ffi"]);
    (0..tokens.len())
        .filter(|at| named(*at))
        .map(|at| format!("{}:{}: the program uses ffi; it has the public API", file.path, tokens[at].line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let lib = "pub mod error; pub use error::{Error, Result};\npub use store::Store;";
        problems(&[TextFile::new("src/lib.rs", lib), TextFile::new(path, text)])
    }

    #[test]
    fn an_import_from_above_is_found_in_every_spelling() {
        for text in [
            "use crate::store::Store;",
            "use crate::Store;",
            "use crate::{error::Error, store::{self, View}};",
            "fn f() { crate::store::open() }",
            "use super::super::store;",
            "mod tests { use super::super::super::store; }",
            "mod one { } use super::super::{error, store};",
        ] {
            let found = found("src/log/segment.rs", text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].contains("src/log/segment.rs:1: log imports store"), "{found:?}");
        }
    }

    #[test]
    fn imports_from_below_and_from_itself_are_fine() {
        for text in [
            "use crate::error::{Error, Result}; use crate::format::record;",
            "use crate::Error; use crate::log::scanner;",
            "use super::appender; mod tests { use super::*; use super::super::appender; }",
            "// use crate::store\nconst A: &str = \"crate::store::Store\";",
            "pub(crate) fn f() {}",
        ] {
            assert_eq!(found("src/log/segment.rs", text), [""; 0], "{text}");
        }
        assert_eq!(found("src/cursor.rs", "use crate::store::Store;"), [""; 0]);
    }

    #[test]
    fn modules_of_one_level_do_not_import_each_other() {
        assert_eq!(found("src/recovery.rs", "use crate::compaction::x;").len(), 1);
        assert_eq!(found("src/index/page.rs", "use crate::storage::File;").len(), 1);
        assert_eq!(found("src/error.rs", "use crate::options::Options;").len(), 1);
    }

    #[test]
    fn a_module_without_a_level_is_found() {
        assert_eq!(found("src/novelty.rs", "").len(), 1);
        assert_eq!(found("src/log/mod.rs", "use crate::novelty;").len(), 1);
    }

    #[test]
    fn the_program_uses_the_public_api_only() {
        assert_eq!(found("src/bin/larder/main.rs", "use larder::ffi::x;").len(), 1);
        assert_eq!(found("src/bin/larder/main.rs", "use larder::Store; use crate::shell;"), [""; 0]);
    }
}
