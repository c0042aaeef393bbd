//! The ledger's rules, one history each. Connections are numbers; the clock is an instant plus seconds.

use std::time::Duration;

use super::*;
use crate::keepalive::Hint;

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "the origin of a simulated clock: an `Instant` cannot be made otherwise"
)]
pub(super) fn epoch() -> Instant {
    Instant::now()
}

pub(super) fn bounds(maxsize: u32, block: bool) -> Bounds {
    Bounds {
        maxsize,
        block,
        max_waiting: 0,
        idle_timeout: None,
        max_age: None,
        max_requests: 0,
    }
}

/// A ledger, a clock and the next connection's number.
struct Pool {
    ledger: Ledger<u32>,
    now: Instant,
    expired: Vec<(u32, Discard)>,
    dials: u32,
}

impl Pool {
    fn new(bounds: Bounds) -> Self {
        Self {
            ledger: Ledger::new(bounds),
            now: epoch(),
            expired: Vec::new(),
            dials: 0,
        }
    }

    fn checkout(&mut self) -> Checkout<u32> {
        self.ledger.checkout(self.now, &mut self.expired)
    }

    fn wait(&mut self) -> Ticket {
        match self.checkout() {
            Checkout::Wait(ticket) => ticket,
            other => panic!("expected to wait: {other:?}"),
        }
    }

    /// A connection in use: an idle one or one that is dialled, and a request begun on it.
    fn lease(&mut self) -> (Lease, u32, Life) {
        match self.checkout() {
            Checkout::Use(lease, conn, mut life) => {
                life.begin();
                (lease, conn, life)
            }
            Checkout::Dial(lease) => self.dial(lease),
            other => panic!("expected a slot: {other:?}"),
        }
    }

    fn dial(&mut self, mut lease: Lease) -> (Lease, u32, Life) {
        self.ledger.dialled(&mut lease);
        self.dials += 1;
        let mut life = Life::new(self.now);
        life.begin();
        (lease, self.dials, life)
    }

    fn give(&mut self, (lease, conn, life): (Lease, u32, Life)) -> Released<u32> {
        self.ledger
            .release(lease, Returned::Reusable(conn, life), self.now)
    }

    fn gone(&mut self, lease: Lease, why: Discard) -> Released<u32> {
        self.ledger.release(lease, Returned::Gone(why), self.now)
    }

    /// A request from beginning to end; the connection's number.
    fn exchange(&mut self) -> u32 {
        let held = self.lease();
        let conn = held.1;
        assert_eq!(self.give(held), KEPT);
        conn
    }

    #[track_caller]
    fn reads(&self, line: &str) {
        assert_eq!(self.ledger.to_string(), line);
    }
}

const KEPT: Released<u32> = Released {
    close: None,
    grant: None,
};

fn closed(conn: u32, why: Discard) -> Released<u32> {
    Released {
        close: Some((conn, why)),
        grant: None,
    }
}

/// The lease of a granted slot to dial in, for this ticket.
#[track_caller]
fn room_for(ticket: Ticket, released: Released<u32>) -> Lease {
    match released.grant {
        Some((granted, Granted::Dial(lease))) if granted == ticket => lease,
        other => panic!("expected room for {ticket:?}: {other:?}"),
    }
}

/// What of a granted connection, for this ticket.
#[track_caller]
fn conn_for(ticket: Ticket, released: Released<u32>) -> (Lease, u32, Life) {
    match released.grant {
        Some((granted, Granted::Use(lease, conn, life))) if granted == ticket => {
            (lease, conn, life)
        }
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
        assert_eq!(
            (figures.opened, figures.closed, figures.reused, figures.idle),
            (1, 0, 99, 1)
        );
    }
}

