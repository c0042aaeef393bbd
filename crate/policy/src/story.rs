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

impl Past {
    /// Why another attempt followed, in one line, without user info and query.
    #[must_use]
    pub fn told(&self) -> String {
        if let Some(error) = &self.error {
            let system = error.fields().causes.first().and_then(|cause| cause.code.as_deref());
            let code = system.filter(|code| !error.fields().message.contains(code));
            let code = code.map_or_else(String::new, |code| format!(" ({code})"));
            return format!("{}: {error}{code}", error.kind().class());
        }
        let url = shown(&self.url);
        match (self.status, self.redirect_location.is_some()) {
            (Some(status), true) => format!("{url} answered with {status}, a redirect"),
            (Some(status), false) => format!("{url} answered with {status}, after which it is asked again"),
            (None, _) => format!("{url} is asked again"),
        }
    }
}

fn shown(url: &str) -> &str {
    url.find(['?', '#']).map_or(url, |at| &url[..at])
}

/// How many retries there were since the last redirect: what the back-off grows with (RETRY-13).
#[must_use]
pub fn in_a_row(history: &[Past]) -> u32 {
    let retries = history.iter().rev().take_while(|past| past.redirect_location.is_none()).count();
    u32::try_from(retries).unwrap_or(u32::MAX)
}
