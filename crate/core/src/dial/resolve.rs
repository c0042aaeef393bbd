//! Names to addresses: the system's resolver on a few threads of our own (`super::threads`), and what it said remembered
//! for a while. Not here: literal addresses and overrides, which need no look-up (`super::DialPlan`), and deadlines, which
//! the caller owns: it drops the future.
//!
//! One look-up is in flight for a name however many wait for it (`State`), and the look-up itself is the cache's
//! entry. So an answer that comes after its last waiter has gone is still found by the next one.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferropool_policy::error::{Cause, Error, Kind, Phase, quote, system_code};
use tokio::sync::watch;

use super::threads::THREADS;

pub use super::threads::limit_threads;

/// The port behind which names are looked up: the system's resolver, or a test's.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of the name, best first. Runs on a resolver thread, where it may block.
    ///
    /// # Errors
    /// What the system said. An error with a system code (EMFILE) is a lack of ours and is never remembered.
    fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// getaddrinfo: `/etc/hosts`, DNS and whatever else the system is set up to ask, in the order it gives (RFC 6724).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

/// How long, and how many, answers are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remember {
    /// An answer with addresses. Default 30 s. The system does not tell us the record's own time to live.
    pub found: Duration,
    /// An answer without. Default 1 s: long enough to stop a storm on a dead name, short enough for a name that comes up.
    pub failed: Duration,
    /// Names. Default 4,096. Look-ups in flight come on top; each of those has somebody who waits for it.
    pub names: usize,
}

/// One engine's view of names: its cache over the process's resolver threads.
pub struct Resolver {
    lookup: Arc<dyn Lookup>,
    cache: RefCell<Cache>,
}

impl Lookup for SystemLookup {
    fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
    }
}

impl Default for Remember {
    fn default() -> Self {
        Self { found: Duration::from_secs(30), failed: Duration::from_secs(1), names: 4_096 }
    }
}

impl Resolver {
    /// A resolver that asks the system.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Self::over(Arc::new(SystemLookup), Remember::default())
    }

    /// A resolver that asks this and remembers so long.
    #[must_use]
    pub fn over(lookup: Arc<dyn Lookup>, remember: Remember) -> Rc<Self> {
        Rc::new(Self { lookup, cache: RefCell::new(Cache { entries: HashMap::new(), remember }) })
    }

    /// The addresses of a name in the order in which the system gave them, each once, at most 16 of a family; none where
    /// the name exists without an address.
    ///
    /// # Errors
    /// [`Kind::Dns`] where the name does not resolve; [`Kind::Connect`] with the system's code where the process has no
    /// descriptors left to ask with.
    ///
    /// # Cancellation
    /// Dropping the future stops waiting. A look-up that has begun goes on and its answer is remembered; one that still
    /// waits for a thread, and for which nobody waits any more, is not begun.
    pub async fn resolve(&self, host: &str) -> Result<Arc<[IpAddr]>, Error> {
        if host.is_empty() || host.len() > LONGEST_NAME || host.contains('\0') {
            return Err(Failure::said("not a name").into_error(host));
        }
        loop {
            let mut waiter = Waiter(Some(self.flight(host)));
            let Some(over) = waiter.until_over().await else {
                return Err(Failure::said("the look-up was lost").into_error(host));
            };
            // `Abandoned` was met only by a look-up whose last waiter left as we came: ask again.
            if let State::Done { outcome, .. } = over {
                return outcome.map_err(|failure| failure.into_error(host));
            }
        }
    }

    /// The look-up that this name waits for: a fresh answer, one in flight, or a new one.
    fn flight(&self, host: &str) -> watch::Receiver<State> {
        let mut cache = self.cache.borrow_mut();
        let now = Instant::now();
        if let Some(flight) = cache.find(host, now) {
            return flight.subscribe();
        }
        // Subscribed before it is handed over, so that it never looks abandoned before it began.
        let (flight, waiting) = watch::channel(State::Queued);
        let flight = Arc::new(flight);
        cache.keep(host, Arc::clone(&flight), now);
        drop(cache);
        THREADS.submit(Job { host: host.to_owned(), lookup: Arc::clone(&self.lookup), flight });
        waiting
    }
}

/// A look-up's life. It moves only forwards, and none waits for ever: what leaves the queue is over.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Waits for a thread.
    Queued,
    /// A thread is asking.
    Running,
    /// Answered.
    Done { at: Instant, outcome: Result<Arc<[IpAddr]>, Failure> },
    /// Never begun: everybody who waited had gone when its turn came.
    Abandoned,
}

impl State {
    fn is_over(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Abandoned)
    }
}

/// Why a name did not resolve, in a form that each waiter can have.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    code: Option<&'static str>,
    message: String,
    /// The system's, not the name's: never remembered.
    ours: bool,
}

