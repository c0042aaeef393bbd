//! Where the parts of a record lie: the only source. `describe()` hands this table to the generator of the facade's
//! twin (`facade/boundary/generated.ts`), and a check compares the two.
//!
//! Every record begins on an 8-byte boundary with four 32-bit words: its length in bytes (a multiple of 8), its kind,
//! and the id of the call, whose two halves are a slot and that slot's generation, so that no id is ever used twice.
//! Numbers are in the machine's own byte order, which both sides share.

/// Word of the record's length in bytes.
pub(crate) const LENGTH: usize = 0;
/// Word of its kind.
pub(crate) const KIND: usize = 1;
/// Word of the call's slot.
pub(crate) const SLOT: usize = 2;
/// Word of the slot's generation.
pub(crate) const GENERATION: usize = 3;
/// Word of the pool's handle in every submission.
pub(crate) const POOL: usize = 4;

/// What JavaScript submits.
pub(crate) mod submission {
    /// A request.
    pub(crate) const REQUEST: u32 = 1;
    /// The caller's signal fired.
    pub(crate) const ABORT: u32 = 2;
    /// Open connections.
    pub(crate) const WARM: u32 = 3;
    /// Close a pool.
    pub(crate) const CLOSE: u32 = 4;
    /// Nobody holds the pool any more.
    pub(crate) const FORGET: u32 = 5;
    /// So many more bytes of a response's body may come; its reading has begun.
    pub(crate) const GRANT: u32 = 6;
    /// All that is left of a response's body, in one block behind so many free bytes.
    pub(crate) const REST: u32 = 7;
    /// Read and drop what is left of a response's body.
    pub(crate) const DRAIN: u32 = 8;
    /// Nobody will read the response's body; a small rest may be drained.
    pub(crate) const RELEASE: u32 = 9;
    /// Nobody will read the response's body; its connection is closed.
    pub(crate) const SHUT: u32 = 10;
    /// A piece of the request's body.
    pub(crate) const PIECE: u32 = 11;
    /// The request's body has ended.
    pub(crate) const FINISH: u32 = 12;
    /// The source of the request's body has failed; why, as text.
    pub(crate) const BREAK: u32 = 13;
    /// Nobody can read the response's body any more: who could was collected.
    pub(crate) const FORSAKE: u32 = 14;
    /// The answer to the question whose number is in the slot's place, as JSON.
    pub(crate) const ANSWER: u32 = 15;
}

/// A request's words.
pub(crate) mod request {
    /// See the flags below; the low byte is the method's place in [`METHODS`], 0 for one that is spelled out.
    pub(crate) const FLAGS: usize = 5;
    /// Bytes of the URL.
    pub(crate) const URL: usize = 6;
    /// Bytes of a spelled-out method.
    pub(crate) const METHOD: usize = 7;
    /// Header lines.
    pub(crate) const LINES: usize = 8;
    /// Pairs for the query.
    pub(crate) const FIELDS: usize = 9;
    /// Bytes of the body.
    pub(crate) const BODY: usize = 10;
    /// Bytes of the limits, as JSON.
    pub(crate) const LIMITS: usize = 11;
    /// Doubles from here on (counted in words): connect, read, total, poolTimeout; milliseconds, NaN for none.
    pub(crate) const CONNECT: usize = 12;
    /// See [`CONNECT`].
    pub(crate) const READ: usize = 14;
    /// See [`CONNECT`].
    pub(crate) const TOTAL: usize = 16;
    /// See [`CONNECT`]. `close` has its time-out here too, and a grant the bytes that were taken since the last one. `warm`,
    /// a grant and the rest have their number in [`URL`], a piece and a break the bytes of what follows.
    pub(crate) const POOL_TIMEOUT: usize = 18;
    /// Bytes of the call's own `Retry`, as JSON.
    pub(crate) const RETRIES: usize = 20;
    /// Bytes of the URL of the call's own proxy.
    pub(crate) const PROXY: usize = 21;
    /// Bytes of the fixed part.
    pub(crate) const FIXED: usize = 88;

