//! Whose name a certificate must have, and which of its names count.

use std::net::{Ipv6Addr, SocketAddr};

use ferropool_core::tls::{Alpn, TlsPlan};
use ferropool_policy::error::Kind;
use ferropool_policy::tls::{CertReqs, NameCheck, TlsSettings};
use rcgen::{DnType, KeyPair, SanType};
use serde::Deserialize;

use crate::pki::{Ca, issue, leaf_params, root};
use crate::server::{Server, plan, reason, trusting};

/// Whether a certificate with these names is taken for this host.
async fn is_taken(ca: &Ca, names: &[&str], settings: &TlsSettings, host: &str) -> bool {
    let server = Server::usual(&issue(&leaf_params(names), ca)).await;
    match server.visit(&plan(settings, host)).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(reason(&error), "ERR_TLS_CERT_ALTNAME_INVALID", "{error}");
            false
        }
    }
}

// TLS-04 THR-803
#[tokio::test]
async fn a_wildcard_is_the_whole_leftmost_label_and_one_label() {
    let ca = root("Root");
    for (name, host, expected) in [
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "A.EXAMPLE.com", true),
        ("*.example.com", "xn--a-ecp.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "a.b.example.com", false),
        ("*.com", "example.com", false),
        ("*", "localhost", false),
        ("*", "example.com", false),
        ("a*.example.com", "ab.example.com", false),
        ("*a.example.com", "ba.example.com", false),
        ("xn--*.example.com", "xn--a.example.com", false),
        ("*.*.example.com", "a.b.example.com", false),
        ("a.*.com", "a.b.com", false),
        ("*.0.0.1", "127.0.0.1", false),
        ("*", "127.0.0.1", false),
        ("127.0.0.1.example.com", "127.0.0.1", false),
    ] {
        assert_eq!(is_taken(&ca, &[name], &trusting(&ca), host).await, expected, "{name} {host}");
    }
}

// TLS-04 TLS-06 THR-803
#[tokio::test]
async fn a_common_name_never_counts() {
    let ca = root("Root");
    let mut params = leaf_params(&[]);
    params.distinguished_name.push(DnType::CommonName, "localhost");
    let server = Server::usual(&issue(&params, &ca)).await;
    let error = server.visit(&plan(&trusting(&ca), "localhost")).await.unwrap_err();
    assert_eq!(reason(&error), "ERR_TLS_CERT_ALTNAME_INVALID");
    assert!(error.to_string().contains("common name does not count"), "{error}");
}

// TLS-04 TLS-09 THR-805
#[tokio::test]
async fn an_address_needs_an_entry_of_its_kind_and_is_never_sent_as_a_name() {
    let ca = root("Root");
    for (names, host, expected) in [
        (&["127.0.0.1"][..], "127.0.0.1", true),
        (&["127.0.0.1"], "127.0.0.2", false),
        (&["::1"], "::1", true),
        (&["::1"], "0:0:0:0:0:0:0:1", true),
        (&["fe80::1"], "fe80::1%eth0", true),
        (&["::1"], "::2", false),
        (&["localhost"], "127.0.0.1", false),
        (&["::ffff:127.0.0.1"], "127.0.0.1", false),
    ] {
        assert_eq!(is_taken(&ca, names, &trusting(&ca), host).await, expected, "{names:?} {host}");
    }
    // An address as a DNS name is none.
    let mut params = leaf_params(&[]);
    params.subject_alt_names = vec![SanType::DnsName("127.0.0.1".try_into().unwrap())];
    let mut server = Server::usual(&issue(&params, &ca)).await;
    let error = server.visit(&plan(&trusting(&ca), "127.0.0.1")).await.unwrap_err();
    assert_eq!(reason(&error), "ERR_TLS_CERT_ALTNAME_INVALID");
    assert_eq!(error.fields().extra.chain.as_ref().unwrap().asserted.as_deref(), Some("127.0.0.1"));
    assert_eq!(server.seen().await.sni, None);
}

