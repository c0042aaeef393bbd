//! The one loop: from a call to its outcome. Read it top to bottom.
//!
//! ```text
//! judge the input ─► checkout ─► exchange ─► response
//!                       ▲            │
//!                       └── replay ──┘   only when the peer accepted no byte, once
//! ```

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use ferropool_policy::error::{Error, Phase};
use ferropool_policy::settings::Limits;

use super::attempt::{Attempt, Failed};
use super::clocks::{Clocks, within};
use super::message::message;
use super::request::Request;
use super::response::Response;
use super::{clocks, replay};
use crate::clock::now;
use crate::pool::Pool;

/// What the phases of a call report to whoever holds its deadline, and to the error that may end it.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) phase: Cell<Phase>,
    pub(super) attempts: Cell<u32>,
    pub(super) sent: Cell<bool>,
}

/// Makes a call on a pool and waits for its outcome. Dropping the future ends the call: its connection is closed, its
/// slot given back.
pub async fn execute(pool: &Rc<Pool>, request: &Request) -> Result<Response, Error> {
    let call = pool.begin_call(request.started);
    let progress = Progress { phase: Cell::new(Phase::Pool), attempts: Cell::new(0), sent: Cell::new(false) };
    let clocks = Clocks::new(request.timeout.as_ref().unwrap_or(&pool.settings.timeout), request.started);
    let outcome = match clocks.total {
        None => attempts(pool, request, &clocks, &progress).await,
        Some((at, total)) => match within(Some(at), attempts(pool, request, &clocks, &progress)).await {
            Ok(outcome) => outcome,
            Err(clocks::Elapsed) => Err(clocks::total_timeout(progress.phase.get(), total)),
        },
    };
    let ended = now();
    drop(call);
    match outcome {
        Ok(mut response) => {
            let total = ended.saturating_duration_since(request.started);
            response.timings.total = Some(total);
            response.timings.done = Some(ended);
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

async fn attempts(pool: &Rc<Pool>, request: &Request, clocks: &Clocks, progress: &Progress) -> Result<Response, Error> {
    let limits: &Limits = request.limits.as_ref().unwrap_or(&pool.settings.limits);
    let mut replays = 0;
    loop {
        let message = message(&pool.origin, &pool.defaults, &pool.shared.book, request)?;
        let asked = now();
        let until = request.pool_timeout.and_then(|span| deadline_of(request, replays, asked, span));
        let held = pool.checkout(until, clocks.connect, &progress.phase).await?;
        progress.attempts.set(progress.attempts.get() + 1);
        let attempt = Attempt { request, limits, clocks, progress, asked, attempts: progress.attempts.get() };
        match attempt.run(held, message).await {
            Ok(response) => return Ok(response),
            Err(Failed { error, accepted }) => {
                if !replay::is_allowed(accepted, replays) || !pool.is_open() {
                    return Err(error);
                }
                replays += 1;
                progress.attempts.set(progress.attempts.get() - 1);
                pool.stats.stale_replays.add(1);
            }
        }
    }
}

/// The first wait counts from the call itself: time in the queue before the I/O thread is waiting too.
fn deadline_of(request: &Request, replays: u32, asked: Instant, span: std::time::Duration) -> Option<Instant> {
    let from = if replays == 0 { request.started } else { asked };
    from.checked_add(span)
}
