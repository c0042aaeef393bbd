//! From hyper's errors to ours, by their types and by what the tap counted; never by their text.

use std::io;

use ferropool_policy::error::{Cause, Error, Kind, Phase, quote};

use super::upload::Source;
use super::way::StreamWay;
use crate::conn::errors::{aborted, broken, h2_says, io_of, says};
use crate::conn::tap::Tap;
use crate::tls;

/// What ended the wait for a head.
pub(super) fn of_head(error: &hyper::Error, tap: &Tap, source: Option<&Source>) -> Error {
    if let Some(failure) = source.and_then(Source::failure) {
        return failure;
    }
    if let Some(breach) = tap.breach() {
        return breach;
    }
    let unsent = source.is_some_and(|source| !source.is_handed());
    let sending = unsent || tap.write_blocked() || tap.written() == 0;
    let phase = if sending { Phase::Send } else { Phase::Headers };
    let ended = |why: Cause| aborted(Kind::Protocol, why).in_phase(phase);
    if let Some(error) = io_of(error).and_then(tls::failure_of) {
        return error.in_phase(phase);
    }
    if let Some(io) = io_of(error).filter(|io| io.kind() != io::ErrorKind::UnexpectedEof) {
        return ended(Cause::from_io(io));
    }
    if let Some(io) = &*tap.unwritable()
        && tap.read() == 0
    {
        return ended(Cause::from_io(io));
    }
    if error.is_parse() {
        let scan = tap.scan();
        let line = quote(scan.status_line());
        let hint = other_protocol(scan.status_line(), tap.is_tls());
        return ended(Cause::said(format!("{} in the response that begins with '{line}'{hint}", says(error))));
    }
    if error.is_incomplete_message() || tap.eof() {
        return if tap.read() == 0 {
            ended(Cause::said("the peer closed the connection without a response"))
        } else {
            ended(Cause::said("the peer closed the connection inside the response's head"))
                .with_reason("ERR_INCOMPLETE_HEAD")
        };
    }
    ended(Cause::said(says(error)))
}

/// What a peer speaks that does not speak HTTP/1, where its first bytes say so: an alert of TLS (RFC 8446 §5.1), or the
/// SETTINGS that HTTP/2 begins with (RFC 9113 §4.1).
fn other_protocol(start: &[u8], over_tls: bool) -> &'static str {
    match start {
        [0x15, 0x03, ..] if !over_tls => "; the peer speaks TLS: ask for an https: URL",
        [0, _, _, 0x04, ..] if over_tls => "; the peer speaks HTTP/2: set http2 to true",
        [0, _, _, 0x04, ..] => "; the peer speaks HTTP/2: set http2 to 'prior-knowledge'",
        _ => "",
    }
}

/// What ended a stream before its response's head.
pub(super) fn of_stream(error: &h2::Error, way: &StreamWay, source: Option<&Source>) -> Error {
    if let Some(failure) = source.and_then(Source::failure) {
        return failure;
    }
    if let Some(breach) = way.tap.breach() {
        return breach.in_phase(Phase::Headers);
    }
    let cause = || Cause::said(h2_says(error));
    let because = |reason: &'static str, message: String| {
        Error::new(Kind::Protocol, message).with_reason(reason).in_phase(Phase::Headers)
    };
    let ended = |reason: &'static str, why| aborted(Kind::Protocol, why).with_reason(reason).in_phase(Phase::Headers);
    if let Some(unprocessed) = unprocessed(error) {
        return unprocessed;
    }
    if let Some(io) = error.get_io() {
        let gone = tls::failure_of(io).map(|error| error.in_phase(Phase::Headers));
        let mut error = gone.unwrap_or_else(|| ended("ERR_H2_CONNECTION", Cause::from_io(io)));
        if way.is_unwritten() && error.kind() == Kind::Protocol {
            // The connection was over before the stream could begin.
            error =
                aborted(Kind::Unprocessed, Cause::from_io(io)).with_reason("ERR_H2_CONNECTION").in_phase(Phase::Send);
        }
        return error;
    }
    if error.is_reset() && error.is_remote() {
        let message = format!("Connection aborted: the peer reset the stream ({})", code_of(error));
        return because("ERR_H2_RESET", message).caused_by(cause());
    }
    if error.is_reset() && error.is_library() {
        let said = format!("the response's head is malformed, or far beyond 'headerBytes': {}", h2_says(error));
        return ended("ERR_H2_STREAM", Cause::said(said));
    }
    // "HTTP/1.1", read as the length of a frame, is far beyond what any frame has.
    let is_no_frame = error.reason() == Some(h2::Reason::FRAME_SIZE_ERROR);
    let hint = if is_no_frame { "; does the peer speak HTTP/2?" } else { "" };
    let message = format!("Connection aborted: the connection failed ({}){hint}", code_of(error));
    because("ERR_H2_CONNECTION", message).caused_by(Cause::said(h2_says(error) + hint))
}

