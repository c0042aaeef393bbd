//! A response's body in pieces, for whoever asks for them one after the other: nothing is read before it is asked for, and
//! nothing is decoded beyond what was asked for (DEC-11).
//!
//! The connection goes back when the last byte has come off the wire, whether or not anybody has read it (READ-11). An
//! error comes after what was received and decoded before it.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::settings::{Limits, span};
use http::HeaderMap;

use super::clocks::{Elapsed, total_timeout, within};
use super::exchange::Exchange;
use super::frames::{Frames, too_large};
use super::receive::{Begun, gather_rest};
use super::response::Data;
use crate::body::decode::Decoder;
use crate::clock::now;
use crate::pool::{Call, Pool, Warning};

/// A body that is read in pieces. Dropped before its end, it closes the connection.
pub struct Stream {
    frames: Frames,
    /// `None` for a body that is not coded, and once everything is decoded.
    decoder: Option<Decoder>,
    /// Received and not decoded yet.
    input: Bytes,
    limits: Limits,
    /// `None` once the wire's part is over.
    exchange: Option<Exchange>,
    /// What comes after the piece that was given last.
    later: Option<Error>,
    given: u64,
    received: u64,
    /// Decoded since the others on the thread last had their turn.
    unbroken: usize,
    about: About,
}

/// Whose body it is, for errors and figures.
pub(super) struct About {
    pub(super) pool: Rc<Pool>,
    /// `host:port` that was asked.
    pub(super) host: Option<String>,
    pub(super) call: Option<Call>,
    pub(super) attempts: u32,
    pub(super) started: Instant,
    pub(super) headed: Instant,
    pub(super) total: Option<(Instant, Duration)>,
    /// For the figures: waiting for a connection, waiting for the head; until the call counts as one that succeeded or failed.
    pub(super) waits: Option<(Duration, Duration)>,
    /// When the wire's part was over.
    pub(super) ended: Option<Instant>,
}

/// How a body ended.
#[derive(Debug)]
pub struct Ended {
    /// After a chunked body.
    pub trailers: Option<HeaderMap>,
    /// Body bytes on the wire.
    pub wire: u64,
    /// From the head to the body's end.
    pub body: Duration,
    /// The whole call.
    pub total: Duration,
}

impl Stream {
    pub(super) fn new(
        frames: Frames,
        decoder: Option<Decoder>,
        limits: Limits,
        exchange: Exchange,
        about: About,
    ) -> Box<Self> {
        if let Some(source) = &exchange.source {
            source.forget();
        }
        let mut made = Box::new(Self {
            frames,
            decoder,
            input: Bytes::new(),
            limits,
            exchange: Some(exchange),
            later: None,
            given: 0,
            received: 0,
            unbroken: 0,
            about,
        });
        made.settle();
        made.succeed();
        made
    }

    /// The call is in flight until the body has ended.
    pub(super) fn goes_on(&mut self, call: Call) {
        if self.exchange.is_some() {
            self.about.call = Some(call);
        }
    }

    /// The next piece, decoded: at most about `most` bytes of it; `None` at the end. Dropping the future loses what it had
    /// received.
    ///
    /// # Errors
    /// What a preloaded body would meet. The connection is closed then.
    pub async fn next(&mut self, most: usize) -> Result<Option<Data>, Error> {
        let outcome = match self.about.total {
            None => self.advance(most).await,
            // A peer that always has something would never let the clock be looked at.
            Some((at, _)) if at <= now() && !self.is_read() => return Err(self.too_long()),
            Some((at, total)) => match within(Some(at), self.advance(most)).await {
                Ok(outcome) => outcome,
                Err(Elapsed) => Err(total_timeout(Phase::Body, total, None)),
            },
        };
        outcome.map_err(|error| self.fail(error))
    }

    /// A further piece of a body that is not coded, if it is there already or hyper has it once it had a turn: several of
    /// them wake JavaScript once.
    pub async fn another(&mut self) -> Option<Data> {
        if self.decoder.is_some() || self.later.is_some() || self.frames.is_over() {
            return None;
        }
        let piece = self.at_hand().await?;
        self.count(piece.len() as u64);
        self.succeed();
        Some(Data::Shared(piece))
    }

