//! What a request carries, as hyper wants it: a body that is there as a whole, or one that comes in pieces from whoever
//! has them.
//!
//! Pieces are asked for, never pushed: the supplier is told how many more bytes there is room for, so that a slow peer
//! slows the source. What the peer's kernel has taken nothing of stays here, so that the request can be sent again
//! without asking anybody.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use ferropool_policy::error::{Error, Kind, Phase};
use http_body::{Body, Frame, SizeHint};

use super::line::{Direction, LEAST, Line, Pace};
use crate::clock::now;
use crate::conn::tap::Tap;

/// A request's body as hyper polls it.
#[derive(Clone, Debug, Default)]
pub struct Upload(Option<Rc<Source>>);

impl Upload {
    /// A body from this source.
    pub fn of(source: Rc<Source>) -> Self {
        Self(Some(source))
    }
}

/// A body's pieces on their way out.
pub struct Source {
    state: RefCell<State>,
    waker: RefCell<Option<Waker>>,
    /// `None` for a body that is there as a whole.
    supplier: Option<Rc<dyn Line>>,
    /// What the pieces add up to, where that is known.
    length: Cell<Option<u64>>,
    /// One piece is one chunk; without chunks a large piece is given out in slices.
    chunked: Cell<bool>,
    /// Bytes given to hyper.
    handed: Cell<u64>,
    /// When the last piece came: from then on the peer is waited for, not the source.
    fed: Cell<Option<Instant>>,
    /// Of the connection, where it is the request's own: what it has written nothing of is kept. A body outlives its
    /// attempts, and must not hold open what the next of them may have to wait for.
    tap: RefCell<Option<Weak<Tap>>>,
    progress: RefCell<Option<Pace>>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Bytes>,
    queued: u64,
    /// Asked for and not come yet.
    owed: u64,
    kept: Kept,
    course: Course,
}

/// What was given to hyper, as long as it may be wanted once more.
#[derive(Debug)]
enum Kept {
    /// All of it: the peer had taken nothing when it was given.
    All(Vec<Bytes>),
    /// Some of it is here no more.
    Gone,
}

impl Default for Kept {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

/// How far a body has come.
#[derive(Clone, Debug, Default)]
enum Course {
    /// More may come.
    #[default]
    Open,
    /// The last piece is in the queue.
    Ended,
    /// hyper has everything.
    Handed,
    /// Nobody wants the rest.
    Stopped,
    /// It cannot be sent to its end.
    Failed(Error),
}

impl Source {
    /// A body that is there as a whole.
    pub fn whole(body: Bytes, chunked: bool, progress: Option<Pace>) -> Rc<Self> {
        let length = body.len() as u64;
        let queue = if body.is_empty() { VecDeque::new() } else { VecDeque::from([body]) };
        let state = State { queue, queued: length, course: Course::Ended, ..State::default() };
        Rc::new(Self {
            state: RefCell::new(state),
            waker: RefCell::default(),
            supplier: None,
            length: Cell::new(Some(length)),
            chunked: Cell::new(chunked),
            handed: Cell::new(0),
            fed: Cell::new(None),
            tap: RefCell::default(),
            progress: RefCell::new(progress),
        })
    }

    /// A body whose pieces `supplier` will be asked for.
    pub fn of(supplier: Rc<dyn Line>, length: Option<u64>, progress: Option<Pace>) -> Rc<Self> {
        Rc::new(Self {
            state: RefCell::default(),
            waker: RefCell::default(),
            supplier: Some(supplier),
            length: Cell::new(length),
            chunked: Cell::new(false),
            handed: Cell::new(0),
            fed: Cell::new(None),
            tap: RefCell::default(),
            progress: RefCell::new(progress),
        })
    }

    /// What the pieces add up to, where that is known.
    pub fn length(&self) -> Option<u64> {
        self.length.get()
    }

    /// Whether it can be sent from its beginning: nothing of it was given out that is not kept here.
    pub(super) fn can_begin(&self) -> bool {
        let state = self.state.borrow();
        matches!(state.kept, Kept::All(_)) && !matches!(state.course, Course::Stopped | Course::Failed(_))
    }

    /// How it is framed, once the head is made.
    pub(super) fn frame(&self, chunked: bool, length: Option<u64>) {
        self.chunked.set(chunked);
        self.length.set(length);
    }

