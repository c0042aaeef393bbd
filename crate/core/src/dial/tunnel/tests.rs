//! CONNECT over real sockets: what is asked, every split of an answer, refusals, and what is no answer.

use http::header::{HeaderName, PROXY_AUTHORIZATION};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::*;
use crate::client::case::CaseBook;
use crate::dial::scripted::{Dice, Peer, between};

const BYTES: u32 = 1_024;
const COUNT: u32 = 8;
/// What the system takes of a peer while nobody reads, and what is read of a refusal.
const MOST_IN_SOCKETS: usize = 32 * 1024 * 1024;

fn ask<'a>(authority: &'a str, headers: &'a HeaderMap) -> Ask<'a> {
    Ask { authority, headers, spelling: None, header_bytes: BYTES, header_count: COUNT, until: None }
}

/// Asks a proxy that says these parts when it has heard the request, does this, and then listens. Gives what came of it,
/// and what it heard until the connection was closed: an open tunnel says "hello".
async fn asked_of(parts: &[&[u8]], then: impl AsyncFnOnce(&mut Peer<'_>)) -> (Result<(), Error>, Vec<u8>) {
    between(
        async |transport| {
            let mut tunnel = open(transport, &ask("a.test:443", &HeaderMap::new())).await?;
            tunnel.write_all(b"hello").await.unwrap();
            Ok(())
        },
        async |mut peer| {
            assert_eq!(peer.hear_head().await, "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n");
            peer.say(parts).await;
            then(&mut peer).await;
            peer.hear_all().await
        },
    )
    .await
}

async fn and_closes(peer: &mut Peer<'_>) {
    peer.stream.shutdown().await.unwrap();
}

async fn and_waits(_: &mut Peer<'_>) {}

/// What came of an answer that opens nothing; the connection was closed without another word.
async fn failed_by(parts: &[&[u8]], then: impl AsyncFnOnce(&mut Peer<'_>)) -> Error {
    let (outcome, heard) = asked_of(parts, then).await;
    let shown: Vec<_> = parts.iter().map(|part| quote(part)).collect();
    let error = outcome.expect_err(&shown.concat());
    assert!(heard.is_empty(), "{shown:?} {}", quote(&heard));
    assert_eq!(error.fields().phase, Some(Phase::Proxy), "{shown:?} {error:?}");
    error
}

/// Of these bytes at once, the connection closed behind them.
async fn no_answer(said: &[u8], says: &str) {
    let error = failed_by(&[said], and_closes).await;
    assert_eq!(error.kind(), Kind::Protocol, "{error:?}");
    let fields = error.fields();
    let told = fields.message.contains(says) || fields.causes.iter().any(|cause| cause.message.contains(says));
    assert!(told, "{error:?} does not say {says}");
}

// PROXY-04 THR-701: the target and the proxy's fields, and nothing else.
#[tokio::test]
async fn what_is_asked_is_host_and_the_proxys_fields() {
    let mut fields = HeaderMap::new();
    fields.append(PROXY_AUTHORIZATION, HeaderValue::from_static("Basic dTpw"));
    fields.append(HeaderName::from_static("x-a"), HeaderValue::from_static("1"));
    fields.append(HeaderName::from_static("x-a"), HeaderValue::from_static("2"));
    let spelling = CaseBook::default().lookup([&b"proxy-authorization"[..], b"X-A", b"x-A"].into_iter());
    let mut own_host = HeaderMap::new();
    own_host.append(HOST, HeaderValue::from_static("other"));
    let none = HeaderMap::new();
    for (authority, headers, spelling, head) in [
        ("a.test:443", &none, None, "a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"),
        ("[2001:db8::1]:80", &none, None, "[2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n"),
        (
            "a.test:1",
            &fields,
            None,
            "a.test:1 HTTP/1.1\r\nHost: a.test:1\r\nProxy-Authorization: Basic dTpw\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
        ),
        (
            "a.test:1",
            &fields,
            spelling.as_ref(),
            "a.test:1 HTTP/1.1\r\nHost: a.test:1\r\nproxy-authorization: Basic dTpw\r\nX-A: 1\r\nx-A: 2\r\n\r\n",
        ),
        ("a.test:1", &own_host, None, "a.test:1 HTTP/1.1\r\nHost: other\r\n\r\n"),
    ] {
        let (outcome, heard) = between(
            async |transport| open(transport, &Ask { spelling, ..ask(authority, headers) }).await.map(drop),
            async |mut peer| {
                let heard = peer.hear_head().await;
                peer.say(&[b"HTTP/1.1 200 OK\r\n\r\n"]).await;
                heard
            },
        )
        .await;
        outcome.unwrap();
        assert_eq!(heard, format!("CONNECT {head}"));
    }
}

// THR-706 PROXY-12
#[tokio::test]
async fn a_target_that_is_none_never_reaches_the_wire() {
    for authority in [
        "",
        "a.test",
        "a b:1",
        "a\r\nX: y:1",
        "a.test:1\r\n",
        "u@a.test:1",
        "a.test:1/x",
        "::1:443",
        "a:99999",
        "a\0:1",
    ] {
        let (outcome, heard) = between(
            async |transport| open(transport, &ask(authority, &HeaderMap::new())).await.map(drop),
            async |mut peer| peer.hear_all().await,
        )
        .await;
        let error = outcome.expect_err(authority);
        assert_eq!((error.kind(), heard.len()), (Kind::InvalidUrl, 0), "{authority:?}");
        assert!(!error.to_string().contains(['\r', '\n', '\0']), "{error}");
    }
}

// PROXY-10 THR-703: any 2xx, whatever its fields say of a body.
#[tokio::test]
async fn any_2xx_opens() {
    for status in 200..300 {
        for head in [
            format!("HTTP/1.1 {status} Connection established\r\n\r\n"),
            format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n"),
            format!("HTTP/1.1 {status} \r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"),
            format!("HTTP/1.0 {status} \u{e9}\r\nContent-Length: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"),
            format!("HTTP/1.1 {status} OK\nA: b\n c\nbad line\n\n"),
        ] {
            let (outcome, heard) = asked_of(&[head.as_bytes()], and_waits).await;
            outcome.expect(&head);
            assert_eq!(heard, b"hello", "{head}");
        }
    }
}

// THR-705: every split; informational answers first; what the origin says is the origin's from its first byte on.
#[tokio::test]
async fn an_answer_may_come_in_any_pieces() {
    let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n\
                   HTTP/1.1 200 Connection established\r\nA: b\r\nContent-Length: 3\r\n\r\n";
    let ways = (0..=answer.len()).map(|cut| vec![&answer[..cut], &answer[cut..]]);
    for parts in ways.chain([answer.chunks(1).collect()]) {
        let (said, heard) = between(
            async |transport| {
                let mut tunnel = open(transport, &ask("a.test:443", &HeaderMap::new())).await.unwrap();
                tunnel.write_all(b"hello").await.unwrap();
                let mut said = [0; 2];
                tunnel.read_exact(&mut said).await.unwrap();
                said
            },
            async |mut peer| {
                peer.hear_head().await;
                peer.say(&parts).await;
                let heard = peer.hear(5).await;
                peer.stream.write_all(b"hi").await.unwrap();
                heard
            },
        )
        .await;
        assert_eq!((&said, &heard[..]), (b"hi", &b"hello"[..]), "first {}", parts[0].len());
    }
}

// THR-703: wherever the cut is. Past the head's end the tunnel may have been given away: then nothing of it is lost.
#[tokio::test]
async fn bytes_before_anything_was_said_through_the_tunnel_are_an_error() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nXY";
    let head = answer.len() - 2;
    for cut in 1..=answer.len() {
        let (outcome, _) = between(
            async |transport| {
                let mut tunnel = open(transport, &ask("a.test:443", &HeaderMap::new())).await?;
                let mut early = [0; 2];
                tunnel.read_exact(&mut early).await.unwrap();
                Ok::<_, Error>(early)
            },
            async |mut peer| {
                peer.hear_head().await;
                peer.say(&[&answer[..cut], &answer[cut..]]).await;
                peer.hear_all().await
            },
        )
        .await;
        match outcome {
            Ok(early) => assert_eq!((cut, &early), (head, b"XY")),
            Err(error) => {
                assert_eq!((error.kind(), error.fields().phase), (Kind::Proxy, Some(Phase::Proxy)));
                assert_eq!(error.fields().extra.reason, Some("ERR_PROXY_EARLY_BYTES"));
                let sent = if cut == head + 1 { 1..=2 } else { 2..=2 };
                let says = |count| error.to_string().starts_with(&format!("the proxy sent {count} bytes before"));
                assert!(sent.into_iter().any(says), "cut at {cut}: {error}");
            }
        }
    }
}

// THR-703: the head fills what is read at once to its last byte, and the rest still lies in the socket.
#[tokio::test]
async fn bytes_that_lie_in_the_socket_are_early_too() {
    let frame = "HTTP/1.1 200 OK\r\na: \r\n\r\n".len();
    let answer = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\nXY", "b".repeat(LEAST_BUFFER - frame));
    let (outcome, _) = between(
        async |transport| {
            let headers = HeaderMap::new();
            open(transport, &Ask { header_bytes: 65_536, ..ask("a.test:443", &headers) }).await.map(drop)
        },
        async |mut peer| {
            peer.hear_head().await;
            peer.stream.write_all(answer.as_bytes()).await.unwrap();
            peer.hear_all().await
        },
    )
    .await;
    let error = outcome.unwrap_err();
    assert_eq!(error.fields().extra.reason, Some("ERR_PROXY_EARLY_BYTES"));
    assert!(error.to_string().starts_with("the proxy sent 2 bytes"), "{error}");
}

// THR-704 PROXY-10: status, fields and body of a refusal are told; the connection never lives on.
#[tokio::test]
async fn a_refusal_is_told_and_costs_the_connection() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL";
    for (head, body, said, told) in [
        ("HTTP/1.1 501 Not Implemented\r\nContent-Length: 4", "nope", "501 Not Implemented", "nope"),
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0",
            "",
            "407 Proxy Authentication Required",
            "",
        ),
        (
            "HTTP/1.1 403 X\r\nTransfer-Encoding: chunked",
            "2\r\nno\r\n3;x=y\r\npe!\r\n0\r\nT: r\r\n\r\n",
            "403 X",
            "nope!",
        ),
        ("HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\nContent-Length: 1", "x", "302 Found", "x"),
        ("HTTP/1.1 304\r\nContent-Length: 7", "", "304", ""),
        ("HTTP/1.0 503 \r\nContent-Length: 1", "y", "503", "y"),
        ("HTTP/1.1 599 \u{e9}t\u{e9}\r\nContent-Length: 1", "z", r"599 \xc3\xa9t\xc3\xa9", "z"),
        ("HTTP/1.1 999 Odd\r\nContent-Length: 1", "z", "999 Odd", "z"),
        // hyper takes none of these.
        ("HTTP/1.0 500 Old\r\nTransfer-Encoding: chunked", "1\r\nx\r\n0\r\n\r\n", "500 Old", ""),
        ("HTTP/1.1 502 Odd\r\nContent-Length: x", "", "502 Odd", ""),
        ("HTTP/1.1 502 Odd\r\nContent-Length: 1\r\nContent-Length: 2", "xy", "502 Odd", ""),
    ] {
        let answer = format!("{head}\r\nConnection: keep-alive\r\n\r\n{body}{evil}");
        let error = failed_by(&[answer.as_bytes()], and_waits).await;
        let fields = error.fields();
        assert_eq!(error.kind(), Kind::Proxy, "{head}");
        let status: u16 = said[..3].parse().unwrap();
        assert_eq!(fields.message, format!("Tunnel connection failed: {said}. Proxy responded with {status}"));
        assert_eq!(fields.causes, [Cause::said(format!("Tunnel connection failed: {said}"))]);
        let refusal = fields.extra.refusal.as_ref().unwrap();
        assert_eq!((refusal.status, quote(&refusal.body)), (status, told.to_owned()), "{head}");
        let lines: Vec<_> = head.lines().skip(1).chain(["Connection: keep-alive"]).collect();
        assert_eq!(refusal.headers.len(), lines.len());
        for (line, (name, value)) in lines.into_iter().zip(&refusal.headers) {
            let told = format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            assert_eq!(told[..name.len()], line[..name.len()].to_ascii_lowercase());
            assert_eq!(told[name.len()..], line[name.len()..]);
        }
    }
}

