//! Which handshakes go on with an earlier session: those of the same settings to the same name, and no others.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferropool_core::tls::{Alpn, Secured, TlsPlan};
use ferropool_policy::tls::{Authority, CertReqs, Identity, Material, NameCheck, TlsSettings, Version};
use rustls::SupportedProtocolVersion;
use sha2::{Digest, Sha256};

use crate::pki::{Ca, Papers, hex, issue, leaf_params, root, usual};
use crate::server::{Server, demanding, plan, presenting, reason, resuming, trusting};
use crate::trust::Scratch;

const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&rustls::version::TLS13], &[&rustls::version::TLS12]];

async fn visit(server: &Server, settings: &TlsSettings) -> Secured {
    server.visit(&plan(settings, "localhost")).await.unwrap()
}

// THR-812
#[tokio::test]
async fn equal_settings_share_their_sessions() {
    let (ca, papers) = usual();
    for versions in VERSIONS {
        let server = Server::start(resuming(versions, &papers)).await;
        // A plan must be held for its configuration to last: a pool does.
        let held = plan(&trusting(&ca), "localhost");
        let first = server.visit(&held).await.unwrap();
        assert!(!first.resumed && first.verified);
        let second = visit(&server, &trusting(&ca)).await;
        assert!(second.resumed && second.verified);
        assert_eq!(Secured { resumed: false, ..second }, first, "the chain is remembered");
        // Another name is another peer.
        let other = server.visit(&plan(&trusting(&ca), "127.0.0.1")).await.unwrap();
        assert!(!other.resumed);
        drop(held);
        assert!(!visit(&server, &trusting(&ca)).await.resumed, "nobody holds the configuration any more");
    }
}

// THR-323: what came by one proxy, or from one address, is not known again when it comes by another.
#[tokio::test]
async fn clients_that_are_told_apart_share_a_configuration_and_no_session() {
    let (ca, papers) = usual();
    for versions in VERSIONS {
        let server = Server::start(resuming(versions, &papers)).await;
        let usual = plan(&trusting(&ca), "localhost");
        let clients = ["", "by a.test", "by b.test"].map(|client| usual.clone().apart(client));
        for client in &clients {
            assert!(!server.visit(client).await.unwrap().resumed);
        }
        for client in &clients {
            assert!(server.visit(client).await.unwrap().resumed);
        }
        let again = usual.clone().apart("by a.test");
        assert!(server.visit(&again).await.unwrap().resumed, "it is the same client");
        assert!(!server.visit(&usual.apart("by c.test")).await.unwrap().resumed);
    }
}

// THR-809 THR-810 THR-812
#[tokio::test]
async fn a_session_made_without_verification_is_worth_nothing_with_it() {
    let own = crate::pki::self_signed(&leaf_params(&["localhost"]));
    let ca = root("Root");
    for versions in VERSIONS {
        let server = Server::start(resuming(versions, &own)).await;
        let lax = plan(&TlsSettings { cert_reqs: CertReqs::None, ..TlsSettings::default() }, "localhost");
        server.visit(&lax).await.unwrap();
        assert!(server.visit(&lax).await.unwrap().resumed, "there is a session to misuse");
        for settings in [TlsSettings::default(), trusting(&ca)] {
            let error = server.visit(&plan(&settings, "localhost")).await.unwrap_err();
            assert_eq!(reason(&error), "DEPTH_ZERO_SELF_SIGNED_CERT");
        }
        let marked = TlsSettings {
            cert_reqs: CertReqs::None,
            assert_fingerprint: Some("0".repeat(64)),
            ..TlsSettings::default()
        };
        assert_eq!(reason(&server.visit(&plan(&marked, "localhost")).await.unwrap_err()), "ERR_FINGERPRINT");
    }
}

