//! Fuzz targets: each takes any bytes and panics if the library does what it must not.
//!
//! The same functions serve the driver of this package (`bin/fuzz`: structured mutation, fixed seeds, no tools), libFuzzer
//! (`bin/guided`: coverage) and the replay of the corpus in `make test`.
//!
//! Not here: where inputs come from (`mutate`, `corpus`).

pub mod corpus;
pub mod input;
pub mod mutate;
pub mod targets;

/// One target: its name, also that of its corpus, and what it does with an input.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Panics if something is wrong.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target { name: "formats", run: targets::formats::run },
    Target { name: "records", run: targets::records::run },
    Target { name: "manifest", run: targets::manifest::run },
    Target { name: "recovery", run: targets::recovery::run },
    Target { name: "packed", run: targets::packed::run },
    Target { name: "calls", run: targets::calls::run },
    Target { name: "requests", run: targets::requests::run },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
