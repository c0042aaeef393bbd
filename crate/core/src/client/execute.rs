//! The one loop: from a call to its outcome. Read it top to bottom.
//!
//! ```text
//! where does it go? ─► may it? ─► judge the input ─► checkout ─► exchange ─► judge the answer ─► response
//!        ▲                                              ▲            │              │
//!        │                                              └── replay ──┤              │
//!        └──────────── wait ◄──────── retry ◄───────────────────────┴── redirect ◄─┘
//! ```
//!
//! A replay is ours: once, and only when the peer accepted no byte. Everything else is `Retry`'s to judge ([`super::trip`]).

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::settings::Limits;

use super::attempt::{Attempt, Came, Failed};
use super::clocks::{Clocks, within};
use super::cookies;
use super::message::message;
use super::request::{Line, Request, Wanted as Asked};
use super::response::{Body, Response};
use super::trip::Trip;
use super::upload::Source;
use super::way::Way;
use super::{clocks, replay};
use crate::clock::now;
use crate::manager::{Hop, Target};
use crate::pool::{Pool, Wanted, closed};

/// What the phases of a call report to whoever holds its deadline, and to the error that may end it.
pub(super) struct Progress {
    pub(super) phase: Cell<Phase>,
    /// Of the hop that is under way: what was tried on a connection.
    pub(super) attempts: Cell<u32>,
    pub(super) sent: Cell<bool>,
    /// It waits between two attempts, as its back-off says.
    pub(super) between: Cell<bool>,
    /// Where the call has come.
    pub(super) pool: RefCell<Option<Rc<Pool>>>,
    /// `host:port` that is asked, where the pool leads to a proxy.
    pub(super) host: RefCell<Option<Rc<str>>>,
    /// Of the exchange under way or just ended.
    pub(super) way: RefCell<Option<Way>>,
    /// Of the request's body, if it has one.
    pub(super) source: RefCell<Option<Rc<Source>>>,
}

impl Progress {
    fn new() -> Self {
        Self {
            phase: Cell::new(Phase::Pool),
            attempts: Cell::new(0),
            sent: Cell::new(false),
            between: Cell::new(false),
            pool: RefCell::default(),
            host: RefCell::default(),
            way: RefCell::default(),
            source: RefCell::default(),
        }
    }

    /// Where a call was cut: between sending and the head only the way knows how far it had come.
    fn cut(&self) -> Phase {
        if let Some(way) = &*self.way.borrow()
            && way.written() > 0
        {
            self.sent.set(true);
            let handed = self.source.borrow().as_ref().is_none_or(|source| source.is_handed());
            if self.phase.get() == Phase::Send && handed && !way.write_blocked() {
                self.phase.set(Phase::Headers);
            }
        }
        self.phase.get()
    }

    /// What an error says of the call that met it. What it was found in (a `MaxRetryError`) says the same.
    fn tell(&self, error: &mut Error, started: Instant, at: Instant) {
        let fields = error.fields_mut();
        fields.host = self.host();
        fields.attempts = self.attempts.get();
        fields.elapsed = at.saturating_duration_since(started);
        fields.sent = self.sent.get();
        let is_proxys = fields.kind == Kind::Proxy;
        if let Some(below) = &mut fields.extra.below {
            let proxy = below.fields().host.clone().filter(|_| is_proxys);
            self.tell(below, started, at);
            if proxy.is_some() {
                // It was the proxy that was not reached, whomever the call is for.
                below.fields_mut().host = proxy;
            }
        }
    }

    /// `host:port` that is asked.
    pub(super) fn host(&self) -> Option<String> {
        let named = self.host.borrow().as_deref().map(str::to_owned);
        named.or_else(|| self.pool.borrow().as_ref().map(|pool| pool.name.clone()))
    }

    fn turn_to(&self, hop: &Hop) {
        self.pool.replace(Some(Rc::clone(&hop.pool)));
        self.host.replace(hop.host.clone());
    }

    /// Waits for the next attempt.
    fn pause<'p>(&'p self, delay: Duration, pool: &'p Pool) -> impl Future<Output = Result<(), Error>> {
        self.between.set(true);
        let rest = rest(delay, pool);
        async {
            let waited = rest.await;
            self.between.set(false);
            waited
        }
    }

    /// The exchange is over: what it held of the connection would keep the socket open while the call waits.
    fn rest(&self) {
        self.way.replace(None);
        self.source.replace(None);
        self.phase.set(Phase::Pool);
    }
}

