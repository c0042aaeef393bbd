//! What must hold for every text that is given as a URL. The fuzz target runs it over whatever it finds, a plain test over
//! the seeds, and a property test over random texts.
#![expect(clippy::expect_used, reason = "a failed expectation is the finding")]

use ferropool_policy::error::Kind;
use ferropool_policy::origin::{Origin, Scheme};
use ferropool_policy::url::{self, Url};

/// Panics where it does not hold: one host everywhere; parse, print, parse is stable; nothing but visible ASCII is sent.
pub(crate) fn holds(text: &str) {
    if let Ok(parsed) = url::parse(text) {
        printing_is_stable(&parsed);
        one_host_everywhere(&parsed);
    }
    for scheme in [Scheme::Http, Scheme::Https] {
        let pool = Origin::new(scheme, "pool.example", Some(8080)).expect("a plain host");
        only_visible_ascii_is_sent(&pool, text);
    }
    a_host_is_one_or_none(text);
}

fn printing_is_stable(parsed: &Url) {
    let printed = parsed.url();
    let again = url::parse(&printed).expect("what was printed parses");
    assert_eq!(again.url(), printed, "printed twice");
    let host = |url: &Url| url.host.clone().filter(|host| !host.is_empty());
    assert_eq!(host(&again), host(parsed), "{printed} names the host that was parsed");
    assert_eq!((&again.scheme, again.request_uri()), (&parsed.scheme, parsed.request_uri()), "{printed}");
}

fn one_host_everywhere(parsed: &Url) {
    let Ok(origin) = Origin::from_url(parsed) else {
        return;
    };
    let host = parsed.host.as_deref().expect("an origin has a host");
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    assert!(origin.host == bare || origin.address().is_some(), "{host} became {}", origin.host);
    assert!(is_visible(&origin.host) && is_visible(&origin.authority()));

    let told = Origin::new(origin.scheme, &origin.host, origin.port).expect("its host is a host");
    assert_eq!((&told, &told.host), (&origin, &origin.host), "the host, given to a pool");
    if parsed.scheme.is_some() {
        assert!(origin.is_same_host(&parsed.url()), "{} is of its own host", origin.host);
    }
    let shown = url::parse(&url::absolute(&origin, "/")).expect("an absolute URL");
    assert_eq!(Origin::from_url(&shown).as_ref(), Ok(&origin), "the URL that a response shows");
    assert_eq!(shown.auth, None);
}

fn only_visible_ascii_is_sent(pool: &Origin, text: &str) {
    let Ok(sent) = url::target(pool, text, false) else {
        return;
    };
    assert!(is_visible(&sent) && !sent.contains('#'), "{sent:?}");
    assert!(sent == "*" || sent.starts_with('/') || sent.starts_with("http"), "{sent:?}");
    let again = url::target(pool, &sent, false).expect("a target is one");
    assert_eq!(again, sent, "never rewritten twice");
    if !sent.starts_with(['/', '*']) {
        let authority = sent.split(['/', '?']).nth(2).expect("absolute form");
        assert!(!authority.contains('@'), "{sent:?} holds user info");
    }
    match url::target(pool, text, true) {
        Ok(strict) => {
            assert_eq!(strict, sent);
            assert!(sent == "*" || pool.is_same_host(text), "{text:?} is of another host");
        }
        Err(error) => assert!(
            error.kind() == Kind::HostChanged && !pool.is_same_host(text)
                || error.kind() == Kind::InvalidUrl && text.starts_with("//"),
            "{text:?}: {error}"
        ),
    }
}

fn a_host_is_one_or_none(text: &str) {
    let Ok(origin) = Origin::new(Scheme::Https, text, None) else {
        return;
    };
    let told = Origin::new(Scheme::Https, &origin.host, None).expect("its host is a host");
    assert_eq!(told.host, origin.host, "normalised twice");
    let shown = url::absolute(&origin, "/");
    let parsed = url::parse(&shown).expect("an absolute URL");
    assert_eq!(Origin::from_url(&parsed).as_ref(), Ok(&origin), "{shown}");
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_graphic())
}
