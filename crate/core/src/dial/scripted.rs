//! A peer on the loopback that follows a script, for the tests of the steps with a proxy.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::Transport;

/// The peer's end of a connection.
pub(super) struct Peer<'t> {
    pub(super) stream: TcpStream,
    /// The other end once more, to see what has been read there. While it is here that end cannot close.
    probe: Option<std::net::TcpStream>,
    finished: &'t Cell<bool>,
}

impl Peer<'_> {
    /// Sends these parts, each after the one before has been read, or the reader has gone.
    pub(super) async fn say(&mut self, parts: &[&[u8]]) {
        for part in parts.iter().filter(|part| !part.is_empty()) {
            if self.stream.write_all(part).await.is_err() {
                return;
            }
            let probe = self.probe.as_ref().expect("a peer that was not let go");
            let is_unread = || SockRef::from(probe).peek(&mut [std::mem::MaybeUninit::uninit()]).is_ok();
            // Nobody else has a turn before it is there.
            while !is_unread() {}
            while is_unread() && !self.finished.get() {
                yield_now().await;
            }
        }
    }

    /// What the other end sends next, as many bytes as this.
    pub(super) async fn hear(&mut self, count: usize) -> Vec<u8> {
        let mut heard = vec![0; count];
        self.stream.read_exact(&mut heard).await.expect("the other end says so much");
        heard
    }

    /// A message's head.
    pub(super) async fn hear_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.expect("a head that ends"));
        }
        String::from_utf8(head).expect("a head in ASCII")
    }

    /// All that the other end says until it closes; a reset is an end too.
    pub(super) async fn hear_all(&mut self) -> Vec<u8> {
        self.let_go();
        let mut heard = Vec::new();
        drop(self.stream.read_to_end(&mut heard).await);
        heard
    }

    /// From here on the other end can close; its reading is not followed any more.
    pub(super) fn let_go(&mut self) {
        self.probe = None;
    }

    /// Sends this until nobody takes it: how many bytes.
    pub(super) async fn say_for_ever(&mut self, piece: &[u8]) -> usize {
        self.let_go();
        let mut sent = 0;
        while self.stream.write_all(piece).await.is_ok() {
            sent += piece.len();
        }
        sent
    }

    /// Ends with a reset in place of an orderly end.
    pub(super) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("linger");
    }
}

/// Both ends of a connection, at once, and what became of each.
pub(super) async fn between<R, S>(
    client: impl AsyncFnOnce(Transport) -> R,
    peer: impl AsyncFnOnce(Peer<'_>) -> S,
) -> (R, S) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    let ours = TcpStream::connect(address).await.expect("a connection").into_std().expect("its socket");
    let (theirs, _) = listener.accept().await.expect("its other end");
    theirs.set_nodelay(true).expect("no delay");
    let finished = Cell::new(false);
    let peer =
        peer(Peer { stream: theirs, probe: Some(ours.try_clone().expect("a second handle")), finished: &finished });
    let client = client(Transport::Tcp(TcpStream::from_std(ours).expect("a stream")));
    let both = async {
        tokio::join!(
            async {
                let outcome = client.await;
                finished.set(true);
                outcome
            },
            peer
        )
    };
    timeout(Duration::from_secs(60), both).await.expect("neither end waits for ever")
}

/// The same for a given seed, on every machine (xorshift64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll(256) as u8).collect()
    }
}
