//! A response's body as it comes off the wire: the clock between two pieces, the account of bytes, and what may end it.
//! Whether the pieces are gathered or handed on is nobody's business here.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferropool_policy::error::{Cause, Error, Kind, Phase};
use h2::RecvStream;
use http::HeaderMap;
use http_body::{Body, Frame};
use hyper::body::Incoming;

use super::clocks::{read_timeout, within};
use super::failure::{Broken, of_body, of_stream_body};
use super::judge::{Judgement, filter_trailers};
use super::line::{Direction, Pace};
use super::upload::Source;
use super::way::Way;
use crate::clock::now;
use crate::conn::errors::h2_says;

/// The pieces of one body.
#[derive(Debug)]
pub(super) struct Frames {
    body: Wire,
    read: Option<Duration>,
    /// When somebody began to wait for what comes, where that is not from the start.
    awaited: Option<Rc<Cell<Option<Instant>>>>,
    enforce_length: bool,
    chunked: bool,
    length: Option<u64>,
    most_wire: Option<u64>,
    wire: u64,
    ignored: u64,
    trailers: Option<HeaderMap>,
    progress: Option<Pace>,
    end: End,
}

/// A body as its protocol's library gives it.
#[derive(Debug)]
pub(super) enum Wire {
    /// hyper's.
    Http1(Incoming),
    /// h2's; the flag says that only its trailers are left.
    Http2(RecvStream, bool),
}

/// Why it broke off, in the library's words.
#[derive(Debug)]
pub(super) enum Breakage {
    Http1(hyper::Error),
    Http2(h2::Error),
}

impl Wire {
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body, _) => body.is_end_stream(),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Breakage>>> {
        let (body, trailing) = match self {
            Self::Http1(body) => {
                return Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Breakage::Http1)));
            }
            Self::Http2(body, trailing) => (body, trailing),
        };
        if !*trailing {
            match ready!(body.poll_data(cx)) {
                Some(Ok(piece)) => {
                    // Taken: the peer may send as much again.
                    drop(body.flow_control().release_capacity(piece.len()));
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(Breakage::Http2(error)))),
                None => *trailing = true,
            }
        }
        match ready!(body.poll_trailers(cx)) {
            Ok(Some(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Ok(None) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(Breakage::Http2(error)))),
        }
    }
}

/// How a body ended.
#[derive(Debug)]
enum End {
    /// It has not. Only so long is anything of the connection held: whoever reads late what has come would otherwise keep
    /// the socket open.
    Open {
        way: Way,
        /// What the request still sends, whose failure ends the response too.
        source: Option<Rc<Source>>,
    },
    /// By its own framing.
    Complete,
    /// Before its time, which the caller does not mind.
    Short,
}

/// What a body is read with.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) source: Option<Rc<Source>>,
    pub(super) read: Option<Duration>,
    pub(super) enforce_length: bool,
    /// No body, whatever the head says (RFC 9112 §6.3).
    pub(super) bodiless: bool,
    pub(super) most_wire: Option<u64>,
    pub(super) progress: Option<Pace>,
}

impl Frames {
    pub(super) fn new(body: Wire, way: Way, judgement: &Judgement, terms: Terms) -> Self {
        let Terms { source, read, enforce_length, bodiless, most_wire, progress } = terms;
        // On a stream nothing has to be read past: what comes where nothing may come goes with it.
        let none = bodiless && matches!(body, Wire::Http2(..));
        let (chunked, length) = (judgement.chunked, judgement.length);
        if chunked {
            way.piece_taken();
        }
        let end = if body.is_end_stream() || none { End::Complete } else { End::Open { way, source } };
        Self {
            body,
            read,
            awaited: None,
            enforce_length,
            chunked,
            length,
            most_wire,
            wire: 0,
            ignored: 0,
            trailers: None,
            progress,
            end,
        }
    }

