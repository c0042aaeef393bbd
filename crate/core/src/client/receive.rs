//! A preloaded body: pieces to one block of bytes, decoded and measured on the way.
//!
//! Memory grows with what has arrived, never with what was announced (THR-1015), and a body of one piece is not copied.

use bytes::Bytes;
use ferropool_policy::error::{Error, Phase};
use ferropool_policy::settings::Limits;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::frames::{Frames, too_large};
use super::judge::Judgement;
use super::response::Data;
use crate::body::decode::Decoder;

/// A body of which something has been given already.
#[derive(Default)]
pub(super) struct Begun {
    pub(super) decoder: Option<Decoder>,
    /// Received and not decoded yet.
    pub(super) input: Bytes,
    /// Decoded bytes given before.
    pub(super) given: u64,
}

/// Reads a body to its end. What was received before it broke off goes with the error (RESP-09).
pub(super) async fn gather(frames: &mut Frames, decoder: Option<Decoder>, limits: &Limits) -> Result<Data, Error> {
    gather_rest(frames, Begun { decoder, ..Begun::default() }, limits, 0).await
}

/// Reads the rest of a body behind `headroom` bytes, which are left for the caller to fill in.
pub(super) async fn gather_rest(
    frames: &mut Frames,
    begun: Begun,
    limits: &Limits,
    headroom: usize,
) -> Result<Data, Error> {
    let Begun { decoder, input, given } = begun;
    let most =
        limits.decoded.map_or(u64::MAX, |most| most.saturating_sub(given)).min(MOST_IN_A_BLOCK - headroom as u64);
    let named = limits.decoded.unwrap_or(MOST_IN_A_BLOCK);
    // What is announced as too large need not be received first. A coded body says nothing of the sort.
    let announced = frames.length().map(|length| length.saturating_sub(frames.wire()));
    if decoder.is_none() && !frames.is_over() && announced.is_some_and(|left| left > most) {
        return Err(too_large("decoded", named));
    }
    let mut sink = Sink::new(decoder, announced, vec![0; headroom], most, named);
    if !input.is_empty() {
        sink.take(input)?;
    }
    loop {
        match frames.next().await {
            Ok(Some(piece)) => sink.take(piece)?,
            Ok(None) => break,
            Err(mut error) => {
                error.fields_mut().extra.partial = Some(sink.so_far().split_off(headroom));
                return Err(error);
            }
        }
    }
    sink.finish(frames.is_complete() && frames.wire() > 0)
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
    fn new(decoder: Option<Decoder>, announced: Option<u64>, before: Vec<u8>, most: u64, named: u64) -> Self {
        let headroom = before.len();
        let (mut parts, mut data) = (Vec::new(), Data::Shared(Bytes::new()));
        match decoder {
            _ if before.is_empty() => {}
            // A part of its own: the others are filled up to their length.
            Some(_) => parts.push(before),
            None => data = Data::Owned(before),
        }
        Self { decoder, parts, data, headroom, most, named, announced }
    }

    fn take(&mut self, piece: Bytes) -> Result<(), Error> {
        if self.decoder.is_some() {
            return self.decode(&piece);
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

    /// By parts that never move: a body that grew in one block would leave as much again behind, with an allocator that
    /// keeps for a while what was freed, and a bomb would cost twice its limit (THR-213).
    fn decode(&mut self, piece: &[u8]) -> Result<(), Error> {
        let mut out = self.owned();
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let mut consumed = 0;
        let done = loop {
            if out.len() == PART {
                self.parts.push(std::mem::replace(&mut out, Vec::with_capacity(PART)));
                // The decoder has the caller's limit; without one there is still the block's.
                let parts = self.parts.iter().map(Vec::len).sum::<usize>();
                if (parts - self.headroom) as u64 > self.most {
                    break Err(too_large("decoded", self.named));
                }
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

    fn finish(&mut self, complete: bool) -> Result<Data, Error> {
        if self.decoder.is_some() && complete {
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
        Ok(std::mem::replace(&mut self.data, Data::Shared(Bytes::new())))
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
        let length = self.parts.iter().map(Vec::len).sum::<usize>() + last.len();
        let mut all = Vec::with_capacity(length);
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
