//! What is rare enough to be told as JSON: errors, what happened before them, and what goes with both.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ferropool_policy::error::{Error, Fields};
use ferropool_policy::story::Past;

/// An error with everything that is known of it, but for what it holds of a body, which travels as bytes.
pub(crate) fn error_text(error: &Error) -> serde_json::Value {
    let Fields { kind, phase, message, host, url, attempts, elapsed, sent, extra, causes } = error.fields();
    serde_json::json!({
        "className": kind.class(),
        "code": kind.code(),
        "phase": phase.map(ferropool_policy::error::Phase::name),
        "during": extra.during.map(ferropool_policy::error::Phase::name),
        "message": message,
        "host": host,
        "url": url,
        "status": extra.status,
        "below": extra.below.as_ref().map(error_text),
        "history": history_json(&extra.history),
        "attempts": attempts,
        "elapsed": elapsed.as_secs_f64() * 1_000.0,
        "sent": sent,
        "reason": extra.reason,
        "limit": extra.limit.map(|(name, _)| name),
        "allowed": extra.limit.map(|(_, allowed)| allowed),
        "partial": null,
        "expected": extra.expected,
        "received": extra.received,
        "refusal": extra.refusal.as_ref().map(|refusal| serde_json::json!({
            "status": refusal.status,
            "headers": refusal.headers.iter().map(|(name, value)| (latin1(name), latin1(value))).collect::<Vec<_>>(),
            "body": BASE64_STANDARD.encode(&refusal.body),
        })),
        "chain": extra.chain.as_ref().map(|chain| base64s(&chain.certificates)),
        "asserted": extra.chain.as_ref().and_then(|chain| chain.asserted.as_deref()),
        "causes": causes.iter().map(|cause| serde_json::json!({
            "code": cause.code, "message": cause.message, "address": cause.address,
        })).collect::<Vec<_>>(),
    })
}

/// A character an octet, as header fields are read in JavaScript.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Certificates as text; who wants to see them has them described.
pub(crate) fn base64s(certificates: &[Vec<u8>]) -> Vec<String> {
    certificates.iter().map(|der| BASE64_STANDARD.encode(der)).collect()
}

/// What happened before an outcome.
pub(crate) fn history_json(history: &[Past]) -> serde_json::Value {
    history
        .iter()
        .map(|Past { method, url, error, status, redirect_location }| {
            serde_json::json!({
                "method": method,
                "url": url,
                "error": error.as_ref().map(error_text),
                "status": status,
                "redirectLocation": redirect_location,
            })
        })
        .collect()
}
