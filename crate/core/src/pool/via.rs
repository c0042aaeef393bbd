//! How a pool's connections get through a proxy: what is known of the proxy, worked out once for all pools that share it.

use std::fmt;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::origin::Origin;
use ferropool_policy::proxy::{Credentials, Protocol, Proxy, ProxySettings, Way};
use ferropool_policy::retry::class_of;
use ferropool_policy::settings::PoolSettings;
use http::Extensions;
use http::header::{HeaderMap, PROXY_AUTHORIZATION};

use crate::client::case::CaseBook;
use crate::client::message;
use crate::client::request::Line;
use crate::conn::connection::ProxyInfo;
use crate::tls::{Alpn, NOT_TLS, TlsPlan};

/// A proxy, and what pools need to get through it.
pub struct Via {
    /// As it was understood.
    pub proxy: Proxy,
    /// `host:port`, for errors.
    pub name: String,
    /// Tells the pools of this proxy from those of others, and those to which it forwards from those that it tunnels to.
    keys: [Arc<str>; 2],
    /// To an https proxy.
    pub(super) tls: Option<TlsPlan>,
    /// For the proxy alone, its credentials among them.
    pub(crate) lines: Vec<Line>,
    /// The same as CONNECT sends them.
    pub(super) fields: HeaderMap,
    pub(super) spelling: Option<Extensions>,
}

/// Whom a request of a pool is written for.
#[derive(Clone, Debug, Default)]
pub enum Audience {
    /// The peer, whoever it is.
    #[default]
    Origin,
    /// An origin behind a tunnel, or on the way past the proxies that there are: what is meant for them must not reach it.
    OriginAlone,
    /// A proxy that passes it on.
    Proxy(Arc<Via>),
}

impl Via {
    /// Of these settings. `whose` tells apart what would otherwise look the same: the manager's own proxy, with its header
    /// fields, and the same one named by a request. `known` is the plan of another proxy with the same TLS settings.
    ///
    /// # Errors
    /// What [`Proxy::of`] refuses; `InvalidHeader`, and `Tls` for files of its TLS settings.
    pub fn new(settings: &ProxySettings, whose: &str, known: Option<&TlsPlan>) -> Result<Arc<Self>, Error> {
        let proxy = Proxy::of(settings)?;
        let tls = match (proxy.protocol, known) {
            (Protocol::Https, Some(known)) => Some(known.for_host(&proxy.tls, &proxy.host)?),
            (Protocol::Https, None) => Some(TlsPlan::new(&proxy.tls, &proxy.host, Alpn::Http1)?),
            _ => None,
        };
        let client = format!("{} {}", proxy.url(), shown(proxy.credentials.as_ref()));
        let tls = tls.map(|tls| tls.apart(&client));
        let lines = lines_of(&proxy)?;
        let book = CaseBook::default();
        let (fields, spelling) = message::fields_of(&lines, &book)?;
        let key = |way: &str| Arc::from(format!("{way} {whose} {client}"));
        Ok(Arc::new(Self {
            name: proxy.name(),
            keys: [key("forwards"), key("tunnels")],
            proxy,
            tls,
            lines,
            fields,
            spelling,
        }))
    }

