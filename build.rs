//! Names the shared library's ABI in the file: `liblarder.so.0`.
//!
//! cargo sets no SONAME, and without one a program that links `liblarder.so` would accept any later
//! version of it. Nothing is generated here and nothing is written: the header is committed, and a test
//! holds it against the source.

use std::env;

/// The number in the SONAME; `LARDER_ABI_VERSION` in the header, and a test holds them together.
const ABI_VERSION: u32 = 0;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target_os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    match target_os.as_str() {
        "macos" | "ios" => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/liblarder.{ABI_VERSION}.dylib");
        }
        "linux" | "android" | "freebsd" | "netbsd" | "openbsd" | "dragonfly" => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,liblarder.so.{ABI_VERSION}");
        }
        _ => {}
    }
}
