//! Waiting for a slot: a seat in the pool's queue, where whoever releases one leaves what it grants.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use ferropool_policy::ledger::{Granted, Ticket};

use super::Pool;
use crate::conn::http1::Connection;

/// Where a waiter finds what it was given.
pub(super) struct Seat {
    granted: Cell<Option<Granted<Connection>>>,
    waker: Cell<Option<Waker>>,
    turned_away: Cell<bool>,
    pub(super) since: Instant,
}

impl Seat {
    pub(super) fn new(since: Instant) -> Rc<Self> {
        Rc::new(Self { granted: Cell::new(None), waker: Cell::new(None), turned_away: Cell::new(false), since })
    }

    pub(super) fn give(&self, granted: Granted<Connection>) {
        self.granted.set(Some(granted));
        self.wake();
    }

    pub(super) fn turn_away(&self) {
        self.turned_away.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Waiting for one's turn; dropped early, the turn goes to the next.
pub(super) struct Waiting<'p> {
    pub(super) pool: &'p Pool,
    pub(super) ticket: Ticket,
    pub(super) seat: Rc<Seat>,
}

impl Waiting<'_> {
    pub(super) async fn granted(&self) -> Option<Granted<Connection>> {
        std::future::poll_fn(|cx| {
            if let Some(granted) = self.seat.granted.take() {
                return Poll::Ready(Some(granted));
            }
            if self.seat.turned_away.get() {
                return Poll::Ready(None);
            }
            self.seat.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pool.seats.borrow_mut().remove(&self.ticket);
        self.pool.ledger.borrow_mut().cancel(self.ticket);
        if let Some(granted) = self.seat.granted.take() {
            self.pool.take_back(granted);
        }
        self.pool.sync();
    }
}
