//! Rule: nothing in the tree names a place of the machine on which it was written.

use crate::tree::{self, TextFile};

/// In two halves, so that this file is no finding of its own.
const HOMES: [(&str, &str); 4] = [("/ro", "ot/"), ("/ho", "me/"), ("/Use", "rs/"), ("/wo", "rk/")];

#[test]
fn no_file_names_a_place_of_one_machine() {
    crate::assert_none(&problems(&tree::files()));
}

fn problems(files: &[TextFile]) -> Vec<String> {
    let homes: Vec<String> = HOMES.iter().map(|(first, second)| format!("{first}{second}")).collect();
    let mut problems = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            for home in homes.iter().filter(|home| names_place(line, home)) {
                problems.push(format!("{}:{}: names {home}…, a place of one machine", file.path, number + 1));
            }
        }
    }
    problems
}

/// Whether `home` begins a path there; inside a longer path or an address it is an ordinary name.
fn names_place(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}' | ')'))
    })
}

#[test]
fn a_place_of_one_machine_is_found() {
    let home = format!("{}{}", HOMES[1].0, HOMES[1].1);
    for line in [format!("cd {home}someone/larder"), format!("\"{home}x\""), format!("PATH=/bin:{home}x/bin")] {
        assert_eq!(problems(&[TextFile::new("a", &line)]).len(), 1, "{line}");
    }
    for line in [format!("https://example.org{home}x"), format!("$PREFIX/share{home}x"), "/usr/local/".into()] {
        assert_eq!(problems(&[TextFile::new("a", &line)]), [""; 0], "{line}");
    }
}
