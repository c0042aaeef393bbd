//! urllib3's answers about URLs, hosts and targets, and the tables of what we refuse or read differently on purpose.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "support/vectors.rs"]
mod vectors;

use std::borrow::Cow;
use std::collections::HashSet;

use ferropool_policy::error::{Error, Kind};
use ferropool_policy::origin::{Origin, Scheme};
use ferropool_policy::url::{self, Url, absolute, target, target_for_proxy, target_utf16};
use serde::Deserialize;
use vectors::{Text, cases};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parsed {
    scheme: Option<String>,
    auth: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    path: Option<String>,
    query: Option<String>,
    fragment: Option<String>,
    url: String,
    request_uri: String,
    authority: Option<String>,
    netloc: Option<String>,
    auth_decoded: [Option<String>; 2],
}

/// What urllib3 raised.
#[derive(Debug, Deserialize)]
struct Raised {
    #[serde(rename = "type")]
    class: String,
    message: Text,
}

#[derive(Deserialize)]
struct ParseCase {
    input: Text,
    value: Option<Parsed>,
    error: Option<Raised>,
}

/// WART-04: urllib3 upper-cases escapes, and encodes every `%` again where one of them begins no escape. Ours beside it.
const OTHER_ESCAPES: [(&str, &str); 8] = [
    ("[::Ff%etH0%Ff]/%ab%Af", "[::ff%etH0%FF]/%ab%Af"),
    ("http://user:pass@[AaAa::Ff%25etH0%Ff]/%ab%Af", "http://user:pass@[aaaa::ff%etH0%FF]/%ab%Af"),
    (
        "http://google.com/p%5B%5d?parameter%5b%5D=%22hello%22#fragment%23",
        "http://google.com/p%5B%5d?parameter%5b%5D=%22hello%22#fragment%23",
    ),
    ("http://example.com/%7euser/%zz", "http://example.com/%7euser/%25zz"),
    ("http://example.com/%2f%2F/%", "http://example.com/%2f%2F/%25"),
    ("http://evil.com%5c@example.com/", "http://evil.com%5c@example.com/"),
    ("http://h/?%e4%bd%a0", "http://h/?%e4%bd%a0"),
    ("http://h/%E4%BD%A0#%e4", "http://h/%E4%BD%A0#%e4"),
];

// URL-01 URL-02 URL-03 URL-04 URL-05 URL-06 URL-07 URL-08 URL-09 URL-10 URL-11 URL-12 URL-13 URL-14 URL-15 WART-04
#[test]
fn a_url_parses_as_urllib3_parses_it_but_for_its_escapes() {
    let mut different = 0;
    for case in cases::<ParseCase>("url-parse.json") {
        let input = &case.input;
        let parsed = url::parse_utf16(&utf16(input));
        if let Some(text) = utf8(input) {
            assert_eq!(url::parse(text), parsed, "{input:?} as UTF-8");
        }
        match (case.value, case.error, parsed) {
            (Some(expected), None, Ok(url)) => {
                let ours = OTHER_ESCAPES.iter().find(|(text, _)| text.as_bytes() == input.0);
                if let Some((_, ours)) = ours {
                    different += 1;
                    assert_ne!(*ours, expected.url, "{input:?} is no difference any more");
                    assert_eq!(url.url(), *ours, "{input:?}");
                    assert_eq!(url.host, expected.host, "{input:?}");
                } else {
                    assert_same(&url, &expected, input);
                }
            }
            (None, Some(expected), Err(error)) => assert_same_error(&error, &expected, input),
            (value, error, parsed) => {
                panic!("{input:?}: urllib3 has a value: {}, {error:?}; ours: {parsed:?}", value.is_some());
            }
        }
    }
    assert_eq!(different, OTHER_ESCAPES.len());
    // A host of another scheme is as it was written, a zone's separator too.
    for text in ["foo://[fe80::1%25eth0]", "foo://[fe80::1%eth0]:1/x", "FOO://u@[fe80::1%2525]"] {
        let url = url::parse(text).unwrap();
        assert_eq!(url.url(), text.replace("FOO", "foo"));
        assert_eq!(url::parse(&url.url()).unwrap(), url);
    }
}

