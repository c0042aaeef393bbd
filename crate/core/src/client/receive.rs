//! A preloaded body: pieces to one block of bytes, decoded and measured on the way.
//!
//! Memory grows with what has arrived, never with what was announced (THR-1015), and a body of one piece is not copied.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::settings::Limits;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body::{Body, Frame};
use hyper::body::Incoming;

use super::clocks::{read_timeout, within};
use super::failure::{Broken, of_body};
use super::judge::{Judgement, filter_trailers};
use super::response::Data;
use crate::body::decode::Decoder;
use crate::clock::now;
use crate::conn::tap::Tap;

/// A body that was read.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) data: Data,
    pub(super) trailers: Option<HeaderMap>,
    /// Body bytes on the wire.
    pub(super) wire: u64,
    /// It ended by its own framing.
    pub(super) complete: bool,
}

/// Reads a body to its end.
#[expect(clippy::too_many_arguments, reason = "one caller; a struct would name the same eight things again")]
pub(super) async fn gather(
    mut body: Incoming,
    headers: &HeaderMap,
    judgement: &Judgement,
    limits: &Limits,
    decode: bool,
    enforce_length: bool,
    read: Option<Duration>,
    tap: &Tap,
) -> Result<Gathered, Error> {
    let mut sink = Sink::new(headers, judgement, limits, decode)?;
    let mut trailers = None;
    let mut complete = true;
    while !body.is_end_stream() {
        let frame = match read {
            None => next(&mut body).await,
            Some(read) => within(now().checked_add(read), next(&mut body))
                .await
                .map_err(|_| partial(read_timeout(Phase::Body, read), &mut sink, None))?,
        };
        match frame {
            None => break,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) => sink.take(piece, limits)?,
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
            Some(Err(error)) => match of_body(&error, tap) {
                Broken::Short if !enforce_length && !judgement.chunked => {
                    complete = false;
                    break;
                }
                Broken::Short => return Err(short(judgement, &mut sink)),
                Broken::Chunk(said) => {
                    let error = Error::new(Kind::Chunk, format!("Connection broken: {said}")).in_phase(Phase::Body);
                    return Err(partial(error, &mut sink, None));
                }
                Broken::Other(error) => return Err(partial(error, &mut sink, None)),
            },
        }
    }
    if let Some(trailers) = &mut trailers {
        // hyper's own bound is that of the head, which may be larger.
        if trailers.len() > MOST_TRAILERS {
            let message = format!("Connection broken: more than {MOST_TRAILERS} trailer lines");
            return Err(partial(Error::new(Kind::Chunk, message).in_phase(Phase::Body), &mut sink, None));
        }
        filter_trailers(trailers);
    }
    let wire = sink.wire;
    let data = sink.finish(complete)?;
    Ok(Gathered { data, trailers, wire, complete })
}

fn next(body: &mut Incoming) -> impl Future<Output = Option<Result<Frame<Bytes>, hyper::Error>>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))
}

/// RESP-09: "N bytes read, M more expected".
fn short(judgement: &Judgement, sink: &mut Sink) -> Error {
    let read = sink.wire;
    let expected = judgement.length.map(|length| length.saturating_sub(read));
    let message = match expected {
        Some(more) => format!("Connection broken: IncompleteRead({read} bytes read, {more} more expected)"),
        None => format!("Connection broken: the response ended prematurely after {read} bytes"),
    };
    partial(Error::new(Kind::IncompleteRead, message).in_phase(Phase::Body), sink, expected)
}

fn partial(mut error: Error, sink: &mut Sink, expected: Option<u64>) -> Error {
    let extra = &mut error.fields_mut().extra;
    extra.partial = Some(sink.so_far());
    extra.expected = expected;
    error
}

/// Where pieces go.
struct Sink {
    /// Transfer codings, then content codings.
    decoder: Option<Decoder>,
    /// Decoded parts of [`PART`] bytes, full; what follows them is in `data`.
    parts: Vec<Vec<u8>>,
    data: Data,
    wire: u64,
    /// For each further growth.
    announced: Option<u64>,
}

impl Sink {
    fn new(headers: &HeaderMap, judgement: &Judgement, limits: &Limits, decode: bool) -> Result<Self, Error> {
        // A transfer coding belongs to the connection, so it is undone whatever `decodeContent` says.
        let transfer = Decoder::of_transfer(judgement.transfer_codings.iter().map(Vec::as_slice), limits)?;
        let content = if decode && headers.contains_key(CONTENT_ENCODING) {
            let values = headers.get_all(CONTENT_ENCODING).iter().map(http::HeaderValue::as_bytes);
            Decoder::new(values, limits)?
        } else {
            None
        };
        let decoder = match (transfer, content) {
            (Some(outer), Some(inner)) => Some(outer.then(inner)),
            (outer, inner) => outer.or(inner),
        };
        let data = Data::Shared(Bytes::new());
        Ok(Self { decoder, parts: Vec::new(), data, wire: 0, announced: judgement.length })
    }

