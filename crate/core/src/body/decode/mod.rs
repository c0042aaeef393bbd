//! Undoes content and transfer codings (RFC 9110 §8.4, RFC 9112 §7), with the limits inside the loop: a bomb is refused
//! while it unfolds, never after. A [`Decoder`] is a chain of stages, each over the raw state of its library; the ready
//! made readers of those libraries lose members, or fail on what follows the last one.
//!
//! Whether a body is decoded at all is the caller's choice (a drained body is not), and so is what becomes of the bytes
//! that were decoded before an error.

mod brotli;
mod deflate;
mod gzip;
mod zstd;

use std::borrow::Cow;

use ferropool_policy::error::{Cause, Error, Kind, Phase, quote};
use ferropool_policy::meter::Meter;
use ferropool_policy::settings::Limits;

/// A chain of codings being undone, and the account of what that costs.
///
/// After an error it answers every further call with the same error.
pub struct Decoder {
    /// The coding that was applied last comes first: in the order in which they are undone.
    links: Vec<Link>,
    meter: Meter,
    /// Bytes that stages gave one another in the step under way.
    between: usize,
    failed: Option<Error>,
}

/// What one [`Decoder::step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that need not be offered again.
    pub consumed: usize,
    /// Bytes appended to the output.
    pub produced: usize,
    /// There may be more output without more input.
    pub more_output_pending: bool,
}

