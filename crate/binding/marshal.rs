//! Records to plain data and back. Nothing here trusts a length: a record that does not add up is refused, never read
//! past its end (the fuzz target `marshal` and its seeds).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferropool_core::client::ask::Asks;
use ferropool_core::client::line::Direction;
use ferropool_core::client::request::{Line, Payload, ProxyChoice, Request, Wanted};
use ferropool_core::client::response::{Body, Data, Response};
use ferropool_core::client::stream::{Ended, Stream};
use ferropool_policy::error::Error;
use ferropool_policy::retry::Retry;
use ferropool_policy::settings::{Limits, Timeouts, wait};

use super::layout::{self, completion, flow, notice, request, response, submission};
use super::submission::{Id, Order, Part, Pieces, Submission, With};
use super::telling::{error_text, history_json};

/// Memory on its way to JavaScript.
#[derive(Debug)]
pub(crate) enum Handed {
    /// A block.
    Owned(Vec<u8>),
    /// A part of one, which nobody else has.
    Shared(Bytes),
}

/// A record that does not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Takes the next submission off a batch; `None` at its end.
pub(crate) fn next_submission(batch: &mut Bytes, at: Instant) -> Option<Result<Submission, Malformed>> {
    if batch.is_empty() {
        return None;
    }
    let length = word(batch, layout::LENGTH).unwrap_or(0) as usize;
    if length < LEAST_LENGTH || !length.is_multiple_of(8) || length > batch.len() {
        batch.clear();
        return Some(Err(Malformed));
    }
    let record = batch.split_to(length);
    Some(submission_of(&record, at).ok_or(Malformed))
}

fn submission_of(record: &Bytes, at: Instant) -> Option<Submission> {
    let id = Id { slot: word(record, layout::SLOT)?, generation: word(record, layout::GENERATION)? };
    let pool = word(record, layout::POOL)?;
    Some(match word(record, layout::KIND)? {
        submission::REQUEST => {
            let flags = word(record, request::FLAGS)?;
            let mut with = With {
                abortable: flags & request::ABORTABLE != 0,
                pieces: Pieces::None,
                progress: flags & request::PROGRESS != 0,
                sent: flags & request::TELLS_SENT != 0,
                asks: flags & request::STREAM_ASKS != 0,
            };
            let request = Box::new(request_of(record, flags, at, &mut with)?);
            Submission::Request { id, pool, request, with }
        }
        submission::ABORT => Submission::Abort { id },
        submission::WARM => Submission::Warm { id, pool, count: word(record, request::URL)? },
        submission::CLOSE => {
            let timeout = double(record, request::POOL_TIMEOUT)?;
            // A span of 0 is a deadline that has passed; only "none", and a span beyond any clock, waits.
            let timeout = wait(timeout);
            Submission::Close { id, pool, timeout }
        }
        submission::FORGET => Submission::Forget { pool },
        submission::ANSWER => Submission::Answer { number: id.slot, text: payload_of(record)? },
        submission::GRANT => {
            let taken = double(record, request::POOL_TIMEOUT)? as u64;
            Submission::Read { id, order: Order::Grant { bytes: word(record, request::URL)?, taken } }
        }
        submission::REST => Submission::Read { id, order: Order::Rest { headroom: word(record, request::URL)? } },
        submission::DRAIN => Submission::Read { id, order: Order::Drain },
        submission::RELEASE => Submission::Read { id, order: Order::Release },
        submission::SHUT => Submission::Read { id, order: Order::Shut },
        submission::FORSAKE => Submission::Read { id, order: Order::Forsake },
        submission::PIECE => Submission::Send { id, part: Part::Piece(payload_of(record)?) },
        submission::FINISH => Submission::Send { id, part: Part::Finish },
        submission::BREAK => {
            let said = String::from_utf8_lossy(&payload_of(record)?).into_owned();
            Submission::Send { id, part: Part::Break(said) }
        }
        _ => return None,
    })
}

/// What follows a submission that is not a request.
fn payload_of(record: &Bytes) -> Option<Bytes> {
    Rest { record, at: request::FIXED }.bytes(word(record, request::URL)?)
}