// THR-704: lines as they came.
#[tokio::test]
async fn the_fields_of_a_refusal_keep_their_order() {
    let answer = b"HTTP/1.1 407 No\r\nB : 1\r\nA: 2\r\n  3\r\nB:4\r\nno field\r\nProxy-Authenticate: \xff\r\n\r\n";
    let error = failed_by(&[answer], and_closes).await;
    let headers = error.fields().extra.refusal.clone().unwrap().headers;
    let lines: Vec<_> = headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let wanted: [(&[u8], &[u8]); 4] = [(b"b", b"1"), (b"a", b"2 3"), (b"b", b"4"), (b"proxy-authenticate", b"\xff")];
    assert_eq!(lines, wanted);
}

// THR-704: 64 KiB of it, however it is framed, and a second.
#[tokio::test]
async fn a_refusal_without_end_is_not_heard_to_the_end() {
    let body = |error: &Error| error.fields().extra.refusal.clone().unwrap().body;
    for (framing, piece, heard) in [
        ("X: y", "x".repeat(10_000), MOST_SAID..=MOST_SAID),
        ("Content-Length: 99999999999", "x".repeat(10_000), MOST_SAID..=MOST_SAID),
        ("Transfer-Encoding: chunked", format!("2710\r\n{}\r\n", "x".repeat(10_000)), MOST_SAID..=MOST_SAID),
        ("Transfer-Encoding: chunked", "1\r\nx\r\n".repeat(1_000), 1..=MOST_SAID),
        ("Transfer-Encoding: chunked", "0".repeat(10_000), 0..=0),
    ] {
        let head = format!("HTTP/1.1 403 No\r\n{framing}\r\n\r\n");
        let mut sent = 0;
        let error = failed_by(&[head.as_bytes()], async |peer| sent = peer.say_for_ever(piece.as_bytes()).await).await;
        let body = body(&error);
        assert!(heard.contains(&body.len()) && body.iter().all(|&b| b == b'x'), "{framing}: {}", body.len());
        assert!(sent < MOST_IN_SOCKETS, "{framing}: {sent}");
    }
    let began = now();
    // The clock stands still and goes forward to what is waited for: the end of the second.
    let stall = async |_: &mut Peer<'_>| tokio::time::pause();
    let error = failed_by(&[b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\n", b"stall"], stall).await;
    assert_eq!(body(&error), b"stall");
    assert!(now() - began >= LONGEST_LISTENING);
}

// THR-704: zeros before a chunk's size, one-byte chunks.
#[tokio::test]
async fn the_framing_of_a_refusal_is_bounded_too() {
    let ((), ()) = between(
        async |transport| {
            let heard = Heard::new(&transport, &ask("a.test:443", &HeaderMap::new()));
            heard.received(b"HTTP/1.1 403 No\r\n\r\n").unwrap();
            for _ in 0..MOST_AFTER / 1_024 {
                heard.received(&[b'0'; 1_024]).unwrap();
            }
            assert!(heard.received(b"0").is_err());
        },
        async |_| {},
    )
    .await;
}

// THR-704: it is told before the caller gives up.
#[tokio::test]
async fn a_refusal_that_stalls_comes_before_the_deadline() {
    let until = now() + LONGEST_LISTENING / 2;
    let (outcome, _) = between(
        async |transport| {
            let headers = HeaderMap::new();
            let ask = Ask { until: Some(until), ..ask("a.test:443", &headers) };
            tokio::time::timeout_at(until.into(), open(transport, &ask)).await.map(|opened| opened.map(drop))
        },
        async |mut peer| {
            peer.hear_head().await;
            peer.say(&[b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n", b"stall"]).await;
            tokio::time::pause();
            peer.hear_all().await
        },
    )
    .await;
    let error = outcome.expect("it is told in time").unwrap_err();
    assert_eq!(error.fields().extra.refusal.as_ref().unwrap().body, b"stall");
}

// PROXY-11 THR-705: the end of the stream at each byte of an answer.
#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    let answer = b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    no_answer(b"", "the proxy closed the connection without an answer").await;
    for cut in 1..answer.len() {
        let error = failed_by(&[&answer[..cut]], and_closes).await;
        assert_eq!(error.kind(), Kind::Protocol);
        assert_eq!(error.fields().extra.reason, Some("ERR_INCOMPLETE_HEAD"), "cut at {cut}: {error:?}");
    }
}

// THR-705 PROXY-11
#[tokio::test]
async fn what_is_no_answer_is_named() {
    no_answer(b"garbage\r\n\r\n", "that begins with 'garbage'").await;
    no_answer(b"HTTP/2.0 200 OK\r\n\r\n", "that begins with 'HTTP/2.0 200 OK'").await;
    no_answer(b"HTTP/1.1 2x0 OK\r\n\r\n", "that begins with").await;
    no_answer(b"\x15\x03\x01\x00\x02\x02\x46", "the proxy speaks TLS: its URL begins with https:").await;
    no_answer(b"\x05\xff", "does it speak SOCKS?").await;
    no_answer(b"\x00\x5b\x00\x00\x00\x00\x00\x00", "does it speak SOCKS?").await;
    no_answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "101").await;
    no_answer(b"HTTP/1.1 100 C\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n\r\n", "announced a body").await;
}

// THR-705 with THR-101, THR-102 and THR-119
#[tokio::test]
async fn a_head_has_the_limits_of_every_head() {
    let lines = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(count));
    let long = |bytes: usize| {
        let frame = "HTTP/1.1 200 OK\r\na: \r\n\r\n".len();
        format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(bytes - frame))
    };
    let interim = |count| format!("{}HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 100 C\r\n\r\n".repeat(count));
    for fits in [lines(COUNT as usize), long(BYTES as usize), interim(16)] {
        let (outcome, _) = asked_of(&[fits.as_bytes()], and_waits).await;
        outcome.expect(&fits);
    }
    for (breaks, limit, reason) in [
        (lines(COUNT as usize + 1), Some("headerCount"), None),
        (long(BYTES as usize + 1), Some("headerBytes"), None),
        (interim(17), None, Some("ERR_INFORMATIONAL_FLOOD")),
    ] {
        let error = failed_by(&[breaks.as_bytes()], and_waits).await;
        let extra = &error.fields().extra;
        assert_eq!((extra.limit.map(|(name, _)| name), extra.reason), (limit, reason), "{error:?}");
        assert_eq!(error.kind(), Kind::Protocol);
    }
    for piece in ["HTTP/1.1 100 C\r\n\r\n", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\na: b\r\n", "\r\n", "x"] {
        let mut sent = 0;
        let error = failed_by(&[], async |peer| sent = peer.say_for_ever(piece.repeat(1_000).as_bytes()).await).await;
        assert_eq!(error.kind(), Kind::Protocol, "{piece:?}");
        assert!(sent < MOST_IN_SOCKETS, "{piece:?}: {sent}");
    }
}

