//! Who gets a slot, who waits, and what closing does: one history each. Connections are numbers.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;

pub(super) const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "the origin of a simulated clock: an `Instant` cannot be made otherwise")]
pub(super) fn epoch() -> Instant {
    Instant::now()
}

pub(super) fn bounds(maxsize: u32, block: bool) -> Bounds {
    Bounds { maxsize, block, max_waiting: 0, idle_timeout: None, max_age: None, max_requests: 0 }
}

/// A ledger, a clock and the next connection's number.
pub(super) struct Pool {
    pub(super) ledger: Ledger<u32>,
    pub(super) now: Instant,
    pub(super) expired: Vec<(u32, Discard)>,
    pub(super) dials: u32,
}

impl Pool {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { ledger: Ledger::new(bounds), now: epoch(), expired: Vec::new(), dials: 0 }
    }

    pub(super) fn checkout(&mut self) -> Checkout<u32> {
        self.ledger.checkout(self.now, &mut self.expired)
    }

    pub(super) fn wait(&mut self) -> Ticket {
        match self.checkout() {
            Checkout::Wait(ticket) => ticket,
            other => panic!("expected to wait: {other:?}"),
        }
    }

    /// A connection in use: an idle one or one that is dialled, and a request begun on it.
    pub(super) fn lease(&mut self) -> (Lease, u32, Life) {
        match self.checkout() {
            Checkout::Use(lease, conn, mut life) => {
                life.begin();
                (lease, conn, life)
            }
            Checkout::Dial(lease) => self.dial(lease),
            other => panic!("expected a slot: {other:?}"),
        }
    }

    pub(super) fn dial(&mut self, mut lease: Lease) -> (Lease, u32, Life) {
        self.ledger.dialled(&mut lease);
        self.dials += 1;
        let mut life = Life::new(self.now);
        life.begin();
        (lease, self.dials, life)
    }

    pub(super) fn give(&mut self, (lease, conn, life): (Lease, u32, Life)) -> Released<u32> {
        self.ledger.release(lease, Returned::Reusable(conn, life), self.now)
    }

    pub(super) fn gone(&mut self, lease: Lease, why: Discard) -> Released<u32> {
        self.ledger.release(lease, Returned::Gone(why), self.now)
    }

    /// A request from beginning to end; the connection's number.
    pub(super) fn exchange(&mut self) -> u32 {
        let held = self.lease();
        let conn = held.1;
        assert_eq!(self.give(held), KEPT);
        conn
    }

    #[track_caller]
    pub(super) fn reads(&self, line: &str) {
        assert_eq!(self.ledger.to_string(), line);
    }
}

pub(super) const KEPT: Released<u32> = Released { close: None, grant: None };

pub(super) fn closed(conn: u32, why: Discard) -> Released<u32> {
    Released { close: Some((conn, why)), grant: None }
}

/// The lease of a granted slot to dial in, for this ticket.
#[track_caller]
pub(super) fn room_for(ticket: Ticket, released: Released<u32>) -> Lease {
    match released.grant {
        Some((granted, Granted::Dial(lease))) if granted == ticket => lease,
        other => panic!("expected room for {ticket:?}: {other:?}"),
    }
}

/// What of a granted connection, for this ticket.
#[track_caller]
pub(super) fn conn_for(ticket: Ticket, released: Released<u32>) -> (Lease, u32, Life) {
    match released.grant {
        Some((granted, Granted::Use(lease, conn, life))) if granted == ticket => (lease, conn, life),
        other => panic!("expected a connection for {ticket:?}: {other:?}"),
    }
}

// POOL-05
#[test]
fn the_last_connection_that_came_back_goes_out_first() {
    let mut pool = Pool::new(bounds(3, false));
    let (one, two, three) = (pool.lease(), pool.lease(), pool.lease());
    for held in [two, three, one] {
        assert_eq!(pool.give(held), KEPT);
    }
    let order = [pool.lease().1, pool.lease().1, pool.lease().1];
    assert_eq!(order, [1, 3, 2]);
}

