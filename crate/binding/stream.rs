//! A response's body on its way to JavaScript, and a request's on its way from there. What is wanted is granted first: a
//! reader that does not take what it was given stops the socket.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use ferropool_core::budget::Budget;
use ferropool_core::client::line::{Direction, LEAST, Line};
use ferropool_core::client::stream::Stream;
use ferropool_core::client::upload::Source;
use ferropool_policy::error::{Cause, Error, Kind, Phase, quote_text};

use crate::engine::{Ending, Outgoing};
use crate::layout::flow;
use crate::shelf::KeptBuffers;
use crate::submission::{Id, Order, Part};

/// The calls whose bodies come in pieces, in whatever direction.
#[derive(Default)]
pub(crate) struct Flows(RefCell<HashMap<Id, Flow>>);

/// One of them. Its place is free again when it is dropped by its task.
#[derive(Clone, Default)]
pub(crate) struct Flow {
    pub(crate) valve: Option<Rc<Valve>>,
    pub(crate) source: Option<Rc<Source>>,
}

/// Takes a call out when its task ends, however that is.
pub(crate) struct Entered {
    flows: Rc<Flows>,
    id: Id,
}

impl Flows {
    pub(crate) fn enter(self: &Rc<Self>, id: Id, flow: Flow) -> Entered {
        self.0.borrow_mut().insert(id, flow);
        Entered { flows: Rc::clone(self), id }
    }

    /// The request's body begins again: what comes from now on is of this source.
    pub(crate) fn begin_again(&self, id: Id, source: Rc<Source>) {
        if let Some(flow) = self.0.borrow_mut().get_mut(&id) {
            flow.source = Some(source);
        }
    }

    /// What the reader of a body wants. Of a body that has ended nobody can want anything.
    pub(crate) fn read(&self, id: Id, order: Order, budget: &Budget) {
        let valve = self.0.borrow().get(&id).and_then(|flow| flow.valve.clone());
        if let Some(valve) = valve {
            valve.order(order, budget);
        }
    }

    /// What comes of a request's body. Nobody waits for one whose call has ended.
    pub(crate) fn send(&self, id: Id, part: Part) {
        let source = self.0.borrow().get(&id).and_then(|flow| flow.source.clone());
        let Some(source) = source else { return };
        match part {
            Part::Piece(bytes) => source.push(bytes),
            Part::Finish => source.end(),
            Part::Break(said) => source.fail(
                Error::new(Kind::BodyFailed, unreadable(&said))
                    .with_reason("ERR_BODY_SOURCE")
                    .in_phase(Phase::Send)
                    .caused_by(Cause::said(said)),
            ),
        }
    }
}

/// What a request's body failed with may be long, and somebody else's word: a download that is uploaded tells what its server
/// said.
fn unreadable(said: &str) -> String {
    format!("Connection aborted: the request's body could not be read to its end ({})", quote_text(said.as_bytes()))
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.flows.0.borrow_mut().remove(&self.id);
    }
}

/// What the reader of a body has granted, and what it wants to become of the rest.
pub(crate) struct Valve {
    credit: Cell<u64>,
    will: Cell<Will>,
    /// When the reading began.
    begun: Rc<Cell<Option<Instant>>>,
    /// Given to JavaScript and not taken there.
    lying: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

/// What is to become of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Will {
    Pieces,
    Rest(u32),
    Drain,
    Release,
    Shut,
    Forsake,
}

impl Will {
    fn is_to_read(self) -> bool {
        matches!(self, Self::Pieces | Self::Rest(_))
    }
}

impl Valve {
    /// With credit for what is read before anybody asks, unless the caller looks at the head first.
    pub(crate) fn new(asks: bool) -> Rc<Self> {
        Rc::new(Self {
            credit: Cell::new(if asks { 0 } else { u64::from(flow::UNASKED) }),
            will: Cell::new(Will::Pieces),
            begun: Rc::default(),
            lying: Cell::new(0),
            waker: RefCell::default(),
        })
    }

