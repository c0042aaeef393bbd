//! Proxies, as plain data: what a caller says of one, what that means, and which way a request takes through it.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::error::{Error, Kind, quote};
use crate::origin::{self, Origin};
use crate::settings::shared_tls;
use crate::socks;
use crate::tls::TlsSettings;
use crate::url;

/// A proxy as a caller names it.
#[derive(Clone, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ProxySettings {
    /// As given; it may hold credentials.
    pub url: String,
    /// Whose proxy it is meant to be: of a `SOCKSProxyManager` only SOCKS will do, of a `ProxyManager` anything but.
    pub expects: Expects,
    /// Fields for the proxy alone: over those of a forwarded request, and on CONNECT.
    pub headers: Vec<(String, String)>,
    /// In place of the URL's.
    pub username: Option<String>,
    /// In place of the URL's.
    pub password: Option<String>,
    /// An https proxy is given requests for https origins as they are, without a tunnel.
    pub use_forwarding_for_https: bool,
    /// A tunnel for http origins too (`HTTPConnection.setTunnel`).
    pub always_tunnels: bool,
    /// For TLS to an https proxy.
    #[serde(deserialize_with = "shared_tls")]
    pub tls: Arc<TlsSettings>,
}

/// Which proxies will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expects {
    /// Whatever there is.
    #[default]
    Any,
    /// http and https.
    Http,
    /// socks4, socks4a, socks5, socks5h.
    Socks,
}

/// What is spoken to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// SOCKS of the fourth version: IPv4 addresses only.
    Socks4,
    /// The same with names, which the proxy resolves.
    Socks4a,
    /// SOCKS of the fifth version (RFC 1928); names are resolved here.
    Socks5,
    /// The same; the proxy resolves names.
    Socks5h,
}

impl Protocol {
    /// As it stands in a URL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks4 => "socks4",
            Self::Socks4a => "socks4a",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    /// 80 and 443 as urllib3 has them; 1080 for SOCKS (RFC 1928 §3).
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            _ => 1080,
        }
    }

    /// Whether it is one of the SOCKS family.
    #[must_use]
    pub const fn is_socks(self) -> bool {
        !matches!(self, Self::Http | Self::Https)
    }

    /// Whether the proxy, and not this side, looks up the names of origins.
    #[must_use]
    pub const fn resolves_names(self) -> bool {
        !matches!(self, Self::Socks4 | Self::Socks5)
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Http, Self::Https, Self::Socks4, Self::Socks4a, Self::Socks5, Self::Socks5h]
            .into_iter()
            .find(|one| one.name() == name)
    }
}

/// How a request reaches its origin through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// The proxy is given the request, its target in absolute form (RFC 9112 §3.2.2).
    Forward,
    /// The proxy connects to the origin and passes bytes on (RFC 9110 §9.3.6).
    Tunnel,
    /// The same, as SOCKS has it.
    Socks,
}

/// Octets that are sent to prove who we are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// Percent-decoded, once.
    pub username: Vec<u8>,
    /// Percent-decoded, once; empty where none was given.
    pub password: Vec<u8>,
}

/// A proxy that was understood.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// What is spoken to it.
    pub protocol: Protocol,
    /// Normalised, an IPv6 literal without brackets.
    pub host: String,
    /// That is dialled.
    pub port: u16,
    /// What it is shown of who we are.
    pub credentials: Option<Credentials>,
    /// Fields for it alone.
    pub headers: Vec<(String, String)>,
    /// See [`ProxySettings::use_forwarding_for_https`].
    pub forwards_https: bool,
    /// See [`ProxySettings::always_tunnels`].
    pub always_tunnels: bool,
    /// For TLS to it.
    pub tls: Arc<TlsSettings>,
}

impl Proxy {
    /// What these settings mean.
    ///
    /// # Errors
    /// `ProxyScheme` for a scheme that will not do; `MissingHost`, and `InvalidUrl` as [`Origin::new`]: each with the reason
    /// `ERR_PROXY_URL`. `InvalidOption` for credentials that SOCKS has no room for.
    pub fn of(settings: &ProxySettings) -> Result<Self, Error> {
        let proxy = Self::understood(settings).map_err(of_its_url)?;
        if proxy.protocol.is_socks() {
            socks::check_credentials(proxy.protocol, proxy.credentials.as_ref())?;
        }
        Ok(proxy)
    }

