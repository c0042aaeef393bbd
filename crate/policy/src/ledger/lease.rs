//! What the ledger answers: the slot that somebody holds, and what there is to do at checkout, at release and at closing.
//! Plain data; who gets what is decided in [`Ledger`].

#[cfg(doc)]
use super::Ledger;
use super::discard::Discard;
use super::life::Life;
use super::queue::Ticket;

/// A slot held. It goes back by [`Ledger::release`], exactly once: a lease that was released is gone.
///
/// ```compile_fail,E0382
/// # use ferropool_policy::ledger::{Discard, Lease, Ledger, Returned};
/// fn twice(ledger: &mut Ledger<()>, lease: Lease, now: std::time::Instant) {
///     let _ = ledger.release(lease, Returned::Gone(Discard::Failed), now);
///     let _ = ledger.release(lease, Returned::Gone(Discard::Failed), now);
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a lease that is dropped takes its slot out of the pool for ever"]
pub struct Lease {
    pub(super) holds: Holds,
}

impl Lease {
    /// What it held; the slot is the ledger's again.
    pub(super) fn give_up(self) -> Holds {
        self.holds
    }
}

/// The answer to a request that needs a connection.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Checkout<C> {
    /// Use this idle connection, after a look whether it is still alive ([`Ledger::retake`] if not).
    Use(Lease, C, Life),
    /// Make a connection; [`Ledger::dialled`] when it is made.
    Dial(Lease),
    /// Every slot is taken: wait until a release grants this ticket, or cancel it.
    Wait(Ticket),
    /// Every slot is taken and as many wait as may.
    Full,
    /// The pool is closed.
    Closed,
}

/// What a lease brings back.
#[derive(Debug, PartialEq, Eq)]
pub enum Returned<C> {
    /// A connection that can carry another request, as far as its last exchange says.
    Reusable(C, Life),
    /// No connection: the caller closed it, or never had one, for this reason.
    Gone(Discard),
}

/// What there is to do after something came back.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Released<C> {
    /// Close this connection.
    pub close: Option<(C, Discard)>,
    /// Wake this waiter with what it was granted.
    pub grant: Option<(Ticket, Granted<C>)>,
}

/// What a waiter is given. If nobody is there to take it any more, the lease is to be released.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Granted<C> {
    /// A connection straight from its last user.
    Use(Lease, C, Life),
    /// A slot to make a connection in.
    Dial(Lease),
}

/// What a pool lets go when it closes.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Closing<C> {
    /// To be closed.
    pub idle: Vec<(C, Discard)>,
    /// To be told that the pool is closed, in the order they came.
    pub waiters: Vec<Ticket>,
}

/// What a lease holds beside its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Its connection is being dialled.
    Nothing,
    /// A connection that had carried no request when it was given out.
    Fresh,
    /// A connection that was counted as reused.
    Reused,
}
