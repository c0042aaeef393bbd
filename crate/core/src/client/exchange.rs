//! What an exchange holds until its response has been read, and the verdict on its connection then.

use std::rc::Rc;

use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::keepalive::Hint;
use ferropool_policy::ledger::Discard;

use super::multiplexed::Pump;
use super::upload::Source;
use super::way::Way;
use crate::pool::Leased;

/// An exchange whose head is there.
pub(super) struct Exchange {
    pub(super) leased: Leased,
    pub(super) way: Way,
    /// What sends the rest of the request's body, on a stream.
    pub(super) pump: Option<Pump>,
    /// What in either head speaks against using the connection again, if anything does.
    pub(super) against: Option<Discard>,
    pub(super) hint: Hint,
    pub(super) source: Option<Rc<Source>>,
}

impl Exchange {
    /// The body is over; `complete` if it ended by its own framing.
    pub(super) fn end(mut self, complete: bool) {
        let sent = !self.way.write_blocked() && self.source.as_ref().is_none_or(|source| source.is_handed());
        if !sent && let Some(source) = &self.source {
            // An early answer leaves the upload unfinished: hyper would go on with it (THR-317).
            source.stop();
        }
        drop(self.pump.take());
        match self.against {
            None if complete && sent => {
                self.leased.heard(self.hint);
                self.leased.keep();
            }
            against => self.leased.discard(against.unwrap_or(Discard::NotReusable)),
        }
    }

    /// It broke off.
    pub(super) fn fail(self, error: Error) -> Error {
        fail(self.leased, error)
    }

    /// Nobody wants the rest.
    pub(super) fn abandon(self) {
        self.leased.discard(Discard::Abandoned);
    }
}

/// Lets go of a connection whose exchange failed; the error says if `close` was the reason.
pub(super) fn fail(held: Leased, error: Error) -> Error {
    let error = if held.was_forced() {
        Error::new(Kind::PoolClosed, "Pool is closed.").in_phase(error.fields().phase.unwrap_or(Phase::Total))
    } else {
        error
    };
    held.discard(match error.kind() {
        Kind::TooLarge => Discard::Aborted,
        Kind::ReadTimeout | Kind::SendTimeout | Kind::UnreadTimeout => Discard::TimedOut,
        _ => Discard::Failed,
    });
    error
}
