//! What a pool counts. Written by its I/O thread, read by any other at any time: plain atomics, one writer each, so that
//! a counter is exact before the promise that it counts resolves. What the ledger says is read as a whole, by a sequence
//! lock: `opened = closed + idle + leased` holds in whatever moment somebody looks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferropool_policy::error::Error;
use ferropool_policy::ledger::Figures;
use hdrhistogram::Histogram;

/// One number that one thread writes and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the writing thread may.
    pub fn add(&self, by: u64) {
        // One writer: a load and a store cost less than a read-modify-write.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }

    /// Replaces; only the writing thread may.
    pub fn set(&self, to: u64) {
        self.0.store(to, Ordering::Relaxed);
    }

    /// Reads.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything a pool counts.
#[derive(Debug)]
pub struct PoolStats {
    /// Idle connections.
    pub idle: Counter,
    /// Leased connections.
    pub leased: Counter,
    /// Leases whose connection is still being dialled.
    pub dialling: Counter,
    /// Requests waiting for a connection.
    pub waiting: Counter,
    /// Sockets ever opened.
    pub opened: Counter,
    /// Sockets closed.
    pub closed: Counter,
    /// Exchanges on a connection that had carried one before.
    pub reused: Counter,
    /// Connections closed because more than `maxsize` came back.
    pub surplus: Counter,
    /// Connections closed instead of kept, for any reason.
    pub discarded: Counter,
    /// Connections that held bytes nobody had asked for.
    pub poisoned: Counter,
    /// Requests sent again because the peer had accepted nothing.
    pub stale_replays: Counter,
    /// Exchanges given up before the response's end.
    pub abandoned: Counter,
    /// Heads that leniency repaired.
    pub repaired: Counter,
    /// Bytes behind the end of coded bodies, which were ignored.
    pub trailing: Counter,
    /// Bytes received, heads included.
    pub wire_in: Counter,
    /// Bytes sent, heads included.
    pub wire_out: Counter,
    /// Body bytes after decoding.
    pub decoded: Counter,
    /// Attempts put on a connection.
    pub requests: Counter,
    /// Calls in flight now.
    pub in_flight: Counter,
    /// When the oldest call in flight was made; microseconds after `epoch` plus one, 0 for none.
    oldest: Counter,
    /// What was warned about, a bit each: a pool that is let go and made again does not warn again.
    warned: Counter,
    /// Odd while the ledger's figures are written.
    edition: AtomicU64,
    epoch: Instant,
    cold: Mutex<Cold>,
}

#[derive(Debug, Default)]
struct Cold {
    errors: BTreeMap<String, u64>,
    /// Waiting for a connection, for the head, the whole; made with the first value, since a manager's pools have none.
    spans: Option<Box<[Histogram<u32>; 3]>>,
}

/// The plain numbers of one pool or of several: see [`PoolStats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each stands in PoolStats under the same name")]
pub struct Sums {
    pub idle: u64,
    pub leased: u64,
    pub dialling: u64,
    pub waiting: u64,
    pub opened: u64,
    pub closed: u64,
    pub reused: u64,
    pub surplus: u64,
    pub discarded: u64,
    pub poisoned: u64,
    pub stale_replays: u64,
    pub abandoned: u64,
    pub repaired: u64,
    /// Bytes behind the end of coded bodies, which were ignored.
    pub trailing: u64,
    pub wire_in: u64,
    pub wire_out: u64,
    pub decoded: u64,
    pub requests: u64,
}

impl Sums {
    /// Adds another pool's.
    pub fn add(&mut self, other: &Self) {
        self.idle += other.idle;
        self.leased += other.leased;
        self.dialling += other.dialling;
        self.waiting += other.waiting;
        self.opened += other.opened;
        self.closed += other.closed;
        self.reused += other.reused;
        self.surplus += other.surplus;
        self.discarded += other.discarded;
        self.poisoned += other.poisoned;
        self.stale_replays += other.stale_replays;
        self.abandoned += other.abandoned;
        self.repaired += other.repaired;
        self.trailing += other.trailing;
        self.wire_in += other.wire_in;
        self.wire_out += other.wire_out;
        self.decoded += other.decoded;
        self.requests += other.requests;
    }

    /// Takes away what was added.
    fn subtract(&mut self, other: &Self) {
        self.idle = self.idle.saturating_sub(other.idle);
        self.leased = self.leased.saturating_sub(other.leased);
        self.dialling = self.dialling.saturating_sub(other.dialling);
        self.waiting = self.waiting.saturating_sub(other.waiting);
        self.opened = self.opened.saturating_sub(other.opened);
        self.closed = self.closed.saturating_sub(other.closed);
        self.reused = self.reused.saturating_sub(other.reused);
        self.surplus = self.surplus.saturating_sub(other.surplus);
        self.discarded = self.discarded.saturating_sub(other.discarded);
        self.poisoned = self.poisoned.saturating_sub(other.poisoned);
        self.stale_replays = self.stale_replays.saturating_sub(other.stale_replays);
        self.abandoned = self.abandoned.saturating_sub(other.abandoned);
        self.repaired = self.repaired.saturating_sub(other.repaired);
        self.trailing = self.trailing.saturating_sub(other.trailing);
        self.wire_in = self.wire_in.saturating_sub(other.wire_in);
        self.wire_out = self.wire_out.saturating_sub(other.wire_out);
        self.decoded = self.decoded.saturating_sub(other.decoded);
        self.requests = self.requests.saturating_sub(other.requests);
    }
}

/// Everything that the pools of a manager count together, those that are gone included. Written by the I/O thread when a
/// pool comes or goes, read by any other.
#[derive(Debug, Default)]
pub struct Roster(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    here: HashMap<u32, Arc<PoolStats>>,
    gone: Sums,
}

impl Roster {
    /// A pool came. If it had been here before (the I/O thread fell, or it is held though it was forgotten) it counts on, and
    /// what it had counted by then is not counted twice.
    pub fn join(&self, member: u32, stats: &Arc<PoolStats>) {
        let mut listed = self.listed();
        listed.gone.subtract(&stats.sums());
        listed.here.insert(member, Arc::clone(stats));
    }

    /// It is gone, and its connections with it: see [`PoolStats::retire`].
    pub fn leave(&self, member: u32) {
        let mut listed = self.listed();
        if let Some(stats) = listed.here.remove(&member) {
            listed.gone.add(&stats.sums());
        }
    }

    /// All together.
    pub fn sums(&self) -> Sums {
        let listed = self.listed();
        let mut sums = listed.gone;
        listed.here.values().for_each(|stats| sums.add(&stats.sums()));
        sums
    }

    fn listed(&self) -> std::sync::MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// One summary of a histogram; milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Values recorded.
    pub count: u64,
    /// Half are at most this.
    pub p50: f64,
    /// 95 of 100 are at most this.
    pub p95: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl PoolStats {
    /// All at zero.
    #[must_use]
    pub fn new(epoch: Instant) -> Self {
        Self {
            idle: Counter::default(),
            leased: Counter::default(),
            dialling: Counter::default(),
            waiting: Counter::default(),
            opened: Counter::default(),
            closed: Counter::default(),
            reused: Counter::default(),
            surplus: Counter::default(),
            discarded: Counter::default(),
            poisoned: Counter::default(),
            stale_replays: Counter::default(),
            abandoned: Counter::default(),
            repaired: Counter::default(),
            trailing: Counter::default(),
            wire_in: Counter::default(),
            wire_out: Counter::default(),
            decoded: Counter::default(),
            requests: Counter::default(),
            in_flight: Counter::default(),
            warned: Counter::default(),
            oldest: Counter::default(),
            edition: AtomicU64::new(0),
            epoch,
            cold: Mutex::default(),
        }
    }

    /// Takes over what the ledger knows, on top of what was counted `before` there was this ledger; `berths` wait for leave to
    /// dial, `in_line` for their host's turn.
    pub fn figures(&self, figures: &Figures, aborted: u64, berths: u32, in_line: u32, before: &Sums) {
        let edition = self.edition.load(Ordering::Relaxed);
        self.edition.store(edition.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.idle.set(figures.idle.into());
        self.leased.set((figures.leased - figures.dialling).into());
        // Who has a slot but no leave to dial in it waits like any other.
        self.dialling.set(figures.dialling.saturating_sub(berths).into());
        self.waiting.set((figures.waiting + berths + in_line).into());
        self.opened.set(before.opened + figures.opened);
        self.closed.set(before.closed + figures.closed);
        self.reused.set(before.reused + figures.reused);
        self.surplus.set(before.surplus + figures.surplus);
        self.discarded.set(before.discarded + figures.discarded);
        self.poisoned.set(before.poisoned + figures.poisoned);
        self.abandoned.set(before.abandoned + figures.abandoned + aborted);
        self.edition.store(edition.wrapping_add(2), Ordering::Release);
    }

    /// Whether this was warned about.
    pub fn has_warned(&self, warning: u64) -> bool {
        self.warned.get() & (1 << warning) != 0
    }

    /// Notes a warning; true the first time.
    pub fn warns_first(&self, warning: u64) -> bool {
        let first = !self.has_warned(warning);
        self.warned.set(self.warned.get() | (1 << warning));
        first
    }

    /// The pool is gone, and its connections with it; another may count on.
    pub fn retire(&self) {
        let edition = self.edition.load(Ordering::Relaxed);
        self.edition.store(edition.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for none in [&self.idle, &self.leased, &self.dialling, &self.waiting] {
            none.set(0);
        }
        self.closed.set(self.opened.get());
        self.edition.store(edition.wrapping_add(2), Ordering::Release);
    }

    /// A call ended well.
    pub fn succeeded(&self, pool: Duration, headers: Duration, total: Duration) {
        let mut cold = self.cold();
        let spans = cold.spans.get_or_insert_with(|| Box::new([histogram(), histogram(), histogram()]));
        for (histogram, span) in spans.iter_mut().zip([pool, headers, total]) {
            record(histogram, span);
        }
    }

    /// A call ended with this error.
    pub fn failed(&self, error: &Error) {
        let mut cold = self.cold();
        let code = error.code();
        match cold.errors.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(cold.errors.insert(code.to_owned(), 1)),
        }
    }

    /// The plain numbers, all of the same moment.
    pub fn sums(&self) -> Sums {
        for _ in 0..PATIENCE {
            let before = self.edition.load(Ordering::Acquire);
            let sums = self.as_they_are();
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.edition.load(Ordering::Relaxed) == before {
                return sums;
            }
            std::thread::yield_now();
        }
        self.as_they_are()
    }

    fn as_they_are(&self) -> Sums {
        Sums {
            idle: self.idle.get(),
            leased: self.leased.get(),
            dialling: self.dialling.get(),
            waiting: self.waiting.get(),
            opened: self.opened.get(),
            closed: self.closed.get(),
            reused: self.reused.get(),
            surplus: self.surplus.get(),
            discarded: self.discarded.get(),
            poisoned: self.poisoned.get(),
            stale_replays: self.stale_replays.get(),
            abandoned: self.abandoned.get(),
            repaired: self.repaired.get(),
            trailing: self.trailing.get(),
            wire_in: self.wire_in.get(),
            wire_out: self.wire_out.get(),
            decoded: self.decoded.get(),
            requests: self.requests.get(),
        }
    }

    /// Errors by code.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.cold().errors.clone()
    }

    /// p50/p95/p99 of waiting for a connection, of the head, of the whole.
    pub fn latency(&self) -> [Summary; 3] {
        self.cold().spans.as_ref().map_or_else(Default::default, |spans| spans.each_ref().map(summary))
    }

    /// The oldest call in flight began then.
    pub fn set_oldest(&self, began: Option<Instant>) {
        self.oldest.set(began.map_or(0, |at| micros(at.saturating_duration_since(self.epoch)) + 1));
    }

    /// How long the oldest call in flight has been under way.
    pub fn oldest(&self, now: Instant) -> Option<Duration> {
        let since = self.oldest.get().checked_sub(1)?;
        Some(now.saturating_duration_since(self.epoch).saturating_sub(Duration::from_micros(since)))
    }

    fn cold(&self) -> std::sync::MutexGuard<'_, Cold> {
        self.cold.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// How often a reader looks for a moment without a writer, which writes for some nanoseconds: no reader waits for ever.
const PATIENCE: u32 = 100_000;

/// Two digits, growing with the largest value seen: an idle pool's are a few hundred bytes.
fn histogram() -> Histogram<u32> {
    Histogram::new(2).unwrap_or_else(|_| unreachable!("two digits are a legal precision"))
}

/// Microseconds; more than a day is recorded as a day.
fn record(histogram: &mut Histogram<u32>, span: Duration) {
    let value = micros(span).min(86_400_000_000);
    if histogram.record(value).is_err() {
        debug_assert!(false, "a growing histogram takes every value");
    }
}

fn summary(histogram: &Histogram<u32>) -> Summary {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    Summary {
        count: histogram.len(),
        p50: at(0.50),
        p95: at(0.95),
        p99: at(0.99),
        max: histogram.max() as f64 / 1_000.0,
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use ferropool_policy::ledger::{Bounds, Ledger};
    use ferropool_policy::settings::PoolSettings;

    use super::*;
    use crate::clock::now;

    // THR-1010: whoever reads while another thread writes sees one moment, not half of the next.
    #[test]
    fn figures_are_of_one_moment() {
        let stats = Arc::new(PoolStats::new(now()));
        let ended = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let (stats, ended) = (Arc::clone(&stats), Arc::clone(&ended));
            move || {
                let none = Ledger::<()>::new(Bounds::from(&PoolSettings::default())).figures();
                let mut turn = 0_u32;
                while !ended.load(Ordering::Relaxed) {
                    turn = turn.wrapping_add(1) % 1_000;
                    let (idle, leased, closed) = (turn, 1_000 - turn, u64::from(turn) * 7);
                    let figures = Figures { idle, leased, closed, opened: closed + 1_000, ..none };
                    stats.figures(&figures, 0, 0, 0, &Sums::default());
                    // Even the busiest pool does something between two of its figures.
                    for _ in 0..200 {
                        std::hint::spin_loop();
                    }
                }
            }
        });
        let mut changed = 0;
        let mut last = 0;
        while changed < 20_000 {
            let Sums { idle, leased, opened, closed, .. } = stats.sums();
            assert_eq!(opened, closed + idle + leased);
            changed += u32::from(idle != last);
            last = idle;
        }
        ended.store(true, Ordering::Relaxed);
        writer.join().expect("no panic");
    }

    fn counted(opened: u64, idle: u32) -> Figures {
        let none = Ledger::<()>::new(Bounds::from(&PoolSettings::default())).figures();
        Figures { opened, idle, ..none }
    }

    // THR-1010: an I/O thread that fell, or a pool that was forgotten and is held.
    #[test]
    fn a_pool_that_comes_again_counts_on_and_is_counted_once() {
        let roster = Roster::default();
        let stats = Arc::new(PoolStats::new(now()));
        roster.join(7, &stats);
        stats.figures(&counted(3, 2), 0, 0, 0, &Sums::default());
        stats.requests.add(5);
        let seen = |sums: &Sums| (sums.opened, sums.closed, sums.idle, sums.requests);
        assert_eq!(seen(&roster.sums()), (3, 0, 2, 5));

        // Its connections have gone with it.
        stats.retire();
        roster.leave(7);
        assert_eq!((seen(&roster.sums()), seen(&stats.sums())), ((3, 3, 0, 5), (3, 3, 0, 5)));

        let before = stats.sums();
        roster.join(7, &stats);
        stats.figures(&counted(1, 1), 0, 0, 0, &before);
        stats.requests.add(1);
        assert_eq!((seen(&roster.sums()), seen(&stats.sums())), ((4, 3, 1, 6), (4, 3, 1, 6)));
    }
}