fn assert_same(url: &Url, expected: &Parsed, input: &Text) {
    let parts = [&url.scheme, &url.auth, &url.host, &url.path, &url.query, &url.fragment];
    let theirs =
        [&expected.scheme, &expected.auth, &expected.host, &expected.path, &expected.query, &expected.fragment];
    assert_eq!((parts, url.port), (theirs, expected.port), "{input:?}");
    assert_eq!(url.url(), expected.url, "{input:?}");
    assert_eq!(url.to_string(), expected.url, "{input:?}");
    assert_eq!(url.request_uri(), expected.request_uri, "{input:?}");
    assert_eq!((url.authority(), url.netloc()), (expected.authority.clone(), expected.netloc.clone()), "{input:?}");
    let (user, password) = url.auth_decoded().map_or((None, None), |(user, password)| (Some(user), password));
    assert_eq!([user, password], expected.auth_decoded, "{input:?}");
}

/// The class, and the message; in ours what is no text, or shows nothing, stands escaped.
fn assert_same_error(error: &Error, expected: &Raised, input: &Text) {
    assert_eq!(error.kind().class(), expected.class, "{input:?}: {error}");
    match utf8(&expected.message) {
        Some(message) => {
            let unassigned = '\u{d7ff}';
            let message = message.replace(unassigned, &unassigned.escape_debug().to_string());
            assert_eq!(error.to_string(), message, "{input:?}");
        }
        None => assert!(error.to_string().is_ascii() && error.to_string().starts_with("Failed to parse: "), "{error}"),
    }
}

#[derive(Deserialize)]
struct TargetCase {
    input: Text,
    value: String,
}

/// WART-04, as above.
const OTHER_TARGETS: [(&str, &str); 5] = [
    ("/%2f", "/%2f"),
    ("/%41%", "/%41%25"),
    ("/%%20", "/%25%20"),
    ("/%2F%", "/%2F%25"),
    ("/%2f%2F%zz", "/%2f%2F%25zz"),
];
/// WART-04, where only the case of an escape differs.
const OTHER_CASE: [(&str, &str); 2] = [("/x?%3f#", "/x?%3f"), ("/%2f%2F", "/%2f%2F")];

// REQ-11 URL-08 URL-17 WART-04 THR-501 THR-516
#[test]
fn a_path_is_sent_percent_encoded_and_otherwise_as_it_is() {
    let pool = origin("http://pool.example/");
    let mut different = 0;
    for case in cases::<TargetCase>("url-target.json") {
        let input = &case.input;
        let ours = OTHER_TARGETS.iter().chain(&OTHER_CASE).find(|(text, _)| text.as_bytes() == input.0);
        different += usize::from(ours.is_some());
        if let Some((_, ours)) = ours {
            assert_ne!(*ours, case.value, "{input:?} is no difference any more");
        }
        let expected = ours.map_or(case.value.as_str(), |(_, ours)| ours);
        assert_eq!(target_utf16(&pool, &utf16(input), false).unwrap(), expected, "{input:?}");
        if let Some(text) = utf8(input) {
            assert_eq!(target(&pool, text, false).unwrap(), expected, "{input:?} as UTF-8");
        }
    }
    assert_eq!(different, OTHER_TARGETS.len() + OTHER_CASE.len());
}

