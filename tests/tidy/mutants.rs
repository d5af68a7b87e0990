//! The table of the rules that can be left out names every one of them, and tests that exist.

use super::tree;
use std::collections::BTreeSet;

/// The names of the rules in `src/rules.rs`: what stands in quotes behind a name with a capital, as `Name "name" "…",`.
fn rules_of(source: &str) -> BTreeSet<String> {
    let name_of = |line: &str| {
        let (before, rest) = line.trim().split_once(" \"")?;
        let is_rule = before.chars().all(char::is_alphanumeric) && before.starts_with(char::is_uppercase);
        is_rule.then(|| rest.split('"').next().unwrap_or_default().to_owned())
    };
    source.lines().filter_map(name_of).collect()
}

/// What is wrong with the table.
fn problems(table: &str, rules: &BTreeSet<String>, has_test: impl Fn(&str) -> bool) -> Vec<String> {
    let (mut problems, mut seen) = (Vec::new(), BTreeSet::new());
    for (n, line) in table.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty()) {
        let place = format!("tests/mutants/table:{}", n + 1);
        let mut words = line.split_whitespace();
        let rule = words.next().unwrap_or_default();
        if !rules.contains(rule) || !seen.insert(rule.to_owned()) {
            problems.push(format!("{place}: {rule} is no rule of src/rules.rs, or stands here twice"));
        }
        let tests: Vec<_> = words.collect();
        if tests.is_empty() {
            problems.push(format!("{place}: {rule} names no test"));
        }
        for test in tests.iter().filter(|test| !has_test(test)) {
            problems.push(format!("{place}: there is no test {test}"));
        }
    }
    problems.extend(rules.difference(&seen).map(|rule| format!("tests/mutants/table has no line for {rule}")));
    problems
}

#[test]
fn every_rule_that_can_be_left_out_has_tests_that_notice() {
    let rules = rules_of(&tree::text_of("src/rules.rs").unwrap());
    assert!(rules.len() > 40, "only {rules:?}");
    let has_test = |path: &str| {
        let (modules, name) = path.rsplit_once("::").unwrap_or(("", path));
        let file = format!("tests/store/{}.rs", modules.replace("::", "/"));
        tree::text_of(&file).unwrap_or_default().contains(&format!("fn {name}()"))
    };
    super::assert_none(&problems(&tree::text_of("tests/mutants/table").unwrap(), &rules, has_test));
}

/// The line of `docs/durability.md` for a rule: what it is called, what is left out, the tests without their modules.
fn line_for(source: &str, row: &str) -> Option<String> {
    let mut words = row.split_whitespace();
    let rule = words.next()?;
    let (_, rest) = source.split_once(&format!(" \"{rule}\" \""))?;
    let what = rest.split('"').next()?;
    let tests: Vec<_> = words.map(|path| format!("`{}`", path.rsplit("::").next().unwrap_or(path))).collect();
    Some(format!("| {rule} | {what} | {} |", tests.join(", ")))
}

#[test]
fn the_page_about_durability_has_the_same_table() {
    let [source, page] = ["src/rules.rs", "docs/durability.md"].map(|path| tree::text_of(path).unwrap());
    let table = tree::text_of("tests/mutants/table").unwrap();
    let rows = table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let lines = rows.map(|row| line_for(&source, row).unwrap());
    let lacking = lines.filter(|line| !page.lines().any(|there| there == line));
    super::assert_none(&lacking.map(|line| format!("docs/durability.md lacks: {line}")).collect::<Vec<_>>());
}

#[test]
fn a_table_that_lacks_a_rule_or_names_a_test_that_is_gone_is_found() {
    let rules = rules_of("rules! {\n    One \"r1_one\" \"what\",\n    Two \"r2_two\" \"what\",\n}\nlet x = \"no\";\n");
    assert_eq!(rules.iter().map(String::as_str).collect::<Vec<_>>(), ["r1_one", "r2_two"]);
    let has_test = |name: &str| name == "rules::good";
    assert!(problems("# head\nr1_one rules::good\nr2_two rules::good\n", &rules, has_test).is_empty());
    for bad in ["r1_one rules::good\n", "r1_one rules::good\nr2_two\n", "r1_one rules::good\nr2_two rules::gone\n"] {
        assert_eq!(problems(bad, &rules, has_test).len(), 1, "{bad}");
    }
    assert_eq!(problems("r1_one rules::good\nr1_one rules::good\n", &rules, has_test).len(), 2);
}
