//! The `deflate` coding (zlib, RFC 1950, and because many servers got it wrong also bare RFC 1951), and the inflating
//! state that it shares with gzip.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use super::{Done, Fault, within};

/// `deflate`, being undone.
#[derive(Default)]
pub(super) struct Deflate {
    at: At,
    inflater: Inflater,
}

#[derive(Default)]
enum At {
    /// Before the first byte.
    #[default]
    Start,
    /// Between the two bytes that tell zlib from raw.
    Second(u8),
    Data,
    /// After the end; so many bytes followed.
    Trailing(u64),
}

impl Deflate {
    pub(super) fn step(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<Done, Fault> {
        match (&mut self.at, input) {
            (At::Start, [first, second, ..]) => {
                self.inflater.begin(is_zlib(*first, *second));
                self.at = At::Data;
                self.data(input, out, room)
            }
            (At::Start, [first]) => {
                self.at = At::Second(*first);
                Ok(Done::took(1))
            }
            (&mut At::Second(first), [second, ..]) => {
                self.inflater.begin(is_zlib(first, *second));
                self.at = At::Data;
                // Alone it is too little to give any output.
                self.inflater.inflate(&[first], out, room)?;
                self.data(input, out, room)
            }
            (At::Start | At::Second(_), []) => Ok(Done::default()),
            (At::Data, _) => self.data(input, out, room),
            (At::Trailing(count), _) => {
                *count += input.len() as u64;
                Ok(Done::took(input.len()))
            }
        }
    }

    fn data(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<Done, Fault> {
        let (done, ended) = self.inflater.inflate(input, out, room)?;
        if ended {
            self.at = At::Trailing(0);
        }
        Ok(done)
    }

    pub(super) fn ends(&self) -> bool {
        matches!(self.at, At::Start | At::Trailing(_))
    }

    pub(super) fn trailing(&self) -> u64 {
        if let At::Trailing(count) = self.at { count } else { 0 }
    }
}

/// A zlib header has method 8, a window of at most 32 KiB and a checksum (RFC 1950 §2.2). Raw deflate would have to begin
/// with a stored block whose padding is not zero to look like that.
fn is_zlib(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

/// The state of inflating, 40 KiB of it: made when first used, and kept for the thread's next body.
#[derive(Default)]
pub(super) struct Inflater(Option<Decompress>);

impl Inflater {
    /// Begins a new stream, with a zlib header or raw.
    pub(super) fn begin(&mut self, zlib: bool) {
        self.0.get_or_insert_with(|| take_spare().unwrap_or_else(|| Decompress::new(zlib))).reset(zlib);
    }

    /// Goes on; true at the end of the stream.
    pub(super) fn inflate(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<(Done, bool), Fault> {
        let Some(state) = &mut self.0 else {
            return Ok((Done::default(), false));
        };
        let room = room.min(out.capacity() - out.len());
        let (in_before, out_before) = (state.total_in(), state.total_out());
        // `Finish` spares the copy of the last 32 KiB into the window when the stream ends in this call; otherwise it
        // changes nothing.
        let outcome = if room == out.capacity() - out.len() {
            state.decompress_vec(input, out, FlushDecompress::Finish)
        } else {
            within(out, room, |slice| {
                let outcome = state.decompress(input, slice, FlushDecompress::Finish);
                ((state.total_out() - out_before) as usize, outcome)
            })
        };
        let status = outcome.map_err(|error| match error.message() {
            Some(message) => Fault::said(message.to_owned()),
            None => Fault::said(error.to_string()),
        })?;
        let ended = status == Status::StreamEnd;
        let produced = (state.total_out() - out_before) as usize;
        let consumed = (state.total_in() - in_before) as usize;
        Ok((Done { consumed, produced, pending: produced == room && !ended }, ended))
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        if let Some(state) = self.0.take() {
            keep_spare(state);
        }
    }
}

fn take_spare() -> Option<Decompress> {
    SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten()
}

/// A thread that ends has no cache any more; the state is dropped then.
fn keep_spare(state: Decompress) {
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < SPARES {
            spare.push(state);
        }
    });
}

/// States kept for a thread.
const SPARES: usize = 4;

thread_local! {
    static SPARE: RefCell<Vec<Decompress>> = const { RefCell::new(Vec::new()) };
}
