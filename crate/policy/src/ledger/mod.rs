//! The pool as pure state: who holds a slot, who waits for one, which connections are idle. Each event is a method that
//! changes the state and returns what there is to do (use, dial, close, wake somebody); nobody waits in here, and the
//! connections are moved through unseen. Wakers, sockets and the texts of errors are the caller's.
//!
//! ```text
//!   checkout ─┬─ one is idle ──────────► Use ──┬─ lease ─► release ─┬─ reusable, a waiter ─► grant Use
//!             ├─ room, or not blocking ► Dial ─┤    │               ├─ reusable, room ─────► idle
//!             ├─ else ─────────────────► Wait  └────┘               ├─ reusable, no room ──► close
//!             └─ too many wait ────────► Full  retake: stale,       └─ gone, a waiter ─────► grant Dial
//!                                              same slot
//! ```
//!
//! What holds after each call:
//! - `opened == closed + idle + leased - dialling` (see [`Figures`]);
//! - at most `maxsize` are idle, and in a blocking pool at most `maxsize` are idle or leased;
//! - somebody waits only while every slot is leased and none idle, so a newcomer can never overtake;
//! - once closed, nothing is idle and nobody waits.

mod discard;
mod figures;
mod lease;
mod life;
mod queue;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_life;

use std::fmt;
use std::time::Instant;

use discard::Tally;
use lease::Holds;
use life::Fate;

pub use discard::Discard;
pub use figures::Figures;
pub use lease::{Checkout, Closing, Granted, Lease, Released, Returned};
pub use life::{Bounds, Life};
pub(crate) use queue::Queue;
pub use queue::Ticket;

/// The state of one pool. `C` is the caller's handle of a connection; the ledger only moves it.
///
/// Checkout, release and cancelling are O(1) and allocate nothing once the pool has been as busy as it gets.
///
/// ```
/// use ferropool_policy::ledger::{Bounds, Checkout, Ledger, Life, Returned};
/// # #[expect(clippy::disallowed_methods, reason = "an example needs some instant")]
/// # let now = std::time::Instant::now();
/// let bounds = Bounds { maxsize: 1, block: true, max_waiting: 0, idle_timeout: None, max_age: None, max_requests: 0 };
/// let mut ledger = Ledger::new(bounds);
/// let mut expired = Vec::new();
///
/// let Checkout::Dial(mut lease) = ledger.checkout(now, &mut expired) else { panic!("an empty pool dials") };
/// ledger.dialled(&mut lease);
/// let Checkout::Wait(ticket) = ledger.checkout(now, &mut expired) else { panic!("there is one slot only") };
///
/// let released = ledger.release(lease, Returned::Reusable("a connection", Life::new(now)), now);
/// assert_eq!(released.grant.map(|(granted, _)| granted), Some(ticket));
/// assert_eq!(ledger.to_string(), "1 leased, 0 idle, 0 waiting of 1");
/// ```
#[derive(Debug)]
pub struct Ledger<C> {
    bounds: Bounds,
    state: State,
    /// A stack: the last that came back goes out first.
    idle: Vec<Idle<C>>,
    queue: Queue,
    leased: u32,
    dialling: u32,
    opened: u64,
    closed: u64,
    reused: u64,
    tally: Tally,
    /// No idle connection is due before this instant; it may be early, because a connection that was taken since does
    /// not move it.
    next_due: Option<Instant>,
}