impl Decoder {
    /// A decoder for these Content-Encoding field values, in order.
    ///
    /// `None`: nothing is to be undone (`identity`, `none`, no member), or a coding among them is unknown; the body
    /// stays as it was received.
    ///
    /// # Errors
    /// [`Kind::Decode`] with limit `codings`: the chain is longer than the limit (default 5). Nothing was decoded.
    pub fn new<'a>(values: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> Result<Option<Self>, Error> {
        let mut chain = Vec::new();
        let (mut members, mut unknown) = (0_usize, false);
        for name in values.flat_map(members_of).filter(|name| !is_nothing(name)) {
            members += 1;
            match Coding::of(name) {
                // One more than is allowed is enough to know; a longer list costs no memory.
                Some(coding) if chain.len() <= limits.codings as usize => chain.push(coding),
                Some(_) => {}
                None => unknown = true,
            }
        }
        // A body of nothing but unknown codings is nobody's business here, however many there are.
        if chain.is_empty() {
            return Ok(None);
        }
        check_length("content", members, limits)?;
        Ok((!unknown).then(|| Self::of_chain(Field::Content, &chain, limits)))
    }

    /// A decoder for these Transfer-Encoding field values, in order; `chunked` at the end is hyper's and undone already.
    ///
    /// `None`: nothing else was applied.
    ///
    /// # Errors
    /// [`Kind::Decode`], reason `ERR_TRANSFER_CODING`: a coding that cannot be undone. Unlike a content coding it is no
    /// property of what the caller asked for, so that the bytes must not be given out as if they were that (RFC 9112
    /// §6.1). With limit `codings`: the chain is longer than the limit.
    pub fn of_transfer<'a>(values: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> Result<Option<Self>, Error> {
        let mut chain = Vec::new();
        let (mut members, mut chunked) = (0_usize, false);
        for name in values.flat_map(members_of).filter(|name| !is_nothing(name)) {
            let coding = Coding::of(name).filter(|coding| coding.is_of_transfer());
            match coding {
                _ if chunked => return Err(untransferable(name)),
                None if name.eq_ignore_ascii_case(b"chunked") => chunked = true,
                None => return Err(untransferable(name)),
                Some(coding) => {
                    members += 1;
                    if chain.len() <= limits.codings as usize {
                        chain.push(coding);
                    }
                }
            }
        }
        check_length("transfer", members, limits)?;
        Ok((!chain.is_empty()).then(|| Self::of_chain(Field::Transfer, &chain, limits)))
    }

    /// Undoes `inner` after this: transfer codings come off before content codings. Both must be new.
    #[must_use]
    pub fn then(mut self, inner: Self) -> Self {
        self.links.extend(inner.links);
        self
    }

    fn of_chain(field: Field, chain: &[Coding], limits: &Limits) -> Self {
        let links = chain.iter().rev().map(|&coding| Link::new(field, coding)).collect();
        Self { links, meter: Meter::new(limits), between: 0, failed: None }
    }

    /// One bounded step: consumes from the start of `input` and appends at most `most` bytes to `out`. The rest of a
    /// bomb stays compressed. It ends when `most` bytes were appended, when the input is used up and nothing is pending,
    /// or when a MiB has passed between two codings: whoever shares a thread can let others have their turn.
    ///
    /// # Errors
    /// [`Kind::Decode`]: the bytes do not decode; the cause is what the library said. [`Kind::TooLarge`]: a limit was
    /// passed, with limit `decoded`, `ratio` or `wire`. What was decoded before is in `out`, never more than the limit.
    pub fn step(&mut self, input: &[u8], out: &mut Vec<u8>, most: usize) -> Result<Step, Error> {
        let start = out.len();
        let mut consumed = 0;
        self.between = 0;
        self.guarded(|this| {
            let is_due = |this: &Self, len: usize| len - start < most && this.between < MOST_BETWEEN;
            while is_due(this, out.len()) && (consumed < input.len() || this.is_pending()) {
                let room = (most - (out.len() - start)).min(this.allowed());
                if out.capacity() == out.len() {
                    out.reserve(room.min(STEP));
                }
                consumed += this.turn(&input[consumed..], out, room)?;
            }
            Ok(())
        })?;
        Ok(Step { consumed, produced: out.len() - start, more_output_pending: self.is_pending() })
    }

    /// Decodes everything in `input` onto the end of `out`, whose capacity never grows past the `decoded` limit.
    ///
    /// # Errors
    /// As [`Decoder::step`].
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let mut consumed = 0;
        self.guarded(|this| {
            while consumed < input.len() || this.is_pending() {
                let allowed = this.allowed();
                if out.capacity() == out.len() {
                    grow(out, input.len() - consumed, allowed);
                }
                consumed += this.turn(&input[consumed..], out, allowed)?;
            }
            Ok(())
        })
    }

    /// The wire has ended: appends what is pending, and checks that every coding came to its end. A body without a
    /// single byte is fine (a response to HEAD has the field and no body).
    ///
    /// # Errors
    /// As [`Decoder::step`]; also [`Kind::Decode`]: the body is cut short.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.push(&[], out)?;
        self.guarded(|this| match this.links.iter_mut().position(|link| !link.stage.ends()) {
            None => Ok(()),
            Some(at) => Err(this.undecodable(at, Fault::said("the data ends before the end of the coded stream"))),
        })
    }

    /// Bytes after the end of a coded stream, which were ignored; summed over the chain. Whole after `finish`.
    pub fn trailing(&self) -> u64 {
        self.links.iter().map(|link| link.stage.trailing()).sum()
    }

    /// One byte past the limit may be decoded: that is how passing it is noticed.
    fn allowed(&self) -> usize {
        usize::try_from(self.meter.left().saturating_add(1)).unwrap_or(usize::MAX)
    }

    /// Whether there may be more output without more input.
    pub(crate) fn is_pending(&self) -> bool {
        self.links.iter().any(|link| link.pending || link.has_input())
    }

    fn guarded(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        work(self).inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Lets the innermost stage that can do something do it, once; returns how much of `input` was consumed. Innermost
    /// first, so that no more than one buffer's worth ever lies between two stages.
    fn turn(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<usize, Error> {
        let at = self.links.iter().rposition(|link| link.pending || link.has_input()).unwrap_or(0);
        let (outer, inner) = self.links.split_at_mut(at + 1);
        let link = &mut outer[at];
        let feed = if at == 0 { input } else { &link.before[link.used..] };
        let starved = feed.is_empty();
        let start = out.len();
        let outcome = match inner.first_mut() {
            None => link.stage.step(feed, out, room),
            Some(next) => link.stage.step(feed, next.emptied(), BETWEEN),
        };
        let is_last = inner.is_empty();
        let done = match outcome {
            Ok(done) if done.consumed > 0 || done.produced > 0 || starved => done,
            Ok(_) => return Err(self.undecodable(at, Fault::said("the data makes no progress"))),
            Err(fault) => {
                out.truncate(out.len().min(start.saturating_add(self.allowed() - 1)));
                return Err(self.undecodable(at, fault));
            }
        };
        link.pending = done.pending;
        link.made = link.made.saturating_add(done.produced as u64);
        let made = link.made;
        let consumed = if at == 0 {
            done.consumed
        } else {
            link.used += done.consumed;
            0
        };
        if is_last {
            out.truncate(out.len().min(start.saturating_add(self.allowed() - 1)));
        }
        self.meter.wire(consumed)?;
        if is_last {
            self.meter.decoded(done.produced)?;
        } else {
            self.between += done.produced;
            self.meter.judge(made)?;
        }
        Ok(consumed)
    }

    fn undecodable(&self, at: usize, fault: Fault) -> Error {
        let field = self.links[at].field;
        let mut names = String::new();
        for link in self.links.iter().rev().filter(|link| link.field == field) {
            if !names.is_empty() {
                names.push_str(", ");
            }
            names.push_str(link.coding.name());
        }
        let name = field.name();
        let said = fault.said;
        let message = format!("Received response with {name}-encoding: {names}, but failed to decode it. ({said})");
        let error = Error::new(Kind::Decode, message).in_phase(Phase::Body).caused_by(Cause::said(said));
        match fault.reason {
            Some(reason) => error.with_reason(reason),
            None => error,
        }
    }
}

/// One coding in the chain, with what the stage before it left for it.
struct Link {
    field: Field,
    coding: Coding,
    stage: Stage,
    /// The stage may give more without being given more.
    pending: bool,
    /// Bytes that the stage has given.
    made: u64,
    /// Input that the stage before gave; the first stage reads the wire's and leaves this empty.
    before: Vec<u8>,
    /// How much of `before` is used up.
    used: usize,
}

impl Link {
    fn new(field: Field, coding: Coding) -> Self {
        let stage = match coding {
            Coding::Gzip | Coding::XGzip => Stage::Gzip(gzip::Gzip::default()),
            Coding::Deflate => Stage::Deflate(deflate::Deflate::default()),
            Coding::Brotli => Stage::Brotli(brotli::Brotli::default()),
            Coding::Zstd => Stage::Zstd(zstd::Zstd::default()),
        };
        Self { field, coding, stage, pending: false, made: 0, before: Vec::new(), used: 0 }
    }

    fn has_input(&self) -> bool {
        self.used < self.before.len()
    }

    fn emptied(&mut self) -> &mut Vec<u8> {
        self.before.clear();
        self.before.reserve_exact(BETWEEN);
        self.used = 0;
        &mut self.before
    }
}

/// The field that named a coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Content,
    Transfer,
}

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Transfer => "transfer",
        }
    }
}

