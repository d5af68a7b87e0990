//! `include/larder.api.json`: the header as data, for programs that make or check bindings.
//!
//! Read from the header's own text, which cbindgen makes from `src/ffi`, so that there is one source: functions with
//! parameters, types, statuses they return and sentences; statuses with numbers; constants; options; structs.
//!
//! Not here: whether the header is fresh and complete (`header`).

use super::committed_text;
use super::header::generated;
use super::library::committed_symbols;
use std::ffi::CStr;
use std::fmt::Write;

/// One documented thing of the header: the sentences, and the code behind them.
struct Item {
    doc: String,
    code: String,
}

/// Each comment of the header with the code that follows it, fields of structs too.
fn items(header: &str) -> Vec<Item> {
    header
        .split("/**")
        .skip(1)
        .filter_map(|item| item.split_once("*/"))
        .map(|(comment, code)| Item { doc: text_of(comment), code: code.trim().to_owned() })
        .collect()
}

/// A comment without its stars; a line break within a paragraph is a blank.
fn text_of(comment: &str) -> String {
    let mut text = String::new();
    for line in comment.lines().map(|line| line.trim().trim_start_matches('*').trim()).skip(1) {
        let begins = line.is_empty() || line.starts_with("- ") || text.ends_with('\n') || text.is_empty();
        text.push_str(if begins { "" } else { " " });
        if line.starts_with("- ") && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(if line.is_empty() { "\n\n" } else { line });
    }
    text.trim().to_owned()
}

/// What stands between `from` and the next of the other headings, without the heading.
fn section<'doc>(doc: &'doc str, from: &str) -> &'doc str {
    let Some((_, rest)) = doc.split_once(from) else { return "" };
    let ends = ["Threads: ", "Blocks: ", "Returns: ", "Since ", "# Safety"];
    let end = ends.iter().filter_map(|heading| rest.find(heading)).min().unwrap_or(rest.len());
    rest[..end].trim().trim_end_matches('.')
}

/// A C declaration `type name` as its two parts, without `struct`.
fn typed(declaration: &str) -> (String, String) {
    let declaration = declaration.split_whitespace().collect::<Vec<_>>().join(" ").replace("struct ", "");
    let (declaration, array) = match declaration.split_once('[') {
        Some((before, length)) => (before.to_owned(), format!("[{length}")),
        None => (declaration, String::new()),
    };
    let at = declaration.rfind([' ', '*']).map_or(0, |at| at + 1);
    (format!("{}{array}", declaration[..at].trim()), declaration[at..].to_owned())
}

fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => write!(quoted, "\\u{:04x}", c as u32).expect("a string grows"),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn list(indent: &str, entries: &[String]) -> String {
    if entries.is_empty() {
        return "[]".into();
    }
    format!("[\n{indent}  {}\n{indent}]", entries.join(&format!(",\n{indent}  ")))
}

fn is_status(name: &str, number: i32) -> bool {
    // SAFETY: the string is the library's and lives as long as the library.
    let named = unsafe { CStr::from_ptr(larder::ffi::error::larder_status_name(number)) };
    named.to_bytes() == name.as_bytes()
}

/// `#define NAME number`.
fn macro_of(item: &Item) -> Option<(&str, i32)> {
    let mut words = item.code.lines().next()?.strip_prefix("#define ")?.split(' ');
    Some((words.next()?, words.next()?.parse().ok()?))
}

/// A function's declaration; a type's, a field's and a macro's are none.
fn declaration_of(item: &Item) -> Option<&str> {
    let declaration = item.code.split(';').next()?.trim();
    let is_function = declaration.contains('(') && !declaration.contains(['{', '#']);
    is_function.then_some(declaration)
}

fn function(item: &Item, statuses: &[String]) -> Option<String> {
    let (head, parameters) = declaration_of(item)?.split_once('(')?;
    let (returns, name) = typed(head);
    let parameters: Vec<String> = parameters
        .trim_end_matches(')')
        .split(',')
        .filter(|parameter| parameter.trim() != "void")
        .map(typed)
        .map(|(kind, name)| format!("{{\"name\": {}, \"type\": {}}}", string(&name), string(&kind)))
        .collect();
    let told = section(&item.doc, "Returns: ");
    let returned: Vec<String> =
        statuses.iter().filter(|status| told.contains(&format!("`{status}`"))).map(|status| string(status)).collect();
    let what = item.doc.split("Threads: ").next().unwrap_or_default().trim();
    let since =
        item.doc.split_once("Since ").map_or("", |(_, rest)| rest.split_whitespace().next().unwrap_or_default());
    let safety = item.doc.split_once("# Safety").map_or("", |(_, safety)| safety.trim());
    let mut text = format!("{{\n      \"name\": {},\n      \"returns\": {},\n", string(&name), string(&returns));
    let texts = [
        ("parameters", list("      ", &parameters)),
        ("statuses", if returns == "larder_status" { format!("[{}]", returned.join(", ")) } else { "[]".into() }),
        ("threads", string(section(&item.doc, "Threads: "))),
        ("blocks", string(section(&item.doc, "Blocks: "))),
        ("since", string(since.trim_end_matches('.'))),
        ("doc", string(what)),
        ("safety", string(safety)),
    ];
    let texts: Vec<String> = texts.iter().map(|(key, value)| format!("      \"{key}\": {value}")).collect();
    text.push_str(&texts.join(",\n"));
    Some(text + "\n    }")
}