impl<C> Ledger<C> {
    /// An open pool without connections.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: State::Open,
            idle: Vec::new(),
            queue: Queue::new(),
            leased: 0,
            dialling: 0,
            opened: 0,
            closed: 0,
            reused: 0,
            tally: Tally::default(),
            next_due: None,
        }
    }

    /// A request needs a connection. Idle ones that are past their time are moved to `expired`, to be closed.
    pub fn checkout(&mut self, now: Instant, expired: &mut Vec<(C, Discard)>) -> Checkout<C> {
        if self.state == State::Closed {
            return Checkout::Closed;
        }
        if let Some((conn, life)) = self.take_idle(now, expired) {
            return Checkout::Use(self.lend(&life), conn, life);
        }
        if !self.bounds.block || self.leased < self.bounds.maxsize {
            return Checkout::Dial(self.lend_room());
        }
        if self.bounds.max_waiting != 0 && self.queue.len() >= self.bounds.max_waiting {
            return Checkout::Full;
        }
        let ticket = self.queue.push();
        self.check();
        ticket.map_or(Checkout::Full, Checkout::Wait)
    }

    /// The leased connection proved stale before anything was written to it, and the caller closes it: the same slot
    /// with another idle connection, or to dial. Never `Wait` or `Full`: the slot is held. Not `Closed` either, after
    /// [`Ledger::close`] too: whoever holds a slot then may finish. (`Closed` answers a lease of another pool.)
    pub fn retake(&mut self, lease: Lease, why: Discard, now: Instant, expired: &mut Vec<(C, Discard)>) -> Checkout<C> {
        if !self.forgo(lease, why) {
            return Checkout::Closed;
        }
        match self.take_idle(now, expired) {
            Some((conn, life)) => Checkout::Use(self.lend(&life), conn, life),
            None => Checkout::Dial(self.lend_room()),
        }
    }

    /// As [`Ledger::retake`], but no idle connection will do: a request that one of them failed without a byte sent goes
    /// out on a fresh one. `Dial`, or `Closed` for a lease of another pool.
    pub fn redial(&mut self, lease: Lease, why: Discard) -> Checkout<C> {
        if self.forgo(lease, why) { Checkout::Dial(self.lend_room()) } else { Checkout::Closed }
    }

    /// Takes a lease back whose connection was never used, so that its slot is free for the moment.
    fn forgo(&mut self, lease: Lease, why: Discard) -> bool {
        let holds = lease.give_up();
        if !self.give_back(holds) {
            return false;
        }
        if holds == Holds::Reused {
            self.reused -= 1;
        }
        self.count_gone(holds, why);
        true
    }

    /// A slot comes back. A connection that can be used on goes straight to the first waiter; otherwise the first
    /// waiter gets the slot to dial in.
    pub fn release(&mut self, lease: Lease, returned: Returned<C>, now: Instant) -> Released<C> {
        let mut holds = lease.give_up();
        if !self.give_back(holds) {
            let close = match returned {
                Returned::Reusable(conn, _) => Some((conn, Discard::Surplus)),
                Returned::Gone(_) => None,
            };
            return Released { close, grant: None };
        }
        let released = match returned {
            Returned::Gone(why) => {
                self.count_gone(holds, why);
                Released { close: None, grant: self.grant_room() }
            }
            Returned::Reusable(conn, life) => {
                debug_assert!(holds != Holds::Nothing, "a connection came back that was never counted as dialled");
                if holds == Holds::Nothing {
                    holds = Holds::Fresh;
                    self.opened += 1;
                }
                self.take_back(holds, conn, life, now)
            }
        };
        self.check();
        released
    }

    /// Who will be granted what is released next.
    #[must_use]
    pub fn first_waiting(&self) -> Option<Ticket> {
        self.queue.first()
    }

    /// A connection goes from the request that used it to another one that holds a slot already, past the ledger's own
    /// waiters: the lease for it. Else the lease comes back, and why its connection is not used on.
    ///
    /// # Errors
    /// The pool is closed, or the connection's time is up.
    pub fn pass_on(&mut self, lease: Lease, life: &Life, now: Instant) -> Result<Lease, (Lease, Discard)> {
        if self.state == State::Closed {
            return Err((lease, Discard::PoolClosed));
        }
        if let Fate::Spent(why) = self.bounds.fate(life, now) {
            return Err((lease, why));
        }
        if !self.give_back(lease.holds) {
            return Err((lease, Discard::Surplus));
        }
        let _ = lease.give_up();
        Ok(self.lend(life))
    }

    /// Whether a connection that is leased is past its time, so that nothing more is to begin on it.
    #[must_use]
    pub fn is_spent(&self, life: &Life, now: Instant) -> bool {
        self.state == State::Closed || matches!(self.bounds.fate(life, now), Fate::Spent(_))
    }

    /// Since when the connection is idle that has been so longest.
    #[must_use]
    pub fn oldest_idle(&self) -> Option<Instant> {
        self.idle.first().map(|idle| idle.since)
    }

    /// Lets go of that connection.
    pub fn evict_oldest(&mut self, why: Discard) -> Option<C> {
        if self.idle.is_empty() {
            return None;
        }
        let evicted = self.idle.remove(0);
        self.count_closed(why);
        self.check();
        Some(evicted.conn)
    }

    /// A waiter gives up. False: its ticket was granted, cancelled or let go before; what was granted has then to be
    /// taken and released by whoever cancels.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        self.queue.remove(ticket)
    }

    /// The connection that the lease was given to dial for is made. To be called once, before its release.
    pub fn dialled(&mut self, lease: &mut Lease) {
        debug_assert!(lease.holds == Holds::Nothing, "a lease holds one connection");
        if lease.holds == Holds::Nothing {
            lease.holds = Holds::Fresh;
            self.dialling -= 1;
            self.opened += 1;
        }
        self.check();
    }

    /// A slot to dial in ahead of any request. `None` when the pool is closed or has `maxsize` connections, leased ones
    /// included: one more could not be kept. It goes on to [`Ledger::dialled`] and
    /// [`Ledger::release`] like any other, or to the latter alone if dialling fails.
    pub fn reserve(&mut self) -> Option<Lease> {
        let room = self.state == State::Open && self.idle_count() + self.leased < self.bounds.maxsize;
        room.then(|| self.lend_room())
    }

    /// Moves the idle connections that are due to `expired`, to be closed, and says when to call again, at the latest.
    pub fn expire(&mut self, now: Instant, expired: &mut Vec<(C, Discard)>) -> Option<Instant> {
        if self.next_due.is_some_and(|due| due <= now) {
            let Self { idle, closed, tally, .. } = self;
            for late in idle.extract_if(.., |idle| idle.due.is_some_and(|(due, _)| due <= now)) {
                let why = late.due.map_or(Discard::IdleTimeout, |(_, why)| why);
                *closed += 1;
                tally.add(why);
                expired.push((late.conn, why));
            }
            self.next_due = self.idle.iter().filter_map(|idle| idle.due).map(|(due, _)| due).min();
            self.check();
        }
        self.next_due
    }

    /// When [`Ledger::expire`] has something to do. May be early, never late; constant time, so it can be asked after
    /// each release.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.next_due
    }

    /// Moves those idle connections to `gone`, to be closed, of which `doomed` says so: found dead, or evicted.
    pub fn discard_idle(
        &mut self,
        why: Discard,
        mut doomed: impl FnMut(&C, &Life) -> bool,
        gone: &mut Vec<(C, Discard)>,
    ) {
        let Self { idle, closed, tally, .. } = self;
        for found in idle.extract_if(.., |idle| doomed(&idle.conn, &idle.life)) {
            *closed += 1;
            tally.add(why);
            gone.push((found.conn, why));
        }
        self.check();
    }

    /// Closes the pool: idle connections and waiters are let go now, leased connections when they come back. A second
    /// time does nothing.
    pub fn close(&mut self) -> Closing<C> {
        self.state = State::Closed;
        self.next_due = None;
        let idle: Vec<_> =
            std::mem::take(&mut self.idle).into_iter().map(|idle| (idle.conn, Discard::PoolClosed)).collect();
        for (_, why) in &idle {
            self.count_closed(*why);
        }
        let closing = Closing { idle, waiters: self.queue.clear() };
        self.check();
        closing
    }

    /// Whether [`Ledger::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The figures now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let surplus = self.tally.of(Discard::Surplus);
        Figures {
            idle: self.idle_count(),
            leased: self.leased,
            dialling: self.dialling,
            waiting: self.queue.len(),
            maxsize: self.bounds.maxsize,
            opened: self.opened,
            closed: self.closed,
            reused: self.reused,
            surplus,
            poisoned: self.tally.of(Discard::Poisoned),
            abandoned: self.tally.of(Discard::Abandoned),
            repaired: self.tally.of(Discard::Repaired),
            discarded: self.closed - surplus - self.tally.of(Discard::PoolClosed),
        }
    }

    /// How many connections were closed for this reason.
    #[must_use]
    pub fn closed_for(&self, why: Discard) -> u64 {
        self.tally.of(why)
    }

    /// The last connection that came back and is still within its time.
    fn take_idle(&mut self, now: Instant, expired: &mut Vec<(C, Discard)>) -> Option<(C, Life)> {
        while let Some(Idle { conn, life, due, .. }) = self.idle.pop() {
            match due {
                Some((due, why)) if due <= now => {
                    self.count_closed(why);
                    expired.push((conn, why));
                }
                Some(_) | None => return Some((conn, life)),
            }
        }
        None
    }

    /// Where a connection goes that came back and whose slot is free again.
    fn take_back(&mut self, holds: Holds, conn: C, life: Life, now: Instant) -> Released<C> {
        if self.state == State::Closed {
            self.count_gone(holds, Discard::PoolClosed);
            return Released { close: Some((conn, Discard::PoolClosed)), grant: None };
        }
        let due = match self.bounds.fate(&life, now) {
            Fate::Spent(why) => {
                self.count_gone(holds, why);
                return Released { close: Some((conn, why)), grant: self.grant_room() };
            }
            Fate::Until(due, why) => Some((due, why)),
            Fate::Unbounded => None,
        };
        if let Some(ticket) = self.queue.pop() {
            let lease = self.lend(&life);
            return Released { close: None, grant: Some((ticket, Granted::Use(lease, conn, life))) };
        }
        if self.idle_count() >= self.bounds.maxsize {
            self.count_gone(holds, Discard::Surplus);
            return Released { close: Some((conn, Discard::Surplus)), grant: None };
        }
        if let Some((due, _)) = due {
            self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
        }
        self.idle.push(Idle { conn, life, due, since: now });
        Released { close: None, grant: None }
    }

    /// A slot that came back without a connection goes to the first waiter.
    fn grant_room(&mut self) -> Option<(Ticket, Granted<C>)> {
        let ticket = self.queue.pop()?;
        Some((ticket, Granted::Dial(self.lend_room())))
    }

    fn lend(&mut self, life: &Life) -> Lease {
        let holds = if life.requests > 0 { Holds::Reused } else { Holds::Fresh };
        if holds == Holds::Reused {
            self.reused += 1;
        }
        self.leased += 1;
        self.check();
        Lease { holds }
    }

    fn lend_room(&mut self) -> Lease {
        self.leased += 1;
        self.dialling += 1;
        self.check();
        Lease { holds: Holds::Nothing }
    }

    /// Takes the slot of a lease back. False if no such lease is out: one connection too many, which only a bug of ours
    /// can bring; the figures stay as they are then.
    fn give_back(&mut self, holds: Holds) -> bool {
        let out = match holds {
            Holds::Nothing => self.dialling,
            Holds::Fresh | Holds::Reused => self.leased - self.dialling,
        };
        debug_assert!(out > 0, "a lease came back that this pool did not give");
        if out > 0 {
            self.leased -= 1;
            self.dialling -= u32::from(holds == Holds::Nothing);
        }
        out > 0
    }

    /// What was given up with a lease: a connection closed, or nothing when it was never made.
    fn count_gone(&mut self, holds: Holds, why: Discard) {
        match holds {
            Holds::Nothing => {}
            Holds::Fresh | Holds::Reused => self.count_closed(why),
        }
    }

    fn count_closed(&mut self, why: Discard) {
        self.closed += 1;
        self.tally.add(why);
    }

    fn idle_count(&self) -> u32 {
        self.idle.len() as u32
    }

    /// The four sentences of the module's comment.
    fn check(&self) {
        let (idle, leased, waiting) = (self.idle_count(), self.leased, self.queue.len());
        let Bounds { maxsize, block, .. } = self.bounds;
        let held = u64::from(leased - self.dialling);
        debug_assert!(self.opened == self.closed + u64::from(idle) + held, "a connection was lost: {self}");
        debug_assert!(idle <= maxsize, "too many are kept: {self}");
        debug_assert!(!block || idle + leased <= maxsize, "too many exist: {self}");
        debug_assert!(waiting == 0 || (block && idle == 0 && leased == maxsize), "somebody waits for nothing: {self}");
        debug_assert!(self.state == State::Open || (idle == 0 && waiting == 0), "closed but not empty: {self}");
    }
}

/// One line: `2 leased, 1 idle, 3 waiting of 4`, with `, closed` after it when it is.
impl<C> fmt::Display for Ledger<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.figures().fmt(formatter)?;
        match self.state {
            State::Open => Ok(()),
            State::Closed => formatter.write_str(", closed"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

#[derive(Debug)]
struct Idle<C> {
    conn: C,
    life: Life,
    since: Instant,
    /// From when on it may not be used, and why.
    due: Option<(Instant, Discard)>,
}
