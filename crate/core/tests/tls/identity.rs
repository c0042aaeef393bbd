//! The client's own certificate: every wrapping of its key, and what servers see of it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferropool_core::tls::{TlsPlan, failure_of};
use ferropool_policy::tls::{Identity, Material, TlsSettings};
use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use tokio::io::AsyncReadExt;

use crate::pki::{Ca, Papers, below, issue_for, leaf_params, pem, root, usual};
use crate::server::{Server, demanding, plan, presenting, reason, refusal, trusting};
use crate::trust::Scratch;

const PASSWORD: &str = "opensesame";
const EC: &str = include_str!("fixtures/ec.pkcs8.pem");
const RSA: &str = include_str!("fixtures/rsa.pkcs8.pem");

/// Every wrapping: the file, the plain key that it holds, and whether it is encrypted.
const KEYS: [(&str, &str, bool); 13] = [
    (EC, EC, false),
    (RSA, RSA, false),
    (include_str!("fixtures/ec.sec1.pem"), EC, false),
    (include_str!("fixtures/rsa.pkcs1.pem"), RSA, false),
    (include_str!("fixtures/ec.sec1.aes128.pem"), EC, true),
    (include_str!("fixtures/ec.sec1.aes192.pem"), EC, true),
    (include_str!("fixtures/rsa.pkcs1.aes256.pem"), RSA, true),
    (include_str!("fixtures/rsa.pkcs1.des3.pem"), RSA, true),
    (include_str!("fixtures/ec.pkcs8.pbes2.pem"), EC, true),
    (include_str!("fixtures/rsa.pkcs8.pbes2-des3-sha1.pem"), RSA, true),
    (include_str!("fixtures/ec.pkcs8.scrypt.pem"), EC, true),
    (include_str!("fixtures/ec.pkcs8.pbes1.pem"), EC, true),
    (include_str!("fixtures/ec.pkcs8.pkcs12-3des.pem"), EC, true),
];

/// A client's certificate for this key.
fn client(key: &str, issuer: &Ca) -> Papers {
    let mut params = leaf_params(&["client.test"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    issue_for(&params, KeyPair::from_pem(key).unwrap(), issuer)
}

fn presented(ca: &Ca, chain: &str, key: Option<&str>, password: Option<&str>) -> TlsSettings {
    let identity = Identity {
        chain: Material::Pem(chain.to_owned()),
        key: key.map(|key| Material::Pem(key.to_owned())),
        password: password.map(|password| STANDARD.encode(password)),
    };
    TlsSettings { identity: Some(identity), ..trusting(ca) }
}

// TLS-11 THR-821
#[tokio::test]
async fn a_key_is_taken_in_every_wrapping() {
    let (ca, papers) = usual();
    let clients = root("Clients");
    let mut server = Server::start(demanding(&papers, rustls::ALL_VERSIONS, &clients)).await;
    for (at, (wrapped, plain, is_encrypted)) in KEYS.into_iter().enumerate() {
        let client = client(plain, &clients);
        let is_known = at < 11;
        // A password for what is not encrypted is ignored.
        let settings = presented(&ca, &client.pem(), Some(wrapped), Some(PASSWORD));
        if is_known {
            server.visit(&plan(&settings, "localhost")).await.unwrap();
            assert_eq!(server.seen().await.certificates, [client.leaf().to_vec()], "{at}");
        } else {
            let (why, message) = refusal(&settings);
            assert_eq!(why, "ERR_TLS_KEY");
            assert!(message.contains("not known") && message.contains("PBES2"), "{message}");
        }
        if is_encrypted {
            let expected = ("ERR_TLS_KEY", "Client private key is encrypted, password is required".to_owned());
            assert_eq!(refusal(&presented(&ca, &client.pem(), Some(wrapped), None)), expected, "{at}");
        }
        if is_encrypted && is_known {
            for wrong in ["", "opensesamE", "\u{0}"] {
                let (why, message) = refusal(&presented(&ca, &client.pem(), Some(wrapped), Some(wrong)));
                assert_eq!(why, "ERR_TLS_KEY");
                assert!(message.contains("password"), "{at}: {message}");
            }
        }
    }
}

// TLS-11
#[tokio::test]
async fn chain_and_key_come_from_one_file_or_two_and_intermediates_are_sent() {
    let scratch = Scratch::new("identity");
    let (ca, papers) = usual();
    let clients = root("Clients");
    let between = below("Between", &clients);
    let mut server = Server::start(demanding(&papers, rustls::ALL_VERSIONS, &clients)).await;
    let client = client(EC, &between).and(&[&between]);
    let (chain, key) = (client.pem(), include_str!("fixtures/ec.sec1.pem"));
    let file = |name: &str, text: &str| Material::File(scratch.write(name, text));
    for (chain, key) in [
        (file("chain.pem", &chain), Some(file("key.pem", key))),
        (file("chain-and-key.pem", &format!("{chain}{key}")), None),
        (file("key-and-chain.pem", &format!("{key}\nBag Attributes: <none>\n{chain}")), None),
        (Material::Pem(format!("{chain}{key}")), None),
    ] {
        let identity = Some(Identity { chain, key, password: None });
        server.visit(&plan(&TlsSettings { identity, ..trusting(&ca) }, "localhost")).await.unwrap();
        let sent: Vec<_> = client.chain.iter().map(|der| der.to_vec()).collect();
        assert_eq!(server.seen().await.certificates, sent);
    }
}

// TLS-11 THR-821
#[test]
fn what_does_not_fit_is_refused_when_the_plan_is_made() {
    let scratch = Scratch::new("misfit");
    let ca = root("Root");
    let client = client(EC, &ca);
    let refused = |chain: &str, key: Option<&str>| refusal(&presented(&ca, chain, key, None));
    for (outcome, why, what) in [
        (refused(&client.pem(), Some(RSA)), "ERR_TLS_KEY", "does not belong to the certificate"),
        (refused(&client.pem(), Some(&KeyPair::generate().unwrap().serialize_pem())), "ERR_TLS_KEY", "does not belong"),
        (refused(&client.pem(), None), "ERR_TLS_KEY", "holds no private key"),
        (refused(&client.pem(), Some("")), "ERR_TLS_KEY", "holds no private key"),
        (refused(&client.pem(), Some(&pem("PRIVATE KEY", b"junk"))), "ERR_TLS_KEY", "cannot be understood"),
        (refused(&client.pem(), Some(&pem("DSA PRIVATE KEY", b"junk"))), "ERR_TLS_KEY", "DSA PRIVATE KEY"),
        (refused(EC, None), "ERR_TLS_CERT", "holds no certificate"),
        (refused("junk", Some(EC)), "ERR_TLS_CERT", "holds no certificate"),
        (refused(&pem("CERTIFICATE", b"junk"), Some(EC)), "ERR_TLS_CERT", "cannot be understood"),
        (refused("-----BEGIN CERTIFICATE-----\nAA==", Some(EC)), "ERR_TLS_CERT", "has no end"),
    ] {
        assert_eq!(outcome.0, why, "{}", outcome.1);
        assert!(outcome.1.contains(what), "{}", outcome.1);
    }
    let missing = || Material::File(scratch.path("missing.pem").to_str().unwrap().to_owned());
    let identity =
        |chain, key| TlsSettings { identity: Some(Identity { chain, key, password: None }), ..trusting(&ca) };
    let (why, message) = refusal(&identity(missing(), None));
    assert!(why == "ERR_TLS_CERT" && message.contains("missing.pem"), "{message}");
    let (why, message) = refusal(&identity(Material::Pem(client.pem()), Some(missing())));
    assert!(why == "ERR_TLS_KEY" && message.contains("missing.pem"), "{message}");
}

// THR-821
#[test]
fn neither_key_nor_password_is_ever_shown() {
    let ca = root("Root");
    let client = client(EC, &ca);
    let settings = presented(&ca, &client.pem(), Some(KEYS[8].0), Some(PASSWORD));
    let shown = format!("{settings:?} {:?}", plan(&settings, "localhost"));
    let secret = EC.lines().nth(1).unwrap();
    for what in [PASSWORD, &STANDARD.encode(PASSWORD), secret, KEYS[8].0.lines().nth(1).unwrap()] {
        assert!(!shown.contains(what), "{shown}");
    }
}

/// What a visit ends in, in the handshake or at the first read after it.
async fn visit(server: &Server, plan: &TlsPlan) -> &'static str {
    let (mut stream, _) = match server.connect(plan).await {
        Ok(connected) => connected,
        Err(error) => return reason(&error),
    };
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut [0; 9])).await.unwrap();
    match read {
        Ok(5) => "hello",
        Ok(_) => "closed",
        Err(error) => reason(&failure_of(&error).unwrap()),
    }
}

