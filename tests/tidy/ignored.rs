//! Rule: a test that is ignored is a measurement, and says so; anything else is run or removed.
//!
//! `tests/run` counts every other ignored test as a skip.

use crate::tree::{self, TextFile};

#[test]
fn ignored_tests_are_measurements() {
    crate::assert_none(&problems(&tree::files()));
}

fn problems(files: &[TextFile]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("rs") && !file.is_below("tests/tidy/")) {
        for (number, line) in file.text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with("#[ignore") && !line.starts_with("#[ignore = \"a measurement") {
                problems.push(format!("{}:{}: ignored, and not as \"a measurement…\"", file.path, number + 1));
            }
        }
    }
    problems
}

#[test]
fn a_test_that_is_silently_ignored_is_found() {
    let text = "#[ignore]\n#[ignore = \"later\"]\n#[ignore = \"a measurement: seconds\"]\n#[cfg_attr(miri, ignore)]";
    let found = problems(&[TextFile::new("src/a.rs", text)]);
    assert_eq!(found.len(), 2, "{found:?}");
}
