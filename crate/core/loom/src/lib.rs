//! The queues of `ferropool-core`, compiled alone so that loom can run through every interleaving of their models
//! (`node scripts/test.js models`).
#![forbid(unsafe_code)]

#[path = "../../src/handoff.rs"]
pub mod handoff;