// POOL-07
#[test]
fn a_blocking_pool_counts_the_connections_that_are_being_dialled() {
    let mut pool = Pool::new(bounds(2, true));
    let Checkout::Dial(dialling) = pool.checkout() else {
        panic!()
    };
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
    assert_eq!(
        (
            figures.surplus,
            figures.discarded,
            figures.closed,
            figures.opened
        ),
        (3, 0, 3, 5)
    );
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
    let Checkout::Dial(dialling) = pool.checkout() else {
        panic!()
    };
    let tickets = vec![pool.wait(), pool.wait()];
    assert_eq!(
        pool.ledger.close(),
        Closing {
            idle: vec![],
            waiters: tickets.clone()
        }
    );
    assert_eq!(
        pool.ledger.close(),
        Closing {
            idle: vec![],
            waiters: vec![]
        }
    );
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
    assert_eq!(
        (figures.opened, figures.closed, figures.discarded),
        (3, 3, 1)
    );
}

// POOL-10
#[test]
fn closing_closes_what_is_idle_once() {
    let mut pool = Pool::new(Bounds {
        idle_timeout: Some(SECOND),
        ..bounds(2, false)
    });
    let (one, two) = (pool.lease(), pool.lease());
    assert_eq!((pool.give(one), pool.give(two)), (KEPT, KEPT));
    let closing = pool.ledger.close();
    assert_eq!(
        closing.idle,
        [(1, Discard::PoolClosed), (2, Discard::PoolClosed)]
    );
    assert!(pool.ledger.close().idle.is_empty());
    assert_eq!(pool.ledger.closed_for(Discard::PoolClosed), 2);
    assert_eq!(
        pool.ledger.expire(pool.now + SECOND, &mut pool.expired),
        None
    );
    assert!(pool.expired.is_empty());
}

// THR-1220
#[test]
fn a_lease_whose_connection_is_stale_may_finish_after_close() {
    let mut pool = Pool::new(bounds(1, true));
    pool.exchange();
    let (lease, ..) = pool.lease();
    assert!(pool.ledger.close().idle.is_empty());
    let Checkout::Dial(lease) =
        pool.ledger
            .retake(lease, Discard::Stale, pool.now, &mut pool.expired)
    else {
        panic!()
    };
    let held = pool.dial(lease);
    assert_eq!(pool.give(held), closed(2, Discard::PoolClosed));
}

// POOL-12
#[test]
fn whatever_goes_wrong_a_blocking_pool_never_shrinks() {
    let mut pool = Pool::new(bounds(2, true));
    for (round, why) in Discard::ALL.into_iter().enumerate() {
        let Checkout::Dial(unmade) = pool.checkout() else {
            panic!()
        };
        let (made, ..) = pool.lease();
        let ticket = pool.wait();
        let lease = room_for(ticket, pool.gone(unmade, why));
        assert_eq!(pool.gone(made, why), KEPT);
        assert_eq!(pool.gone(lease, why), KEPT);
        pool.reads("0 leased, 0 idle, 0 waiting of 2");
        let figures = pool.ledger.figures();
        assert_eq!(
            (figures.opened, figures.closed),
            (round as u64 + 1, round as u64 + 1),
            "{why:?}"
        );
        assert_eq!(pool.ledger.closed_for(why), 1);
    }
}

// POOL-14
#[test]
fn a_stale_connection_is_replaced_in_the_same_slot() {
    let mut pool = Pool::new(bounds(2, true));
    let (one, two) = (pool.lease(), pool.lease());
    assert_eq!((pool.give(one), pool.give(two)), (KEPT, KEPT));
    let Checkout::Use(lease, 2, _) = pool.checkout() else {
        panic!()
    };
    let Checkout::Use(lease, 1, _) =
        pool.ledger
            .retake(lease, Discard::Stale, pool.now, &mut pool.expired)
    else {
        panic!()
    };
    pool.reads("1 leased, 0 idle, 0 waiting of 2");
    let Checkout::Dial(lease) =
        pool.ledger
            .retake(lease, Discard::Poisoned, pool.now, &mut pool.expired)
    else {
        panic!()
    };
    let held = pool.dial(lease);
    let figures = pool.ledger.figures();
    assert_eq!(
        (
            figures.opened,
            figures.closed,
            figures.poisoned,
            figures.discarded
        ),
        (3, 2, 1, 2)
    );
    assert_eq!(figures.reused, 0, "neither was used again");
    assert_eq!(pool.give(held), KEPT);
}