    /// The caller brought headers of his own.
    pub(crate) const HAS_HEADERS: u32 = 1 << 8;
    /// There is a body, if only an empty one.
    pub(crate) const HAS_BODY: u32 = 1 << 9;
    /// Frame by chunks.
    pub(crate) const CHUNKED: u32 = 1 << 10;
    /// `assertSameHost: false`.
    pub(crate) const ANY_HOST: u32 = 1 << 11;
    /// `decodeContent: false`.
    pub(crate) const RAW: u32 = 1 << 12;
    /// `enforceContentLength: false`.
    pub(crate) const ANY_LENGTH: u32 = 1 << 13;
    /// The caller may abort.
    pub(crate) const ABORTABLE: u32 = 1 << 14;
    /// The three time-outs are given.
    pub(crate) const HAS_TIMEOUT: u32 = 1 << 15;
    /// The pool's time-out is given.
    pub(crate) const HAS_POOL_TIMEOUT: u32 = 1 << 16;
    /// The body is JSON.
    pub(crate) const JSON: u32 = 1 << 17;
    /// `preloadContent: false`: the response's body comes in pieces.
    pub(crate) const STREAM: u32 = 1 << 18;
    /// With [`STREAM`]: the pieces become one block after all, so that its limits hold.
    pub(crate) const STREAM_WHOLE: u32 = 1 << 19;
    /// With [`STREAM`]: nothing of the body before it is granted.
    pub(crate) const STREAM_ASKS: u32 = 1 << 20;
    /// The request's body comes in pieces; in its place stands their sum, a double, NaN where it is not known.
    pub(crate) const PIECES: u32 = 1 << 21;
    /// The caller wants to hear of progress.
    pub(crate) const PROGRESS: u32 = 1 << 22;
    /// `redirect: false`.
    pub(crate) const STAY: u32 = 1 << 23;
    /// Questions: a cookie jar's, those of a gate before each attempt, the verdicts of the caller's own `Retry`.
    pub(crate) const ASK_COOKIES: u32 = 1 << 24;
    /// See [`ASK_COOKIES`].
    pub(crate) const ASK_GATE: u32 = 1 << 25;
    /// See [`ASK_COOKIES`].
    pub(crate) const ASK_VERDICT: u32 = 1 << 26;

    /// The caller wants to hear when the request is out.
    pub(crate) const TELLS_SENT: u32 = 1 << 27;
    /// `proxy: false`: none, whatever the manager has.
    pub(crate) const DIRECT: u32 = 1 << 28;

    /// A header line whose value has this length is left out (`SKIP_HEADER`).
    pub(crate) const SKIP: u32 = u32::MAX;

    /// Methods that need no spelling; the first stands for all others.
    pub(crate) const METHODS: [&str; 10] =
        ["", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
}

/// What the core completes.
pub(crate) mod completion {
    /// A response.
    pub(crate) const RESPONSE: u32 = 1;
    /// An error.
    pub(crate) const ERROR: u32 = 2;
    /// The answer to `warm` or `close`.
    pub(crate) const REPLY: u32 = 3;
    /// A connection was made; facts as JSON.
    pub(crate) const OPENED: u32 = 4;
    /// A connection is gone.
    pub(crate) const CLOSED: u32 = 5;
    /// Something that a person should hear of; as JSON.
    pub(crate) const WARNING: u32 = 6;
    /// A piece of a response's body.
    pub(crate) const PIECE: u32 = 7;
    /// A response's body has ended.
    pub(crate) const END: u32 = 8;
    /// There is room for more of the request's body.
    pub(crate) const WANT: u32 = 9;
    /// How far a body has come.
    pub(crate) const PROGRESS: u32 = 10;
    /// A response's body stands still until what lies around of it is taken: tell of that at once.
    pub(crate) const PRESS: u32 = 11;
    /// A question to the caller, as JSON; the call waits.
    pub(crate) const QUESTION: u32 = 12;
    /// A host is paused; as JSON. In the slot's place stands the handle of whoever pauses it.
    pub(crate) const PAUSED: u32 = 13;
}

/// The words of what a call tells between its beginning and its end.
pub(crate) mod flow {
    /// Bytes of what follows: a piece's, or the trailers'.
    pub(crate) const BYTES: usize = 4;
    /// See the response's [`super::response::EXTERNAL`], and the flags below.
    pub(crate) const FLAGS: usize = 5;
    /// A double: bytes of the body on the wire so far; those wanted; those that have gone.
    pub(crate) const COUNT: usize = 6;
    /// Of the rest: the bytes before it that are free. Of the end: a float, milliseconds from the head.
    pub(crate) const FIRST: usize = 8;
    /// Of the end: a float, milliseconds of the whole call.
    pub(crate) const SECOND: usize = 9;
    /// Of progress, a double in place of both: the bytes in all, NaN where that is not known.
    pub(crate) const TOTAL: usize = 8;
    /// Bytes of the fixed part.
    pub(crate) const FIXED: usize = 40;

