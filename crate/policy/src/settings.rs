//! What a caller may set, as plain data: the record that the facade hands over when a pool is made, and the one that
//! comes with each request. Field names are the options' names, so that a limit's or an option's error can repeat them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::origin::Scheme;
use crate::proxy::ProxySettings;
use crate::retry::Retry;
use crate::tls::{Http2, TlsSettings};

/// Spans in milliseconds, as JavaScript has them. `None` is "none": the clock does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// dns + connect + proxy + tls together.
    pub connect: Option<f64>,
    /// Between two bytes of the response, and between two steps of sending.
    pub read: Option<f64>,
    /// One deadline over the whole call.
    pub total: Option<f64>,
}

/// What a response may cost. `None` is "no limit".
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a response's head. Default 262,144.
    pub header_bytes: u32,
    /// Field lines of a response's head. Default 256.
    pub header_count: u32,
    /// Bytes of a body on the wire.
    pub wire: Option<u64>,
    /// Bytes of a body after decoding, `u64::MAX` where the caller wants no limit. `None` is "not said": see
    /// [`Limits::of_whole`] and [`Limits::of_stream`].
    #[serde(deserialize_with = "or_unlimited")]
    pub decoded: Option<u64>,
    /// Decoded bytes for each wire byte, judged once past 8 MiB. Default 1,100.
    pub ratio: Option<f64>,
    /// Codings in a chain. Default 5.
    pub codings: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 256 * 1024,
            header_count: 256,
            wire: None,
            decoded: None,
            ratio: Some(1_100.0),
            codings: 5,
        }
    }
}

impl Limits {
    /// What holds for a body that becomes one block of memory: 256 MiB where nothing was said, and never more than a
    /// record can tell and every supported Node.js can hold (READ-12).
    #[must_use]
    pub fn of_whole(mut self) -> Self {
        self.decoded = Some(self.decoded.unwrap_or(MOST_UNASKED).min(MOST_WHOLE));
        self
    }

    /// What holds for a body that is read in pieces, whose memory is bounded anyway: only what was asked for.
    #[must_use]
    pub fn of_stream(mut self) -> Self {
        self.decoded = self.decoded.filter(|&most| most != u64::MAX);
        self
    }
}

/// `null` is "no limit", which is not the same as silence.
fn or_unlimited<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Option::deserialize(from).map(|given| Some(given.unwrap_or(u64::MAX)))
}

/// Where the client side of a socket is bound.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalAddress {
    /// An IP literal.
    pub address: String,
    /// 0 lets the system choose.
    #[serde(default)]
    pub port: u16,
}

/// Options set on a TCP socket before it connects.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SocketOptions {
    /// `TCP_NODELAY`. Default true where `socketOptions` is absent, false where it is given without it.
    pub no_delay: Option<bool>,
    /// `SO_RCVBUF`, bytes.
    pub receive_buffer: Option<u32>,
    /// `SO_SNDBUF`, bytes.
    pub send_buffer: Option<u32>,
}

/// TCP keep-alive probes.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct KeepAlive {
    /// Milliseconds of silence before the first probe. Default 60,000.
    pub idle: Option<u64>,
    /// Milliseconds between probes.
    pub interval: Option<u64>,
    /// Probes without an answer before the connection is given up.
    pub count: Option<u32>,
}

