//! One connection, whatever it speaks: what is known about the peer, the handle that requests go through, and the driver
//! task that ends with it.

use std::cell::Cell;
use std::rc::Rc;

use ferropool_policy::ledger::Discard;
use hyper::client::conn::http1::SendRequest;
use tokio::task::AbortHandle;

use super::http2::Multiplexed;
use super::tap::{Peek, Tap};
use crate::client::upload::Upload;
use crate::dial::{Endpoint, Tried};
use crate::tls::Secured;

/// Facts about a connection that outlive it; they reach JavaScript once, not with every response.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionInfo {
    /// Never given twice by an engine.
    pub id: u32,
    /// `ip` of the peer, or the path of its Unix socket.
    pub remote_address: String,
    /// 0 for a Unix socket.
    pub remote_port: u16,
    /// `ip` of our side.
    pub local_address: String,
    /// 0 for a Unix socket.
    pub local_port: u16,
    /// Each address tried: address, error, milliseconds.
    pub tried: Vec<(String, Option<String>, f64)>,
    /// Whether HTTP/2 is spoken on it.
    pub http2: bool,
    /// What TLS agreed on with the peer at its end; `None` over plain TCP.
    pub tls: Option<Secured>,
    /// The proxy that it leads through.
    pub proxy: Option<ProxyInfo>,
}

/// The proxy of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyInfo {
    /// Without credentials.
    pub url: String,
    /// Whether it is given requests to pass on, rather than asked for a tunnel.
    pub forwards: bool,
    /// Of an https proxy: whether its certificate was checked.
    pub verified: bool,
}

impl ConnectionInfo {
    /// Of a connection between these ends.
    pub fn new(
        id: u32,
        (local, remote): (&Endpoint, &Endpoint),
        tried: Vec<Tried>,
        http2: bool,
        tls: Option<Secured>,
        proxy: Option<ProxyInfo>,
    ) -> Rc<Self> {
        let tried = tried
            .into_iter()
            .map(|tried| (tried.address, tried.error, tried.elapsed.as_secs_f64() * 1_000.0))
            .collect();
        Rc::new(Self {
            id,
            remote_address: remote.address(),
            remote_port: remote.port(),
            local_address: local.address(),
            local_port: local.port(),
            tried,
            http2,
            tls,
            proxy,
        })
    }
}

/// The handle that requests go through.
pub enum Sender {
    /// One exchange at a time.
    Http1(SendRequest<Upload>),
    /// As many as the peer takes.
    Http2(Rc<Multiplexed>),
}

/// A connection. Dropping it closes the socket.
pub struct Connection {
    /// Facts for the response and for observers.
    pub info: Rc<ConnectionInfo>,
    /// What the wrapper under the protocol knows.
    pub tap: Rc<Tap>,
    /// Where requests go.
    pub sender: Sender,
    driver: AbortHandle,
    /// Told when the connection goes.
    on_close: Option<OnClose>,
    why: Discard,
}

/// Called once, with the connection's id and why it goes.
pub type OnClose = Box<dyn FnOnce(u32, Discard)>;

impl Connection {
    pub(super) fn new(
        info: Rc<ConnectionInfo>,
        tap: Rc<Tap>,
        sender: Sender,
        driver: AbortHandle,
        on_close: OnClose,
    ) -> Self {
        Self { info, tap, sender, driver, on_close: Some(on_close), why: Discard::Evicted }
    }

    /// Whether nothing more can be sent on it: its driver has ended, or its peer takes no new streams.
    pub fn is_over(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(shared) => shared.is_over(),
        }
    }

    /// Why its driver ended between exchanges.
    pub fn why_over(&self) -> Discard {
        let gone = match &self.sender {
            Sender::Http1(_) => self.tap.eof(),
            Sender::Http2(shared) => self.tap.eof() || shared.is_draining(),
        };
        if gone { Discard::PeerClosed } else { Discard::Poisoned }
    }

    /// Why it cannot be used, if it cannot: the protocol's word first, then a look at the socket itself (THR-303).
    pub async fn stale(&mut self) -> Option<Discard> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                if !sender.is_ready() && sender.ready().await.is_err() {
                    return Some(self.why_over());
                }
            }
            Sender::Http2(shared) if shared.is_over() => return Some(self.why_over()),
            Sender::Http2(_) => {}
        }
        match self.tap.peek() {
            Peek::Quiet => None,
            Peek::Readable if self.has_a_life_of_its_own() => self.look_again().await,
            Peek::Readable => Some(Discard::Poisoned),
            Peek::Closed => Some(Discard::PeerClosed),
        }
    }

    /// TLS has tickets and alerts to send, HTTP/2 settings and pings, without being asked.
    fn has_a_life_of_its_own(&self) -> bool {
        matches!(self.sender, Sender::Http2(_)) || self.tap.is_tls()
    }

    /// The driver reads what is there in the reactor's next turn. What it does not take for an end was none, and what is
    /// there after it is more than such a connection has to say while it is idle.
    async fn look_again(&mut self) -> Option<Discard> {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
            if self.is_over() {
                return Some(self.why_over());
            }
            match self.tap.peek() {
                Peek::Quiet => return None,
                Peek::Readable => {}
                Peek::Closed => return Some(Discard::PeerClosed),
            }
        }
        Some(Discard::Poisoned)
    }

    /// Closes it, for this reason. One that is merely dropped goes with its pool.
    pub fn close(mut self, why: Discard) {
        self.why = why;
    }

    /// The switch that ends the connection from afar.
    pub fn abort_handle(&self) -> AbortHandle {
        self.driver.clone()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // hyper would drain a small rest first; a connection that is let go is let go now.
        self.driver.abort();
        if let Some(on_close) = self.on_close.take() {
            on_close(self.info.id, self.why);
        }
    }
}

/// Numbers for an engine's connections.
#[derive(Debug, Default)]
pub struct Ids(Cell<u32>);

impl Ids {
    /// The next one.
    pub fn next(&self) -> u32 {
        let id = self.0.get().wrapping_add(1);
        self.0.set(id);
        id
    }
}

/// Turns of the reactor that what is waiting on an idle connection may take to be read.
const TURNS: u32 = 3;
