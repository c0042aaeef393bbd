//! Random histories of a manager's pools under one bound, against lists that are searched from end to end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ferropool_policy::fleet::{Fleet, Returning, Take};
use proptest::prelude::*;

/// What happens next. Numbers choose among what there is, modulo how much there is.
#[derive(Clone, Copy, Debug)]
enum Event {
    Call(usize),
    Return(usize),
    Gone(usize),
    /// A connection that was closed has gone.
    Closed,
    CancelWaiter(usize),
    CancelArrival(u64),
    CloseIdle(usize),
    Advance(u64),
    Forget(usize),
}

/// A pool as its ledger would have it: a stack of idle connections, and those who wait for a slot of it.
#[derive(Default)]
struct Pool {
    idle: Vec<Instant>,
    leased: u32,
    own: VecDeque<u64>,
}

struct World {
    most: u32,
    /// Slots of each pool.
    maxsize: u32,
    fleet: Fleet<usize>,
    now: Instant,
    pools: Vec<Pool>,
    /// The pool of each connection that is in use.
    leased: Vec<usize>,
    /// Connections that were closed and are not gone yet.
    closing: usize,
    /// Those who have a slot of their pool and wait for a permit.
    line: Vec<(u64, usize)>,
    calls: u64,
    served: u64,
    cancelled: u64,
}

impl World {
    fn new(most: u32, maxsize: u32, pools: usize) -> Self {
        let pools = std::iter::repeat_with(Pool::default).take(pools).collect();
        let fleet = Fleet::new(most);
        let (leased, line) = (Vec::new(), Vec::new());
        Self { most, maxsize, fleet, now: epoch(), pools, leased, closing: 0, line, calls: 0, served: 0, cancelled: 0 }
    }

    fn happens(&mut self, event: Event) {
        self.now += Duration::from_nanos(1);
        match event {
            Event::Call(number) => self.call(number % self.pools.len()),
            Event::Return(number) if !self.leased.is_empty() => {
                let pool = self.leased.swap_remove(number % self.leased.len());
                self.comes_back(pool);
            }
            Event::Gone(number) if !self.leased.is_empty() => {
                let pool = self.leased.swap_remove(number % self.leased.len());
                self.connection_is_gone(pool);
            }
            Event::Closed if self.closing > 0 => {
                self.closing -= 1;
                self.permit_is_free();
            }
            Event::CancelWaiter(number) if !self.line.is_empty() => {
                let (ticket, pool) = self.line.remove(number % self.line.len());
                assert!(self.fleet.cancel(ticket));
                assert!(!self.fleet.cancel(ticket));
                self.cancelled += 1;
                self.slot_is_free(pool);
            }
            Event::CancelArrival(number) => {
                let waits = self.line.iter().any(|&(ticket, _)| ticket == number);
                if !waits {
                    assert!(!self.fleet.cancel(number), "nobody of that number waits");
                }
            }
            Event::CloseIdle(number) => {
                let pool = number % self.pools.len();
                if self.pools[pool].idle.pop().is_some() {
                    self.permit_is_free();
                }
            }
            Event::Advance(nanoseconds) => self.now += Duration::from_nanos(nanoseconds),
            Event::Forget(number) => {
                let pool = number % self.pools.len();
                self.fleet.forget(pool);
                while self.pools[pool].idle.pop().is_some() {
                    self.permit_is_free();
                }
            }
            Event::Return(_) | Event::Gone(_) | Event::Closed | Event::CancelWaiter(_) => {}
        }
    }

    fn call(&mut self, pool: usize) {
        self.calls += 1;
        let arrival = self.fleet.arrival();
        assert_eq!(arrival, self.calls);
        if self.pools[pool].idle.pop().is_some() {
            assert!(self.line.len() <= self.closing, "kept, though somebody waits");
            self.pools[pool].leased += 1;
            self.serve(arrival, pool);
        } else if self.pools[pool].leased < self.maxsize {
            self.take(arrival, pool);
        } else {
            self.pools[pool].own.push_back(arrival);
        }
    }

