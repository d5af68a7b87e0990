//! Rule: what the documents quote is there. Code blocks of README are parts of files that are compiled
//! or run by tests; tests that README, `docs/durability.md` and the decisions name exist.
//!
//! A block that quotes has the file's path in a comment on the line before it. It may be indented less
//! than in the file, by the same amount on every line.

use crate::documents::{exists, is_test_name};
use crate::tree::{self, TextFile};

/// README shows one program in each.
const QUOTATION_COUNT: usize = 3;

#[test]
fn the_code_of_the_readme_is_compiled_code() {
    let readme = tree::text_of("README.md").unwrap();
    crate::assert_none(&quotation_problems(&readme, &tree::files()));
}

#[test]
fn tests_that_documents_name_exist() {
    let files = tree::files();
    let documents = files.iter().filter(|file| names_tests(&file.path));
    crate::assert_none(&documents.flat_map(|document| name_problems(document, &files)).collect::<Vec<_>>());
}

fn names_tests(path: &str) -> bool {
    path == "README.md" || path == "docs/durability.md" || path.starts_with("docs/decisions/")
}

fn quotation_problems(readme: &str, files: &[TextFile]) -> Vec<String> {
    let lines: Vec<&str> = readme.lines().collect();
    let mut problems = Vec::new();
    let mut count = 0;
    for (number, line) in lines.iter().enumerate() {
        let Some(path) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        count += 1;
        let block: Vec<&str> =
            lines[number + 2..].iter().take_while(|line| !line.starts_with("```")).copied().collect();
        let Some(file) = files.iter().find(|file| file.path == path) else {
            problems.push(format!("README.md:{}: quotes {path}, which is not in the tree", number + 1));
            continue;
        };
        if !lines[number + 1].starts_with("```") || !is_part_of(&block, &file.text) {
            problems.push(format!("README.md:{}: is not what stands in {path}", number + 1));
        }
    }
    if count != QUOTATION_COUNT {
        problems.push(format!("README.md: {count} quotations, not {QUOTATION_COUNT}"));
    }
    problems
}

fn is_part_of(block: &[&str], text: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    !block.is_empty()
        && lines.windows(block.len()).any(|window| {
            let indent = window[0].strip_suffix(block[0]);
            let is_same = |(line, quoted): (&&str, &&str)| {
                if quoted.is_empty() { line.is_empty() } else { line.strip_suffix(quoted) == indent }
            };
            indent.is_some_and(|indent| indent.trim().is_empty()) && window.iter().zip(block).all(is_same)
        })
}

fn name_problems(document: &TextFile, files: &[TextFile]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut is_code = false;
    for (number, line) in document.text.lines().enumerate() {
        is_code ^= line.starts_with("```");
        let names = line.split('`').skip(1).step_by(2).filter(|name| !is_code && is_test_name(name));
        for name in names.filter(|name| !exists(name, files)) {
            problems.push(format!("{}:{}: names {name}, which is not in the tree", document.path, number + 1));
        }
    }
    problems
}

#[test]
fn a_quotation_that_differs_is_found() {
    let file = TextFile::new("a.go", "func f() {\n\tif x {\n\t\ty()\n\t}\n\n\tz()\n}\n");
    let readme = |block: &str| format!("<!-- a.go -->\n```go\n{block}```\n").repeat(QUOTATION_COUNT);
    let found = |block: &str| quotation_problems(&readme(block), std::slice::from_ref(&file)).len();
    assert_eq!(found("if x {\n\ty()\n}\n\nz()\n"), 0);
    for block in ["if x {\n\ty()\n}\nz()\n", "if x {\ny()\n}\n", "if x {\n\tw()\n}\n", ""] {
        assert_eq!(found(block), QUOTATION_COUNT, "{block}");
    }
    assert_eq!(quotation_problems("", std::slice::from_ref(&file)).len(), 1, "no quotation at all");
    assert_eq!(quotation_problems(&readme("z()\n").replace("a.go -->", "b.go -->"), &[file]).len(), QUOTATION_COUNT);
}

#[test]
fn a_test_that_is_gone_is_found() {
    let code = TextFile::new("tests/a.rs", "fn it_is_still_here() {}");
    let text = "see `it_is_still_here`, `it_is_long_gone`\n```\n`it_is_no_name`\n```\n";
    let document = TextFile::new("README.md", text);
    assert_eq!(name_problems(&document, &[code]).len(), 1);
    assert!(names_tests("docs/decisions/0001-x.md") && !names_tests("docs/format.md"));
}
