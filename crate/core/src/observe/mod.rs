//! What can be seen from outside: counters and spans.

pub mod calls;
pub mod stats;
pub mod timings;
