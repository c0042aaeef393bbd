//! Connections: hyper over the tap.

pub mod connection;
pub(crate) mod errors;
pub mod head;
pub mod http1;
pub mod http2;
pub mod tap;

#[cfg(feature = "faults")]
pub mod faults;
