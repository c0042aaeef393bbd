//! The way that a request takes: a connection of its own, known by its tap, or a stream among others.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use crate::clock::now;
use crate::conn::tap::Tap;

/// How far a request has come on its way.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// Every byte of the connection belongs to it.
    Own(Rc<Tap>),
    /// Some do.
    Stream(Rc<StreamWay>),
}

/// What is known of one stream. The connection's tap counts for all of them together.
#[derive(Debug)]
pub(super) struct StreamWay {
    /// Of the connection.
    pub(super) tap: Rc<Tap>,
    /// What the connection had written before this stream was opened.
    before: u64,
    opened: Cell<bool>,
    blocked: Cell<bool>,
    last_step: Cell<Option<Instant>>,
}

impl StreamWay {
    pub(super) fn new(tap: Rc<Tap>) -> Rc<Self> {
        let before = tap.written();
        Rc::new(Self { tap, before, opened: Cell::new(false), blocked: Cell::new(false), last_step: Cell::new(None) })
    }

    /// Its head, or some of its body, has gone to the connection.
    pub(super) fn step(&self) {
        self.opened.set(true);
        self.blocked.set(false);
        self.last_step.set(Some(now()));
    }

    /// The peer lets no more of its body through.
    pub(super) fn block(&self) {
        self.blocked.set(true);
    }

    /// Whether not a byte has left since it was opened, so that nothing of it can have.
    pub(super) fn is_unwritten(&self) -> bool {
        self.tap.written() == self.before
    }
}

impl Way {
    /// Bytes of the request that have gone out; of a stream only whether there are any.
    pub(super) fn written(&self) -> u64 {
        match self {
            Self::Own(tap) => tap.written(),
            Self::Stream(stream) => u64::from(stream.opened.get()),
        }
    }

    /// Whether the peer takes no more of what there is to send.
    pub(super) fn write_blocked(&self) -> bool {
        match self {
            Self::Own(tap) => tap.write_blocked(),
            Self::Stream(stream) => stream.blocked.get() || stream.tap.write_blocked(),
        }
    }

    /// When something of the request last went out.
    pub(super) fn last_write(&self) -> Option<Instant> {
        match self {
            Self::Own(tap) => tap.last_write(),
            Self::Stream(stream) => stream.last_step.get(),
        }
    }

    /// A chunked body begins, or a piece of it was taken.
    pub(super) fn piece_taken(&self) {
        if let Self::Own(tap) = self {
            tap.piece_taken();
        }
    }

    /// The connection's tap.
    pub(super) fn tap(&self) -> &Rc<Tap> {
        match self {
            Self::Own(tap) => tap,
            Self::Stream(stream) => &stream.tap,
        }
    }
}