// THR-812
#[tokio::test]
async fn whatever_decides_about_a_peer_keeps_sessions_apart() {
    let (ca, papers) = usual();
    let fingerprint = hex(&Sha256::digest(papers.leaf()));
    let client = issue(&leaf_params(&["client.test"]), &root("Clients"));
    let base = trusting(&ca);
    let with = |change: &dyn Fn(&mut TlsSettings)| {
        let mut settings = base.clone();
        change(&mut settings);
        settings
    };
    let identity = |papers: &Papers| {
        Some(Identity {
            chain: Material::Pem(papers.pem()),
            key: Some(Material::Pem(papers.key.serialize_pem())),
            password: None,
        })
    };
    let all = [
        base.clone(),
        with(&|s| s.cert_reqs = CertReqs::None),
        with(&|s| s.authorities.push(Authority::Pem(root("More").pem()))),
        with(&|s| s.assert_hostname = NameCheck::Off),
        with(&|s| s.assert_hostname = NameCheck::Is("127.0.0.1".to_owned())),
        with(&|s| s.assert_fingerprint = Some(fingerprint.clone())),
        with(&|s| s.identity = identity(&client)),
        with(&|s| s.identity = identity(&issue(&leaf_params(&["other.test"]), &root("Clients")))),
        with(&|s| s.minimum_version = Some(Version::V12)),
    ];
    let server = Server::start(presenting(&papers)).await;
    let plans: Vec<_> = all.iter().map(|settings| plan(settings, "localhost")).collect();
    for plan in &plans {
        assert!(!server.visit(plan).await.unwrap().resumed, "{plan:?}");
    }
    for plan in &plans {
        assert!(server.visit(plan).await.unwrap().resumed, "{plan:?}");
    }
    let both = TlsPlan::new(&base, "localhost", Alpn::Http2).unwrap();
    assert!(!server.visit(&both).await.unwrap().resumed);
}

// THR-812
#[tokio::test]
async fn the_same_path_with_another_content_is_another_setting() {
    let scratch = Scratch::new("content");
    let (ca, papers) = usual();
    let path = scratch.write("ca.pem", ca.pem());
    let settings = TlsSettings { authorities: vec![Authority::File(path.clone())], ..TlsSettings::default() };
    let server = Server::start(presenting(&papers)).await;
    let held = plan(&settings, "localhost");
    server.visit(&held).await.unwrap();
    assert!(visit(&server, &settings).await.resumed);
    fs::write(&path, root("Another").pem()).unwrap();
    let error = server.visit(&plan(&settings, "localhost")).await.unwrap_err();
    assert_eq!(reason(&error), "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    assert!(server.visit(&held).await.unwrap().resumed, "a plan is what it was when it was made");
}

// THR-812 THR-821
#[tokio::test]
async fn a_session_of_a_client_certificate_is_not_resumed_without_it() {
    let (ca, papers) = usual();
    let clients = root("Clients");
    let client = issue_client(&clients);
    let identity = Identity {
        chain: Material::Pem(client.pem()),
        key: Some(Material::Pem(client.key.serialize_pem())),
        password: Some(STANDARD.encode("not needed")),
    };
    let with = TlsSettings { identity: Some(identity), ..trusting(&ca) };
    for versions in VERSIONS {
        let mut config = demanding(&papers, versions, &clients);
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        let server = Server::start(config).await;
        let held = plan(&with, "localhost");
        server.visit(&held).await.unwrap();
        assert!(server.visit(&held).await.unwrap().resumed);
        let plan = plan(&trusting(&ca), "localhost");
        let is_refused = match server.connect(&plan).await {
            Err(_) => true,
            Ok((mut stream, _)) => tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 9]).await.is_err(),
        };
        assert!(is_refused);
    }
}

fn issue_client(clients: &Ca) -> Papers {
    let mut params = leaf_params(&["client.test"]);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    issue(&params, clients)
}

// THR-810
#[tokio::test]
async fn a_fingerprint_holds_on_a_resumed_handshake() {
    let (ca, papers) = usual();
    for versions in VERSIONS {
        let server = Server::start(resuming(versions, &papers)).await;
        let fingerprint = Some(hex(&Sha256::digest(papers.leaf())));
        let held = plan(&TlsSettings { assert_fingerprint: fingerprint, ..trusting(&ca) }, "localhost");
        server.visit(&held).await.unwrap();
        let second = server.visit(&held).await.unwrap();
        assert!(second.resumed && second.verified);
        assert_eq!(second.chain, [papers.leaf().to_vec()]);
    }
}

// THR-813
#[tokio::test]
async fn early_data_is_not_sent_and_a_flood_of_tickets_is_survived() {
    let (ca, papers) = usual();
    let mut config = resuming(&[&rustls::version::TLS13], &papers);
    config.max_early_data_size = u32::MAX;
    config.send_tls13_tickets = 100;
    let server = Server::start(config).await;
    let held = plan(&trusting(&ca), "localhost");
    for at in 0..3 {
        let (mut stream, secured) = server.connect(&held).await.unwrap();
        assert_eq!(secured.resumed, at > 0);
        assert!(!stream.get_ref().1.is_early_data_accepted());
        let mut greeting = [0; 5];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut greeting).await.unwrap();
        // Eight are kept, each good for one handshake.
        assert!(stream.get_ref().1.tls13_tickets_received() >= 100);
    }
}
