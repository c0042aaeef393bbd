//! Peers that do not speak TLS, or not to the end.

use std::io;
use std::time::Duration;

use ferropool_core::tls::failure_of;
use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::tls::{CertReqs, TlsSettings};
use rustls::AlertDescription;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::pki::usual;
use crate::server::{Server, plan, reason, trusting};

/// How a peer leaves.
#[derive(Clone, Copy)]
enum Leaving {
    Politely,
    Abruptly,
}

/// What comes of a peer that reads the hello, says these bytes and goes.
async fn against(said: &[u8], leaving: Leaving) -> Error {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let said = said.to_vec();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = vec![0; 5];
        stream.read_exact(&mut hello).await.unwrap();
        let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        stream.write_all(&said).await.unwrap();
        if matches!(leaving, Leaving::Abruptly) {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        } else {
            stream.shutdown().await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    let settings = TlsSettings { cert_reqs: CertReqs::None, ..TlsSettings::default() };
    let stream = TcpStream::connect(address).await.unwrap();
    let handshake = plan(&settings, "localhost");
    let outcome = tokio::time::timeout(Duration::from_secs(60), handshake.handshake(stream)).await.unwrap();
    let error = outcome.unwrap_err();
    assert_eq!(error.fields().phase, Some(Phase::Tls));
    serving.await.unwrap();
    error
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3], &length[..], content].concat()
}

/// A `ServerHello` of this version with these extensions.
fn server_hello(version: u8, extensions: &[u8]) -> Vec<u8> {
    let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
    let body = [&[3, version][..], &[7; 32], &[0, 0xc0, 0x2b, 0], &length, extensions].concat();
    record(22, &[&[2, 0, 0, u8::try_from(body.len()).unwrap()], &body[..]].concat())
}

// TLS-18
#[tokio::test]
async fn what_is_no_tls_is_called_so() {
    for said in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"220 mail.example ESMTP\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x00\x00\x00\x00\x00\x00\x00\x00",
        &[0xff; 64],
    ] {
        let error = against(said, Leaving::Politely).await;
        assert_eq!((error.kind(), reason(&error)), (Kind::Tls, "ERR_NOT_TLS"), "{said:?} {error}");
        assert!(error.to_string().contains("plain HTTP"), "{error}");
    }
}

#[tokio::test]
async fn a_peer_that_goes_during_the_handshake_is_told_from_one_that_breaks() {
    for said in [&b""[..], b"\x16\x03\x03", &record(22, &[2, 0, 0, 80])] {
        let error = against(said, Leaving::Politely).await;
        assert_eq!((error.kind(), reason(&error)), (Kind::Tls, "ERR_TLS_EOF"), "{error}");
    }
    let error = against(b"", Leaving::Abruptly).await;
    assert_eq!(error.kind(), Kind::Protocol);
    assert_eq!(error.fields().causes[0].code.as_deref(), Some("ECONNRESET"));
}

#[tokio::test]
async fn an_alert_is_named() {
    for (alert, why, name) in [
        (40, "ERR_TLS_ALERT", "handshake_failure"),
        (70, "ERR_TLS_VERSION", "protocol_version"),
        (80, "ERR_TLS_ALERT", "internal_error"),
        (112, "ERR_TLS_ALERT", "unrecognized_name"),
        (116, "ERR_TLS_CLIENT_CERT", "certificate_required"),
        (120, "ERR_TLS_ALPN", "no_application_protocol"),
        (42, "ERR_TLS_CLIENT_CERT", "bad_certificate"),
        (200, "ERR_TLS_ALERT", "200"),
    ] {
        let error = against(&record(21, &[2, alert]), Leaving::Politely).await;
        assert_eq!((error.kind(), reason(&error)), (Kind::Tls, why));
        assert!(error.to_string().contains(&format!("alert {name})")), "{error}");
    }
}