// POOL-14
#[test]
fn a_stale_connection_of_a_full_pool_neither_waits_nor_lets_a_waiter_in() {
    let mut pool = Pool::new(Bounds {
        max_waiting: 1,
        ..bounds(1, true)
    });
    pool.exchange();
    let Checkout::Use(lease, ..) = pool.checkout() else {
        panic!()
    };
    let ticket = pool.wait();
    let Checkout::Dial(lease) =
        pool.ledger
            .retake(lease, Discard::Stale, pool.now, &mut pool.expired)
    else {
        panic!()
    };
    pool.reads("1 leased, 0 idle, 1 waiting of 1");
    let held = pool.dial(lease);
    assert_eq!(conn_for(ticket, pool.give(held)).1, 2);
}

// POOL-14
#[test]
fn what_expired_is_passed_over_when_a_stale_connection_is_replaced() {
    let mut pool = Pool::new(Bounds {
        idle_timeout: Some(SECOND * 2),
        ..bounds(2, false)
    });
    let (one, two) = (pool.lease(), pool.lease());
    assert_eq!(pool.give(one), KEPT);
    pool.now += SECOND;
    assert_eq!(pool.give(two), KEPT);
    pool.now += SECOND;
    let Checkout::Use(lease, 2, _) = pool.checkout() else {
        panic!()
    };
    let Checkout::Dial(lease) =
        pool.ledger
            .retake(lease, Discard::PeerClosed, pool.now, &mut pool.expired)
    else {
        panic!()
    };
    assert_eq!(pool.expired, [(1, Discard::IdleTimeout)]);
    assert_eq!(pool.gone(lease, Discard::Failed), KEPT);
}

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
    let mut pool = Pool::new(Bounds {
        max_waiting: 1,
        ..bounds(1, true)
    });
    let held = pool.lease();
    let ticket = pool.wait();
    assert_eq!(pool.checkout(), Checkout::Full);
    assert!(pool.ledger.cancel(ticket));
    assert_eq!(pool.give(held), KEPT);
}

// THR-315
#[test]
fn no_request_goes_out_in_the_last_half_second_of_the_servers_patience() {
    let mut pool = Pool::new(bounds(1, false));
    let serve = |pool: &mut Pool| {
        let (lease, conn, mut life) = pool.lease();
        life.learn(Hint {
            timeout: Some(SECOND * 5),
            max: None,
        });
        assert_eq!(pool.give((lease, conn, life)), KEPT);
        conn
    };
    assert_eq!(serve(&mut pool), 1);
    pool.now += Duration::from_millis(4_499);
    assert_eq!(serve(&mut pool), 1);
    pool.now += Duration::from_millis(4_500);
    assert_eq!(serve(&mut pool), 2);
    assert_eq!(pool.expired, [(1, Discard::ServerKeepAlive)]);
}