// THR-501
#[test]
fn no_octet_reaches_the_wire_unless_it_is_visible() {
    let pool = origin("http://pool.example/");
    for c in (0..=255).map(char::from) {
        for text in [
            format!("/a{c}b"),
            format!("/a?b{c}c"),
            format!("/a#b{c}c"),
            format!("http://pool.example/a{c}b"),
            format!("http://pool.example?a{c}b"),
            format!("http://us{c}er@pool.example/#a{c}b"),
        ] {
            // A delimiter in the user info ends the authority, and the pool's name is not in it then.
            let Ok(sent) = target(&pool, &text, true) else {
                assert!(text.contains('@') && matches!(c, '/' | '\\' | '?' | '#' | ':'), "{text:?}");
                continue;
            };
            assert!(sent.bytes().all(|octet| octet.is_ascii_graphic()), "{text:?}: {sent:?}");
            assert!(!sent.contains('#') && !sent.contains("er@"), "{text:?}: {sent:?}");
        }
        let host = format!("http://pool{c}.example/");
        if c.is_ascii_control() || c == ' ' {
            assert_eq!(target(&pool, &host, false).unwrap_err().kind(), Kind::InvalidUrl, "{host:?}");
        }
    }
}

#[test]
fn a_target_that_needs_no_change_is_not_copied() {
    let pool = origin("http://pool.example/");
    for (text, expected) in [("/a/%7e?b=%20&c", "/a/%7e?b=%20&c"), ("/a?b#c", "/a?b"), ("*", "*"), ("/#", "/")] {
        let sent = target(&pool, text, true).unwrap();
        assert!(matches!(sent, Cow::Borrowed(_)) && sent == expected, "{text}: {sent:?}");
    }
}

// REQ-11
#[test]
fn any_other_url_is_sent_in_absolute_form_without_user_info_and_fragment() {
    for (pool, text, expected) in [
        ("http://h/", "http://h/p?q#f", "http://h/p?q"),
        ("http://h/", "HTTP://user:pw@H:80/a/../b", "http://h/b"),
        ("http://h:81/", "http://h:81", "http://h:81"),
        ("http://h/", "h/p", "http://h/p"),
        ("http://h/", "http://h?q", "http://h?q"),
        ("https://h/", "https://h:443/", "https://h/"),
        ("http://[fe80::1%25en0]/", "http://[FE80:0::1%en0]:80/x", "http://[fe80::1]/x"),
        ("http://127.0.0.1/", "http://0x7f.1/x", "http://127.0.0.1/x"),
        ("http://h./", "http://h./x", "http://h/x"),
    ] {
        assert_eq!(target(&origin(pool), text, true).unwrap(), expected, "{text}");
    }
    for (pool, text, expected) in [
        ("http://h./", "/x?q#f", "http://h./x?q"),
        ("http://h./", "*", "http://h."),
        ("http://h.:81/", "h.:81", "http://h.:81"),
        ("http://h./", "http://u:p@H./a/../x#f", "http://h./x"),
        ("http://h/", "HTTP://h:80?q", "http://h?q"),
        ("http://127.0.0.1/", "http://127.0.0.1./x", "http://127.0.0.1/x"),
        ("http://[fe80::1%25en0]/", "/x", "http://[fe80::1]/x"),
        ("http://[fe80::1%25en.]/", "/x", "http://[fe80::1]/x"),
        ("http://[fe80::1%25en0]/", "http://[fe80::1%25en0]/x", "http://[fe80::1]/x"),
    ] {
        let sent = target_for_proxy(&origin(pool), text, true).unwrap();
        assert_eq!(sent, expected, "{text}");
        assert!(absolute(&origin(pool), &sent).starts_with(pool.trim_end_matches('/')), "{text}");
    }
    let pool = origin("http://127.0.0.1:8080/");
    assert_eq!(target_for_proxy(&pool, "http://other./x", false).unwrap(), "http://other./x");
    assert_eq!(target_for_proxy(&pool, "http://other./x", true).unwrap_err().kind(), Kind::HostChanged);
    assert_eq!(target(&pool, "http://localhost:8080/x#f", false).unwrap(), "http://localhost:8080/x");
    for text in ["?q", "#f", "", "http:x", "http:///x", "http://:80/", "http://u@/"] {
        assert_eq!(target(&pool, text, false).unwrap_err().kind(), Kind::MissingHost, "{text}");
    }
}