// THR-705: whoever answers before the question is there has answered something else.
#[tokio::test]
async fn an_answer_before_the_request_is_out_opens_nothing() {
    let mut headers = HeaderMap::new();
    let large = HeaderValue::from_maybe_shared(Bytes::from(vec![b'x'; 32 * 1024 * 1024])).unwrap();
    headers.append(HeaderName::from_static("x-large"), large);
    let (outcome, ()) = between(
        async |transport| open(transport, &ask("a.test:443", &headers)).await.map(drop),
        async |mut peer| {
            peer.hear(1).await;
            peer.say(&[b"HTTP/1.1 200 OK\r\n\r\n"]).await;
        },
    )
    .await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.fields().phase), (Kind::Protocol, Some(Phase::Proxy)));
    assert_eq!(error.fields().causes[0].message, "the proxy answered before it had been asked");
}

// THR-704: as a proxy does that has too many connections.
#[tokio::test]
async fn a_refusal_before_the_request_is_one() {
    let (said, is_said) = oneshot::channel();
    let (outcome, ()) = between(
        async |transport| {
            is_said.await.unwrap();
            open(transport, &ask("a.test:443", &HeaderMap::new())).await.map(drop)
        },
        async |mut peer| {
            peer.stream.write_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\n").await.unwrap();
            peer.stream.shutdown().await.unwrap();
            said.send(()).unwrap();
            peer.hear_all().await;
        },
    )
    .await;
    let error = outcome.unwrap_err();
    assert_eq!(error.to_string(), "Tunnel connection failed: 503 Busy. Proxy responded with 503");
    assert_eq!(error.fields().extra.refusal.as_ref().unwrap().headers.len(), 1);
}

