//! The conversation over real sockets: every split, every code, every cut.

use ferropool_policy::error::{Kind, Phase};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::*;
use crate::dial::scripted::{Dice, Peer, between};

const FOUR: Target<'static> =
    Target::Address(std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 9)), 80));
const NAME: Target<'static> = Target::Name("a.test", 443);
const GRANTED_4: &[u8] = b"\x00\x5a\x12\x34\x01\x02\x03\x04";
const GRANTED_5: &[u8] = b"\x05\x00\x00\x01\x01\x02\x03\x04\x12\x34";

fn user() -> Credentials {
    Credentials { username: b"user".into(), password: b"secret".into() }
}

/// What the proxy hears, and what it answers: a turn after the other.
type Turns = Vec<(Vec<u8>, Vec<u8>)>;

/// The conversations that end well, with the protocol that has them.
fn conversations() -> Vec<(Protocol, Target<'static>, Option<Credentials>, Turns)> {
    let turn = |heard: &[u8], said: &[u8]| (heard.to_vec(), said.to_vec());
    let hello = || turn(b"\x05\x01\x00", b"\x05\x00");
    let by_address = || turn(b"\x05\x01\x00\x01\x7f\x00\x00\x09\x00\x50", GRANTED_5);
    let by_name = |said: &[u8]| turn(b"\x05\x01\x00\x03\x06a.test\x01\xbb", said);
    let domain = |length: u8| [&[5, 0, 0, 3, length][..], &vec![b'd'; length.into()], &[0, 80]].concat();
    vec![
        (Protocol::Socks4, FOUR, None, vec![turn(b"\x04\x01\x00\x50\x7f\x00\x00\x09\x00", GRANTED_4)]),
        (Protocol::Socks4, FOUR, Some(user()), vec![turn(b"\x04\x01\x00\x50\x7f\x00\x00\x09user\x00", GRANTED_4)]),
        (
            Protocol::Socks4a,
            NAME,
            Some(user()),
            vec![turn(b"\x04\x01\x01\xbb\x00\x00\x00\x01user\x00a.test\x00", GRANTED_4)],
        ),
        (Protocol::Socks5, FOUR, None, vec![hello(), by_address()]),
        (Protocol::Socks5h, NAME, None, vec![hello(), by_name(GRANTED_5)]),
        (Protocol::Socks5h, NAME, None, vec![hello(), by_name(&[&b"\x05\x00\x00\x04"[..], &[7; 18]].concat())]),
        (Protocol::Socks5h, NAME, None, vec![hello(), by_name(&domain(255))]),
        (Protocol::Socks5h, NAME, None, vec![hello(), by_name(&domain(0))]),
        (Protocol::Socks5h, NAME, Some(user()), vec![turn(b"\x05\x02\x00\x02", b"\x05\x00"), by_name(GRANTED_5)]),
        (
            Protocol::Socks5,
            FOUR,
            Some(user()),
            vec![turn(b"\x05\x02\x00\x02", b"\x05\x02"), turn(b"\x01\x04user\x06secret", b"\x01\x00"), by_address()],
        ),
    ]
}

/// Takes all turns; the answers go out in two parts, or byte by byte. What follows the last answer comes with its last part.
async fn take_turns(peer: &mut Peer<'_>, turns: &Turns, cut: Option<usize>) {
    for (at, (heard, said)) in turns.iter().enumerate() {
        assert_eq!(peer.hear(heard.len()).await, *heard);
        let after: &[u8] = if at + 1 == turns.len() { b"early" } else { b"" };
        let (most, last) = said.split_at(said.len() - 1);
        let last = [last, after].concat();
        match cut {
            Some(cut) if cut < most.len() => {
                peer.say(&[&most[..cut], &[&most[cut..], &last].concat()]).await;
            }
            Some(_) => peer.say(&[most, &last]).await,
            None => {
                peer.say(&most.chunks(1).collect::<Vec<_>>()).await;
                peer.stream.write_all(&last).await.unwrap();
            }
        }
    }
}

// SOCKS-02 SOCKS-03 THR-716: what is sent, by which way; answers split everywhere; and not a byte of what follows is lost.
#[tokio::test]
async fn answers_may_come_in_any_pieces_and_what_follows_them_stays_where_it_is() {
    for (protocol, target, who, turns) in conversations() {
        let longest = turns.iter().map(|(_, said)| said.len()).max().unwrap();
        for cut in (0..longest).map(Some).chain([None]) {
            let (left, all) = between(
                async |transport| {
                    let mut stream = connect(transport, protocol, &target, who.as_ref()).await.unwrap();
                    let mut early = [0; 5];
                    stream.read_exact(&mut early).await.unwrap();
                    stream.write_all(b"over").await.unwrap();
                    early
                },
                async |mut peer| {
                    take_turns(&mut peer, &turns, cut).await;
                    peer.hear_all().await
                },
            )
            .await;
            assert_eq!((&left, &all[..]), (b"early", &b"over"[..]), "{protocol:?} {target:?} cut at {cut:?}");
        }
    }
}

