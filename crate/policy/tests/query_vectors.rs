//! urllib3's queries from fields, and where ours go instead.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "support/vectors.rs"]
mod vectors;

use ferropool_policy::query;
use serde::Deserialize;
use vectors::{Text, cases};

#[derive(Deserialize)]
struct Case {
    url: String,
    fields: Vec<(Text, serde_json::Value)>,
    value: String,
}

/// The url, the fields' query, urllib3's result and ours.
const OTHER: [(&str, &str, &str); 5] = [
    // WART-03: the query is added to the one that is there, before the fragment.
    ("/s?x=1", "/s?x=1?y=2", "/s?x=1&y=2"),
    ("/s#frag", "/s#frag?a=1", "/s?a=1#frag"),
    ("http://h/p?", "http://h/p??a=1", "http://h/p?a=1"),
    // REQ-03: booleans and null by their JavaScript text, a list as its elements joined by commas.
    ("/s", "/s?n=1&f=1.5&t=True&z=None", "/s?n=1&f=1.5&t=true&z=null"),
    ("/s", "/s?l=%5B%27a%27%2C+%27b%27%5D", "/s?l=a%2Cb"),
];

// REQ-03 REQ-04 REQ-05 WART-03
#[test]
fn fields_become_the_query_that_urllib3_makes_of_them() {
    let mut different = 0;
    for case in cases::<Case>("query.json") {
        let expected = &case.value;
        let pairs: Vec<_> = case.fields.iter().map(|(name, value)| (name.0.clone(), octets(value))).collect();
        let encoded = query::encode(pairs.iter().map(|(name, value)| (&name[..], &value[..])));
        let ours = OTHER.iter().find(|(url, theirs, _)| *url == case.url && theirs == expected);
        different += usize::from(ours.is_some());
        assert_eq!(query::join(&case.url, &encoded), ours.map_or(expected.as_str(), |(.., ours)| ours), "{}", case.url);
    }
    // Each case stands there for two methods.
    assert_eq!(different, 2 * OTHER.len());
}

// REQ-04 REQ-05 WART-03
#[test]
fn a_query_joins_the_one_that_is_there_before_the_fragment() {
    for (url, query, expected) in [
        ("/s", "", "/s"),
        ("/s?x#f", "", "/s?x#f"),
        ("/s?x&", "a=1", "/s?x&a=1"),
        ("/s?#f?g", "a=1", "/s?a=1#f?g"),
        ("/s#f?g", "a=1", "/s?a=1#f?g"),
        ("", "a=1", "?a=1"),
        ("http://h", "a=1", "http://h?a=1"),
    ] {
        assert_eq!(query::join(url, query), expected, "{url}");
    }
}

// REQ-03 THR-509
#[test]
fn every_octet_but_the_unreserved_ones_is_encoded() {
    for octet in 0..=255_u8 {
        let encoded = query::encode([(&[octet][..], &b"&="[..])].into_iter());
        let expected = match octet {
            b' ' => "+".to_owned(),
            plain if plain.is_ascii_alphanumeric() || b"_.-~".contains(&plain) => char::from(plain).to_string(),
            other => format!("%{other:02X}"),
        };
        assert_eq!(encoded, format!("{expected}=%26%3D"));
    }
}

/// The value's octets as the facade hands them over: the text of what JavaScript makes of it.
fn octets(value: &serde_json::Value) -> Vec<u8> {
    match value {
        serde_json::Value::String(text) => text.clone().into_bytes(),
        serde_json::Value::Array(items) => items.iter().map(octets).collect::<Vec<_>>().join(&b','),
        serde_json::Value::Object(object) => base64(object["bytes"].as_str().unwrap()),
        other => other.to_string().into_bytes(),
    }
}

/// RFC 4648 §4; written for this test alone.
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for octet in text.bytes().filter(|&octet| octet != b'=') {
        let digit = ALPHABET.iter().position(|&letter| letter == octet).unwrap();
        bits = bits << 6 | u32::try_from(digit).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}
