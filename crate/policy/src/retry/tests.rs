//! What the vectors of urllib3 do not say: our own rules, and what holds for any settings.
#![expect(clippy::float_cmp, reason = "the figures are exact: each is a whole number times a power of two")]

use proptest::prelude::*;

use super::*;
use crate::error::Phase;

const JUNE_3_2019: f64 = 1_559_559_600_000.0;

fn written(json: &str) -> Retry {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn refusal(retry: &Retry, method: &str, event: Event<'_>) -> Refused {
    retry.increment(method.as_bytes(), &event).expect_err("another attempt")
}

// RETRY-01 RETRY-02
#[test]
fn the_defaults_are_urllib3s_in_milliseconds() {
    let retry = Retry::default();
    assert_eq!(written("{}"), retry);
    assert_eq!(
        serde_json::to_string(&retry).unwrap(),
        r#"{"total":10,"connect":null,"read":null,"redirect":null,"status":null,"other":null,"allowedMethods":["DELETE","GET","HEAD","OPTIONS","PUT","TRACE"],"statusForcelist":[],"backoffFactor":0.0,"backoffMin":0.0,"backoffMax":120000.0,"backoffJitter":0.0,"raiseOnRedirect":true,"raiseOnStatus":true,"respectRetryAfterHeader":true,"removeHeadersOnRedirect":["authorization","cookie","proxy-authorization"],"retryAfterMax":21600000.0}"#
    );
    assert_eq!(Retry::usual(), Retry { total: Count::Left(3), ..retry });
}

// RETRY-10 ≠: an empty list is no method at all.
#[test]
fn counts_and_methods_have_one_meaning_each_in_json() {
    let retry = written(r#"{"total":false,"read":null,"redirect":-1,"allowedMethods":[]}"#);
    assert_eq!((retry.total, retry.read, retry.redirect), (Count::Off, Count::Unset, Count::Left(-1)));
    assert_eq!(retry.allowed_methods, Methods::Only(Vec::new()));
    assert_eq!(written(r#"{"allowedMethods":null}"#), written(r#"{"allowedMethods":false}"#));
    assert_eq!(written(&serde_json::to_string(&retry).unwrap()), retry);
    for wrong in [r#"{"total":true}"#, r#"{"total":1.5}"#, r#"{"allowedMethods":true}"#, r#"{"totel":1}"#] {
        assert!(serde_json::from_str::<Retry>(wrong).is_err(), "{wrong}");
    }
}

// RETRY-04
#[test]
fn an_event_makes_another_value_with_everything_else_as_it_was() {
    let retry = written(r#"{"total":2,"read":2,"retryAfterMax":7,"backoffJitter":3,"respectRetryAfterHeader":false}"#);
    let before = retry.clone();
    let error = Error::new(Kind::ReadTimeout, "");
    let left = retry.increment(b"GET", &Event::Error(&error)).unwrap();
    assert_eq!(retry, before);
    assert_eq!(left, Retry { total: Count::Left(1), read: Count::Left(1), ..retry });
}

// RETRY-06 RETRY-07 RETRY-20: a deadline over the whole call among those that nobody retries (decisions).
#[test]
fn every_kind_of_error_has_its_class_or_is_thrown_as_it_is() {
    use Class::{Connect, Other, Read};
    for kind in Kind::ALL {
        let class = match kind {
            Kind::ConnectTimeout | Kind::Connect | Kind::Dns | Kind::Unprocessed => Some(Connect),
            Kind::Tls | Kind::Proxy => Some(Other),
            Kind::ReadTimeout | Kind::SendTimeout | Kind::Protocol | Kind::IncompleteRead | Kind::Chunk => Some(Read),
            _ => None,
        };
        assert_eq!(class_of(kind), class, "{kind:?}");
        let error = Error::new(kind, "").in_phase(Phase::Headers);
        let again = |method: &[u8]| Retry::default().increment(method, &Event::Error(&error)).map(|_| ());
        let on_post = match class {
            Some(Connect | Other) => Ok(()),
            Some(Read) => Err(Refused::Rethrow(Some("POST is not in allowedMethods".to_owned()))),
            _ => Err(Refused::Rethrow(None)),
        };
        assert_eq!(again(b"POST"), on_post, "{kind:?}");
        assert_eq!(again(b"GET").is_ok(), class.is_some(), "{kind:?}");
    }
}

// RETRY-07 TLS-19 ≠: TLS broke under a request. What failed before it went out asks for no method, be the call's first hop
// sent already.
#[test]
fn any_other_error_of_what_was_sent_asks_for_the_method_and_is_counted_as_other() {
    let of = |kind, phase, sent| {
        let mut error = Error::new(kind, "");
        error.fields_mut().phase = phase;
        error.fields_mut().sent = sent;
        error
    };
    let retry = written(r#"{"total":5,"other":2}"#);
    let spent = Retry { total: Count::Left(4), other: Count::Left(1), ..retry.clone() };
    for phase in [Some(Phase::Send), Some(Phase::Headers), Some(Phase::Body), None] {
        let error = of(Kind::Tls, phase, true);
        assert_eq!(class_of_error(&error).map(Class::name), Some("other"), "{phase:?}");
        let why = Some("POST is not in allowedMethods".to_owned());
        assert_eq!(refusal(&retry, "POST", Event::Error(&error)), Refused::Rethrow(why), "{phase:?}");
        assert_eq!(retry.increment(b"PUT", &Event::Error(&error)), Ok(spent.clone()), "{phase:?}");
        let every = Retry { allowed_methods: Methods::Every, ..retry.clone() };
        assert!(every.increment(b"POST", &Event::Error(&error)).is_ok(), "{phase:?}");
        assert_eq!(
            retry.increment(b"POST", &Event::Error(&of(Kind::Tls, phase, false))),
            Ok(spent.clone()),
            "{phase:?}"
        );
    }
    for phase in [Phase::Dns, Phase::Connect, Phase::Proxy, Phase::Tls] {
        for kind in [Kind::Tls, Kind::Proxy] {
            let error = of(kind, Some(phase), true);
            assert_eq!(retry.increment(b"POST", &Event::Error(&error)), Ok(spent.clone()), "{kind:?} {phase:?}");
        }
    }
}

// RETRY-07: why it was not sent again can be told, whatever the method's bytes are.
#[test]
fn a_refusal_names_the_method() {
    let error = Error::new(Kind::Protocol, "");
    let none = written(r#"{"allowedMethods":[]}"#);
    for (method, why) in [("get", Some("GET is not in allowedMethods")), ("", None)] {
        assert_eq!(refusal(&none, method, Event::Error(&error)), Refused::Rethrow(why.map(str::to_owned)), "{method}");
    }
    assert_eq!(
        refusal(&none, "A\r\n", Event::Error(&error)),
        Refused::Rethrow(Some(r"A\r\n is not in allowedMethods".to_owned()))
    );
}

// RETRY-14 WART-02: `total: null` has retries left, as any other place says.
#[test]
fn a_retry_after_is_worth_a_try_without_a_total() {
    assert!(written(r#"{"total":null}"#).is_retry(b"GET", 429, true));
    assert!(!written(r#"{"total":null}"#).is_retry(b"GET", 429, false));
    assert!(!written(r#"{"total":null,"respectRetryAfterHeader":false}"#).is_retry(b"GET", 429, true));
}

// RETRY-13 THR-1213
#[test]
fn back_off_doubles_between_its_bounds() {
    let retry = written(r#"{"backoffFactor":100,"backoffMax":1000,"backoffJitter":50}"#);
    let waits = |random| [0, 1, 2, 3, 4, 5, 6, u32::MAX].map(|errors| retry.backoff(errors, random));
    assert_eq!(waits(0.0), [0.0, 0.0, 200.0, 400.0, 800.0, 1000.0, 1000.0, 1000.0]);
    assert_eq!(waits(0.5), [0.0, 0.0, 225.0, 425.0, 825.0, 1000.0, 1000.0, 1000.0]);
    // The least delay holds from the first retry on; a redirect that was followed waits for nothing.
    let least = written(r#"{"backoffMin":300,"backoffFactor":100}"#);
    assert_eq!([0, 1, 2, 3].map(|errors| least.backoff(errors, 0.0)), [0.0, 300.0, 300.0, 400.0]);
    // 0 times infinity is no number.
    assert!(written("{}").backoff(u32::MAX, 0.0).abs() < f64::EPSILON);
}

// RETRY-08 REDIR-03 THR-607: the cap holds where nobody counts (decisions).
#[test]
fn redirects_are_followed_unless_switched_off_and_capped_where_nobody_counts() {
    for (json, follows, hops) in [
        ("{}", true, None),
        (r#"{"total":null}"#, true, Some(MOST_HOPS)),
        (r#"{"total":null,"redirect":100}"#, true, None),
        (r#"{"total":100}"#, true, None),
        (r#"{"total":0}"#, true, None),
        (r#"{"total":false}"#, false, Some(MOST_HOPS)),
        (r#"{"redirect":false}"#, false, None),
    ] {
        let retry = written(json);
        assert_eq!((retry.follows(), retry.most_hops()), (follows, hops), "{json}");
    }
}

// THR-607: methods of the caller's that do not count make no chain endless.
#[test]
fn a_chain_that_others_judge_has_an_end() {
    for (json, most) in [
        ("{}", MOST_HOPS),
        (r#"{"total":null}"#, MOST_HOPS),
        (r#"{"total":3}"#, MOST_HOPS),
        (r#"{"total":-1}"#, MOST_HOPS),
        (r#"{"total":100}"#, 100),
        (r#"{"total":30,"redirect":100}"#, 100),
        (r#"{"total":9007199254740991}"#, u32::MAX),
    ] {
        assert_eq!(written(json).most_hops_unjudged(), most, "{json}");
    }
}

// REDIR-05 THR-602
#[test]
fn headers_that_stay_behind_are_known_in_any_case() {
    let retry = Retry::default();
    assert!(retry.removes(b"Cookie") && retry.removes(b"PROXY-Authorization") && !retry.removes(b"X-Api"));
    let own = written(r#"{"removeHeadersOnRedirect":["x-api"]}"#);
    assert!(own.removes(b"X-API") && !own.removes(b"cookie"));
}

// RETRY-15 THR-1212
#[test]
fn every_form_of_a_retry_after_is_read_and_nothing_else() {
    let retry = Retry { retry_after_max: 1e15, ..Retry::default() };
    for (value, expected) in [
        ("120", Some(120_000.0)),
        ("\t 7 ", Some(7_000.0)),
        ("00000000000000000000000000001", Some(1_000.0)),
        ("1000000000000", Some(1e15)),
        (&"9".repeat(400), Some(1e15)),
        ("0", None),
        ("000", None),
        ("Mon, 03 Jun 2019 11:00:01 GMT", Some(1_000.0)),
        ("mon, 03 jun 2019 11:00:01 gmt", Some(1_000.0)),
        ("Monday, 03-Jun-19 11:00:01 GMT", Some(1_000.0)),
        ("Mon Jun  3 11:00:01 2019", Some(1_000.0)),
        ("Mon Jun 03 11:00:01 2019 GMT", Some(1_000.0)),
        ("3 Jun 2019 11:00:01", Some(1_000.0)),
        ("Mon, 03 Jun 2019 12:00:01 +0100", Some(1_000.0)),
        ("Mon, 03 Jun 2019 05:30:01 -0530", Some(1_000.0)),
        ("Mon, 03 Jun 2019 04:00:01 PDT", Some(1_000.0)),
        // A leap day, and the second that is one too many on most days.
        ("Sat, 29 Feb 2020 23:59:60 GMT", Some(23_461_200_000.0)),
        // The two digits of a year that is not more than fifty ahead, or that has been.
        ("Friday, 03-Jun-69 11:00:00 GMT", Some(1_577_923_200_000.0)),
        ("Tuesday, 03-Jun-70 11:00:00 GMT", None),
        // The past, and just now.
        ("Mon, 03 Jun 2019 11:00:00 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Thu, 01 Jan 0000 00:00:00 GMT", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        ("0x10", None),
        ("1 2", None),
        ("Mon, 31 Jun 2019 11:00:01 GMT", None),
        ("Mon, 00 Jun 2019 11:00:01 GMT", None),
        ("Thu, 29 Feb 2100 11:00:01 GMT", None),
        ("Mon, 03 Jun 2019 24:00:01 GMT", None),
        ("Mon, 03 Jun 2019 11:60:01 GMT", None),
        ("Mon, 03 Jun 2019 11:00:61 GMT", None),
        ("Mon, 03 Jun 2019 11:00 GMT", None),
        ("Mon, 03 Jun 2019 11:00:01:01 GMT", None),
        ("Mon, 03 Jun 2019 11:00:01 GMT GMT", None),
        ("Mon, 03 Jun 2019 11:00:01 CEST", None),
        ("Mon, 03 Jun 2019 11:00:01 +01", None),
        ("Mon, 03 Jun 2019 11:00:01 +0160", None),
        ("Mon, 03 Jun 02019 11:00:01 GMT", None),
        ("Monday, 03-Jun-19-1 11:00:01 GMT", None),
        ("Mon", None),
    ] {
        let delay = retry.retry_after(value.as_bytes(), JUNE_3_2019);
        assert_eq!(delay, expected, "{value}");
    }
    assert_eq!(retry.retry_after(b"\xff", JUNE_3_2019), None);
    assert_eq!(Retry::default().retry_after(b"1000000000000", JUNE_3_2019), Some(21_600_000.0));
}

fn any_count() -> impl Strategy<Value = Count> {
    prop_oneof![
        Just(Count::Unset),
        Just(Count::Off),
        (-2..4_i64).prop_map(Count::Left),
        any::<i64>().prop_map(Count::Left)
    ]
}

fn any_retry() -> impl Strategy<Value = Retry> {
    let counts = proptest::array::uniform6(any_count());
    let times = proptest::array::uniform5(prop_oneof![any::<f64>(), 0.0..1e6]);
    let methods =
        prop_oneof![Just(Methods::Every), proptest::collection::vec("GET|post|PUT|", 0..3).prop_map(Methods::Only)];
    (counts, times, methods).prop_map(|([total, connect, read, redirect, status, other], times, allowed_methods)| {
        let [backoff_factor, backoff_min, backoff_max, backoff_jitter, retry_after_max] = times;
        Retry {
            total,
            connect,
            read,
            redirect,
            status,
            other,
            allowed_methods,
            backoff_factor,
            backoff_min,
            backoff_max,
            backoff_jitter,
            retry_after_max,
            ..Retry::default()
        }
    })
}

proptest! {
    // RETRY-05: whatever is left was one more before, and nothing that is exhausted goes on.
    #[test]
    fn an_event_spends_one_and_never_panics(retry in any_retry(), method: Vec<u8>, kind in 0..Kind::ALL.len(), which in 0..4_usize) {
        let error = Error::new(Kind::ALL[kind], "");
        let event = [Event::Error(&error), Event::Redirect, Event::Status(500), Event::Answer][which];
        if let Ok(left) = retry.increment(&method, &event) {
            prop_assert!(!left.is_exhausted());
            match (retry.total, left.total) {
                (Count::Left(before), Count::Left(after)) => prop_assert_eq!(before - 1, after),
                (before, after) => prop_assert_eq!((before, after), (Count::Unset, Count::Unset)),
            }
        }
    }

    // RETRY-13 THR-1213
    #[test]
    fn a_back_off_stays_within_its_bounds(retry in any_retry(), errors: u32, random in 0.0..1.0) {
        let delay = retry.backoff(errors, random);
        prop_assert!(delay >= 0.0, "{delay}");
        prop_assert!(delay <= retry.backoff_max.max(0.0) || retry.backoff_max.is_nan(), "{delay}");
    }

    // RETRY-15 THR-1212
    #[test]
    fn a_retry_after_is_a_delay_or_nothing(retry in any_retry(), value in "[ -~]{0,40}|[0-9]{1,400}|[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{1,5} [0-9]{2}:[0-9]{2}:[0-9]{2}( [A-Z]{3}| [-+][0-9]{4})?", now in -1e18..1e18) {
        if let Some(delay) = retry.retry_after(value.as_bytes(), now) {
            prop_assert!(delay > 0.0 && delay.is_finite(), "{delay}");
            prop_assert!(delay <= retry.retry_after_max || retry.retry_after_max.is_nan(), "{delay}");
        }
    }

    #[test]
    fn bytes_are_never_a_panic(value: Vec<u8>, now: f64) {
        let _ = Retry::default().retry_after(&value, now);
    }
}

// PROXY-08: that a proxy could not be reached counts as what kept us from it, if that is an error of connecting.
#[test]
fn what_kept_us_from_a_proxy_says_how_it_is_counted() {
    let around = |kind| {
        let mut error = Error::new(Kind::Proxy, "");
        error.fields_mut().extra.below = Some(Error::new(kind, ""));
        class_of_error(&error)
    };
    for kind in [Kind::ConnectTimeout, Kind::Connect, Kind::Dns] {
        assert_eq!(around(kind), Some(Class::Connect), "{kind:?}");
    }
    for kind in [Kind::Tls, Kind::Protocol, Kind::ReadTimeout] {
        assert_eq!(around(kind), Some(Class::Other), "{kind:?}");
    }
    assert_eq!(class_of_error(&Error::new(Kind::Proxy, "")), Some(Class::Other));
}