/// Talks to a proxy that says this at once, whatever it hears, and then closes.
async fn told(protocol: Protocol, who: Option<&Credentials>, said: &[u8]) -> Result<(), Error> {
    let target = if matches!(protocol, Protocol::Socks4a | Protocol::Socks5h) { NAME } else { FOUR };
    let (outcome, ()) = between(
        async |transport| connect(transport, protocol, &target, who).await.map(drop),
        async |mut peer| {
            peer.stream.write_all(said).await.unwrap();
            peer.stream.shutdown().await.unwrap();
            peer.hear_all().await;
        },
    )
    .await;
    outcome
}

fn assert_refused(error: &Error, reason: &str, says: &str) {
    let fields = error.fields();
    assert_eq!((error.kind(), fields.phase), (Kind::Connect, Some(Phase::Proxy)), "{error:?}");
    assert_eq!(fields.extra.reason, Some(reason), "{error:?}");
    assert!(fields.message.starts_with("Failed to establish a new connection: "), "{error:?}");
    let told = [&fields.message].into_iter().chain(fields.causes.iter().map(|cause| &cause.message));
    assert!(told.clone().any(|message| message.contains(says)), "{error:?} does not say {says}");
    assert!(!told.into_iter().any(|message| message.contains("secret")), "{error:?}");
}

// THR-716 SOCKS-04: all codes; none needs more of the answer than the code itself.
#[tokio::test]
async fn every_code_is_told_by_its_name() {
    for code in 0..=u8::MAX {
        let four = told(Protocol::Socks4, None, &[0, code, 0, 0, 0, 0, 0, 0]).await;
        let five = told(Protocol::Socks5, None, &[&[5, 0, 5, code], &GRANTED_5[2..]].concat()).await;
        for (outcome, granted) in [(four, 0x5a), (five, 0)] {
            match outcome {
                Ok(()) => assert_eq!(code, granted),
                Err(error) => assert_refused(&error, "ERR_SOCKS_REPLY", &format!("{code:#04x}: ")),
            }
        }
    }
    let short = told(Protocol::Socks5, None, b"\x05\x00\x05\x05").await.unwrap_err();
    assert_refused(&short, "ERR_SOCKS_REPLY", "0x05: Connection refused");
    let short = told(Protocol::Socks4, Some(&user()), b"\x00\x5d").await.unwrap_err();
    assert_refused(&short, "ERR_SOCKS_REPLY", "report different user-ids");
}

// THR-716 SOCKS-04
#[tokio::test]
async fn what_is_no_answer_is_named() {
    let user = user();
    for (protocol, who, said, reason, says) in [
        (Protocol::Socks5, None, &b"\x05\xff"[..], "ERR_SOCKS_AUTH", "wants to know who we are"),
        (Protocol::Socks5, Some(&user), b"\x05\xff", "ERR_SOCKS_AUTH", "takes no username and password"),
        (Protocol::Socks5, None, b"\x05\x02", "ERR_SOCKS_AUTH", "wants a username and a password"),
        (Protocol::Socks5, Some(&user), b"\x05\x01", "ERR_SOCKS_AUTH", "wants method 0x01"),
        (Protocol::Socks5h, Some(&user), b"\x05\x02\x01\x01", "ERR_SOCKS_AUTH", "SOCKS5 authentication failed"),
        (
            Protocol::Socks5h,
            Some(&user),
            b"\x05\x02\x05\x00",
            "ERR_SOCKS_PROTOCOL",
            "no SOCKS5 proxy (first byte 0x05)",
        ),
        (Protocol::Socks5, None, b"\x04\x00", "ERR_SOCKS_PROTOCOL", "no SOCKS5 proxy (first byte 0x04)"),
        (Protocol::Socks5, None, b"\x05\x00\x00\x00", "ERR_SOCKS_PROTOCOL", "does it speak SOCKS4?"),
        (Protocol::Socks5, None, b"\x05\x00\x05\x00\x00\x02", "ERR_SOCKS_PROTOCOL", "no type of address 0x02"),
        (
            Protocol::Socks5,
            None,
            b"HTTP/1.1 400 Bad\r\n\r\n",
            "ERR_SOCKS_PROTOCOL",
            "(first byte 0x48): does it speak HTTP?",
        ),
        (
            Protocol::Socks4,
            None,
            b"HTTP/1.1 400 Bad\r\n\r\n",
            "ERR_SOCKS_PROTOCOL",
            "no SOCKS4 proxy (first byte 0x48)",
        ),
        (Protocol::Socks5h, None, b"\x15\x03\x01\x00\x02\x02\x46", "ERR_SOCKS_PROTOCOL", "does it speak TLS?"),
        (Protocol::Socks4a, None, b"\x05\x00", "ERR_SOCKS_PROTOCOL", "does it speak SOCKS5?"),
        (Protocol::Socks4, None, b"", "ERR_SOCKS_PROTOCOL", "in place of its answer to the request"),
        (Protocol::Socks5, None, b"", "ERR_SOCKS_PROTOCOL", "in place of its answer to the greeting"),
        (Protocol::Socks5, Some(&user), b"\x05\x02", "ERR_SOCKS_PROTOCOL", "its answer to the username and password"),
    ] {
        assert_refused(&told(protocol, who, said).await.unwrap_err(), reason, says);
    }
}

