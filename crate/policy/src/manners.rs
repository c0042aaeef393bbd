//! How a manager behaves towards one host and port over all its pools: so many attempts a second (`rate`), and none at all
//! for as long as the host asked for (`pauseOn`). Arithmetic over instants; nobody waits in here.
//!
//! # The rate
//!
//! The promise is about what a *server* sees: in no window of one second more than the rate and 5 % of it, and from whoever
//! always has something to send at least 95 %. A bucket that holds a second's burst breaks it, because a full bucket and
//! what flows in while it empties are twice the rate in the first second. A log of the last second keeps it on our side
//! alone: it lets a burst go each second, and one that is delayed on its way (the first has connections to make) meets the
//! next. So attempts are spaced, by GCRA (the generic cell rate algorithm): each moves an instant, the one at which the
//! next is due, on by one interval, and the next may be early by no more than a small tolerance. Three numbers follow from
//! the rate `r`:
//!
//! - the most in a window is `M = ⌈r⌉ + ⌊r / 20⌋`;
//! - the interval is `T = 1 / (0.97 r)`: with exactly `1 / r` the slightest unevenness would put one attempt too many into
//!   a window, which is more than 5 % where the rate is below 20. Above 50 million a second, rounding to nanoseconds slows
//!   it further;
//! - windows of up to `M T` hold at most `M`, so `M T - 1 s` is left for unevenness, at least 30 ms. Half of it, at most
//!   20 ms, is the tolerance τ, and the rest is the network's. The tolerance is what a timer that goes off late is made up
//!   for by, and all the burst that there is: `1 + ⌊τ / T⌋` attempts, 20 at a rate of 1,000 and one up to 51.
//!
//! The `governor` crate is not used: it asks a clock of its own, its states know no pause, and those who wait for it wake
//! in no order.
//!
//! # Waiting
//!
//! An attempt is counted when [`Manners::ask`] lets it go and never before, so nothing is reserved, and who gives up while
//! it waits has taken nobody's turn. The order is kept by the caller, with one queue for each host: who finds it occupied
//! joins it, and only its first asks, sleeps until the instant it was told and asks again; once it was let go or gave up,
//! the next asks at once. So the turns go in order, and one timer a host wakes one waiter a turn. An instant that was told
//! can be too early by then, because the host was paused, and never too late.
//!
//! An attempt should leave when it was let go: turns that are kept while something else is waited for pile up and arrive as
//! a burst. Who does not want to hold a connection while it waits finds out by [`Manners::look`] when the turn comes, gets
//! the connection then, and asks last.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What is known about each `host:port`. The caller spells a host in one way, as [`Origin`](crate::origin::Origin) does.
///
/// A host about which there is nothing left to say is forgotten: memory is bounded by the hosts that were asked for within
/// one interval, or are paused.
///
/// ```
/// use std::time::Duration;
/// use ferropool_policy::manners::Manners;
/// # #[expect(clippy::disallowed_methods, reason = "an example needs some instant")]
/// # let now = std::time::Instant::now();
/// let mut manners = Manners::new(Some(1.0));
/// assert_eq!(manners.ask("a:80", now), None);
/// let next = manners.ask("a:80", now).expect("one a second");
/// assert!(next - now > Duration::from_secs(1));
/// assert_eq!(manners.ask("a:80", next), None);
/// ```
#[derive(Debug)]
pub struct Manners {
    pace: Option<Pace>,
    hosts: HashMap<Box<str>, Host>,
    /// When there are so many hosts it is worth looking which can be forgotten.
    sweep_at: usize,
}

impl Manners {
    /// At most so many attempts a second to each host; below 1 they are more than a second apart. `None`: no bound. The
    /// caller has refused what is not above 0; here that is no bound either.
    #[must_use]
    pub fn new(rate: Option<f64>) -> Self {
        let pace = rate.filter(|&rate| rate > 0.0 && rate.is_finite()).map(Pace::of);
        Self { pace, hosts: HashMap::new(), sweep_at: FEW }
    }

