//! From hyper's errors to ours, by their types and by what the tap counted; never by their text.

use std::error::Error as _;
use std::io;

use ferropool_policy::error::{Cause, Error, Kind, Phase, quote};

use super::upload::Source;
use crate::conn::tap::Tap;

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
    let aborted = |message: &str| Error::new(Kind::Protocol, message).in_phase(phase);
    if let Some(io) = io_of(error) {
        return aborted("Connection aborted.").caused_by_io(io);
    }
    if let Some(io) = &*tap.unwritable()
        && tap.read() == 0
    {
        return aborted("Connection aborted.").caused_by_io(io);
    }
    if error.is_parse() {
        let scan = tap.scan();
        let line = quote(scan.status_line());
        return aborted("Connection aborted.")
            .caused_by(Cause::said(format!("{} in the response that begins with '{line}'", says(error))));
    }
    if error.is_incomplete_message() || tap.eof() {
        return if tap.read() == 0 {
            aborted("Connection aborted.").caused_by(Cause::said("the peer closed the connection without a response"))
        } else {
            aborted("Connection aborted.")
                .with_reason("ERR_INCOMPLETE_HEAD")
                .caused_by(Cause::said("the peer closed the connection inside the response's head"))
        };
    }
    aborted("Connection aborted.").caused_by(Cause::said(says(error)))
}

/// What ended a body: a break, a bad chunk, a system error.
#[derive(Debug)]
pub(super) enum Broken {
    /// The stream ended before the body did.
    Short,
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
        return Broken::Short;
    }
    match io_of(error) {
        Some(io) if io.kind() == io::ErrorKind::UnexpectedEof => Broken::Short,
        Some(io) if matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
            Broken::Chunk(io.to_string())
        }
        Some(io) => Broken::Other(broken().caused_by_io(io)),
        None if tap.eof() => Broken::Short,
        None => Broken::Other(broken().caused_by(Cause::said(says(error)))),
    }
}

fn broken() -> Error {
    Error::new(Kind::Protocol, "Connection broken.").in_phase(Phase::Body)
}

fn io_of(error: &hyper::Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(below) = cause {
        if let Some(io) = below.downcast_ref() {
            return Some(io);
        }
        cause = below.source();
    }
    None
}

fn says(error: &hyper::Error) -> String {
    match error.source() {
        Some(below) => format!("{error}: {below}"),
        None => error.to_string(),
    }
}
