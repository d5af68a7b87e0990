//! Tests of the store through its Rust API: one program, a module per subject.

// Tests end at the first surprise, make files and read the clock.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod acknowledged;
mod basics;
mod calls;
mod checkpoints;
mod crash;
mod damage;
mod failures;
mod files;
mod format_doc;
mod hostile;
mod manifest;
mod model;
mod passing;
mod regressions;
mod review;
mod rules;
mod salvage;
mod threads;
mod world;
