//! A fingerprint in place of a name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferropool_core::tls::certificate::facts;
use ferropool_core::tls::fingerprint::assert_fingerprint;
use ferropool_policy::error::Kind;
use ferropool_policy::tls::{CertReqs, NameCheck, TlsSettings};
use md5::Md5;
use rcgen::date_time_ymd;
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::pki::{Papers, issue, leaf_params, root, self_signed, usual};
use crate::server::{Server, plan, reason, refusal, resuming, trusting};

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    der: String,
    fingerprint: String,
    ok: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    message: String,
}

// TLS-08
#[test]
fn fingerprints_are_judged_as_by_urllib3() {
    let text = include_str!("../../../../__test__/vectors/fingerprint.json");
    let vectors: Vectors = serde_json::from_str(text).unwrap();
    assert!(vectors.cases.len() >= 16);
    for case in vectors.cases {
        let der = STANDARD.decode(&case.der).unwrap();
        let outcome = assert_fingerprint(&der, &case.fingerprint);
        let message = outcome.as_ref().err().map(ToString::to_string);
        assert_eq!(message, case.ok.error.map(|error| error.message), "{}", case.fingerprint);
        if let Err(error) = outcome {
            assert_eq!((error.kind(), reason(&error)), (Kind::Tls, "ERR_FINGERPRINT"));
        }
    }
}

fn hex<D: Digest>(papers: &Papers) -> String {
    crate::pki::hex(&D::digest(papers.leaf()))
}

fn marked(settings: TlsSettings, fingerprint: &str) -> TlsSettings {
    TlsSettings { assert_fingerprint: Some(fingerprint.to_owned()), ..settings }
}

// TLS-08 TLS-21 THR-810
#[tokio::test]
async fn a_fingerprint_replaces_the_name_and_not_the_chain() {
    let (ca, papers) = usual();
    let server = Server::usual(&papers).await;
    let colons = facts(papers.leaf()).unwrap().sha256;
    for fingerprint in [hex::<Md5>(&papers), hex::<Sha1>(&papers), hex::<Sha256>(&papers), colons] {
        let plan = plan(&marked(trusting(&ca), &fingerprint), "another.test");
        assert!(plan.is_verified());
        assert!(server.visit(&plan).await.unwrap().verified, "{fingerprint}");
    }
    let settings = marked(trusting(&root("Stranger")), &hex::<Sha256>(&papers));
    let error = server.visit(&plan(&settings, "localhost")).await.unwrap_err();
    assert_eq!(reason(&error), "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    // Not even where a name is given that would match.
    let mut settings = marked(trusting(&ca), &"00".repeat(32));
    settings.assert_hostname = NameCheck::Is("localhost".to_owned());
    let error = server.visit(&plan(&settings, "localhost")).await.unwrap_err();
    assert_eq!(reason(&error), "ERR_FINGERPRINT");
    let expected =
        format!("Fingerprints did not match. Expected \"{}\", got \"{}\"", "00".repeat(32), hex::<Sha256>(&papers));
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert_eq!(error.fields().extra.chain.as_ref().unwrap().certificates, [papers.leaf().to_vec()]);
}

// TLS-08 TLS-21 THR-810
#[tokio::test]
async fn a_fingerprint_verifies_where_the_chain_is_not_looked_at() {
    let mut old = leaf_params(&["example.org"]);
    old.not_after = date_time_ymd(2021, 1, 1);
    let papers = self_signed(&old);
    let mut server = Server::usual(&papers).await;
    let lax = TlsSettings { cert_reqs: CertReqs::None, ..TlsSettings::default() };
    let good = plan(&marked(lax.clone(), &hex::<Sha1>(&papers)), "localhost");
    assert!(good.is_verified());
    assert!(server.visit(&good).await.unwrap().verified);
    server.seen().await;
    let bad = plan(&marked(lax, &"0".repeat(40)), "localhost");
    assert_eq!(reason(&server.visit(&bad).await.unwrap_err()), "ERR_FINGERPRINT");
    assert!(server.seen().await.received.is_err(), "the handshake was not finished");
}

// TLS-08 THR-810
#[tokio::test]
async fn whoever_shows_the_certificate_without_its_key_is_refused() {
    let ca = root("Root");
    let real = issue(&leaf_params(&["localhost"]), &ca);
    let thief = Papers { chain: real.chain.clone(), key: rcgen::KeyPair::generate().unwrap() };
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let server = Server::start(resuming(versions, &thief)).await;
        let lax = TlsSettings { cert_reqs: CertReqs::None, ..TlsSettings::default() };
        let settings = marked(lax, &hex::<Sha256>(&real));
        let error = server.visit(&plan(&settings, "localhost")).await.unwrap_err();
        assert_eq!(reason(&error), "CERT_SIGNATURE_FAILURE", "{error}");
    }
}

// TLS-08 THR-810
#[test]
fn a_malformed_fingerprint_is_refused_when_the_plan_is_made() {
    let ca = root("Root");
    for (fingerprint, message) in [
        ("AA:A", "Fingerprint of invalid length: aaa"),
        ("", "Fingerprint of invalid length: "),
        (&"é".repeat(40), "Non-hexadecimal digit found"),
        (&"+f".repeat(20), "Non-hexadecimal digit found"),
    ] {
        assert_eq!(refusal(&marked(trusting(&ca), fingerprint)), ("ERR_FINGERPRINT", message.to_owned()));
    }
}
