//! One HTTP/1 connection: hyper's client over the tap, its driver task, and what is known about the peer.

use std::cell::Cell;
use std::rc::Rc;

use ferropool_policy::error::{Cause, Error, Kind, Phase};
use ferropool_policy::ledger::Discard;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;

use super::tap::{Tap, TapIo};
use crate::client::upload::Upload;
use crate::dial::Dialled;

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
}

/// What a pool's connections have in common.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Tolerate what browsers and curl tolerate in a head.
    pub lenient: bool,
    /// `limits.headerCount`.
    pub header_count: u32,
    /// `limits.headerBytes`.
    pub header_bytes: u32,
}

/// A connection that can carry one exchange at a time. Dropping it closes the socket.
pub struct Connection {
    /// Facts for the response and for observers.
    pub info: Rc<ConnectionInfo>,
    /// What the wrapper under hyper knows.
    pub tap: Rc<Tap>,
    /// hyper's handle.
    pub sender: SendRequest<Upload>,
    driver: AbortHandle,
    /// Told when the connection goes.
    on_close: Option<OnClose>,
    why: Discard,
}

/// Called once, with the connection's id and why it goes.
pub type OnClose = Box<dyn FnOnce(u32, Discard)>;

impl Connection {
    /// Makes a connection of a fresh transport. `on_end` runs when hyper's side ends on its own (the peer closed, or sent
    /// what nobody asked for), `on_close` when the connection is dropped.
    pub async fn handshake(
        id: u32,
        dialled: Dialled,
        style: Style,
        on_end: impl FnOnce() + 'static,
        on_close: OnClose,
    ) -> Result<Self, Error> {
        let info = Rc::new(ConnectionInfo {
            id,
            remote_address: dialled.remote.address(),
            remote_port: dialled.remote.port(),
            local_address: dialled.local.address(),
            local_port: dialled.local.port(),
            tried: dialled
                .tried
                .into_iter()
                .map(|tried| (tried.address, tried.error, tried.elapsed.as_secs_f64() * 1_000.0))
                .collect(),
        });
        let tap = Tap::new(dialled.transport);
        let mut builder = Builder::new();
        builder
            .title_case_headers(true)
            .allow_spaces_after_header_name_in_responses(style.lenient)
            .allow_obsolete_multiline_headers_in_responses(style.lenient)
            .ignore_invalid_headers_in_responses(style.lenient);
        // hyper keeps its parse buffer on the stack up to its own default of 100 field lines.
        if style.header_count != HYPER_DEFAULT_HEADERS {
            builder.max_headers(style.header_count as usize + 1);
        }
        builder.max_buf_size((style.header_bytes as usize).max(LARGEST_READ) + HEAD_SLACK);
        let (sender, connection) =
            builder.handshake::<_, Upload>(TokioIo::new(TapIo(Rc::clone(&tap)))).await.map_err(|error| {
                Error::new(Kind::Protocol, "Connection aborted.")
                    .in_phase(Phase::Connect)
                    .caused_by(Cause::said(error.to_string()))
            })?;
        let driver = tokio::task::spawn_local(async move {
            // Its errors reach whoever waits for a response; an idle connection's are nobody's (THR-301, THR-1116).
            drop(connection.await);
            on_end();
        });
        Ok(Self { info, tap, sender, driver: driver.abort_handle(), on_close: Some(on_close), why: Discard::Evicted })
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

const HYPER_DEFAULT_HEADERS: u32 = 100;
/// Bytes that hyper reads at once at most: it begins with 8 KiB and doubles while reads fill what they are given. Each piece
/// wakes JavaScript; but what a read leaves empty lies idle for as long as its piece lives, and of 1 MiB more is left empty.
pub(super) const LARGEST_READ: usize = 512 * 1024;
/// hyper's bound on a head is that of its buffer: the tap's, which is exact, comes first.
const HEAD_SLACK: usize = 4 * 1024;
