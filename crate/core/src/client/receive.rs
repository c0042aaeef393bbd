//! A preloaded body: pieces to one block of bytes, decoded and measured on the way.
//!
//! Memory grows with what has arrived, never with what was announced (THR-1015), and a body of one piece is not copied. What
//! is decoded may be a thousand times what arrived: with each MiB of it everything else on the thread has its turn.

use std::pin::Pin;

use bytes::{Buf, Bytes};
use ferropool_policy::error::{Error, Phase};
use ferropool_policy::settings::Limits;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::frames::{Frames, too_large};
use super::judge::Judgement;
use super::response::Data;
use crate::body::decode::Decoder;
use crate::pool::{Pool, closed};

/// A body of which something has been given already.
#[derive(Default)]
pub(super) struct Begun {
    pub(super) decoder: Option<Decoder>,
    /// Received and not decoded yet.
    pub(super) input: Bytes,
    /// Decoded bytes given before.
    pub(super) given: u64,
}

/// Reads a body to its end. What was received before it broke off goes with the error (RESP-09). `pool` is the one whose
/// close may cut it off.
pub(super) fn gather(
    frames: &mut Frames,
    decoder: Option<Decoder>,
    limits: &Limits,
    pool: Option<&Pool>,
) -> impl Future<Output = Result<Data, Error>> {
    gather_rest(frames, Begun { decoder, ..Begun::default() }, limits, 0, pool)
}

/// Reads the rest of a body behind `headroom` bytes, which are left for the caller to fill in.
pub(super) fn gather_rest(
    frames: &mut Frames,
    begun: Begun,
    limits: &Limits,
    headroom: usize,
    pool: Option<&Pool>,
) -> impl Future<Output = Result<Data, Error>> {
    let mut sink = Sink::begin(frames, begun, limits, headroom);
    async move {
        // Lent from where it lies: moved into a place of its own, it would be twice in the state of every call.
        let sink = match &mut sink {
            Ok(sink) => sink,
            Err(error) => return Err(error.clone()),
        };
        loop {
            while sink.is_behind() {
                let_others(pool).await?;
                sink.decode()?;
            }
            match frames.next().await {
                Ok(Some(piece)) => sink.take(piece)?,
                Ok(None) => break,
                Err(mut error) => {
                    if sink.is_in_parts() {
                        sink.join(pool).await?;
                    }
                    error.fields_mut().extra.partial = Some(sink.owned().split_off(headroom));
                    return Err(error);
                }
            }
        }
        if frames.is_complete() && frames.wire() > 0 {
            frames.ignore(sink.finish()?);
        }
        if sink.is_in_parts() {
            sink.join(pool).await?;
        }
        Ok(std::mem::replace(&mut sink.data, Data::Shared(Bytes::new())))
    }
}

/// Lets everything else on the thread have its turn: requests, clocks, and whoever cuts this short. A body that is off the
/// wire does not notice that its connection has been cut off.
async fn let_others(pool: Option<&Pool>) -> Result<(), Error> {
    tokio::task::yield_now().await;
    if pool.is_some_and(Pool::was_forced) { Err(closed()) } else { Ok(()) }
}

/// What undoes a body's codings: those of the transfer, which belong to the connection and are undone whatever the caller
/// says, and then the content's.
pub(super) fn decoder(
    headers: &HeaderMap,
    judgement: &Judgement,
    limits: &Limits,
    decode: bool,
) -> Result<Option<Decoder>, Error> {
    let transfer = Decoder::of_transfer(judgement.transfer_codings.iter().map(Vec::as_slice), limits)?;
    let content = if decode && headers.contains_key(CONTENT_ENCODING) {
        let values = headers.get_all(CONTENT_ENCODING).iter().map(http::HeaderValue::as_bytes);
        Decoder::new(values, limits)?
    } else {
        None
    };
    Ok(match (transfer, content) {
        (Some(outer), Some(inner)) => Some(outer.then(inner)),
        (outer, inner) => outer.or(inner),
    })
}

/// Where pieces go.
struct Sink {
    /// Transfer codings, then content codings.
    decoder: Option<Decoder>,
    /// Received and not decoded yet.
    input: Bytes,
    /// Decoded parts of [`PART`] bytes, full; what follows them is in `data`.
    parts: Vec<Vec<u8>>,
    data: Data,
    /// Bytes before the body's own.
    headroom: usize,
    /// Bytes that the body may have, and the limit to name when it has more.
    most: u64,
    named: u64,
    /// Bytes that are still to come, by what was announced.
    announced: Option<u64>,
}

impl Sink {
    /// For what is still to come of a body.
    fn begin(frames: &Frames, begun: Begun, limits: &Limits, headroom: usize) -> Result<Self, Error> {
        let Begun { decoder, input, given } = begun;
        let most =
            limits.decoded.map_or(u64::MAX, |most| most.saturating_sub(given)).min(MOST_IN_A_BLOCK - headroom as u64);
        let named = limits.decoded.unwrap_or(MOST_IN_A_BLOCK);
        // What is announced as too large need not be received first. A coded body says nothing of the sort.
        let announced = frames.length().map(|length| length.saturating_sub(frames.wire()));
        if decoder.is_none() && !frames.is_over() && announced.is_some_and(|left| left > most) {
            return Err(too_large("decoded", named));
        }
        let mut sink = Self::new(decoder, announced, vec![0; headroom], most, named);
        if !input.is_empty() {
            sink.take(input)?;
        }
        Ok(sink)
    }

