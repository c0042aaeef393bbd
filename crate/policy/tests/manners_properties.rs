//! What a host sees of those who keep to its rate: attempts that wait in one queue as the module asks for, timers that go
//! off late, a network that delays each attempt differently.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ferropool_policy::manners::Manners;
use proptest::prelude::*;

const HOST: &str = "a.test:80";
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;

/// Somebody who wants to make an attempt; in nanoseconds of the simulation.
#[derive(Clone, Copy, Debug)]
struct Caller {
    comes: u64,
    /// When it gives up.
    leaves: u64,
}

/// The queue of one host, kept as the module's comment says.
struct Line<'a> {
    manners: Manners,
    start: Instant,
    queue: VecDeque<(usize, u64)>,
    /// When the first one's timer goes off.
    wakes: Option<u64>,
    /// How late timers are, in turn.
    late: Box<dyn Iterator<Item = u64> + 'a>,
    wakeups: usize,
    /// Who was let go, and when.
    left: Vec<(usize, u64)>,
}

impl Line<'_> {
    fn serve(&mut self, now: u64) {
        self.wakes = None;
        while let Some(&(caller, _)) = self.queue.front() {
            let instant = self.start + Duration::from_nanos(now);
            if let Some(at) = self.manners.ask(HOST, instant) {
                assert!(at > instant, "told to ask again at once");
                self.wakes = Some((at - self.start).as_nanos() as u64 + self.late.next().unwrap_or(0));
                return;
            }
            self.queue.pop_front();
            self.left.push((caller, now));
        }
    }
}

/// Who was let go and when, and how many timers went off.
fn simulate(rate: f64, callers: &[Caller], late: &[u64]) -> (Vec<(usize, u64)>, usize) {
    let late: Box<dyn Iterator<Item = u64>> =
        if late.is_empty() { Box::new(std::iter::empty()) } else { Box::new(late.iter().copied().cycle()) };
    let manners = Manners::new(Some(rate));
    let mut line =
        Line { manners, start: epoch(), queue: VecDeque::new(), wakes: None, late, wakeups: 0, left: Vec::new() };
    let mut coming = callers.iter().copied().enumerate().peekable();
    loop {
        let comes = coming.peek().map(|&(_, caller)| caller.comes);
        let leaves = line.queue.iter().map(|&(_, leaves)| leaves).filter(|&leaves| leaves != u64::MAX).min();
        let Some(now) = [comes, leaves, line.wakes].into_iter().flatten().min() else {
            assert!(line.queue.is_empty(), "somebody waits for ever");
            return (line.left, line.wakeups);
        };
        if line.wakes.is_some_and(|wakes| wakes <= now) {
            line.wakeups += 1;
            line.serve(now);
        }
        let first = line.queue.front().copied();
        line.queue.retain(|&(_, leaves)| leaves > now);
        if line.queue.front().copied() != first {
            line.serve(now);
        }
        while let Some((number, caller)) = coming.next_if(|&(_, caller)| caller.comes <= now) {
            line.queue.push_back((number, caller.leaves));
            if line.queue.len() == 1 {
                line.serve(now);
            }
        }
    }
}

/// The most attempts in any window of one second, its end left out.
fn fullest(times: &[u64]) -> usize {
    let mut from = 0;
    let count = |(at, &end): (usize, &u64)| {
        while times[from] + SECOND <= end {
            from += 1;
        }
        at + 1 - from
    };
    times.iter().enumerate().map(count).max().unwrap_or(0)
}

fn allowed(rate: f64) -> f64 {
    rate.ceil() * 1.05
}

#[expect(clippy::disallowed_methods, reason = "the origin of a simulated clock: an `Instant` cannot be made otherwise")]
fn epoch() -> Instant {
    Instant::now()
}

fn any_rate() -> impl Strategy<Value = f64> {
    prop_oneof![0.2_f64..2.0, 2.0_f64..60.0, 60.0_f64..2_000.0, (1_u32..1_500).prop_map(f64::from)]
}

