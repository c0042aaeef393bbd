//! A pool's figures at one moment, as plain numbers.

use std::fmt;

/// What a pool holds now and has done so far.
///
/// At all times `opened == closed + idle + leased - dialling`: a lease counts from the moment that its slot is taken,
/// its connection from the moment that dialling ended. So while nothing is being dialled, `opened` is `closed + idle +
/// leased`; and a connection counts as closed when the ledger has given it away to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Open and held by nobody.
    pub idle: u32,
    /// Slots held, those whose connection is still being dialled included.
    pub leased: u32,
    /// Among `leased`: those that have no connection yet.
    pub dialling: u32,
    /// Requests that wait for a slot.
    pub waiting: u32,
    /// As in the pool's bounds.
    pub maxsize: u32,
    /// Connections that finished dialling.
    pub opened: u64,
    /// Connections closed, for whatever reason.
    pub closed: u64,
    /// How often a connection that had carried a request was given out for another, and was not stale.
    pub reused: u64,
    /// Among `closed`: those that came back while `maxsize` were idle.
    pub surplus: u64,
    /// Among `closed`: those on which the server sent bytes nobody had asked for.
    pub poisoned: u64,
    /// Among `closed`: those whose response was left unread.
    pub abandoned: u64,
    /// Among `closed`: those whose response had to be repaired.
    pub repaired: u64,
    /// Among `closed`: all but surplus and those closed with the pool.
    pub discarded: u64,
}

/// One line: `2 leased, 1 idle, 3 waiting of 4`.
impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leased, idle, waiting, maxsize, .. } = self;
        write!(formatter, "{leased} leased, {idle} idle, {waiting} waiting of {maxsize}")
    }
}
