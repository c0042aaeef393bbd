//! What the pools of a manager share: the bound on their connections, the manners towards hosts, the figures of calls. A
//! bare pool is a group of its own.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Instant;

use ferropool_policy::error::Error;
use ferropool_policy::fleet::{Fleet, Returning, Take};
use ferropool_policy::ledger::{Lease, Life, Returned};
use ferropool_policy::settings::PoolSettings;

use super::Pool;
use super::gate::Gate;
use super::seat::Seat;
use super::slot::{Deadline, late};
use crate::conn::connection::Connection;
use crate::observe::calls::{Calls, Place};
use crate::observe::stats::{PoolStats, Roster};

/// See the module.
pub struct Group {
    /// Of all calls: how long they take, what they end with, which are in flight.
    pub stats: Arc<PoolStats>,
    /// What all its pools count together; `None` for a bare pool.
    pub roster: Option<Arc<Roster>>,
    /// Where the user knows it by: what its notices name.
    pub handle: u32,
    calls: RefCell<Calls>,
    /// `None` where nothing bounds all pools together.
    fleet: Option<RefCell<Fleet<Member>>>,
    /// Where those wait to whom the fleet has nothing to give.
    berths: RefCell<HashMap<u64, Rc<Seat<Berth>>>>,
    members: RefCell<HashMap<Member, Weak<Pool>>>,
    /// Who hears of pools that have nothing to do any more, or something to do again: a manager.
    hears: OnceCell<Box<dyn Fn(Member, Stir)>>,
    /// `None` where hosts are asked as fast as connections allow.
    pub(super) gate: Option<Gate>,
}

/// A pool's number in its group: a manager's has its number on the shelf, which is never given twice.
pub(super) type Member = u32;

/// What becomes of a manager's pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stir {
    /// It has neither a connection nor anybody who waits for one.
    Rests,
    /// It was let go at rest, and somebody who held it uses it again.
    Wakes,
}

/// What somebody in the fleet's line is given.
pub(super) enum Berth {
    /// Leave to dial.
    Permit(Permit),
    /// A connection of the waiter's own pool, in place of the slot that he holds.
    Connection(Lease, Connection, Life),
}

/// Leave for one connection to exist. Dropped, it goes to whoever is next.
pub(super) struct Permit(Weak<Group>);

/// A call's place among those in flight.
pub struct Call {
    group: Rc<Group>,
    place: Place,
}

impl Group {
    /// A group that may have so many connections; 0 is no bound.
    pub fn new(
        stats: Arc<PoolStats>,
        roster: Option<Arc<Roster>>,
        handle: u32,
        most: u32,
        manners: &PoolSettings,
    ) -> Rc<Self> {
        Rc::new(Self {
            stats,
            roster,
            handle,
            calls: RefCell::default(),
            fleet: (most > 0).then(|| RefCell::new(Fleet::new(most))),
            berths: RefCell::default(),
            members: RefCell::default(),
            hears: OnceCell::new(),
            gate: Gate::new(manners),
        })
    }

    /// This hears of the members' [`Stir`].
    pub(crate) fn hear(&self, hears: Box<dyn Fn(Member, Stir)>) {
        // It is set once, by who made the group.
        let _ = self.hears.set(hears);
    }

    pub(super) fn told(&self, member: Member, stir: Stir) {
        if let Some(hears) = self.hears.get() {
            hears(member, stir);
        }
    }

    /// A pool joins.
    pub(super) fn join(&self, member: Member, pool: &Weak<Pool>, stats: &Arc<PoolStats>) {
        if let Some(roster) = &self.roster {
            roster.join(member, stats);
            self.members.borrow_mut().insert(member, Weak::clone(pool));
        }
    }

    /// The pool of this number, as long as anybody has it.
    pub(crate) fn member(&self, member: Member) -> Option<Rc<Pool>> {
        self.members.borrow().get(&member).and_then(Weak::upgrade)
    }