fn request_of(record: &Bytes, flags: u32, at: Instant, with: &mut With) -> Option<Request> {
    let mut rest = Rest { record, at: request::FIXED };
    let url = rest.bytes(word(record, request::URL)?)?;
    let spelled = rest.bytes(word(record, request::METHOD)?)?;
    let method = match (flags & 0xff) as usize {
        0 => spelled,
        known => Bytes::from_static(request::METHODS.get(known)?.as_bytes()),
    };
    let mut made = Request::new(method, url, at);
    made.assert_same_host = flags & request::ANY_HOST == 0;
    made.chunked = flags & request::CHUNKED != 0;
    made.decode_content = flags & request::RAW == 0;
    made.enforce_content_length = flags & request::ANY_LENGTH == 0;
    if flags & request::HAS_HEADERS != 0 {
        made.headers = Some(rest.pairs(word(record, request::LINES)?)?);
    }
    let fields = word(record, request::FIELDS)?;
    if fields > 0 {
        let pairs = rest.pairs(fields)?;
        made.fields = pairs.into_iter().map(|Line { name, value }| Some((name, value?))).collect::<Option<_>>()?;
    }
    if flags & request::HAS_BODY != 0 {
        let body = rest.bytes(word(record, request::BODY)?)?;
        if flags & request::PIECES == 0 {
            made.body = Payload::Whole(body);
        } else {
            let length = f64::from_ne_bytes(body.as_ref().try_into().ok()?);
            with.pieces = if length >= 0.0 { Pieces::Of(length as u64) } else { Pieces::Some };
        }
    }
    if flags & request::STREAM != 0 {
        made.wanted = Wanted::Pieces { whole: flags & request::STREAM_WHOLE != 0 };
    }
    if flags & request::JSON != 0 {
        made.content_type = Some("application/json");
    }
    let limits = rest.bytes(word(record, request::LIMITS)?)?;
    if !limits.is_empty() {
        made.limits = Some(serde_json::from_slice::<Limits>(&limits).ok()?);
    }
    let retries = rest.bytes(word(record, request::RETRIES)?)?;
    if !retries.is_empty() {
        made.retry = Some(retry_of(&retries)?);
    }
    let proxy = rest.bytes(word(record, request::PROXY)?)?;
    made.proxy = match () {
        () if flags & request::DIRECT != 0 => Some(ProxyChoice::Direct),
        () if proxy.is_empty() => None,
        () => Some(ProxyChoice::Url(proxy)),
    };
    made.redirect = flags & request::STAY == 0;
    made.asks = Asks {
        cookies: flags & request::ASK_COOKIES != 0,
        gate: flags & request::ASK_GATE != 0,
        verdict: flags & request::ASK_VERDICT != 0,
    };
    if flags & request::HAS_TIMEOUT != 0 {
        let given = |at| Some(double(record, at)?).map(|value| if value.is_nan() { None } else { Some(value) });
        made.timeout = Some(Timeouts {
            connect: given(request::CONNECT)?,
            read: given(request::READ)?,
            total: given(request::TOTAL)?,
        });
    }
    if flags & request::HAS_POOL_TIMEOUT != 0 {
        made.pool_timeout = wait(double(record, request::POOL_TIMEOUT)?);
    }
    Some(made)
}

thread_local! {
    /// What calls brought last: a program has a handful of policies and thousands of calls.
    static LATEST: RefCell<Latest> = RefCell::default();
}

#[derive(Default)]
struct Latest {
    places: [Option<Policy>; 4],
    /// The place that goes next.
    oldest: usize,
}

/// As it came, and what it means.
struct Policy {
    json: Box<[u8]>,
    retry: Rc<Retry>,
}

fn retry_of(json: &[u8]) -> Option<Rc<Retry>> {
    LATEST.with_borrow_mut(|latest| {
        if let Some(known) = latest.places.iter().flatten().find(|known| *known.json == *json) {
            return Some(Rc::clone(&known.retry));
        }
        let retry = Rc::new(serde_json::from_slice::<Retry>(json).ok()?);
        latest.places[latest.oldest] = Some(Policy { json: json.into(), retry: Rc::clone(&retry) });
        latest.oldest = (latest.oldest + 1) % latest.places.len();
        Some(retry)
    })
}

/// What follows the fixed part.
struct Rest<'r> {
    record: &'r Bytes,
    at: usize,
}

impl Rest<'_> {
    fn bytes(&mut self, length: u32) -> Option<Bytes> {
        let end = self.at.checked_add(length as usize)?;
        if end > self.record.len() {
            return None;
        }
        let bytes = self.record.slice(self.at..end);
        self.at = end;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u32> {
        let end = self.at.checked_add(4)?;
        let bytes = self.record.get(self.at..end)?;
        self.at = end;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    }

    fn pairs(&mut self, count: u32) -> Option<Vec<Line>> {
        // Each takes eight bytes at least: a count that cannot be is refused before anything is reserved for it.
        if count as usize > self.record.len().saturating_sub(self.at) / 8 {
            return None;
        }
        let mut lines = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let (name, value) = (self.number()?, self.number()?);
            let name = self.bytes(name)?;
            let value = if value == request::SKIP { None } else { Some(self.bytes(value)?) };
            lines.push(Line { name, value });
        }
        Some(lines)
    }
}

