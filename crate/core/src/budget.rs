//! One bound on what an engine has read for JavaScript and JavaScript has not taken: past it streams are not read, so
//! their peers stop sending.
//!
//! A stream of which nothing lies around may always read on. Otherwise streams that nobody reads could use everything up,
//! and one that is being read would wait for them for ever.

use std::cell::Cell;

use tokio::sync::Notify;

/// Bytes that may lie around (all, until somebody says how many), and those that do.
#[derive(Debug)]
pub struct Budget {
    most: Cell<u64>,
    held: Cell<u64>,
    freed: Notify,
}

impl Default for Budget {
    fn default() -> Self {
        Self { most: Cell::new(u64::MAX), held: Cell::new(0), freed: Notify::new() }
    }
}

impl Budget {
    /// From now on so many.
    pub fn set(&self, most: u64) {
        self.most.set(most);
        self.freed.notify_waiters();
    }

    /// Bytes that lie around.
    pub fn held(&self) -> u64 {
        self.held.get()
    }

    /// Whether there is room for somebody of whose bytes `own` lie around.
    pub fn has_room(&self, own: &Cell<u64>) -> bool {
        own.get() == 0 || self.held.get() < self.most.get()
    }

    /// Waits until there is.
    pub async fn room(&self, own: &Cell<u64>) {
        while !self.has_room(own) {
            self.freed.notified().await;
        }
    }

    /// So many more.
    pub fn take(&self, bytes: u64) {
        self.held.set(self.held.get() + bytes);
    }

    /// So many less.
    pub fn give(&self, bytes: u64) {
        let was = self.held.get();
        self.held.set(was.saturating_sub(bytes));
        if was >= self.most.get() && bytes > 0 {
            self.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn is_ready(work: impl Future) -> bool {
        matches!(pin!(work).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
    }

    #[test]
    fn past_the_budget_only_who_has_nothing_may_read() {
        let budget = Budget::default();
        let (some, none) = (Cell::new(1), Cell::new(0));
        budget.set(100);
        budget.take(99);
        assert!(is_ready(budget.room(&some)));
        budget.take(1);
        assert!(!is_ready(budget.room(&some)));
        assert!(is_ready(budget.room(&none)));
        budget.give(1);
        assert!(is_ready(budget.room(&some)));
        assert_eq!(budget.held(), 99);
    }
}