    pub(super) fn leave(&self, member: Member) {
        if let Some(roster) = &self.roster {
            roster.leave(member);
            self.members.borrow_mut().remove(&member);
        }
        if let Some(fleet) = &self.fleet {
            fleet.borrow_mut().forget(member);
        }
    }

    /// Enters a call among those in flight.
    pub fn begin_call(self: &Rc<Self>, started: Instant) -> Call {
        let mut calls = self.calls.borrow_mut();
        let place = calls.begin(started);
        if self.stats.in_flight.get() == 0 {
            self.stats.set_oldest(Some(started));
        }
        self.stats.in_flight.add(1);
        drop(calls);
        Call { group: Rc::clone(self), place }
    }

    /// A place in the order of arrival, for whoever may have to stand in line.
    pub(super) fn arrival(&self) -> u64 {
        self.fleet.as_ref().map_or(0, |fleet| fleet.borrow_mut().arrival())
    }

    /// How many calls of a pool hold a slot and wait for leave to dial in it.
    pub(super) fn waiting_of(&self, member: Member) -> u32 {
        self.fleet.as_ref().map_or(0, |fleet| fleet.borrow().waiting_of(member))
    }

    /// Leave to dial, or a connection of the pool's own, in order of arrival over all pools.
    pub(super) async fn berth(self: &Rc<Self>, pool: &Pool, arrival: u64) -> Option<Berth> {
        let Some(fleet) = &self.fleet else { return Some(Berth::Permit(Permit::none())) };
        let taken = fleet
            .borrow_mut()
            .take(pool.member, arrival, |member| self.member(member).and_then(|pool| pool.oldest_idle()));
        let evict = match taken {
            Take::Granted => return Some(Berth::Permit(Permit(Rc::downgrade(self)))),
            Take::Wait { evict, .. } => evict,
        };
        let seat = Seat::new(crate::clock::now(), arrival);
        self.berths.borrow_mut().insert(arrival, Rc::clone(&seat));
        let waiting = InLine { pool, arrival, seat };
        pool.sync();
        // Its permit comes back when its socket has closed, in a turn or two.
        if let Some(victim) = evict.and_then(|victim| self.member(victim)) {
            victim.evict_one();
        }
        pool.watch_waiters();
        waiting.seat.granted().await
    }

    /// Nobody gave leave to dial in time.
    pub(super) fn full(&self, end: Deadline) -> Error {
        let most = self.fleet.as_ref().map_or(0, |fleet| fleet.borrow().most());
        late(format!(
            "All connections of the manager are in use (maxTotalConnections={most}), and none became free within {end}."
        ))
    }

    /// What becomes of a connection that comes back to a pool whose own first waiter came at `own`.
    pub(super) fn returning(&self, member: Member, own: Option<u64>) -> Returning {
        match &self.fleet {
            Some(fleet) => fleet.borrow_mut().returning(member, own),
            None => Returning::Keep,
        }
    }

    /// Somebody who was to be given a connection that came to nothing stands where it stood.
    pub(super) fn stand_again(self: &Rc<Self>, ticket: u64, member: Member) {
        let Some(fleet) = &self.fleet else { return };
        let taken = fleet.borrow_mut().take(member, ticket, |_| None);
        if taken == Take::Granted {
            drop(self.hand_to(ticket, Berth::Permit(Permit(Rc::downgrade(self)))));
        }
    }

    /// Leave to dial where nobody has to wait or give way for it.
    pub(super) fn spare(self: &Rc<Self>) -> Option<Permit> {
        match &self.fleet {
            None => Some(Permit::none()),
            Some(fleet) => fleet.borrow_mut().take_spare().then(|| Permit(Rc::downgrade(self))),
        }
    }

    /// How many of other pools stand in line, for whom nothing has been closed yet.
    pub(super) fn waiting_elsewhere(&self, member: Member) -> u32 {
        self.fleet.as_ref().map_or(0, |fleet| fleet.borrow().uncovered_elsewhere(member))
    }

    /// Whether each pool is bounded by itself alone.
    pub(super) fn is_unbounded(&self) -> bool {
        self.fleet.is_none()
    }