    /// An exchange begins on this connection; what an earlier one gave out in vain is given out again.
    pub(super) fn begin(&self, tap: Option<&Rc<Tap>>) {
        self.tap.replace(tap.map(Rc::downgrade));
        let mut state = self.state.borrow_mut();
        if let Kept::All(again) = std::mem::take(&mut state.kept) {
            state.queued += again.iter().map(|piece| piece.len() as u64).sum::<u64>();
            for piece in again.into_iter().rev() {
                state.queue.push_front(piece);
            }
        }
        if matches!(state.course, Course::Handed) {
            state.course = Course::Ended;
        }
        self.handed.set(0);
        debug_assert!(tap.is_none_or(|tap| tap.written() == 0));
        self.fed.set(Some(now()));
    }

    /// Whether it is announced as empty: hyper never asks for such a body.
    pub(super) fn is_to_be_empty(&self) -> bool {
        !self.chunked.get() && self.length.get() == Some(0)
    }

    /// Whether what is announced as empty is: that has to be known before anything is sent.
    pub(super) async fn prove_empty(&self) -> Result<(), Error> {
        poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            if let Some(error) = self.mismatch(&state) {
                state.course = Course::Failed(error);
            }
            match &state.course {
                Course::Failed(error) => return Poll::Ready(Err(error.clone())),
                Course::Open => {}
                Course::Ended | Course::Handed | Course::Stopped => return Poll::Ready(Ok(())),
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            let room = (state.owed == 0).then_some(1);
            state.owed = state.owed.max(1);
            drop(state);
            self.ask(room);
            Poll::Pending
        })
        .await
    }

    /// A piece came.
    pub fn push(&self, piece: Bytes) {
        {
            let mut state = self.state.borrow_mut();
            if !matches!(state.course, Course::Open) {
                return;
            }
            let length = piece.len() as u64;
            // An empty piece would be the last chunk.
            if piece.is_empty() {
                return;
            }
            state.owed = state.owed.saturating_sub(length.max(LEAST));
            state.queued += length;
            state.queue.push_back(piece);
        }
        self.fed.set(Some(now()));
        self.wake();
    }

    /// There will be no more.
    pub fn end(&self) {
        self.turn(Course::Ended);
    }

    /// The source failed: the message on the wire is broken off, never ended well.
    pub fn fail(&self, error: Error) {
        self.turn(Course::Failed(error));
    }

    /// The response is complete; hyper would go on sending (THR-317).
    pub(super) fn stop(&self) {
        let mut state = self.state.borrow_mut();
        if matches!(state.course, Course::Open | Course::Ended) {
            state.course = Course::Stopped;
            state.queue.clear();
            state.kept = Kept::Gone;
        }
    }

    /// The answer is the call's: no attempt follows, and what has gone out is not kept for one.
    pub(super) fn forget(&self) {
        self.state.borrow_mut().kept = Kept::Gone;
    }

    /// hyper has all of it.
    pub(super) fn is_handed(&self) -> bool {
        // What is empty hyper never asks for.
        matches!(self.state.borrow().course, Course::Handed) || self.is_at_end()
    }

