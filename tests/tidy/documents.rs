//! Rule: what the documents say about the tree is so.
//!
//! `docs/coverage.md` has every feature, a status for each, and names tests that exist; `CHANGELOG.md`
//! has the version of `Cargo.toml`; the commands of `README.md` are targets of the `Makefile`.

use crate::tree::{self, TextFile};

const FEATURE_COUNT: usize = 64;
const STATUSES: [&str; 3] = ["done", "substituted", "not yet"];
/// Commands that README must give.
const COMMANDS: [&str; 2] = ["demo", "test"];

#[test]
fn coverage_has_every_feature_and_names_tests_that_exist() {
    let coverage = tree::text_of("docs/coverage.md").unwrap();
    crate::assert_none(&coverage_problems(&coverage, &tree::files()));
}

#[test]
fn the_changelog_has_the_present_version() {
    crate::assert_none(&changelog_problems(env!("CARGO_PKG_VERSION"), &tree::text_of("CHANGELOG.md").unwrap()));
}

#[test]
fn the_commands_of_the_readme_are_targets() {
    let (readme, makefile) = (tree::text_of("README.md").unwrap(), tree::text_of("Makefile").unwrap());
    let rules = tree::files().into_iter().filter(|file| file.path.ends_with(".mk"));
    let targets: String = rules.fold(makefile, |all, file| all + "\n" + &file.text);
    crate::assert_none(&command_problems(&readme, &targets));
}

/// A row is `| F1 | from | feature | status | where and which tests |`; tests are in backquotes.
fn coverage_problems(coverage: &str, files: &[TextFile]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut counts = [0; FEATURE_COUNT + 1];
    for (number, line) in coverage.lines().enumerate().filter(|(_, line)| line.starts_with("| F")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let place = format!("docs/coverage.md:{}", number + 1);
        let feature = cells[0].strip_prefix('F').and_then(|digits| digits.parse::<usize>().ok());
        let Some(feature) = feature.filter(|feature| (1..=FEATURE_COUNT).contains(feature)) else {
            problems.push(format!("{place}: {} is no feature", cells[0]));
            continue;
        };
        counts[feature] += 1;
        if cells.len() != 5 {
            problems.push(format!("{place}: F{feature} has {} cells, not 5", cells.len()));
            continue;
        }
        let (status, evidence) = (cells[3], cells[4]);
        if !STATUSES.contains(&status) {
            problems.push(format!("{place}: F{feature} is \"{status}\", not one of {}", STATUSES.join(", ")));
        }
        let tests = quoted(evidence);
        if status == "done" && tests.is_empty() {
            problems.push(format!("{place}: F{feature} is done, and no test shows it"));
        }
        if evidence.is_empty() {
            problems.push(format!("{place}: F{feature} says nothing about where, by what or why"));
        }
        for test in tests.iter().filter(|test| !exists(test, files)) {
            problems.push(format!("{place}: F{feature} names {test}, which is not in the tree"));
        }
    }
    for (feature, count) in counts.iter().enumerate().skip(1).filter(|(_, count)| **count != 1) {
        problems.push(format!("docs/coverage.md: F{feature} has {count} rows, not one"));
    }
    problems
}

/// What stands in backquotes, as far as it has the shape of a test's name.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|name| is_test_name(name)).collect()
}

pub fn is_test_name(name: &str) -> bool {
    let is_sentence = name.matches('_').count() >= 2 || name.starts_with("Test");
    is_sentence && name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.to_lowercase().starts_with("larder_")
}

/// Whether a test of that name is defined: a function in Rust, Python, Go or C.
pub fn exists(test: &str, files: &[TextFile]) -> bool {
    let definitions = [
        format!("fn {test}("),
        format!("def {test}("),
        format!("func {test}("),
        format!("void {test}("),
        format!("TEST({test})"),
    ];
    files.iter().any(|file| definitions.iter().any(|definition| file.text.contains(definition)))
}