/// Makes a call and waits for its outcome. Dropping the future ends the call: its connection is closed, its slot given
/// back.
///
/// # Errors
/// Everything in the documentation of errors.
pub async fn execute(target: &Target, request: &Request) -> Result<Box<Response>, Error> {
    let call = target.begin_call(request.started);
    let progress = Progress::new();
    let clocks = Clocks::new(request.timeout.as_ref().unwrap_or(target.timeout()), request.started);
    let mut trip = Trip::new(request, Rc::clone(target.retry()), target.is_bound());
    let outcome = {
        // Pinned here and lent: a future that is passed on by value is stored once more at each step.
        let mut work = pin!(attempts(target, &mut trip, &clocks, &progress));
        match clocks.total {
            None => work.await,
            Some((at, total)) => match within(Some(at), work.as_mut()).await {
                Ok(outcome) => outcome,
                Err(clocks::Elapsed) if progress.between.get() => Err(clocks::total_timeout_between(total)),
                Err(clocks::Elapsed) => Err(clocks::total_timeout(progress.cut(), total, progress.host().as_deref())),
            },
        }
    };
    let ended = now();
    let stats = target.stats();
    let story = trip.story();
    match outcome {
        Ok(mut response) => {
            response.story = story;
            response.timings.done = Some(ended);
            if let Body::Stream(stream) = &mut response.body {
                stream.goes_on(call);
                return Ok(response);
            }
            let total = ended.saturating_duration_since(request.started);
            response.timings.total = Some(total);
            let timings = &response.timings;
            stats.succeeded(timings.pool.unwrap_or_default(), timings.headers.unwrap_or_default(), total);
            Ok(response)
        }
        Err(mut error) => {
            progress.tell(&mut error, request.started, ended);
            let pool = progress.pool.take();
            let fields = error.fields_mut();
            if let Some(story) = story {
                fields.url = fields.url.take().or(story.url);
                fields.extra.history = story.history;
            }
            stats.failed(&error);
            if let Some(pool) = pool.filter(|pool| pool.is_managed()) {
                pool.stats.failed(&error);
            }
            Err(error)
        }
    }
}

async fn attempts(
    target: &Target,
    trip: &mut Trip<'_>,
    clocks: &Clocks,
    progress: &Progress,
) -> Result<Box<Response>, Error> {
    let mut hop = target.hop(trip.request(), false).await?;
    progress.turn_to(&hop);
    let mut first = true;
    let mut replays = 0;
    // What whoever is waited for before each attempt is told, of this hop. Unlike `Progress::attempts`, an attempt counts here that
    // gets no connection.
    let mut number = 1;
    // Whether the pool's idle connections may be as dead as the one that was just used.
    let mut doubtful = false;
    loop {
        let asked = now();
        let pool = &hop.pool;
        let limits = limits_of(pool, trip.request());
        let lines = if trip.request().asks.is_none() { None } else { Box::pin(prepared(trip, pool, number)).await? };
        let message = message(
            &pool.origin,
            &pool.defaults,
            &pool.shared.book,
            trip.request(),
            lines.as_deref(),
            hop.target.clone(),
        )?;
        let until = trip.pool_deadline(first, asked);
        let wanted = match doubtful {
            true => Wanted::Fresh,
            false if message.is_chunked() => Wanted::TakesChunks,
            false => Wanted::Any,
        };
        let knows = trip.request().asker.as_deref();
        let held = match pool.checkout(hop.host(), until, clocks.connect, &progress.phase, wanted, knows).await {
            Ok(held) => held,
            Err(mut error) => {
                progress.tell(&mut error, trip.request().started, now());
                let delay = trip.failed(pool, error).await?;
                progress.rest();
                progress.pause(delay, pool).await?;
                (first, replays, doubtful) = (false, 0, false);
                number += 1;
                continue;
            }
        };
        progress.attempts.set(progress.attempts.get() + 1);
        let tells_sent = trip.request().tells_sent.clone();
        let attempt = Attempt {
            host: hop.host(),
            pool,
            limits: &limits,
            clocks,
            progress,
            asked,
            attempts: progress.attempts.get(),
            tells_sent: tells_sent.as_deref(),
        };
        let delay = match attempt.run(held, message, trip).await {
            Ok(Came::Response(response)) => return Ok(response),
            Ok(Came::Again { delay, moved }) => {
                if moved {
                    let before = hop.pool;
                    hop = target.hop(trip.request(), true).await?;
                    if !hop.pool.has_proxy_of(&before) {
                        trip.leaves_proxy();
                    }
                    progress.turn_to(&hop);
                    progress.attempts.set(0);
                    number = 0;
                }
                delay
            }
            Err(Failed { mut error, taken }) => {
                // A source that has failed fails again, on whatever connection.
                let ours = error.kind() == Kind::BodyFailed;
                if !ours && pool.is_open() && replay::is_allowed(taken, replays) {
                    replays += 1;
                    // A peer that says what it has not processed is well, and so are its connections.
                    doubtful = !matches!(error.fields().extra.reason, Some("ERR_H2_REFUSED" | "ERR_H2_GOAWAY"));
                    progress.attempts.set(progress.attempts.get() - 1);
                    pool.stats.stale_replays.add(1);
                    // The old connection's leave is its socket's, and a bounded manager may have no other (MGR-01): whoever kept
                    // hold of it would wait for himself.
                    progress.rest();
                    continue;
                }
                pool.tell_of_proxy(&mut error);
                // It may be judged by the caller's own `Retry`, and be remembered in the history.
                progress.tell(&mut error, trip.request().started, now());
                trip.failed(pool, error).await?
            }
        };
        (first, replays, doubtful) = (false, 0, false);
        number += 1;
        progress.rest();
        // What cannot be sent again is told before the wait, not after it.
        trip.rewind().await?;
        progress.pause(delay, &hop.pool).await?;
    }
}

