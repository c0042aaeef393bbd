//! The client's clock, and the numbers that it makes up: what decides takes them as arguments.

use std::hash::{BuildHasher, RandomState};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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

/// The wall clock, in milliseconds since 1970: what a Retry-After with a date is compared with.
pub(crate) fn wall_clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1_000.0)
}

/// A number from [0, 1), for jitter: nobody is helped by guessing it.
pub(crate) fn random() -> f64 {
    // 53 bits are what a double holds of them.
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}
