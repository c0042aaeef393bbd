//! What the environment's variables mean, beside what they mean to curl and to Go.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "support/vectors.rs"]
mod vectors;

use ferropool_policy::environment::Rules;
use ferropool_policy::error::Kind;
use ferropool_policy::origin::{Origin, Scheme};
use ferropool_policy::proxy::{Proxy, ProxySettings};
use ferropool_policy::settings::ProxyEnvironment;
use ferropool_policy::url;
use serde::Deserialize;
use vectors::{Text, cases};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    url: Text,
    no_proxy: String,
    ours: String,
    curl: String,
    go: String,
    why: Option<String>,
}

fn rules(no: &str) -> Rules {
    let proxy = || Some("http://p".to_owned());
    Rules::of(&ProxyEnvironment { http: proxy(), https: proxy(), all: None, no: Some(no.to_owned()) })
}

fn origin(url: &[u8]) -> Origin {
    let url = std::str::from_utf8(url).unwrap();
    Origin::from_absolute_url(&url::parse(url).unwrap()).unwrap()
}

// THR-713
#[test]
fn no_proxy_means_what_the_table_says() {
    let rows: Vec<Row> = cases("no-proxy.json");
    assert!(rows.len() >= 120, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let found = rules(&row.no_proxy).choose(&origin(&row.url.0)).map_or("direct", |_| "proxy");
        if found != row.ours {
            wrong.push(format!("{:?} with {:?}: {found}", row.url, row.no_proxy));
        }
        let agree = row.curl == row.ours && row.go == row.ours;
        assert_eq!(agree, row.why.is_none(), "{:?} with {:?}: {:?}", row.url, row.no_proxy, row.why);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

// THR-713: of many entries each counts, and neither their order nor what is none of them matters.
#[test]
fn each_entry_counts() {
    let entries =
        ["a.test", "*.b.test", "10.0.0.0/8", "[2001:db8::1]:443", "localhost", "nonsense/", ":1", "[", "é", ""];
    let direct = ["http://a.test", "http://x.b.test", "http://10.0.0.1", "https://[2001:db8::1]", "http://127.0.0.1"];
    let proxied = ["http://b.test", "http://11.0.0.1", "http://[2001:db8::1]", "http://c.test"];
    for turn in 0..entries.len() {
        let mut turned = entries;
        turned.rotate_left(turn);
        for separator in [",", " ", ", ", "\t", " ,\n"] {
            let rules = rules(&turned.join(separator));
            for url in direct {
                assert_eq!(rules.choose(&origin(url.as_bytes())), None, "{url} {turned:?}");
            }
            for url in proxied {
                assert_eq!(rules.choose(&origin(url.as_bytes())), Some("http://p"), "{url} {turned:?}");
            }
        }
    }
}

// PROXY-22: which variable, by the scheme of the origin.
#[test]
fn the_schemes_own_variable_comes_before_the_one_for_all() {
    fn some(text: &str) -> Option<String> {
        (!text.is_empty()).then(|| text.to_owned())
    }
    for (http, https, all, for_http, for_https) in [
        ("", "", "", None, None),
        ("http://h", "", "", Some("http://h"), None),
        ("", "http://s", "", None, Some("http://s")),
        ("", "", "socks5h://a", Some("socks5h://a"), Some("socks5h://a")),
        ("http://h", "", "http://a", Some("http://h"), Some("http://a")),
        ("http://h", "https://s", "http://a", Some("http://h"), Some("https://s")),
        ("  ", "\t", "http://a", Some("http://a"), Some("http://a")),
        ("  ", "", "", None, None),
    ] {
        let rules = Rules::of(&ProxyEnvironment { http: some(http), https: some(https), all: some(all), no: None });
        assert_eq!(rules.choose(&origin(b"http://x")), for_http, "{http:?} {https:?} {all:?}");
        assert_eq!(rules.choose(&origin(b"https://x")), for_https, "{http:?} {https:?} {all:?}");
    }
}

// THR-715: a value without a scheme is an http proxy; one that is none is found out by whoever uses it, and not shown.
#[test]
fn a_value_becomes_a_proxys_url() {
    for (value, chosen, kind) in [
        ("proxy.example", "http://proxy.example", None),
        ("proxy.example:3128", "http://proxy.example:3128", None),
        ("localhost:3128", "http://localhost:3128", None),
        ("127.0.0.1:3128", "http://127.0.0.1:3128", None),
        ("[::1]:3128", "http://[::1]:3128", None),
        ("//proxy.example", "http://proxy.example", None),
        ("  proxy.example  ", "http://proxy.example", None),
        ("u:secret@proxy.example:3128", "http://u:secret@proxy.example:3128", None),
        ("u:secret%40@proxy.example", "http://u:secret%40@proxy.example", None),
        ("HTTP://Proxy.Example", "HTTP://Proxy.Example", None),
        ("https://proxy.example/", "https://proxy.example/", None),
        ("socks4a://proxy.example", "socks4a://proxy.example", None),
        ("ftp://u:secret@proxy.example", "ftp://u:secret@proxy.example", Some(Kind::ProxyScheme)),
        ("htp://proxy.example", "htp://proxy.example", Some(Kind::ProxyScheme)),
        ("http://", "http://", Some(Kind::MissingHost)),
        ("http:", "http://http:", None),
        ("u:secret@proxy.example:99999", "http://u:secret@proxy.example:99999", Some(Kind::InvalidUrl)),
        ("socks5:u:secret@[", "http://socks5:u:secret@[", Some(Kind::InvalidUrl)),
        ("pro xy:secret", "http://pro xy:secret", Some(Kind::InvalidUrl)),
    ] {
        let rules = Rules::of(&ProxyEnvironment { all: Some(value.to_owned()), ..ProxyEnvironment::default() });
        assert_eq!(rules.choose(&origin(b"http://x")), Some(chosen), "{value}");
        let settings = ProxySettings { url: chosen.to_owned(), ..ProxySettings::default() };
        match (Proxy::of(&settings), kind) {
            (Ok(_), None) => {}
            (Err(error), Some(kind)) => {
                assert_eq!(error.kind(), kind, "{value}");
                assert!(!error.to_string().contains("u:secret"), "{error}");
            }
            (other, _) => panic!("{value}: {other:?}"),
        }
    }
}

// THR-715: what is printed tells no password.
#[test]
fn what_is_printed_has_no_credentials_in_it() {
    let environment = ProxyEnvironment { all: Some("http://u:secret@h".into()), ..ProxyEnvironment::default() };
    let shown = format!("{environment:?} {:?}", Rules::of(&environment));
    assert!(!shown.contains("secret"), "{shown}");
}

// THR-713: a host that no pool is made for has no rule to meet.
#[test]
fn entries_are_judged_as_hosts_are() {
    for entry in
        ["a\u{1}b", "a..b", "-", "%", "1.2.3.4.5", "256.1.1.1", "xn--a", "\u{0}", "a/b", "a?b", "a#b", "[::1]x", "::g"]
    {
        for url in ["http://a", "http://b", "http://[::1]", "http://1.2.3.4"] {
            assert!(rules(entry).choose(&origin(url.as_bytes())).is_some(), "{entry} {url}");
        }
    }
    let long = format!("{}.test", "a".repeat(64));
    assert!(Origin::new(Scheme::Http, &long, None).is_err() && rules(&long).choose(&origin(b"http://test")).is_some());
}
