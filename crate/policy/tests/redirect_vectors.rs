//! Where urllib3 goes from a Location, and the table of where we go differently on purpose.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "support/vectors.rs"]
mod vectors;

use ferropool_policy::error::Kind;
use ferropool_policy::redirect::{BODY_FIELDS, location_of, method_after, resolve};
use ferropool_policy::retry::Retry;
use ferropool_policy::url;
use proptest::prelude::*;
use serde::Deserialize;
use vectors::{Text, cases};

#[derive(Deserialize)]
struct LocationCase {
    base: String,
    location: Text,
    parsed: Parsed,
}

#[derive(Deserialize)]
struct Parsed {
    value: String,
}

/// By the Location: ours, and why.
const DIFFERENT: [(&str, &str); 16] = [
    // WART-06: the URL is shown as it is asked: with a path, and without fragment, user info and default port.
    ("//g", "http://g/"),
    ("http://h", "http://h/"),
    ("#s", "http://a.example/b/c/d;p?q"),
    ("g#s", "http://a.example/b/c/g"),
    ("g?y#s", "http://a.example/b/c/g?y"),
    ("http://h:80/x", "http://h/x"),
    // REDIR-09
    ("//user@h/x", "http://h/x"),
    // WART-04: an escape stays as it came.
    ("%2e%2e/x", "http://a.example/b/c/%2e%2e/x"),
    // REDIR-06
    ("mailto:x", "MissingHost"),
    ("javascript:alert(1)", "MissingHost"),
    ("ftp://h/x", "UnknownScheme"),
    // None of urllib3's: ours alone.
    ("https:g", "MissingHost"),
    ("a.b:80/x", "MissingHost"),
    ("http:///x", "MissingHost"),
    ("///x", "MissingHost"),
    ("http://h:x/", "InvalidUrl"),
];

fn ours(base: &str, location: &[u8]) -> String {
    match resolve(base, location) {
        Ok(hop) => hop.url,
        Err(error) => format!("{:?}", error.kind()),
    }
}

// REDIR-04 REDIR-06 REDIR-08 REDIR-09 THR-610 WART-06
#[test]
fn a_location_leads_where_urllib3_goes() {
    let mut different = 0;
    for LocationCase { base, location, parsed } in cases("redirect-location.json") {
        let found = ours(&base, &location.0);
        match DIFFERENT.iter().find(|(text, _)| text.as_bytes() == location.0) {
            Some((text, expected)) => {
                different += 1;
                assert_ne!(*expected, parsed.value, "{text} is no difference any more");
                assert_eq!(found, *expected, "{text}");
            }
            None => assert_eq!(found, parsed.value, "{location:?}"),
        }
    }
    assert_eq!(different, 11);
    for (location, expected) in &DIFFERENT[different..] {
        assert_eq!(ours("http://a.example/b/c/d;p?q", location.as_bytes()), *expected, "{location}");
    }
}

