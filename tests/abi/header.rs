//! `include/larder.h` is what `src/ffi` says, complete, and compiles as every C and as C++.

use super::calls::CALLS;
use super::library::committed_symbols;
use super::{committed_text, source_dir, succeed};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The header as cbindgen makes it from the present source.
pub fn generated() -> String {
    let config = cbindgen::Config::from_file(source_dir().join("cbindgen.toml")).expect("cbindgen.toml");
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(source_dir().join("src/ffi/mod.rs"))
        .generate()
        .expect("cbindgen reads src/ffi");
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    String::from_utf8(bytes).expect("UTF-8")
}

/// The header in the tree; written anew first if that is what was asked for.
fn committed() -> &'static str {
    static COMMITTED: OnceLock<String> = OnceLock::new();
    COMMITTED.get_or_init(|| committed_text("include/larder.h", generated))
}

/// Each function of the header: its comment and its declaration.
fn functions(header: &str) -> Vec<(String, String)> {
    header
        .split("/**")
        .skip(1)
        .filter_map(|item| item.split_once("*/"))
        .filter(|(_, code)| {
            let declaration = code.split(';').next().unwrap_or_default();
            declaration.contains('(') && !declaration.contains('{') && !declaration.contains('#')
        })
        .map(|(comment, code)| (comment.to_owned(), code.split(';').next().unwrap_or_default().trim().to_owned()))
        .collect()
}

fn name_of(declaration: &str) -> &str {
    let before = declaration.split('(').next().unwrap_or_default();
    before.rsplit([' ', '*']).next().unwrap_or_default()
}

#[test]
fn the_header_is_what_the_source_says() {
    let generated = generated();
    let committed = committed();
    let differing = generated.lines().zip(committed.lines()).position(|(new, old)| new != old);
    assert!(
        generated == committed,
        "include/larder.h is stale from line {} on; LARDER_BLESS=1 cargo test --test abi writes it anew",
        differing.unwrap_or_else(|| generated.lines().count().min(committed.lines().count())) + 1
    );
}

#[test]
fn the_header_declares_exactly_the_exported_symbols() {
    let header = committed();
    let functions = functions(header);
    let mut declared: Vec<&str> = functions.iter().map(|(_, declaration)| name_of(declaration)).collect();
    declared.sort_unstable();
    assert_eq!(declared, committed_symbols().lines().collect::<Vec<_>>());
}

#[test]
fn every_function_says_what_a_c_programmer_asks() {
    let header = committed();
    let functions = functions(header);
    assert!(functions.len() > 25, "{}", functions.len());
    for (comment, declaration) in functions {
        let name = name_of(&declaration);
        for word in ["Threads: ", "Blocks: ", "Returns: ", "Since 0."] {
            // A line break may stand where a blank does.
            let text = comment.replace("\n *", "");
            assert!(text.contains(word), "{name} does not say \"{word}\"");
        }
        let parameters = declaration.split_once('(').map_or("", |(_, parameters)| parameters);
        if parameters.contains('*') {
            assert!(comment.contains("# Safety"), "{name} does not say what its pointers must be");
            for parameter in parameters.trim_end_matches(')').split(',') {
                let parameter_name = parameter.rsplit([' ', '*']).next().unwrap_or_default();
                assert!(comment.contains(parameter_name), "{name} does not speak of {parameter_name}");
            }
        }
        if declaration.starts_with("larder_status") {
            assert!(comment.contains("LARDER_OK") && comment.contains("LARDER_PANIC"), "{name}");
        }
    }
}

#[test]
fn the_table_of_calls_has_every_function_that_takes_an_error() {
    let header = committed();
    let mut declared: Vec<String> = functions(header)
        .into_iter()
        .filter(|(_, declaration)| declaration.contains("larder_error *err"))
        .map(|(_, declaration)| name_of(&declaration).to_owned())
        .filter(|name| !["larder_open", "larder_close", "larder_salvage"].contains(&name.as_str()))
        .collect();
    declared.sort_unstable();
    let mut called: Vec<&str> = CALLS.iter().map(|call| call.name).collect();
    called.sort_unstable();
    assert_eq!(declared, called);
}