// THR-315
#[test]
fn the_servers_last_request_is_the_last() {
    let mut pool = Pool::new(bounds(1, true));
    let (lease, conn, mut life) = pool.lease();
    life.learn(Hint {
        timeout: None,
        max: Some(1),
    });
    assert_eq!(pool.give((lease, conn, life)), KEPT);
    let held = pool.lease();
    assert_eq!(held.1, 1, "one more is allowed");
    let ticket = pool.wait();
    let released = pool.give(held);
    assert_eq!(released.close, Some((1, Discard::ServerKeepAlive)));
    assert_eq!(
        pool.gone(room_for(ticket, released), Discard::Aborted),
        KEPT
    );
}

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
    let mut pool = Pool::new(Bounds {
        max_waiting: 2,
        ..bounds(1, true)
    });
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
#[test]
fn idle_connections_are_closed_when_they_are_due_and_leased_ones_are_not() {
    let mut pool = Pool::new(Bounds {
        idle_timeout: Some(SECOND * 3),
        max_age: Some(SECOND * 5),
        ..bounds(3, false)
    });
    let start = pool.now;
    let (one, two, three) = (pool.lease(), pool.lease(), pool.lease());
    assert_eq!(pool.ledger.next_expiry(), None);
    assert_eq!(pool.give(one), KEPT);
    assert_eq!(pool.ledger.next_expiry(), Some(start + SECOND * 3));
    pool.now += SECOND * 2;
    assert_eq!(pool.give(two), KEPT);
    assert_eq!(
        pool.ledger.expire(pool.now, &mut pool.expired),
        Some(start + SECOND * 3)
    );
    assert!(pool.expired.is_empty());

    pool.now = start + SECOND * 3;
    assert_eq!(
        pool.ledger.expire(pool.now, &mut pool.expired),
        Some(start + SECOND * 5)
    );
    pool.now = start + SECOND * 5;
    assert_eq!(pool.ledger.expire(pool.now, &mut pool.expired), None);
    assert_eq!(
        pool.expired,
        [(1, Discard::IdleTimeout), (2, Discard::MaxAge)]
    );

    // The third lived on in somebody's hands; it is judged when it comes back.
    assert_eq!(pool.give(three), closed(3, Discard::MaxAge));
    pool.reads("0 leased, 0 idle, 0 waiting of 3");
}

// THR-915
#[test]
fn checkout_passes_over_what_is_due_without_waiting_for_expire() {
    let mut pool = Pool::new(Bounds {
        idle_timeout: Some(SECOND),
        ..bounds(2, true)
    });
    let (one, two) = (pool.lease(), pool.lease());
    assert_eq!((pool.give(one), pool.give(two)), (KEPT, KEPT));
    pool.now += SECOND;
    assert!(matches!(pool.checkout(), Checkout::Dial(_)));
    assert_eq!(
        pool.expired,
        [(2, Discard::IdleTimeout), (1, Discard::IdleTimeout)]
    );
    pool.reads("1 leased, 0 idle, 0 waiting of 2");
}

#[test]
fn a_connection_past_its_bounds_is_closed_and_the_waiter_dials() {
    let bounds = Bounds {
        max_requests: 2,
        ..bounds(1, true)
    };
    let mut pool = Pool::new(bounds);
    assert_eq!(pool.exchange(), 1);
    let held = pool.lease();
    let ticket = pool.wait();
    let released = pool.give(held);
    assert_eq!(released.close, Some((1, Discard::MaxRequests)));
    let held = pool.dial(room_for(ticket, released));
    assert_eq!(held.1, 2);
    assert_eq!(pool.give(held), KEPT);
}

// THR-1010
#[test]
fn a_connection_counts_from_the_end_of_its_dialling_to_its_closing() {
    let mut pool = Pool::new(bounds(1, true));
    let counts = |pool: &Pool| {
        let Figures {
            opened,
            closed,
            idle,
            leased,
            dialling,
            ..
        } = pool.ledger.figures();
        (opened, closed, idle, leased, dialling)
    };
    let Checkout::Dial(lease) = pool.checkout() else {
        panic!()
    };
    assert_eq!(counts(&pool), (0, 0, 0, 1, 1));
    assert_eq!(pool.gone(lease, Discard::Failed), KEPT);
    assert_eq!(
        counts(&pool),
        (0, 0, 0, 0, 0),
        "a dial that failed neither opened nor closed anything"
    );
    let held = pool.lease();
    assert_eq!(counts(&pool), (1, 0, 0, 1, 0));
    assert_eq!(pool.give(held), KEPT);
    assert_eq!(counts(&pool), (1, 0, 1, 0, 0));
    let (lease, ..) = pool.lease();
    assert_eq!(pool.gone(lease, Discard::Abandoned), KEPT);
    assert_eq!(counts(&pool), (1, 1, 0, 0, 0));
    assert_eq!(pool.ledger.figures().abandoned, 1);
}

