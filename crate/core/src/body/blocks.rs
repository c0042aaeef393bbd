//! Blocks of memory for bodies that arrive in bulk: what JavaScript has let go of is filled again.
//!
//! JavaScript lets go late, tens of mebibytes at a time. Left to the allocator, a download held twice what was alive and
//! faulted its pages in anew; and hyper's own buffer, handed over, is a fresh and cold one for each read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Blocks that are free, for as long as somebody uses some.
#[derive(Debug, Default)]
pub struct Blocks {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: Vec<Vec<u8>>,
    users: usize,
}

/// A block with something in it. Dropped, on whatever thread, it is free again.
#[derive(Debug)]
pub struct Block {
    bytes: Vec<u8>,
    home: Arc<Blocks>,
}

/// While one is held, free blocks are kept.
#[derive(Debug)]
pub struct User(Arc<Blocks>);

impl Blocks {
    /// Somebody is about to need blocks.
    pub fn enter(self: &Arc<Self>) -> User {
        self.lock().users += 1;
        User(Arc::clone(self))
    }

    fn take_back(&self, mut bytes: Vec<u8>) {
        let mut state = self.lock();
        if state.users > 0 && state.free.len() < MOST_FREE {
            bytes.clear();
            state.free.push(bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl User {
    /// An empty block.
    pub fn block(&self) -> Block {
        let free = self.0.lock().free.pop();
        Block { bytes: free.unwrap_or_else(|| Vec::with_capacity(SIZE)), home: Arc::clone(&self.0) }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.users -= 1;
        if state.users == 0 {
            let free = std::mem::take(&mut state.free);
            drop(state);
            drop(free);
        }
    }
}

impl Block {
    /// Fills in from `from` what there is room for; how much.
    pub fn fill(&mut self, from: &[u8]) -> usize {
        let room = SIZE - self.bytes.len();
        let taken = &from[..from.len().min(room)];
        self.bytes.extend_from_slice(taken);
        taken.len()
    }

    /// What was filled in.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, for whoever it is handed to.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Whether so little is in it that a copy would be better kept than the block.
    pub fn is_sparse(&self) -> bool {
        self.bytes.len() < SIZE / 2
    }

    /// Whether there is no more room.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= SIZE
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.home.take_back(std::mem::take(&mut self.bytes));
    }
}

/// Bytes of a block: large enough that waking JavaScript for each costs little of it.
const SIZE: usize = 512 * 1024;
/// Blocks kept: V8 lets go of 32 MiB at a time.
const MOST_FREE: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_was_let_go_of_is_filled_again_and_none_outlives_its_users() {
        let blocks = Arc::new(Blocks::default());
        let user = blocks.enter();
        let mut block = user.block();
        assert_eq!(block.fill(&[1; 10]), 10);
        assert!(block.is_sparse() && !block.is_full());
        assert_eq!(block.fill(&vec![2; SIZE]), SIZE - 10);
        assert!(block.is_full() && !block.is_sparse());
        let at = block.as_slice().as_ptr();
        drop(block);
        let again = user.block();
        assert!(again.as_slice().is_empty());
        assert_eq!(again.as_slice().as_ptr(), at);
        drop(user);
        drop(again);
        assert_eq!(blocks.lock().free.len(), 0);
    }
}
