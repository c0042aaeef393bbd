//! The line back to whoever made a call: for what a call says before it ends.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the peer.
    Up,
    /// From the peer.
    Down,
}

/// What a call has to say while it goes on.
pub trait Line {
    /// There is room for so many more bytes of the request's body.
    fn want(&self, bytes: u64);
    /// So many bytes of the body have gone that way, of `total` where that is known.
    fn progress(&self, direction: Direction, bytes: u64, total: Option<u64>);
    /// The peer's kernel, or the connection that it shares, has all of the request; or the answer came before.
    fn sent(&self);
}

/// Progress at a bearable pace: ten times a second, and once at the end.
#[derive(Clone)]
pub struct Pace {
    line: Rc<dyn Line>,
    last: Option<Instant>,
}

impl Pace {
    /// Reports to this line.
    pub fn new(line: Rc<dyn Line>) -> Self {
        Self { line, last: None }
    }

    pub(super) fn report(&mut self, way: Direction, bytes: u64, total: Option<u64>, last: bool, now: Instant) {
        let due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= EVERY);
        if due || last {
            self.last = Some(now);
            self.line.progress(way, bytes, total);
        }
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("last", &self.last).finish_non_exhaustive()
    }
}

/// Bytes that a piece of a body counts for at least where memory is shared out: a peer, or a source, whose pieces have a
/// byte each would otherwise make hundreds of each byte that was granted.
pub const LEAST: u64 = 256;

const EVERY: Duration = Duration::from_millis(100);