    /// Why it ended, if the fault is on this side.
    pub(super) fn failure(&self) -> Option<Error> {
        match &self.state.borrow().course {
            Course::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Whose turn it is: `None` while the source is waited for, else since when the peer is.
    pub(super) fn peer_owes_since(&self) -> Option<Instant> {
        let state = self.state.borrow();
        let starving = matches!(state.course, Course::Open) && state.queue.is_empty();
        if starving { None } else { self.fed.get() }
    }

    fn turn(&self, course: Course) {
        {
            let mut state = self.state.borrow_mut();
            if !matches!(state.course, Course::Open) {
                return;
            }
            state.course = course;
        }
        self.fed.set(Some(now()));
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Bytes that there is room for, to be asked for now. Half a window at a time, so that not every piece costs a
    /// question.
    fn room(state: &mut State) -> Option<u64> {
        let on_the_way = state.queued.max(state.queue.len() as u64 * LEAST) + state.owed;
        if !matches!(state.course, Course::Open) || on_the_way > WINDOW / 2 {
            return None;
        }
        let room = WINDOW - on_the_way;
        state.owed += room;
        Some(room)
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut state = self.state.borrow_mut();
        if let Some(error) = self.mismatch(&state) {
            state.course = Course::Failed(error);
        }
        match &state.course {
            Course::Failed(error) => return Poll::Ready(Some(Err(error.clone()))),
            // An error here would end the connection, and with it the response that made the rest unwanted.
            Course::Stopped => return Poll::Pending,
            Course::Handed => return Poll::Ready(None),
            Course::Open | Course::Ended => {}
        }
        let held_back = self.is_held_back(&state);
        let piece = if held_back { None } else { self.next_piece(&mut state) };
        let Some(piece) = piece else {
            if matches!(state.course, Course::Ended) {
                state.course = Course::Handed;
                drop(state);
                self.report(true);
                return Poll::Ready(None);
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            let mut room = Self::room(&mut state);
            if held_back && state.owed == 0 {
                // The source has to be asked once more to tell that it has ended.
                state.owed = 1;
                room = Some(1);
            }
            drop(state);
            self.ask(room);
            return Poll::Pending;
        };
        self.handed.set(self.handed.get() + piece.len() as u64);
        let unseen = match &*self.tap.borrow() {
            Some(tap) => tap.upgrade().is_some_and(|tap| tap.written() == 0),
            // On a stream the peer may say late that it has not looked at it: a fair part is kept for that.
            None => self.handed.get() <= WINDOW,
        };
        match &mut state.kept {
            Kept::All(kept) if unseen => kept.push(piece.clone()),
            kept => *kept = Kept::Gone,
        }
        // Without chunks hyper does not ask again after the last piece.
        let last = matches!(state.course, Course::Ended) && state.queue.is_empty() && !self.chunked.get();
        if last {
            state.course = Course::Handed;
        }
        let room = Self::room(&mut state);
        drop(state);
        self.ask(room);
        self.report(last);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// The next piece; `None` at the end.
    pub(super) fn poll_piece(&self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        // A body has no trailers.
        self.poll(cx).map(|frame| frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default())))
    }

    fn next_piece(&self, state: &mut State) -> Option<Bytes> {
        let first = state.queue.front_mut()?;
        let piece =
            if self.chunked.get() || first.len() <= SLICE { state.queue.pop_front()? } else { first.split_to(SLICE) };
        state.queued -= piece.len() as u64;
        Some(piece)
    }

    /// A message whose body is not what its head says is never finished (RFC 9112 §6.2).
    fn mismatch(&self, state: &State) -> Option<Error> {
        let length = self.length.get()?;
        let there = self.handed.get() + state.queued;
        let message = match state.course {
            Course::Open | Course::Ended if there > length => {
                format!("the body has more than the {length} bytes that were announced")
            }
            Course::Ended if there < length => {
                format!("the body ended after {there} of the {length} bytes that were announced")
            }
            _ => return None,
        };
        Some(Error::new(Kind::BodyFailed, message).with_reason("ERR_BODY_LENGTH").in_phase(Phase::Send))
    }

    /// The piece that completes the announced length waits for the source's word that it was the last one: a source that
    /// has more must not look as if it had been sent whole.
    fn is_held_back(&self, state: &State) -> bool {
        let completes = self.length.get().is_some_and(|length| self.handed.get() + state.queued == length);
        completes && matches!(state.course, Course::Open) && state.queue.len() == 1
    }

    fn ask(&self, room: Option<u64>) {
        if let (Some(supplier), Some(room)) = (&self.supplier, room) {
            supplier.want(room);
        }
    }

    fn report(&self, last: bool) {
        if let Some(pace) = &mut *self.progress.borrow_mut() {
            pace.report(Direction::Up, self.handed.get(), self.length.get(), last, now());
        }
    }

    fn is_at_end(&self) -> bool {
        let state = self.state.borrow();
        // hyper takes "already at its end" for "no body", and would leave the last chunk out.
        match state.course {
            Course::Handed => !self.chunked.get(),
            Course::Ended => !self.chunked.get() && state.queue.is_empty() && self.mismatch(&state).is_none(),
            Course::Open | Course::Stopped | Course::Failed(_) => false,
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &self.0 {
            None => Poll::Ready(None),
            Some(source) => source.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|source| source.is_at_end())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            None => SizeHint::with_exact(0),
            Some(source) => match source.length.get() {
                Some(length) if !source.chunked.get() => SizeHint::with_exact(length - source.handed.get().min(length)),
                _ => SizeHint::default(),
            },
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("length", &self.length).field("handed", &self.handed).finish_non_exhaustive()
    }
}

/// Bytes of a body that may be here or on the way here.
const WINDOW: u64 = 1024 * 1024;
/// Bytes given to hyper at once, where a piece need not be a chunk: so that an upload can be stopped in its middle.
const SLICE: usize = 256 * 1024;