/// Nothing of a connection is held while a call waits for its next attempt. It ends at once when its pool is closed, as
/// whoever waits for a connection does.
async fn rest(delay: Duration, pool: &Pool) -> Result<(), Error> {
    if delay.is_zero() {
        // A failure that costs no wait (a path that is no socket, a name that is known to be dead) may be tried again without
        // end, where the caller's `Retry` says so: others on this thread have their turn in between.
        tokio::task::yield_now().await;
        return Ok(());
    }
    // A span beyond the clock's range never ends; `total` and the caller's signal do.
    let wait = Box::pin(tokio::time::timeout(delay, pool.until_closed()));
    match wait.await {
        Ok(()) => Err(closed()),
        Err(_) => Ok(()),
    }
}

/// The header lines of the next attempt, where somebody else has a word in them. Nothing is held meanwhile: a pool that is
/// closed ends the wait, as it ends every other, for whoever is asked may never answer.
async fn prepared(trip: &Trip<'_>, pool: &Rc<Pool>, number: u32) -> Result<Option<Vec<Line>>, Error> {
    tokio::select! {
        biased;
        () = pool.until_closed() => Err(closed()),
        lines = asked_lines(trip, pool, number) => lines,
    }
}

async fn asked_lines(trip: &Trip<'_>, pool: &Rc<Pool>, number: u32) -> Result<Option<Vec<Line>>, Error> {
    let request = trip.request();
    let mut lines = None;
    if request.asks.cookies
        && let Some(text) = trip.cookies(pool).await?
    {
        lines = Some(cookies::joined(request.headers.as_deref().unwrap_or_else(|| pool.defaults.lines()), &text));
    }
    if request.asks.gate {
        let now = lines.as_deref().or(request.headers.as_deref()).unwrap_or_else(|| pool.defaults.lines());
        lines = trip.gate(pool, number, now).await?.or(lines);
    }
    Ok(lines)
}

/// The call's limits. Those of the head cannot be wider than the pool's, with which the connection's parser was made.
fn limits_of(pool: &Pool, request: &Request) -> Limits {
    let own = &pool.settings.limits;
    let mut limits = *request.limits.as_ref().unwrap_or(own);
    limits.header_bytes = limits.header_bytes.min(own.header_bytes);
    limits.header_count = limits.header_count.min(own.header_count);
    match request.wanted {
        Asked::Whole | Asked::Pieces { whole: true } => limits.of_whole(),
        Asked::Pieces { whole: false } => limits.of_stream(),
    }
}
