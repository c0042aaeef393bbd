//! A stream's place on a connection that others use too, as a guard: however its exchange ends, its slot comes back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use ferropool_policy::error::Error;
use ferropool_policy::ledger::Discard;
use h2::client::SendRequest;

use super::held::{Held, Spans};
use super::{Pool, internal};
use crate::clock::now;
use crate::conn::connection::ConnectionInfo;
use crate::conn::http2::Multiplexed;
use crate::conn::tap::Tap;

/// A connection that carries streams.
pub(super) struct Carrier {
    /// Its lease, until it is idle again or gone.
    pub(super) held: RefCell<Option<Held>>,
    pub(super) info: Rc<ConnectionInfo>,
    pub(super) tap: Rc<Tap>,
    pub(super) shared: Rc<Multiplexed>,
    /// Exchanges that it has carried since it is here.
    pub(super) used: Cell<u32>,
}

/// What the ledger does not see, because it happens on connections that stay leased.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamCounts {
    pub(super) reused: u64,
    pub(super) abandoned: u64,
}

/// A slot on a connection that others use too. Dropped, its stream has been given up, and the others go on.
pub struct StreamLease {
    pub(super) pool: Rc<Pool>,
    pub(super) carrier: Option<Rc<Carrier>>,
    /// Whether the connection has carried an exchange before.
    pub reused: bool,
    /// How long the dial took, if there was one for this request.
    pub dial: Option<Spans>,
}

impl StreamLease {
    /// Facts about the connection.
    pub fn info(&self) -> Option<Rc<ConnectionInfo>> {
        self.carrier.as_ref().map(|carrier| Rc::clone(&carrier.info))
    }

    /// What is known of its bytes.
    pub fn tap(&self) -> Option<Rc<Tap>> {
        self.carrier.as_ref().map(|carrier| Rc::clone(&carrier.tap))
    }

    /// A handle for the request.
    ///
    /// # Errors
    /// A bug of ours.
    pub fn sender(&self) -> Result<SendRequest<Bytes>, Error> {
        let carrier = self.carrier.as_ref().ok_or_else(|| internal("a stream has no connection"))?;
        Ok(carrier.shared.sender())
    }

    /// The caller wants nobody else on its connection from here on (`Connection: close`).
    pub fn be_last(&self) {
        if let Some(carrier) = &self.carrier {
            self.pool.drain_carrier(carrier.info.id);
        }
    }

    pub(super) fn begin_exchange(&mut self) {
        let Some(carrier) = &self.carrier else { return };
        // Of the first one the ledger knows whether the connection had been used before.
        let before = carrier.used.replace(carrier.used.get().saturating_add(1));
        if before > 0 {
            self.reused = true;
            let counts = self.pool.stream_counts.get();
            self.pool.stream_counts.set(StreamCounts { reused: counts.reused + 1, ..counts });
        }
        let spent = carrier.held.borrow_mut().as_mut().is_some_and(|held| {
            held.begin_exchange();
            self.pool.ledger.borrow().is_spent(&held.life, now())
        });
        if spent {
            self.be_last();
        }
    }

    /// The exchange is over.
    pub(super) fn end(mut self) {
        self.release();
    }

    /// It is given up: what there is of the stream is reset when its handles go.
    pub(super) fn give_up(mut self, why: Discard) {
        if matches!(why, Discard::Abandoned | Discard::Aborted) {
            self.count_abandoned();
        }
        self.release();
    }

    fn count_abandoned(&self) {
        let counts = self.pool.stream_counts.get();
        self.pool.stream_counts.set(StreamCounts { abandoned: counts.abandoned + 1, ..counts });
    }

    fn release(&mut self) {
        if let Some(carrier) = self.carrier.take() {
            self.pool.stream_ended(&carrier);
        }
    }
}

impl Drop for StreamLease {
    fn drop(&mut self) {
        if self.carrier.is_some() {
            self.count_abandoned();
        }
        self.release();
    }
}
