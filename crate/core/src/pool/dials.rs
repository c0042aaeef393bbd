//! How long a pool's callers have dialled for those who want streams: what whoever waits for a stream measures its `connect`
//! by. While the one who is to dial waits for a slot itself, or for the manager's bound, nobody connects.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::clock::now;

/// A caller's `connect`, and how much of it has gone by while somebody else dialled for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) most: Duration,
    spent: Duration,
}

impl Patience {
    pub(super) fn whole(most: Duration) -> Self {
        Self { most, spent: Duration::ZERO }
    }

    pub(super) fn less(most: Duration, spent: Duration) -> Self {
        Self { most, spent }
    }

    /// For a dial of its own: at least so much that it is tried.
    pub(super) fn left(self) -> Duration {
        self.most.saturating_sub(self.spent).max(LEAST)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Dials {
    /// While at least one is under way.
    since: Cell<Option<Instant>>,
    under_way: Cell<u32>,
    before: Cell<Duration>,
}

/// One of them, until it is dropped.
pub(super) struct Dialling<'d>(&'d Dials);

impl Dials {
    /// All in all; what two do at a time is counted once.
    pub(super) fn so_far(&self, now: Instant) -> Duration {
        let current = self.since.get().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.before.get() + current
    }

    /// When to look again at whether so much of `connect` has gone by: at once after that, or in a while where nobody dials.
    pub(super) fn look_again(&self, most: Duration, waited: Duration) -> Duration {
        most.saturating_sub(waited).max(if self.under_way.get() == 0 { PAUSE } else { LEAST })
    }

    pub(super) fn begin(&self, now: Instant) -> Dialling<'_> {
        if self.since.get().is_none() {
            self.since.set(Some(now));
        }
        self.under_way.set(self.under_way.get() + 1);
        Dialling(self)
    }
}

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        let left = self.0.under_way.get() - 1;
        self.0.under_way.set(left);
        if left == 0 {
            self.0.before.set(self.0.so_far(now()));
            self.0.since.set(None);
        }
    }
}

const LEAST: Duration = Duration::from_millis(1);
const PAUSE: Duration = Duration::from_millis(50);
