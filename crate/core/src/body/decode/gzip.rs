//! The `gzip` coding (RFC 1952): any number of members, each with its header and its trailer checked here, so that what
//! follows the last member is told from a member that is broken.

use flate2::Crc;

use super::deflate::Inflater;
use super::{Done, Fault};

/// `gzip`, being undone.
#[derive(Default)]
pub(super) struct Gzip {
    at: At,
    /// A member has ended: what comes next need not be one.
    later: bool,
    inflater: Inflater,
    /// Over the header where that has a checksum, then over the decoded bytes.
    crc: Crc,
    flags: u8,
    /// A part of fixed length, as far as it is there.
    held: [u8; HEAD],
    len: usize,
    trailing: u64,
}

/// Which part of a member comes next, in their order (RFC 1952 §2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    #[default]
    Head,
    ExtraLength,
    Extra(u16),
    Name,
    Comment,
    HeadCrc,
    Data,
    Trailer,
    /// After the last member.
    Trailing,
}

impl Gzip {
    pub(super) fn step(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<Done, Fault> {
        match self.at {
            At::Head => self.head(input),
            At::ExtraLength => Ok(self.extra_length(input)),
            At::Extra(left) => Ok(self.extra(left, input)),
            At::Name | At::Comment => Ok(self.text(input)),
            At::HeadCrc => self.head_crc(input),
            At::Data => self.data(input, out, room),
            At::Trailer => self.trailer(input),
            At::Trailing => {
                self.trailing += input.len() as u64;
                Ok(Done::took(input.len()))
            }
        }
    }

    /// Whether the input may end here. A later member's first byte alone counts as a member cut short: to drop one that
    /// was sent is worse than to refuse a single stray byte.
    pub(super) fn ends(&self) -> bool {
        match self.at {
            At::Head => self.len == 0,
            at => at == At::Trailing,
        }
    }

    pub(super) fn trailing(&self) -> u64 {
        self.trailing
    }

    fn head(&mut self, input: &[u8]) -> Result<Done, Fault> {
        for (at, &byte) in input.iter().enumerate() {
            match (self.len, byte) {
                (0, 0x1f) | (1, 0x8b) | (2, DEFLATED) | (4.., _) => {}
                (0 | 1, _) if self.later => {
                    self.trailing = (self.len + input.len() - at) as u64;
                    self.at = At::Trailing;
                    return Ok(Done::took(input.len()));
                }
                (0 | 1, _) => return Err(Fault::said("incorrect header check")),
                (2, _) => return Err(Fault::said("unknown compression method")),
                (3, flags) if flags & RESERVED != 0 => {
                    return Err(Fault::said("unknown header flags set"));
                }
                (3, flags) => self.flags = flags,
            }
            self.held[self.len] = byte;
            self.len += 1;
            if self.len == HEAD {
                self.len = 0;
                self.crc.reset();
                let head = self.held;
                self.cover(&head);
                self.advance();
                return Ok(Done::took(at + 1));
            }
        }
        Ok(Done::took(input.len()))
    }

    fn extra_length(&mut self, input: &[u8]) -> Done {
        let (taken, whole) = self.hold(input, 2);
        if whole {
            let length = [self.held[0], self.held[1]];
            self.cover(&length);
            self.at = At::Extra(u16::from_le_bytes(length));
            if self.at == At::Extra(0) {
                self.advance();
            }
        }
        Done::took(taken)
    }

    fn extra(&mut self, left: u16, input: &[u8]) -> Done {
        let taken = input.len().min(usize::from(left));
        self.cover(&input[..taken]);
        self.at = At::Extra(left - taken as u16);
        if self.at == At::Extra(0) {
            self.advance();
        }
        Done::took(taken)
    }

    /// The name or the comment, to its zero byte; neither is kept, so that their length does not matter.
    fn text(&mut self, input: &[u8]) -> Done {
        let end = memchr::memchr(0, input);
        let taken = end.map_or(input.len(), |end| end + 1);
        self.cover(&input[..taken]);
        if end.is_some() {
            self.advance();
        }
        Done::took(taken)
    }

    fn head_crc(&mut self, input: &[u8]) -> Result<Done, Fault> {
        let (taken, whole) = self.hold(input, 2);
        if whole {
            if u16::from_le_bytes([self.held[0], self.held[1]]) != self.crc.sum() as u16 {
                return Err(Fault::said("header crc mismatch"));
            }
            self.advance();
        }
        Ok(Done::took(taken))
    }

    fn data(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<Done, Fault> {
        let start = out.len();
        let (done, ended) = self.inflater.inflate(input, out, room)?;
        self.crc.update(&out[start..]);
        if ended {
            self.at = At::Trailer;
        }
        Ok(done)
    }

    fn trailer(&mut self, input: &[u8]) -> Result<Done, Fault> {
        let (taken, whole) = self.hold(input, 8);
        if whole {
            let (sum, length) = (self.little_endian(0), self.little_endian(4));
            if sum != self.crc.sum() {
                return Err(Fault::said("incorrect data check"));
            }
            if length != self.crc.amount() {
                return Err(Fault::said("incorrect length check"));
            }
            self.later = true;
            self.at = At::Head;
        }
        Ok(Done::took(taken))
    }

    /// Takes what is missing of a part of `whole` bytes; true when it is there.
    fn hold(&mut self, input: &[u8], whole: usize) -> (usize, bool) {
        let taken = input.len().min(whole - self.len);
        self.held[self.len..self.len + taken].copy_from_slice(&input[..taken]);
        self.len += taken;
        let is_whole = self.len == whole;
        if is_whole {
            self.len = 0;
        }
        (taken, is_whole)
    }

    /// The number in the held bytes from here.
    fn little_endian(&self, at: usize) -> u32 {
        self.held[at..at + 4].iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte))
    }

    /// The header's own checksum covers this.
    fn cover(&mut self, part: &[u8]) {
        if self.flags & HAS_CRC != 0 {
            self.crc.update(part);
        }
    }

    /// On to the next part of the header that is there, or to the data.
    fn advance(&mut self) {
        let parts =
            [(At::ExtraLength, HAS_EXTRA), (At::Name, HAS_NAME), (At::Comment, HAS_COMMENT), (At::HeadCrc, HAS_CRC)];
        let next = parts.into_iter().find(|&(part, flag)| {
            let is_over = part <= self.at || matches!(self.at, At::Extra(_)) && part == At::ExtraLength;
            !is_over && self.flags & flag != 0
        });
        self.at = next.map_or(At::Data, |(part, _)| part);
        if self.at == At::Data {
            self.crc.reset();
            self.inflater.begin(false);
        }
    }
}

/// Bytes of a header's fixed part.
const HEAD: usize = 10;

/// The only method there is.
const DEFLATED: u8 = 8;

// The flags; the first, "text", means nothing to a decoder.
const HAS_CRC: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;