// THR-805
#[tokio::test]
async fn the_certificate_is_asked_for_over_ipv6_too() {
    let (ca, papers) = crate::pki::usual();
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(crate::server::presenting(&papers)));
    let serving = tokio::spawn(async move { acceptor.accept(listener.accept().await.unwrap().0).await.is_ok() });
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (_stream, secured) = plan(&trusting(&ca), "::1").handshake(stream).await.unwrap();
    assert_eq!(secured.server_name, None);
    assert!(serving.await.unwrap());
}

// TLS-09 THR-805
#[tokio::test]
async fn the_name_sent_and_checked_is_the_host_without_its_dot() {
    let ca = root("Root");
    let mut server = Server::usual(&issue(&leaf_params(&["example.com", "xn--bcher-kva.example"]), &ca)).await;
    for (host, sent) in [
        ("example.com", "example.com"),
        ("example.com.", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ] {
        let secured = server.visit(&plan(&trusting(&ca), host)).await.unwrap();
        assert_eq!(secured.server_name.as_deref(), Some(sent));
        assert_eq!(server.seen().await.sni.as_deref(), Some(sent));
    }
}

// THR-805
#[test]
fn what_no_certificate_can_be_for_is_refused_before_the_network() {
    let ca = root("Root");
    for host in ["a\0b", "a b", "", "a..b", "-a.example", &"x".repeat(64), "2130706433", "0x7f000001", "127.1"] {
        let error = TlsPlan::new(&trusting(&ca), host, Alpn::Http1).unwrap_err();
        assert_eq!(reason(&error), "ERR_TLS_CERT_ALTNAME_INVALID", "{host:?}");
    }
    let asserting = |name: &str| TlsSettings { assert_hostname: NameCheck::Is(name.to_owned()), ..trusting(&ca) };
    let sending = |name: &str| TlsSettings { server_hostname: Some(name.to_owned()), ..trusting(&ca) };
    for name in ["", "a b", "a\0b", "*.example.com", "http://example.com/"] {
        for (settings, option) in [(asserting(name), "assertHostname"), (sending(name), "serverHostname")] {
            let error = TlsPlan::new(&settings, "localhost", Alpn::Http1).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidOption, "{option} {name:?}");
            assert!(error.to_string().starts_with(option), "{error}");
        }
    }
}

// TLS-05 TLS-07
#[tokio::test]
async fn another_name_can_be_asserted_or_none() {
    let ca = root("Root");
    let names = ["example.org", "bücher.example", "10.0.0.1", "fe80::1"];
    let encoded = ["example.org", "xn--bcher-kva.example", "10.0.0.1", "fe80::1"];
    let mut server = Server::usual(&issue(&leaf_params(&encoded), &ca)).await;
    let asserting = |check| TlsSettings { assert_hostname: check, ..trusting(&ca) };
    for name in names.into_iter().chain(["EXAMPLE.org.", "[fe80::1]", "[FE80::1%eth0]", "fe80:0::1"]) {
        let settings = asserting(NameCheck::Is(name.to_owned()));
        assert!(server.visit(&plan(&settings, "localhost")).await.unwrap().verified, "{name}");
        assert_eq!(server.seen().await.sni.as_deref(), Some("localhost"));
    }
    let settings = asserting(NameCheck::Off);
    assert!(server.visit(&plan(&settings, "localhost")).await.unwrap().verified);
    // Off is for the name alone.
    let stranger = Server::usual(&issue(&leaf_params(&["localhost"]), &root("Stranger"))).await;
    let error = stranger.visit(&plan(&settings, "localhost")).await.unwrap_err();
    assert_eq!(reason(&error), "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    assert_eq!(error.fields().extra.chain.as_ref().unwrap().asserted, None);
    let error =
        server.visit(&plan(&asserting(NameCheck::Is("example.net".to_owned())), "localhost")).await.unwrap_err();
    assert_eq!(reason(&error), "ERR_TLS_CERT_ALTNAME_INVALID");
    let chain = error.fields().extra.chain.as_ref().unwrap();
    assert_eq!(chain.asserted.as_deref(), Some("example.net"));
    assert_eq!(chain.certificates.len(), 1);
    let expected =
        "not valid for 'example.net', only for DNS:example.org, DNS:xn--bcher-kva.example, IP Address:10.0.0.1";
    assert!(error.to_string().contains(expected), "{error}");
}

// TLS-09
#[tokio::test]
async fn server_hostname_replaces_the_name_that_is_sent_and_the_one_that_is_checked() {
    let ca = root("Root");
    let mut server = Server::usual(&issue(&leaf_params(&["example.org"]), &ca)).await;
    let sending = TlsSettings { server_hostname: Some("Example.org".to_owned()), ..trusting(&ca) };
    let secured = server.visit(&plan(&sending, "127.0.0.1")).await.unwrap();
    assert_eq!(secured.server_name.as_deref(), Some("example.org"));
    assert_eq!(server.seen().await.sni.as_deref(), Some("example.org"));
    let wrong = TlsSettings { server_hostname: Some("example.net".to_owned()), ..trusting(&ca) };
    let error = server.visit(&plan(&wrong, "example.org")).await.unwrap_err();
    assert_eq!(reason(&error), "ERR_TLS_CERT_ALTNAME_INVALID");
    server.seen().await;
    // assertHostname is before serverHostname.
    let both = TlsSettings { assert_hostname: NameCheck::Is("example.org".to_owned()), ..wrong };
    server.visit(&plan(&both, "localhost")).await.unwrap();
    assert_eq!(server.seen().await.sni.as_deref(), Some("example.net"));
    // Where nobody is verified it is still sent.
    let lax =
        TlsSettings { cert_reqs: CertReqs::None, server_hostname: Some("a.test".to_owned()), ..Default::default() };
    server.visit(&plan(&lax, "localhost")).await.unwrap();
    assert_eq!(server.seen().await.sni.as_deref(), Some("a.test"));
}

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    subject_alt_name: Vec<(String, String)>,
    common_name: String,
    hostname: String,
    r#match: Expected,
}