    fn new(decoder: Option<Decoder>, announced: Option<u64>, before: Vec<u8>, most: u64, named: u64) -> Self {
        let headroom = before.len();
        let (mut parts, mut data) = (Vec::new(), Data::Shared(Bytes::new()));
        match decoder {
            _ if before.is_empty() => {}
            // A part of its own: the others are filled up to their length.
            Some(_) => parts.push(before),
            None => data = Data::Owned(before),
        }
        Self { decoder, input: Bytes::new(), parts, data, headroom, most, named, announced }
    }

    fn take(&mut self, piece: Bytes) -> Result<(), Error> {
        if self.decoder.is_some() {
            self.input = piece;
            return self.decode();
        }
        if (self.data.as_slice().len() - self.headroom + piece.len()) as u64 > self.most {
            return Err(too_large("decoded", self.named));
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
            Data::Owned(all) => {
                let needed = all.len() + piece.len();
                if needed > all.capacity() {
                    let announced = self.announced.map(|announced| announced.saturating_add(self.headroom as u64));
                    all.reserve_exact(next_capacity(all.len(), needed, announced) - all.len());
                }
                all.extend_from_slice(&piece);
            }
        }
        Ok(())
    }

    /// Whether what has been received has more to give.
    fn is_behind(&self) -> bool {
        self.decoder.as_ref().is_some_and(|decoder| !self.input.is_empty() || decoder.is_pending())
    }

    /// Decodes, up to the end of a part, what has been received. By parts that never move: a body that grew in one block
    /// would leave as much again behind, with an allocator that keeps for a while what was freed, and a bomb would cost twice
    /// its limit (THR-213).
    fn decode(&mut self) -> Result<(), Error> {
        let mut out = self.owned();
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        if out.len() == PART {
            self.parts.push(std::mem::replace(&mut out, Vec::with_capacity(PART)));
            // The decoder has the caller's limit; without one there is still the block's.
            let parts = self.parts.iter().map(Vec::len).sum::<usize>();
            if (parts - self.headroom) as u64 > self.most {
                return Err(too_large("decoded", self.named));
            }
        } else if out.len() == out.capacity() {
            out.reserve_exact(room(out.len(), self.input.len()));
        }
        let most = PART - out.len();
        let done = decoder.step(&self.input, &mut out, most).map_err(in_body);
        self.data = Data::Owned(out);
        self.input.advance(done?.consumed);
        Ok(())
    }

    /// The wire has ended, and nothing is left to be decoded. How many bytes came behind the coded ones.
    fn finish(&mut self) -> Result<u64, Error> {
        if self.decoder.is_none() {
            return Ok(0);
        }
        let mut out = self.owned();
        let mut trailing = 0;
        if let Some(decoder) = &mut self.decoder {
            decoder.finish(&mut out).map_err(in_body)?;
            trailing = decoder.trailing();
        }
        self.data = Data::Owned(out);
        Ok(trailing)
    }

    fn is_in_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Makes one block of everything. That is work too. Boxed: few bodies are that large, and its state would make every
    /// call's task larger.
    fn join<'s>(&'s mut self, pool: Option<&'s Pool>) -> Pin<Box<impl Future<Output = Result<(), Error>>>> {
        Box::pin(async move {
            let last = self.owned();
            let length = self.parts.iter().map(Vec::len).sum::<usize>() + last.len();
            let mut all = Vec::with_capacity(length);
            for part in std::mem::take(&mut self.parts) {
                all.extend_from_slice(&part);
                drop(part);
                let_others(pool).await?;
            }
            all.extend_from_slice(&last);
            self.data = Data::Owned(all);
            Ok(())
        })
    }

    fn owned(&mut self) -> Vec<u8> {
        match std::mem::replace(&mut self.data, Data::Shared(Bytes::new())) {
            Data::Owned(bytes) => bytes,
            Data::Shared(bytes) => bytes.to_vec(),
        }
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

/// The block's next size: what was announced, if a fair part of it has come, so that a large body is not copied from block to
/// block while both are held (READ-13); else twice as much. What is reserved and not filled is address space and no memory.
fn next_capacity(there: usize, needed: usize, announced: Option<u64>) -> usize {
    const A_FAIR_PART: usize = 16;
    let announced = announced.map(|announced| usize::try_from(announced).unwrap_or(usize::MAX));
    match announced {
        Some(announced) => announced.min(there.saturating_mul(A_FAIR_PART)).max(needed),
        None => needed.max(there.saturating_mul(2)),
    }
}

fn in_body(error: Error) -> Error {
    error.in_phase(Phase::Body)
}

/// Bytes of a part of a decoded body.
const PART: usize = 1024 * 1024;
/// 4 GiB less one: what a record can tell, and every supported Node.js can hold (READ-12).
const MOST_IN_A_BLOCK: u64 = u32::MAX as u64;