    /// The call has a slot, and asks for a permit.
    fn take(&mut self, arrival: u64, pool: usize) {
        self.pools[pool].leased += 1;
        let room = self.most == 0 || self.live() < self.most as usize;
        let pools = &self.pools;
        match self.fleet.take(pool, arrival, |of| pools[of].idle.first().copied()) {
            Take::Granted => {
                assert!(room && self.line.is_empty(), "granted beyond the bound, or past somebody who waits");
                self.serve(arrival, pool);
            }
            Take::Wait { ticket, evict } => {
                assert_eq!(ticket, arrival);
                assert!(!room, "there is a permit left");
                self.line.push((arrival, pool));
                let oldest = |of: usize| self.pools[of].idle.first().copied();
                let longest = (0..self.pools.len()).filter(|&of| of != pool).filter_map(oldest).min();
                assert_eq!(evict.and_then(oldest), longest, "the one that has been idle longest");
                assert_ne!(evict, Some(pool));
                if let Some(victim) = evict {
                    self.pools[victim].idle.remove(0);
                    self.closing += 1;
                }
            }
        }
    }

    fn comes_back(&mut self, pool: usize) {
        let own = self.pools[pool].own.front().copied();
        let first = self.line.iter().min().copied();
        match self.fleet.returning(pool, own) {
            Returning::Keep => {
                let mut line: Vec<u64> = self.line.iter().map(|&(ticket, _)| ticket).collect();
                line.sort_unstable();
                let uncovered = line.get(self.closing).copied();
                assert!(
                    uncovered.is_none_or(|ticket| own.is_some_and(|own| own < ticket)),
                    "kept, though somebody waits"
                );
                if let Some(arrival) = self.pools[pool].own.pop_front() {
                    self.serve(arrival, pool);
                } else {
                    self.pools[pool].leased -= 1;
                    self.pools[pool].idle.push(self.now);
                    self.fleet.idle(pool, self.pools[pool].idle[0]);
                }
            }
            Returning::HandTo(ticket) => {
                assert!(self.line.contains(&(ticket, pool)));
                self.line.retain(|&(other, _)| other != ticket);
                self.serve(ticket, pool);
                // The slot to dial in is not needed: it goes on.
                self.slot_is_free(pool);
            }
            Returning::Close => {
                assert!(first.is_some_and(|(_, of)| of != pool), "closed for nobody");
                self.closing += 1;
                self.slot_is_free(pool);
            }
        }
    }

    fn connection_is_gone(&mut self, pool: usize) {
        self.permit_is_free();
        self.slot_is_free(pool);
    }

    fn slot_is_free(&mut self, pool: usize) {
        self.pools[pool].leased -= 1;
        if let Some(arrival) = self.pools[pool].own.pop_front() {
            self.take(arrival, pool);
        }
    }

    fn permit_is_free(&mut self) {
        let first = self.line.iter().min().copied();
        assert_eq!(self.fleet.give_back(), first, "the first of all");
        if let Some((ticket, pool)) = first {
            self.line.retain(|&(other, _)| other != ticket);
            self.serve(ticket, pool);
        }
    }

    fn serve(&mut self, arrival: u64, pool: usize) {
        let before = self.line.iter().filter(|&&(other, _)| other < arrival).count();
        assert!(before <= self.closing, "somebody in line came before, and has no permit on its way");
        self.served += 1;
        self.leased.push(pool);
    }

    fn live(&self) -> usize {
        self.closing + self.leased.len() + self.pools.iter().map(|pool| pool.idle.len()).sum::<usize>()
    }