// THR-518 WART-11
#[test]
fn a_url_of_another_host_is_refused_unless_it_is_asked_for() {
    let pool = origin("http://Pool.example:81/");
    for text in [
        "http://evil.example/",
        "http://pool.example/",
        "http://pool.example:80/",
        "http://pool.example.:81/",
        "https://pool.example:81/",
        "http://pool.example:81@evil.example/",
        "//evil.example/x",
        "//evil.example",
        "//user@evil.example:81/x",
        "//pool.example/x",
        "//@/x",
        "relative",
        "?q",
        "",
    ] {
        let error = target(&pool, text, true).unwrap_err();
        assert_eq!(error.kind(), Kind::HostChanged, "{text}");
        assert!(error.to_string().starts_with("Tried to open a foreign host with url: "), "{error}");
    }
    assert_eq!(target(&pool, "//evil.example/x", false).unwrap(), "//evil.example/x");
    for text in ["HTTP://POOL.example:81/", "//pool.EXAMPLE:81/x", "/x", "///x", "/\\evil.example", "pool.example:81/"]
    {
        assert!(target(&pool, text, true).is_ok() && pool.is_same_host(text), "{text}");
    }
}

#[test]
fn no_message_and_no_debug_text_holds_user_info_or_a_query() {
    let pool = origin("http://pool.example/");
    for text in [
        "http://user:secret@evil.example/p?secret#secret",
        "//user:secret@evil.example/p?secret",
        "http://user:secret@evil.example:foo/?secret",
        "http://user:secret@evil.example:65536/?secret",
        "http://user:secret/part@evil.example/",
        "http://user:secret@[::1/",
        "http://user:secret@a b/",
        "ftp://user:secret@pool.example/",
        "user:secret@pool.example",
        "http://user:secret@:80/?secret",
    ] {
        let error = target(&pool, text, true).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{text}: {error:?}");
        assert!(!format!("{:?}", url::parse(text).ok()).contains("user:secret"), "{text}");
    }
    let parsed = url::parse("http://user:secret@pool.example/p?secret").unwrap();
    assert_eq!(format!("{parsed:?}"), r#"Url("http://pool.example/p")"#);
}

#[derive(Deserialize)]
struct PoolCase {
    host: String,
    scheme: String,
    value: Option<PoolHost>,
    error: Option<Raised>,
}

#[derive(Deserialize)]
struct PoolHost {
    host: String,
    port: Option<u16>,
}

/// THR-512 and THR-511: a number is an address in one spelling; a host that holds a delimiter would be read as another one
/// by whoever parses the Host field, so that there is no pool for it (RFC 3986 §3.2.2).
const OTHER_HOSTS: [(&str, Option<&str>); 3] = [("0x7F.1", Some("127.0.0.1")), ("a/b", None), ("a:80", None)];

// POOL-02 POOL-03 URL-05 THR-512
#[test]
fn a_pool_shows_the_host_that_urllib3_shows() {
    let mut different = 0;
    for case in cases::<PoolCase>("pool-host.json") {
        let host = &case.host;
        let made = Origin::new(Scheme::named(&case.scheme).unwrap(), host, None);
        if let Some((_, ours)) = OTHER_HOSTS.iter().find(|(text, _)| text == host) {
            different += 1;
            assert_eq!(made.as_ref().ok().map(|origin| origin.host.as_str()), *ours, "{host}");
            assert!(made.is_ok() || made.unwrap_err().kind() == Kind::InvalidUrl);
            continue;
        }
        match (case.value, case.error, made) {
            (Some(expected), None, Ok(origin)) => {
                assert_eq!((&origin.host, origin.port), (&expected.host, expected.port), "{host}");
            }
            (None, Some(expected), Err(error)) => {
                assert_same_error(&error, &expected, &Text(host.clone().into()));
            }
            (_, error, made) => panic!("{host:?}: {error:?}; ours: {made:?}"),
        }
    }
    assert_eq!(different, 2 * OTHER_HOSTS.len());
}

// ERR-04 THR-513
#[test]
fn a_label_that_is_empty_or_too_long_makes_no_pool() {
    let long = "a".repeat(64);
    let name = vec!["a".repeat(63); 4].join(".");
    for host in [".localhost", "...", ".", "a..b", "a..", &long, &format!("{long}.com"), &name, &"a.".repeat(128)] {
        let error = Origin::new(Scheme::Http, host, None).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidUrl, "{host}");
        assert!(error.to_string().ends_with("label empty or too long"), "{error}");
        let url = url::parse(&format!("http://{host}/")).unwrap();
        assert_eq!(Origin::from_url(&url).unwrap_err(), error, "{host}");
    }
    for host in ["localhost", "localhost.", "[::1]", "[fe80::1%25en0]", "fe80::1%en0", &"a".repeat(63), &name[..253]] {
        assert!(Origin::new(Scheme::Http, host, None).is_ok(), "{host}");
    }
    let shown = Origin::new(Scheme::Http, "...", None).unwrap_err();
    assert_eq!(shown.to_string(), "Failed to parse: '...', label empty or too long");
}

