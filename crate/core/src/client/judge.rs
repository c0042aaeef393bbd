//! What a response's head means: how its body is framed, whether its connection may be kept, what leniency had to
//! tolerate. Pure over hyper's parse and the tap's record of the same head.

use ferropool_policy::error::{Error, Kind, Phase, quote};
use ferropool_policy::keepalive::{self, Hint};
use ferropool_policy::ledger::Discard;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, SET_COOKIE, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::{Method, StatusCode, Version};

use crate::conn::head::HeadScan;

/// The verdict on a head.
#[derive(Debug)]
pub(super) struct Judgement {
    /// Nothing in the head speaks against using the connection again.
    pub(super) keep: bool,
    /// What the server said about keeping it.
    pub(super) hint: Hint,
    /// Framed by chunks.
    pub(super) chunked: bool,
    /// The announced length of the body on the wire.
    pub(super) length: Option<u64>,
    /// Transfer codings under `chunked`, to be undone first.
    pub(super) transfer_codings: Vec<Vec<u8>>,
    /// What leniency tolerated, a line each.
    pub(super) defects: Vec<String>,
}

impl Judgement {
    /// What speaks against using the connection again, if anything does; `close` if the request asked for its end.
    pub(super) fn against(&self, close: bool) -> Option<Discard> {
        match () {
            () if !self.defects.is_empty() => Some(Discard::Repaired),
            () if close || !self.keep => Some(Discard::NotReusable),
            () => None,
        }
    }
}

/// Judges a head that came over HTTP/2, whose library has refused what is malformed (RFC 9113 §8.2). Whether the
/// connection lives on is not for one response to say.
pub(super) fn judge_stream(headers: &HeaderMap) -> Judgement {
    Judgement {
        keep: true,
        hint: Hint::default(),
        chunked: false,
        length: headers.get(CONTENT_LENGTH).and_then(|value| content_length(value.as_bytes())),
        transfer_codings: Vec::new(),
        defects: Vec::new(),
    }
}

/// Judges a head; removes a Content-Length that chunks overrule (RFC 9112 §6.3).
pub(super) fn judge(
    method: &Method,
    status: StatusCode,
    version: Version,
    headers: &mut HeaderMap,
    scan: &HeadScan,
) -> Result<Judgement, Error> {
    let parsed = headers.len();
    let options = |name| headers.get_all(name).iter().map(http::HeaderValue::as_bytes);
    // An old proxy's `close` counts; its `keep-alive` does not, since hyper keeps nothing open for it.
    let mut keep = keepalive::may_persist(version == Version::HTTP_11, options(CONNECTION))
        && keepalive::may_persist(true, options(HeaderName::from_static("proxy-connection")));
    let bodiless = is_bodiless(method, status);
    let mut chunked = false;
    let mut length = None;
    let mut transfer_codings = Vec::new();
    if headers.contains_key(TRANSFER_ENCODING) {
        let mut codings: Vec<Vec<u8>> = headers
            .get_all(TRANSFER_ENCODING)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&b| b == b','))
            .map(|coding| coding.trim_ascii().to_ascii_lowercase())
            .collect();
        chunked = codings.last().is_some_and(|coding| coding == b"chunked");
        let with_length = headers.contains_key(CONTENT_LENGTH);
        if chunked {
            codings.pop();
            codings.retain(|coding| !coding.is_empty() && coding != b"identity");
            if codings.iter().any(|coding| coding == b"chunked") {
                return Err(protocol("the response is chunked twice", "ERR_TRANSFER_CODING"));
            }
            transfer_codings = codings;
            if with_length {
                headers.remove(CONTENT_LENGTH);
                keep = false;
            }
        } else if !bodiless {
            if with_length {
                return Err(protocol(
                    "the response has a Content-Length and a Transfer-Encoding that is not chunked",
                    "ERR_TRANSFER_CODING",
                ));
            }
            keep = false;
        }
    } else if let Some(value) = headers.get(CONTENT_LENGTH) {
        length = content_length(value.as_bytes());
        if !bodiless && length.is_some_and(|length| length > MOST_LENGTH) {
            return Err(protocol("the response has a Content-Length that no body can have", "ERR_CONTENT_LENGTH"));
        }
    } else if !bodiless {
        // Framed by the end of the stream.
        keep = false;
    }
    if matches!(status.as_u16(), 401 | 407) && binds_connection(headers) {
        keep = false;
    }
    let defects = defects(parsed, scan);
    // hyper's read buffer stays as large as the head was: such a connection would hold it while it is idle.
    let large = scan.bytes().len() > LARGE_HEAD;
    if !defects.is_empty() || scan.mixed_line_ends() || scan.leading_blank() > 0 || large {
        keep = false;
    }
    let hint = headers
        .get_all(HeaderName::from_static("keep-alive"))
        .iter()
        .fold(Hint::default(), |hint, value| hint.tighten(keepalive::parse(value.as_bytes())));
    Ok(Judgement { keep, hint, chunked, length, transfer_codings, defects })
}

