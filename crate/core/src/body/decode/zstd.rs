//! The `zstd` coding (RFC 8878, RFC 9659): frames one after the other, skippable ones among them. Frame headers are read
//! here before the library sees them: its short cut for a frame that is there as a whole asks for no window, so that the
//! verdict would depend on how the bytes arrive.

use std::cell::RefCell;

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

use super::{Done, Fault, within};

/// `zstd`, being undone.
#[derive(Default)]
pub(super) struct Zstd {
    at: At,
    /// A frame has ended: what comes next need not be one.
    later: bool,
    context: Context,
    /// The header of a frame, as far as it is there.
    held: [u8; HEAD],
    len: usize,
    trailing: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Head,
    Frame,
    /// In a skippable frame with so many bytes to go.
    Skip(u32),
    Trailing,
}

impl Zstd {
    pub(super) fn step(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<Done, Fault> {
        match self.at {
            At::Head => self.head(input, out, room),
            At::Frame => self.frame(input, out, room),
            At::Skip(left) => {
                let taken = u32::try_from(input.len()).map_or(left, |given| given.min(left));
                self.skip(left - taken);
                Ok(Done::took(taken as usize))
            }
            At::Trailing => {
                self.trailing += input.len() as u64;
                Ok(Done::took(input.len()))
            }
        }
    }

    /// Whether the input may end here. The beginning of a data frame's magic number counts as a frame cut short, that of
    /// a skippable frame, which would have told nothing, as junk.
    pub(super) fn ends(&mut self) -> bool {
        if self.at == At::Head && self.later && self.len > 0 && self.held[0] != MAGIC[0] {
            self.trailing = self.len as u64;
            self.at = At::Trailing;
        }
        match self.at {
            At::Head => self.len == 0,
            at => at == At::Trailing,
        }
    }

    pub(super) fn trailing(&self) -> u64 {
        self.trailing
    }

    fn head(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<Done, Fault> {
        if self.len == 0
            && let Head::Frame(frame) = Head::read(input)
        {
            frame.check()?;
            self.begin()?;
            // A frame in one segment has its content's size as window: whichever way the library goes, it is the same.
            if frame.single_segment {
                return self.frame(input, out, room);
            }
        }
        for (at, &byte) in input.iter().enumerate() {
            self.held[self.len] = byte;
            self.len += 1;
            match Head::read(&self.held[..self.len]) {
                Head::Unfinished => {}
                Head::Skippable(length) => {
                    self.skip(length);
                    return Ok(Done::took(at + 1));
                }
                Head::Frame(frame) => {
                    frame.check()?;
                    self.begin()?;
                    let nowhere: &mut [u8] = &mut [];
                    self.context.decompress(&self.held[..self.len], &mut OutBuffer::around(nowhere))?;
                    self.len = 0;
                    return Ok(Done::took(at + 1));
                }
                Head::None if self.later => {
                    self.trailing = (self.len + input.len() - at - 1) as u64;
                    self.at = At::Trailing;
                    return Ok(Done::took(input.len()));
                }
                Head::None => return Err(Fault::said("unknown frame descriptor")),
            }
        }
        Ok(Done::took(input.len()))
    }

    fn begin(&mut self) -> Result<(), Fault> {
        self.at = At::Frame;
        self.context.begin()
    }

    fn skip(&mut self, left: u32) {
        self.len = 0;
        self.at = if left > 0 { At::Skip(left) } else { At::Head };
        self.later = true;
    }

    fn frame(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<Done, Fault> {
        let start = out.len();
        let room = room.min(out.capacity() - start);
        let (consumed, ended) = if room == out.capacity() - start {
            self.context.decompress(input, &mut OutBuffer::around_pos(out, start))?
        } else {
            within(out, room, |slice| {
                let mut buffer = OutBuffer::around(slice);
                let outcome = self.context.decompress(input, &mut buffer);
                (buffer.pos(), outcome)
            })?
        };
        if ended {
            self.later = true;
            self.at = At::Head;
        }
        let produced = out.len() - start;
        Ok(Done { consumed, produced, pending: produced == room && !ended })
    }
}

/// What the first bytes of a frame say (RFC 8878 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Unfinished,
    /// These bytes begin no frame.
    None,
    /// With so many bytes of content.
    Skippable(u32),
    Frame(Frame),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    single_segment: bool,
    window: u64,
    dictionary: u32,
}

impl Head {
    fn read(bytes: &[u8]) -> Self {
        let (magic, rest) = bytes.split_at(bytes.len().min(MAGIC.len()));
        let is_skippable =
            magic.first().is_some_and(|first| first & 0xf0 == SKIPPABLE[0]) && SKIPPABLE[1..].starts_with(&magic[1..]);
        if !is_skippable && !MAGIC.starts_with(magic) {
            return Self::None;
        }
        if is_skippable {
            return rest.first_chunk().map_or(Self::Unfinished, |&length| Self::Skippable(u32::from_le_bytes(length)));
        }
        let Some((&descriptor, rest)) = rest.split_first() else {
            return Self::Unfinished;
        };
        let single_segment = descriptor & 0x20 != 0;
        let dictionary_length = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let content_length = match (descriptor >> 6, single_segment) {
            (0, single) => usize::from(single),
            (size, _) => 1 << size,
        };
        let window_length = usize::from(!single_segment);
        if rest.len() < window_length + dictionary_length + content_length {
            return Self::Unfinished;
        }
        let (window, rest) = rest.split_at(window_length);
        let (dictionary, rest) = rest.split_at(dictionary_length);
        let content = little_endian(&rest[..content_length]) + if content_length == 2 { 256 } else { 0 };
        let window = match window {
            [byte] => {
                let base = 1_u64 << (10 + (byte >> 3));
                base + base / 8 * u64::from(byte & 7)
            }
            _ => content,
        };
        Self::Frame(Frame { single_segment, window, dictionary: little_endian(dictionary) as u32 })
    }
}

impl Frame {
    fn check(self) -> Result<(), Fault> {
        if self.dictionary != 0 {
            return Err(Fault::said(format!("requires a dictionary, id {}", self.dictionary)));
        }
        if self.window > 1 << WINDOW_LOG {
            let said = format!("requires a window of {} bytes, more than {}", self.window, 1 << WINDOW_LOG);
            return Err(Fault { said: said.into(), reason: Some("ERR_DECODE_WINDOW") });
        }
        Ok(())
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// The library's state: made when first used, and kept for the thread's next body unless it has grown.
#[derive(Default)]
struct Context {
    state: Option<DCtx<'static>>,
    /// After an error it is not used again.
    broken: bool,
}

impl Context {
    fn begin(&mut self) -> Result<(), Fault> {
        if self.state.is_none() {
            let mut state = match take_spare() {
                Some(state) => state,
                None => DCtx::try_create().ok_or_else(|| Fault::said("out of memory"))?,
            };
            state.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(library_said)?;
            self.state = Some(state);
        }
        Ok(())
    }

    /// How much was consumed, and whether the frame has ended.
    fn decompress<C: zstd_safe::WriteBuf + ?Sized>(
        &mut self,
        input: &[u8],
        output: &mut OutBuffer<'_, C>,
    ) -> Result<(usize, bool), Fault> {
        let Some(state) = &mut self.state else {
            return Ok((0, false));
        };
        let mut input = InBuffer::around(input);
        match state.decompress_stream(output, &mut input) {
            Ok(hint) => Ok((input.pos(), hint == 0)),
            Err(code) => {
                self.broken = true;
                Err(library_said(code))
            }
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(mut state) = self.state.take()
            && !self.broken
            && state.sizeof() <= SPARE_SIZE
            && state.reset(ResetDirective::SessionOnly).is_ok()
        {
            keep_spare(state);
        }
    }
}

fn library_said(code: usize) -> Fault {
    Fault::said(get_error_name(code))
}

fn take_spare() -> Option<DCtx<'static>> {
    SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten()
}

/// A thread that ends has no cache any more; the state is dropped then.
fn keep_spare(state: DCtx<'static>) {
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < SPARES {
            spare.push(state);
        }
    });
}

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The low four bits of the first byte are the application's.
const SKIPPABLE: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

/// Bytes of the longest header: magic number, descriptor, window, dictionary, content size.
const HEAD: usize = 4 + 1 + 1 + 4 + 8;

/// The largest window, 8 MiB (RFC 9659 §3).
const WINDOW_LOG: u32 = 23;

/// States kept for a thread, and how large one may be, in bytes.
const SPARES: usize = 2;
const SPARE_SIZE: usize = 1024 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<DCtx<'static>>> = const { RefCell::new(Vec::new()) };
}
