//! Records to plain data and back. Nothing here trusts a length: a record that does not add up is refused, never read
//! past its end (the fuzz target `marshal` and its seeds).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferropool_core::client::request::{Line, Request};
use ferropool_core::client::response::{Data, Response};
use ferropool_policy::error::{Error, Fields};
use ferropool_policy::settings::{Limits, Timeouts, wait};

use super::layout::{self, completion, notice, request, response, submission};

/// A call's id: unique in an engine's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    /// Where JavaScript keeps the call.
    pub(crate) slot: u32,
    /// How often the slot has been used before.
    pub(crate) generation: u32,
}

/// What JavaScript wants.
#[derive(Debug)]
pub(crate) enum Submission {
    /// A call on a pool; `abortable` if a signal came with it.
    Request { id: Id, pool: u32, request: Box<Request>, abortable: bool },
    /// The call is not wanted any more.
    Abort { id: Id },
    /// Open so many connections.
    Warm { id: Id, pool: u32, count: u32 },
    /// Close the pool within this span.
    Close { id: Id, pool: u32, timeout: Option<Duration> },
    /// Nobody holds the pool.
    Forget { pool: u32 },
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
            let request = Box::new(request_of(record, flags, at)?);
            Submission::Request { id, pool, request, abortable: flags & request::ABORTABLE != 0 }
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
        _ => return None,
    })
}

fn request_of(record: &Bytes, flags: u32, at: Instant) -> Option<Request> {
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
        made.body = Some(rest.bytes(word(record, request::BODY)?)?);
    }
    if flags & request::JSON != 0 {
        made.content_type = Some("application/json");
    }
    let limits = rest.bytes(word(record, request::LIMITS)?)?;
    if !limits.is_empty() {
        made.limits = Some(serde_json::from_slice::<Limits>(&limits).ok()?);
    }
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
    pub(crate) bodies: VecDeque<(Id, Vec<u8>)>,
}

impl Block {
    /// Adds a response.
    pub(crate) fn response(&mut self, id: Id, made: Box<Response>, epoch: Instant) {
        let made = *made;
        let mut record = Record::begin(&mut self.records, completion::RESPONSE, id, response::FIXED);
        let body = made.data.as_slice();
        let external = body.len() > INLINE_MOST;
        let mut flags = 0;
        let mut set = |on: bool, flag: u32| flags |= if on { flag } else { 0 };
        set(made.chunked, response::CHUNKED);
        set(made.reused, response::REUSED);
        set(external, response::EXTERNAL);
        set(made.reason.is_some(), response::REASON);
        let head = record.append(|out| {
            out.extend_from_slice(made.reason.as_deref().unwrap_or_default());
            out.push(b'\n');
            push_fields(out, &made.headers);
        });
        let trailers = record.append(|out| made.trailers.iter().for_each(|trailers| push_fields(out, trailers)));
        let defects = record.append(|out| {
            if !made.defects.is_empty() {
                push_json(out, &serde_json::json!(made.defects));
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
        record.set(response::DEFECTS, defects);
        record.set_bytes(response::WIRE, &(made.body_bytes as f64).to_ne_bytes());
        let timings = made.timings;
        let milliseconds = |span: Option<Duration>| span.map_or(f32::NAN, |span| span.as_secs_f32() * 1_000.0);
        let spans = [
            timings.pool,
            timings.dns,
            timings.connect,
            None,
            None,
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
            let body = match made.data {
                Data::Owned(bytes) => bytes,
                Data::Shared(bytes) => bytes.to_vec(),
            };
            self.bodies.push_back((id, body));
        }
    }

    /// Adds an error.
    pub(crate) fn error(&mut self, id: Id, error: Error) {
        let json = error_json(error.fields());
        let mut error = error;
        let partial = error.fields_mut().extra.partial.take();
        let mut record = Record::begin(&mut self.records, completion::ERROR, id, notice::FIXED);
        let text = record.append(|out| push_json(out, &json));
        let external = partial.as_ref().is_some_and(|partial| partial.len() > INLINE_MOST);
        if let Some(partial) = &partial
            && !external
        {
            record.append(|out| out.extend_from_slice(partial));
        }
        record.set(notice::TEXT, text);
        record.set(notice::FLAGS, if external { response::EXTERNAL } else { 0 });
        record.set(notice::PARTIAL, partial.as_ref().map_or(0, |partial| partial.len() as u32));
        record.set(notice::HAS_PARTIAL, u32::from(partial.is_some()));
        record.end();
        if external {
            self.bodies.extend(partial.map(|partial| (id, partial)));
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
        if matches!(kind, completion::RESPONSE | completion::ERROR | completion::REPLY) {
            taken.ended += 1;
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

fn error_json(fields: &Fields) -> serde_json::Value {
    let Fields { kind, phase, message, host, attempts, elapsed, sent, extra, causes } = fields;
    serde_json::json!({
        "className": kind.class(),
        "code": kind.code(),
        "phase": phase.map(ferropool_policy::error::Phase::name),
        "during": extra.during.map(ferropool_policy::error::Phase::name),
        "message": message,
        "host": host,
        "attempts": attempts,
        "elapsed": elapsed.as_secs_f64() * 1_000.0,
        "sent": sent,
        "reason": extra.reason,
        "limit": extra.limit.map(|(name, _)| name),
        "allowed": extra.limit.map(|(_, allowed)| allowed),
        "partial": null,
        "expected": extra.expected,
        "causes": causes.iter().map(|cause| serde_json::json!({
            "code": cause.code, "message": cause.message, "address": cause.address,
        })).collect::<Vec<_>>(),
    })
}

/// The record of an error that never reached the queues: a pool that cannot be made, a URL that cannot be parsed.
pub(crate) fn error_text(error: &Error) -> serde_json::Value {
    error_json(error.fields())
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

/// Bytes that every submission has, whatever its kind.
const LEAST_LENGTH: usize = request::FIXED;
/// Larger bodies are handed over instead of copied (ARCHITECTURE.md, "Large bodies").
pub(crate) const INLINE_MOST: usize = 16 * 1024;
/// Bytes of bodies handed over in one drain: V8 frees them only between turns of the event loop.
pub(crate) const EXTERNAL_MOST: u64 = 64 * 1024 * 1024;
