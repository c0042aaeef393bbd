//! What is said about a certificate.

use ferropool_core::tls::certificate::facts;
use rcgen::{DnType, KeyPair, SanType, date_time_ymd};

use crate::pki::{issue, issue_for, leaf_params, root};

#[test]
fn a_certificate_is_described_as_node_does() {
    let ca = root("Root, \"quoted\"");
    let mut params = leaf_params(&["example.com", "*.example.org", "127.0.0.1", "fe80::1:2"]);
    params.not_before = date_time_ymd(2021, 1, 1);
    params.not_after = date_time_ymd(2022, 1, 1);
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.subject_alt_names.push(SanType::URI("https://example.com/".try_into().unwrap()));
    params.subject_alt_names.push(SanType::Rfc822Name("a@example.com".try_into().unwrap()));
    params.subject_alt_names.push(SanType::DnsName("evil, DNS:good.example".try_into().unwrap()));
    let facts = facts(issue(&params, &ca).leaf()).unwrap();
    assert_eq!(facts.subject, "O=Example,CN=a common name that does not count");
    assert_eq!(facts.issuer, r#"CN=Root\, \"quoted\""#);
    assert_eq!((facts.valid_from, facts.valid_to), (1_609_459_200_000, 1_640_995_200_000));
    let names = [
        "DNS:example.com",
        "DNS:*.example.org",
        "IP Address:127.0.0.1",
        "IP Address:FE80:0:0:0:0:0:1:2",
        "URI:https://example.com/",
        "email:a@example.com",
        r#"DNS:"evil, DNS:good.example""#,
    ];
    assert_eq!(facts.names, names);
    assert_eq!(facts.sha256.len(), 95);
    assert!(facts.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F' | b':')));
}

#[test]
fn junk_is_no_certificate_and_never_a_panic() {
    let ca = root("Root");
    let papers = issue_for(&leaf_params(&["example.com"]), KeyPair::generate().unwrap(), &ca);
    let der = papers.leaf();
    assert!(facts(b"").is_none() && facts(b"junk").is_none() && facts(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_none());
    for cut in 0..der.len() {
        assert!(facts(&der[..cut]).is_none());
    }
    for at in 0..der.len() {
        for value in [0, 0x7f, 0x80, 0xff] {
            let mut changed = der.to_vec();
            changed[at] = value;
            let _ = facts(&changed);
        }
    }
}
