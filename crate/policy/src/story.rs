//! What happened to a call before its outcome: urllib3's `RequestHistory` (RETRY-12).

use crate::error::Error;

/// One event that a further attempt followed: an error that was retried, an answer that was, or a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Of the request that came next: GET after a 303.
    pub method: String,
    /// What was asked for when it happened; no user info.
    pub url: String,
    /// What the attempt met, if it met no answer.
    pub error: Option<Error>,
    /// The answer's status.
    pub status: Option<u16>,
    /// Where the answer led, as received (bytes beyond ASCII percent-encoded).
    pub redirect_location: Option<String>,
}

/// How many retries there were since the last redirect: what the back-off grows with (RETRY-13).
#[must_use]
pub fn in_a_row(history: &[Past]) -> u32 {
    let retries = history.iter().rev().take_while(|past| past.redirect_location.is_none()).count();
    u32::try_from(retries).unwrap_or(u32::MAX)
}
