//! What ferropool decides: pure functions over plain data and states as enums. No I/O, no clock, no randomness of its
//! own: `now` is an argument, so that every rule is tested by a table.
#![forbid(unsafe_code)]

pub mod deny;
pub mod environment;
pub mod error;
pub mod fleet;
pub mod keepalive;
pub mod ledger;
pub mod manners;
pub mod meter;
pub mod origin;
pub mod proxy;
pub mod query;
mod quote;
pub mod redirect;
pub mod retry;
pub mod settings;
pub mod shelf;
pub mod socks;
pub mod story;
pub mod streams;
pub mod tls;
pub mod url;
