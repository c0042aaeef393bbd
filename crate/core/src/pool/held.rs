//! A lease is a guard: whatever happens to a request, its slot comes back, and its connection with it only when nothing is
//! in doubt.

use std::rc::Rc;
use std::time::Duration;

use ferropool_policy::error::Error;
use ferropool_policy::ledger::{Discard, Lease, Life, Returned};

use super::stream_lease::StreamLease;
use super::{Pool, internal};
use crate::clock::now;
use crate::conn::connection::{Connection, Sender};

/// What a request goes out on.
pub enum Leased {
    /// A connection of its own.
    Alone(Held),
    /// A stream of a connection that others use too.
    Stream(StreamLease),
}

/// How long making a connection took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// The name; `None` where there was nothing to look up.
    pub dns: Option<Duration>,
    /// The socket.
    pub connect: Duration,
    /// What was said to a proxy, its handshake of TLS included; `None` without one.
    pub proxy: Option<Duration>,
    /// The handshake of TLS; `None` without.
    pub tls: Option<Duration>,
}

impl Spans {
    /// All of it.
    pub fn sum(&self) -> Duration {
        self.dns.unwrap_or_default() + self.connect + self.proxy.unwrap_or_default() + self.tls.unwrap_or_default()
    }
}

impl Leased {
    /// An exchange begins on it.
    pub fn begin_exchange(&mut self) {
        match self {
            Self::Alone(held) => held.begin_exchange(),
            Self::Stream(stream) => stream.begin_exchange(),
        }
    }

    /// Whether its connection had carried an exchange before.
    pub fn reused(&self) -> bool {
        match self {
            Self::Alone(held) => held.reused,
            Self::Stream(stream) => stream.reused,
        }
    }

    /// How long the dial took, if there was one for this request.
    pub fn dial(&self) -> Option<Spans> {
        match self {
            Self::Alone(held) => held.dial,
            Self::Stream(stream) => stream.dial,
        }
    }

    /// Takes note of whether leniency repaired a response's head.
    pub fn count_repair(&self, repaired: bool) {
        self.pool().stats.repaired.add(u64::from(repaired));
    }

    /// Takes note of a response's decoded bytes, and of those behind its coded ones.
    pub fn count_decoded(&self, decoded: u64, trailing: u64) {
        let stats = &self.pool().stats;
        stats.decoded.add(decoded);
        stats.trailing.add(trailing);
    }

    /// Whether `close` cut this lease off.
    pub fn was_forced(&self) -> bool {
        self.pool().was_forced()
    }

    /// Learns what the server said about keeping the connection.
    pub fn heard(&mut self, hint: ferropool_policy::keepalive::Hint) {
        if let Self::Alone(held) = self {
            held.life.learn(hint);
        }
    }

    /// The exchange ended by its own framing and nothing is in doubt.
    pub fn keep(self) {
        match self {
            Self::Alone(held) => held.keep(),
            Self::Stream(stream) => stream.end(),
        }
    }

    /// The connection, or the stream, must not be used again.
    pub fn discard(self, why: Discard) {
        match self {
            Self::Alone(held) => held.discard(why),
            Self::Stream(stream) => stream.give_up(why),
        }
    }

    fn pool(&self) -> &Rc<Pool> {
        match self {
            Self::Alone(held) => &held.pool,
            Self::Stream(stream) => &stream.pool,
        }
    }
}

/// A slot that is held, with its connection. Dropped, it closes the connection and gives the slot back.
pub struct Held {
    pub(super) pool: Rc<Pool>,
    pub(super) lease: Option<Lease>,
    pub(super) life: Life,
    pub(super) connection: Option<Connection>,
    /// Whether the connection has carried an exchange before.
    pub reused: bool,
    /// How long the dial took, if there was one.
    pub dial: Option<Spans>,
}

impl Held {
    /// A slot in which nothing is yet.
    pub(super) fn empty(pool: Rc<Pool>, lease: Lease) -> Self {
        let life = Life::new(now());
        Self { pool, lease: Some(lease), life, connection: None, reused: false, dial: None }
    }

    /// Whether its connection carries streams.
    pub(super) fn is_shared(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| matches!(connection.sender, Sender::Http2(_)))
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

    /// The exchange ended by its own framing and nothing is in doubt.
    pub fn keep(mut self) {
        // The driver may have ended with the response's last byte, when no sweep could find this connection idle.
        if let Some(connection) = self.connection.as_ref().filter(|connection| connection.is_over()) {
            let why = connection.why_over();
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
            connection.close(if self.pool.was_forced() { Discard::PoolClosed } else { why });
        }
        if let Some(lease) = self.lease.take() {
            self.pool.give_back(lease, Returned::Gone(why));
        }
    }

    pub(super) fn count_wire(&self) {
        if let Some(connection) = &self.connection {
            let (inward, outward) = connection.tap.take_wire();
            self.pool.stats.wire_in.add(inward);
            self.pool.stats.wire_out.add(outward);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let why = if self.connection.is_some() { Discard::Aborted } else { Discard::Failed };
        self.end(why);
    }
}