    fn take(&mut self, piece: Bytes, limits: &Limits) -> Result<(), Error> {
        self.wire += piece.len() as u64;
        if let Some(allowed) = limits.wire
            && self.wire > allowed
        {
            return Err(too_large("wire", allowed));
        }
        if self.decoder.is_some() {
            return self.decode(&piece);
        }
        if let Some(allowed) = limits.decoded
            && self.wire > allowed
        {
            return Err(too_large("decoded", allowed));
        }
        match &mut self.data {
            Data::Shared(none) if none.is_empty() => self.data = Data::Shared(piece),
            Data::Shared(first) => {
                let first = std::mem::take(first);
                let mut all = Vec::with_capacity(first_capacity(first.len() + piece.len(), self.announced));
                all.extend_from_slice(&first);
                all.extend_from_slice(&piece);
                self.data = Data::Owned(all);
            }
            Data::Owned(all) => all.extend_from_slice(&piece),
        }
        Ok(())
    }

    /// By parts that never move: a body that grew in one block would leave as much again behind, with an allocator that
    /// keeps for a while what was freed, and a bomb would cost twice its limit (THR-213).
    fn decode(&mut self, piece: &[u8]) -> Result<(), Error> {
        let mut out = self.owned();
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let mut consumed = 0;
        let done = loop {
            if out.len() == PART {
                self.parts.push(std::mem::replace(&mut out, Vec::with_capacity(PART)));
            } else if out.len() == out.capacity() {
                out.reserve_exact(room(out.len(), piece.len() - consumed));
            }
            let most = PART - out.len();
            match decoder.step(&piece[consumed..], &mut out, most) {
                Ok(step) => consumed += step.consumed,
                Err(error) => break Err(in_body(error)),
            }
            if consumed == piece.len() && out.len() < PART {
                break Ok(());
            }
        };
        self.data = Data::Owned(out);
        done
    }

    fn finish(mut self, complete: bool) -> Result<Data, Error> {
        if self.decoder.is_some() && complete && self.wire > 0 {
            self.decode(&[])?;
            let mut out = self.owned();
            if let Some(decoder) = &mut self.decoder {
                decoder.finish(&mut out).map_err(in_body)?;
            }
            self.data = Data::Owned(out);
        }
        if !self.parts.is_empty() {
            self.data = Data::Owned(self.so_far());
        }
        Ok(self.data)
    }

    fn owned(&mut self) -> Vec<u8> {
        match std::mem::replace(&mut self.data, Data::Shared(Bytes::new())) {
            Data::Owned(bytes) => bytes,
            Data::Shared(bytes) => bytes.to_vec(),
        }
    }

    /// Everything in one block.
    fn so_far(&mut self) -> Vec<u8> {
        let last = self.owned();
        if self.parts.is_empty() {
            return last;
        }
        let mut all = Vec::with_capacity(self.parts.len() * PART + last.len());
        for part in self.parts.drain(..) {
            all.extend_from_slice(&part);
        }
        all.extend_from_slice(&last);
        all
    }
}

/// How much a full part of this length grows by: at first by what text compresses to, then twofold.
fn room(there: usize, input: usize) -> usize {
    const GUESS: usize = 8;
    let guess = input.saturating_mul(GUESS).clamp(1024, 1024 * 1024);
    guess.max(there).min(PART - there)
}

/// Room for what is there and for as much again as was announced, within bounds: a lying server costs a megabyte of
/// address space at most, and an honest one no copying.
fn first_capacity(there: usize, announced: Option<u64>) -> usize {
    const MOST_ON_TRUST: u64 = 4 * 1024 * 1024;
    let announced = announced.unwrap_or(0).min(MOST_ON_TRUST);
    (there * 2).max(announced as usize)
}

fn in_body(error: Error) -> Error {
    error.in_phase(Phase::Body)
}

fn too_large(limit: &'static str, allowed: u64) -> Error {
    Error::new(Kind::TooLarge, format!("the response passed the limit '{limit}' of {allowed} bytes"))
        .with_limit(limit, allowed)
        .in_phase(Phase::Body)
}

/// Bytes of a part of a decoded body.
const PART: usize = 4 * 1024 * 1024;

/// Lines after a chunked body; their bytes are bounded by hyper, at 16 KiB.
const MOST_TRAILERS: usize = 100;
