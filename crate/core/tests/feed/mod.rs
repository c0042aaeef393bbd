//! A source of a request's body for tests: it has its pieces, and gives them as there is room.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use bytes::Bytes;
use ferropool_core::client::line::{Direction, Line};
use ferropool_core::client::upload::Source;

struct Feed {
    source: RefCell<Weak<Source>>,
    /// Each is given once: as from a stream, which cannot be read again.
    left: RefCell<VecDeque<Bytes>>,
}

impl Line for Feed {
    fn want(&self, bytes: u64) {
        let Some(source) = self.source.borrow().upgrade() else { return };
        let mut room = bytes;
        while room > 0 {
            let Some(piece) = self.left.borrow_mut().pop_front() else { return source.end() };
            room = room.saturating_sub(piece.len() as u64);
            source.push(piece);
        }
    }

    fn sent(&self) {}

    fn progress(&self, _: Direction, _: u64, _: Option<u64>) {}
}

/// A body of these pieces.
pub(crate) fn fed(pieces: Vec<Bytes>, length: Option<u64>) -> Rc<Source> {
    let feed = Rc::new(Feed { source: RefCell::default(), left: RefCell::new(pieces.into()) });
    let line: Rc<dyn Line> = Rc::<Feed>::clone(&feed);
    let source = Source::of(line, length, None);
    feed.source.replace(Rc::downgrade(&source));
    source
}