    /// Bytes of a response's body that come before anybody has asked for them, so that a small one is there with its head.
    pub(crate) const UNASKED: u32 = 64 * 1024;

    /// Bytes that a piece counts for at least, in either direction: a small one costs far more memory than it has bytes.
    pub(crate) const LEAST: u32 = ferropool_core::client::line::LEAST as u32;

    /// The piece is the rest that was asked for.
    pub(crate) const REST: u32 = 1 << 8;
    /// The end was reached by reading.
    pub(crate) const READ: u32 = 1 << 9;
    /// Progress of the request's body; of the response's otherwise.
    pub(crate) const UP: u32 = 1 << 10;
    /// No progress, but that the whole request is out.
    pub(crate) const SENT: u32 = 1 << 11;
}

/// A response's words.
pub(crate) mod response {
    /// Status; the version (10, 11, 20) in the upper half.
    pub(crate) const STATUS: usize = 4;
    /// See the flags below.
    pub(crate) const FLAGS: usize = 5;
    /// Exchanges of the final hop.
    pub(crate) const ATTEMPTS: usize = 6;
    /// Bytes of the head: the reason, then names and values in turn, a line feed after each.
    pub(crate) const HEAD: usize = 7;
    /// Bytes of the body; it lies in the record unless [`EXTERNAL`] is set.
    pub(crate) const BODY: usize = 8;
    /// The connection's number.
    pub(crate) const CONNECTION: usize = 9;
    /// Bytes of the trailers: names and values in turn.
    pub(crate) const TRAILERS: usize = 10;
    /// Bytes of what else there is to say, as JSON: the defects, and what happened before.
    pub(crate) const NOTES: usize = 11;
    /// Body bytes on the wire, a double; of a body in pieces those announced, NaN for none.
    pub(crate) const WIRE: usize = 12;
    /// Ten floats: pool, dns, connect, proxy, tls, send, headers, deliver, body, total; milliseconds, NaN for "did not
    /// happen".
    pub(crate) const TIMINGS: usize = 14;
    /// The one of them that is filled in when the record is taken; until then the microseconds of the engine's clock.
    pub(crate) const DELIVER: usize = 21;
    /// Bytes of the fixed part.
    pub(crate) const FIXED: usize = 96;

