//! From a call to its response.

pub mod case;
pub mod execute;
pub mod line;
pub mod message;
pub mod request;
pub mod response;
pub mod stream;
pub mod upload;

mod attempt;
mod clocks;
mod exchange;
mod failure;
mod frames;
mod judge;
mod receive;
mod replay;