// POOL-05
#[test]
fn one_request_at_a_time_never_opens_a_second_connection() {
    for block in [false, true] {
        let mut pool = Pool::new(bounds(10, block));
        assert!((0..100).all(|_| pool.exchange() == 1));
        let figures = pool.ledger.figures();
        assert_eq!((figures.opened, figures.closed, figures.reused, figures.idle), (1, 0, 99, 1));
    }
}

// POOL-07
#[test]
fn a_blocking_pool_counts_the_connections_that_are_being_dialled() {
    let mut pool = Pool::new(bounds(2, true));
    let Checkout::Dial(dialling) = pool.checkout() else { panic!() };
    let held = pool.lease();
    let first = pool.wait();
    let second = pool.wait();
    pool.reads("2 leased, 0 idle, 2 waiting of 2");

    // A dial that fails gives its slot, not a connection.
    let lease = room_for(first, pool.gone(dialling, Discard::Failed));
    pool.reads("2 leased, 0 idle, 1 waiting of 2");
    let got = conn_for(second, pool.give(held));
    assert_eq!(got.1, 1);
    let got_too = pool.dial(lease);
    assert_eq!((pool.give(got), pool.give(got_too)), (KEPT, KEPT));
    pool.reads("0 leased, 2 idle, 0 waiting of 2");
}

// POOL-07
#[test]
fn a_cancelled_waiter_gives_its_turn_to_the_next() {
    let mut pool = Pool::new(bounds(1, true));
    let held = pool.lease();
    let (first, second, third) = (pool.wait(), pool.wait(), pool.wait());
    assert!(pool.ledger.cancel(first));
    assert!(!pool.ledger.cancel(first), "a second time");
    let held = conn_for(second, pool.give(held));
    assert!(!pool.ledger.cancel(second), "it was granted");
    pool.reads("1 leased, 0 idle, 1 waiting of 1");
    let held = conn_for(third, pool.give(held));
    assert_eq!(pool.give(held), KEPT);
}

// POOL-07
#[test]
fn a_newcomer_never_overtakes_a_waiter() {
    let mut pool = Pool::new(bounds(1, true));
    let held = pool.lease();
    let first = pool.wait();
    let held = conn_for(first, pool.give(held));
    let second = pool.wait();
    let third = pool.wait();
    let lease = room_for(second, pool.gone(held.0, Discard::Failed));
    let fourth = pool.wait();
    let held = pool.dial(lease);
    let held = conn_for(third, pool.give(held));
    let held = conn_for(fourth, pool.give(held));
    assert_eq!(pool.give(held), KEPT);
    assert_eq!(pool.ledger.figures().reused, 3);
}

// POOL-08
#[test]
fn a_pool_that_does_not_block_never_waits_and_closes_the_surplus_as_it_comes_back() {
    let mut pool = Pool::new(bounds(2, false));
    let held: Vec<_> = (0..5).map(|_| pool.lease()).collect();
    pool.reads("5 leased, 0 idle, 0 waiting of 2");
    let outcomes: Vec<_> = held.into_iter().map(|held| pool.give(held)).collect();
    let surplus = [3, 4, 5].map(|conn| closed(conn, Discard::Surplus));
    assert_eq!(outcomes[..2], [KEPT, KEPT]);
    assert_eq!(outcomes[2..], surplus);
    let figures = pool.ledger.figures();
    assert_eq!((figures.surplus, figures.discarded, figures.closed, figures.opened), (3, 0, 3, 5));
    pool.reads("0 leased, 2 idle, 0 waiting of 2");
}

// POOL-08
#[test]
fn a_pool_that_keeps_nothing_closes_each_connection_as_surplus() {
    let mut pool = Pool::new(bounds(0, false));
    let held = pool.lease();
    assert_eq!(pool.give(held), closed(1, Discard::Surplus));
}

// POOL-09
#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "a lease came back that this pool did not give")]
fn one_connection_too_many_is_a_bug_of_ours() {
    let (mut pool, mut other) = (Pool::new(bounds(1, true)), Pool::new(bounds(1, true)));
    pool.exchange();
    let foreign = other.lease();
    let _ = pool.give(foreign);
}

