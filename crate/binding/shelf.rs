//! A shelf in front of the allocator, for the buffers that large bodies are read into and that JavaScript holds for a while.
//!
//! V8 lets go of them late and tens of mebibytes at a time, on another thread than the one that fills them. The allocator
//! alone then held twice what was alive, and gave pages back that were faulted in again a moment later.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buffers that nobody uses, as addresses: the allocator in `ffi.rs` knows what lies there.
pub(crate) struct Shelf {
    state: Mutex<State>,
}

struct State {
    /// In place: an allocator is not to allocate more than it is asked for.
    places: [usize; PLACES],
    used: usize,
    users: usize,
}

impl Shelf {
    pub(crate) const fn new() -> Self {
        Self { state: Mutex::new(State { places: [0; PLACES], used: 0, users: 0 }) }
    }

    /// The buffer that was put down last: the warmest.
    pub(crate) fn take(&self) -> Option<usize> {
        let mut state = self.lock();
        state.used = state.used.checked_sub(1)?;
        Some(state.places[state.used])
    }

    /// Whether it was put down: only while somebody reads a large body, and while there is a place.
    pub(crate) fn put(&self, buffer: usize) -> bool {
        let mut state = self.lock();
        let at = state.used;
        if state.users == 0 || at == PLACES {
            return false;
        }
        state.places[at] = buffer;
        state.used += 1;
        true
    }

    fn enter(&self) {
        self.lock().users += 1;
    }

    /// Whether that was the last user, so that the shelf is to be cleared.
    fn leave(&self) -> bool {
        let mut state = self.lock();
        state.users = state.users.saturating_sub(1);
        state.users == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While one is held, buffers are kept.
pub(crate) struct KeptBuffers(());

impl KeptBuffers {
    pub(crate) fn new() -> Self {
        SHELF.enter();
        Self(())
    }
}

impl Drop for KeptBuffers {
    fn drop(&mut self) {
        if SHELF.leave() {
            crate::ffi::clear_shelf();
        }
    }
}

/// The process's: its allocator is one too.
pub(crate) static SHELF: Shelf = Shelf::new();

/// Whether an allocation of this size is such a buffer: hyper's largest read, whatever the head may be.
pub(crate) const fn is_buffer(size: usize) -> bool {
    size > LEAST && size <= BUFFER
}

/// Bytes of each, so that any serves any.
pub(crate) const BUFFER: usize = 520 * 1024;
const LEAST: usize = 384 * 1024;
/// V8 lets go of 32 MiB at a time.
const PLACES: usize = 96;