/// A coding that can be undone, under the name that was used for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    XGzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    const ALL: [Self; 5] = [Self::Gzip, Self::XGzip, Self::Deflate, Self::Brotli, Self::Zstd];

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::XGzip => "x-gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    fn of(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name().as_bytes()))
    }

    /// RFC 9112 §7.2 knows these, and `compress`, which nobody has sent for decades.
    const fn is_of_transfer(self) -> bool {
        matches!(self, Self::Gzip | Self::XGzip | Self::Deflate)
    }
}

/// The state of one coding. What lies behind each takes any input in any pieces, stops at the end of its coded data, and
/// swallows and counts what follows.
enum Stage {
    Gzip(gzip::Gzip),
    Deflate(deflate::Deflate),
    Brotli(brotli::Brotli),
    Zstd(zstd::Zstd),
}

impl Stage {
    /// Appends at most `room` bytes (at least 1) to `out`, within the capacity that it has.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<Done, Fault> {
        match self {
            Self::Gzip(it) => it.step(input, out, room),
            Self::Deflate(it) => it.step(input, out, room),
            Self::Brotli(it) => it.step(input, out, room),
            Self::Zstd(it) => it.step(input, out, room),
        }
    }

    /// The input has ended: was that the end of the coded data too, or was there none?
    fn ends(&mut self) -> bool {
        match self {
            Self::Gzip(it) => it.ends(),
            Self::Deflate(it) => it.ends(),
            Self::Brotli(it) => it.ends(),
            Self::Zstd(it) => it.ends(),
        }
    }

    fn trailing(&self) -> u64 {
        match self {
            Self::Gzip(it) => it.trailing(),
            Self::Deflate(it) => it.trailing(),
            Self::Brotli(it) => it.trailing(),
            Self::Zstd(it) => it.trailing(),
        }
    }
}