    /// Everything that is left, in one block behind `headroom` bytes that the caller fills in.
    ///
    /// # Errors
    /// As [`Stream::next`]; what was received before goes with the error. [`ferropool_policy::error::Kind::TooLarge`] for
    /// more than one block can have.
    pub async fn rest(&mut self, headroom: usize) -> Result<Data, Error> {
        if let Some(error) = self.later.take() {
            return Err(self.fail(error));
        }
        let Self { frames, limits, given, exchange, about, .. } = self;
        let begun = Begun { decoder: self.decoder.take(), input: std::mem::take(&mut self.input), given: *given };
        let cut_by = exchange.is_some().then_some(&*about.pool);
        let reading = gather_rest(frames, begun, limits, headroom, cut_by);
        let outcome = match about.total {
            None => reading.await,
            Some((at, total)) => match within(Some(at), reading).await {
                Ok(outcome) => outcome,
                Err(Elapsed) => Err(total_timeout(Phase::Body, total, None)),
            },
        };
        let data = outcome.map_err(|error| self.fail(error))?;
        self.count((data.as_slice().len() - headroom) as u64);
        self.about.pool.stats.trailing.add(self.frames.ignored());
        self.settle();
        self.succeed();
        Ok(data)
    }

    /// Ends it because the call's `total` is up.
    pub fn too_long(&mut self) -> Error {
        let total = self.about.total.map_or(Duration::ZERO, |(_, total)| total);
        self.fail(total_timeout(Phase::Body, total, None))
    }

    /// Waits until the pool's close cuts off what is still leased. A body that is not being read would not notice, and
    /// would hold its connection.
    pub async fn until_forced(&self) {
        if self.exchange.is_none() {
            return pending().await;
        }
        self.about.pool.until_forced().await;
    }

    /// Ends it because of that.
    pub fn cut_off(&mut self) -> Error {
        self.fail(Error::new(Kind::PoolClosed, "Pool is closed.").in_phase(Phase::Body))
    }

    /// The time-out between two pieces counts only from the moment that this will say: what is read ahead of any reader is
    /// not waited for by anybody.
    pub fn await_from(&mut self, since: Rc<Cell<Option<Instant>>>) {
        self.frames.await_from(since);
    }

    /// Reads and drops the rest, undecoded, so that the connection can be used again: up to `most` bytes within `most_time`.
    /// True if the end was reached. Whatever goes wrong costs the connection and nothing else (RESP-23).
    pub async fn drain(&mut self, most: u64, most_time: Option<Duration>) -> bool {
        self.decoder = None;
        self.input = Bytes::new();
        let until = most_time.and_then(|span| now().checked_add(span));
        let until = [until, self.about.total.map(|(at, _)| at)].into_iter().flatten().min();
        let allowed = self.frames.wire().saturating_add(most);
        let reading = async {
            // What cannot end in time is not begun.
            if !self.frames.is_over() && self.frames.length().is_some_and(|length| length > allowed) {
                return false;
            }
            loop {
                match self.frames.next().await {
                    Ok(None) => return true,
                    Ok(Some(_)) if self.frames.wire() <= allowed => {}
                    Ok(Some(_)) | Err(_) => return false,
                }
            }
        };
        let drained = within(until, reading).await == Ok(true);
        if drained {
            self.settle();
        } else {
            self.let_go();
        }
        drained
    }