#[derive(Deserialize)]
struct Expected {
    value: Option<bool>,
}

// TLS-04
#[tokio::test]
async fn names_match_as_in_urllib3_but_for_partial_wildcards() {
    let text = include_str!("../../../../__test__/vectors/match-hostname.json");
    let vectors: Vectors = serde_json::from_str(text).unwrap();
    assert!(vectors.cases.len() >= 45);
    let ca = root("Root");
    let mut stricter = 0;
    for case in vectors.cases {
        let mut params = leaf_params(&[]);
        params.distinguished_name.push(DnType::CommonName, case.common_name);
        params.subject_alt_names = case
            .subject_alt_name
            .iter()
            .map(|(kind, name)| match kind.as_str() {
                "DNS" => SanType::DnsName(name.as_str().try_into().unwrap()),
                "IP Address" => SanType::IpAddress(name.trim().parse().unwrap()),
                "email" => SanType::Rfc822Name(name.as_str().try_into().unwrap()),
                other => panic!("{other}"),
            })
            .collect();
        let papers = crate::pki::issue_for(&params, KeyPair::generate().unwrap(), &ca);
        let server = Server::usual(&papers).await;
        let settings = TlsSettings { assert_hostname: NameCheck::Is(case.hostname.clone()), ..trusting(&ca) };
        let is_taken = match TlsPlan::new(&settings, "localhost", Alpn::Http1) {
            Ok(plan) => server.visit(&plan).await.is_ok(),
            Err(error) => {
                assert_eq!(error.kind(), Kind::InvalidOption);
                false
            }
        };
        let is_partial = case.subject_alt_name.iter().any(|(_, name)| name.contains('*') && !name.starts_with("*."));
        let expected = case.r#match.value.unwrap_or_default();
        let names = &case.subject_alt_name;
        if is_partial {
            // webpki takes no part of a label for a wildcard, and no wildcard without a domain.
            assert!(!is_taken, "{names:?} {}", case.hostname);
            stricter += usize::from(expected);
        } else if case.hostname == "foo." {
            // urllib3 has taken the dot away before it gets here.
            assert!(is_taken);
        } else {
            assert_eq!(is_taken, expected, "{names:?} {}", case.hostname);
        }
    }
    assert_eq!(stricter, 7);
}
