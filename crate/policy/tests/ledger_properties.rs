//! Random histories of a pool against a model that is too simple to be wrong: vectors, searched from end to end.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use ferropool_policy::keepalive::{Hint, MARGIN};
use ferropool_policy::ledger::{Bounds, Checkout, Discard, Granted, Lease, Ledger, Life, Released, Returned, Ticket};
use proptest::prelude::*;

/// What happens next. Numbers choose among what there is, modulo how much there is.
#[derive(Clone, Debug)]
enum Event {
    Checkout,
    Dialled(usize),
    Release(usize, Verdict),
    Retake(usize),
    PassOn(usize, usize, Hint),
    EvictOldest,
    Cancel(usize),
    Reserve,
    AddIdle(usize),
    DiscardIdle,
    Expire,
    Advance(u64),
    Close,
}

#[derive(Clone, Copy, Debug)]
enum Verdict {
    Reusable(Hint),
    Gone(Discard),
}

type Connection = u32;

/// A lease that somebody holds, and the connection if it is made.
struct Held {
    lease: Lease,
    conn: Option<(Connection, Life)>,
}

/// The pool, the model of it, and everybody who uses it.
struct World {
    bounds: Bounds,
    ledger: Ledger<Connection>,
    now: Instant,
    held: Vec<Held>,
    /// The model: idle connections with the instant they became idle, waiters in order, all that was opened or closed.
    idle: Vec<(Connection, Life, Instant)>,
    waiting: VecDeque<Ticket>,
    over: Vec<Ticket>,
    opened: HashSet<Connection>,
    closed: HashSet<Connection>,
    shut: bool,
}

