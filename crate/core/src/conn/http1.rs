//! HTTP/1: hyper's client over the tap, and its driver task.

use std::rc::Rc;

use ferropool_policy::error::{Cause, Error, Kind, Phase};
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;

use super::connection::{Connection, ConnectionInfo, OnClose, Sender};
use super::errors::{aborted, says};
use super::tap::{Tap, TapIo};
use crate::client::upload::Upload;
use crate::dial::Transport;

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

/// Makes a connection of a fresh transport. `on_end` runs when hyper's side ends on its own (the peer closed, or sent what
/// nobody asked for), `on_close` when the connection is dropped.
pub async fn handshake(
    info: Rc<ConnectionInfo>,
    transport: Transport,
    style: Style,
    on_end: impl FnOnce() + 'static,
    on_close: OnClose,
) -> Result<Connection, Error> {
    let tap = Tap::new(transport);
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
    let (sender, connection) = builder
        .handshake::<_, Upload>(TokioIo::new(TapIo(Rc::clone(&tap))))
        .await
        .map_err(|error| aborted(Kind::Protocol, Cause::said(says(&error))).in_phase(Phase::Connect))?;
    let driver = tokio::task::spawn_local(async move {
        // Its errors reach whoever waits for a response; an idle connection's are nobody's (THR-301, THR-1116).
        drop(connection.await);
        on_end();
    });
    Ok(Connection::new(info, tap, Sender::Http1(sender), driver.abort_handle(), on_close))
}

const HYPER_DEFAULT_HEADERS: u32 = 100;
/// Bytes that hyper reads at once at most: it begins with 8 KiB and doubles while reads fill what they are given. Each piece
/// wakes JavaScript; but what a read leaves empty lies idle for as long as its piece lives, and of 1 MiB more is left empty.
pub(super) const LARGEST_READ: usize = 512 * 1024;
/// hyper's bound on a head is that of its buffer: the tap's, which is exact, comes first.
const HEAD_SLACK: usize = 4 * 1024;