    fn understood(settings: &ProxySettings) -> Result<Self, Error> {
        let parsed = url::parse(&settings.url)?;
        // `host:port` has no scheme, whatever a parser makes of it; and what looks like one may be a user's name.
        let scheme = parsed.scheme.as_deref().filter(|_| settings.url.contains("://"));
        let protocol = protocol(settings, scheme)?;
        let host = parsed.host.as_deref().filter(|host| !host.is_empty()).ok_or_else(origin::no_host)?;
        let host = origin::canonical(host)?;
        let port = parsed.port.unwrap_or(protocol.default_port());
        let (username, password) = match parsed.auth.as_deref().map(|auth| auth.split_once(':').unwrap_or((auth, ""))) {
            Some((username, password)) => (Some(decoded(username)), decoded(password)),
            None => (None, Vec::new()),
        };
        let username = settings.username.as_ref().map(|name| name.clone().into_bytes()).or(username);
        let is_version_4 = matches!(protocol, Protocol::Socks4 | Protocol::Socks4a);
        if is_version_4 && settings.password.as_ref().is_some_and(|password| !password.is_empty()) {
            // One in the URL is left unsaid, as by urllib3: lists of proxies are written like that.
            return Err(Error::new(Kind::InvalidOption, "password: SOCKS4 has none; all it is told is the user id"));
        }
        let password = settings.password.as_ref().map_or(password, |password| password.clone().into_bytes());
        let credentials = match username {
            None if password.is_empty() => None,
            username => Some(Credentials { username: username.unwrap_or_default(), password }),
        };
        Ok(Self {
            protocol,
            host,
            port,
            credentials,
            headers: settings.headers.clone(),
            forwards_https: settings.use_forwarding_for_https && protocol == Protocol::Https,
            always_tunnels: settings.always_tunnels,
            tls: Arc::clone(&settings.tls),
        })
    }

    /// The way to origins of this scheme (PROXY-02, -03, -05).
    #[must_use]
    pub fn way(&self, scheme: origin::Scheme) -> Way {
        match scheme {
            _ if self.protocol.is_socks() => Way::Socks,
            origin::Scheme::Http if !self.always_tunnels => Way::Forward,
            origin::Scheme::Https if self.forwards_https && !self.always_tunnels => Way::Forward,
            _ => Way::Tunnel,
        }
    }

    /// `host:port`, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// `scheme://host:port`, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{}://{open}{}{close}:{}", self.protocol.name(), self.host, self.port)
    }

    /// Where a forwarding proxy itself is, as the origin of the pool that its requests share (PROXY-02).
    #[must_use]
    pub fn origin(&self) -> Origin {
        let scheme = if self.protocol == Protocol::Https { origin::Scheme::Https } else { origin::Scheme::Http };
        Origin { scheme, host: self.host.clone(), port: Some(self.port) }
    }
}

fn protocol(settings: &ProxySettings, scheme: Option<&str>) -> Result<Protocol, Error> {
    let wrong = |message: String| Err(Error::new(Kind::ProxyScheme, message));
    let found = scheme.and_then(Protocol::named);
    match (settings.expects, found) {
        (Expects::Socks, Some(protocol)) if protocol.is_socks() => Ok(protocol),
        (Expects::Http, Some(protocol)) if !protocol.is_socks() => Ok(protocol),
        (Expects::Any, Some(protocol)) => Ok(protocol),
        // What follows a scheme may be a password.
        (Expects::Socks, _) => wrong(match scheme {
            Some(scheme) => format!("Unable to determine SOCKS version from scheme {}", quote(scheme.as_bytes())),
            None => "Unable to determine SOCKS version from a URL without a scheme".to_owned(),
        }),
        (expects, _) => {
            let usable = match expects {
                Expects::Http => "http:// or https://",
                _ => "http://, https://, socks4://, socks4a://, socks5:// or socks5h://",
            };
            wrong(match scheme {
                None => format!("Proxy URL had no scheme, should start with {usable}"),
                Some(scheme) => {
                    format!("Proxy URL had unsupported scheme {}, should use {usable}", quote(scheme.as_bytes()))
                }
            })
        }
    }
}

/// The URL that is asked for meets the same errors: who reads one has to know which of the two it is.
fn of_its_url(mut error: Error) -> Error {
    if error.kind() != Kind::ProxyScheme {
        let message = format!("{error} (it is the proxy's URL)");
        error.fields_mut().message = message;
    }
    error.with_reason("ERR_PROXY_URL")
}