    /// Framed by chunks.
    pub(crate) const CHUNKED: u32 = 1;
    /// The connection had carried an exchange before.
    pub(crate) const REUSED: u32 = 2;
    /// The body is the next one that `takeBody` gives.
    pub(crate) const EXTERNAL: u32 = 4;
    /// The peer gave a reason phrase, if only an empty one.
    pub(crate) const REASON: u32 = 8;
    /// The body comes in pieces. Of an error: it ends such a body.
    pub(crate) const STREAM: u32 = 16;
}

/// The words of everything else that completes: a JSON text, for an error with what was received of the body.
pub(crate) mod notice {
    /// Bytes of the JSON text, or a connection's number.
    pub(crate) const TEXT: usize = 4;
    /// See the response's flags ([`super::response::EXTERNAL`]).
    pub(crate) const FLAGS: usize = 5;
    /// Bytes of the partial body.
    pub(crate) const PARTIAL: usize = 6;
    /// 1 if there is a partial body, if only an empty one.
    pub(crate) const HAS_PARTIAL: usize = 7;
    /// Bytes of the fixed part.
    pub(crate) const FIXED: usize = 32;
}

/// Rounds up to the next record boundary.
pub(crate) const fn align(length: usize) -> usize {
    (length + 7) & !7
}

/// The table as JSON, for the generator and for the check.
pub(crate) fn describe() -> serde_json::Value {
    use ferropool_policy::error::{Kind, Phase};
    use ferropool_policy::retry;
    use serde_json::json;

    // By itself: the macro recurses with each name.
    let request = json!({
        "FLAGS": request::FLAGS, "URL": request::URL, "METHOD": request::METHOD, "LINES": request::LINES,
        "FIELDS": request::FIELDS, "BODY": request::BODY, "LIMITS": request::LIMITS, "CONNECT": request::CONNECT,
        "READ": request::READ, "TOTAL": request::TOTAL, "POOL_TIMEOUT": request::POOL_TIMEOUT,
        "FIXED": request::FIXED, "HAS_HEADERS": request::HAS_HEADERS, "HAS_BODY": request::HAS_BODY,
        "CHUNKED": request::CHUNKED, "ANY_HOST": request::ANY_HOST, "RAW": request::RAW,
        "ANY_LENGTH": request::ANY_LENGTH, "ABORTABLE": request::ABORTABLE, "HAS_TIMEOUT": request::HAS_TIMEOUT,
        "HAS_POOL_TIMEOUT": request::HAS_POOL_TIMEOUT, "JSON": request::JSON, "SKIP": request::SKIP,
        "STREAM": request::STREAM, "STREAM_WHOLE": request::STREAM_WHOLE, "STREAM_ASKS": request::STREAM_ASKS,
        "PIECES": request::PIECES, "PROGRESS": request::PROGRESS, "RETRIES": request::RETRIES, "STAY": request::STAY,
        "ASK_COOKIES": request::ASK_COOKIES, "ASK_GATE": request::ASK_GATE, "ASK_VERDICT": request::ASK_VERDICT,
        "TELLS_SENT": request::TELLS_SENT, "PROXY": request::PROXY, "DIRECT": request::DIRECT,
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        // Kept in one piece, so that it can be read from the file without loading it.
        "target": std::hint::black_box(option_env!("FERROPOOL_TARGET").unwrap_or_default()),
        // A list: serde knows arrays of 32 items at most.
        "errors": Kind::ALL.map(|kind| json!({
            "code": kind.code(),
            "className": kind.class(),
            "retried": retry::class_of(kind).map(retry::Class::name),
        })).to_vec(),
        "phases": Phase::ALL.map(Phase::name),
        "record": { "LENGTH": LENGTH, "KIND": KIND, "SLOT": SLOT, "GENERATION": GENERATION, "POOL": POOL },
        "submission": {
            "REQUEST": submission::REQUEST, "ABORT": submission::ABORT, "WARM": submission::WARM,
            "CLOSE": submission::CLOSE, "FORGET": submission::FORGET, "GRANT": submission::GRANT,
            "REST": submission::REST, "DRAIN": submission::DRAIN, "RELEASE": submission::RELEASE,
            "SHUT": submission::SHUT, "PIECE": submission::PIECE, "FINISH": submission::FINISH,
            "BREAK": submission::BREAK, "FORSAKE": submission::FORSAKE, "ANSWER": submission::ANSWER,
        },
        "request": request,
        "methods": request::METHODS,
        "completion": {
            "RESPONSE": completion::RESPONSE, "ERROR": completion::ERROR, "REPLY": completion::REPLY,
            "OPENED": completion::OPENED, "CLOSED": completion::CLOSED, "WARNING": completion::WARNING,
            "PIECE": completion::PIECE, "END": completion::END, "WANT": completion::WANT,
            "PROGRESS": completion::PROGRESS, "PRESS": completion::PRESS, "QUESTION": completion::QUESTION,
            "PAUSED": completion::PAUSED,
        },
        "flow": {
            "BYTES": flow::BYTES, "FLAGS": flow::FLAGS, "COUNT": flow::COUNT, "FIRST": flow::FIRST,
            "SECOND": flow::SECOND, "TOTAL": flow::TOTAL, "FIXED": flow::FIXED, "REST": flow::REST, "READ": flow::READ,
            "UP": flow::UP, "SENT": flow::SENT, "UNASKED": flow::UNASKED, "LEAST": flow::LEAST,
        },
        "response": {
            "STATUS": response::STATUS, "FLAGS": response::FLAGS, "ATTEMPTS": response::ATTEMPTS,
            "HEAD": response::HEAD, "BODY": response::BODY, "CONNECTION": response::CONNECTION,
            "TRAILERS": response::TRAILERS, "NOTES": response::NOTES, "WIRE": response::WIRE,
            "TIMINGS": response::TIMINGS, "FIXED": response::FIXED, "CHUNKED": response::CHUNKED,
            "REUSED": response::REUSED, "EXTERNAL": response::EXTERNAL, "REASON": response::REASON,
            "STREAM": response::STREAM,
        },
        "notice": {
            "TEXT": notice::TEXT, "FLAGS": notice::FLAGS, "PARTIAL": notice::PARTIAL,
            "HAS_PARTIAL": notice::HAS_PARTIAL, "FIXED": notice::FIXED,
        },
    })
}