fn word(record: &[u8], at: usize) -> Option<u32> {
    let bytes = record.get(at * 4..at * 4 + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn double(record: &[u8], at: usize) -> Option<f64> {
    let bytes = record.get(at * 4..at * 4 + 8)?;
    Some(f64::from_ne_bytes(bytes.try_into().ok()?))
}

/// Records on their way to JavaScript, and the bodies that travel beside them, in the records' order.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The records.
    pub(crate) records: Vec<u8>,
    /// Bodies too large to be copied, and the calls that they belong to.
    pub(crate) bodies: VecDeque<(Id, Handed)>,
}

impl Block {
    /// Adds a response; what is still to be read of it is given back.
    pub(crate) fn response(&mut self, id: Id, made: Box<Response>, epoch: Instant) -> Option<Box<Stream>> {
        let made = *made;
        let (data, stream) = match made.body {
            Body::Whole(data) => (data, None),
            Body::Stream(stream) => (Data::Owned(Vec::new()), Some(stream)),
        };
        let mut record = Record::begin(&mut self.records, completion::RESPONSE, id, response::FIXED);
        let body = data.as_slice();
        let external = body.len() > INLINE_MOST;
        let mut flags = 0;
        let mut set = |on: bool, flag: u32| flags |= if on { flag } else { 0 };
        set(made.chunked, response::CHUNKED);
        set(made.reused, response::REUSED);
        set(external, response::EXTERNAL);
        set(stream.is_some(), response::STREAM);
        set(made.reason.is_some(), response::REASON);
        let head = record.append(|out| {
            out.extend_from_slice(made.reason.as_deref().unwrap_or_default());
            out.push(b'\n');
            push_fields(out, &made.headers);
        });
        let trailers = record.append(|out| made.trailers.iter().for_each(|trailers| push_fields(out, trailers)));
        let notes = record.append(|out| {
            if !made.defects.is_empty() || made.story.is_some() {
                let story = made.story.as_deref().map(|story| {
                    serde_json::json!({
                        "url": story.url, "retries": story.retry, "history": history_json(&story.history),
                    })
                });
                push_json(out, &serde_json::json!({ "defects": made.defects, "story": story }));
            }
        });
        if !external {
            record.append(|out| out.extend_from_slice(body));
        }
        record.set(response::STATUS, u32::from(made.status) | u32::from(made.version) << 16);
        record.set(response::FLAGS, flags);
        record.set(response::ATTEMPTS, made.attempts);
        record.set(response::HEAD, head);
        record.set(response::BODY, body.len() as u32);
        record.set(response::CONNECTION, made.connection.id);
        record.set(response::TRAILERS, trailers);
        record.set(response::NOTES, notes);
        record.set_bytes(response::WIRE, &made.body_bytes.map_or(f64::NAN, |bytes| bytes as f64).to_ne_bytes());
        let timings = made.timings;
        let milliseconds = |span: Option<Duration>| span.map_or(f32::NAN, |span| span.as_secs_f32() * 1_000.0);
        let spans = [
            timings.pool,
            timings.dns,
            timings.connect,
            timings.proxy,
            timings.tls,
            timings.send,
            timings.headers,
            None,
            timings.body,
            timings.total,
        ];
        for (nth, span) in spans.into_iter().enumerate() {
            record.set_bytes(response::TIMINGS + nth, &milliseconds(span).to_ne_bytes());
        }
        record.set(response::DELIVER, timings.done.map_or(0, |done| micros(done, epoch)));
        record.end();
        if external {
            self.bodies.push_back((id, handed(data)));
        }
        stream
    }

    /// Adds a piece of a response's body, of which so many bytes have come over the wire by now; with `headroom` it is the
    /// rest.
    pub(crate) fn piece(&mut self, id: Id, data: Data, wire: u64, headroom: Option<u32>) {
        let mut record = Record::begin(&mut self.records, completion::PIECE, id, flow::FIXED);
        let bytes = data.as_slice();
        let external = bytes.len() > INLINE_MOST;
        if !external {
            record.append(|out| out.extend_from_slice(bytes));
        }
        record.set(flow::BYTES, bytes.len() as u32);
        let rest = if headroom.is_some() { flow::REST } else { 0 };
        record.set(flow::FLAGS, rest | if external { response::EXTERNAL } else { 0 });
        record.set_bytes(flow::COUNT, &(wire as f64).to_ne_bytes());
        record.set(flow::FIRST, headroom.unwrap_or(0));
        record.end();
        if external {
            self.bodies.push_back((id, handed(data)));
        }
    }

    /// Adds the end of a response's body; `read` if it was reached.
    pub(crate) fn ended(&mut self, id: Id, ended: &Ended, read: bool) {
        let mut record = Record::begin(&mut self.records, completion::END, id, flow::FIXED);
        let trailers = record.append(|out| ended.trailers.iter().for_each(|trailers| push_fields(out, trailers)));
        record.set(flow::BYTES, trailers);
        record.set(flow::FLAGS, if read { flow::READ } else { 0 });
        record.set_bytes(flow::COUNT, &(ended.wire as f64).to_ne_bytes());
        let milliseconds = |span: Duration| span.as_secs_f32() * 1_000.0;
        record.set_bytes(flow::FIRST, &milliseconds(ended.body).to_ne_bytes());
        record.set_bytes(flow::SECOND, &milliseconds(ended.total).to_ne_bytes());
        record.end();
    }

    /// Adds that there is room for more of a request's body.
    pub(crate) fn want(&mut self, id: Id, bytes: u64) {
        let mut record = Record::begin(&mut self.records, completion::WANT, id, flow::FIXED);
        record.set_bytes(flow::COUNT, &(bytes as f64).to_ne_bytes());
        record.end();
    }

    /// Adds that what was taken of a response's body is to be told at once.
    pub(crate) fn press(&mut self, id: Id) {
        Record::begin(&mut self.records, completion::PRESS, id, flow::FIXED).end();
    }

    /// Adds how far a body has come.
    pub(crate) fn progress(&mut self, id: Id, way: Direction, bytes: u64, total: Option<u64>) {
        let mut record = Record::begin(&mut self.records, completion::PROGRESS, id, flow::FIXED);
        record.set(flow::FLAGS, if way == Direction::Up { flow::UP } else { 0 });
        record.set_bytes(flow::COUNT, &(bytes as f64).to_ne_bytes());
        record.set_bytes(flow::TOTAL, &total.map_or(f64::NAN, |total| total as f64).to_ne_bytes());
        record.end();
    }

    /// Adds that the request is out.
    pub(crate) fn sent(&mut self, id: Id) {
        let mut record = Record::begin(&mut self.records, completion::PROGRESS, id, flow::FIXED);
        record.set(flow::FLAGS, flow::UP | flow::SENT);
        record.end();
    }

    /// Adds an error; `streamed` if it ends a body whose response is there already.
    pub(crate) fn error(&mut self, id: Id, error: Error, streamed: bool) {
        let mut error = error;
        let json = error_text(&error);
        let partial = error.take_partial();
        let mut record = Record::begin(&mut self.records, completion::ERROR, id, notice::FIXED);
        let text = record.append(|out| push_json(out, &json));
        let external = partial.as_ref().is_some_and(|partial| partial.len() > INLINE_MOST);
        if let Some(partial) = &partial
            && !external
        {
            record.append(|out| out.extend_from_slice(partial));
        }
        record.set(notice::TEXT, text);
        let mut flags = if external { response::EXTERNAL } else { 0 };
        flags |= if streamed { response::STREAM } else { 0 };
        record.set(notice::FLAGS, flags);
        record.set(notice::PARTIAL, partial.as_ref().map_or(0, |partial| partial.len() as u32));
        record.set(notice::HAS_PARTIAL, u32::from(partial.is_some()));
        record.end();
        if external {
            self.bodies.extend(partial.map(|partial| (id, Handed::Owned(partial))));
        }
    }

    /// Adds a notice of any other kind.
    pub(crate) fn notice(&mut self, kind: u32, id: Id, json: &serde_json::Value) {
        let mut record = Record::begin(&mut self.records, kind, id, notice::FIXED);
        let text = record.append(|out| push_json(out, json));
        record.set(notice::TEXT, text);
        record.end();
    }
}

/// How many bytes of whole records fit, and how many of them end a call; fills in when they were delivered. It stops at a
/// record that does not add up.
pub(crate) fn take_records(from: &[u8], into: &mut [u8], now: u32) -> Taken {
    let mut taken = Taken::default();
    while let Some(record) = from.get(taken.bytes..).and_then(next_record) {
        let end = taken.bytes + record.len();
        let Some(copy) = into.get_mut(taken.bytes..end) else { break };
        copy.copy_from_slice(record);
        let kind = word(record, layout::KIND).unwrap_or(0);
        let ends_body = word(record, notice::FLAGS).unwrap_or(0) & response::STREAM != 0;
        match kind {
            completion::RESPONSE | completion::REPLY => taken.ended += 1,
            // A call whose body is still to come has ended with its head: what reads it holds the event loop by itself.
            completion::ERROR if !ends_body => taken.ended += 1,
            completion::PIECE if word(record, flow::FLAGS).unwrap_or(0) & response::EXTERNAL != 0 => {
                taken.external += u64::from(word(record, flow::BYTES).unwrap_or(0));
            }
            _ => {}
        }
        if kind == completion::RESPONSE {
            let ready = word(record, response::DELIVER).unwrap_or(now);
            let waited = now.wrapping_sub(ready) as f32 / 1_000.0;
            if let Some(deliver) = copy.get_mut(response::DELIVER * 4..response::DELIVER * 4 + 4) {
                deliver.copy_from_slice(&waited.to_ne_bytes());
            }
            let flags = word(record, response::FLAGS).unwrap_or(0);
            if flags & response::EXTERNAL != 0 {
                taken.external += u64::from(word(record, response::BODY).unwrap_or(0));
            }
        }
        taken.bytes = end;
        if taken.external > EXTERNAL_MOST {
            break;
        }
    }
    taken
}

/// The record at the beginning, whole.
fn next_record(from: &[u8]) -> Option<&[u8]> {
    let length = next_length(from);
    if length < notice::FIXED || !length.is_multiple_of(8) {
        return None;
    }
    from.get(..length)
}

/// What [`take_records`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Bytes copied.
    pub(crate) bytes: usize,
    /// Calls that ended with them.
    pub(crate) ended: u32,
    /// Bytes of bodies that travel beside them.
    pub(crate) external: u64,
}

