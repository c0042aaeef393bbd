//! Certificates that are wrong in one way each: which reason, what is said, and that no byte of a request leaves.

use std::time::{Duration, Instant};

use ferropool_policy::error::{Kind, Phase};
use ferropool_policy::tls::{Authority, CertReqs, TlsSettings};
use rcgen::{
    CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, NameConstraints, SanType, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::pki::{Ca, Papers, below, ca_params, issue, issue_for, leaf_params, root, self_signed, usual};
use crate::server::{Server, plan, reason, trusting};

/// What comes of showing these to a client that trusts this CA: the reason, and the message.
async fn verdict(papers: &Papers, ca: &Ca) -> (&'static str, String) {
    verdict_under(papers, &trusting(ca)).await
}

async fn verdict_under(papers: &Papers, settings: &TlsSettings) -> (&'static str, String) {
    let mut server = Server::usual(papers).await;
    let error = server.visit(&plan(settings, "localhost")).await.unwrap_err();
    let fields = error.fields();
    assert_eq!((fields.kind, fields.phase), (Kind::Tls, Some(Phase::Tls)));
    let chain = fields.extra.chain.as_ref().unwrap();
    let sent: Vec<_> = papers.chain.iter().map(|der| der.to_vec()).collect();
    assert_eq!(chain.certificates, sent);
    assert_eq!(chain.asserted.as_deref(), Some("localhost"));
    assert!(server.seen().await.received.is_err(), "the handshake was not finished");
    (reason(&error), error.to_string())
}

// TLS-01 THR-801
#[tokio::test]
async fn what_is_right_is_accepted_and_nothing_else() {
    let (ca, papers) = usual();
    let mut server = Server::usual(&papers).await;
    let secured = server.visit(&plan(&trusting(&ca), "localhost")).await.unwrap();
    assert!(secured.verified && !secured.resumed && !secured.h2);
    assert_eq!(secured.version, "TLSv1.3");
    assert_eq!(secured.chain, [papers.leaf().to_vec()]);
    assert_eq!(server.seen().await.received.unwrap(), b"");
    // By default Mozilla's roots are trusted, and this is none of them.
    let (why, message) = verdict_under(&papers, &TlsSettings::default()).await;
    assert_eq!(why, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    assert!(message.contains("compiled roots") && message.contains("'system'"), "{message}");
}

// THR-801
#[tokio::test]
async fn a_certificate_out_of_its_time_is_refused() {
    let ca = root("Root");
    let mut old = leaf_params(&["localhost"]);
    old.not_after = date_time_ymd(2021, 2, 3);
    let (why, message) = verdict(&issue(&old, &ca), &ca).await;
    assert_eq!(why, "CERT_HAS_EXPIRED");
    assert!(message.contains("valid until 2021-02-03T00:00:00Z"), "{message}");
    assert!(
        message.contains("[0] subject CN=a common name that does not count, issuer CN=Root, valid 2020-01-01"),
        "{message}"
    );
    let mut early = leaf_params(&["localhost"]);
    early.not_before = date_time_ymd(2048, 2, 3);
    let (why, message) = verdict(&issue(&early, &ca), &ca).await;
    assert_eq!(why, "CERT_NOT_YET_VALID");
    assert!(message.contains("from 2048-02-03T00:00:00Z on"), "{message}");
}

// THR-801
#[tokio::test]
async fn an_expired_intermediate_is_refused() {
    let ca = root("Root");
    let mut old = ca_params("Intermediate", None);
    old.not_after = date_time_ymd(2021, 1, 1);
    let old = Ca::signed_by(old, KeyPair::generate().unwrap(), &ca).unwrap();
    let papers = issue(&leaf_params(&["localhost"]), &old).and(&[&old]);
    assert_eq!(verdict(&papers, &ca).await.0, "CERT_HAS_EXPIRED");
}

// THR-801
#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_and_the_message_says_what_to_do() {
    let ca = root("Root");
    let stranger = root("Stranger");
    let own = self_signed(&leaf_params(&["localhost"]));
    let (why, message) = verdict(&own, &ca).await;
    assert_eq!(why, "DEPTH_ZERO_SELF_SIGNED_CERT");
    assert!(message.contains("pass it with caCerts"), "{message}");
    // As `openssl req -x509` makes them.
    let mut usual = leaf_params(&["localhost"]);
    usual.is_ca = ca_params("", None).is_ca;
    assert_eq!(verdict(&self_signed(&usual), &ca).await.0, "DEPTH_ZERO_SELF_SIGNED_CERT");
    let strange = issue(&leaf_params(&["localhost"]), &stranger);
    let (why, message) = verdict(&strange, &ca).await;
    assert_eq!(why, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    assert!(message.contains("CN=Stranger was not sent") && message.contains("pass its CA with caCerts"), "{message}");
    let (why, message) = verdict(&strange.and(&[&stranger]), &ca).await;
    assert_eq!(why, "SELF_SIGNED_CERT_IN_CHAIN");
    assert!(message.contains("a CA that is not trusted, CN=Stranger") && message.contains("caCerts"), "{message}");
}

// TLS-17 THR-801
#[tokio::test]
async fn an_intermediate_must_be_sent_or_trusted_itself() {
    let ca = root("Root");
    let between = below("Intermediate", &ca);
    let alone = issue(&leaf_params(&["localhost"]), &between);
    let (why, message) = verdict(&alone, &ca).await;
    assert_eq!(why, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    assert!(
        message.contains("CN=Intermediate was not sent") && message.contains("leaves out its intermediate"),
        "{message}"
    );
    // OpenSSL's partial chain.
    let server = Server::usual(&alone).await;
    server.visit(&plan(&trusting(&between), "localhost")).await.unwrap();
    let server = Server::usual(&alone.and(&[&between])).await;
    server.visit(&plan(&trusting(&ca), "localhost")).await.unwrap();
}

// TLS-17
#[tokio::test]
async fn a_self_signed_certificate_can_be_trusted() {
    let own = self_signed(&leaf_params(&["localhost"]));
    let server = Server::usual(&own).await;
    let settings = TlsSettings { authorities: vec![Authority::Pem(own.pem())], ..TlsSettings::default() };
    assert!(server.visit(&plan(&settings, "localhost")).await.unwrap().verified);
}

// THR-801
#[tokio::test]
async fn a_certificate_for_another_purpose_is_refused() {
    let ca = root("Root");
    let mut client = leaf_params(&["localhost"]);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let (why, message) = verdict(&issue(&client, &ca), &ca).await;
    assert_eq!(why, "INVALID_PURPOSE");
    assert!(message.contains("serverAuth"), "{message}");
}

// THR-801
#[tokio::test]
async fn a_ca_is_no_server_and_a_server_no_ca() {
    let ca = root("Root");
    let mut both = ca_params("Both", None);
    both.subject_alt_names = leaf_params(&["localhost"]).subject_alt_names;
    let (why, message) = verdict(&issue(&both, &ca), &ca).await;
    assert_eq!(why, "INVALID_CA");
    assert!(message.contains("CA:TRUE"), "{message}");
    let mut no_ca = leaf_params(&["example.com"]);
    no_ca.is_ca = IsCa::ExplicitNoCa;
    let no_ca = Ca::signed_by(no_ca, KeyPair::generate().unwrap(), &ca).unwrap();
    let papers = issue(&leaf_params(&["localhost"]), &no_ca).and(&[&no_ca]);
    assert_eq!(verdict(&papers, &ca).await.0, "INVALID_CA");
}

// THR-801 TLS-17: what `openssl req -x509` makes. Trusted itself it is its server's; nobody else's, and not for ever.
#[tokio::test]
async fn a_self_signed_ca_that_is_trusted_itself_may_be_a_server() {
    let of = |names: &[&str], expired: bool| {
        let mut both = ca_params("Both", None);
        both.subject_alt_names = leaf_params(names).subject_alt_names;
        if expired {
            (both.not_before, both.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let itself = Ca::self_signed(both, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::try_from(itself.key().serialize_der()).unwrap();
        (Papers { chain: vec![itself.der().clone()], key }, itself)
    };
    let (papers, itself) = of(&["localhost"], false);
    let server = Server::usual(&papers).await;
    assert!(server.visit(&plan(&trusting(&itself), "localhost")).await.unwrap().verified);
    // Of the same name and another key.
    let (_, stranger) = of(&["localhost"], false);
    assert_eq!(verdict(&papers, &stranger).await.0, "DEPTH_ZERO_SELF_SIGNED_CERT");
    let (papers, itself) = of(&["example.com"], false);
    assert_eq!(verdict(&papers, &itself).await.0, "ERR_TLS_CERT_ALTNAME_INVALID");
    let (papers, itself) = of(&["localhost"], true);
    assert_eq!(verdict(&papers, &itself).await.0, "CERT_HAS_EXPIRED");
}

// THR-801
#[tokio::test]
async fn a_ca_allows_so_many_below_it() {
    let ca = Ca::self_signed(ca_params("Root", Some(0)), KeyPair::generate().unwrap()).unwrap();
    let first = Ca::signed_by(ca_params("First", Some(0)), KeyPair::generate().unwrap(), &ca).unwrap();
    let second = below("Second", &first);
    let papers = issue(&leaf_params(&["localhost"]), &second).and(&[&second, &first]);
    let (why, message) = verdict(&papers, &ca).await;
    assert_eq!(why, "PATH_LENGTH_EXCEEDED");
    assert!(message.contains("pathLenConstraint"), "{message}");
}

// THR-801
#[tokio::test]
async fn a_wrong_signature_is_refused() {
    let ca = root("Root");
    let impostor = root("Root");
    let papers = issue(&leaf_params(&["localhost"]), &impostor);
    assert_eq!(verdict(&papers, &ca).await.0, "CERT_SIGNATURE_FAILURE");
}

fn fixture(chain: &str) -> Papers {
    let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
    Papers { chain, key: KeyPair::from_pem(include_str!("fixtures/rsa.pkcs8.pem")).unwrap() }
}

// THR-801
#[tokio::test]
async fn what_is_too_weak_is_refused() {
    let trusting =
        |pem: &str| TlsSettings { authorities: vec![Authority::Pem(pem.to_owned())], ..TlsSettings::default() };
    let papers = fixture(include_str!("fixtures/leaf-sha1.pem"));
    let (why, message) = verdict_under(&papers, &trusting(include_str!("fixtures/ca-sha1.pem"))).await;
    assert_eq!(why, "CERT_UNSUPPORTED_ALGORITHM");
    assert!(message.contains("SHA-1"), "{message}");
    // The CA's key is too short, and the CA is sent.
    let mut papers = fixture(include_str!("fixtures/leaf-by-1024.pem"));
    let weak = include_str!("fixtures/ca1024.pem");
    papers.chain.push(CertificateDer::from_pem_slice(weak.as_bytes()).unwrap());
    let (why, message) = verdict_under(&papers, &trusting(weak)).await;
    assert_eq!(why, "CERT_UNSUPPORTED_ALGORITHM");
    assert!(message.contains("1024 bits"), "{message}");
}

// THR-807
#[tokio::test]
async fn a_ca_is_held_to_its_name_constraints() {
    let constrained = |permitted: Vec<GeneralSubtree>, excluded: Vec<GeneralSubtree>| {
        let mut params = ca_params("Constrained", None);
        params.name_constraints = Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded });
        Ca::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let dns = |name: &str| GeneralSubtree::DnsName(name.to_owned());
    let ca = constrained(vec![dns("example.com")], vec![]);
    let (why, message) = verdict(&issue(&leaf_params(&["localhost"]), &ca), &ca).await;
    assert_eq!(why, "CERT_NAME_CONSTRAINT");
    assert!(message.contains("nameConstraints"), "{message}");
    let ca = constrained(vec![dns("localhost")], vec![]);
    Server::usual(&issue(&leaf_params(&["localhost"]), &ca))
        .await
        .visit(&plan(&trusting(&ca), "localhost"))
        .await
        .unwrap();
    // RUSTSEC-2026-0099: a wildcard could become a name that is excluded.
    let ca = constrained(vec![], vec![dns("secret.example.com")]);
    let papers = issue(&leaf_params(&["localhost", "*.example.com"]), &ca);
    assert_eq!(verdict(&papers, &ca).await.0, "CERT_NAME_CONSTRAINT");
    // RUSTSEC-2026-0098: a URI under constraints on URIs that nobody evaluates.
    let mut params = leaf_params(&["localhost"]);
    params.subject_alt_names.push(SanType::URI("https://example.com/".try_into().unwrap()));
    let mut issuer = ca_params("Constrained", None);
    // NameConstraints { permitted: [ uri ".example.org" ] }
    let subtree = [&[0x30, 0x12, 0xa0, 0x10, 0x30, 0x0e, 0x86, 0x0c][..], b".example.org"].concat();
    issuer.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 30], subtree));
    let ca = Ca::self_signed(issuer, KeyPair::generate().unwrap()).unwrap();
    assert_eq!(verdict(&issue(&params, &ca), &ca).await.0, "CERT_NAME_CONSTRAINT");
}

#[tokio::test]
async fn an_unknown_critical_extension_is_refused() {
    let ca = root("Root");
    let mut params = leaf_params(&["localhost"]);
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
    assert_eq!(verdict(&issue(&params, &ca), &ca).await.0, "CERT_UNKNOWN_CRITICAL_EXTENSION");
}

// THR-808
#[tokio::test]
async fn a_mesh_of_a_hundred_intermediates_is_refused_quickly() {
    let ca = root("Root");
    // Each could have issued each: they have one name, and different keys.
    let mut mesh = vec![root("Mesh")];
    for _ in 1..100 {
        mesh.push(below("Mesh", mesh.last().unwrap()));
    }
    let bystanders: Vec<_> = (0..90).map(|at| root(&format!("Bystander {at}"))).collect();
    // One that leads to the anchor by its name, so that signatures are worth checking.
    let impostor = root("Root");
    let linked = below("Mesh", &impostor);
    let whole: Vec<_> = mesh.iter().collect();
    let few: Vec<_> = mesh[90..].iter().chain(&bystanders).collect();
    let ending: Vec<_> = mesh[90..].iter().chain([&linked]).collect();
    for sent in [whole, few, ending] {
        let papers = issue(&leaf_params(&["localhost"]), &mesh[99]).and(&sent);
        let server = Server::usual(&papers).await;
        let plan = plan(&trusting(&ca), "localhost");
        let mut quickest = Duration::MAX;
        for _ in 0..3 {
            let began = Instant::now();
            let error = server.visit(&plan).await.unwrap_err();
            quickest = quickest.min(began.elapsed());
            assert_eq!(reason(&error), "CERT_CHAIN_TOO_COMPLEX");
            assert!(error.to_string().ends_with(&format!("; and {} more", sent.len() - 9)), "{error}");
        }
        // All ways through it would take for ever.
        assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    }
}

// THR-808
#[tokio::test]
async fn bystanders_and_cross_signatures_do_not_hinder() {
    let ca = root("Root");
    let old = root("Old root");
    // Cross-signed: the same names from another root, first.
    let crossed = below("Intermediate", &old);
    let between = below("Intermediate", &ca);
    let second = below("Second", &between);
    let bystanders: Vec<_> = (0..60).map(|at| root(&format!("Bystander {at}"))).collect();
    let mut sent: Vec<_> = bystanders.iter().collect();
    sent.extend([&crossed, &second, &second, &between]);
    let papers = issue(&leaf_params(&["localhost"]), &second).and(&sent);
    let server = Server::usual(&papers).await;
    let secured = server.visit(&plan(&trusting(&ca), "localhost")).await.unwrap();
    assert_eq!(secured.chain.len(), 65);
}

// TLS-03 THR-809
#[tokio::test]
async fn without_verification_anybody_is_accepted() {
    let ca = root("Root");
    let mut wrong = leaf_params(&["example.org"]);
    wrong.not_after = date_time_ymd(2021, 1, 1);
    let mut server = Server::usual(&self_signed(&wrong)).await;
    for authorities in [vec![], vec![Authority::Pem(ca.pem())]] {
        let settings = TlsSettings { cert_reqs: CertReqs::None, authorities, ..TlsSettings::default() };
        let plan = plan(&settings, "localhost");
        assert!(!plan.is_verified());
        let secured = server.visit(&plan).await.unwrap();
        assert!(!secured.verified);
        assert_eq!(secured.chain.len(), 1);
        assert!(server.seen().await.received.is_ok());
    }
    // What is no certificate at all is accepted too.
    let junk = Papers { chain: vec![CertificateDer::from(b"junk".to_vec())], key: KeyPair::generate().unwrap() };
    let server = Server::usual(&junk).await;
    let settings = TlsSettings { cert_reqs: CertReqs::None, ..TlsSettings::default() };
    assert!(!server.visit(&plan(&settings, "localhost")).await.unwrap().verified);
    let (why, message) = verdict(&junk, &ca).await;
    assert_eq!(why, "CERT_MALFORMED");
    assert!(message.contains("4 bytes that are no certificate"), "{message}");
}

// TLS-05
#[tokio::test]
async fn what_a_peer_calls_itself_is_escaped_and_cut() {
    let ca = root("Root");
    let stranger = root("Stranger\r\n\u{1b}[2J injected");
    let (_, message) = verdict(&issue(&leaf_params(&["localhost"]), &stranger), &ca).await;
    assert!(message.bytes().all(|b| matches!(b, b' '..=b'~') || b >= 0x80), "{message:?}");
    assert!(message.contains("injected"), "{message}");
    let long = root(&"x".repeat(5000));
    let (_, message) =
        verdict(&issue_for(&leaf_params(&["localhost"]), KeyPair::generate().unwrap(), &long), &ca).await;
    assert!(message.len() < 1500, "{}", message.len());
}
