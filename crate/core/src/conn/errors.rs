//! What hyper's errors are made of: they tell their kind, and keep the rest behind themselves.

use std::error::Error as _;
use std::io;

use ferropool_policy::error::{Cause, Error, Kind, Phase};

/// The transport's error, where that is what it was.
pub(crate) fn io_of(error: &hyper::Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(below) = cause {
        if let Some(io) = below.downcast_ref() {
            return Some(io);
        }
        cause = below.source();
    }
    None
}

/// The connection ended before the response's head (ERR-05, RESP-02): urllib3's words, and why, since who reads a log sees no
/// causes.
pub(crate) fn aborted(kind: Kind, why: Cause) -> Error {
    Error::new(kind, format!("Connection aborted. {}", why.bracketed())).caused_by(why)
}

/// The connection broke inside a body (ERR-06).
pub(crate) fn broken(why: Cause) -> Error {
    Error::new(Kind::Protocol, format!("Connection broken: {}", why.words())).in_phase(Phase::Body).caused_by(why)
}

/// In words. What a peer sends with a GOAWAY is in them, escaped, and may be as long as a frame: cut at 200 characters.
pub(crate) fn h2_says(error: &h2::Error) -> String {
    let mut said = error.to_string();
    if let Some((end, _)) = said.char_indices().nth(MOST_SAID) {
        said.truncate(end);
        said.push('…');
    }
    said
}

/// Characters.
const MOST_SAID: usize = 200;

/// In words, with what is behind it.
pub(crate) fn says(error: &hyper::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |below| format!("{error}: {below}"))
}