/// Microseconds of the engine's clock; wraps after 71 minutes, which only a difference ever sees.
pub(crate) fn micros(at: Instant, epoch: Instant) -> u32 {
    at.saturating_duration_since(epoch).as_micros() as u32
}

/// The length of the record that comes next.
pub(crate) fn next_length(records: &[u8]) -> usize {
    word(records, layout::LENGTH).unwrap_or(0) as usize
}

/// Values are bytes end to end; neither they nor names can hold a line feed (RFC 9110 §5.5, and hyper refuses it).
fn push_fields(out: &mut Vec<u8>, headers: &http::HeaderMap) {
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.push(b'\n');
        out.extend_from_slice(value.as_bytes());
        out.push(b'\n');
    }
}

fn push_json(out: &mut Vec<u8>, json: &serde_json::Value) {
    // Writing into a Vec cannot fail, and our values have string keys.
    if serde_json::to_writer(&mut *out, json).is_err() {
        out.extend_from_slice(b"null");
    }
}

/// A record in the making at the end of a block.
struct Record<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
}

impl<'b> Record<'b> {
    fn begin(out: &'b mut Vec<u8>, kind: u32, id: Id, fixed: usize) -> Self {
        let start = out.len();
        out.resize(start + fixed, 0);
        let mut record = Self { out, start };
        record.set(layout::KIND, kind);
        record.set(layout::SLOT, id.slot);
        record.set(layout::GENERATION, id.generation);
        record
    }