/// What one step of a stage did.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    consumed: usize,
    produced: usize,
    /// There may be more output without more input.
    pending: bool,
}

impl Done {
    /// Only took input: a header, a trailer, what follows the end.
    fn took(consumed: usize) -> Self {
        Self { consumed, ..Self::default() }
    }
}

/// Why a stage cannot go on.
#[derive(Debug)]
struct Fault {
    said: Cow<'static, str>,
    reason: Option<&'static str>,
}

impl Fault {
    fn said(said: impl Into<Cow<'static, str>>) -> Self {
        Self { said: said.into(), reason: None }
    }
}

/// Members of a list (RFC 9110 §5.6.1), without the blanks around them.
fn members_of(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Members that stand for no coding: `identity` (RFC 9110 §12.5.3), servers' `none`, and what a stray comma leaves.
fn is_nothing(name: &[u8]) -> bool {
    name.is_empty() || name.eq_ignore_ascii_case(b"identity") || name.eq_ignore_ascii_case(b"none")
}

fn check_length(field: &str, members: usize, limits: &Limits) -> Result<(), Error> {
    let most = u64::from(limits.codings);
    if members as u64 <= most {
        return Ok(());
    }
    let message = format!("Too many {field} encodings in the chain: {members} > {most}");
    Err(Error::new(Kind::Decode, message).in_phase(Phase::Body).with_limit("codings", most))
}

fn untransferable(name: &[u8]) -> Error {
    let message = format!("the transfer coding {} cannot be undone", quote(name));
    Error::new(Kind::Decode, message).in_phase(Phase::Body).with_reason("ERR_TRANSFER_CODING")
}

/// Makes room in a full `out`: a first guess by what text compresses to, then twofold. `allowed` more bytes may come at
/// most. The last step goes to that bound at once, from at most half of it: while the bytes move, old and new together
/// stay within the bound, and what is not written to yet occupies no memory.
fn grow(out: &mut Vec<u8>, input: usize, allowed: usize) {
    let have = out.len();
    let bound = have.saturating_add(allowed);
    let guess = input.saturating_mul(GUESS).clamp(LEAST, MOST_GUESSED);
    let next = have.saturating_mul(2).max(have.saturating_add(guess));
    let next = if next > bound / 2 { next.max(bound.min(next.saturating_mul(2))).min(bound) } else { next };
    out.reserve_exact(next - have);
}

/// Lets `write` fill at most `room` bytes at the end of `out`, for libraries that want initialised memory or would use
/// the whole capacity. `write` returns how many bytes it wrote.
fn within<R>(out: &mut Vec<u8>, room: usize, write: impl FnOnce(&mut [u8]) -> (usize, R)) -> R {
    let start = out.len();
    let room = room.min(out.capacity() - start);
    out.resize(start + room, 0);
    let (written, result) = write(&mut out[start..]);
    out.truncate(start + written.min(room));
    result
}

/// What lies between two stages at most, in bytes.
const BETWEEN: usize = 16 * 1024;

/// What passes between stages in one step, in bytes, and a buffer's worth more.
const MOST_BETWEEN: usize = 1024 * 1024;

/// Room that one step makes in a full output, in bytes.
const STEP: usize = 64 * 1024;

/// Decoded bytes guessed for each byte of the first input.
const GUESS: usize = 8;

/// The least and the most that the guess makes room for, in bytes.
const LEAST: usize = 1024;
const MOST_GUESSED: usize = 1024 * 1024;
