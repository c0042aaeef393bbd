//! The queues of `ferropool-core`, compiled alone so that loom can run through every interleaving of their models
//! (`RUSTFLAGS="--cfg loom" cargo test --release`, which `node scripts/test.js models` does).
#![forbid(unsafe_code)]

#[path = "../../src/handoff.rs"]
pub mod handoff;