    fn set(&mut self, at: usize, value: u32) {
        self.set_bytes(at, &value.to_ne_bytes());
    }

    fn set_bytes(&mut self, at: usize, bytes: &[u8]) {
        let at = self.start + at * 4;
        self.out[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Adds to the end; how many bytes that were.
    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let before = self.out.len();
        write(self.out);
        (self.out.len() - before) as u32
    }

    fn end(mut self) {
        let length = layout::align(self.out.len() - self.start);
        self.out.resize(self.start + length, 0);
        self.set(layout::LENGTH, length as u32);
    }
}

/// What is large enough is handed over as it is. A small part of one of hyper's buffers would hold all of it.
fn handed(data: Data) -> Handed {
    match data {
        Data::Owned(bytes) => Handed::Owned(bytes),
        Data::Shared(bytes) if bytes.len() < LEAST_SHARED => Handed::Owned(bytes.to_vec()),
        Data::Shared(bytes) => Handed::Shared(bytes),
    }
}

/// Bytes that every submission has, whatever its kind.
const LEAST_LENGTH: usize = request::FIXED;
/// Larger bodies are handed over instead of copied (ARCHITECTURE.md, "Large bodies").
pub(crate) const INLINE_MOST: usize = 16 * 1024;
/// Bytes of bodies handed over in one drain: V8 frees them only between turns of the event loop.
pub(crate) const EXTERNAL_MOST: u64 = 64 * 1024 * 1024;
/// Bytes of a part of a buffer that is handed over without being copied.
const LEAST_SHARED: usize = 64 * 1024;