/// The code's name, as RFC 9113 §7 has it.
fn code_of(error: &h2::Error) -> String {
    error.reason().map_or_else(|| "no code".to_owned(), |reason| format!("{reason:?}"))
}

/// The peer's word that it has not processed the request (RFC 9113 §6.8, §8.7).
fn unprocessed(error: &h2::Error) -> Option<Error> {
    let reason = match () {
        () if !error.is_remote() => return None,
        () if error.is_go_away() => "ERR_H2_GOAWAY",
        () if error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM) => "ERR_H2_REFUSED",
        () => return None,
    };
    let why = Cause::said(format!("the peer has not processed the request: {}", h2_says(error)));
    Some(aborted(Kind::Unprocessed, why).with_reason(reason).in_phase(Phase::Headers))
}

/// What ended the body of a stream.
pub(super) fn of_stream_body(error: &h2::Error, way: &StreamWay) -> Broken {
    if let Some(breach) = way.tap.breach() {
        return Broken::Other(breach.in_phase(Phase::Body));
    }
    if let Some(io) = error.get_io() {
        if let Some(error) = tls::failure_of(io) {
            return Broken::Other(error.in_phase(Phase::Body));
        }
        // The connection went away under it.
        return Broken::Short("ERR_H2_CONNECTION", h2_says(error));
    }
    if error.is_reset() && error.is_remote() {
        // Without END_STREAM the body is not whole, whatever the code says: NO_ERROR as well (RFC 9113 §8.1).
        return Broken::Short("ERR_H2_RESET", format!("the peer reset the stream ({})", code_of(error)));
    }
    let reason = if error.is_reset() { "ERR_H2_STREAM" } else { "ERR_H2_CONNECTION" };
    Broken::Other(broken(Cause::said(h2_says(error))).with_reason(reason))
}

/// What ended a body: a break, a bad chunk, a system error.
#[derive(Debug)]
pub(super) enum Broken {
    /// The stream ended before the body did: a finer reason and what was said, where anything was.
    Short(&'static str, String),
    /// Its framing is wrong.
    Chunk(String),
    /// Anything else, ready to be thrown.
    Other(Error),
}

/// What ended the reading of a body.
pub(super) fn of_body(error: &hyper::Error, tap: &Tap) -> Broken {
    if let Some(breach) = tap.breach() {
        return Broken::Other(breach);
    }
    if error.is_incomplete_message() {
        return short();
    }
    if let Some(error) = io_of(error).and_then(tls::failure_of) {
        return Broken::Other(error.in_phase(Phase::Body));
    }
    match io_of(error) {
        // RFC 9112 §9.8: whoever ends a stream with TLS says so; anybody can cut it.
        Some(io) if io.kind() == io::ErrorKind::UnexpectedEof && tap.is_tls() => {
            Broken::Short("TLS_TRUNCATED", "the peer closed the connection without TLS's close_notify".to_owned())
        }
        Some(io) if io.kind() == io::ErrorKind::UnexpectedEof => short(),
        Some(io) if matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
            Broken::Chunk(io.to_string())
        }
        Some(io) => Broken::Other(broken(Cause::from_io(io))),
        None if tap.eof() => short(),
        None => Broken::Other(broken(Cause::said(says(error)))),
    }
}

fn short() -> Broken {
    Broken::Short("", String::new())
}
