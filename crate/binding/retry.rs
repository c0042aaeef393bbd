//! What the facade's `Retry` answers with: the core's own policy, by value. Settings come as the JSON that they cross in, so
//! that a method of an object and the loop cannot disagree.

use ferropool_policy::retry::{Counted, Refused, Retry};
use napi_derive::napi;

use crate::trip;

/// `new Retry()` as the core has it, for a comparison.
#[napi(catch_unwind)]
pub fn retry_defaults() -> napi::Result<String> {
    trip("retry-defaults");
    serde_json::to_string(&Retry::default()).map_err(bug)
}

/// `{ left, said }`, which may be less than nothing, or `{ rethrow }`; the texts are null where there is nothing to say.
#[napi(catch_unwind)]
pub fn retry_increment(settings: String, method: String, event: String) -> napi::Result<String> {
    trip("retry-increment");
    let event: Counted = serde_json::from_str(&event).map_err(bug)?;
    let answer = match of(&settings)?.spend(method.as_bytes(), event) {
        Ok((left, said)) => serde_json::json!({ "left": left, "said": said }),
        Err(Refused::Rethrow(why) | Refused::Exhausted(why)) => serde_json::json!({ "rethrow": why }),
    };
    Ok(answer.to_string())
}

/// Whether any counter is below 0.
#[napi(catch_unwind)]
pub fn retry_is_exhausted(settings: String) -> napi::Result<bool> {
    trip("retry-is-exhausted");
    Ok(of(&settings)?.is_exhausted())
}

/// Whether an answer of this status is retried.
#[napi(catch_unwind)]
pub fn retry_is_retry(settings: String, method: String, status: u32, has_retry_after: bool) -> napi::Result<bool> {
    trip("retry-is-retry");
    let retry = of(&settings)?;
    Ok(u16::try_from(status).is_ok_and(|status| retry.is_retry(method.as_bytes(), status, has_retry_after)))
}

/// Milliseconds before the next attempt.
#[napi(catch_unwind)]
pub fn retry_backoff(settings: String, errors_in_a_row: u32, random: f64) -> napi::Result<f64> {
    trip("retry-backoff");
    Ok(of(&settings)?.backoff(errors_in_a_row, random))
}

/// Milliseconds that a Retry-After asks for; null where it cannot be read.
#[napi(catch_unwind)]
pub fn retry_after(settings: String, value: String, now: f64) -> napi::Result<Option<f64>> {
    trip("retry-after");
    Ok(of(&settings)?.parse_retry_after(value.as_bytes(), now))
}

fn of(settings: &str) -> napi::Result<Retry> {
    serde_json::from_str(settings).map_err(bug)
}

/// The facade has checked everything: what cannot be read is ours.
fn bug(error: serde_json::Error) -> napi::Error {
    napi::Error::from_reason(error.to_string())
}
