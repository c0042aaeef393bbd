//! What urllib3's `Retry` answers, and the table of what ours answers differently on purpose.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "support/vectors.rs"]
mod vectors;

use ferropool_policy::error::{Error, Kind};
use ferropool_policy::retry::{Class, Count, Counted, Event, Methods, Refused, Retry};
use serde::Deserialize;
use serde_json::Value;
use vectors::{Text, cases};

/// Settings in urllib3's terms: `true` is 1, `"default"` is not given, and redirects that are switched off are 0.
fn retry(settings: &Value) -> Retry {
    let mut given = settings.as_object().unwrap().clone();
    given.retain(|_, value| *value != "default");
    for (name, value) in &mut given {
        if *value == true && name == "total" {
            *value = 1.into();
        }
        if name == "statusForcelist" && (value.is_null() || value.as_array().unwrap().iter().any(Value::is_string)) {
            *value = Value::Array(Vec::new());
        }
    }
    serde_json::from_value(given.into()).unwrap()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IncrementCase {
    retry: Value,
    event: (String, Option<String>, Value),
    counts: Vec<[Value; 6]>,
    #[serde(default)]
    ok: bool,
    throws: Option<String>,
    reason: Option<Raised>,
}

#[derive(Deserialize)]
struct Raised {
    #[serde(rename = "type")]
    class: String,
    message: String,
}

/// The event, and the class of its error where the core has no such kind (TLS and proxies come as classes).
fn event<'e>(case: &IncrementCase, error: &'e mut Option<Error>) -> Result<Event<'e>, Counted> {
    let (kind, _, what) = &case.event;
    let kind = match (kind.as_str(), what.as_str()) {
        ("redirect", _) => return Ok(Event::Redirect),
        ("status", _) => return Ok(Event::Status(u16::try_from(what.as_u64().unwrap()).unwrap())),
        ("none", _) => return Ok(Event::Answer),
        (_, Some("ConnectTimeoutError")) => Kind::ConnectTimeout,
        (_, Some("NewConnectionError")) => Kind::Connect,
        (_, Some("NameResolutionError")) => Kind::Dns,
        (_, Some("ReadTimeoutError")) => Kind::ReadTimeout,
        (_, Some("ProtocolError")) => Kind::Protocol,
        (_, Some("DecodeError")) => Kind::Decode,
        (_, Some("ProxyError(ConnectTimeoutError)")) => return Err(Counted::Error(Some(Class::Connect))),
        // urllib3's IncompleteRead by itself is no ProtocolError; inside one it is, and that is our kind.
        (_, Some("SSLError" | "IncompleteRead" | "ProxyError(SSLError)" | "ProxyError(ReadTimeoutError)")) => {
            return Err(Counted::Error(Some(Class::Other)));
        }
        other => panic!("{other:?}"),
    };
    Ok(Event::Error(error.insert(Error::new(kind, ""))))
}

// RETRY-05 RETRY-06 RETRY-07 RETRY-08 RETRY-09 RETRY-20
#[test]
fn events_are_counted_as_urllib3_counts_them() {
    let (mut decode, mut off, mut empty) = (0, 0, 0);
    for case in cases::<IncrementCase>("retry-increment.json") {
        let method = case.event.1.clone().unwrap_or_default();
        let shown = format!("{} {:?}", case.retry, case.event);
        let mut error = None;
        let event = event(&case, &mut error);
        let step = |retry: &Retry| match &event {
            Ok(event) => retry.increment(method.as_bytes(), event),
            Err(counted) => retry.count(method.as_bytes(), *counted),
        };
        let start = retry(&case.retry);
        if case.event.2 == "DecodeError" {
            // RETRY-20: urllib3 never gives it to its Retry, ours says so by itself.
            decode += 1;
            assert_eq!(step(&start), Err(Refused::Rethrow(None)), "{shown}");
            continue;
        }
        if start.allowed_methods == Methods::Only(Vec::new()) && case.event.2 == "ReadTimeoutError"
            || start.allowed_methods == Methods::Only(Vec::new()) && case.event.2 == "ProtocolError"
        {
            // RETRY-10 ≠: an empty list is no method, and not every one.
            empty += 1;
            assert!(matches!(step(&start), Err(Refused::Rethrow(_))), "{shown}");
            continue;
        }
        if start.redirect == Count::Off && case.event.0 == "redirect" {
            off += 1;
            assert!(!start.follows(), "{shown}");
        }

        let mut at = start;
        for counts in &case.counts {
            at = step(&at).unwrap_or_else(|refused| panic!("{shown}: {refused:?}"));
            let ours = [at.total, at.connect, at.read, at.redirect, at.status, at.other].map(|count| match count {
                Count::Unset => Value::Null,
                Count::Off => Value::from(false),
                Count::Left(left) => Value::from(left),
            });
            // Redirects that are switched off are 0 in urllib3, once the constructor has seen them.
            let theirs = counts.clone();
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!(ours == theirs || (*ours == false && *theirs == 0), "{shown}: {ours} for {theirs}");
            }
        }
        if case.ok {
            continue;
        }
        let refused = step(&at).expect_err(&shown);
        match (case.throws.as_deref(), refused) {
            (Some("MaxRetryError"), Refused::Exhausted(said)) => {
                let reason = case.reason.unwrap();
                let text = (reason.class == "ResponseError").then_some(reason.message);
                assert_eq!(said, text, "{shown}");
            }
            (Some(class), Refused::Rethrow(_)) => {
                let thrown = case.event.2.as_str().unwrap().split('(').next().unwrap();
                assert_eq!(class, thrown, "{shown}");
            }
            (throws, refused) => panic!("{shown}: {throws:?}, ours {refused:?}"),
        }
    }
    assert_eq!((decode, off, empty), (64, 2, 6));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IsRetryCase {
    retry: Value,
    method: String,
    retried: Vec<u16>,
    retried_with_retry_after: Vec<u16>,
}