/// Gaps before each next caller: mostly none, so that there are crowds, and sometimes long.
fn any_callers() -> impl Strategy<Value = Vec<Caller>> {
    let gap = prop_oneof![
        8 => Just(0),
        4 => 0..5 * MILLISECOND,
        2 => 0..200 * MILLISECOND,
        1 => 0..3 * SECOND,
    ];
    let patience = prop_oneof![3 => Just(u64::MAX), 1 => 0..2 * SECOND];
    proptest::collection::vec((gap, patience), 1..400).prop_map(|callers| {
        let mut now = 0;
        let at = |(gap, patience): (u64, u64)| {
            now += gap;
            Caller { comes: now, leaves: patience.saturating_add(now + 1) }
        };
        callers.into_iter().map(at).collect()
    })
}

fn any_delays(most: u64) -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(prop_oneof![3 => 0..most / 5, 1 => 0..=most], 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    // THR-1213: whoever comes whenever, with timers 100 ms late and attempts that are 10 ms apart in what the way takes.
    #[test]
    fn no_window_of_a_second_has_more_than_the_rate_and_five_per_cent(
        rate in any_rate(),
        callers in any_callers(),
        late in any_delays(100 * MILLISECOND),
        way in any_delays(10 * MILLISECOND),
    ) {
        let (left, _) = simulate(rate, &callers, &late);
        let sent: Vec<u64> = left.iter().map(|&(_, at)| at).collect();
        prop_assert!(fullest(&sent) as f64 <= allowed(rate), "{} sent at {}", fullest(&sent), rate);
        let mut seen: Vec<u64> = sent.iter().zip(way.iter().cycle()).map(|(at, way)| at + way).collect();
        seen.sort_unstable();
        prop_assert!(fullest(&seen) as f64 <= allowed(rate), "{} seen at {}", fullest(&seen), rate);
    }

    #[test]
    fn they_leave_in_the_order_they_came_and_one_wakes_a_turn(
        rate in any_rate(),
        callers in any_callers(),
        late in any_delays(3 * MILLISECOND),
    ) {
        let (left, wakeups) = simulate(rate, &callers, &late);
        prop_assert!(left.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        prop_assert!(wakeups <= left.len(), "{} woke up for {} turns", wakeups, left.len());
        let patient = callers.iter().filter(|caller| caller.leaves == u64::MAX).count();
        prop_assert!(left.len() >= patient, "somebody was forgotten");
    }

    // Who gives up has taken nothing: the others leave as if it had never come.
    #[test]
    fn no_turn_is_lost_by_who_gives_up(rate in any_rate(), callers in any_callers()) {
        let (left, _) = simulate(rate, &callers, &[]);
        let served: Vec<Caller> = left.iter().map(|&(caller, _)| callers[caller]).collect();
        let (alone, _) = simulate(rate, &served, &[]);
        prop_assert!(left.iter().map(|left| left.1).eq(alone.iter().map(|left| left.1)));
    }
}

// A host that somebody always waits for gets 95 % of its rate, though timers are 2 ms late, and not more than the rate.
#[test]
fn a_host_that_is_always_waited_for_gets_its_rate() {
    for rate in [0.5_f64, 1.0, 3.0, 7.5, 10.0, 19.0, 20.0, 33.0, 50.0, 99.9, 100.0, 1_000.0, 5_000.0] {
        let seconds = (200.0 / rate).max(10.0);
        let start = epoch();
        let end = start + Duration::from_secs_f64(seconds);
        let mut manners = Manners::new(Some(rate));
        let (mut now, mut made, mut times) = (start, 0_u32, Vec::new());
        while now < end {
            match manners.ask(HOST, now) {
                None => {
                    made += 1;
                    assert!(made <= 100_000, "nothing bounds {rate}");
                    times.push((now - start).as_nanos() as u64);
                }
                Some(at) => now = at + Duration::from_micros(u64::from(made) * 7_919 % 2_000),
            }
        }
        let share = f64::from(made - 1) / (rate * seconds);
        assert!((0.95..=1.0).contains(&share), "{share} of {rate}");
        assert!(fullest(&times) as f64 <= allowed(rate), "{} at {rate}", fullest(&times));
    }
}

#[test]
fn the_fullest_window_is_found() {
    assert_eq!((fullest(&[]), fullest(&[5]), fullest(&[0, SECOND])), (0, 1, 1));
    assert_eq!(fullest(&[0, SECOND - 1, SECOND, SECOND + 1, 9 * SECOND]), 3);
}