#[test]
fn warming_holds_to_maxsize_and_serves_who_came_meanwhile() {
    for block in [false, true] {
        let mut pool = Pool::new(bounds(3, block));
        let held = pool.lease();
        let (one, two) = (
            pool.ledger.reserve().unwrap(),
            pool.ledger.reserve().unwrap(),
        );
        assert_eq!(pool.ledger.reserve(), None);
        pool.reads("3 leased, 0 idle, 0 waiting of 3");
        assert_eq!(pool.gone(one, Discard::Failed), KEPT);
        assert_eq!(
            pool.ledger.add_idle(two, 7, Life::new(pool.now), pool.now),
            KEPT
        );
        pool.reads("1 leased, 1 idle, 0 waiting of 3");
        assert_eq!(pool.lease().1, 7);
        assert_eq!(
            pool.ledger.figures().reused,
            0,
            "its first request is no reuse"
        );
        drop(held);
    }
    let mut pool = Pool::new(bounds(1, true));
    let reserved = pool.ledger.reserve().unwrap();
    let ticket = pool.wait();
    let released = pool
        .ledger
        .add_idle(reserved, 7, Life::new(pool.now), pool.now);
    assert_eq!(conn_for(ticket, released).1, 7);
}

#[test]
fn idle_connections_that_were_found_dead_make_room() {
    let mut pool = Pool::new(bounds(3, true));
    let held = [pool.lease(), pool.lease(), pool.lease()];
    for held in held {
        assert_eq!(pool.give(held), KEPT);
    }
    let mut gone = Vec::new();
    pool.ledger
        .discard_idle(Discard::PeerClosed, |&conn, _| conn != 2, &mut gone);
    assert_eq!(gone, [(1, Discard::PeerClosed), (3, Discard::PeerClosed)]);
    pool.reads("0 leased, 1 idle, 0 waiting of 3");
    assert_eq!(pool.lease().1, 2);
    assert_eq!(pool.lease().1, 4);
}

#[test]
fn nothing_is_allocated_once_the_pool_has_been_as_busy_as_it_gets() {
    let mut pool = Pool::new(Bounds {
        idle_timeout: Some(SECOND),
        ..bounds(4, true)
    });
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
        let now = (
            pool.ledger.idle.capacity(),
            pool.ledger.queue.capacity(),
            pool.expired.capacity(),
        );
        assert_eq!(*capacities.get_or_insert(now), now);
    }
}

// THR-1003
#[test]
fn a_hundred_thousand_waiters_on_four_connections_are_served_in_their_order() {
    let mut pool = Pool::new(bounds(4, true));
    let started = epoch();
    let mut held: std::collections::VecDeque<_> = (0..4).map(|_| pool.lease()).collect();
    let tickets: Vec<_> = (0..100_000).map(|_| pool.wait()).collect();
    assert_eq!(pool.ledger.figures().waiting, 100_000);

    // Every tenth gives up, from the middle of the queue outwards, so that a search from either end would show.
    for distance in (0..50_000).step_by(10) {
        assert!(pool.ledger.cancel(tickets[50_000 + distance]));
        assert!(pool.ledger.cancel(tickets[49_999 - distance]));
    }
    let stays = |at: usize| {
        if at >= 50_000 {
            at % 10 != 0
        } else {
            at % 10 != 9
        }
    };
    let mut served = 0;
    for (_, &ticket) in tickets.iter().enumerate().filter(|&(at, _)| stays(at)) {
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
    // Linear work takes a fraction of a second even unoptimised; a walk through the queue for each would take minutes.
    assert!(epoch() - started < SECOND * 10);
    assert!(pool.ledger.queue.capacity() * 16 <= 100_000 * 2 * 1024);
}
