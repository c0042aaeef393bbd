//! The one place that reads the monotonic clock: everything below it takes the time as an argument.

use std::time::Instant;

/// Now. Wall-clock jumps do not move it.
#[inline]
pub(crate) fn now() -> Instant {
    // tokio's is the same clock, but for a test that has stopped it.
    #[cfg(test)]
    return tokio::time::Instant::now().into_std();
    #[cfg(not(test))]
    Instant::now()
}

/// A span as people read it. Through whole nanoseconds: 0.07 s times 1,000 is not 70 in floating point.
pub(crate) fn milliseconds(span: std::time::Duration) -> f64 {
    span.as_nanos() as f64 / 1e6
}