// TLS-13 TLS-18
#[tokio::test]
async fn a_version_that_is_too_old_is_refused() {
    for version in [0, 1, 2] {
        let error = against(&server_hello(version, &[]), Leaving::Politely).await;
        assert_eq!((error.kind(), reason(&error)), (Kind::Tls, "ERR_TLS_VERSION"), "3.{version}: {error}");
        assert!(error.to_string().contains("1.2 and 1.3"), "{error}");
    }
}

// TLS-15
#[tokio::test]
async fn a_protocol_that_was_not_offered_is_refused() {
    let extensions = [0, 16, 0, 7, 0, 5, 4, b'e', b'v', b'i', b'l'];
    let error = against(&server_hello(3, &extensions), Leaving::Politely).await;
    assert_eq!((error.kind(), reason(&error)), (Kind::Tls, "ERR_TLS_ALPN"), "{error}");
}

// TLS-18
#[tokio::test]
async fn compression_cannot_be_chosen() {
    let mut hello = server_hello(3, &[]);
    let at = hello.len() - 3;
    assert_eq!(hello[at], 0);
    hello[at] = 1;
    let error = against(&hello, Leaving::Politely).await;
    assert_eq!((error.kind(), reason(&error)), (Kind::Tls, "ERR_TLS_HANDSHAKE"), "{error}");
}

#[test]
fn an_error_of_an_established_connection_is_told_by_its_kind() {
    let of = |error: rustls::Error| failure_of(&io::Error::new(io::ErrorKind::InvalidData, error));
    let record = of(rustls::Error::DecryptError).unwrap();
    assert_eq!((record.kind(), reason(&record), record.fields().phase), (Kind::Tls, "ERR_TLS_RECORD", None));
    let alert = of(rustls::Error::AlertReceived(AlertDescription::InternalError)).unwrap();
    assert_eq!(reason(&alert), "ERR_TLS_ALERT");
    let certificate = of(rustls::Error::AlertReceived(AlertDescription::UnknownCA)).unwrap();
    assert_eq!(reason(&certificate), "ERR_TLS_CLIENT_CERT");
    assert!(certificate.to_string().contains("unknown_ca"));
    assert!(failure_of(&io::Error::from(io::ErrorKind::ConnectionReset)).is_none());
    assert!(failure_of(&io::Error::new(io::ErrorKind::UnexpectedEof, "closed without close_notify")).is_none());
}

#[tokio::test]
async fn a_record_that_does_not_decrypt_is_an_error_of_the_connection() {
    let (ca, papers) = usual();
    let server = Server::usual(&papers).await;
    // A peer between the two that changes one byte of the first record after the handshake.
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let address = server.address;
    let between = tokio::spawn(async move {
        let mut upstream = TcpStream::connect(address).await.unwrap();
        let (mut buffer, mut records) = ([0; 1 << 14], 0);
        loop {
            let mut hello = [0; 1 << 14];
            tokio::select! {
                read = far.read(&mut hello) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(length) => upstream.write_all(&hello[..length]).await.unwrap(),
                },
                read = upstream.read(&mut buffer) => {
                    let Ok(length @ 1..) = read else { return };
                    records += 1;
                    if records > 1 {
                        buffer[length - 1] ^= 1;
                    }
                    if far.write_all(&buffer[..length]).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    let (mut stream, _) = plan(&trusting(&ca), "localhost").handshake(near).await.unwrap();
    let error = stream.read(&mut [0; 64]).await.unwrap_err();
    let ours = failure_of(&error).unwrap();
    assert_eq!((ours.kind(), reason(&ours)), (Kind::Tls, "ERR_TLS_RECORD"));
    drop(stream);
    between.await.unwrap();
}

// THR-813
#[tokio::test]
async fn dropping_a_handshake_closes_its_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut silent, _) = listener.accept().await.unwrap();
    let handshake = plan(&TlsSettings::default(), "localhost");
    assert!(tokio::time::timeout(Duration::from_millis(50), handshake.handshake(stream)).await.is_err());
    let mut hello = Vec::new();
    silent.read_to_end(&mut hello).await.unwrap();
    assert_eq!(hello[0], 22);
}