/// Compiles `source` with the repository's include directory, warnings being errors.
fn compiles(compiler: &str, standard: &str, language: &str, source: &str) -> Result<(), String> {
    committed(); // It may be about to be written anew.
    let mut child = Command::new(compiler)
        .args([&format!("-std={standard}"), "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"])
        .arg("-I")
        .arg(source_dir().join("include"))
        .args(["-x", language, "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{compiler} cannot be run: {error}"));
    // A compiler that does not know the standard ends without reading: its status says so, not the broken pipe.
    let _ = child.stdin.take().expect("piped").write_all(source.as_bytes());
    let output = child.wait_with_output().expect("the compiler ends");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Whether this compiler has the standard at all; C23's spelling is the only one that may be missing.
fn knows(compiler: &str, standard: &str, language: &str) -> bool {
    compiles(compiler, standard, language, "int main(void) { return 0; }\n").is_ok()
}

/// The header alone, twice, with all its macros in `#if`, and what of it may never change.
const PROGRAM: &str = r#"
#include "larder.h"
#include "larder.h"
#if LARDER_OK != 0 || LARDER_NOT_FOUND != 1 || LARDER_EXPIRED != 2 || LARDER_EXISTS != 3
#error status
#endif
#if LARDER_CONFLICT != 4 || LARDER_DONE != 5 || LARDER_BUFFER_TOO_SMALL != 6
#error status
#endif
#if LARDER_INVALID_ARGUMENT != 100 || LARDER_TOO_LARGE != 101 || LARDER_BUSY != 102 || LARDER_CLOSED != 103
#error status
#endif
#if LARDER_READ_ONLY != 104 || LARDER_NO_SPACE != 105 || LARDER_IO != 106 || LARDER_CORRUPT != 107
#error status
#endif
#if LARDER_FORKED != 108 || LARDER_UNSUPPORTED != 109 || LARDER_INCOMPATIBLE != 110
#error status
#endif
#if LARDER_OUT_OF_MEMORY != 111 || LARDER_INTERRUPTED != 112 || LARDER_PANIC != 113
#error status
#endif
#if LARDER_IF_ABSENT != 1 || LARDER_IF_PRESENT != 2 || LARDER_SYNC != 4
#error flags
#endif
#if LARDER_VERSION_MAJOR < 0 || LARDER_VERSION_MINOR < 0 || LARDER_VERSION_PATCH < 0 || LARDER_ABI_VERSION < 0
#error version
#endif
typedef char error_has_256_bytes[sizeof(larder_error) == 256 ? 1 : -1];
typedef char message_begins_at_16[offsetof(larder_error, message) == 16 ? 1 : -1];
typedef char offset_begins_at_8[offsetof(larder_error, offset) == 8 ? 1 : -1];
typedef char stats_begin_with_their_size[offsetof(larder_stats, keys) == 8 ? 1 : -1];
typedef char reports_begin_with_their_size[offsetof(larder_salvage_report, segments) == 8 ? 1 : -1];
typedef char status_is_32_bits[sizeof(larder_status) == 4 ? 1 : -1];

larder_status every_call_of_the_core(void);
larder_status every_call_of_the_core(void) {
  larder *db = NULL;
  larder_options *options = larder_options_new();
  larder_cursor *cursor = NULL;
  larder_error err;
  larder_stats stats;
  larder_salvage_report report;
  larder_view view;
  void *value;
  const void *key_seen, *value_seen;
  size_t len, need, bad_offset, used, answered;
  uint64_t version, count, bad_records;
  int64_t ttl_ms;
  char buffer[16];
  const char *text = larder_version_string();
  const char *name = larder_status_name(LARDER_OK);
  uint32_t number = larder_version_number() + larder_abi_version();
  larder_status status = larder_options_set(options, "sync", "none", &err);
  stats.struct_size = sizeof stats;
  status |= larder_open("dir", options, &db, &err);
  larder_options_free(options);
  status |= larder_set(db, "k", 1, "v", 1, &err);
  status |= larder_get(db, "k", 1, &value, &len, &err);
  larder_free(value);
  status |= larder_get_into(db, "k", 1, buffer, sizeof buffer, &need, &err);
  status |= larder_exists(db, "k", 1, &err);
  status |= larder_set_with(db, "k", 1, "v", 1, 1000, LARDER_IF_ABSENT | LARDER_SYNC, &version, &err);
  status |= larder_ttl(db, "k", 1, &ttl_ms, &err);
  status |= larder_expire(db, "k", 1, -1, &err);
  status |= larder_del(db, "k", 1, &err);
  status |= larder_len(db, &count, &err);
  status |= larder_sync(db, &err);
  status |= larder_compact(db, &err);
  status |= larder_verify(db, &bad_records, &err);
  status |= larder_stats_get(db, &stats, &err);
  status |= larder_cursor_open(db, NULL, 0, &cursor, &err);
  status |= larder_cursor_next(cursor, &key_seen, &len, &value_seen, &need, &err);
  larder_cursor_close(cursor);
  status |= larder_write_packed(db, NULL, 0, LARDER_SYNC, &bad_offset, &err);
  status |= larder_get_many_packed(db, NULL, 0, buffer, sizeof buffer, &used, &answered, &err);
  status |= larder_get_view(db, "k", 1, &view, &err);
  status |= view.data == NULL || view.len > view.version || view.expires_at_ms < 0 || view.pin == NULL;
  larder_view_release(&view);
  status |= larder_close(db, &err);
  report.struct_size = sizeof report;
  status |= larder_salvage("dir", "new", NULL, &report, &value, &len, &err);
  status |= (report.segments + report.records + report.keys + report.bytes + report.losses + report.lost_bytes
             + report.has_whole_manifest + report.reserved != 0);
  return status | err.os_errno | (err.offset != 0) | err.message[0] | text[0] | name[0] | (number == 0)
         | (stats.keys + stats.live_bytes + stats.dead_bytes + stats.file_bytes + stats.segments
            + stats.mapped_bytes + stats.index_bytes + stats.pinned_views + stats.gets + stats.hits
            + stats.sets + stats.dels + stats.expired + stats.syncs + stats.compactions
            + stats.compacted_bytes + stats.reserved != 0);
}
"#;

#[test]
fn the_header_compiles_alone_and_twice_as_every_c() {
    let mut standards = vec!["c99", "c11", "c17"];
    // A compiler of before 2023 has none or an older name for it: use the newest that it knows.
    standards.extend(["c23", "c2x"].into_iter().find(|standard| knows("cc", standard, "c")));
    for standard in standards {
        if let Err(complaint) = compiles("cc", standard, "c", PROGRAM) {
            panic!("as {standard}:\n{complaint}");
        }
        assert!(compiles("cc", standard, "c", "#include \"larder.h\"\nint x = no_such_name;\n").is_err());
    }
}

#[test]
fn the_header_compiles_alone_and_twice_as_cpp() {
    for standard in ["c++11", "c++17", "c++20"] {
        if let Err(complaint) = compiles("c++", standard, "c++", PROGRAM) {
            panic!("as {standard}:\n{complaint}");
        }
    }
}

#[test]
fn the_build_has_no_profile_that_aborts() {
    let manifest = fs::read_to_string(source_dir().join("Cargo.toml")).expect("Cargo.toml");
    assert!(!manifest.contains("\"abort\""), "panic = \"abort\" contains nothing");
    // The tool that the tests above depend on is really cc, not a name that accepts anything.
    succeed(Command::new("cc").arg("--version"));
}
