//! The C ABI: `extern "C"` functions over the Rust API, and nothing else.
//!
//! `include/larder.h` is generated from this module by cbindgen; its doc comments are the
//! header's text, so they are written for C programmers. The order of the `mod` lines is the
//! order of the header.
//!
//! Every export has the same shape: judge the handle (NULL, another kind, inherited over fork),
//! enter the panic guard, judge the arguments, call the store, write the outputs last.
//!
//! Not here: any behaviour of the store, any file, any lock.
//!
//! Invariants:
//!   F1. Nothing unwinds out of an export ([`contained`]), and nothing is printed when it would have.
//!   F2. On every return `err`, if there is one, is filled and its status is what is returned ([`error`]).
//!   F3. No slice is made of a pointer before pointer and length are judged ([`arguments`]).
//!   F4. Outputs are written only after everything that can fail has succeeded, except where the
//!       header says otherwise.
//!   F5. In a forked child nothing of an inherited handle but its first words is touched
//!       ([`generation`]).

#![allow(non_camel_case_types)] // The names are C's.

#[cfg(not(panic = "unwind"))]
compile_error!("Larder contains panics with catch_unwind: build it with panic = \"unwind\"");

// What the exports are made of: nothing of it is in the header.
mod arguments;
mod contained;
mod generation;
mod packed_format;
mod target;

// The header's sections, in its order (blank lines keep rustfmt from sorting them).
pub mod error;

pub mod options;

pub mod handle;

pub mod keys;

pub mod expiry;

pub mod store;

pub mod salvage;

pub mod cursor;

pub mod packed;

pub mod view;

pub mod version;

#[cfg(feature = "test-panic")]
mod test_panic;