// RETRY-10 RETRY-14. A string among the statuses matches nothing; the facade refuses it.
#[test]
fn statuses_are_retried_as_urllib3_retries_them() {
    let mut different = 0;
    for case in cases::<IsRetryCase>("retry-is-retry.json") {
        let retry = retry(&case.retry);
        let yes = |has: bool| -> Vec<u16> {
            let statuses = [200, 301, 413, 418, 429, 500, 503];
            statuses.into_iter().filter(|&status| retry.is_retry(case.method.as_bytes(), status, has)).collect()
        };
        assert_eq!(yes(false), case.retried, "{} {}", case.retry, case.method);
        if retry.total == Count::Unset && !yes(true).is_empty() {
            // WART-02: without a total there are retries left.
            different += 1;
            assert_eq!((yes(true), case.retried_with_retry_after), (vec![413, 429, 503], vec![]), "{}", case.method);
        } else {
            assert_eq!(yes(true), case.retried_with_retry_after, "{} {}", case.retry, case.method);
        }
    }
    assert_eq!(different, 3);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BackoffCase {
    retry: BackoffSettings,
    after_n_errors: Option<Vec<f64>>,
    sequence: Option<Vec<(String, f64)>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BackoffSettings {
    backoff_factor: f64,
    backoff_max: Option<f64>,
}

// RETRY-13
#[test]
fn back_off_grows_as_urllib3s_in_milliseconds() {
    for case in cases::<BackoffCase>("retry-backoff.json") {
        let retry = Retry {
            backoff_factor: case.retry.backoff_factor * 1_000.0,
            backoff_max: case.retry.backoff_max.unwrap_or(120.0) * 1_000.0,
            ..Retry::default()
        };
        let same = |errors: u32, seconds: f64| {
            let delay = retry.backoff(errors, 0.5);
            assert!((delay - seconds * 1_000.0).abs() < 1e-6, "{errors} errors: {delay} ms for {seconds} s");
        };
        for (errors, seconds) in case.after_n_errors.iter().flatten().enumerate() {
            same(u32::try_from(errors).unwrap(), *seconds);
        }
        let mut errors = 0;
        for (event, seconds) in case.sequence.iter().flatten() {
            errors = if event == "r" { 0 } else { errors + 1 };
            same(errors, *seconds);
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AfterCase {
    value: Text,
    retry_after_max: f64,
    seconds: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    value: Option<f64>,
}

/// Python carries a 99th of June over into September; no such day is a date.
const NO_DATE: &[u8] = b"Mon, 99 Jun 2019 11:30:12 GMT";

// RETRY-15 WART-02. What urllib3 refuses is `None` here: the loop goes by the back-off then.
#[test]
fn a_retry_after_is_read_as_urllib3_reads_it() {
    for case in cases::<AfterCase>("retry-after.json") {
        let retry = Retry { retry_after_max: case.retry_after_max * 1_000.0, ..Retry::default() };
        let delay = retry.parse_retry_after(&case.value.0, 1_559_559_600_000.0);
        if case.value.0 == NO_DATE {
            assert_eq!(delay, None);
            continue;
        }
        assert_eq!(delay, case.seconds.value.map(|seconds| seconds * 1_000.0), "{:?}", case.value);
        let of_its_own = retry.retry_after(&case.value.0, 1_559_559_600_000.0);
        assert_eq!(of_its_own, delay.filter(|&delay| delay > 0.0), "{:?}", case.value);
    }
}
