//! The `br` coding (RFC 7932). A stream may ask for a window of 16 MiB, no more: the "large window" variant is not what
//! the coding's name stands for.

use brotli_decompressor::{
    BrotliDecoderHasMoreOutput, BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc,
};

use super::{Done, Fault, within};

/// `br`, being undone.
#[derive(Default)]
pub(super) struct Brotli {
    at: At,
}

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

#[derive(Default)]
enum At {
    /// Before the first byte.
    #[default]
    Start,
    Data(Box<State>),
    /// After the end; so many bytes followed.
    Trailing(u64),
}

impl Brotli {
    pub(super) fn step(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<Done, Fault> {
        let state = match &mut self.at {
            At::Trailing(count) => {
                *count += input.len() as u64;
                return Ok(Done::took(input.len()));
            }
            At::Start if input.is_empty() => return Ok(Done::default()),
            At::Start => {
                let alloc = StandardAlloc::default();
                self.at = At::Data(Box::new(State::new_strict(alloc, alloc, alloc)));
                return self.step(input, out, room);
            }
            At::Data(state) => state,
        };
        // The library takes initialised memory only; little input deserves little of it.
        let room =
            if input.is_empty() { room.min(ROOM) } else { room.min(input.len().saturating_mul(16).clamp(LEAST, ROOM)) };
        let mut input_left = input.len().min(INPUT);
        let (mut consumed, mut produced) = (0, 0);
        let outcome = within(out, room, |slice| {
            let mut room_left = slice.len();
            let outcome = BrotliDecompressStream(
                &mut input_left,
                &mut consumed,
                input,
                &mut room_left,
                &mut produced,
                slice,
                &mut 0,
                state,
            );
            (produced, (outcome, room_left == 0))
        });
        let pending = match outcome {
            (BrotliResult::ResultFailure, _) => {
                return Err(Fault::said(format!("{:?}", state.error_code)));
            }
            (BrotliResult::ResultSuccess, _) => {
                self.at = At::Trailing(0);
                false
            }
            (BrotliResult::NeedsMoreOutput, _) => true,
            (BrotliResult::NeedsMoreInput, full) => full || BrotliDecoderHasMoreOutput(state),
        };
        Ok(Done { consumed, produced, pending })
    }

    pub(super) fn ends(&self) -> bool {
        !matches!(self.at, At::Data(_))
    }

    pub(super) fn trailing(&self) -> u64 {
        if let At::Trailing(count) = self.at { count } else { 0 }
    }
}

/// The least and the most room that one step uses, in bytes.
const LEAST: usize = 4 * 1024;
const ROOM: usize = 64 * 1024;

/// The library counts input in 32 bits.
const INPUT: usize = 1 << 30;
