//! One export that panics, in builds made for the test that proves that panics are contained.
//!
//! Never in a product: only the feature `test-panic` brings it in, and `include/symbols.txt`, against
//! which the ordinary build is held, does not list it.

use super::error::{larder_error, larder_status};
use super::handle::{larder, on_store, run};

/// Panics inside the guard: as a call on `db` or, for NULL, as a call without a store.
///
/// # Safety
///
/// `db` is NULL or comes from `larder_open`; `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_test_panic(db: *mut larder, err: *mut larder_error) -> larder_status {
    // SAFETY: the caller's promise.
    unsafe { if db.is_null() { run(err, None, || panic!("forced")) } else { on_store(db, err, |_| panic!("forced")) } }
}