#[derive(Deserialize)]
struct SameCase {
    pool: String,
    url: String,
    value: bool,
}

// POOL-22 POOL-24 WART-11
#[test]
fn a_url_is_of_the_host_that_urllib3_says_but_for_two_slashes() {
    let mut different = 0;
    for case in cases::<SameCase>("same-host.json") {
        let pool = origin(&case.pool);
        let expected = if case.url == "//evil.com/" {
            // WART-11: it names another host.
            different += 1;
            assert!(case.value);
            false
        } else {
            case.value
        };
        assert_eq!(pool.is_same_host(&case.url), expected, "{} {}", case.pool, case.url);
    }
    assert_eq!(different, 1);
}

// POOL-23 THR-517
#[test]
fn a_scheme_other_than_http_and_https_has_no_pool_and_is_of_no_host() {
    let pool = origin("http://example.com/");
    for text in [
        "file:///etc/passwd",
        "ftp://example.com/",
        "data:text/plain,x",
        "unix:///run/x",
        "http+unix://%2Frun%2Fx/p",
        "javascript:alert(1)",
        "mailto:a@example.com",
        "HTTPX://example.com/",
        "localhost:8080",
        "blob:http://example.com/",
    ] {
        let url = url::parse(text).unwrap();
        assert_eq!(Origin::from_url(&url).unwrap_err().kind(), Kind::UnknownScheme, "{text}");
        assert!(!pool.is_same_host(text), "{text}");
        for assert_same_host in [true, false] {
            let error = target(&pool, text, assert_same_host).unwrap_err();
            assert_eq!(error.kind(), Kind::UnknownScheme, "{text}");
            let scheme = url.scheme.as_deref().unwrap();
            let hint = if scheme == "localhost" { "; did you mean http://localhost:8080?" } else { "" };
            assert_eq!(error.to_string(), format!("Not supported URL scheme {scheme}{hint}"));
        }
    }
    // The host of such a URL is left as it was written.
    assert_eq!(url::parse("http+UNIX://%2fRun%2fX/p").unwrap().host.unwrap(), "%2fRun%2fX");
}