    /// Since when somebody of this pool stands in line who came first.
    pub(super) fn oldest_waiter(&self, member: Member) -> Option<Instant> {
        let fleet = self.fleet.as_ref()?.borrow();
        let first = fleet.tickets_of(member).into_iter().next()?;
        self.berths.borrow().get(&first).map(|seat| seat.since)
    }

    /// Whether anybody waits for leave to dial.
    pub(super) fn is_pressed(&self) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| fleet.borrow().waiting() > 0)
    }

    /// A pool has an idle connection since now.
    pub(super) fn idle(&self, member: Member, now: Instant) {
        if let Some(fleet) = &self.fleet {
            fleet.borrow_mut().idle(member, now);
        }
    }

    /// Gives the first in line what was kept for it; back if nobody is there.
    pub(super) fn hand_to(&self, ticket: u64, berth: Berth) -> Result<(), Berth> {
        let seat = self.berths.borrow_mut().remove(&ticket);
        match seat {
            Some(seat) => {
                seat.give(berth);
                Ok(())
            }
            None => Err(berth),
        }
    }

    /// Turns away those of a pool who wait for leave to dial: it is closed.
    pub(super) fn turn_away(&self, member: Member) {
        let Some(fleet) = &self.fleet else { return };
        let tickets = fleet.borrow().tickets_of(member);
        for ticket in tickets {
            fleet.borrow_mut().cancel(ticket);
            let seat = self.berths.borrow_mut().remove(&ticket);
            if let Some(seat) = seat {
                seat.turn_away();
            }
        }
    }

    /// Lets the connection go that has been idle longest, wherever it is: the system has none left to give.
    pub(super) fn relieve(&self) {
        let members: Vec<_> = self.members.borrow().values().filter_map(Weak::upgrade).collect();
        let oldest = members.into_iter().filter_map(|pool| Some((pool.oldest_idle()?, pool))).min_by_key(|(at, _)| *at);
        if let Some((_, pool)) = oldest {
            pool.evict_one();
        }
    }

    /// The pools that there are, the forgotten ones among them that are still held.
    pub(crate) fn members(&self) -> Vec<Rc<Pool>> {
        self.members.borrow().values().filter_map(Weak::upgrade).collect()
    }
}

impl Permit {
    /// For a connection that nothing bounds.
    pub(super) fn none() -> Self {
        Self(Weak::new())
    }

    /// The one that a connection holds, for the connection that takes its place.
    pub(super) fn of(connection: &Connection) -> Self {
        let kept = connection.tap.take_kept().and_then(|kept| kept.downcast().ok());
        kept.map_or_else(Self::none, |permit| *permit)
    }

    pub(super) fn is_none(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(group) = self.0.upgrade() else { return };
        let Some(fleet) = &group.fleet else { return };
        let next = fleet.borrow_mut().give_back();
        if let Some((ticket, _)) = next {
            // Counted as taken for that ticket. Whoever is gone has cancelled it, so somebody is there.
            drop(group.hand_to(ticket, Berth::Permit(Permit(Weak::clone(&self.0)))));
        }
    }
}

/// Standing in the fleet's line; dropped early, the place is given up, and what was granted goes on.
struct InLine<'p> {
    pool: &'p Pool,
    arrival: u64,
    seat: Rc<Seat<Berth>>,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let group = &self.pool.group;
        group.berths.borrow_mut().remove(&self.arrival);
        if let Some(fleet) = &group.fleet {
            fleet.borrow_mut().cancel(self.arrival);
        }
        match self.seat.take() {
            // Its own drop gives it to the next.
            Some(Berth::Permit(_)) | None => {}
            Some(Berth::Connection(lease, connection, life)) => {
                self.pool.give_back(lease, Returned::Reusable(connection, life));
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = self.group.calls.borrow_mut();
        let stats = &self.group.stats;
        stats.in_flight.set(stats.in_flight.get().saturating_sub(1));
        if calls.end(&self.place) {
            stats.set_oldest(calls.oldest());
        }
    }
}
