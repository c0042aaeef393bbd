//! The bound over all pools of a manager (`maxTotalConnections`): who may have a connection, who waits for one, and whose
//! idle connection goes for it. Pure state, as the [ledger](crate::ledger) of each pool is: every event is a method that
//! says what there is to do, and nobody waits in here.
//!
//! Each connection holds one *permit* from before it is dialled until it is gone, whether it is leased or idle and whether
//! or not the manager still knows its pool.
//!
//! ```text
//!   slot to dial in ─► take ─┬─ room ──────────► Granted: dial
//!                            └─ none ──────────► Wait, and close one idle connection of another pool if there is any
//!   connection gone ─► give_back ──────────────► the first in line has the permit: dial
//!   connection free ─► returning ─┬─ nobody, or the pool's own waiter came first ─► Keep: the pool's ledger has it
//!                                 ├─ the first in line is of this pool, or the
//!                                 │  first who has no permit on its way ──────────► HandTo: use it
//!                                 ├─ everybody in line has a permit on its way ───► Keep
//!                                 └─ somebody of another pool has none ───────────► Close, then give_back
//! ```
//!
//! No host starves another: there is one line over all pools, in the order of [`Fleet::arrival`], and only those stand in
//! it whose own pool has given them a slot. What holds after each call:
//! - `live` is the number of permits out, and with a bound it never exceeds it;
//! - somebody waits only while every permit is out, so a newcomer can never overtake;
//! - as long as the caller asks [`Fleet::returning`] about every connection that becomes free and closes every victim at
//!   once, nobody waits while another pool has an idle connection, but for those whose permit is on its way: a connection
//!   that was closed for them is not gone yet. It takes a socket some turns to close, and whatever comes back meanwhile
//!   need not be closed for the same waiter.
//!
//! What the caller sees to: an attempt that was given another slot for its stale connection keeps the permit of that
//! connection (a `retake` or a `redial` of the ledger), and must not stand in line with it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// The permits of one manager. `P` names a pool; a name is not used for another pool before [`Fleet::forget`].
///
/// Taking and giving back are O(log n) in who waits and in how many pools are listed as idle, amortised; without a bound
/// nothing is kept but a count.
///
/// ```
/// use ferropool_policy::fleet::{Fleet, Returning, Take};
/// let mut fleet = Fleet::new(1);
/// let (first, second) = (fleet.arrival(), fleet.arrival());
/// assert_eq!(fleet.take("a", first, |_| None), Take::Granted);
/// assert_eq!(fleet.take("b", second, |_| None), Take::Wait { ticket: second, evict: None });
/// // A's connection is free, but b waits: it is closed, and b has the permit.
/// assert_eq!(fleet.returning("a", None), Returning::Close);
/// assert_eq!(fleet.give_back(), Some((second, "b")));
/// ```
#[derive(Debug)]
pub struct Fleet<P> {
    /// 0: no bound.
    most: u32,
    live: u32,
    arrivals: u64,
    /// Connections closed for those in line that are not gone yet; too few where other permits came back first, never too
    /// many, or somebody would wait for what never comes.
    closing: u32,
    /// Who waits for a permit, by arrival.
    line: BTreeMap<u64, P>,
    /// How many of each pool are in line; pools with none are not in here.
    in_line: HashMap<P, u32>,
    /// Pools that may have an idle connection, by a lower bound of the instant since which their oldest is idle. The
    /// serial number tells equal instants apart.
    idle: BTreeMap<(Instant, u64), P>,
    /// Where in `idle` a pool is.
    listed: HashMap<P, (Instant, u64)>,
    listings: u64,
}

/// The answer to a call that asks for a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Take<P> {
    /// The permit is taken: dial.
    Granted,
    /// Every permit is out. Wait until [`Fleet::give_back`] or [`Fleet::returning`] names this ticket, or cancel it.
    Wait {
        /// The call's arrival.
        ticket: u64,
        /// Close the connection of this pool that has been idle longest, at once; its permit goes by
        /// [`Fleet::give_back`] to the first in line.
        evict: Option<P>,
    },
}

/// What becomes of a connection that can carry another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Returning {
    /// The pool's ledger has it: for its own waiter, or to keep; [`Fleet::idle`] in the latter case.
    Keep,
    /// The holder of this ticket, a call to the same pool, uses it on with its permit, and dials nothing. The ticket is out
    /// of the line.
    HandTo(u64),
    /// Close it, then [`Fleet::give_back`]: somebody of another pool comes first, and nothing has been closed for him.
    Close,
}

