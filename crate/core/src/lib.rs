//! What ferropool does: pools, connections and exchanges over tokio and hyper. It knows no Node.
//!
//! Everything but the queues ([`handoff`]) and the counters ([`observe::stats`]) lives on one I/O thread.
#![forbid(unsafe_code)]

pub mod body;
pub mod budget;
pub mod client;
pub mod conn;
pub mod dial;
#[cfg(feature = "faults")]
pub mod faults;
pub mod handoff;
pub mod manager;
pub mod observe;
pub mod pool;
pub mod text;
pub mod tls;

mod clock;