// REDIR-05 REDIR-09 THR-601 THR-603 THR-605 THR-610 WART-11
#[test]
fn another_scheme_host_or_port_is_foreign_and_no_octet_is_sent_as_it_is() {
    for (base, location, expected, foreign) in [
        ("http://h/a", &b"/b"[..], "http://h/b", false),
        ("http://h/a", b"http://H:80/b", "http://h/b", false),
        ("http://u:p@h/a", b"/b", "http://h/b", false),
        ("http://h/a", b"//evil.example/x", "http://evil.example/x", true),
        ("http://h/a", b"https://h/b", "https://h/b", true),
        ("https://h/a", b"http://h/b", "http://h/b", true),
        ("http://h/a", b"http://h:8080/b", "http://h:8080/b", true),
        ("http://h/a", b"http://sub.h/b", "http://sub.h/b", true),
        ("http://h/a", b"http://h./b", "http://h./b", true),
        ("http://127.0.0.1/a", b"http://2130706433/b", "http://127.0.0.1/b", false),
        ("http://[::1]:8080/a", b"b", "http://[::1]:8080/b", false),
        ("http://[fe80::1%25eth0]/a", b"b", "http://[fe80::1%25eth0]/b", false),
        ("http://h", b"b", "http://h/b", false),
        ("http://h?q", b"", "http://h/?q", false),
        ("http://h?q", b"?r", "http://h/?r", false),
        ("http://h/a", b"\\\\evil.example\\x", "http://h/%5C%5Cevil.example%5Cx", false),
        ("http://h/a", b"/\\evil.example", "http://h/%5Cevil.example", false),
        ("http://h/a", b"http://h\\@evil.example/", "http://h/%5C@evil.example/", false),
        ("http://h/a", b"http://h@evil.example/", "http://evil.example/", true),
        // As UTF-8 and as Latin-1: each octet is what the server meant it to be.
        ("http://h/a", b"/\xc3\xa9", "http://h/%C3%A9", false),
        ("http://h/a", b"/\xe9", "http://h/%E9", false),
        ("http://h/a", b"/a b?c d", "http://h/a%20b?c%20d", false),
        ("http://h/a", b"/a\tb\x00", "http://h/a%09b%00", false),
        ("http://h/a", "http://b\u{fc}cher.example/".as_bytes(), "http://xn--bcher-kva.example/", true),
    ] {
        let shown = String::from_utf8_lossy(location);
        let hop = resolve(base, location).unwrap_or_else(|error| panic!("{base} {shown}: {error}"));
        assert_eq!((hop.url.as_str(), hop.foreign), (expected, foreign), "{base} {shown}");
    }
    for (location, kind) in [
        (&b"http://b\xfccher.example/"[..], Kind::InvalidUrl),
        (b"http://h h/", Kind::InvalidUrl),
        (b"http://256.256.256.256/", Kind::InvalidUrl),
        (b"file:///etc/passwd", Kind::UnknownScheme),
        (b"data:text/html,x", Kind::MissingHost),
    ] {
        assert_eq!(resolve("http://h/", location).unwrap_err().kind(), kind);
    }
    // URL-16: what was asked has a scheme.
    assert_eq!(resolve("h/a", b"/b").unwrap_err().kind(), Kind::MissingHost);
}

// REDIR-01 REDIR-02 BODY-16 HDICT-15 THR-608
#[test]
fn only_five_statuses_redirect_and_only_one_changes_the_method() {
    for status in 100..=599 {
        let follows = matches!(status, 301 | 302 | 303 | 307 | 308);
        assert_eq!(location_of(status, Some(b"/x")), follows.then_some(&b"/x"[..]), "{status}");
        assert_eq!(location_of(status, Some(b" \t")), None, "{status}");
        assert_eq!(location_of(status, None), None, "{status}");
        for method in ["GET", "HEAD", "POST", "PUT", "head", "X"] {
            let (after, drops) = method_after(status, method.as_bytes());
            // REDIR-02 ≠: HEAD stays HEAD.
            let expected = if status == 303 && method != "HEAD" { "GET" } else { method };
            assert_eq!((after, drops), (expected.as_bytes(), status == 303), "{status} {method}");
        }
    }
    assert_eq!(location_of(302, Some(b" /x ")), Some(&b"/x"[..]));
}

#[derive(Deserialize)]
struct Exchange {
    name: String,
    answers: Vec<Option<String>>,
    requests: Vec<Sent>,
    error: Option<Raised>,
}

#[derive(Deserialize)]
struct Sent {
    bytes: String,
}

#[derive(Deserialize)]
struct Raised {
    #[serde(rename = "type")]
    class: String,
}

struct Message<'a> {
    method: &'a str,
    url: String,
    fields: Vec<(&'a str, &'a str)>,
    body: &'a str,
}

impl<'a> Message<'a> {
    fn read(bytes: &'a str) -> Self {
        let (head, body) = bytes.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap().split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let fields: Vec<_> = lines.map(|line| line.split_once(": ").unwrap_or((line, ""))).collect();
        let host = fields.iter().find(|(name, _)| *name == "Host").unwrap().1;
        let url = if target.starts_with('/') { format!("http://{host}{target}") } else { target.to_owned() };
        Self { method, url: url.replace("PORT", "8080"), fields, body }
    }

    /// Names of fields that the caller gave.
    fn given(&self) -> Vec<&'a str> {
        let own = ["Host", "Content-Length", "Accept-Encoding", "User-Agent"];
        self.fields.iter().map(|(name, _)| *name).filter(|name| !own.contains(name)).collect()
    }
}