fn changelog_problems(version: &str, changelog: &str) -> Vec<String> {
    let heads = |line: &str| line.starts_with("## ") && line.split(['[', ']', ' ']).any(|word| word == version);
    if changelog.lines().any(heads) { vec![] } else { vec![format!("CHANGELOG.md: no heading for {version}")] }
}

fn command_problems(readme: &str, makefile: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let is_target = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    for name in COMMANDS {
        if !readme.contains(&format!("make {name}")) {
            problems.push(format!("README.md: does not say make {name}"));
        }
        if !is_target(name) {
            problems.push(format!("Makefile: no target {name}"));
        }
    }
    for code in readme.lines().filter_map(command).filter(|name| !is_target(name)) {
        problems.push(format!("README.md: make {code} is no target of the Makefile"));
    }
    problems
}

/// The target of a line that is a command, in a code block or as a whole line in backquotes.
fn command(line: &str) -> Option<&str> {
    let line = line.trim().trim_start_matches("$ ").trim_matches('`');
    line.strip_prefix("make ")?.split([' ', '`']).find(|word| !word.contains('=') && !word.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(change: impl Fn(usize) -> Option<String>) -> String {
        (1..=FEATURE_COUNT)
            .filter_map(|feature| change(feature).map(|tail| format!("| F{feature} | A | it | {tail} |\n")))
            .collect()
    }

    fn found(coverage: &str) -> Vec<String> {
        let code = "fn it_works_every_time() {}\nfunc TestIt(t *testing.T) {}\n";
        coverage_problems(coverage, &[TextFile::new("src/a.rs", code)])
    }

    #[test]
    fn a_complete_coverage_passes() {
        let coverage = rows(|feature| {
            Some(match feature {
                1 => "done | `it_works_every_time`, `TestIt`; see `larder_set_with`, `LARDER_IF_ABSENT`".into(),
                2 => "substituted | by another thing".into(),
                _ => "not yet | later".into(),
            })
        });
        assert_eq!(found(&coverage), [""; 0]);
    }

    #[test]
    fn gaps_and_claims_without_a_test_are_found() {
        let not_yet = || Some(String::from("not yet | later"));
        let with =
            |odd: &'static str| rows(move |n| if n == 7 { Some(odd.into()) } else { Some("not yet | later".into()) });
        for (coverage, what) in [
            (rows(|n| if n == 7 { None } else { not_yet() }), "F7 has 0 rows"),
            (rows(|_| not_yet()) + "| F7 | A | it | not yet | later |\n", "F7 has 2 rows"),
            (rows(|_| not_yet()) + "| F65 | A | it | not yet | later |\n", "F65 is no feature"),
            (with("almost | `it_works_every_time`"), "F7 is \"almost\""),
            (with("done | trust me"), "no test shows it"),
            (with("done | `it_works_some_times`"), "is not in the tree"),
            (with("substituted |"), "F7"),
            (with("done"), "F7 has 4 cells"),
        ] {
            let found = found(&coverage);
            assert!(found.iter().any(|problem| problem.contains(what)), "{what}: {found:?}");
        }
    }

    #[test]
    fn a_forgotten_version_is_found() {
        assert_eq!(changelog_problems("0.1.0", "# Changes\n\n## 0.1.0 (today)\n"), [""; 0]);
        assert_eq!(changelog_problems("0.1.0", "## [0.1.0] - today"), [""; 0]);
        assert_eq!(changelog_problems("0.2.0", "## 0.1.0\nsince 0.2.0").len(), 1);
    }

    #[test]
    fn commands_that_do_not_exist_are_found() {
        let readme = "Run\n\n    make demo\n    make test\n";
        assert_eq!(command_problems(readme, "demo: x\ntest:\n"), [""; 0]);
        assert_eq!(command_problems(readme, "demo: x\n").len(), 2);
        assert_eq!(command_problems("make demo", "demo:\ntest:\n").len(), 1);
        assert_eq!(command_problems(&format!("{readme}`make fly DIR=x`"), "demo:\ntest:\n").len(), 1);
        assert_eq!(command_problems(&format!("{readme}$ make DIR=x demo"), "demo:\ntest:\n"), [""; 0]);
    }
}