    /// Closes the connection, if it is still held.
    pub fn let_go(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.abandon();
        }
        self.about.call = None;
    }

    /// Whether all of it has been given, so that only its end is left.
    pub fn is_read(&self) -> bool {
        self.frames.is_over() && self.decoder.is_none() && self.later.is_none()
    }

    /// Body bytes on the wire so far.
    pub fn wire(&self) -> u64 {
        self.frames.wire()
    }

    /// When the call's `total` is up.
    pub fn deadline(&self) -> Option<Instant> {
        self.about.total.map(|(at, _)| at)
    }

    /// How long its reading may take to begin.
    pub fn unread_timeout(&self) -> Option<Duration> {
        span(self.about.pool.settings.unread_timeout)
    }

    /// Tells a person, once a pool, that a body was let go with something of it left.
    pub fn warn_unread(&self) {
        self.about.pool.warn(Warning::Unread);
    }

    /// What is known at the end, which is a good one: whoever let go of the rest wanted no more of it.
    pub fn ended(&mut self) -> Ended {
        self.note_success();
        let ended = self.about.ended.unwrap_or_else(now);
        Ended {
            trailers: self.frames.take_trailers(),
            wire: self.frames.wire(),
            body: ended.saturating_duration_since(self.about.headed),
            total: ended.saturating_duration_since(self.about.started),
        }
    }

    /// Ends it with this error, which gets to know whose it is.
    pub fn fail(&mut self, error: Error) -> Error {
        let mut error = match self.exchange.take() {
            Some(exchange) => exchange.fail(error),
            None => error,
        };
        let About { pool, host, attempts, started, .. } = &self.about;
        let fields = error.fields_mut();
        fields.phase.get_or_insert(Phase::Body);
        fields.host.clone_from(host);
        fields.attempts = *attempts;
        fields.elapsed = now().saturating_duration_since(*started);
        fields.sent = true;
        pool.group.stats.failed(&error);
        if pool.is_managed() {
            pool.stats.failed(&error);
        }
        self.about.call = None;
        self.about.waits = None;
        error
    }

    async fn advance(&mut self, most: usize) -> Result<Option<Data>, Error> {
        if let Some(error) = self.later.take() {
            return Err(error);
        }
        let piece =
            if self.decoder.is_some() { self.decoded(most.clamp(1, PIECE)).await? } else { self.plain(most).await? };
        if let Some(piece) = &piece {
            self.count(piece.as_slice().len() as u64);
        }
        self.succeed();
        Ok(piece)
    }

    async fn plain(&mut self, most: usize) -> Result<Option<Data>, Error> {
        let Some(first) = self.fetch().await? else { return Ok(None) };
        if first.len() >= SMALL {
            return Ok(Some(Data::Shared(first)));
        }
        let mut all = Data::Shared(first);
        while all.as_slice().len() < SMALL.min(most) {
            let Some(piece) = self.at_hand().await else { break };
            let mut more = match all {
                Data::Owned(more) => more,
                other @ Data::Shared(_) => {
                    let mut more = Vec::with_capacity((other.as_slice().len() + piece.len()).max(1024));
                    more.extend_from_slice(other.as_slice());
                    more
                }
            };
            more.extend_from_slice(&piece);
            all = Data::Owned(more);
        }
        Ok(Some(all))
    }

    /// The next piece from the wire, within the limit where nothing is decoded.
    async fn fetch(&mut self) -> Result<Option<Bytes>, Error> {
        let piece = self.frames.next().await?;
        self.settle();
        match &piece {
            Some(piece) if self.passes(piece) => Err(self.too_large()),
            _ => Ok(piece),
        }
    }

    /// Whether this piece is more than may be given. A decoder keeps its own account.
    fn passes(&mut self, piece: &Bytes) -> bool {
        self.received += piece.len() as u64;
        self.decoder.is_none() && self.limits.decoded.is_some_and(|allowed| self.received > allowed)
    }

    fn too_large(&self) -> Error {
        too_large("decoded", self.limits.decoded.unwrap_or_default())
    }

    async fn decoded(&mut self, most: usize) -> Result<Option<Data>, Error> {
        if self.unbroken >= A_TURN {
            self.unbroken = 0;
            tokio::task::yield_now().await;
        }
        let mut out = Vec::new();
        while let Some(decoder) = &mut self.decoder {
            if out.capacity() == out.len() {
                let guess = self.input.len().saturating_mul(GUESS).clamp(1024, STEP).max(out.len());
                out.reserve_exact(guess.min(most - out.len()));
            }
            let room = most - out.len();
            match decoder.step(&self.input, &mut out, room) {
                Ok(step) => self.input.advance(step.consumed),
                Err(error) => return self.after(out, error),
            }
            if out.len() >= most {
                break;
            }
            if !self.input.is_empty() || decoder.is_pending() {
                // Much was decoded that gave little.
                tokio::task::yield_now().await;
                continue;
            }
            if self.frames.is_over() {
                let complete = self.frames.is_complete() && self.frames.wire() > 0;
                if complete && let Err(error) = decoder.finish(&mut out) {
                    return self.after(out, error);
                }
                self.about.pool.stats.trailing.add(decoder.trailing());
                self.decoder = None;
                break;
            }
            if out.is_empty() {
                self.input = self.fetch().await?.unwrap_or_default();
            } else {
                match self.at_hand().await {
                    Some(piece) => self.input = piece,
                    None if self.frames.is_over() && self.later.is_none() => {}
                    None => break,
                }
            }
        }
        self.unbroken += out.len();
        if out.is_empty() {
            return Ok(None);
        }
        if out.len() < out.capacity() / 2 {
            out.shrink_to_fit();
        }
        Ok(Some(Data::Owned(out)))
    }

    /// What was decoded comes first, then the error.
    fn after(&mut self, out: Vec<u8>, error: Error) -> Result<Option<Data>, Error> {
        let error = error.in_phase(Phase::Body);
        if out.is_empty() {
            return Err(error);
        }
        self.later = Some(error);
        Ok(Some(Data::Owned(out)))
    }

    /// A piece that is there already, or that hyper has once it had a turn: pieces of one byte are worth putting together
    /// (THR-208). An error waits until what came before it has been given.
    async fn at_hand(&mut self) -> Option<Bytes> {
        let mut had_a_turn = false;
        let polled = poll_fn(|cx| {
            let polled = self.frames.poll_next(cx);
            if polled.is_pending() && !had_a_turn {
                // Behind hyper's task, which our own poll has woken.
                had_a_turn = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(polled)
        })
        .await;
        match polled {
            Poll::Pending => None,
            Poll::Ready(Ok(piece)) => {
                self.settle();
                if piece.as_ref().is_some_and(|piece| self.passes(piece)) {
                    self.later = Some(self.too_large());
                    return None;
                }
                piece
            }
            Poll::Ready(Err(error)) => {
                self.later = Some(error);
                None
            }
        }
    }

    fn count(&mut self, bytes: u64) {
        self.given += bytes;
        self.about.pool.stats.decoded.add(bytes);
    }

    /// Gives the connection back once the wire's part is over.
    fn settle(&mut self) {
        if !self.frames.is_over() {
            return;
        }
        if let Some(exchange) = self.exchange.take() {
            exchange.end(self.frames.is_complete());
            self.about.ended = Some(now());
            self.about.call = None;
        }
    }

    /// The call has succeeded once nothing is left of its body that could fail: what is off the wire may still not decode, or
    /// never be read.
    fn succeed(&mut self) {
        if self.is_read() {
            self.note_success();
        }
    }

    /// Once, where the wire's part ended well.
    fn note_success(&mut self) {
        if let Some(ended) = self.about.ended
            && let Some((pool, headers)) = self.about.waits.take()
        {
            let total = ended.saturating_duration_since(self.about.started);
            self.about.pool.group.stats.succeeded(pool, headers, total);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("frames", &self.frames).finish_non_exhaustive()
    }
}

/// Bytes of a decoded piece at most.
const PIECE: usize = 256 * 1024;
/// Bytes that are decoded before everything else on the thread has its turn.
const A_TURN: usize = 1024 * 1024;
/// Bytes of a piece that is not worth waiting for more.
const SMALL: usize = 16 * 1024;
/// Bytes that a decoded piece grows by at first.
const STEP: usize = 64 * 1024;
/// What text compresses to.
const GUESS: usize = 4;
