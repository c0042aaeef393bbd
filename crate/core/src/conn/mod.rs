//! Connections: hyper over the tap.

pub mod head;
pub mod http1;
pub mod tap;

#[cfg(feature = "faults")]
pub mod faults;
