//! Rule: no script pipes into a reader that ends before the writer has (`tests/steps.sh` says what to do instead).
//!
//! `grep -q` ends at its first match, `head` after its lines; the writer then dies by SIGPIPE if it has more to say. Under
//! `pipefail` the pipeline fails though the match is there, or `! … | grep -q` succeeds: now and then, and mostly in CI.

use crate::tree::{self, TextFile};

#[test]
fn no_pipe_ends_before_its_writer() {
    crate::assert_none(&problems(&tree::files()));
}

fn problems(files: &[TextFile]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| is_careful_script(&file.text)) {
        for (number, line) in file.text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
            for reader in line.replace("||", ";").split('|').skip(1).filter_map(early_reader) {
                problems.push(format!("{}:{}: a pipe into `{reader}` under pipefail", file.path, number + 1));
            }
        }
    }
    problems
}

fn is_careful_script(text: &str) -> bool {
    text.starts_with("#!") && text.lines().any(|line| line.starts_with("set ") && line.contains("pipefail"))
}

/// The reader at the beginning of this part of a pipe, if it is one that ends early.
fn early_reader(part: &str) -> Option<&'static str> {
    let mut words = part.split_whitespace();
    match words.next()? {
        "head" => Some("head"),
        "grep" if words.take_while(|word| word.starts_with('-')).any(is_quiet) => Some("grep -q"),
        _ => None,
    }
}

fn is_quiet(option: &str) -> bool {
    option == "--quiet" || option == "--silent" || (!option.starts_with("--") && option.contains('q'))
}

#[test]
fn a_reader_that_ends_early_is_found() {
    let script = |line: &str| TextFile::new("run", &format!("#!/usr/bin/env bash\nset -euo pipefail\n{line}\n"));
    for line in [
        "ldconfig -p | grep -q larder",
        "! readelf -d x | grep -iqE larder && true",
        "sort x | head -n 1",
        "a | grep -e b | head",
    ] {
        assert_eq!(problems(&[script(line)]).len(), 1, "{line}");
    }
    for line in
        ["grep -q larder file", "a || grep -q larder file", "# a | grep -q larder", "a | grep larder", "a | sed -n 1p"]
    {
        assert_eq!(problems(&[script(line)]), [""; 0], "{line}");
    }
    assert_eq!(
        problems(&[TextFile::new("run", "#!/bin/sh\na | head\n")]),
        [""; 0],
        "without pipefail the reader's word counts"
    );
}
