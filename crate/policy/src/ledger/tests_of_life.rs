//! What becomes of connections: how long they live, what replaces a stale one, how they are counted.

use std::time::Duration;

use super::tests::{KEPT, Pool, SECOND, bounds, closed, conn_for, room_for};
use super::*;
use crate::keepalive::Hint;

/// A connection dialled ahead of any request comes to its place.
fn warmed(pool: &mut Pool, mut lease: Lease) -> Released<u32> {
    pool.ledger.dialled(&mut lease);
    let life = Life::new(pool.now);
    pool.give((lease, 7, life))
}

#[test]
fn a_lease_whose_connection_is_stale_may_finish_after_close() {
    let mut pool = Pool::new(bounds(1, true));
    pool.exchange();
    let (lease, ..) = pool.lease();
    assert!(pool.ledger.close().idle.is_empty());
    let Checkout::Dial(lease) = pool.ledger.retake(lease, Discard::Stale, pool.now, &mut pool.expired) else {
        panic!()
    };
    let held = pool.dial(lease);
    assert_eq!(pool.give(held), closed(2, Discard::PoolClosed));
}

#[test]
fn a_stale_connection_is_replaced_in_the_same_slot() {
    let mut pool = Pool::new(bounds(2, true));
    let (one, two) = (pool.lease(), pool.lease());
    assert_eq!((pool.give(one), pool.give(two)), (KEPT, KEPT));
    let Checkout::Use(lease, 2, _) = pool.checkout() else { panic!() };
    let Checkout::Use(lease, 1, _) = pool.ledger.retake(lease, Discard::Stale, pool.now, &mut pool.expired) else {
        panic!()
    };
    pool.reads("1 leased, 0 idle, 0 waiting of 2");
    let Checkout::Dial(lease) = pool.ledger.retake(lease, Discard::Poisoned, pool.now, &mut pool.expired) else {
        panic!()
    };
    let held = pool.dial(lease);
    let figures = pool.ledger.figures();
    assert_eq!((figures.opened, figures.closed, figures.poisoned, figures.discarded), (3, 2, 1, 2));
    assert_eq!(figures.reused, 0, "neither was used again");
    assert_eq!(pool.give(held), KEPT);
}

#[test]
fn a_stale_connection_of_a_full_pool_neither_waits_nor_lets_a_waiter_in() {
    let mut pool = Pool::new(Bounds { max_waiting: 1, ..bounds(1, true) });
    pool.exchange();
    let Checkout::Use(lease, ..) = pool.checkout() else { panic!() };
    let ticket = pool.wait();
    let Checkout::Dial(lease) = pool.ledger.retake(lease, Discard::Stale, pool.now, &mut pool.expired) else {
        panic!()
    };
    pool.reads("1 leased, 0 idle, 1 waiting of 1");
    let held = pool.dial(lease);
    assert_eq!(conn_for(ticket, pool.give(held)).1, 2);
}

#[test]
fn what_expired_is_passed_over_when_a_stale_connection_is_replaced() {
    let mut pool = Pool::new(Bounds { idle_timeout: Some(SECOND * 2), ..bounds(2, false) });
    let (one, two) = (pool.lease(), pool.lease());
    assert_eq!(pool.give(one), KEPT);
    pool.now += SECOND;
    assert_eq!(pool.give(two), KEPT);
    pool.now += SECOND;
    let Checkout::Use(lease, 2, _) = pool.checkout() else { panic!() };
    let Checkout::Dial(lease) = pool.ledger.retake(lease, Discard::PeerClosed, pool.now, &mut pool.expired) else {
        panic!()
    };
    assert_eq!(pool.expired, [(1, Discard::IdleTimeout)]);
    assert_eq!(pool.gone(lease, Discard::Failed), KEPT);
}

