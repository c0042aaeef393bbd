//! A lease is a guard: whatever happens to a request, its slot comes back, and its connection with it only when nothing is
//! in doubt.

use std::rc::Rc;
use std::time::Duration;

use ferropool_policy::error::Error;
use ferropool_policy::ledger::{Discard, Lease, Life, Returned};

use super::{Pool, internal, why_ended};
use crate::clock::now;
use crate::conn::http1::Connection;
use crate::conn::tap::Peek;

/// A slot that is held, with its connection. Dropped, it closes the connection and gives the slot back.
pub struct Held {
    pub(super) pool: Rc<Pool>,
    pub(super) lease: Option<Lease>,
    pub(super) life: Life,
    pub(super) connection: Option<Connection>,
    /// Whether the connection has carried an exchange before.
    pub reused: bool,
    /// How long the dial took, if there was one: dns, connect.
    pub dial: Option<(Option<Duration>, Duration)>,
}

impl Held {
    /// A slot in which nothing is yet.
    pub(super) fn empty(pool: Rc<Pool>, lease: Lease) -> Self {
        let life = Life::new(now());
        Self { pool, lease: Some(lease), life, connection: None, reused: false, dial: None }
    }

    /// The connection. A held slot has one from the moment that it is given to the caller.
    pub fn connection(&mut self) -> Result<&mut Connection, Error> {
        self.connection.as_mut().ok_or_else(|| internal("a held slot has no connection"))
    }

    /// An exchange begins on it.
    pub fn begin_exchange(&mut self) {
        self.life.begin();
        self.pool.stats.requests.add(1);
    }

    /// Takes note of whether leniency repaired a response's head.
    pub fn count_repair(&self, repaired: bool) {
        self.pool.stats.repaired.add(u64::from(repaired));
    }

    /// Takes note of a response's decoded bytes.
    pub fn count_decoded(&self, decoded: u64) {
        self.pool.stats.decoded.add(decoded);
    }

    /// Whether `close` cut this lease off.
    pub fn was_forced(&self) -> bool {
        self.pool.was_forced()
    }

    /// Learns what the server said about keeping the connection.
    pub fn heard(&mut self, hint: ferropool_policy::keepalive::Hint) {
        self.life.learn(hint);
    }

    /// The exchange ended by its own framing and nothing is in doubt.
    pub fn keep(mut self) {
        // The driver may have ended with the response's last byte, when no sweep could find this connection idle.
        if let Some(connection) = self.connection.as_ref().filter(|connection| connection.sender.is_closed()) {
            let why = why_ended(connection);
            return self.end(why);
        }
        self.count_wire();
        if let (Some(lease), Some(connection)) = (self.lease.take(), self.connection.take()) {
            connection.tap.rest();
            self.pool.give_back(lease, Returned::Reusable(connection, self.life));
        }
    }

    /// The connection must not be used again.
    pub fn discard(mut self, why: Discard) {
        self.end(why);
    }

    fn end(&mut self, why: Discard) {
        self.count_wire();
        if let Some(connection) = self.connection.take() {
            // What `close` cut off failed of nothing else.
            connection.close(if self.was_forced() { Discard::PoolClosed } else { why });
        }
        if let Some(lease) = self.lease.take() {
            self.pool.give_back(lease, Returned::Gone(why));
        }
    }

    fn count_wire(&self) {
        if let Some(connection) = &self.connection {
            let (inward, outward) = connection.tap.take_wire();
            self.pool.stats.wire_in.add(inward);
            self.pool.stats.wire_out.add(outward);
        }
    }

    /// Why the connection cannot be used, if it cannot: hyper's word first, then a look at the socket itself (THR-303).
    pub(super) async fn stale(&mut self) -> Option<Discard> {
        let connection = self.connection.as_mut()?;
        if !connection.sender.is_ready() && connection.sender.ready().await.is_err() {
            return Some(why_ended(connection));
        }
        match connection.tap.peek() {
            Peek::Quiet => None,
            Peek::Readable => Some(Discard::Poisoned),
            Peek::Closed => Some(Discard::PeerClosed),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let why = if self.connection.is_some() { Discard::Aborted } else { Discard::Failed };
        self.end(why);
    }
}