    fn order(&self, order: Order, budget: &Budget) {
        match order {
            Order::Grant { bytes, taken } => {
                self.begin();
                self.credit.set(self.credit.get().saturating_add(u64::from(bytes)));
                let taken = taken.min(self.lying.get());
                self.lying.set(self.lying.get() - taken);
                budget.give(taken);
            }
            Order::Rest { headroom } => self.turn(Will::Rest(headroom)),
            Order::Drain => self.turn(Will::Drain),
            Order::Release => self.turn(Will::Release),
            Order::Shut => self.turn(Will::Shut),
            Order::Forsake => self.turn(Will::Forsake),
        }
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn begin(&self) {
        if self.begun.get().is_none() {
            self.begun.set(Some(Instant::now()));
        }
    }

    fn turn(&self, will: Will) {
        self.begin();
        self.will.set(will);
    }

    /// Waits until `enough` says of the will that it can be done; looked at again with each order.
    async fn changes(&self, enough: impl Fn(Will) -> bool) -> Will {
        poll_fn(|cx| {
            let will = self.will.get();
            if enough(will) {
                return Poll::Ready(will);
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Nobody will want to read any more.
    async fn lets_go(&self) {
        self.changes(|will| !will.is_to_read()).await;
    }

    /// Nobody wants even the end any more.
    async fn shuts(&self) {
        self.changes(|will| matches!(will, Will::Release | Will::Shut | Will::Forsake)).await;
    }

    /// Ends when it is too late to begin reading, and never once that has begun.
    async fn stays_unread(&self, until: Option<Instant>) {
        if let Some(until) = until.filter(|_| self.begun.get().is_none()) {
            tokio::time::sleep_until(until.into()).await;
            if self.begun.get().is_none() {
                return;
            }
        }
        pending::<()>().await;
    }
}

/// Gives the budget back what lies around of a body when its task ends.
struct Lying<'v> {
    valve: &'v Valve,
    budget: &'v Budget,
}

impl Drop for Lying<'_> {
    fn drop(&mut self) {
        self.budget.give(self.valve.lying.replace(0));
    }
}

/// Carries a body over, piece by piece, until its end or until nobody wants it.
pub(crate) async fn carry(mut stream: Box<Stream>, valve: Rc<Valve>, budget: Rc<Budget>, ending: &mut Ending) {
    let mut pieces = Vec::new();
    let _buffers = KeptBuffers::new();
    let _lying = Lying { valve: &valve, budget: &budget };
    stream.await_from(Rc::clone(&valve.begun));
    let unread = stream.unread_timeout().and_then(|span| Instant::now().checked_add(span));
    loop {
        let waited = tokio::select! {
            biased;
            waited = wait(&stream, &valve, unread) => waited,
            () = stream.until_forced() => Waited::CutOff,
        };
        let will = match waited {
            Waited::Will(will) => will,
            Waited::CutOff => return ending.error(stream.cut_off()),
            Waited::TooLong => return ending.error(stream.too_long()),
            Waited::Unread => return leave_unread(stream, ending).await,
        };
        let outcome = match will {
            // What has been read already needs no room.
            Will::Pieces if !budget.has_room(&valve.lying) && !stream.is_read() => {
                match make_room(&stream, &valve, &budget, unread, ending).await {
                    Waited::Will(_) => continue,
                    Waited::CutOff => return ending.error(stream.cut_off()),
                    Waited::TooLong => return ending.error(stream.too_long()),
                    Waited::Unread => return leave_unread(stream, ending).await,
                }
            }
            Will::Pieces => {
                let credit = usize::try_from(valve.credit.get()).unwrap_or(usize::MAX);
                tokio::select! {
                    biased;
                    () = valve.lets_go() => continue,
                    piece = stream.next(credit.max(1)) => piece,
                    () = valve.stays_unread(unread) => return leave_unread(stream, ending).await,
                }
            }
            Will::Rest(headroom) => {
                tokio::select! {
                    biased;
                    () = valve.lets_go() => continue,
                    rest = stream.rest(headroom as usize) => match rest {
                        Ok(rest) => {
                            ending.piece(rest, stream.wire(), Some(headroom));
                            Ok(None)
                        }
                        Err(error) => Err(error),
                    }
                }
            }
            Will::Drain => {
                let read = tokio::select! {
                    biased;
                    () = valve.shuts() => continue,
                    read = stream.drain(u64::MAX, None) => read,
                };
                return ending.ended(&stream.ended(), read);
            }
            Will::Release => {
                let read = stream.drain(SMALL_REST, Some(SHORT_TIME)).await;
                return ending.ended(&stream.ended(), read);
            }
            Will::Forsake => {
                if !stream.is_read() {
                    stream.warn_unread();
                }
                let read = stream.drain(SMALL_REST, Some(SHORT_TIME)).await;
                return ending.ended(&stream.ended(), read);
            }
            Will::Shut => {
                stream.let_go();
                return ending.ended(&stream.ended(), false);
            }
        };
        match outcome {
            Ok(Some(piece)) => {
                let mut next = Some(piece);
                let mut together = 0;
                while let Some(piece) = next.take() {
                    let bytes = piece.as_slice().len() as u64;
                    valve.credit.set(valve.credit.get().saturating_sub(bytes.max(LEAST)));
                    valve.lying.set(valve.lying.get() + bytes);
                    budget.take(bytes);
                    together += bytes;
                    pieces.push((piece, stream.wire()));
                    // What arrives in bulk goes over several pieces at a time: each hand-over wakes JavaScript.
                    let room = valve.credit.get() > 0 && budget.has_room(&valve.lying);
                    if bytes >= BULK && together < TOGETHER && room {
                        next = stream.another().await;
                    }
                }
                for (piece, wire) in pieces.drain(..) {
                    ending.piece(piece, wire, None);
                }
            }
            Ok(None) => return ending.ended(&stream.ended(), true),
            Err(error) => return ending.error(error),
        }
    }
}

/// Waits until the budget has room for this body, or until nothing depends on that any more.
async fn make_room(
    stream: &Stream,
    valve: &Valve,
    budget: &Budget,
    unread: Option<Instant>,
    ending: &mut Ending,
) -> Waited {
    // A reader need not tell of each piece that it takes; now this one has to, or it would wait for itself.
    ending.press();
    tokio::select! {
        biased;
        will = valve.changes(|will| will != Will::Pieces) => Waited::Will(will),
        () = budget.room(&valve.lying) => Waited::Will(Will::Pieces),
        () = stream.until_forced() => Waited::CutOff,
        () = passes(stream.deadline()) => Waited::TooLong,
        () = valve.stays_unread(unread) => Waited::Unread,
    }
}

/// Never, for no deadline.
async fn passes(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => pending().await,
    }
}

/// Nobody began to read: a small rest is drained, as of a body that is released.
async fn leave_unread(mut stream: Box<Stream>, ending: &mut Ending) {
    stream.drain(SMALL_REST, Some(SHORT_TIME)).await;
    stream.warn_unread();
    ending.error(stream.fail(unread_error()));
}

/// What the wait for something to do came to.
enum Waited {
    Will(Will),
    /// The pool was closed, and its time for that is up.
    CutOff,
    /// The call's `total` is up.
    TooLong,
    /// Nobody began to read in time.
    Unread,
}

async fn wait(stream: &Stream, valve: &Valve, unread: Option<Instant>) -> Waited {
    // The end costs no credit.
    let nothing_left = stream.is_read();
    let ready = |will| will != Will::Pieces || valve.credit.get() > 0 || nothing_left;
    if ready(valve.will.get()) {
        return Waited::Will(valve.will.get());
    }
    let mut unread = unread.filter(|_| valve.begun.get().is_none());
    loop {
        // The reading may begin while it is waited for: from then on the clock of the unread does not count.
        let begins = unread.is_some();
        let done = |will| ready(will) || (begins && valve.begun.get().is_some());
        let until = [unread, stream.deadline()].into_iter().flatten().min();
        let Some(until) = until else { return Waited::Will(valve.changes(done).await) };
        match tokio::time::timeout_at(until.into(), valve.changes(done)).await {
            Ok(will) if ready(will) => return Waited::Will(will),
            Ok(_) => unread = None,
            Err(_) if unread == Some(until) => return Waited::Unread,
            Err(_) => return Waited::TooLong,
        }
    }
}

fn unread_error() -> Error {
    Error::new(Kind::UnreadTimeout, "Nobody began to read the body in time (unreadTimeout), so it was let go.")
        .in_phase(Phase::Body)
}

/// The line of a call: what it says goes out with everything else.
pub(crate) struct Wire {
    pub(crate) id: Id,
    pub(crate) out: Rc<Outgoing>,
}

impl Line for Wire {
    fn want(&self, bytes: u64) {
        self.out.add(|block| block.want(self.id, bytes));
    }

    fn progress(&self, way: Direction, bytes: u64, total: Option<u64>) {
        self.out.add(|block| block.progress(self.id, way, bytes, total));
    }

    fn sent(&self) {
        self.out.add(|block| block.sent(self.id));
    }
}

/// Bytes of a piece behind which more of the kind can be expected.
const BULK: u64 = 128 * 1024;
/// Bytes that are handed over together.
const TOGETHER: u64 = 1024 * 1024;
/// A rest that is cheaper to drain than a new connection is to make (THR-215), and how long that may take.
const SMALL_REST: u64 = 64 * 1024;
const SHORT_TIME: Duration = Duration::from_millis(100);
