//! What ferropool does.
#![forbid(unsafe_code)]