/// RFC 9112 §6.3: no body, whatever the head says.
pub(super) fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD || matches!(status.as_u16(), 204 | 304)
}

/// RFC 9110 §6.5.1: what decides framing, routing, authentication or the meaning of the body does not belong into
/// trailers; dropped, never merged.
pub(super) fn filter_trailers(trailers: &mut HeaderMap) {
    const NEVER: [&str; 22] = [
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "location",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "www-authenticate",
    ];
    if trailers.is_empty() {
        return;
    }
    for name in NEVER {
        trailers.remove(name);
    }
    debug_assert!(!trailers.contains_key(SET_COOKIE));
}

/// The protocol's library has refused differing and malformed ones already; a list of equal ones counts once (RFC 9110 §8.6).
fn content_length(value: &[u8]) -> Option<u64> {
    let first = value.split(|&b| b == b',').next()?.trim_ascii();
    std::str::from_utf8(first).ok()?.parse().ok()
}

/// NTLM and Negotiate authenticate the connection, not the request (THR-324).
fn binds_connection(headers: &HeaderMap) -> bool {
    let of = |name: HeaderName| headers.get_all(name).into_iter();
    of(WWW_AUTHENTICATE).chain(of(http::header::PROXY_AUTHENTICATE)).any(|value| {
        // Several challenges may share a line; a parameter that looks like one costs a connection, no more.
        value.as_bytes().split(|&b| b == b',').any(|challenge| {
            let scheme = challenge.trim_ascii().split(|&b| b == b' ').next().unwrap_or(&[]);
            scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
        })
    })
}

/// Lines that hyper joined, repaired or dropped without a word. Empty in the usual case, which costs two comparisons.
fn defects(parsed: usize, scan: &HeadScan) -> Vec<String> {
    let dropped = (scan.fields() as usize).saturating_sub(parsed);
    if dropped == 0 && !scan.folded() && !scan.spaced() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut lines = scan.field_lines().peekable();
    while let Some(fold) = lines.next_if(|line| is_fold(line)) {
        found.push(said("fold before the first field dropped", fold));
    }
    while let Some(line) = lines.next() {
        let folds: Vec<&[u8]> = std::iter::from_fn(|| lines.next_if(|line| is_fold(line))).collect();
        let (name, value) = match memchr::memchr(b':', line) {
            None => (line, None),
            Some(colon) => (&line[..colon], Some(&line[colon + 1..])),
        };
        let trimmed = name.trim_ascii_end();
        let control = |value: &[u8]| value.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f);
        // A value that is dropped is not shown: what holds control characters is often a cookie.
        let dropped = match value {
            None => Some(said("line without a colon dropped", line)),
            Some(_) if HeaderName::from_bytes(trimmed).is_err() => {
                Some(said("line with an unusable name dropped", line))
            }
            Some(value) if control(value) || folds.iter().any(|fold| control(fold)) => {
                Some(said("line with a control character dropped", name))
            }
            Some(_) => None,
        };
        if let Some(dropped) = dropped {
            found.push(dropped);
            continue;
        }
        if trimmed.len() < name.len() {
            found.push(said("blank before the colon ignored", name));
        }
        found.extend(folds.iter().map(|fold| said("folded line joined", fold)));
    }
    if found.is_empty() && dropped > 0 {
        found.push(format!("{dropped} unusable lines dropped"));
    }
    if found.len() > MOST_DEFECTS {
        let more = found.len() - MOST_DEFECTS;
        found.truncate(MOST_DEFECTS);
        found.push(format!("{more} more"));
    }
    found
}

fn is_fold(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

fn said(what: &str, line: &[u8]) -> String {
    format!("{what}: '{}'", quote(line))
}

fn protocol(message: &str, reason: &'static str) -> Error {
    Error::new(Kind::Protocol, format!("Connection aborted: {message}")).with_reason(reason).in_phase(Phase::Headers)
}

/// Beyond this a length is an attack or a mistake; other parsers read it as negative.
const MOST_LENGTH: u64 = i64::MAX as u64;

/// Lines of `response.defects`: a head of nothing else would make more text than it has bytes.
const MOST_DEFECTS: usize = 64;
/// Bytes of a head beyond which its connection is not kept.
const LARGE_HEAD: usize = 64 * 1024;
