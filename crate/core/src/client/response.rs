//! A response as the core gives it: plain data, nothing of hyper's or tokio's.

use std::rc::Rc;

use bytes::Bytes;
use http::HeaderMap;

use super::stream::Stream;
use super::trip::Story;
use crate::conn::connection::ConnectionInfo;
use crate::observe::timings::Timings;

/// A body that was read to its end.
#[derive(Debug)]
pub enum Data {
    /// One piece as hyper gave it: a view into a larger buffer.
    Shared(Bytes),
    /// Gathered or decoded: ours alone.
    Owned(Vec<u8>),
}

impl Data {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// What became of a response's body.
#[derive(Debug)]
pub enum Body {
    /// Read.
    Whole(Data),
    /// To be read.
    Stream(Box<Stream>),
}

impl Body {
    /// The bytes, if it was read.
    pub fn whole(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(data) => Some(data.as_slice()),
            Self::Stream(_) => None,
        }
    }
}

/// What came of a call.
#[derive(Debug)]
pub struct Response {
    /// 100–999.
    pub status: u16,
    /// 10, 11 or 20: the peer's.
    pub version: u8,
    /// As received; `None` where the peer gave none.
    pub reason: Option<Bytes>,
    /// Lower-case names in order of first appearance.
    pub headers: HeaderMap,
    /// After a chunked body.
    pub trailers: Option<HeaderMap>,
    /// What leniency tolerated, a line each.
    pub defects: Vec<String>,
    /// The body.
    pub body: Body,
    /// Body bytes on the wire, before decoding; of one that is still to be read, those that were announced.
    pub body_bytes: Option<u64>,
    /// Whether the body was framed by chunks.
    pub chunked: bool,
    /// Exchanges of the final hop.
    pub attempts: u32,
    /// Whether the connection had carried an exchange before.
    pub reused: bool,
    /// Where it came from.
    pub connection: Rc<ConnectionInfo>,
    /// What happened before, if anything did.
    pub story: Option<Box<Story>>,
    /// Where the time went.
    pub timings: Timings,
}