// POOL-09
#[test]
#[cfg(not(debug_assertions))]
fn one_connection_too_many_is_closed_and_counts_nowhere() {
    let (mut pool, mut other) = (Pool::new(bounds(1, true)), Pool::new(bounds(1, true)));
    pool.exchange();
    let before = pool.ledger.figures();
    let foreign = other.lease();
    assert_eq!(pool.give(foreign), closed(1, Discard::Surplus));
    assert_eq!(pool.ledger.figures(), before);
}

// POOL-10 THR-1220
#[test]
fn closing_lets_idle_connections_and_waiters_go_and_leases_close_when_they_come_back() {
    let mut pool = Pool::new(bounds(3, true));
    let (one, two) = (pool.lease(), pool.lease());
    let Checkout::Dial(dialling) = pool.checkout() else { panic!() };
    let tickets = vec![pool.wait(), pool.wait()];
    assert_eq!(pool.ledger.close(), Closing { idle: vec![], waiters: tickets.clone() });
    assert_eq!(pool.ledger.close(), Closing { idle: vec![], waiters: vec![] });
    assert!(pool.ledger.is_closed());
    assert_eq!(pool.checkout(), Checkout::Closed);
    assert_eq!(pool.ledger.reserve(), None);
    assert!(!pool.ledger.cancel(tickets[0]));
    pool.reads("3 leased, 0 idle, 0 waiting of 3, closed");

    assert_eq!(pool.give(one), closed(1, Discard::PoolClosed));
    assert_eq!(pool.gone(two.0, Discard::Aborted), KEPT);
    let late = pool.dial(dialling);
    assert_eq!(pool.give(late), closed(3, Discard::PoolClosed));
    pool.reads("0 leased, 0 idle, 0 waiting of 3, closed");
    let figures = pool.ledger.figures();
    assert_eq!((figures.opened, figures.closed, figures.discarded), (3, 3, 1));
}

// POOL-10
#[test]
fn closing_closes_what_is_idle_once() {
    let mut pool = Pool::new(Bounds { idle_timeout: Some(SECOND), ..bounds(2, false) });
    let (one, two) = (pool.lease(), pool.lease());
    assert_eq!((pool.give(one), pool.give(two)), (KEPT, KEPT));
    let closing = pool.ledger.close();
    assert_eq!(closing.idle, [(1, Discard::PoolClosed), (2, Discard::PoolClosed)]);
    assert!(pool.ledger.close().idle.is_empty());
    assert_eq!(pool.ledger.closed_for(Discard::PoolClosed), 2);
    assert_eq!(pool.ledger.expire(pool.now + SECOND, &mut pool.expired), None);
    assert!(pool.expired.is_empty());
}

// THR-1220
// POOL-12
#[test]
fn whatever_goes_wrong_a_blocking_pool_never_shrinks() {
    let mut pool = Pool::new(bounds(2, true));
    for (round, why) in Discard::ALL.into_iter().enumerate() {
        let Checkout::Dial(unmade) = pool.checkout() else { panic!() };
        let (made, ..) = pool.lease();
        let ticket = pool.wait();
        let lease = room_for(ticket, pool.gone(unmade, why));
        assert_eq!(pool.gone(made, why), KEPT);
        assert_eq!(pool.gone(lease, why), KEPT);
        pool.reads("0 leased, 0 idle, 0 waiting of 2");
        let figures = pool.ledger.figures();
        assert_eq!((figures.opened, figures.closed), (round as u64 + 1, round as u64 + 1), "{why:?}");
        assert_eq!(pool.ledger.closed_for(why), 1);
    }
}

