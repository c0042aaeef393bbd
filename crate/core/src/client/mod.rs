//! From a call to its response.

pub mod case;
pub mod execute;
pub mod message;
pub mod request;
pub mod response;
pub mod upload;

mod attempt;
mod clocks;
mod failure;
mod judge;
mod receive;
mod replay;
