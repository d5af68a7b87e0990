//! Rule: a file opens with what it is, and ends before a reader loses the thread.
//!
//! 500 lines are a smell and want a reason in the list below; 800 are the limit. Tests do not
//! count: neither files of tests nor the `mod tests` at a file's end.

use crate::tree::{self, TextFile};

const LINES_WITH_REASON: usize = 500;
const LINES_MAX: usize = 800;

/// Files over 500 lines, and why they are one file.
const REASONS: [(&str, &str); 0] = [];

/// Written by a program, so nobody reads them from top to bottom to change them.
const GENERATED: [&str; 2] = ["include/larder.h", "bindings/go/larder.h"];

#[test]
fn files_end_in_time() {
    crate::assert_none(&size_problems(&tree::files(), &REASONS));
}

#[test]
fn rust_files_open_with_what_they_are() {
    crate::assert_none(&opening_problems(&tree::files()));
}

fn size_problems(files: &[TextFile], reasons: &[(&str, &str)]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| is_counted(file)) {
        let lines = counted_lines(&file.text);
        let has_reason = reasons.iter().any(|(path, why)| *path == file.path && !why.is_empty());
        if lines > LINES_MAX {
            problems.push(format!("{}: {lines} lines, the limit is {LINES_MAX}", file.path));
        } else if lines > LINES_WITH_REASON && !has_reason {
            problems.push(format!("{}: {lines} lines, over {LINES_WITH_REASON} without a reason", file.path));
        }
    }
    // A reason that nothing needs would excuse the next file of that name.
    for (path, _) in reasons {
        let needed = files.iter().any(|file| file.path == *path && counted_lines(&file.text) > LINES_WITH_REASON);
        if !needed {
            problems.push(format!("{path}: has a reason for its length, and is not that long"));
        }
    }
    problems
}

fn is_counted(file: &TextFile) -> bool {
    let is_code = ["rs", "c", "h", "go", "py", "sh"].iter().any(|extension| file.has_extension(extension));
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let is_test = file.path.split('/').any(|part| part == "tests")
        || name == "tests.rs"
        || name.starts_with("test_")
        || name.ends_with("_test.go")
        || name.ends_with("_tests.rs");
    is_code && !is_test && !GENERATED.contains(&file.path.as_str())
}

fn counted_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests_begin = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {"));
    tests_begin.unwrap_or(lines.len())
}

fn opening_problems(files: &[TextFile]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.has_extension("rs") && !opens_with_what_it_is(&file.text))
        .map(|file| format!("{}: does not open with //! and what it is", file.path))
        .collect()
}

/// Inner attributes may stand before it.
fn opens_with_what_it_is(text: &str) -> bool {
    let first = text.lines().find(|line| !line.is_empty() && !line.starts_with("#!["));
    first.is_some_and(|line| line.starts_with("//! "))
}

#[test]
fn long_files_are_found() {
    let lines = |count| "x\n".repeat(count);
    let with_tests = lines(400) + "#[cfg(test)]\nmod tests {\n" + &lines(600) + "}\n";
    let files = [
        TextFile::new("src/a.rs", &lines(801)),
        TextFile::new("src/b.rs", &lines(501)),
        TextFile::new("src/c.rs", &lines(501)),
        TextFile::new("src/d.rs", &with_tests),
        TextFile::new("tests/c/e.c", &lines(2000)),
        TextFile::new("bindings/go/f_test.go", &lines(2000)),
        TextFile::new("bindings/go/g.go", &lines(900)),
    ];
    let found = size_problems(&files, &[("src/c.rs", "one table"), ("src/gone.rs", "was long once")]);
    let paths: Vec<&str> = found.iter().filter_map(|problem| problem.split(':').next()).collect();
    assert_eq!(paths, ["src/a.rs", "src/b.rs", "bindings/go/g.go", "src/gone.rs"], "{found:?}");
}

#[test]
fn a_file_without_an_opening_is_found() {
    let files = [
        TextFile::new("src/a.rs", "use std::fs;\n//! late"),
        TextFile::new("src/b.rs", "#![cfg(loom)]\n\n//! What it is.\n"),
    ];
    assert_eq!(opening_problems(&files).len(), 1);
    assert_eq!(opening_problems(&[TextFile::new("src/empty.rs", "")]).len(), 1);
}