// POOL-14
// POOL-14
// POOL-14
// POOL-16
#[test]
fn a_release_frees_one_slot_and_the_next_request_finds_it_at_once() {
    let mut pool = Pool::new(bounds(2, true));
    let (one, _two) = (pool.lease(), pool.lease());
    let ticket = pool.wait();
    let next = pool.wait();
    let got = conn_for(ticket, pool.give(one));
    pool.reads("2 leased, 0 idle, 1 waiting of 2");
    assert!(pool.ledger.cancel(next));
    assert_eq!(pool.give(got), KEPT);
    assert!(matches!(pool.checkout(), Checkout::Use(_, 1, _)));
    assert!(matches!(pool.checkout(), Checkout::Wait(_)));
}

// POOL-18
#[test]
fn a_connection_that_is_held_is_not_handed_to_a_second_request() {
    let mut pool = Pool::new(Bounds { max_waiting: 1, ..bounds(1, true) });
    let held = pool.lease();
    let ticket = pool.wait();
    assert_eq!(pool.checkout(), Checkout::Full);
    assert!(pool.ledger.cancel(ticket));
    assert_eq!(pool.give(held), KEPT);
}

// THR-315
// THR-315
// THR-320
#[test]
fn a_grant_and_a_cancel_at_the_same_moment_have_one_outcome() {
    let mut pool = Pool::new(bounds(1, true));
    let held = pool.lease();
    let (first, second) = (pool.wait(), pool.wait());
    let granted = pool.give(held);
    // The waiter went away before it heard: `cancel` says so, and what it was granted goes on to the next.
    assert!(!pool.ledger.cancel(first));
    let granted = conn_for(first, granted);
    let granted = conn_for(second, pool.give(granted));
    assert_eq!(pool.give(granted), KEPT);
    pool.reads("0 leased, 1 idle, 0 waiting of 1");
}

// THR-909
#[test]
fn a_waiter_that_gives_up_frees_its_place_in_a_bounded_queue() {
    let mut pool = Pool::new(Bounds { max_waiting: 2, ..bounds(1, true) });
    let held = pool.lease();
    let (first, second) = (pool.wait(), pool.wait());
    assert_eq!(pool.checkout(), Checkout::Full);
    assert!(pool.ledger.cancel(second));
    let third = pool.wait();
    assert_eq!(pool.checkout(), Checkout::Full);
    let held = conn_for(first, pool.give(held));
    let held = conn_for(third, pool.give(held));
    assert_eq!(pool.give(held), KEPT);
}

// THR-915
// THR-915
// THR-1010
#[test]
fn nothing_is_allocated_once_the_pool_has_been_as_busy_as_it_gets() {
    let mut pool = Pool::new(Bounds { idle_timeout: Some(SECOND), ..bounds(4, true) });
    let mut capacities = None;
    for _ in 0..1_000 {
        let mut held: Vec<_> = (0..4).map(|_| pool.lease()).collect();
        let tickets: Vec<_> = (0..64).map(|_| pool.wait()).collect();
        for (served, &ticket) in tickets.iter().enumerate() {
            if served % 3 == 0 {
                assert!(pool.ledger.cancel(ticket));
            } else {
                let back = held.remove(0);
                held.push(conn_for(ticket, pool.give(back)));
            }
        }
        for held in held {
            assert_eq!(pool.give(held), KEPT);
        }
        let now = (pool.ledger.idle.capacity(), pool.ledger.queue.bytes(), pool.expired.capacity());
        assert_eq!(*capacities.get_or_insert(now), now);
    }
}

// THR-1003
#[test]
fn a_hundred_thousand_waiters_on_four_connections_are_served_in_their_order() {
    let mut pool = Pool::new(bounds(4, true));
    let started = epoch();
    let mut held: VecDeque<_> = (0..4).map(|_| pool.lease()).collect();
    let tickets: Vec<_> = (0..100_000).map(|_| pool.wait()).collect();
    assert_eq!(pool.ledger.figures().waiting, 100_000);

    // Every tenth gives up.
    for &ticket in tickets.iter().step_by(10) {
        assert!(pool.ledger.cancel(ticket));
    }
    let mut served = 0;
    for (_, &ticket) in tickets.iter().enumerate().filter(|(at, _)| !at.is_multiple_of(10)) {
        let back = held.pop_front().unwrap();
        // Every seventh exchange costs its connection: the slot goes on all the same.
        let next = if served % 7 == 0 {
            let lease = room_for(ticket, pool.gone(back.0, Discard::NotReusable));
            pool.dial(lease)
        } else {
            conn_for(ticket, pool.give(back))
        };
        held.push_back(next);
        served += 1;
    }
    assert_eq!(served, 90_000);
    pool.reads("4 leased, 0 idle, 0 waiting of 4");
    assert!(epoch() - started < PATIENCE);
}

