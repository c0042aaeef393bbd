//! The fuzz target's seeds and random texts, held against its invariant by the ordinary test run.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "support/url_invariant.rs"]
mod url_invariant;

use std::time::{Duration, Instant};

use ferropool_policy::origin::{Origin, Scheme};
use ferropool_policy::{query, url};
use proptest::prelude::*;

// THR-511 THR-516
#[test]
fn every_seed_names_one_host_and_prints_what_it_parses() {
    let folder = format!("{}/../../fuzz/seeds/url", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for seed in std::fs::read_dir(&folder).unwrap() {
        let path = seed.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        println!("{}", path.display());
        url_invariant::holds(&text);
        count += 1;
    }
    assert!(count > 40, "{folder} has {count} seeds");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_names_one_host_and_sends_only_visible_ascii(text in any::<String>()) {
        url_invariant::holds(&text);
    }

    // Made of what parsers trip over.
    #[test]
    fn any_sequence_of_delimiters_names_one_host(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..9)) {
        url_invariant::holds(&pieces.concat());
    }

    #[test]
    fn any_javascript_string_parses_or_is_refused(units in prop::collection::vec(any::<u16>(), 0..40), rooted in any::<bool>()) {
        let mut text: Vec<u16> = if rooted { "http://h/".encode_utf16().collect() } else { Vec::new() };
        text.extend(units);
        let parsed = url::parse_utf16(&text);
        prop_assert!(!rooted || parsed.is_ok());
        if let Ok(parsed) = parsed {
            let printed = parsed.url();
            let again = url::parse(&printed).unwrap();
            prop_assert_eq!(again.url(), printed);
        }
        let pool = Origin::new(Scheme::Http, "pool.example", None).unwrap();
        if let Ok(sent) = url::target_utf16(&pool, &text, false) {
            prop_assert!(sent.bytes().all(|octet| octet.is_ascii_graphic()));
        }
    }

    // THR-509
    #[test]
    fn a_query_decodes_to_the_pairs_that_it_was_made_of(pairs in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..6)) {
        let encoded = query::encode(pairs.iter().map(|(name, value)| (&name[..], &value[..])));
        prop_assert!(encoded.bytes().all(|octet| octet.is_ascii_graphic()));
        prop_assert_eq!(decode(&encoded), pairs);
    }
}

// URL-10 THR-513: a quadratic parser would take minutes for these.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is the question")]
fn a_hostile_text_takes_linear_time() {
    let start = Instant::now();
    let kib = 64 * 1024;
    for text in [
        format!("https://{}[", "@".repeat(10_000)),
        format!("https://user:{}example.com", "@".repeat(10_000)),
        format!("http://{}/", "é".repeat(kib)),
        format!("http://{}/", "\u{661}".repeat(kib)),
        format!("http://é{}/", "a".repeat(kib)),
        format!("http://xn--{}/", "a".repeat(kib)),
        format!("http://{}/", "é.".repeat(kib / 2)),
        format!("http://{}/", "xn--9ca.".repeat(kib / 8)),
        format!("http://{}/", "1".repeat(kib)),
        format!("http://{}/", "1.".repeat(kib)),
        format!("http://{}/", "%41".repeat(kib)),
        format!("http://[{}]/", "1:".repeat(kib)),
        format!("http://[::1%25{}]/", "%41".repeat(kib)),
        format!("http://h/{}", "../".repeat(kib)),
        format!("http://h/{}", "a/../".repeat(kib)),
        format!("http://h/{}", "%".repeat(kib)),
        format!("http://h:{}", "0".repeat(kib)),
        format!("/{}", "%zz".repeat(kib)),
        "/".repeat(kib),
        ":".repeat(kib),
    ] {
        url_invariant::holds(&text);
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// The pairs of a query, by the rules of HTML forms; written for this test alone.
fn decode(text: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let part = |text: &str| {
        let mut out = Vec::new();
        let mut octets = text.bytes();
        while let Some(octet) = octets.next() {
            out.push(match octet {
                b'+' => b' ',
                b'%' => {
                    let digits = [octets.next().unwrap(), octets.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                plain => plain,
            });
        }
        out
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap()).map(|(name, value)| (part(name), part(value))).collect()
}

const PIECES: &[&str] = &[
    "http:",
    "https:",
    "HTTP:",
    "a:",
    "a-b:",
    "a.b:",
    "localhost:",
    "/",
    "//",
    "\\",
    "?",
    "#",
    "@",
    ":",
    "::",
    "[",
    "]",
    "[::1]",
    "[fe80::1%25en0]",
    "[::1%25251]",
    "[::1%2525",
    "%25",
    "%",
    "%2e",
    "%2F",
    "%0d",
    "%41",
    ".",
    "..",
    "/../",
    "/./",
    "80",
    "0",
    "00443",
    "65536",
    "pool.example",
    "pool.example:8080",
    "POOL.EXAMPLE",
    "pool.example.",
    "127.1",
    "0x7f.1",
    "1.2.3.4.5",
    "é",
    "faß",
    "Ａ",
    "。",
    "xn--",
    "xn--fa-hia",
    "-",
    "_",
    "*",
    " ",
    "\t",
    "\n",
    "\r",
    "\0",
    "\u{7f}",
    "\u{80}",
    "\u{200d}",
    "\u{feff}",
    "user",
    "pw",
    "a",
    "b",
    "&",
    "=",
    "\"",
    "<",
    "|",
    "^",
];
