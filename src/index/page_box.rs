//! Owning a page.
//!
//! Not here: what a page is (`page`), where its memory comes from (`arena`).

use super::arena::Arena;
use super::entry::{Location, Probe};
use super::page::{Full, Page};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// Owns a page, as a box would, but without a box's claim to be the only way to it: readers may still be
/// there when it is retired.
pub(super) struct PageBox {
    page: NonNull<Page>,
    arena: Arc<Arena>,
}

// SAFETY: a page is atomics, which any thread may use and free; the arena is shared.
unsafe impl Send for PageBox {}

impl PageBox {
    /// # Safety
    /// The page was made by `Page::new` with this arena, and nothing else will free it.
    pub(super) unsafe fn from_raw(page: *mut Page, arena: Arc<Arena>) -> Self {
        // SAFETY: pages are never at null.
        PageBox { page: unsafe { NonNull::new_unchecked(page) }, arena }
    }

    /// Puts an entry in the spill of a page that nobody else sees yet, however long that gets.
    pub(super) fn spill_alone(&mut self, probe: Probe, location: Location) {
        while self.insert_in_spill(probe, location) == Err(Full) {
            if let Some(old) = self.enlarge_spill() {
                // SAFETY: from a box, and whoever has a `PageBox` to itself has the only way to the page.
                drop(unsafe { Box::from_raw(old.as_ptr()) });
            }
        }
    }

    /// Gives the page up; [`PageBox::from_raw`] takes it back.
    pub(super) fn into_raw(self) -> *mut Page {
        let page = self.page.as_ptr();
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the arena is dropped once, here, and `this` never is.
        unsafe { ptr::drop_in_place(&raw mut this.arena) };
        page
    }
}

impl Deref for PageBox {
    type Target = Page;

    fn deref(&self) -> &Page {
        // SAFETY: a page, complete, and ours to free (`from_raw`).
        unsafe { self.page.as_ref() }
    }
}

impl Drop for PageBox {
    fn drop(&mut self) {
        let spill = self.take_spill();
        let bytes = size_of_val(&**self);
        // SAFETY: a page that is dropped has no readers. The spill is from a box (`take_spill`);
        // the page is from this arena with this size (`Page::new`), and `self` was what would free it.
        unsafe {
            if let Some(spill) = spill {
                drop(Box::from_raw(spill.as_ptr()));
            }
            ptr::drop_in_place(self.page.as_ptr());
            self.arena.free(self.page.cast(), bytes);
        }
    }
}
