//! What this library is: its version, from the package, and its ABI's number, from the SONAME.
//!
//! The macros are literals because the header's generator evaluates nothing; they are held against the
//! package's version at compile time.

use std::ffi::{CStr, c_char};

/// The header's major version.
pub const LARDER_VERSION_MAJOR: u32 = 0;
/// The header's minor version.
pub const LARDER_VERSION_MINOR: u32 = 1;
/// The header's patch version.
pub const LARDER_VERSION_PATCH: u32 = 0;
/// The number in the library's SONAME, `liblarder.so.0`: it changes when programs must be recompiled.
pub const LARDER_ABI_VERSION: u32 = 0;

const _: () = {
    assert!(LARDER_VERSION_MAJOR == decimal(env!("CARGO_PKG_VERSION_MAJOR")));
    assert!(LARDER_VERSION_MINOR == decimal(env!("CARGO_PKG_VERSION_MINOR")));
    assert!(LARDER_VERSION_PATCH == decimal(env!("CARGO_PKG_VERSION_PATCH")));
    assert!(LARDER_VERSION_MINOR < 256 && LARDER_VERSION_PATCH < 256);
};

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version holds no NUL"),
};

/// The version of the library that is loaded: major << 16 | minor << 8 | patch. Compare it with the
/// macros of the header that a program was compiled with.
///
/// Threads: any. Blocks: never. Returns: a number. Since 0.1.0.
#[unsafe(no_mangle)]
pub extern "C" fn larder_version_number() -> u32 {
    LARDER_VERSION_MAJOR << 16 | LARDER_VERSION_MINOR << 8 | LARDER_VERSION_PATCH
}

/// The version of the library that is loaded, as `"0.1.0"`. The string is the library's and lives as
/// long as the library is loaded.
///
/// Threads: any. Blocks: never. Returns: a string, never NULL. Since 0.1.0.
#[unsafe(no_mangle)]
pub extern "C" fn larder_version_string() -> *const c_char {
    VERSION.as_ptr()
}

/// `LARDER_ABI_VERSION` of the library that is loaded. A program that loads it by hand checks that it
/// equals the one it was written for.
///
/// Threads: any. Blocks: never. Returns: a number. Since 0.1.0.
#[unsafe(no_mangle)]
pub extern "C" fn larder_abi_version() -> u32 {
    LARDER_ABI_VERSION
}

const fn decimal(text: &str) -> u32 {
    let digits = text.as_bytes();
    let mut number = 0;
    let mut index = 0;
    while index < digits.len() {
        number = number * 10 + (digits[index] - b'0') as u32;
        index += 1;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_and_the_string_agree() {
        // SAFETY: the function returns a static string.
        let text = unsafe { CStr::from_ptr(larder_version_string()) }.to_str().expect("UTF-8");
        let parts: Vec<u32> = text.split(['.', '-']).take(3).map(decimal).collect();
        assert_eq!(larder_version_number(), parts[0] << 16 | parts[1] << 8 | parts[2]);
        assert_eq!(text, env!("CARGO_PKG_VERSION"));
    }
}