// TLS-11 TLS-12
#[tokio::test]
async fn a_server_that_wants_a_certificate_refuses_none_and_the_wrong_one() {
    let (ca, papers) = usual();
    let clients = root("Clients");
    let between = below("Between", &clients);
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let server = Server::start(demanding(&papers, versions, &clients)).await;
        let without = visit(&server, &plan(&trusting(&ca), "localhost")).await;
        // In TLS 1.2 there is no alert of its own for that.
        assert!(matches!(without, "ERR_TLS_CLIENT_CERT" | "ERR_TLS_ALERT"), "{without}");
        for (client, expected) in [
            (client(EC, &clients), "hello"),
            (client(EC, &root("Strangers")), "ERR_TLS_CLIENT_CERT"),
            (client(EC, &between), "ERR_TLS_CLIENT_CERT"),
            (client(EC, &between).and(&[&between]), "hello"),
        ] {
            let settings = presented(&ca, &client.pem(), Some(EC), None);
            assert_eq!(visit(&server, &plan(&settings, "localhost")).await, expected);
        }
    }
}

// THR-821
#[tokio::test]
async fn a_certificate_goes_to_nobody_whose_plan_has_none_nor_to_a_peer_that_is_refused() {
    let (ca, papers) = usual();
    let clients = root("Clients");
    let client = client(EC, &clients);
    let with = presented(&ca, &client.pem(), Some(EC), None);
    let mut asks_nothing = Server::start(presenting(&papers)).await;
    asks_nothing.visit(&plan(&with, "localhost")).await.unwrap();
    assert!(asks_nothing.seen().await.certificates.is_empty());
    let mut asks = Server::start(demanding(&papers, rustls::ALL_VERSIONS, &clients)).await;
    let _ = visit(&asks, &plan(&trusting(&ca), "localhost")).await;
    assert!(asks.seen().await.certificates.is_empty());
    let error = asks.connect(&plan(&with, "another.test")).await.unwrap_err();
    assert_eq!(reason(&error), "ERR_TLS_CERT_ALTNAME_INVALID");
    assert!(asks.seen().await.certificates.is_empty());
}
