//! The style of this tree as an ordinary test: what lints cannot hold.
//!
//! Each module below is one rule. It looks at the files of the tree as text, returns what is wrong
//! as sentences with file and line, and tests itself with small bad inputs, so that a rule which
//! has stopped to find anything is noticed.
//!
//! Not here: whether the header is fresh (`tests/header.rs`), what clippy and rustfmt say.

// Tests end at the first surprise, and read files.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/ignored.rs"]
mod ignored;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/machine.rs"]
mod machine;
#[path = "tidy/mutants.rs"]
mod mutants;
#[path = "tidy/pipes.rs"]
mod pipes;
#[path = "tidy/quotations.rs"]
mod quotations;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/tokens.rs"]
mod tokens;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/unsafety.rs"]
mod unsafety;
#[path = "tidy/words.rs"]
mod words;

/// Fails with all problems at once: one run tells everything there is to repair.
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