/// Everything a pool is made with. Times are milliseconds; 0 is "none" for the three bounds on a connection's life and
/// for `max_waiting`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PoolSettings {
    /// http or https; of a manager it is each origin's own.
    pub scheme: Scheme,
    /// The host as the caller wrote it.
    pub host: String,
    /// `None` is the scheme's default.
    pub port: Option<u16>,
    /// Connections kept for reuse; with `block` also the most that can exist. Default 1.
    pub maxsize: u32,
    /// Wait at the limit (true) or open an extra connection that is discarded after use (false, default).
    pub block: bool,
    /// Requests that may wait for a connection; 0: no bound.
    pub max_waiting: u32,
    /// Defaults of each request.
    pub timeout: Timeouts,
    /// Default header fields, in order and case, one entry a line; a null value leaves that automatic field out.
    pub headers: Vec<(String, Option<String>)>,
    /// Sent as `Accept-Encoding` where the request has none. Default `identity`.
    pub accept_encoding: String,
    /// The default `User-Agent`.
    pub user_agent: String,
    /// Client side of the socket.
    pub local_address: Option<LocalAddress>,
    /// Path of a Unix socket that takes the place of host and port for dialling.
    pub unix_socket: Option<String>,
    /// Absent: `TCP_NODELAY` on. Given: exactly what it says.
    pub socket_options: Option<SocketOptions>,
    /// TCP keep-alive; absent: off.
    pub keep_alive: Option<KeepAlive>,
    /// An idle connection is closed after so many milliseconds.
    pub idle_timeout: f64,
    /// A connection is not used beyond this age.
    pub max_age: f64,
    /// A connection is not used for more requests than this.
    pub max_requests_per_connection: u32,
    /// Tolerate what browsers and curl tolerate.
    pub lenient: bool,
    /// What a response may cost.
    pub limits: Limits,
    /// A streamed body whose reading has not begun after so many milliseconds is let go; 0: never.
    pub unread_timeout: f64,
    /// `host` or `host:port` → `address` or `address:port`. Shared: a manager's may be long, and each of its pools has it.
    #[serde(deserialize_with = "shared")]
    pub resolve: Arc<BTreeMap<String, String>>,
    /// A function knows addresses, and each dial asks it: its number, so that pools with different ones are told apart.
    pub resolve_asks: Option<u32>,
    /// What requests are judged by that bring nothing of their own. Default [`Retry::usual`].
    pub retries: Option<Retry>,
    /// Functions of a subclass judge in place of those settings: its number, so that pools are told apart by it too.
    pub retries_ask: Option<u32>,
    /// Attempts a second for each host; absent: no bound.
    pub rate: Option<f64>,
    /// Statuses whose Retry-After pauses the whole host.
    pub pause_on: Vec<u16>,
    /// Whether HTTP/2 is spoken.
    pub http2: Http2,
    /// The name of the network interface that sockets are bound to.
    pub interface: Option<String>,
    /// Addresses that are never connected to: `private`, or networks in CIDR notation.
    pub deny_addresses: Vec<String>,
    /// The proxy that connections lead to. Shared: each pool of a manager has it.
    #[serde(deserialize_with = "shared_proxy")]
    pub proxy: Option<Arc<ProxySettings>>,
    /// For https. Shared: each pool of a manager has it.
    #[serde(deserialize_with = "shared_tls")]
    pub tls: Arc<TlsSettings>,
}

pub(crate) fn shared_tls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<TlsSettings>, D::Error> {
    TlsSettings::deserialize(deserializer).map(Arc::new)
}

fn shared_proxy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<ProxySettings>>, D::Error> {
    Option::deserialize(deserializer).map(|given: Option<ProxySettings>| given.map(Arc::new))
}

fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<BTreeMap<String, String>>, D::Error> {
    BTreeMap::deserialize(deserializer).map(Arc::new)
}

/// Everything a manager is made with.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ManagerSettings {
    /// Pools that are kept. Default 1,000.
    pub num_pools: u32,
    /// Connections over all pools, those being made included; 0: no bound. Default 512.
    pub max_total_connections: u32,
    /// Proxies that the environment names, where managers are to use them.
    pub environment: Option<ProxyEnvironment>,
    /// For proxies that requests or the environment name, in place of the manager's own: their URL is not read.
    #[serde(deserialize_with = "shared_proxy")]
    pub proxies: Option<Arc<ProxySettings>>,
    /// Of each pool; its host and port are not read.
    pub pool: PoolSettings,
}

/// What the environment says of proxies; whoever reads it has chosen between upper and lower case.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyEnvironment {
    /// For http origins.
    pub http: Option<String>,
    /// For https origins.
    pub https: Option<String>,
    /// Where those say nothing.
    pub all: Option<String>,
    /// Hosts that are reached without a proxy.
    pub no: Option<String>,
}

/// Without the URLs, which may hold credentials.
impl fmt::Debug for ProxyEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyEnvironment").field("no", &self.no).finish_non_exhaustive()
    }
}

