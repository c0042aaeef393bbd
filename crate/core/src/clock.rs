//! The one place that reads the monotonic clock: everything below it takes the time as an argument.

use std::time::Instant;

/// Now. Wall-clock jumps do not move it.
#[inline]
pub(crate) fn now() -> Instant {
    Instant::now()
}
