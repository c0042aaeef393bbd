//! From a call to its response.

pub mod ask;
pub mod case;
pub mod execute;
pub mod line;
pub mod message;
mod multiplexed;
pub mod request;
pub mod response;
pub mod stream;
pub mod trip;
pub mod upload;

mod attempt;
mod clocks;
mod cookies;
mod exchange;
mod failure;
mod frames;
mod judge;
mod receive;
mod replay;
mod way;
