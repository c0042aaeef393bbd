//! Waiting for one's turn: a seat where whoever has something to give leaves it.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use ferropool_policy::ledger::{Granted, Ticket};

use super::Pool;
use crate::conn::connection::Connection;

/// Where a waiter finds what it was given.
pub(super) struct Seat<G> {
    granted: Cell<Option<G>>,
    waker: Cell<Option<Waker>>,
    turned_away: Cell<bool>,
    pub(super) since: Instant,
    /// Its place in the order of all calls of its group.
    pub(super) arrival: u64,
}

impl<G> Seat<G> {
    pub(super) fn new(since: Instant, arrival: u64) -> Rc<Self> {
        Rc::new(Self {
            granted: Cell::new(None),
            waker: Cell::new(None),
            turned_away: Cell::new(false),
            since,
            arrival,
        })
    }

    pub(super) fn give(&self, granted: G) {
        self.granted.set(Some(granted));
        self.wake();
    }

    pub(super) fn turn_away(&self) {
        self.turned_away.set(true);
        self.wake();
    }

    /// What was given and not taken.
    pub(super) fn take(&self) -> Option<G> {
        self.granted.take()
    }

    /// Waits; `None` if it was turned away.
    pub(super) async fn granted(&self) -> Option<G> {
        std::future::poll_fn(|cx| {
            if let Some(granted) = self.granted.take() {
                return Poll::Ready(Some(granted));
            }
            if self.turned_away.get() {
                return Poll::Ready(None);
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Waiting in a pool's own queue; dropped early, the turn goes to the next.
pub(super) struct Waiting<'p> {
    pub(super) pool: &'p Pool,
    pub(super) ticket: Ticket,
    pub(super) seat: Rc<Seat<Granted<Connection>>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pool.seats.borrow_mut().remove(&self.ticket);
        self.pool.ledger.borrow_mut().cancel(self.ticket);
        if let Some(granted) = self.seat.take() {
            self.pool.take_back(granted);
        }
        self.pool.sync();
    }
}
