//! Tests of the store through its Rust API: one program, a module per subject.

mod basics;
mod format_doc;
mod model;
mod threads;
mod world;
