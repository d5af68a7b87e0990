//! Where the libraries are: Larder's in this repository's target directory, the others where the system has them.
//!
//! A library that is missing leaves its engine out; `engine::why_missing` says so whenever it is asked for.

use std::path::Path;

/// Name for the linker, and what stands for the development package being there.
const SYSTEM: [(&str, &str); 3] = [("lmdb", "lmdb.h"), ("rocksdb", "rocksdb/c.h"), ("sqlite3", "sqlite3.h")];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var("LARDER_LIB_DIR").unwrap_or_else(|_| root.join("target/release").display().to_string());
    println!("cargo:rerun-if-env-changed=LARDER_LIB_DIR");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-search=native={target}");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{target}");
    println!("cargo:rustc-link-lib=dylib=larder");
    for (library, header) in SYSTEM {
        let places = ["/usr/include", "/usr/local/include"].map(|directory| Path::new(directory).join(header));
        for place in &places {
            println!("cargo:rerun-if-changed={}", place.display());
        }
        if places.iter().any(|place| place.exists()) {
            println!("cargo:rustc-cfg=has_{library}");
            println!("cargo:rustc-link-lib=dylib={library}");
        } else {
            println!("cargo:warning={header} is missing: no {library} (apt-get install lib{library}-dev)");
        }
    }
}