    /// May an attempt be made now? `None`: yes, and it is counted. Otherwise when to ask again; nothing was counted.
    pub fn ask(&mut self, host: &str, now: Instant) -> Option<Instant> {
        if let Some(known) = self.hosts.get_mut(host) {
            let wait = known.wait(self.pace, now);
            if let (None, Some(pace)) = (wait, self.pace) {
                known.due = Some(pace.next(known.due, now));
            }
            return wait;
        }
        // Here for both: whoever pauses a host has asked for it before.
        self.sweep(now);
        if let Some(pace) = self.pace {
            self.hosts.insert(host.into(), Host { due: Some(pace.next(None, now)), paused: None });
        }
        None
    }

    /// As [`Manners::ask`], but nothing is counted.
    #[must_use]
    pub fn look(&self, host: &str, now: Instant) -> Option<Instant> {
        self.hosts.get(host).and_then(|known| known.wait(self.pace, now))
    }

    /// The host wants no attempt before this instant. False if it was known to want none for as long or longer: a pause is
    /// never made shorter.
    pub fn pause(&mut self, host: &str, until: Instant) -> bool {
        let Some(known) = self.hosts.get_mut(host) else {
            self.hosts.insert(host.into(), Host { due: None, paused: Some(until) });
            return true;
        };
        let later = known.paused.is_none_or(|paused| paused < until);
        if later {
            known.paused = Some(until);
        }
        later
    }

    /// Until when the host is paused, if it is.
    #[must_use]
    pub fn paused_until(&self, host: &str, now: Instant) -> Option<Instant> {
        self.hosts.get(host)?.paused.filter(|&until| until > now)
    }

    /// Forgets the hosts that nothing is left to say about, when there are twice as many as the last time left: that is
    /// constant time for each host that was added since.
    fn sweep(&mut self, now: Instant) {
        if self.hosts.len() >= self.sweep_at {
            self.hosts.retain(|_, host| host.says_anything(now));
            self.sweep_at = FEW.max(self.hosts.len() * 2);
            self.hosts.shrink_to(self.sweep_at);
        }
    }
}

/// One `host:port`.
#[derive(Clone, Copy, Debug)]
struct Host {
    /// When the next attempt is due by the rate.
    due: Option<Instant>,
    /// When the pause ends.
    paused: Option<Instant>,
}

impl Host {
    /// Until when an attempt has to wait.
    fn wait(self, pace: Option<Pace>, now: Instant) -> Option<Instant> {
        let early = pace.zip(self.due).and_then(|(pace, due)| due.checked_sub(pace.tolerance));
        early.max(self.paused).filter(|&at| at > now)
    }

    /// A host that is due now or was before is as one that was never heard of.
    fn says_anything(self, now: Instant) -> bool {
        self.due.max(self.paused).is_some_and(|at| at > now)
    }
}

/// A rate as GCRA has it; see the module's comment for where the numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    interval: Duration,
    /// How much earlier than due an attempt may be.
    tolerance: Duration,
}

impl Pace {
    fn of(rate: f64) -> Self {
        // Casts from floating point end at the integer's bounds: what is slower than once in 584 years is that.
        let interval = ((SECOND as f64 / (rate * SHARE)).ceil() as u64).max(1);
        let most = (rate.ceil() as u64).saturating_add((rate / 20.0) as u64);
        let left = most.saturating_mul(interval).saturating_sub(SECOND);
        Self { interval: Duration::from_nanos(interval), tolerance: Duration::from_nanos(left / 2).min(MOST_TOLERANCE) }
    }

    /// When the attempt after one that is made now is due.
    fn next(self, due: Option<Instant>, now: Instant) -> Instant {
        due.map_or(now, |due| due.max(now)) + self.interval
    }
}

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// Of the rate that is asked for: below 1 so that attempts may arrive unevenly (a thread that a busy machine does not run
/// sends late what it has let go), above 0.95 by what timers lose.
const SHARE: f64 = 0.97;