// THR-1003
#[test]
fn giving_up_costs_the_same_in_a_queue_of_any_length() {
    let mut pool = Pool::new(bounds(1, true));
    let _held = pool.lease();
    let tickets: Vec<_> = (0..400_000).map(|_| pool.wait()).collect();
    let started = epoch();
    // From the middle outwards, so that a search from either end would be long each time.
    for distance in 0..200_000 {
        assert!(pool.ledger.cancel(tickets[200_000 + distance]));
        assert!(pool.ledger.cancel(tickets[199_999 - distance]));
    }
    assert!(epoch() - started < PATIENCE);
    pool.reads("1 leased, 0 idle, 0 waiting of 1");
    assert!(pool.ledger.queue.bytes() <= 400_000 * 2 * 1024);
}

/// Work that is linear takes a tenth of a second, unoptimised too; a walk through the queue for each waiter, a minute.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn redialling_leaves_the_other_idle_connections_alone() {
    let mut pool = Pool::new(bounds(2, true));
    let (first, second) = (pool.lease(), pool.lease());
    assert_eq!(pool.give(first), KEPT);
    assert_eq!(pool.give(second), KEPT);
    let Checkout::Use(lease, conn, _) = pool.checkout() else { panic!("two are idle") };
    let Checkout::Dial(lease) = pool.ledger.redial(lease, Discard::Stale) else { panic!("a held slot is dialled in") };
    pool.reads("1 leased, 1 idle, 0 waiting of 2");
    let fresh = pool.dial(lease);
    assert!(fresh.1 != conn);
    let figures = pool.ledger.figures();
    assert_eq!((figures.opened, figures.closed, figures.reused), (3, 1, 0));
    assert_eq!(pool.give(fresh), KEPT);
}

// MGR-01: what the bound over all pools of a manager asks of a pool's ledger.
#[test]
fn the_first_who_waits_is_the_next_who_is_granted() {
    let mut pool = Pool::new(bounds(1, true));
    assert_eq!(pool.ledger.first_waiting(), None);
    let held = pool.lease();
    assert_eq!(pool.ledger.first_waiting(), None);
    let (first, second, third) = (pool.wait(), pool.wait(), pool.wait());
    assert_eq!(pool.ledger.first_waiting(), Some(first));
    assert!(pool.ledger.cancel(second));
    assert_eq!(pool.ledger.first_waiting(), Some(first));
    let held = conn_for(first, pool.give(held));
    assert_eq!(pool.ledger.first_waiting(), Some(third));
    let held = conn_for(third, pool.give(held));
    assert_eq!(pool.ledger.first_waiting(), None);
    let last = pool.wait();
    assert_eq!(pool.ledger.close().waiters, [last]);
    assert_eq!(pool.ledger.first_waiting(), None);
    assert_eq!(pool.give(held), closed(1, Discard::PoolClosed));
}

// MGR-01
#[test]
fn a_connection_is_passed_on_to_whoever_holds_a_slot_and_past_those_who_wait_for_one() {
    let mut pool = Pool::new(bounds(2, true));
    let (lease, conn, mut life) = pool.lease();
    let Checkout::Dial(slot) = pool.checkout() else { panic!("there are two slots") };
    let ticket = pool.wait();
    let passed = pool.ledger.pass_on(lease, &life, pool.now).expect("nothing bounds its life");
    pool.reads("2 leased, 0 idle, 1 waiting of 2");
    life.begin();
    // The slot that the other had held is the waiter's.
    let room = room_for(ticket, pool.gone(slot, Discard::Aborted));
    let figures = pool.ledger.figures();
    assert_eq!((figures.opened, figures.closed, figures.reused, figures.dialling), (1, 0, 1, 1));
    assert_eq!(pool.give((passed, conn, life)), KEPT);
    assert_eq!(pool.gone(room, Discard::Failed), KEPT);
    pool.reads("0 leased, 1 idle, 0 waiting of 2");
}