    fn sums_add_up(&self) {
        assert_eq!(self.fleet.live() as usize, self.live());
        assert!(self.most == 0 || self.fleet.live() <= self.most);
        assert_eq!(self.fleet.waiting(), self.line.len());
        assert_eq!(self.fleet.first(), self.line.iter().min().copied());
        for (at, pool) in self.pools.iter().enumerate() {
            let waiting = self.line.iter().filter(|&&(_, of)| of == at).count();
            assert_eq!(self.fleet.waiting_of(at) as usize, waiting);
            let used = self.leased.iter().filter(|&&of| of == at).count();
            assert_eq!(pool.leased as usize, used + waiting, "the model itself is wrong");
            assert!(pool.own.is_empty() || pool.leased == self.maxsize, "the model itself is wrong");
            assert!(self.line.len() <= self.closing || pool.idle.is_empty(), "somebody waits while this one is idle");
        }
        assert!(self.line.is_empty() || self.live() == self.most as usize);
        let own: usize = self.pools.iter().map(|pool| pool.own.len()).sum();
        assert_eq!(self.calls, self.served + self.cancelled + (self.line.len() + own) as u64, "a call was lost");
    }
}

#[expect(clippy::disallowed_methods, reason = "the origin of a simulated clock: an `Instant` cannot be made otherwise")]
fn epoch() -> Instant {
    Instant::now()
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        60 => any::<usize>().prop_map(Event::Call),
        40 => any::<usize>().prop_map(Event::Return),
        10 => any::<usize>().prop_map(Event::Gone),
        20 => Just(Event::Closed),
        6 => any::<usize>().prop_map(Event::CancelWaiter),
        2 => (0_u64..200).prop_map(Event::CancelArrival),
        3 => any::<usize>().prop_map(Event::CloseIdle),
        5 => (0_u64..100).prop_map(Event::Advance),
        1 => any::<usize>().prop_map(Event::Forget),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    // POOL-07 MGR-04 THR-1011
    #[test]
    fn any_history_goes_as_the_lists_say(
        most in 0_u32..6,
        maxsize in 1_u32..5,
        pools in 1_usize..7,
        events in proptest::collection::vec(any_event(), 1..200),
    ) {
        let mut world = World::new(most, maxsize, pools);
        for &event in &events {
            world.happens(event);
            world.sums_add_up();
        }
        // Connections come back until nobody waits: everybody is served, and nothing is left over.
        while !world.leased.is_empty() || world.closing > 0 {
            let event = if world.leased.is_empty() { Event::Closed } else { Event::Return(world.leased.len() - 1) };
            world.happens(event);
            world.sums_add_up();
        }
        prop_assert_eq!(world.calls, world.served + world.cancelled, "somebody waits for ever");
        for pool in 0..pools {
            world.happens(Event::Forget(pool));
        }
        prop_assert_eq!((world.fleet.live(), world.fleet.waiting()), (0, 0));
    }
}

// THR-1011: what a call costs does not grow with the pools. Of the loop below each turn would look at 10,000 pools if the
// list of idle ones were searched or corrected as a whole.
#[test]
fn a_hundred_thousand_calls_over_ten_thousand_pools_look_at_few() {
    const POOLS: usize = 10_000;
    let start = epoch();
    let mut fleet = Fleet::new(POOLS as u32);
    let mut idle: Vec<Option<Instant>> = vec![None; POOLS * 2];
    let (mut looks, mut waits) = (0_u64, 0_u64);
    for turn in 0..100_000_usize {
        let now = start + Duration::from_micros(turn as u64);
        // A stride that is prime to their number visits the pools in an order of no use to anybody.
        let pool = turn * 7_919 % (POOLS * 2);
        let arrival = fleet.arrival();
        let take = idle[pool].take().map_or_else(
            || {
                fleet.take(pool, arrival, |of| {
                    looks += 1;
                    idle[of]
                })
            },
            |_| Take::Granted,
        );
        if let Take::Wait { ticket, evict } = take {
            waits += 1;
            let Some(victim) = evict else { panic!("all of them are idle") };
            idle[victim] = None;
            assert_eq!(fleet.give_back(), Some((ticket, pool)));
        }
        assert_eq!(fleet.returning(pool, None), Returning::Keep);
        idle[pool] = Some(now);
        fleet.idle(pool, now);
        assert!(fleet.live() <= POOLS as u32);
    }
    assert!(waits > 80_000, "the bound was hardly ever met: {waits}");
    assert!(looks <= 3 * 100_000, "{looks} looks");
}