impl World {
    fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ledger: Ledger::new(bounds),
            now: epoch(),
            held: Vec::new(),
            idle: Vec::new(),
            waiting: VecDeque::new(),
            over: Vec::new(),
            opened: HashSet::new(),
            closed: HashSet::new(),
            shut: false,
        }
    }

    /// Why the connection, idle since then, may not be used now, straight from the words of the options.
    fn unfit(&self, life: &Life, since: Instant) -> bool {
        let Bounds { max_requests, max_age, idle_timeout, .. } = self.bounds;
        let idle_for = self.now - since;
        (max_requests > 0 && life.requests >= max_requests)
            || max_age.is_some_and(|age| self.now - life.born >= age)
            || idle_timeout.is_some_and(|timeout| idle_for >= timeout)
            || life.server.max == Some(0)
            || life.server.timeout.is_some_and(|timeout| idle_for + MARGIN >= timeout)
    }

    fn count_closed(&mut self, conn: Connection) {
        assert!(self.opened.contains(&conn), "closed but never opened");
        assert!(self.closed.insert(conn), "closed twice");
    }

    fn count_all_closed(&mut self, conns: impl IntoIterator<Item = Connection>) {
        for conn in conns {
            self.count_closed(conn);
        }
    }

    fn open(&mut self) -> (Connection, Life) {
        let conn = self.opened.len() as Connection;
        self.opened.insert(conn);
        (conn, Life::new(self.now))
    }

    /// The idle connection that the model gives out, and what it closes on the way.
    fn take_idle(&mut self) -> (Option<(Connection, Life)>, Vec<Connection>) {
        let mut late = Vec::new();
        while let Some((conn, life, since)) = self.idle.pop() {
            if !self.unfit(&life, since) {
                return (Some((conn, life)), late);
            }
            late.push(conn);
            self.count_closed(conn);
        }
        (None, late)
    }

    fn hold(&mut self, lease: Lease, conn: Option<(Connection, Life)>) {
        let conn = conn.map(|(conn, mut life)| {
            life.begin();
            (conn, life)
        });
        self.held.push(Held { lease, conn });
    }

    fn pick(&self, number: usize, wanted: impl Fn(&Held) -> bool) -> Option<usize> {
        let fitting: Vec<_> = (0..self.held.len()).filter(|&at| wanted(&self.held[at])).collect();
        (!fitting.is_empty()).then(|| fitting[number % fitting.len()])
    }

    fn happens(&mut self, event: &Event) {
        match *event {
            Event::Checkout => self.checkout(),
            Event::Dialled(number) => {
                if let Some(at) = self.pick(number, |held| held.conn.is_none()) {
                    let (conn, mut life) = self.open();
                    life.begin();
                    self.ledger.dialled(&mut self.held[at].lease);
                    self.held[at].conn = Some((conn, life));
                }
            }
            Event::Release(number, verdict) => {
                if let Some(at) = self.pick(number, |_| true) {
                    let held = self.held.swap_remove(at);
                    self.release(held, verdict);
                }
            }
            Event::Retake(number) => {
                if let Some(at) = self.pick(number, |held| held.conn.is_some()) {
                    let held = self.held.swap_remove(at);
                    self.retake(held);
                }
            }
            Event::PassOn(from, to, hint) => self.pass_on(from, to, hint),
            Event::EvictOldest => {
                let oldest = (!self.idle.is_empty()).then(|| self.idle.remove(0).0);
                assert_eq!(self.ledger.evict_oldest(Discard::Evicted), oldest);
                self.count_all_closed(oldest);
            }
            Event::Cancel(number) => self.cancel(number),
            Event::Reserve => {
                let room = !self.shut && self.idle.len() + self.held.len() < self.bounds.maxsize as usize;
                let reserved = self.ledger.reserve();
                assert_eq!(reserved.is_some(), room);
                self.held.extend(reserved.map(|lease| Held { lease, conn: None }));
            }
            Event::AddIdle(number) => {
                if let Some(at) = self.pick(number, |held| held.conn.is_none()) {
                    let (conn, life) = self.open();
                    let mut lease = self.held.swap_remove(at).lease;
                    self.ledger.dialled(&mut lease);
                    let released = self.ledger.release(lease, Returned::Reusable(conn, life), self.now);
                    self.came_back(Some((conn, life)), released);
                }
            }
            Event::DiscardIdle => {
                let mut gone = Vec::new();
                self.ledger.discard_idle(Discard::PeerClosed, |conn, _| conn % 3 == 0, &mut gone);
                let (dead, alive) = self.idle.drain(..).partition(|(conn, ..)| conn % 3 == 0);
                self.idle = alive;
                let dead: Vec<(Connection, Life, Instant)> = dead;
                assert_eq!(numbers(&gone), dead.iter().map(|&(conn, ..)| conn).collect::<Vec<_>>());
                self.count_all_closed(dead.iter().map(|&(conn, ..)| conn));
            }
            Event::Expire => self.expire(),
            Event::Advance(milliseconds) => self.now += Duration::from_millis(milliseconds),
            Event::Close => {
                let closing = self.ledger.close();
                let idle: Vec<_> = std::mem::take(&mut self.idle).iter().map(|&(conn, ..)| conn).collect();
                assert_eq!(numbers(&closing.idle), idle);
                self.count_all_closed(idle);
                assert_eq!(closing.waiters, self.waiting.drain(..).collect::<Vec<_>>());
                self.over.extend(closing.waiters);
                self.shut = true;
            }
        }
        self.sums_add_up();
    }

    fn checkout(&mut self) {
        let mut expired = Vec::new();
        let answer = self.ledger.checkout(self.now, &mut expired);
        if self.shut {
            assert_eq!((answer, expired), (Checkout::Closed, vec![]));
            return;
        }
        let (expected, late) = self.take_idle();
        assert_eq!(numbers(&expired), late);
        let full = self.bounds.block && self.held.len() >= self.bounds.maxsize as usize;
        match answer {
            Checkout::Use(lease, conn, life) => {
                assert_eq!(Some((conn, life)), expected);
                self.hold(lease, expected);
            }
            Checkout::Dial(lease) => {
                assert_eq!((expected, full), (None, false));
                assert!(self.waiting.is_empty(), "a newcomer overtook a waiter");
                self.hold(lease, None);
            }
            Checkout::Wait(ticket) => {
                assert_eq!((expected, full), (None, true));
                assert!(self.bounds.max_waiting == 0 || self.waiting.len() < self.bounds.max_waiting as usize);
                assert!(!self.waiting.contains(&ticket) && !self.over.contains(&ticket), "a ticket was used twice");
                self.waiting.push_back(ticket);
            }
            Checkout::Full => {
                assert_eq!((expected, full), (None, true));
                assert_eq!(self.waiting.len(), self.bounds.max_waiting as usize);
                assert_ne!(self.bounds.max_waiting, 0);
            }
            Checkout::Closed => panic!("open, but said closed"),
        }
    }

    fn release(&mut self, held: Held, verdict: Verdict) {
        let Held { lease, conn } = held;
        match (verdict, conn) {
            (Verdict::Reusable(hint), Some((conn, mut life))) => {
                life.learn(hint);
                let released = self.ledger.release(lease, Returned::Reusable(conn, life), self.now);
                self.came_back(Some((conn, life)), released);
            }
            (Verdict::Gone(why), made) => {
                let released = self.ledger.release(lease, Returned::Gone(why), self.now);
                self.count_all_closed(made.map(|(conn, _)| conn));
                self.came_back(None, released);
            }
            (Verdict::Reusable(_), None) => {
                let released = self.ledger.release(lease, Returned::Gone(Discard::Failed), self.now);
                self.came_back(None, released);
            }
        }
    }

    /// Holds what a release said against what the model says should become of a connection, or of its slot.
    fn came_back(&mut self, returned: Option<(Connection, Life)>, released: Released<Connection>) {
        let fit = returned.filter(|(_, life)| !self.shut && !self.unfit(life, self.now));
        let next = self.waiting.pop_front();
        let kept = fit.is_some() && (next.is_some() || self.idle.len() < self.bounds.maxsize as usize);

        let close = returned.filter(|_| !kept).map(|(conn, _)| conn);
        assert_eq!(released.close.map(|(conn, _)| conn), close);
        self.count_all_closed(close);

        assert_eq!(released.grant.as_ref().map(|&(ticket, _)| ticket), next, "the first who waits is the next");
        assert!(!self.shut || next.is_none(), "granted after close");
        match released.grant {
            Some((ticket, Granted::Use(lease, conn, life))) => {
                assert_eq!(Some((conn, life)), fit);
                self.over.push(ticket);
                self.hold(lease, fit);
            }
            Some((ticket, Granted::Dial(lease))) => {
                assert!(fit.is_none(), "a waiter dials while a connection is there");
                self.over.push(ticket);
                self.hold(lease, None);
            }
            None => self.idle.extend(fit.filter(|_| kept).map(|(conn, life)| (conn, life, self.now))),
        }
    }

    fn retake(&mut self, held: Held) {
        let mut expired = Vec::new();
        self.count_all_closed(held.conn.map(|(conn, _)| conn));
        let answer = self.ledger.retake(held.lease, Discard::Stale, self.now, &mut expired);
        let (expected, late) = self.take_idle();
        assert_eq!(numbers(&expired), late);
        match answer {
            Checkout::Use(lease, conn, life) => {
                assert_eq!(Some((conn, life)), expected);
                self.hold(lease, expected);
            }
            Checkout::Dial(lease) => {
                assert_eq!(expected, None);
                self.hold(lease, None);
            }
            other @ (Checkout::Wait(_) | Checkout::Full | Checkout::Closed) => {
                panic!("the slot was held: {other:?}")
            }
        }
    }

    /// A connection goes from one who holds it to one who was to dial, whose slot comes back; past those who wait.
    fn pass_on(&mut self, from: usize, to: usize, hint: Hint) {
        let Some(to) = self.pick(to, |held| held.conn.is_none()) else { return };
        let slot = self.held.swap_remove(to).lease;
        let Some(from) = self.pick(from, |held| held.conn.is_some()) else {
            return self.release(Held { lease: slot, conn: None }, Verdict::Gone(Discard::Aborted));
        };
        let Held { lease, conn } = self.held.swap_remove(from);
        let Some((conn, mut life)) = conn else { return };
        life.learn(hint);
        match self.ledger.pass_on(lease, &life, self.now) {
            Ok(lease) => {
                assert!(!self.shut && !self.unfit(&life, self.now), "it was not to be used any more");
                self.hold(lease, Some((conn, life)));
            }
            Err((lease, why)) => {
                assert!(self.shut || self.unfit(&life, self.now), "it was fit: {why:?}");
                self.release(Held { lease, conn: Some((conn, life)) }, Verdict::Gone(why));
            }
        }
        self.release(Held { lease: slot, conn: None }, Verdict::Gone(Discard::Aborted));
    }

    fn cancel(&mut self, number: usize) {
        let known = self.waiting.len() + self.over.len();
        if known == 0 {
            return;
        }
        let at = number % known;
        if at < self.waiting.len() {
            let ticket = self.waiting[at];
            self.waiting.remove(at);
            assert!(self.ledger.cancel(ticket));
            self.over.push(ticket);
        } else {
            assert!(!self.ledger.cancel(self.over[at - self.waiting.len()]), "a stale ticket means nothing");
        }
    }

    fn expire(&mut self) {
        let mut expired = Vec::new();
        let next = self.ledger.expire(self.now, &mut expired);
        let idle = std::mem::take(&mut self.idle);
        let (late, fit): (Vec<_>, Vec<_>) = idle.into_iter().partition(|(_, life, since)| self.unfit(life, *since));
        assert_eq!(numbers(&expired), late.iter().map(|&(conn, ..)| conn).collect::<Vec<_>>());
        self.count_all_closed(late.iter().map(|&(conn, ..)| conn));
        self.idle = fit;
        assert!(next.is_none_or(|next| next > self.now), "asks to be called again at once");
        let bounded = |life: &Life| {
            self.bounds.idle_timeout.is_some() || self.bounds.max_age.is_some() || life.server.timeout.is_some()
        };
        assert!(next.is_some() || !self.idle.iter().any(|(_, life, _)| bounded(life)), "never closes what is bounded");
    }

    fn sums_add_up(&self) {
        let figures = self.ledger.figures();
        let dialling = self.held.iter().filter(|held| held.conn.is_none()).count();
        assert_eq!(figures.idle as usize, self.idle.len());
        assert_eq!(figures.leased as usize, self.held.len(), "a lease was lost or doubled");
        assert_eq!(figures.dialling as usize, dialling);
        assert_eq!(figures.waiting as usize, self.waiting.len());
        assert_eq!(self.ledger.first_waiting(), self.waiting.front().copied());
        assert_eq!(self.ledger.oldest_idle(), self.idle.first().map(|&(.., since)| since));
        assert_eq!(figures.opened as usize, self.opened.len());
        assert_eq!(figures.closed as usize, self.closed.len());
        assert_eq!(
            figures.opened + u64::from(figures.dialling),
            figures.closed + u64::from(figures.idle + figures.leased)
        );
        assert!(figures.idle <= self.bounds.maxsize);
        assert!(!self.bounds.block || figures.idle + figures.leased <= self.bounds.maxsize);
        assert!(figures.surplus + figures.discarded <= figures.closed);
        let by_reason: u64 = Discard::ALL.into_iter().map(|why| self.ledger.closed_for(why)).sum();
        assert_eq!(by_reason, figures.closed);
        // Never late: whoever sleeps until then finds nothing that is past its time already.
        let due = self.idle.iter().any(|(_, life, since)| self.unfit(life, *since));
        assert!(!due || self.ledger.next_expiry().is_some_and(|next| next <= self.now));
    }
}