// POOL-24 URL-16
#[test]
fn a_url_without_a_scheme_is_http_to_a_pool_and_refused_by_a_manager() {
    let made = |text| Origin::from_url(&url::parse(text).unwrap()).unwrap();
    for (text, scheme, port) in [
        ("http://h/", Scheme::Http, 80),
        ("https://h/", Scheme::Https, 443),
        ("example.com/x", Scheme::Http, 80),
        ("http://h:0/", Scheme::Http, 0),
        ("https://h:80/", Scheme::Https, 80),
    ] {
        assert_eq!((made(text).scheme, made(text).port), (scheme, Some(port)), "{text}");
    }
    for text in ["example.com/x", "//example.com/x", "/x", "", "[::1]:80"] {
        let error = Origin::from_absolute_url(&url::parse(text).unwrap()).unwrap_err();
        assert_eq!((error.kind(), error.kind().class()), (Kind::MissingHost, "LocationValueError"), "{text}");
    }
    assert_eq!(Origin::from_absolute_url(&url::parse("http://h").unwrap()), Ok(origin("http://h")));
    for text in ["http:x", "http:///x", "/x", "http://@/"] {
        let error = Origin::from_url(&url::parse(text).unwrap()).unwrap_err();
        assert_eq!(error.kind(), Kind::MissingHost, "{text}");
        assert!(error.to_string().starts_with("No host specified. ('"), "{error}");
    }
}

// THR-325
#[test]
fn two_spellings_of_one_origin_are_one_key() {
    let key = |scheme, host, port| Origin::new(scheme, host, port).unwrap();
    let one: HashSet<Origin> = [
        key(Scheme::Https, "xn--fa-hia.de", None),
        key(Scheme::Https, "FAß.de", Some(443)),
        key(Scheme::Https, "fa%C3%9F.de", None),
        origin("https://FAß.DE:443/x"),
        origin("https://user@faß%2Ede"),
    ]
    .into();
    // An escape that is no unreserved character stays one: `fa%C3%9F.de` is a name of its own, as in urllib3.
    assert_eq!(one.len(), 2, "{one:?}");
    for (a, b) in [
        (key(Scheme::Http, "127.1", None), key(Scheme::Http, "127.0.0.1", Some(80))),
        (key(Scheme::Http, "[::0:1]", None), key(Scheme::Http, "::1", None)),
    ] {
        assert_eq!(a, b);
    }
    let base = key(Scheme::Http, "h", None);
    for other in [
        key(Scheme::Http, "h.", None),
        key(Scheme::Https, "h", Some(80)),
        key(Scheme::Http, "h", Some(0)),
        key(Scheme::Http, "g", None),
    ] {
        assert_ne!(base, other);
    }
    assert_ne!(key(Scheme::Http, "[fe80::1%25a]", None), key(Scheme::Http, "[fe80::1%25b]", None));
}

#[test]
fn the_host_field_and_the_shown_url_say_the_same_place() {
    for (text, field, base) in [
        ("http://Example.com:80/", "example.com", "http://example.com"),
        ("https://example.com.:8443/", "example.com:8443", "https://example.com.:8443"),
        ("http://[FE80::1%25En0]:81/", "[fe80::1]:81", "http://[fe80::1%25En0]:81"),
        ("http://h:0/", "h:0", "http://h:0"),
        ("http://127.1/", "127.0.0.1", "http://127.0.0.1"),
        ("http://%2Frun%2Fx/", "%2Frun%2Fx", "http://%2Frun%2Fx"),
    ] {
        let origin = origin(text);
        assert_eq!(origin.authority(), field, "{text}");
        assert_eq!(absolute(&origin, "/p?q"), format!("{base}/p?q"), "{text}");
        assert_eq!(absolute(&origin, "*"), base, "{text}");
        let own = target(&origin, text, true).unwrap();
        assert_eq!(absolute(&origin, &own), format!("{base}/"), "{text}");
    }
    assert_eq!(absolute(&origin("http://a/"), "http://ab/x"), "http://ab/x");
}