impl Default for ManagerSettings {
    fn default() -> Self {
        Self {
            num_pools: 1_000,
            max_total_connections: 512,
            environment: None,
            proxies: None,
            pool: PoolSettings::default(),
        }
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            scheme: Scheme::Http,
            host: String::new(),
            port: None,
            maxsize: 1,
            block: false,
            max_waiting: 0,
            timeout: Timeouts::default(),
            headers: Vec::new(),
            accept_encoding: "identity".to_owned(),
            user_agent: concat!("ferropool/", env!("CARGO_PKG_VERSION")).to_owned(),
            local_address: None,
            unix_socket: None,
            socket_options: None,
            keep_alive: None,
            idle_timeout: 0.0,
            max_age: 0.0,
            max_requests_per_connection: 0,
            lenient: true,
            limits: Limits::default(),
            unread_timeout: 60_000.0,
            resolve: Arc::default(),
            resolve_asks: None,
            retries_ask: None,
            retries: None,
            rate: None,
            pause_on: Vec::new(),
            http2: Http2::Off,
            interface: None,
            deny_addresses: Vec::new(),
            proxy: None,
            tls: Arc::default(),
        }
    }
}

/// Milliseconds before another attempt; negative and NaN are none. What no clock could be moved forward by is as long as
/// any can: a delay that is too long to be waited for must not become no delay at all.
#[must_use]
pub fn delay(milliseconds: f64) -> Duration {
    if milliseconds >= NEVER { Duration::from_millis(LONGEST) } else { span(milliseconds).unwrap_or_default() }
}

/// Milliseconds as a span; negative and NaN are nothing, what no clock could be moved forward by is "never".
#[must_use]
pub fn span(milliseconds: f64) -> Option<Duration> {
    if milliseconds > 0.0 && milliseconds < NEVER {
        Duration::try_from_secs_f64(milliseconds / 1_000.0).ok()
    } else {
        None
    }
}

/// As [`span`], but that 0 is a span too: whoever waits so long does not wait at all.
#[must_use]
pub fn wait(milliseconds: f64) -> Option<Duration> {
    if milliseconds == 0.0 { Some(Duration::ZERO) } else { span(milliseconds) }
}

/// Bytes of a preloaded body where nothing was said.
const MOST_UNASKED: u64 = 256 * 1024 * 1024;
/// 4 GiB less one.
const MOST_WHOLE: u64 = u32::MAX as u64;

/// Some thirty thousand years: any system's `Instant` can be that far away, and nobody waits for it.
const NEVER: f64 = 1e15;
/// The longest [`delay`], in milliseconds.
const LONGEST: u64 = 900_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::{Limits, delay, span, wait};
    use std::time::Duration;

    #[test]
    fn a_span_is_one_that_the_clock_can_go_forward_by() {
        assert_eq!(span(1.5), Some(Duration::from_micros(1_500)));
        assert_eq!(span(2_147_483_649.0), Some(Duration::from_millis(2_147_483_649)));
        for nothing in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY, f64::INFINITY, 1e15, 1e22, 1e300] {
            assert_eq!(span(nothing), None, "{nothing}");
        }
        assert_eq!((wait(0.0), wait(2.0)), (Some(Duration::ZERO), Some(Duration::from_millis(2))));
        assert_eq!((wait(-1.0), wait(f64::NAN), wait(f64::INFINITY)), (None, None, None));
        assert_eq!(span(9.9e14), Some(Duration::from_secs(990_000_000_000)));
    }

    // THR-1212 THR-1213
    #[test]
    fn a_delay_that_nobody_can_wait_for_is_not_none() {
        assert_eq!(delay(1.5), Duration::from_micros(1_500));
        for none in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(delay(none), Duration::ZERO, "{none}");
        }
        for long in [9e14, 1e15, 9e15, 1e300, f64::INFINITY] {
            assert_eq!(delay(long), Duration::from_secs(900_000_000_000), "{long}");
        }
    }

    #[test]
    fn silence_about_decoded_bytes_bounds_a_whole_body_alone() {
        let of = |json: &str| serde_json::from_str::<Limits>(json).expect("limits");
        let both = |json: &str| (of(json).of_whole().decoded, of(json).of_stream().decoded);
        assert_eq!(both("{}"), (Some(256 * 1024 * 1024), None));
        assert_eq!(both(r#"{"decoded":null}"#), (Some(u64::from(u32::MAX)), None));
        assert_eq!(both(r#"{"decoded":10}"#), (Some(10), Some(10)));
    }
}