/// `- `name`: sentence`, as the options are documented at the function that sets them.
fn options(items: &[Item]) -> Vec<String> {
    let set = items.iter().find(|item| item.code.starts_with("larder_status larder_options_set")).expect("documented");
    let lines = set.doc.lines().filter_map(|line| line.strip_prefix("- `")?.split_once("`: "));
    lines.map(|(name, doc)| format!("{{\"name\": {}, \"doc\": {}}}", string(name), string(doc))).collect()
}

/// Opaque types, and structs with their fields: a struct's comment is followed by its fields' own.
fn types(items: &[Item]) -> (Vec<String>, Vec<String>) {
    let (mut opaque, mut structs) = (Vec::new(), Vec::new());
    for (at, item) in items.iter().enumerate() {
        let Some(head) = item.code.lines().next().and_then(|line| line.strip_prefix("typedef ")) else { continue };
        let (_, name) = typed(head.trim_end_matches([';', '{', ' ']));
        if head.ends_with('{') {
            let mut fields = Vec::new();
            for field in &items[at + 1..] {
                let (code, rest) = field.code.split_once(';').expect("a field ends");
                let (kind, field_name) = typed(code);
                fields.push(format!(
                    "{{\"name\": {}, \"type\": {}, \"doc\": {}}}",
                    string(&field_name),
                    string(&kind),
                    string(&field.doc)
                ));
                if rest.contains('}') {
                    break;
                }
            }
            structs.push(format!(
                "{{\n      \"name\": {},\n      \"doc\": {},\n      \"fields\": {}\n    }}",
                string(&name),
                string(&item.doc),
                list("      ", &fields)
            ));
        } else {
            opaque.push(format!("{{\"name\": {}, \"doc\": {}}}", string(&name), string(&item.doc)));
        }
    }
    (opaque, structs)
}

/// The whole file.
fn api() -> String {
    let items = items(&generated());
    let (mut statuses, mut constants, mut status_names) = (Vec::new(), Vec::new(), Vec::new());
    for item in &items {
        let Some((name, number)) = macro_of(item) else { continue };
        let (list, key) = if is_status(name, number) {
            status_names.push(name.to_owned());
            (&mut statuses, "number")
        } else {
            (&mut constants, "value")
        };
        list.push(format!("{{\"name\": {}, \"{key}\": {number}, \"doc\": {}}}", string(name), string(&item.doc)));
    }
    let functions: Vec<String> = items.iter().filter_map(|item| function(item, &status_names)).collect();
    let (opaque, structs) = types(&items);
    let parts = [
        ("version", string(env!("CARGO_PKG_VERSION"))),
        ("abi", larder::ffi::version::LARDER_ABI_VERSION.to_string()),
        ("statuses", list("  ", &statuses)),
        ("constants", list("  ", &constants)),
        ("options", list("  ", &options(&items))),
        ("types", list("  ", &opaque)),
        ("structs", list("  ", &structs)),
        ("functions", list("  ", &functions)),
    ];
    let parts: Vec<String> = parts.iter().map(|(key, value)| format!("  \"{key}\": {value}")).collect();
    format!("{{\n{}\n}}\n", parts.join(",\n"))
}

#[test]
fn the_api_file_is_what_the_header_says() {
    let fresh = api();
    let committed = committed_text("include/larder.api.json", || fresh.clone());
    let differing = fresh.lines().zip(committed.lines()).position(|(new, old)| new != old);
    assert!(
        fresh == committed,
        "include/larder.api.json is stale from line {} on; LARDER_BLESS=1 cargo test --test abi writes it anew",
        differing.unwrap_or_else(|| fresh.lines().count().min(committed.lines().count())) + 1
    );
}

#[test]
fn the_api_file_has_every_symbol_status_and_option() {
    let fresh = api();
    for symbol in committed_symbols().lines() {
        assert!(fresh.contains(&format!("\"name\": \"{symbol}\",\n      \"returns\"")), "{symbol}");
    }
    assert_eq!(fresh.matches("\"number\": ").count(), 21, "statuses");
    for option in ["sync", "read_only", "create", "segment_size", "max_size", "verify_reads", "compaction"] {
        assert!(fresh.contains(&format!("{{\"name\": \"{option}\", \"doc\"")), "{option}");
    }
    for part in ["\"name\": \"larder_error\"", "\"name\": \"message\", \"type\": \"char[240]\"", "\"LARDER_SYNC\""] {
        assert!(fresh.contains(part), "{part}");
    }
    assert!(!fresh.contains("\"doc\": \"\"") && !fresh.contains("\"since\": \"\""), "something says nothing");
}