impl Failure {
    fn said(message: impl Into<String>) -> Self {
        Self { code: None, message: message.into(), ours: false }
    }

    fn from_io(error: &io::Error) -> Self {
        let said = error.to_string();
        // std puts this before what the resolver said; the message around it says as much.
        let message = said.strip_prefix("failed to lookup address information: ").unwrap_or(&said).to_owned();
        Self { code: system_code(error), message, ours: error.raw_os_error().is_some() }
    }

    fn into_error(self, host: &str) -> Error {
        let cause = Cause { code: self.code.map(str::to_owned), ..Cause::said(self.message) };
        let error = if matches!(self.code, Some("EMFILE" | "ENFILE")) {
            // The name is not at fault, and there is nothing to connect with either.
            Error::new(Kind::Connect, format!("Failed to establish a new connection: {}", cause.message))
        } else {
            let host = quote(host.as_bytes());
            Error::new(Kind::Dns, format!("Failed to resolve '{host}' ({})", cause.message))
        };
        error.in_phase(Phase::Dns).caused_by(cause)
    }
}

pub(super) type Flight = Arc<watch::Sender<State>>;

/// Somebody who waits for a look-up.
struct Waiter(Option<watch::Receiver<State>>);

impl Waiter {
    async fn until_over(&mut self) -> Option<State> {
        Some(self.0.as_mut()?.wait_for(State::is_over).await.ok()?.clone())
    }
}

impl Drop for Waiter {
    /// Whoever leaves a look-up that goes on may have been the last one that its thread worked for.
    fn drop(&mut self) {
        if self.0.take().is_some_and(|receiver| !receiver.borrow().is_over()) {
            THREADS.reconsider();
        }
    }
}

/// The look-ups by name: those in flight, and the answers that are still good.
struct Cache {
    entries: HashMap<String, Flight>,
    remember: Remember,
}

impl Cache {
    fn find(&self, host: &str, now: Instant) -> Option<&Flight> {
        self.entries.get(host).filter(|flight| self.remember.is_good(&flight.borrow(), now))
    }

    fn keep(&mut self, host: &str, flight: Flight, now: Instant) {
        if self.entries.len() >= self.remember.names && !self.entries.contains_key(host) {
            self.make_room(now);
        }
        self.entries.insert(host.to_owned(), flight);
    }

    /// Forgets what is no longer good and, where that is not enough, the older half of the answers: a whole half, so
    /// that a crawler's flood of names pays for this once in thousands of look-ups.
    fn make_room(&mut self, now: Instant) {
        let remember = self.remember;
        self.entries.retain(|_, flight| remember.is_good(&flight.borrow(), now));
        if self.entries.len() < remember.names {
            return;
        }
        let answered = |flight: &Flight| match *flight.borrow() {
            State::Done { at, .. } => Some(at),
            _ => None,
        };
        let mut times: Vec<Instant> = self.entries.values().filter_map(answered).collect();
        let half = times.len() / 2;
        if half < times.len() {
            let median = *times.select_nth_unstable(half).1;
            self.entries.retain(|_, flight| answered(flight).is_none_or(|at| at > median));
        }
    }
}

impl Remember {
    /// Whether a look-up may still be joined, or its answer used.
    fn is_good(&self, state: &State, now: Instant) -> bool {
        match state {
            State::Queued | State::Running => true,
            State::Done { at, outcome } => {
                let life = match outcome {
                    Ok(_) => self.found,
                    Err(failure) if failure.ours => Duration::ZERO,
                    Err(_) => self.failed,
                };
                now.saturating_duration_since(*at) < life
            }
            State::Abandoned => false,
        }
    }
}

/// A name, whom to ask, and where the answer goes.
pub(super) struct Job {
    host: String,
    lookup: Arc<dyn Lookup>,
    flight: Flight,
}

impl Job {
    pub(super) fn flight(&self) -> &Flight {
        &self.flight
    }

    /// Whether anybody still waits. If not it is over: whoever comes now sees that and asks anew.
    pub(super) fn is_wanted(&self) -> bool {
        let wanted = self.flight.receiver_count() > 0;
        if !wanted {
            self.flight.send_replace(State::Abandoned);
        }
        wanted
    }

    pub(super) fn run(self) {
        if !self.is_wanted() {
            return;
        }
        self.flight.send_replace(State::Running);
        // A panic must not leave waiters behind: they would wait for ever.
        let answer = catch_unwind(AssertUnwindSafe(|| self.lookup.look_up(&self.host)));
        let outcome = match answer {
            Ok(Ok(addresses)) => Ok(worth_keeping(&addresses)),
            Ok(Err(error)) => Err(Failure::from_io(&error)),
            Err(_) => Err(Failure::said("the resolver panicked")),
        };
        self.flight.send_replace(State::Done { at: Instant::now(), outcome });
    }

