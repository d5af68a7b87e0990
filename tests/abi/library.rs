//! The built `liblarder.so`: its SONAME and what it exports. The file is checked, not the build's flags:
//! cargo sets no SONAME, and a linker may ignore a version script without a word.

use super::{built_library, committed_text, succeed};
use std::process::Command;
use std::sync::OnceLock;

/// What `nm` says the library defines for others.
fn exported() -> Vec<String> {
    let output = succeed(Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(built_library()));
    let listing = String::from_utf8(output.stdout).expect("UTF-8");
    let mut names: Vec<String> =
        listing.lines().filter_map(|line| line.split(' ').next()).map(ToOwned::to_owned).collect();
    names.sort_unstable();
    names
}

/// The list of exported symbols in the tree; written anew first if that is what was asked for.
pub fn committed_symbols() -> &'static str {
    static COMMITTED: OnceLock<String> = OnceLock::new();
    COMMITTED.get_or_init(|| committed_text("include/symbols.txt", || exported().join("\n") + "\n"))
}

#[test]
#[cfg(target_os = "linux")]
fn the_soname_is_liblarder_so_and_the_abi_version() {
    let output = succeed(Command::new("readelf").args(["-d", "-W"]).arg(built_library()));
    let dynamic = String::from_utf8(output.stdout).expect("UTF-8");
    let soname = dynamic.lines().find(|line| line.contains("(SONAME)")).expect("a SONAME");
    let expected = format!("[liblarder.so.{}]", larder::ffi::version::LARDER_ABI_VERSION);
    assert!(soname.ends_with(&expected), "{soname}");
}

#[test]
#[cfg(all(target_os = "linux", not(feature = "test-panic")))]
fn the_library_exports_the_committed_symbols_and_no_others() {
    let exported = exported();
    assert_eq!(exported, committed_symbols().lines().collect::<Vec<_>>());
    assert!(exported.iter().all(|name| name.starts_with("larder_")), "{exported:?}");
}