// THR-515
#[test]
fn a_port_is_digits_up_to_65535_or_absent() {
    for (text, port) in [("", None), (":", None), (":0", Some(0)), (":00080", Some(80)), (":65535", Some(65_535))] {
        assert_eq!(url::parse(&format!("http://h{text}/")).unwrap().port, port, "{text}");
    }
    for text in [":65536", ":-1", ": 80", ":80a", ":+80", ":0x50", ":8 0", ":80:80", ":²", ":８０", ":99999999999"] {
        let error = url::parse(&format!("http://h{text}/")).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidUrl, "{text}");
    }
}

// URL-09 THR-516
#[test]
fn dot_segments_go_and_nothing_else_of_a_path_is_rewritten() {
    for (path, expected) in [
        ("/a/./b/../c", "/a/c"),
        ("/../../x", "/x"),
        ("/a//b", "/a//b"),
        ("//a", "//a"),
        ("/a/..//x", "//x"),
        ("/..//x", "/x"),
        ("/%2e%2e/x", "/%2e%2e/x"),
        ("/%2E/x", "/%2E/x"),
        ("/..\\x", "/..%5Cx"),
        ("\\..\\x", "/%5C..%5Cx"),
        ("/a/...", "/a/..."),
        ("/a/..", "/"),
        ("/a/b/.", "/a/b/"),
    ] {
        let once = url::parse(&format!("http://h{path}")).unwrap();
        assert_eq!(once.path.as_deref(), Some(expected), "{path}");
        assert_eq!(url::parse(&once.url()).unwrap(), once, "{path} again");
    }
}

// THR-511 URL-10
#[test]
fn whatever_follows_the_authority_the_host_is_the_one_before_it() {
    let users =
        ["", "u@", "u:p@", "a@b@", "evil.example%40@", "evil.example:80@", "%2Fevil.example@", "\t@", "\u{e9}@"];
    let hosts = [("good.example", "good.example"), ("GOOD%2Eexample:80", "good.example"), ("[::1]", "::1")];
    let tails = [
        "",
        "/",
        "/@evil.example",
        "\\@evil.example/",
        "?@evil.example/",
        "#@evil.example",
        "/\\evil.example",
        "?://evil.example",
        "\\evil.example:80/x",
        "#\t@evil.example",
        "?\r\nHost: evil.example",
        "/..//evil.example",
        "/%2e%2e//evil.example",
    ];
    let mut count = 0;
    for user in users {
        for (host, expected) in hosts {
            for tail in tails {
                let text = format!("http://{user}{host}{tail}");
                let made = Origin::from_url(&url::parse(&text).unwrap()).unwrap();
                assert_eq!((made.host.as_str(), made.port), (expected, Some(80)), "{text:?}");
                let sent = target(&made, &text, true).unwrap();
                let shown = url::parse(&absolute(&made, &sent)).unwrap();
                assert_eq!(Origin::from_url(&shown), Ok(made), "{text:?}: {sent}");
                count += 1;
            }
        }
    }
    assert!(count > 200, "{count}");
}