// THR-716: an answer that breaks off, at each of its bytes.
#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    for (protocol, _, who, turns) in conversations() {
        let said: Vec<u8> = turns.into_iter().flat_map(|(_, said)| said).collect();
        for cut in 0..said.len() {
            let error = told(protocol, who.as_ref(), &said[..cut]).await.unwrap_err();
            assert_refused(&error, "ERR_SOCKS_PROTOCOL", "the proxy closed the connection in");
        }
        assert!(told(protocol, who.as_ref(), &said).await.is_ok());
    }
}

// SOCKS-04
#[tokio::test]
async fn a_reset_is_told_with_the_systems_code() {
    let (outcome, ()) = between(
        async |transport| connect(transport, Protocol::Socks5, &FOUR, None).await.map(drop),
        async |mut peer| {
            peer.hear(3).await;
            peer.reset();
        },
    )
    .await;
    let error = outcome.unwrap_err();
    assert_refused(&error, "ERR_SOCKS_PROTOCOL", "reset");
    assert_eq!(error.fields().causes[0].code.as_deref(), Some("ECONNRESET"));
}

// THR-717 THR-718: nothing is sent that could not mean what it should.
#[tokio::test]
async fn the_impossible_is_not_sent() {
    let long = "n".repeat(256);
    for (protocol, target, who, kind) in [
        (Protocol::Socks5h, Target::Name(&long, 80), None, Kind::MissingHost),
        (Protocol::Socks4, Target::Address("[::1]:80".parse().unwrap()), None, Kind::Connect),
        (
            Protocol::Socks4,
            FOUR,
            Some(Credentials { username: b"a\0b".into(), password: Vec::new() }),
            Kind::InvalidOption,
        ),
    ] {
        let (outcome, heard) = between(
            async |transport| connect(transport, protocol, &target, who.as_ref()).await.map(drop),
            async |mut peer| peer.hear_all().await,
        )
        .await;
        assert_eq!((outcome.unwrap_err().kind(), heard.len()), (kind, 0));
    }
}

#[tokio::test]
async fn a_dropped_conversation_closes_the_connection() {
    let (begun, begins) = oneshot::channel();
    let ((), heard) = between(
        async |transport| {
            tokio::select! {
                _ = connect(transport, Protocol::Socks5, &FOUR, None) => unreachable!("nobody answers"),
                _ = begins => {}
            }
        },
        async |mut peer| {
            let greeting = peer.hear(3).await;
            begun.send(()).unwrap();
            [greeting, peer.hear_all().await].concat()
        },
    )
    .await;
    assert_eq!(heard, b"\x05\x01\x00");
}

// THR-716: whatever a peer says, it ends, and well only if what it says is an answer.
#[tokio::test]
async fn noise_ends_in_an_error() {
    let mut dice = Dice(0x5eed_50c5);
    let known = conversations();
    for case in 0..2_000 {
        let (protocol, _, who, turns) = &known[dice.roll(known.len())];
        let mut said: Vec<u8> = turns.iter().flat_map(|(_, said)| said.clone()).collect();
        if case % 2 == 0 {
            let count = dice.roll(600);
            said = dice.bytes(count);
        }
        let at = dice.roll(said.len().max(1));
        let mut expected = None;
        match said.get_mut(at) {
            Some(byte) if case % 2 == 1 => {
                *byte ^= 1 << dice.roll(8);
                expected = Some(at);
            }
            _ => {}
        }
        let outcome = told(*protocol, who.as_ref(), &said).await;
        if let Err(error) = outcome {
            assert_eq!((error.kind(), error.fields().phase), (Kind::Connect, Some(Phase::Proxy)), "{said:?}");
        } else {
            // The port, the address and what is reserved may be anything.
            assert!(expected.is_some_and(|at| at > 1), "{protocol:?} took {said:?}");
        }
    }
}
