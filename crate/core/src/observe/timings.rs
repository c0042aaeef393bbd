//! The spans of one call.

use std::time::{Duration, Instant};

/// How long each phase of the last attempt took; `None` is "did not happen". `total` is the whole call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for a connection.
    pub pool: Option<Duration>,
    /// Resolving the name.
    pub dns: Option<Duration>,
    /// Connecting.
    pub connect: Option<Duration>,
    /// Getting through a proxy: TLS to it, CONNECT, SOCKS.
    pub proxy: Option<Duration>,
    /// The handshake of TLS.
    pub tls: Option<Duration>,
    /// Until the kernel had the whole request.
    pub send: Option<Duration>,
    /// From there to the response's head.
    pub headers: Option<Duration>,
    /// From the head to the body's end.
    pub body: Option<Duration>,
    /// The whole call, up to the completion; delivery to JavaScript is measured by the binding.
    pub total: Option<Duration>,
    /// When the completion was ready.
    pub done: Option<Instant>,
}