/// Percent-decoded; a `%` that begins no escape stands for itself.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = url::escape(&bytes[at..]);
        out.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxySettings").finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.url()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<Proxy, Error> {
        Proxy::of(&ProxySettings { url: url.to_owned(), ..ProxySettings::default() })
    }

    // THR-715: schemes, and credentials that are decoded once.
    #[test]
    fn a_proxy_is_what_its_url_says() {
        for (url, shown, credentials) in [
            ("http://h", "http://h:80", None),
            ("HTTPS://H.Example:0", "https://h.example:0", None),
            ("socks5h://u:p@h", "socks5h://h:1080", Some(("u", "p"))),
            ("http://u@h:3128/ignored", "http://h:3128", Some(("u", ""))),
            ("http://u%40x:p%3aq%25@[::1]:3128", "http://[::1]:3128", Some(("u@x", "p:q%"))),
            ("http://u:a:b@h", "http://h:80", Some(("u", "a:b"))),
            ("http://:p@h", "http://h:80", Some(("", "p"))),
            ("http://u%2540:p@h", "http://h:80", Some(("u%40", "p"))),
        ] {
            let proxy = of(url).unwrap();
            assert_eq!(proxy.url(), shown, "{url}");
            let wanted = credentials
                .map(|(name, word)| Credentials { username: name.as_bytes().into(), password: word.as_bytes().into() });
            assert!(proxy.credentials == wanted, "{url}");
            assert!(!format!("{proxy:?}{:?}", proxy.credentials).contains("p:q"));
        }
    }

    #[test]
    fn schemes_that_will_not_do_are_refused_without_what_follows_them() {
        for (expects, url, said) in [
            (Expects::Http, "localhost:8080", "Proxy URL had no scheme, should start with http:// or https://"),
            (Expects::Http, "user:secret@h", "Proxy URL had no scheme, should start with http:// or https://"),
            (Expects::Http, "h", "Proxy URL had no scheme, should start with http:// or https://"),
            (
                Expects::Http,
                "socks5://u:secret@h",
                "Proxy URL had unsupported scheme socks5, should use http:// or https://",
            ),
            (Expects::Socks, "http://u:secret@h", "Unable to determine SOCKS version from scheme http"),
        ] {
            let settings = ProxySettings { url: url.to_owned(), expects, ..ProxySettings::default() };
            let error = Proxy::of(&settings).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (Kind::ProxyScheme, said));
        }
    }

    // PROXY-01: an error of a proxy's URL says whose it is.
    #[test]
    fn an_error_of_its_url_is_told_from_one_of_the_url_that_is_asked_for() {
        for (url, kind, said) in [
            (
                "http://a b",
                Kind::InvalidUrl,
                "Failed to parse: Host 'a b' contains invalid character ' ' (it is the proxy's URL)",
            ),
            ("http://u:secret@:1", Kind::MissingHost, "No host specified. (it is the proxy's URL)"),
            (
                "ftp://h",
                Kind::ProxyScheme,
                "Proxy URL had unsupported scheme ftp, should use http://, https://, socks4://, socks4a://, socks5:// or socks5h://",
            ),
        ] {
            let error = of(url).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, said));
            assert_eq!(error.fields().extra.reason, Some("ERR_PROXY_URL"), "{url}");
        }
    }

    // SOCKS-03, THR-718: credentials that cannot be sent are refused where they are said.
    #[test]
    fn credentials_that_socks_has_no_room_for_are_refused_at_once() {
        let long = "u".repeat(256);
        for (url, fits) in [
            (format!("socks5://{long}:p@h"), false),
            (format!("socks5h://u:{long}@h"), false),
            ("socks5://:p@h".to_owned(), false),
            ("socks4://u%00@h".to_owned(), false),
            (format!("socks5h://{0}:{0}@h", &long[1..]), true),
            (format!("socks4://{long}@h"), true),
            (format!("http://{long}:p%00@h"), true),
        ] {
            let refused = of(&url).err().map(|error| error.kind());
            assert_eq!(refused, (!fits).then_some(Kind::InvalidOption), "{url}");
        }
    }

    #[test]
    fn the_way_is_told_by_both_schemes() {
        use origin::Scheme::{Http, Https};
        let way = |url: &str, forwards: bool, tunnels: bool, scheme| {
            let settings = ProxySettings {
                url: url.to_owned(),
                use_forwarding_for_https: forwards,
                always_tunnels: tunnels,
                ..ProxySettings::default()
            };
            Proxy::of(&settings).unwrap().way(scheme)
        };
        assert_eq!(way("http://h", false, false, Http), Way::Forward);
        assert_eq!(way("http://h", true, false, Https), Way::Tunnel);
        assert_eq!(way("https://h", false, false, Http), Way::Forward);
        assert_eq!(way("https://h", false, false, Https), Way::Tunnel);
        assert_eq!(way("https://h", true, false, Https), Way::Forward);
        assert_eq!(way("http://h", false, true, Http), Way::Tunnel);
        assert_eq!(way("socks4://h", true, true, Http), Way::Socks);
        assert_eq!(way("socks5h://h", false, false, Https), Way::Socks);
    }
}
