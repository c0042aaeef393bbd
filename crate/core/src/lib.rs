//! What ferropool does.
#![forbid(unsafe_code)]

pub mod dial;
