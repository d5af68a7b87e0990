//! Where the libraries are: Larder's in this repository's target directory, the others where the system has them.

use std::path::Path;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var("LARDER_LIB_DIR").unwrap_or_else(|_| root.join("target/release").display().to_string());
    println!("cargo:rerun-if-env-changed=LARDER_LIB_DIR");
    println!("cargo:rustc-link-search=native={target}");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{target}");
    for library in ["larder", "lmdb", "rocksdb", "sqlite3"] {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
}
