//! The deadlines of one call. A time-out is a span that a user sets; a deadline is an instant computed from it. All of
//! them run on the I/O thread: a busy JavaScript thread times nothing out.

use std::future::Future;
use std::time::{Duration, Instant};

use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::settings::{Timeouts, span};
use tokio::time::timeout_at;

use crate::clock::milliseconds;

/// What bounds a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// Over everything; the span is kept for the message.
    pub(super) total: Option<(Instant, Duration)>,
    /// dns + connect + proxy + tls.
    pub(super) connect: Option<Duration>,
    /// Between two bytes.
    pub(super) read: Option<Duration>,
}

impl Clocks {
    /// From the spans in force and the moment of the call.
    pub(super) fn new(timeouts: &Timeouts, started: Instant) -> Self {
        let total = timeouts.total.and_then(span);
        Self {
            // A span that leads beyond the clock's range is none.
            total: total.and_then(|most| started.checked_add(most).map(|at| (at, most))),
            connect: timeouts.connect.and_then(span),
            read: timeouts.read.and_then(span),
        }
    }
}

/// The clock ran out before the work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elapsed;

/// Runs until the deadline; without one there is no timer at all.
pub(super) async fn within<F: Future>(deadline: Option<Instant>, work: F) -> Result<F::Output, Elapsed> {
    match deadline {
        None => Ok(work.await),
        Some(at) => timeout_at(at.into(), work).await.map_err(|_| Elapsed),
    }
}

/// TIME-07: nothing came for `read`, or the peer would not take the request.
pub(super) fn read_timeout(phase: Phase, read: Duration) -> Error {
    let milliseconds = milliseconds(read);
    match phase {
        Phase::Send => {
            Error::new(Kind::SendTimeout, format!("Send timed out. (read timeout={milliseconds} ms)")).in_phase(phase)
        }
        _ => Error::new(Kind::ReadTimeout, format!("Read timed out. (read timeout={milliseconds} ms)")).in_phase(phase),
    }
}

/// `total` ran out: which class of error it is depends on the phase that it cut. A class of connecting has no pool to be
/// named in front of its message: there it says whom the call was for.
pub(super) fn total_timeout(during: Phase, total: Duration, host: Option<&str>) -> Error {
    total_ran_out(during, total, host, &format!("cut in {}", during.name()))
}

/// `total` ran out while the call waited between two attempts: no connection kept it waiting, though that is the phase.
pub(super) fn total_timeout_between(total: Duration) -> Error {
    total_ran_out(Phase::Pool, total, None, "cut while it waited for the next attempt")
}

fn total_ran_out(during: Phase, total: Duration, host: Option<&str>, how: &str) -> Error {
    let kind = match during {
        Phase::Dns | Phase::Connect | Phase::Proxy | Phase::Tls => Kind::TotalTimeoutDialling,
        Phase::Pool | Phase::Send | Phase::Headers | Phase::Body | Phase::Total => Kind::TotalTimeout,
    };
    let milliseconds = milliseconds(total);
    let to = host.filter(|_| kind == Kind::TotalTimeoutDialling).map_or_else(String::new, |host| format!(" to {host}"));
    let message = format!("The call{to} took longer than total={milliseconds} ms ({how})");
    let mut error = Error::new(kind, message).in_phase(Phase::Total);
    error.fields_mut().extra.during = Some(during);
    error
}