// REDIR-01 REDIR-02 REDIR-04 REDIR-05 REDIR-06 BODY-16 HDICT-15 THR-608
#[test]
fn a_chain_of_two_is_urllib3s() {
    let (mut followed, mut head, mut refused) = (0, 0, 0);
    for case in cases::<Exchange>("exchanges.json") {
        let Some(Some(answer)) = case.answers.first() else { continue };
        let status: u16 = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        if !(300..400).contains(&status) {
            continue;
        }
        let name = &case.name;
        let location = answer.split("\r\n").find_map(|line| line.strip_prefix("Location: "));
        let location = location.map(|text| text.replace("{port}", "8080").replace("PORT", "8080"));
        let location = location_of(status, location.as_deref().map(str::as_bytes));
        let first = Message::read(&case.requests[0].bytes);
        let Some(second) = case.requests.get(1).map(|sent| Message::read(&sent.bytes)) else {
            // Not followed: no Location for us either, or switched off, or an error.
            if let (Some(location), Some(error)) = (location, &case.error) {
                let hop = resolve(&first.url, location);
                match error.class.as_str() {
                    "LocationValueError" => assert_eq!(hop.unwrap_err().kind(), Kind::MissingHost, "{name}"),
                    // REDIR-04 ≠: our pool resolves too, so that only another host is one.
                    "HostChangedError" => assert_eq!(hop.unwrap().foreign, name.contains("cross"), "{name}"),
                    "URLSchemeUnknown" => assert_eq!(hop.unwrap_err().kind(), Kind::UnknownScheme, "{name}"),
                    "MaxRetryError" => assert!(hop.is_ok(), "{name}"),
                    other => panic!("{name}: {other}"),
                }
                refused += 1;
            }
            continue;
        };
        followed += 1;
        let hop = resolve(&first.url, location.unwrap()).unwrap();
        assert_eq!(hop.url, second.url, "{name}");
        let (method, drops) = method_after(status, first.method.as_bytes());
        if first.method == "HEAD" && status == 303 {
            // REDIR-02 ≠
            head += 1;
            assert_eq!((method, second.method), (&b"HEAD"[..], "GET"));
        } else {
            assert_eq!(method, second.method.as_bytes(), "{name}");
        }
        assert_eq!(if drops { "" } else { first.body }, second.body, "{name}");

        let own = match name.as_str() {
            "manager keep all headers" => Some(&[][..]),
            "manager remove own header" => Some(&["x-api".to_owned()][..]),
            _ => None,
        };
        let mut retry = Retry::default();
        if let Some(own) = own {
            own.clone_into(&mut retry.remove_headers_on_redirect);
        }
        let kept: Vec<_> = first
            .given()
            .into_iter()
            .filter(|name| !drops || !BODY_FIELDS.contains(&name.to_ascii_lowercase().as_str()))
            .filter(|name| !hop.foreign || !retry.removes(name.as_bytes()))
            .collect();
        assert_eq!(kept, second.given(), "{name}");
    }
    assert_eq!((followed, head, refused), (27, 1, 7));
}

proptest! {
    // REDIR-09 THR-610: whatever a Location holds, it names no user, and what is asked is visible ASCII.
    #[test]
    fn a_hop_is_a_clean_url_or_an_error(
        base in "https?://([a-z]{1,3}(:[a-z]{0,2})?@)?([a-z]{1,3}|\\[::1\\])(:[0-9]{1,5})?(/[a-z./]{0,8})?(\\?[a-z/?]{0,3})?",
        location in prop_oneof![
            any::<Vec<u8>>(),
            "(https?:|ftp:|a:)?(//)?([a-z]{0,2}:?[a-z]{0,2}@){0,2}[a-z.:%\\\\\\[\\]0-9]{0,6}[/\\\\?#@ ]{0,3}\\PC{0,8}".prop_map(String::into_bytes),
        ],
    ) {
        let Ok(hop) = resolve(&base, &location) else { return Ok(()) };
        prop_assert!(hop.url.bytes().all(|b| b.is_ascii_graphic()), "{}", hop.url);
        let parsed = url::parse(&hop.url).unwrap();
        prop_assert_eq!((&parsed.auth, &parsed.fragment), (&None, &None), "{}", hop.url);
        prop_assert_eq!(&ferropool_policy::origin::Origin::from_url(&parsed).unwrap(), &hop.origin, "{}", hop.url);
        // What was resolved once is where it is.
        let again = resolve(&hop.url, hop.url.as_bytes()).unwrap();
        prop_assert_eq!((again.url, again.foreign), (hop.url, false));
    }
}