// MGR-01
#[test]
fn a_connection_that_carried_nothing_is_passed_on_without_being_counted_as_reused() {
    let mut pool = Pool::new(bounds(1, true));
    let Checkout::Dial(mut lease) = pool.checkout() else { panic!() };
    pool.ledger.dialled(&mut lease);
    let life = Life::new(pool.now);
    let lease = pool.ledger.pass_on(lease, &life, pool.now).expect("nothing bounds its life");
    assert_eq!(pool.ledger.figures().reused, 0);
    assert_eq!(pool.give((lease, 1, life)), KEPT);
}

// MGR-01 THR-315
#[test]
fn a_connection_whose_time_is_up_is_not_passed_on_and_its_lease_comes_back() {
    let spent = |bounds: Bounds, why: Discard, close: bool| {
        let mut pool = Pool::new(bounds);
        let (lease, _, life) = pool.lease();
        if close {
            assert_eq!(pool.ledger.close(), Closing { idle: vec![], waiters: vec![] });
        }
        pool.now += SECOND;
        let before = pool.ledger.figures();
        let (lease, said) = pool.ledger.pass_on(lease, &life, pool.now).expect_err("its time is up");
        assert_eq!((said, pool.ledger.figures()), (why, before));
        assert_eq!(pool.gone(lease, said), KEPT);
        assert_eq!(pool.ledger.closed_for(why), 1);
    };
    spent(Bounds { max_age: Some(SECOND), ..bounds(1, true) }, Discard::MaxAge, false);
    spent(Bounds { max_requests: 1, ..bounds(1, true) }, Discard::MaxRequests, false);
    spent(bounds(1, true), Discard::PoolClosed, true);
}

// MGR-01
#[test]
fn the_connection_that_has_been_idle_longest_goes_first_when_another_pool_needs_its_place() {
    let mut pool = Pool::new(Bounds { idle_timeout: Some(SECOND * 9), ..bounds(3, true) });
    assert_eq!((pool.ledger.oldest_idle(), pool.ledger.evict_oldest(Discard::Evicted)), (None, None));
    let held = [pool.lease(), pool.lease(), pool.lease()];
    assert_eq!(pool.ledger.oldest_idle(), None, "what is leased is not idle");
    let start = pool.now;
    for held in held {
        pool.now += SECOND;
        assert_eq!(pool.give(held), KEPT);
    }
    assert_eq!(pool.ledger.oldest_idle(), Some(start + SECOND));
    // The youngest is used; that moves nothing.
    assert_eq!(pool.exchange(), 3);
    assert_eq!(pool.ledger.oldest_idle(), Some(start + SECOND));
    assert_eq!(pool.ledger.evict_oldest(Discard::Evicted), Some(1));
    assert_eq!(pool.ledger.oldest_idle(), Some(start + SECOND * 2));
    assert_eq!(pool.ledger.evict_oldest(Discard::Evicted), Some(2));
    let figures = pool.ledger.figures();
    assert_eq!((figures.idle, figures.closed, figures.discarded), (1, 2, 2));
    assert_eq!(pool.ledger.closed_for(Discard::Evicted), 2);
    // What is due may be told too early now, and then nothing is.
    assert_eq!(pool.ledger.expire(start + SECOND * 10, &mut pool.expired), Some(start + SECOND * 12));
    assert!(pool.expired.is_empty());
    assert_eq!(pool.ledger.evict_oldest(Discard::Evicted), Some(3));
    assert_eq!((pool.ledger.oldest_idle(), pool.ledger.evict_oldest(Discard::Evicted)), (None, None));
    pool.reads("0 leased, 0 idle, 0 waiting of 3");
}