#[tokio::test]
async fn a_reset_is_told_with_the_systems_code() {
    let (outcome, ()) = between(
        async |transport| open(transport, &ask("a.test:443", &HeaderMap::new())).await.map(drop),
        async |mut peer| {
            peer.hear_head().await;
            peer.reset();
        },
    )
    .await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.fields().phase), (Kind::Protocol, Some(Phase::Proxy)));
    assert_eq!(error.fields().causes[0].code.as_deref(), Some("ECONNRESET"));
}

#[tokio::test]
async fn a_dropped_question_closes_the_connection() {
    let (begun, begins) = oneshot::channel();
    let ((), heard) = between(
        async |transport| {
            let headers = HeaderMap::new();
            let ask = ask("a.test:443", &headers);
            tokio::select! {
                _ = open(transport, &ask) => unreachable!("nobody answers"),
                _ = begins => {}
            }
        },
        async |mut peer| {
            peer.hear_head().await;
            begun.send(()).unwrap();
            peer.hear_all().await
        },
    )
    .await;
    assert_eq!(heard, b"");
}

// PROXY-11: whatever a peer says, it ends, and well only if what it says is a 2xx.
#[tokio::test]
async fn noise_ends_in_an_error() {
    let mut dice = Dice(0x5eed_c033);
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: p\r\n\r\n",
        "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.0 407 No\r\nContent-Length: 3\r\n\r\nabc",
    ];
    for case in 0..2_000 {
        let mut said = answers[dice.roll(answers.len())].as_bytes().to_vec();
        if case % 2 == 0 {
            let count = dice.roll(3_000);
            said = dice.bytes(count);
        } else {
            for _ in 0..=dice.roll(3) {
                let at = dice.roll(said.len());
                match dice.roll(3) {
                    0 => said[at] ^= 1 << dice.roll(8),
                    1 => said.truncate(at.max(1)),
                    _ => said.insert(at, b"\r\n: 0\x00;9"[dice.roll(8)]),
                }
            }
        }
        let (outcome, _) = asked_of(&[], async |peer| {
            drop(peer.stream.write_all(&said).await);
            drop(peer.stream.shutdown().await);
        })
        .await;
        match outcome {
            Ok(()) => {
                let opens = |line: &[u8]| line.starts_with(b"HTTP/1.") && line[8..] == *b" 2";
                assert!(said.windows(10).any(opens), "{}", quote(&said));
            }
            Err(error) => assert_eq!(error.fields().phase, Some(Phase::Proxy), "{}", quote(&said)),
        }
    }
}