#[test]
fn no_request_goes_out_in_the_last_half_second_of_the_servers_patience() {
    let mut pool = Pool::new(bounds(1, false));
    let serve = |pool: &mut Pool| {
        let (lease, conn, mut life) = pool.lease();
        life.learn(Hint { timeout: Some(SECOND * 5), max: None });
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

#[test]
fn the_servers_last_request_is_the_last() {
    let mut pool = Pool::new(bounds(1, true));
    let (lease, conn, mut life) = pool.lease();
    life.learn(Hint { timeout: None, max: Some(1) });
    assert_eq!(pool.give((lease, conn, life)), KEPT);
    let held = pool.lease();
    assert_eq!(held.1, 1, "one more is allowed");
    let ticket = pool.wait();
    let released = pool.give(held);
    assert_eq!(released.close, Some((1, Discard::ServerKeepAlive)));
    assert_eq!(pool.gone(room_for(ticket, released), Discard::Aborted), KEPT);
}

#[test]
fn idle_connections_are_closed_when_they_are_due_and_leased_ones_are_not() {
    let mut pool = Pool::new(Bounds { idle_timeout: Some(SECOND * 3), max_age: Some(SECOND * 5), ..bounds(3, false) });
    let start = pool.now;
    let (one, two, three) = (pool.lease(), pool.lease(), pool.lease());
    assert_eq!(pool.ledger.next_expiry(), None);
    assert_eq!(pool.give(one), KEPT);
    assert_eq!(pool.ledger.next_expiry(), Some(start + SECOND * 3));
    pool.now += SECOND * 2;
    assert_eq!(pool.give(two), KEPT);
    assert_eq!(pool.ledger.expire(pool.now, &mut pool.expired), Some(start + SECOND * 3));
    assert!(pool.expired.is_empty());

    pool.now = start + SECOND * 3;
    assert_eq!(pool.ledger.expire(pool.now, &mut pool.expired), Some(start + SECOND * 5));
    pool.now = start + SECOND * 5;
    assert_eq!(pool.ledger.expire(pool.now, &mut pool.expired), None);
    assert_eq!(pool.expired, [(1, Discard::IdleTimeout), (2, Discard::MaxAge)]);

    // The third lived on in somebody's hands; it is judged when it comes back.
    assert_eq!(pool.give(three), closed(3, Discard::MaxAge));
    pool.reads("0 leased, 0 idle, 0 waiting of 3");
}

#[test]
fn checkout_passes_over_what_is_due_without_waiting_for_expire() {
    let mut pool = Pool::new(Bounds { idle_timeout: Some(SECOND), ..bounds(2, true) });
    let (one, two) = (pool.lease(), pool.lease());
    assert_eq!((pool.give(one), pool.give(two)), (KEPT, KEPT));
    pool.now += SECOND;
    assert!(matches!(pool.checkout(), Checkout::Dial(_)));
    assert_eq!(pool.expired, [(2, Discard::IdleTimeout), (1, Discard::IdleTimeout)]);
    pool.reads("1 leased, 0 idle, 0 waiting of 2");
}

#[test]
fn a_connection_past_its_bounds_is_closed_and_the_waiter_dials() {
    let bounds = Bounds { max_requests: 2, ..bounds(1, true) };
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

#[test]
fn a_connection_counts_from_the_end_of_its_dialling_to_its_closing() {
    let mut pool = Pool::new(bounds(1, true));
    let counts = |pool: &Pool| {
        let Figures { opened, closed, idle, leased, dialling, .. } = pool.ledger.figures();
        (opened, closed, idle, leased, dialling)
    };
    let Checkout::Dial(lease) = pool.checkout() else { panic!() };
    assert_eq!(counts(&pool), (0, 0, 0, 1, 1));
    assert_eq!(pool.gone(lease, Discard::Failed), KEPT);
    assert_eq!(counts(&pool), (0, 0, 0, 0, 0), "a dial that failed neither opened nor closed anything");
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
        let (one, two) = (pool.ledger.reserve().unwrap(), pool.ledger.reserve().unwrap());
        assert_eq!(pool.ledger.reserve(), None);
        pool.reads("3 leased, 0 idle, 0 waiting of 3");
        assert_eq!(pool.gone(one, Discard::Failed), KEPT);
        assert_eq!(warmed(&mut pool, two), KEPT);
        pool.reads("1 leased, 1 idle, 0 waiting of 3");
        assert_eq!(pool.lease().1, 7);
        assert_eq!(pool.ledger.figures().reused, 0, "its first request is no reuse");
        drop(held);
    }
    let mut pool = Pool::new(bounds(1, true));
    let reserved = pool.ledger.reserve().unwrap();
    let ticket = pool.wait();
    let released = warmed(&mut pool, reserved);
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
    pool.ledger.discard_idle(Discard::PeerClosed, |&conn, _| conn != 2, &mut gone);
    assert_eq!(gone, [(1, Discard::PeerClosed), (3, Discard::PeerClosed)]);
    pool.reads("0 leased, 1 idle, 0 waiting of 3");
    assert_eq!(pool.lease().1, 2);
    assert_eq!(pool.lease().1, 4);
}