impl<P: Copy + Eq + Hash> Fleet<P> {
    /// How many connections there may be; 0: no bound.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.most
    }

    /// With at most so many connections over all pools; 0: no bound.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self {
            most,
            live: 0,
            arrivals: 0,
            closing: 0,
            line: BTreeMap::new(),
            in_line: HashMap::new(),
            idle: BTreeMap::new(),
            listed: HashMap::new(),
            listings: 0,
        }
    }

    /// The place of a call in the order of all calls. Asked for once, when the call first wants a connection, and kept
    /// while it waits in its pool's ledger, so that the order there and the order here are one.
    pub fn arrival(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    /// A call that arrived then and has a slot of its pool to dial in asks for a permit.
    ///
    /// `oldest` tells since when the oldest idle connection of a pool is idle *now*. It is asked about few pools: those
    /// whose entry turns out to be the earliest. A victim that was named must be closed before the next `take`, so that
    /// `oldest` does not tell of it again; else it is named twice. The asking pool is never the victim: it would have used
    /// its own idle connection.
    pub fn take(&mut self, pool: P, arrival: u64, oldest: impl FnMut(P) -> Option<Instant>) -> Take<P> {
        if self.take_spare() {
            return Take::Granted;
        }
        debug_assert!(!self.line.contains_key(&arrival), "a call stands in line once");
        if self.line.insert(arrival, pool).is_none() {
            *self.in_line.entry(pool).or_insert(0) += 1;
        }
        let evict = self.victim(pool, oldest);
        self.closing += u32::from(evict.is_some());
        Take::Wait { ticket: arrival, evict }
    }

    /// Takes a permit if there is one left, for whoever would rather do without than wait or have another pool's connection
    /// closed: connections made ahead of any request.
    #[must_use = "a permit that is forgotten is lost for ever"]
    pub fn take_spare(&mut self) -> bool {
        let room = self.most == 0 || self.live < self.most;
        debug_assert!(!room || self.line.is_empty(), "somebody waits though a permit is left");
        self.live += u32::from(room);
        room
    }

    /// A permit came back: its connection is gone, or was never made. The first in line, if any, has it now: it is counted
    /// as taken, and its ticket is out of the line. Whoever finds the named waiter gone gives it back again.
    pub fn give_back(&mut self) -> Option<(u64, P)> {
        debug_assert!(self.live > 0, "a permit came back that was not out");
        self.closing = self.closing.saturating_sub(1);
        let next = self.line.pop_first();
        match next {
            Some((_, pool)) => self.left_line(pool),
            None => self.live = self.live.saturating_sub(1),
        }
        next
    }

    /// A waiter is gone. False: it is not in line any more. If it was granted a permit which it has not used, the caller
    /// gives that back.
    pub fn cancel(&mut self, ticket: u64) -> bool {
        let waiter = self.line.remove(&ticket);
        if let Some(pool) = waiter {
            self.left_line(pool);
        }
        waiter.is_some()
    }

    /// What becomes of a connection of `pool` that can carry another request; also one that was made ahead of any. `own` is
    /// the arrival of the first who waits in the ledger of that pool.
    pub fn returning(&mut self, pool: P, own: Option<u64>) -> Returning {
        let comes_before = |ticket: u64| own.is_some_and(|own| own < ticket);
        // For whom nothing has been closed.
        let uncovered = self.line.iter().nth(self.closing as usize).map(|(&ticket, &of)| (ticket, of));
        for (ticket, of) in [self.first(), uncovered].into_iter().flatten() {
            if of == pool && !comes_before(ticket) {
                self.cancel(ticket);
                return Returning::HandTo(ticket);
            }
        }
        match uncovered {
            Some((ticket, _)) if !comes_before(ticket) => {
                self.closing += 1;
                Returning::Close
            }
            _ => Returning::Keep,
        }
    }

    /// The pool has an idle connection, and has had its oldest since then. To be called whenever one becomes idle; it costs
    /// one look-up unless the pool had none for long.
    ///
    /// The entry of a pool that is listed already stays as it is. It may have become too early, and that is right: when
    /// the oldest idle connection is used or closed the next oldest is younger, and one that becomes idle is the youngest,
    /// so the true instant only moves on and the entry is a lower bound of it. The earliest entry that proves true is then
    /// the earliest of all, and only the entries before it had to be looked at. Each of those is corrected, which happens
    /// once at most for each time that a connection became idle.
    pub fn idle(&mut self, pool: P, since: Instant) {
        if self.most != 0 && !self.listed.contains_key(&pool) {
            self.list(pool, since);
        }
    }

    /// The first in line: its ticket and its pool.
    #[must_use]
    pub fn first(&self) -> Option<(u64, P)> {
        self.line.first_key_value().map(|(&ticket, &pool)| (ticket, pool))
    }

    /// Permits that are out: connections that are being dialled, leased or idle.
    #[must_use]
    pub fn live(&self) -> u32 {
        self.live
    }

    /// How many wait for a permit.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.line.len()
    }

    /// How many of other pools wait, for whom nothing has been closed. A connection of this pool that many use at once may
    /// never be free, and so never [returning](Fleet::returning): it has to be given up for them.
    #[must_use]
    pub fn uncovered_elsewhere(&self, pool: P) -> u32 {
        let elsewhere = (self.line.len() as u32).saturating_sub(self.waiting_of(pool));
        elsewhere.saturating_sub(self.closing)
    }

    /// How many of this pool wait for a permit.
    #[must_use]
    pub fn waiting_of(&self, pool: P) -> u32 {
        self.in_line.get(&pool).copied().unwrap_or(0)
    }

    /// Who of this pool waits for a permit, in order.
    #[must_use]
    pub fn tickets_of(&self, pool: P) -> Vec<u64> {
        if !self.in_line.contains_key(&pool) {
            return Vec::new();
        }
        self.line.iter().filter(|&(_, &other)| other == pool).map(|(&ticket, _)| ticket).collect()
    }

    /// The pool has closed all its idle connections and will keep none: it was closed, or the manager forgot it. Permits
    /// that are out come back one by one, and its waiters stay in line: a pool that is held stays usable.
    pub fn forget(&mut self, pool: P) {
        if let Some(place) = self.listed.remove(&pool) {
            self.idle.remove(&place);
        }
    }

    /// The pool, not this one, whose oldest idle connection has been idle longest.
    fn victim(&mut self, asking: P, mut oldest: impl FnMut(P) -> Option<Instant>) -> Option<P> {
        loop {
            let (&place, &pool) = self.idle.iter().find(|&(_, &pool)| pool != asking)?;
            match oldest(pool) {
                Some(since) if since <= place.0 => return Some(pool),
                Some(since) => {
                    self.idle.remove(&place);
                    self.list(pool, since);
                }
                None => self.forget(pool),
            }
        }
    }

    fn list(&mut self, pool: P, since: Instant) {
        self.listings += 1;
        let place = (since, self.listings);
        self.idle.insert(place, pool);
        self.listed.insert(pool, place);
    }

    fn left_line(&mut self, pool: P) {
        if let Some(count) = self.in_line.get_mut(&pool) {
            *count -= 1;
            if *count == 0 {
                self.in_line.remove(&pool);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "the origin of a simulated clock: an `Instant` cannot be made otherwise"
    )]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn none(_: char) -> Option<Instant> {
        None
    }

    /// What is listed, what is true by now, who asks, who is to go.
    type Row = (&'static str, &'static [(char, u64)], &'static [(char, u64)], char, Option<char>);

    // MGR-01
    #[test]
    fn who_waits_elsewhere_is_told_until_something_is_closed_for_them() {
        let (mut fleet, tickets) = queued(1, &['a', 'b', 'c']);
        assert_eq!(fleet.uncovered_elsewhere('z'), 3);
        assert_eq!(fleet.uncovered_elsewhere('a'), 2);
        assert_eq!(fleet.returning('z', None), Returning::Close);
        assert_eq!(fleet.uncovered_elsewhere('z'), 2);
        assert!(fleet.cancel(tickets[2]));
        assert_eq!(fleet.uncovered_elsewhere('z'), 1);
    }

    /// A fleet whose permits are all out, and the tickets of those who then asked, in this order.
    fn queued(most: u32, pools: &[char]) -> (Fleet<char>, Vec<u64>) {
        let mut fleet = Fleet::new(most);
        for _ in 0..most {
            let arrival = fleet.arrival();
            assert_eq!(fleet.take('z', arrival, none), Take::Granted);
        }
        let tickets = pools.iter().map(|&pool| wait(&mut fleet, pool)).collect();
        (fleet, tickets)
    }

    fn wait(fleet: &mut Fleet<char>, pool: char) -> u64 {
        let arrival = fleet.arrival();
        assert_eq!(fleet.take(pool, arrival, none), Take::Wait { ticket: arrival, evict: None });
        arrival
    }

    #[test]
    fn without_a_bound_everybody_is_granted_and_nothing_kept() {
        let mut fleet = Fleet::new(0);
        for _ in 0..1_000 {
            let arrival = fleet.arrival();
            assert_eq!(fleet.take('a', arrival, none), Take::Granted);
            fleet.idle('a', epoch());
        }
        assert_eq!((fleet.live(), fleet.waiting(), fleet.listed.len()), (1_000, 0, 0));
        assert_eq!(fleet.returning('a', None), Returning::Keep);
        assert_eq!(fleet.give_back(), None);
        assert_eq!(fleet.live(), 999);
    }

    #[test]
    fn a_permit_that_comes_back_goes_to_the_first_of_all_pools() {
        let (mut fleet, tickets) = queued(2, &['a', 'b', 'a']);
        assert_eq!((fleet.live(), fleet.waiting()), (2, 3));
        assert_eq!((fleet.waiting_of('a'), fleet.waiting_of('b'), fleet.waiting_of('c')), (2, 1, 0));
        for (ticket, pool) in tickets.into_iter().zip(['a', 'b', 'a']) {
            assert_eq!(fleet.first(), Some((ticket, pool)));
            assert_eq!(fleet.give_back(), Some((ticket, pool)));
            assert_eq!(fleet.live(), 2, "the waiter has it now");
        }
        assert_eq!(fleet.in_line.len(), 0);
        assert_eq!((fleet.give_back(), fleet.give_back(), fleet.live()), (None, None, 0));
    }

    #[test]
    fn a_call_keeps_the_place_that_it_arrived_at() {
        let (mut fleet, _) = queued(1, &[]);
        let early = fleet.arrival();
        let late = wait(&mut fleet, 'b');
        // It had to wait for a slot of its pool, and asks for a permit after one who came later.
        assert_eq!(fleet.take('a', early, none), Take::Wait { ticket: early, evict: None });
        assert_eq!((fleet.give_back(), fleet.give_back()), (Some((early, 'a')), Some((late, 'b'))));
    }

    #[test]
    fn who_is_gone_is_passed_over_once() {
        let (mut fleet, tickets) = queued(1, &['a', 'b']);
        assert!(fleet.cancel(tickets[0]));
        assert!(!fleet.cancel(tickets[0]), "a second time");
        assert_eq!((fleet.waiting_of('a'), fleet.waiting()), (0, 1));
        assert_eq!(fleet.give_back(), Some((tickets[1], 'b')));
        assert!(!fleet.cancel(tickets[1]), "it was granted: the permit is given back instead");
        assert_eq!((fleet.give_back(), fleet.live()), (None, 0));
    }

    #[test]
    fn a_free_connection_goes_to_whoever_came_first() {
        // The first in line is of pool a; the arrivals of the pool's own first waiter are before and after it.
        let table = [
            ("nobody waits", 'a', None, false, Returning::Keep),
            ("nobody waits here, somebody in the ledger", 'a', Some(1), false, Returning::Keep),
            ("of this pool", 'a', None, true, Returning::HandTo(3)),
            ("of this pool, and the ledger's own came later", 'a', Some(4), true, Returning::HandTo(3)),
            ("of this pool, but the ledger's own came first", 'a', Some(2), true, Returning::Keep),
            ("of another pool", 'b', None, true, Returning::Close),
            ("of another pool, and the ledger's own came later", 'b', Some(4), true, Returning::Close),
            ("of another pool, but the ledger's own came first", 'b', Some(2), true, Returning::Keep),
        ];
        for (name, returning, own, waits, expected) in table {
            let (mut fleet, _) = queued(2, if waits { &['a'] } else { &[] });
            assert_eq!(fleet.returning(returning, own), expected, "{name}");
            let left = usize::from(waits && !matches!(expected, Returning::HandTo(_)));
            assert_eq!((fleet.waiting(), fleet.waiting_of('a') as usize, fleet.live()), (left, left, 2), "{name}");
        }
    }

    // MGR-04 THR-1011
    #[test]
    fn one_connection_is_closed_for_each_who_waits_however_many_come_back_until_it_is_gone() {
        let (mut fleet, tickets) = queued(4, &['a', 'b']);
        let mut closed = 0;
        for returning in ['x', 'y', 'z'] {
            closed += u32::from(fleet.returning(returning, None) == Returning::Close);
        }
        assert_eq!(closed, 2);
        // Its own waiter came after them and is served all the same: their permits are on their way.
        assert_eq!(fleet.returning('z', Some(tickets[1] + 1)), Returning::Keep);
        assert_eq!(fleet.give_back(), Some((tickets[0], 'a')));
        let third = wait(&mut fleet, 'c');
        assert_eq!(fleet.returning('z', None), Returning::Close, "for the third");
        assert_eq!((fleet.give_back(), fleet.give_back()), (Some((tickets[1], 'b')), Some((third, 'c'))));
    }

    // MGR-04
    #[test]
    fn a_victim_is_closed_for_who_waits_and_nothing_else_is() {
        let (mut fleet, _) = queued(2, &[]);
        let now = epoch();
        fleet.idle('z', now);
        let arrival = fleet.arrival();
        assert_eq!(fleet.take('a', arrival, |_| Some(now)), Take::Wait { ticket: arrival, evict: Some('z') });
        assert_eq!(fleet.returning('y', None), Returning::Keep);
        assert_eq!(fleet.give_back(), Some((arrival, 'a')));
    }

    #[test]
    fn the_victim_is_idle_longest_and_not_the_asker() {
        let now = epoch();
        let at = |second: u64| now + Duration::from_secs(second);
        let table: [Row; 7] = [
            ("none is idle", &[], &[], 'x', None),
            ("the oldest", &[('a', 2), ('b', 1)], &[('a', 2), ('b', 1)], 'x', Some('b')),
            ("its own is not", &[('a', 2), ('b', 1)], &[('a', 2), ('b', 1)], 'b', Some('a')),
            ("its own alone", &[('b', 1)], &[('b', 1)], 'b', None),
            ("b was used since", &[('a', 2), ('b', 1)], &[('a', 2), ('b', 3)], 'x', Some('a')),
            ("b is gone", &[('a', 2), ('b', 1)], &[('a', 2)], 'x', Some('a')),
            ("all are gone", &[('a', 2), ('b', 1)], &[], 'x', None),
        ];
        for (name, listed, real, asking, victim) in table {
            let (mut fleet, _) = queued(1, &[]);
            for &(pool, since) in listed {
                fleet.idle(pool, at(since));
            }
            let ticket = fleet.arrival();
            let oldest = |pool| real.iter().find(|&&(other, _)| other == pool).map(|&(_, since)| at(since));
            assert_eq!(fleet.take(asking, ticket, oldest), Take::Wait { ticket, evict: victim }, "{name}");
            assert_eq!(fleet.idle.len(), fleet.listed.len(), "{name}");
        }
    }

    #[test]
    fn entries_are_corrected_when_somebody_looks_and_not_before() {
        let now = epoch();
        let at = |second: u64| now + Duration::from_secs(second);
        let (mut fleet, _) = queued(1, &[]);
        let pools = ['a', 'b', 'c'];
        for (pool, since) in pools.into_iter().zip(0..) {
            fleet.idle(pool, at(since));
            fleet.idle(pool, at(since + 7));
        }
        assert_eq!(fleet.idle.keys().map(|&(since, _)| since).collect::<Vec<_>>(), [at(0), at(1), at(2)]);
        let mut asked = Vec::new();
        let ticket = fleet.arrival();
        let take = fleet.take('x', ticket, |pool| {
            asked.push(pool);
            Some(at(if pool == 'a' { 9 } else { 1 }))
        });
        assert_eq!(take, Take::Wait { ticket, evict: Some('b') });
        assert_eq!(asked, ['a', 'b'], "c cannot be the oldest");
        assert_eq!(fleet.idle.keys().map(|&(since, _)| since).collect::<Vec<_>>(), [at(1), at(2), at(9)]);
        fleet.forget('b');
        fleet.forget('b');
        assert_eq!((fleet.idle.len(), fleet.listed.len()), (2, 2));
    }

    #[test]
    fn a_single_idle_connection_goes_for_one_only() {
        let now = epoch();
        let (mut fleet, _) = queued(1, &[]);
        fleet.idle('a', now);
        let mut left = vec![now];
        for evict in [Some('a'), None] {
            let ticket = fleet.arrival();
            assert_eq!(fleet.take('b', ticket, |_| left.first().copied()), Take::Wait { ticket, evict });
            left.pop();
        }
    }

    #[test]
    fn ahead_of_any_request_only_what_is_left_is_taken() {
        let mut fleet = Fleet::<char>::new(1);
        assert_eq!((fleet.take_spare(), fleet.take_spare()), (true, false));
        assert_eq!((fleet.live(), fleet.waiting()), (1, 0));
        assert_eq!((fleet.give_back(), fleet.take_spare()), (None, true));
    }
}
