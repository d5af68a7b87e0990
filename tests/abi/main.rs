//! The C ABI as the outside sees it: the header, the built library's symbols, and the panic guard.
//!
//! Not here: C programs (`tests/c`), the store's behaviour.

#![allow(clippy::disallowed_methods)] // The rules about files and clocks are for the library.

mod arguments;
mod calls;
mod header;
mod library;
mod lifetimes;
mod panics;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn source_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A committed file that is made from something else. With `LARDER_BLESS=1` it is made anew first.
fn committed_text(path: &str, make: impl FnOnce() -> String) -> String {
    let path = source_dir().join(path);
    if std::env::var_os("LARDER_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, make()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The shared library that cargo built for this very test run.
fn built_library() -> PathBuf {
    let test_program = std::env::current_exe().expect("the test's own path");
    let path =
        test_program.with_file_name(format!("{}larder{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX));
    assert!(path.is_file(), "{} is not there", path.display());
    path
}

/// Runs a command that has to be there and has to succeed: a missing tool is a failure, not a skip.
fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