// THR-511 THR-512 THR-513
#[test]
fn a_host_that_two_readers_would_read_differently_makes_no_pool() {
    for host in [
        "a\tb",
        "a\nb",
        "a\0b",
        "a b",
        "a\u{7f}b",
        "a%00b",
        "a%0Ab",
        "a%",
        "a%zz",
        "a<b",
        "a>b",
        "a^b",
        "a|b",
        "a\"b",
        "a`b",
        "a{b",
        "[",
        "]",
        "[]",
        "[a]",
        "[::1",
        "::1]",
        "[::1]x",
        "[v1.fe]",
        "[1::2::3]",
        "[::1%25]x",
        "[::1%25%0a]",
        "[:::1]",
        "[1.2.3.4]",
        "::1:",
        "a]b",
        "a[b",
        "256.256.256.256",
        "1.2.3.4.5",
        "0x100000000",
        "1..2",
        "08.1.1.1",
        "a.1",
        "\u{3002}",
        "a\u{3002}b",
        "a\u{ff0e}b",
        "\u{ff45}vil",
        "a\u{ad}b",
        "a\u{200b}b",
        "a\u{200d}b",
        "xn--",
        "xn--a",
        "xn--example-",
        "xn--.com",
        "a\u{2044}b",
        "a\u{2215}b",
        "\u{2488}com",
        "a\u{ff0f}b",
        "\u{fffd}",
    ] {
        let parsed = url::parse(&format!("http://{host}/"));
        let made = parsed.and_then(|url| Origin::from_url(&url));
        assert_eq!(made.map_err(|error| error.kind()), Err(Kind::InvalidUrl), "{host:?} in a URL");
    }
    for host in [
        "a/b",
        "a:80",
        "a?b",
        "a#b",
        "a@b",
        "a\\b",
        "u@a",
        "http://a",
        "fe80::1%",
        "fe80::1%a b",
        "fe80::1%%0a",
        "a\nb",
    ] {
        let made = Origin::new(Scheme::Http, host, None);
        assert_eq!(made.map_err(|error| error.kind()), Err(Kind::InvalidUrl), "{host:?}");
    }
}

// URL-04 THR-512
#[test]
fn a_zone_id_survives_being_printed_and_parsed() {
    for (text, host, printed) in [
        ("http://[fe80::1%25en0]/", "fe80::1%en0", "http://[fe80::1%en0]/"),
        ("http://[fe80::1%en0]/", "fe80::1%en0", "http://[fe80::1%en0]/"),
        // Interface 251: were it printed after a plain `%`, it would be read as interface 1.
        ("http://[fe80::1%25251]/", "fe80::1%251", "http://[fe80::1%25251]/"),
        ("http://[fe80::1%2525]/", "fe80::1%25", "http://[fe80::1%25]/"),
    ] {
        let url = url::parse(text).unwrap();
        assert_eq!(url.url(), printed);
        assert_eq!(url::parse(printed).unwrap(), url);
        let made = Origin::from_url(&url).unwrap();
        assert_eq!(made.host, host);
        assert_eq!(Origin::new(Scheme::Http, host, None).unwrap().host, host);
        assert!(made.address().is_some());
    }
}

// URL-01 URL-12
#[test]
fn a_url_without_a_scheme_is_printed_so_that_it_is_read_again_as_itself() {
    for (text, printed) in [
        ("//google.com/x", "google.com/x"),
        ("//localhost:8080/x", "//localhost:8080/x"),
        ("//user:pw@h/x", "//user:pw@h/x"),
        ("////evil.example/x", "////evil.example/x"),
        ("/a/..//evil.example", "////evil.example"),
        ("1.2.3.4:80", "1.2.3.4:80"),
    ] {
        let url = url::parse(text).unwrap();
        assert_eq!(url.url(), printed, "{text}");
        assert_eq!(url::parse(printed).unwrap().host, url.host, "{text}");
    }
}

fn origin(text: &str) -> Origin {
    Origin::from_url(&url::parse(text).unwrap()).unwrap()
}

/// The text as JavaScript has it.
fn utf16(text: &Text) -> Vec<u16> {
    let mut units = Vec::new();
    let mut rest = &text.0[..];
    while let Some(&lead) = rest.first() {
        let length = match lead {
            0..0x80 => 1,
            0x80..0xE0 => 2,
            0xE0..0xF0 => 3,
            _ => 4,
        };
        let (character, after) = rest.split_at(length);
        match std::str::from_utf8(character) {
            Ok(text) => units.extend(text.encode_utf16()),
            // A lone surrogate: the last twelve bits are its two continuation octets'.
            Err(_) => units.push(0xD000 | u16::from(character[1] & 0x3F) << 6 | u16::from(character[2] & 0x3F)),
        }
        rest = after;
    }
    units
}

/// The text as a string, where it is one.
fn utf8(text: &Text) -> Option<&str> {
    std::str::from_utf8(&text.0).ok()
}