    pub(super) fn fail(&self, error: &io::Error) {
        let failure = Failure { ours: true, ..Failure::from_io(error) };
        self.flight.send_replace(State::Done { at: Instant::now(), outcome: Err(failure) });
    }
}

/// The error of a scoped address, which the system refused without being asked for a name.
pub(super) fn unresolved(host: &str, error: &io::Error) -> Error {
    Failure::from_io(error).into_error(host)
}

/// The error of a host for which the caller's function gave no address.
pub(super) fn nowhere(host: &str) -> Error {
    Failure::said("`resolve` gave no address").into_error(host)
}

/// The addresses that a dial could ever try, each once, in order: a name with thousands costs no more than this.
fn worth_keeping(addresses: &[IpAddr]) -> Arc<[IpAddr]> {
    let mut seen = HashSet::new();
    let mut of_family = [0; 2];
    let worth = |address: &&IpAddr| {
        let count = &mut of_family[usize::from(address.is_ipv6())];
        let keep = *count < super::MOST_ADDRESSES && seen.insert(**address);
        *count += usize::from(keep);
        keep
    };
    addresses.iter().filter(worth).copied().collect()
}

/// RFC 1035 §2.3.4: 255 octets on the wire; nothing longer can be asked.
const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn done(at: Instant, outcome: Result<Arc<[IpAddr]>, Failure>) -> Flight {
        Arc::new(watch::channel(State::Done { at, outcome }).0)
    }

    fn found(at: Instant) -> Flight {
        done(at, Ok(Arc::from([IpAddr::from(Ipv4Addr::LOCALHOST)])))
    }

    fn cache(names: usize) -> Cache {
        Cache { entries: HashMap::new(), remember: Remember { names, ..Remember::default() } }
    }

    // THR-1012, THR-1218: the two spans.
    #[test]
    fn addresses_are_good_for_thirty_seconds_and_failures_for_one() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut cache = cache(10);
        cache.keep("up", found(start), start);
        cache.keep("down", done(start, Err(Failure::said("no such name"))), start);
        cache.keep("us", done(start, Err(Failure::from_io(&io::Error::from_raw_os_error(24)))), start);
        cache.keep("asked", Arc::new(watch::channel(State::Running).0), start);
        cache.keep("left", Arc::new(watch::channel(State::Abandoned).0), start);
        let good = |at| {
            let mut names: Vec<_> = ["asked", "down", "left", "up", "us"]
                .into_iter()
                .filter(|name| cache.find(name, at).is_some())
                .collect();
            names.sort_unstable();
            names
        };
        assert_eq!(good(after(999)), ["asked", "down", "up"]);
        assert_eq!(good(after(1_000)), ["asked", "up"]);
        assert_eq!(good(after(29_999)), ["asked", "up"]);
        assert_eq!(good(after(30_000)), ["asked"]);
    }

    #[test]
    fn a_full_cache_forgets_the_stale_first_and_then_the_older_half() {
        let start = Instant::now();
        let mut cache = cache(8);
        cache.keep("asked", Arc::new(watch::channel(State::Queued).0), start);
        for n in 0..7_u64 {
            cache.keep(&n.to_string(), found(start + Duration::from_secs(n)), start);
        }
        let later = start + Duration::from_secs(7);
        cache.keep("7", found(later), later);
        let mut names: Vec<_> = cache.entries.keys().cloned().collect();
        names.sort_unstable();
        assert_eq!(names, ["4", "5", "6", "7", "asked"]);
        for n in 8..1_000_u64 {
            let now = start + Duration::from_secs(n);
            cache.keep(&n.to_string(), found(now), now);
            assert!(cache.entries.len() <= 8);
        }
        assert!(cache.entries.contains_key("asked"), "somebody waits for it");
    }

    #[test]
    fn an_answer_keeps_each_address_once_and_sixteen_of_a_family() {
        let v4 = |n: u32| IpAddr::from(Ipv4Addr::from_bits(n));
        let v6 = |n: u128| IpAddr::from(Ipv6Addr::from_bits(n));
        let given: Vec<_> =
            [v4(1), v6(1), v4(1), v6(1)].into_iter().chain((2..4_096).map(v4)).chain((2..99).map(v6)).collect();
        let kept = worth_keeping(&given);
        assert_eq!(kept[..3], [v4(1), v6(1), v4(2)]);
        assert_eq!(kept.iter().filter(|address| address.is_ipv4()).count(), 16);
        assert_eq!(kept.len(), 32);
    }
}