    /// The next piece; `None` at the end. A time-out is over this one step.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(read) = self.read else {
            return poll_fn(|cx| self.poll_next(cx)).await;
        };
        let mut from = now();
        loop {
            if let Ok(outcome) = within(from.checked_add(read), poll_fn(|cx| self.poll_next(cx))).await {
                return outcome;
            }
            // Silence that nobody waits through is nobody's time-out.
            match self.awaited.as_ref().map(|since| since.get()) {
                Some(None) => from = now(),
                Some(Some(since)) if since > from => from = since,
                Some(Some(_)) | None => return Err(read_timeout(Phase::Body, read)),
            }
        }
    }

    /// Silence counts only from the moment that this will say.
    pub(super) fn await_from(&mut self, since: Rc<Cell<Option<Instant>>>) {
        self.awaited = Some(since);
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            if self.is_over() {
                return Poll::Ready(Ok(None));
            }
            let frame = match self.body.poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame,
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                None => {}
                Some(Ok(Ok(piece))) => {
                    if self.body.is_end_stream() {
                        self.end = End::Complete;
                    }
                    return Poll::Ready(self.count(piece).map(Some));
                }
                Some(Ok(Err(frame))) => {
                    self.trailers = frame.into_trailers().ok();
                    if let Err(error) = self.judge_trailers() {
                        return Poll::Ready(Err(error));
                    }
                    if !self.body.is_end_stream() {
                        continue;
                    }
                }
                // The connection went away after the last byte, and took the stream's own end with it: nothing is missing.
                Some(Err(Breakage::Http2(error))) if error.is_io() && self.length == Some(self.wire) => {}
                Some(Err(error)) => {
                    let error = self.broken(&error);
                    if let Some(error) = error {
                        return Poll::Ready(Err(error));
                    }
                    self.end = End::Short;
                    self.report(true);
                    continue;
                }
            }
            self.end = End::Complete;
            self.report(true);
        }
    }

    /// Bytes of the body on the wire so far.
    pub(super) fn wire(&self) -> u64 {
        self.wire
    }

    /// The announced length of the body on the wire.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// It ended by its own framing.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.end, End::Complete)
    }

    /// It ended, in whatever way.
    pub(super) fn is_over(&self) -> bool {
        !matches!(self.end, End::Open { .. })
    }

    /// So many of its bytes came behind the end of what is coded in it.
    pub(super) fn ignore(&mut self, bytes: u64) {
        self.ignored += bytes;
    }

    pub(super) fn ignored(&self) -> u64 {
        self.ignored
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Why the body broke off; `None` if it may.
    fn broken(&self, error: &Breakage) -> Option<Error> {
        let End::Open { way, source } = &self.end else { return None };
        if let Some(failure) = source.as_ref().and_then(|source| source.failure()) {
            return Some(failure);
        }
        let broken = match (error, way) {
            (Breakage::Http1(error), way) => of_body(error, way.tap()),
            (Breakage::Http2(error), Way::Stream(way)) => of_stream_body(error, way),
            (Breakage::Http2(error), Way::Own(_)) => Broken::Short("", h2_says(error)),
        };
        Some(match broken {
            // A stream that was reset, or cut off below TLS, is not merely shorter than announced.
            Broken::Short("", _) if !self.enforce_length && !self.chunked => return None,
            Broken::Short(reason, said) => self.short(reason, said),
            Broken::Chunk(said) => Error::new(Kind::Chunk, format!("Connection broken: {said}")).in_phase(Phase::Body),
            Broken::Other(error) => error,
        })
    }

    /// RESP-09: "N bytes read, M more expected".
    fn short(&self, reason: &'static str, said: String) -> Error {
        let read = self.wire;
        let expected = self.length.map(|length| length.saturating_sub(read));
        let message = match expected {
            Some(more) => format!("Connection broken: IncompleteRead({read} bytes read, {more} more expected)"),
            None => format!("Connection broken: the response ended prematurely after {read} bytes"),
        };
        let mut error = Error::new(Kind::IncompleteRead, message).in_phase(Phase::Body);
        if !reason.is_empty() {
            let message = &mut error.fields_mut().message;
            *message = format!("{message}: {said}");
            error = error.with_reason(reason).caused_by(Cause::said(said));
        }
        error.fields_mut().extra.expected = expected;
        error.fields_mut().extra.received = Some(read);
        error
    }

    fn count(&mut self, piece: Bytes) -> Result<Bytes, Error> {
        self.wire += piece.len() as u64;
        if self.chunked
            && let End::Open { way, .. } = &self.end
        {
            way.piece_taken();
        }
        if let Some(allowed) = self.most_wire
            && self.wire > allowed
        {
            return Err(too_large("wire", allowed));
        }
        self.report(self.is_over());
        Ok(piece)
    }

    /// hyper's own bound is that of the head, which may be larger.
    fn judge_trailers(&mut self) -> Result<(), Error> {
        let Some(trailers) = &mut self.trailers else { return Ok(()) };
        if trailers.len() > MOST_TRAILERS {
            let message = format!("Connection broken: more than {MOST_TRAILERS} trailer lines");
            return Err(Error::new(Kind::Chunk, message).in_phase(Phase::Body));
        }
        filter_trailers(trailers);
        Ok(())
    }

    fn report(&mut self, last: bool) {
        if let Some(pace) = &mut self.progress {
            pace.report(Direction::Down, self.wire, self.length, last, now());
        }
    }
}

pub(super) fn too_large(limit: &'static str, allowed: u64) -> Error {
    Error::new(Kind::TooLarge, format!("the response passed the limit '{limit}' of {allowed} bytes"))
        .with_limit(limit, allowed)
        .in_phase(Phase::Body)
}

/// Lines after a chunked body; their bytes are bounded by hyper, at 16 KiB.
const MOST_TRAILERS: usize = 100;
