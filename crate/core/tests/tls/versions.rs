//! Versions, cipher suites, application protocols, and the log of keys.

use ferropool_core::tls::{Alpn, TlsPlan};
use ferropool_policy::tls::{TlsSettings, Version};

use crate::pki::usual;
use crate::server::{Server, builder, plan, presenting, reason, refusal, trusting};
use crate::trust::Scratch;

// TLS-13
#[tokio::test]
async fn the_bounds_choose_the_version() {
    let (ca, papers) = usual();
    let bounded = |minimum_version, maximum_version| TlsSettings { minimum_version, maximum_version, ..trusting(&ca) };
    let any = Server::usual(&papers).await;
    for (settings, expected) in [
        (bounded(None, None), "TLSv1.3"),
        (bounded(None, Some(Version::V12)), "TLSv1.2"),
        (bounded(Some(Version::V12), Some(Version::V13)), "TLSv1.3"),
        (bounded(Some(Version::V13), None), "TLSv1.3"),
        (bounded(Some(Version::V13), Some(Version::V13)), "TLSv1.3"),
    ] {
        assert_eq!(any.visit(&plan(&settings, "localhost")).await.unwrap().version, expected);
    }
    for (theirs, ours) in [
        (&rustls::version::TLS12, bounded(Some(Version::V13), None)),
        (&rustls::version::TLS13, bounded(None, Some(Version::V12))),
    ] {
        let config = builder(&[theirs]).with_single_cert(papers.chain.clone(), papers.key_der()).unwrap();
        let error = Server::start(config).await.visit(&plan(&ours, "localhost")).await.unwrap_err();
        assert_eq!(reason(&error), "ERR_TLS_VERSION");
        assert!(error.to_string().contains("sslMinimumVersion"), "{error}");
    }
    let (why, message) = refusal(&bounded(Some(Version::V13), Some(Version::V12)));
    assert_eq!((why, message.as_str()), ("ERR_TLS_VERSION", "sslMinimumVersion is above sslMaximumVersion"));
}

// TLS-14
#[tokio::test]
async fn ciphers_limit_the_suites_by_either_name() {
    let (ca, papers) = usual();
    let server = Server::usual(&papers).await;
    let with =
        |names: &[&str]| TlsSettings { ciphers: names.iter().map(|&name| name.to_owned()).collect(), ..trusting(&ca) };
    for (names, version, cipher) in [
        (&[][..], "TLSv1.3", "TLS13_AES_128_GCM_SHA256"),
        (&["TLS13_CHACHA20_POLY1305_SHA256"], "TLSv1.3", "TLS13_CHACHA20_POLY1305_SHA256"),
        (&["TLS_AES_128_GCM_SHA256"], "TLSv1.3", "TLS13_AES_128_GCM_SHA256"),
        (&["tls_ecdhe_ecdsa_with_aes_128_gcm_sha256"], "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ] {
        let secured = server.visit(&plan(&with(names), "localhost")).await.unwrap();
        assert_eq!((secured.version, secured.cipher.as_str()), (version, cipher));
    }
    // The key of the server is no RSA key.
    let error = server.visit(&plan(&with(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]), "localhost")).await.unwrap_err();
    assert_eq!(reason(&error), "ERR_TLS_ALERT");
    assert!(error.to_string().contains("handshake_failure") && error.to_string().contains("cipher suite"), "{error}");
    let (why, message) = refusal(&with(&["ECDHE+AESGCM"]));
    assert_eq!(why, "ERR_TLS_CIPHER");
    assert!(message.contains("\"ECDHE+AESGCM\"") && message.contains("TLS13_AES_256_GCM_SHA384"), "{message}");
    let mut none_left = with(&["TLS13_AES_128_GCM_SHA256"]);
    none_left.maximum_version = Some(Version::V12);
    assert_eq!(refusal(&none_left).0, "ERR_TLS_CIPHER");
}

// TLS-15
#[tokio::test]
async fn h2_is_offered_only_where_it_is_wanted() {
    let (ca, papers) = usual();
    for (offer, offered, spoken, chosen) in [
        (Alpn::Http1, &["http/1.1"][..], &["h2", "http/1.1"][..], Ok(false)),
        (Alpn::Http1, &["http/1.1"], &[], Ok(false)),
        (Alpn::Http1, &["http/1.1"], &["h2"], Err("ERR_TLS_ALPN")),
        (Alpn::Http2, &["h2", "http/1.1"], &["h2", "http/1.1"], Ok(true)),
        (Alpn::Http2, &["h2", "http/1.1"], &["http/1.1"], Ok(false)),
        (Alpn::Http2, &["h2", "http/1.1"], &[], Ok(false)),
        (Alpn::Http2, &["h2", "http/1.1"], &["spdy/3"], Err("ERR_TLS_ALPN")),
    ] {
        let mut config = presenting(&papers);
        config.alpn_protocols = spoken.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut server = Server::start(config).await;
        let plan = TlsPlan::new(&trusting(&ca), "localhost", offer).unwrap();
        let outcome = server.visit(&plan).await;
        assert_eq!(outcome.as_ref().map(|secured| secured.h2).map_err(reason), chosen, "{offer:?} {spoken:?}");
        assert_eq!(server.seen().await.alpn, offered);
    }
}

// TLS-16 THR-823
#[tokio::test]
async fn keys_are_logged_where_the_option_says_and_for_the_owner_alone() {
    let scratch = Scratch::new("keylog");
    let (ca, papers) = usual();
    let server = Server::usual(&papers).await;
    let path = scratch.path("keys.log");
    let logged = TlsSettings { key_log_file: Some(path.to_str().unwrap().to_owned()), ..trusting(&ca) };
    server.visit(&plan(&logged, "localhost")).await.unwrap();
    let first = std::fs::read_to_string(&path).unwrap();
    for label in ["CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_TRAFFIC_SECRET_0 "] {
        let line = first.lines().find(|line| line.starts_with(label)).unwrap();
        let fields: Vec<_> = line.split(' ').collect();
        assert_eq!((fields.len(), fields[1].len()), (3, 64));
        assert!(fields[2].bytes().all(|b| b.is_ascii_hexdigit()) && fields[2].len() >= 64);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    server.visit(&plan(&trusting(&ca), "localhost")).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), first, "only by the option");
    // It is added to; and TLS 1.2 has its own line.
    let older = TlsSettings { maximum_version: Some(Version::V12), ..logged };
    server.visit(&plan(&older, "localhost")).await.unwrap();
    let both = std::fs::read_to_string(&path).unwrap();
    assert!(both.starts_with(&first) && both[first.len()..].starts_with("CLIENT_RANDOM "), "{both}");
    let nowhere = scratch.path("missing/keys.log").to_str().unwrap().to_owned();
    let (why, message) = refusal(&TlsSettings { key_log_file: Some(nowhere), ..trusting(&ca) });
    assert!(why == "ERR_TLS_KEY_LOG" && message.contains("missing/keys.log"), "{message}");
}