    /// Whether these fields can be sent to a proxy, whichever it will be.
    ///
    /// # Errors
    /// `InvalidHeader`.
    pub fn check(headers: &[(String, String)]) -> Result<(), Error> {
        let lines = message::lines_of(headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))))?;
        message::fields_of(&lines, &CaseBook::default()).map(drop)
    }

    /// The part of a pool's key that says how it gets through.
    pub(crate) fn key(&self, way: Way) -> Arc<str> {
        let [forwards, tunnels] = &self.keys;
        Arc::clone(if way == Way::Forward { forwards } else { tunnels })
    }

    /// The plan of TLS to it, for others of the same settings.
    pub(crate) fn tls(&self) -> Option<&TlsPlan> {
        self.tls.as_ref()
    }

    /// Whether these settings can be kept with this proxy.
    ///
    /// # Errors
    /// `InvalidOption` for addresses that are denied where only the proxy will know them, and for a Unix socket, which leads
    /// somewhere else.
    pub(crate) fn suits(&self, settings: &PoolSettings) -> Result<(), Error> {
        let wrong = |message: String| Err(Error::new(Kind::InvalidOption, message));
        if !settings.deny_addresses.is_empty() && self.proxy.protocol.resolves_names() {
            return wrong(format!(
                "denyAddresses cannot be kept behind a proxy that looks names up itself ({}): socks4 and socks5 leave that to us",
                self.proxy.protocol.name()
            ));
        }
        if settings.unix_socket.is_some() {
            return wrong("unixSocket and proxy exclude one another".to_owned());
        }
        Ok(())
    }

    /// What connections tell of it.
    pub(super) fn info(&self, way: Way) -> ProxyInfo {
        ProxyInfo {
            url: self.proxy.url(),
            forwards: way == Way::Forward,
            verified: self.tls.as_ref().is_some_and(TlsPlan::is_verified),
        }
    }

    /// An error on the way to the proxy, or through it, as the caller is to see it (PROXY-08, SOCKS-04).
    pub(super) fn failed(&self, error: Error) -> Error {
        // What the caller's own functions and options brought about is not the proxy's.
        if class_of(error.kind()).is_none() {
            return error;
        }
        if self.proxy.protocol.is_socks() {
            return self.told(error);
        }
        self.wrapped(error)
    }

    fn wrapped(&self, mut error: Error) -> Error {
        let name = &self.name;
        if error.kind() == Kind::Proxy {
            let message = format!("Unable to connect to proxy {name}: {error}");
            error.fields_mut().message = message;
            return error;
        }
        let speaks_http = error.fields().extra.reason == Some("ERR_NOT_TLS");
        if speaks_http {
            // The URL that was asked for is not the proxy's.
            NOT_TLS.clone_into(&mut error.fields_mut().message);
        }
        let said = in_full(&error);
        let message = if speaks_http {
            format!(
                "Unable to connect to proxy {name}. Your proxy appears to only use HTTP and not HTTPS, try changing your proxy \
                 URL to be HTTP: {said}"
            )
        } else {
            format!("Unable to connect to proxy {name}: {said}")
        };
        error.fields_mut().host = Some(name.clone());
        let mut outer = Error::new(Kind::Proxy, message).in_phase(error.fields().phase.unwrap_or(Phase::Proxy));
        let fields = outer.fields_mut();
        fields.extra.reason = error.fields().extra.reason;
        fields.extra.below = Some(error);
        outer
    }

    /// With SOCKS errors keep their class; the message says that it is the proxy.
    fn told(&self, mut error: Error) -> Error {
        if error.kind() != Kind::ConnectTimeout {
            let message = format!("{} (proxy {})", in_full(&error), self.name);
            error.fields_mut().message = message;
        }
        error
    }

    /// A request that was handed on ended without its answer: whether the proxy or the origin behind it is why, nobody here
    /// knows, so the message names both. Its class stays the origin's (PROXY-13).
    pub(super) fn handed_on(&self, error: &mut Error) {
        self.named_in(error, "through");
    }

    /// The same inside a tunnel: the origin is why, unless the proxy has let the tunnel go.
    pub(super) fn tunnelled(&self, error: &mut Error) {
        self.named_in(error, "tunnelled by");
    }

    fn named_in(&self, error: &mut Error, how: &str) {
        use Kind as K;
        if matches!(error.kind(), K::ReadTimeout | K::SendTimeout | K::Protocol | K::Tls | K::ConnectTimeout) {
            let message = format!("{error} ({how} proxy {})", self.name);
            error.fields_mut().message = message;
        }
    }
}

/// With what the proxy did, where the error's own words are the same whatever it was: who reads a log sees no causes.
fn in_full(error: &Error) -> String {
    let is_bare = error.fields().extra.reason == Some("ERR_SOCKS_PROTOCOL");
    match error.fields().causes.first().filter(|_| is_bare) {
        Some(cause) => format!("{}: {}", error.to_string().trim_end_matches('.'), cause.message),
        None => error.to_string(),
    }
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Via").field(&self.proxy).finish()
    }
}

/// The fields that an HTTP proxy is shown: its own, and the URL's credentials unless those say who we are (PROXY-07).
fn lines_of(proxy: &Proxy) -> Result<Vec<Line>, Error> {
    if proxy.protocol.is_socks() {
        return Ok(Vec::new());
    }
    let mut lines = message::lines_of(proxy.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))))?;
    let told = lines.iter().any(|line| line.name.eq_ignore_ascii_case(PROXY_AUTHORIZATION.as_str().as_bytes()));
    if let Some(credentials) = proxy.credentials.as_ref().filter(|_| !told) {
        let both = [&credentials.username[..], b":", &credentials.password].concat();
        lines.push(Line {
            name: Bytes::from_static(b"Proxy-Authorization"),
            value: Some(Bytes::from(format!("Basic {}", BASE64_STANDARD.encode(both)))),
        });
    }
    Ok(lines)
}

/// Credentials as text, without loss: for keys alone.
fn shown(credentials: Option<&Credentials>) -> String {
    let Some(Credentials { username, password }) = credentials else { return String::new() };
    format!("{}:{}", BASE64_STANDARD.encode(username), BASE64_STANDARD.encode(password))
}

/// `host:port` for CONNECT: the port always, an IPv6 literal in brackets and without its zone (PROXY-04).
pub(super) fn authority(origin: &Origin) -> String {
    let host = origin.host.split('%').next().filter(|host| host.contains(':'));
    match host {
        Some(address) => format!("[{address}]:{}", origin.effective_port()),
        None => format!("{}:{}", origin.host, origin.effective_port()),
    }
}
