//! The C ABI as the outside sees it: the header, the built library's symbols, and the panic guard.
//!
//! Not here: C programs (`tests/c`), the store's behaviour.

#![allow(clippy::disallowed_methods)] // The rules about files and clocks are for the library.

mod api;
mod arguments;
mod calls;
mod header;
mod library;
mod lifetimes;
mod panics;
mod salvage;

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

/// Compiles a C program against the header, links it with `library`, and runs it in a process of its own
/// with the path of a store that is not there yet. It has to succeed and to say nothing.
fn run_c_program(library: &Path, source: &str) {
    let dir = calls::WorkDir::new();
    // The loader looks for the SONAME.
    let soname = dir.path().join("liblarder.so.0");
    std::os::unix::fs::symlink(library, &soname).expect("a link");
    let source_path = dir.path().join("program.c");
    let program = dir.path().join("program");
    std::fs::write(&source_path, source).expect("the program's source");
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-I"]).arg(source_dir().join("include"));
    cc.arg("-o").args([&program, &source_path, &soname]).arg(format!("-Wl,-rpath,{}", dir.path().display()));
    succeed(&mut cc);
    let output = succeed(Command::new(&program).arg(dir.path().join("store")));
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
