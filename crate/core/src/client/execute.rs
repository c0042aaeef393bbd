//! The one loop: from a call to its outcome. Read it top to bottom.
//!
//! ```text
//! judge the input ─► checkout ─► exchange ─► response
//!                       ▲            │
//!                       └── replay ──┘   only when the peer accepted no byte, once
//! ```

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::settings::Limits;

use super::attempt::{Attempt, Failed};
use super::clocks::{Clocks, within};
use super::message::message;
use super::request::{Request, Wanted as Asked};
use super::response::{Body, Response};
use super::upload::Source;
use super::{clocks, replay};
use crate::clock::now;
use crate::conn::tap::Tap;
use crate::pool::{Pool, Wanted};

/// What the phases of a call report to whoever holds its deadline, and to the error that may end it.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) phase: Cell<Phase>,
    pub(super) attempts: Cell<u32>,
    pub(super) sent: Cell<bool>,
    /// Of the exchange under way or just ended.
    pub(super) tap: RefCell<Option<Rc<Tap>>>,
    /// Of the request's body, if it has one.
    pub(super) source: RefCell<Option<Rc<Source>>>,
}

impl Progress {
    fn new() -> Self {
        Self {
            phase: Cell::new(Phase::Pool),
            attempts: Cell::new(0),
            sent: Cell::new(false),
            tap: RefCell::default(),
            source: RefCell::default(),
        }
    }

    /// Where a call was cut: between sending and the head only the tap knows how far it had come.
    fn cut(&self) -> Phase {
        if let Some(tap) = &*self.tap.borrow()
            && tap.written() > 0
        {
            self.sent.set(true);
            let handed = self.source.borrow().as_ref().is_none_or(|source| source.is_handed());
            if self.phase.get() == Phase::Send && handed && !tap.write_blocked() {
                self.phase.set(Phase::Headers);
            }
        }
        self.phase.get()
    }
}

/// Makes a call on a pool and waits for its outcome. Dropping the future ends the call: its connection is closed, its
/// slot given back.
pub async fn execute(pool: &Rc<Pool>, request: &Request) -> Result<Box<Response>, Error> {
    let call = pool.begin_call(request.started);
    let progress = Progress::new();
    let clocks = Clocks::new(request.timeout.as_ref().unwrap_or(&pool.settings.timeout), request.started);
    // Pinned here and lent: a future that is passed on by value is stored once more at each step.
    let mut work = pin!(attempts(pool, request, &clocks, &progress));
    let outcome = match clocks.total {
        None => work.await,
        Some((at, total)) => match within(Some(at), work.as_mut()).await {
            Ok(outcome) => outcome,
            Err(clocks::Elapsed) => Err(clocks::total_timeout(progress.cut(), total)),
        },
    };
    let ended = now();
    match outcome {
        Ok(mut response) => {
            response.timings.done = Some(ended);
            if let Body::Stream(stream) = &mut response.body {
                stream.goes_on(call);
                return Ok(response);
            }
            let total = ended.saturating_duration_since(request.started);
            response.timings.total = Some(total);
            let timings = &response.timings;
            pool.stats.succeeded(timings.pool.unwrap_or_default(), timings.headers.unwrap_or_default(), total);
            Ok(response)
        }
        Err(mut error) => {
            let fields = error.fields_mut();
            fields.host = Some(pool.name.clone());
            fields.attempts = progress.attempts.get();
            fields.elapsed = ended.saturating_duration_since(request.started);
            fields.sent = progress.sent.get();
            pool.stats.failed(&error);
            Err(error)
        }
    }
}

async fn attempts(
    pool: &Rc<Pool>,
    request: &Request,
    clocks: &Clocks,
    progress: &Progress,
) -> Result<Box<Response>, Error> {
    let limits = &limits_of(pool, request);
    let mut replays = 0;
    loop {
        let message = message(&pool.origin, &pool.defaults, &pool.shared.book, request)?;
        let asked = now();
        let until = request.pool_timeout.and_then(|span| deadline_of(request, replays, asked, span));
        let wanted = if replays == 0 { Wanted::Any } else { Wanted::Fresh };
        let held = pool.checkout(until, clocks.connect, &progress.phase, wanted).await?;
        progress.attempts.set(progress.attempts.get() + 1);
        let attempt = Attempt { pool, request, limits, clocks, progress, asked, attempts: progress.attempts.get() };
        match attempt.run(held, message).await {
            Ok(response) => return Ok(response),
            Err(Failed { error, accepted }) => {
                // A source that has failed fails again, on whatever connection.
                let ours = error.kind() == Kind::BodyFailed;
                if ours || !replay::is_allowed(accepted, replays) || !pool.is_open() {
                    return Err(error);
                }
                replays += 1;
                progress.attempts.set(progress.attempts.get() - 1);
                pool.stats.stale_replays.add(1);
            }
        }
    }
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

/// The first wait counts from the call itself: time in the queue before the I/O thread is waiting too.
fn deadline_of(request: &Request, replays: u32, asked: Instant, span: std::time::Duration) -> Option<Instant> {
    let from = if replays == 0 { request.started } else { asked };
    from.checked_add(span)
}
