//! What JavaScript submits, as plain data.

use std::time::Duration;

use bytes::Bytes;
use ferropool_core::client::request::Request;

/// A call's id: unique in an engine's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    /// Where JavaScript keeps the call.
    pub(crate) slot: u32,
    /// How often the slot has been used before.
    pub(crate) generation: u32,
}

/// What JavaScript wants.
#[derive(Debug)]
pub(crate) enum Submission {
    /// A call on a pool, and what comes with it.
    Request { id: Id, pool: u32, request: Box<Request>, with: With },
    /// The call is not wanted any more.
    Abort { id: Id },
    /// Open so many connections.
    Warm { id: Id, pool: u32, count: u32 },
    /// Close the pool within this span.
    Close { id: Id, pool: u32, timeout: Option<Duration> },
    /// Nobody holds the pool.
    Forget { pool: u32 },
    /// What a question was answered with, as JSON.
    Answer { number: u32, text: Bytes },
    /// What becomes of a response's body.
    Read { id: Id, order: Order },
    /// What becomes of a request's body.
    Send { id: Id, part: Part },
}

/// What a request brings besides itself.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the record, and an option of its own")]
pub(crate) struct With {
    /// A signal may end it.
    pub(crate) abortable: bool,
    /// How its body comes.
    pub(crate) pieces: Pieces,
    /// The caller hears of progress.
    pub(crate) progress: bool,
    /// The caller hears that the request is out.
    pub(crate) sent: bool,
    /// Nothing of the response's body before it is granted.
    pub(crate) asks: bool,
}

/// How a request's body comes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Pieces {
    /// With the request, if there is one.
    #[default]
    None,
    /// In pieces of which the sum is known.
    Of(u64),
    /// In pieces.
    Some,
}

/// What the reader of a response's body wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// So many more bytes; so many that were given have been taken.
    Grant { bytes: u32, taken: u64 },
    /// All that is left, behind so many free bytes.
    Rest { headroom: u32 },
    /// The end, without what is before it.
    Drain,
    /// Nothing more; a small rest may be drained.
    Release,
    /// Nothing more.
    Shut,
    /// As [`Order::Release`], but by the collector and not by the caller.
    Forsake,
}

/// What comes of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes.
    Piece(Bytes),
    /// Its end.
    Finish,
    /// Its failure.
    Break(String),
}
