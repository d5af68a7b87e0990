//! A forced panic is caught by the real shared library, says nothing, and makes the store read-only.
//!
//! The library is built once more with the feature `test-panic`, in the profile that this test runs in,
//! and a C program is linked with it: so the guard is proved through the same `extern "C"` boundary and
//! the same panic strategy that a product has.

use super::{run_c_program, source_dir, succeed};
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = r#"
#include "larder.h"
#include <string.h>
larder_status larder_test_panic(larder *db, larder_error *err);
#define EXPECT(condition) do { if (!(condition)) return __LINE__ % 100 + 100; } while (0)

int main(int argc, char **argv) {
  larder_error err;
  larder *db = NULL;
  char buffer[8];
  size_t need;
  larder_options *options = larder_options_new();
  EXPECT(argc == 2 && options != NULL);
  EXPECT(larder_test_panic(NULL, &err) == LARDER_PANIC);
  EXPECT(err.status == LARDER_PANIC && strstr(err.message, "forced") != NULL);
  EXPECT(larder_test_panic(NULL, NULL) == LARDER_PANIC);
  EXPECT(larder_open(argv[1], options, &db, &err) == LARDER_OK);
  EXPECT(larder_set(db, "k", 1, "v", 1, &err) == LARDER_OK);
  EXPECT(larder_test_panic(db, &err) == LARDER_PANIC && strstr(err.message, "forced") != NULL);
  EXPECT(larder_set(db, "k", 1, "w", 1, &err) == LARDER_READ_ONLY && err.message[0] != 0);
  EXPECT(larder_get_into(db, "k", 1, buffer, sizeof buffer, &need, &err) == LARDER_OK && buffer[0] == 'v');
  EXPECT(larder_close(db, &err) == LARDER_PANIC && strstr(err.message, "forced") != NULL);
  EXPECT(larder_close(db, &err) == LARDER_CLOSED);
  EXPECT(larder_open(argv[1], options, &db, &err) == LARDER_OK);
  EXPECT(larder_get_into(db, "k", 1, buffer, sizeof buffer, &need, &err) == LARDER_OK && buffer[0] == 'v');
  EXPECT(larder_set(db, "k", 1, "w", 1, &err) == LARDER_OK);
  EXPECT(larder_close(db, &err) == LARDER_OK);
  larder_options_free(options);
  return 0;
}
"#;

/// Builds the shared library with the export that panics.
fn build_library(target_dir: &Path) -> PathBuf {
    let is_release = !cfg!(debug_assertions);
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(source_dir())
        .args(["rustc", "--frozen", "--quiet", "--lib", "--crate-type", "cdylib", "--features", "test-panic"])
        .args(is_release.then_some("--release"))
        .arg("--target-dir")
        .arg(target_dir);
    succeed(&mut cargo);
    let profile_dir = target_dir.join(if is_release { "release" } else { "debug" });
    profile_dir.join(format!("{}larder{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

#[test]
fn a_forced_panic_is_a_status_and_silent() {
    let work_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("test-panic");
    run_c_program(&build_library(&work_dir), PROGRAM);
}