/// More than a timer that goes off late ever needs on a machine that keeps up.
const MOST_TOLERANCE: Duration = Duration::from_millis(20);

/// So many hosts are not worth a sweep.
const FEW: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "the origin of a simulated clock: an `Instant` cannot be made otherwise"
    )]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    // How many may go at once, and what lies between two of a long row.
    #[test]
    fn a_rate_is_an_interval_and_a_small_tolerance() {
        let table = [
            (0.5, 1, ms(2_000)),
            (1.0, 1, ms(1_000)),
            (2.5, 1, ms(400)),
            (10.0, 1, ms(100)),
            (19.0, 1, Duration::from_micros(52_631)),
            (20.0, 1, ms(50)),
            (100.0, 2, ms(10)),
            (1_000.0, 20, ms(1)),
            (10_000.0, 194, Duration::from_micros(100)),
        ];
        for (rate, burst, interval) in table {
            let now = epoch();
            let mut manners = Manners::new(Some(rate));
            let at_once = (0..100_000).take_while(|_| manners.ask("a:80", now).is_none()).count();
            assert_eq!(at_once, burst, "{rate}");
            let Some(mut at) = manners.ask("a:80", now) else { panic!("{rate} is no bound") };
            for _ in 0..10 {
                let early = at.checked_sub(Duration::from_nanos(1)).unwrap();
                assert_eq!(manners.ask("a:80", early), Some(at), "{rate}");
                assert_eq!(manners.ask("a:80", at), None, "{rate}");
                let next = manners.ask("a:80", at).unwrap();
                let ratio = (next - at).as_secs_f64() / interval.as_secs_f64();
                assert!((1.0 / 0.97 - 1e-4..1.0 / 0.97 + 1e-4).contains(&ratio), "{rate}: {ratio}");
                at = next;
            }
        }
    }

    #[test]
    fn what_is_no_rate_bounds_nothing_and_no_rate_overflows() {
        let now = epoch();
        for nothing in [None, Some(0.0), Some(-1.0), Some(f64::NAN), Some(f64::INFINITY)] {
            let mut manners = Manners::new(nothing);
            assert!((0..1_000).all(|_| manners.ask("a:80", now).is_none()), "{nothing:?}");
            assert!(manners.hosts.is_empty());
        }
        for rate in [f64::MIN_POSITIVE, 1e-9, 1e9, 1e19, f64::MAX] {
            let mut manners = Manners::new(Some(rate));
            assert_eq!(manners.ask("a:80", now), None, "{rate}");
            assert_eq!(manners.ask("a:80", now).is_some(), rate < 1.0, "{rate}");
        }
    }

    #[test]
    fn each_host_has_turns_of_its_own() {
        let now = epoch();
        let mut manners = Manners::new(Some(1.0));
        for host in ["a:80", "a:443", "b:80"] {
            assert_eq!(manners.ask(host, now), None, "{host}");
            assert!(manners.ask(host, now).is_some(), "{host}");
        }
    }

    #[test]
    fn to_look_takes_no_turn() {
        let now = epoch();
        let mut manners = Manners::new(Some(1.0));
        assert_eq!((manners.look("a:80", now), manners.hosts.len()), (None, 0));
        assert_eq!(manners.ask("a:80", now), None);
        let at = manners.look("a:80", now);
        assert!(at.is_some());
        assert_eq!((manners.look("a:80", now), manners.ask("a:80", now)), (at, at));
        assert_eq!(manners.look("a:80", at.unwrap()), None);
        assert_eq!(manners.look("a:80", at.unwrap()), None);
    }

    // THR-1213
    #[test]
    fn a_pause_holds_for_its_host_and_is_never_made_shorter() {
        for rate in [None, Some(1_000.0)] {
            let now = epoch();
            let at = |second| now + Duration::from_secs(second);
            let mut manners = Manners::new(rate);
            assert_eq!(manners.paused_until("a:80", now), None);
            assert!(manners.pause("a:80", at(5)));
            assert!(!manners.pause("a:80", at(5)), "the same");
            assert!(!manners.pause("a:80", at(3)), "shorter");
            assert_eq!((manners.ask("a:80", now), manners.ask("b:80", now)), (Some(at(5)), None));
            assert!(manners.pause("a:80", at(8)));
            // Who was told 5 s and asks then is told the rest.
            assert_eq!((manners.ask("a:80", at(5)), manners.paused_until("a:80", at(5))), (Some(at(8)), Some(at(8))));
            assert_eq!((manners.paused_until("a:80", at(8)), manners.ask("a:80", at(8))), (None, None));
            assert!(manners.pause("a:80", at(9)), "and once more");
        }
    }

    // THR-1213: those who waited for the end of a pause go at the host's pace, not all at once.
    #[test]
    fn after_a_pause_the_rate_holds() {
        let now = epoch();
        let mut manners = Manners::new(Some(10.0));
        assert_eq!(manners.ask("a:80", now), None);
        assert!(manners.pause("a:80", now + ms(5_000)));
        assert_eq!(manners.ask("a:80", now + ms(5_000)), None);
        assert!(manners.ask("a:80", now + ms(5_000)).is_some());
        // A pause that is over before the next turn changes nothing.
        assert!(manners.pause("a:80", now + ms(5_001)));
        assert!(manners.ask("a:80", now + ms(5_000)).is_some_and(|at| at > now + ms(5_080)));
    }

    // THR-1011
    #[test]
    fn of_a_hundred_thousand_hosts_only_those_are_known_that_matter() {
        let start = epoch();
        let mut manners = Manners::new(Some(10.0));
        let until = start + Duration::from_secs(1_000_000);
        let mut most = 0;
        for turn in 0..100_000_u64 {
            let now = start + ms(turn);
            assert_eq!(manners.ask(&format!("host-{turn}.test:80"), now), None);
            if turn % 1_000 == 0 {
                assert!(manners.pause(&format!("paused-{turn}.test:80"), until));
            }
            most = most.max(manners.hosts.len());
        }
        // About 103 are asked for within one interval, 100 are paused, and a sweep comes at twice what it left.
        assert!(most <= 2 * (103 + 100) + 2, "{most}");
        assert!(manners.hosts.capacity() < 1_000, "{}", manners.hosts.capacity());
        assert_eq!(manners.paused_until("paused-0.test:80", start), Some(until));
    }

    // THR-1011: a manager without a rate keeps the hosts that are paused, and those no longer than it must.
    #[test]
    fn pauses_that_are_over_are_forgotten_without_a_rate_too() {
        let start = epoch();
        let mut manners = Manners::new(None);
        let mut most = 0;
        for turn in 0..100_000_u64 {
            let now = start + ms(turn);
            let host = format!("host-{turn}.test:80");
            assert_eq!(manners.ask(&host, now), None);
            assert!(manners.pause(&host, now + ms(100)));
            most = most.max(manners.hosts.len());
        }
        assert!(most <= 300, "{most}");
    }

    // A host that was forgotten could not have been told from one that was not.
    #[test]
    fn to_forget_a_host_gives_it_no_turn_more() {
        let now = epoch();
        for rate in [0.5, 10.0, 1_000.0] {
            let (mut kept, mut swept) = (Manners::new(Some(rate)), Manners::new(Some(rate)));
            for _ in 0..100 {
                assert_eq!(swept.ask("a:80", now), kept.ask("a:80", now), "{rate}");
            }
            for step in 0..3_000 {
                let at = now + ms(step);
                swept.sweep_at = 0;
                swept.sweep(at);
                assert_eq!(swept.ask("a:80", at), kept.ask("a:80", at), "{rate} after {step} ms");
            }
        }
    }
}
