//! The end of a pool: work is refused at once, leases may end, and what has not ended in time is cut off.

use std::rc::Rc;
use std::time::{Duration, Instant};

use ferropool_policy::ledger::{Discard, Figures};
use tokio::time::timeout_at;

use super::Pool;
use crate::clock::now;
use crate::conn::connection::Connection;

/// What came of `close`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CloseReport {
    /// Connections closed in all.
    pub closed: u64,
    /// Leases that ended by themselves; a stream is one.
    pub drained: u64,
    /// Leases that were cut off when the time was up.
    pub forced: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Pool {
    /// Waits, until `until` at most, for the leases that were there when the pool was closed; `before` is what
    /// [`Pool::close_now`] gave.
    pub async fn drain(self: &Rc<Self>, before: Figures, until: Option<Instant>) -> CloseReport {
        let began = now();
        let leased = u64::from(before.leased);
        let ended = async {
            loop {
                let drained = self.drained.notified();
                if self.figures().leased == 0 {
                    break;
                }
                drained.await;
            }
        };
        tokio::pin!(ended);
        match until {
            None => ended.await,
            Some(at) => {
                if timeout_at(at.into(), ended.as_mut()).await.is_err() {
                    self.force();
                    // They end by themselves now, in a turn or two; the report counts them.
                    let _ = tokio::time::timeout(ENDING, ended).await;
                }
            }
        }
        // Whoever else waits for the same end may have cut them off.
        let forced = self.forced.get().unwrap_or_default().min(leased);
        CloseReport {
            closed: self.figures().closed.saturating_sub(before.closed),
            drained: leased.saturating_sub(forced),
            forced,
            elapsed: now().saturating_duration_since(began),
        }
    }

    /// Stops taking work at once: idle connections close, waiters are turned away. The figures before that; whoever held a
    /// slot but waited for leave to dial in it is a waiter. `leased` counts streams, not the connections that carry them.
    pub fn close_now(&self) -> Figures {
        let mut before = self.figures();
        before.leased = self.leases().saturating_sub(self.group.waiting_of(self.member));
        let closing = self.ledger.borrow_mut().close();
        let mut idle = closing.idle;
        lay_down(&mut idle);
        for ticket in closing.waiters {
            let seat = self.seats.borrow_mut().remove(&ticket);
            if let Some(seat) = seat {
                seat.turn_away();
            }
        }
        self.turn_streams_away();
        self.group.turn_away(self.member);
        self.closing.notify_waiters();
        self.sync();
        before
    }

    /// Lets the idle connections go; calls in flight keep theirs.
    pub fn close_idle(&self) {
        let mut gone = Vec::new();
        self.ledger.borrow_mut().discard_idle(Discard::Evicted, |_, _| true, &mut gone);
        lay_down(&mut gone);
        self.sync();
    }

    fn force(&self) {
        // A closed pool gives no more leases: whoever cuts first cuts them all.
        if !self.was_forced() {
            self.forced.set(Some(u64::from(self.leases())));
        }
        self.cut.notify_waiters();
        let live: Vec<_> = self.live.borrow().values().cloned().collect();
        for driver in live {
            driver.abort();
        }
    }

    pub(crate) async fn until_forced(&self) {
        let cut = self.cut.notified();
        if !self.was_forced() {
            cut.await;
        }
    }
}

/// Closes these, each for its reason.
pub(super) fn lay_down(dead: &mut Vec<(Connection, Discard)>) {
    for (connection, why) in dead.drain(..) {
        connection.close(why);
    }
}

/// How long `close` waits for leases that it has cut off.
const ENDING: Duration = Duration::from_secs(1);