fn numbers(connections: &[(Connection, Discard)]) -> Vec<Connection> {
    connections.iter().map(|&(conn, _)| conn).collect()
}

#[expect(clippy::disallowed_methods, reason = "the origin of a simulated clock: an `Instant` cannot be made otherwise")]
fn epoch() -> Instant {
    Instant::now()
}

fn any_bounds() -> impl Strategy<Value = Bounds> {
    let span = || proptest::option::of((200_u64..4_000).prop_map(Duration::from_millis));
    (1_u32..5, any::<bool>(), 0_u32..4, span(), span(), 0_u32..4).prop_map(
        |(maxsize, block, max_waiting, idle_timeout, max_age, max_requests)| Bounds {
            maxsize,
            block,
            max_waiting,
            idle_timeout,
            max_age,
            max_requests,
        },
    )
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        3 => any_hint().prop_map(Verdict::Reusable),
        1 => proptest::sample::select(&Discard::ALL[..]).prop_map(Verdict::Gone),
    ]
}

fn any_hint() -> impl Strategy<Value = Hint> {
    let timeout = proptest::option::weighted(0.3, (0_u64..4).prop_map(Duration::from_secs));
    (timeout, proptest::option::weighted(0.3, 0_u32..3)).prop_map(|(timeout, max)| Hint { timeout, max })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        400 => Just(Event::Checkout),
        200 => any::<usize>().prop_map(Event::Dialled),
        300 => (any::<usize>(), any_verdict()).prop_map(|(number, verdict)| Event::Release(number, verdict)),
        60 => any::<usize>().prop_map(Event::Retake),
        60 => (any::<usize>(), any::<usize>(), any_hint()).prop_map(|(from, to, hint)| Event::PassOn(from, to, hint)),
        30 => Just(Event::EvictOldest),
        100 => any::<usize>().prop_map(Event::Cancel),
        30 => Just(Event::Reserve),
        30 => any::<usize>().prop_map(Event::AddIdle),
        20 => Just(Event::DiscardIdle),
        60 => Just(Event::Expire),
        100 => (0_u64..1_500).prop_map(Event::Advance),
        4 => Just(Event::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    // MGR-01 POOL-05 POOL-07 POOL-08 POOL-10 POOL-12 THR-320 THR-909 THR-915 THR-1010 THR-1220
    #[test]
    fn any_history_goes_as_the_model_says(
        bounds in any_bounds(),
        events in proptest::collection::vec(any_event(), 1..150),
    ) {
        let mut world = World::new(bounds);
        for event in &events {
            world.happens(event);
        }
        // Whoever is left lets go: nothing may be lost at the end of any history.
        while let Some(held) = world.held.pop() {
            world.release(held, Verdict::Gone(Discard::Aborted));
            world.sums_add_up();
        }
        prop_assert!(world.waiting.is_empty(), "somebody waits for ever");
        world.happens(&Event::Close);
        prop_assert_eq!(world.opened, world.closed);
    }
}
