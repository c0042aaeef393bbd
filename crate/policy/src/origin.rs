//! Scheme, host and port: what a pool is made for, and whether a URL belongs to it.
//!
//! A host is judged harder here than in a URL: it will be resolved, sent in a Host field and compared with certificates, so
//! that it must be a registered name with labels of a legal length, or an address, which then has one spelling.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use serde::Deserialize;

use crate::error::{Error, Kind, quote};
use crate::url::{self, Allowed, Literal, Reading, Separator, Url};

/// The schemes that there are pools for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The scheme of this name, in any case.
    ///
    /// # Errors
    /// `UnknownScheme` for anything but http and https.
    pub fn named(name: &str) -> Result<Self, Error> {
        if name.eq_ignore_ascii_case("http") {
            Ok(Self::Http)
        } else if name.eq_ignore_ascii_case("https") {
            Ok(Self::Https)
        } else {
            Err(Error::new(Kind::UnknownScheme, format!("Not supported URL scheme {}", quote(name.as_bytes()))))
        }
    }

    /// The URL's scheme; http where it has none.
    ///
    /// # Errors
    /// `UnknownScheme` as [`Scheme::named`].
    pub fn of(url: &Url) -> Result<Self, Error> {
        let Some(name) = url.scheme.as_deref() else { return Ok(Self::Http) };
        Self::named(name).map_err(|error| url.hidden_scheme().unwrap_or_else(|| url.looks_like_port(error)))
    }

    /// As it stands in a URL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// RFC 9110 §4.2.1 and §4.2.2.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Where a pool's connections go. Two origins are equal when they name the same place: a default port may be spelled out
/// or not.
#[derive(Clone, Debug)]
pub struct Origin {
    /// http or https.
    pub scheme: Scheme,
    /// Normalised; an IPv6 literal has no brackets and one `%` before its zone id; a trailing dot stays.
    pub host: String,
    /// As given.
    pub port: Option<u16>,
}

impl Origin {
    /// The origin of a pool made for this host. An IPv6 literal may have its brackets or not.
    ///
    /// # Errors
    /// `MissingHost` without a host; `InvalidUrl` for a host with a space, a control character, a delimiter, a malformed
    /// escape, a label that is empty or too long, or for a number that is no address.
    pub fn new(scheme: Scheme, host: &str, port: Option<u16>) -> Result<Self, Error> {
        if host.is_empty() {
            return Err(no_host());
        }
        url::refuse_controls(host.as_bytes())?;
        let host = match Literal::read(host, Separator::Plain) {
            Some(literal) => canonical_literal(&literal)?,
            None => canonical(&url::normalise(host.as_bytes())?)?,
        };
        Ok(Self { scheme, host, port })
    }

    /// The origin of a URL; without a scheme it is http. The port is never absent: it is shown.
    ///
    /// # Errors
    /// `UnknownScheme`, `MissingHost`, and `InvalidUrl` as [`Origin::new`].
    pub fn from_url(url: &Url) -> Result<Self, Error> {
        let mut origin = Self::of(url, Scheme::of(url)?)?;
        origin.port = Some(origin.effective_port());
        Ok(origin)
    }

    /// [`Origin::from_url`] for whoever must not guess a scheme: a manager.
    ///
    /// # Errors
    /// Also `MissingHost` (a `LocationValueError`) for a URL without a scheme.
    pub fn from_absolute_url(url: &Url) -> Result<Self, Error> {
        if url.scheme.is_none() {
            return Err(url.without_scheme());
        }
        Self::from_url(url)
    }

    /// The port that is dialled.
    #[must_use]
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    /// `host[:port]` as the Host field has it (RFC 9110 §7.2): no default port, no dot that ends a name, an IPv6 literal in
    /// brackets. A zone id means nothing to the peer and stays here (RFC 6874 §1).
    #[must_use]
    pub fn authority(&self) -> String {
        let host = match self.address() {
            Some(IpAddr::V6(_)) => self.host.split('%').next().unwrap_or_default(),
            _ => self.host.strip_suffix('.').unwrap_or(&self.host),
        };
        self.with_port(host)
    }

    /// The address, where the host is a literal and no name; without its zone.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        if self.host.contains(':') {
            return Literal::read(&self.host, Separator::Plain).map(|literal| literal.address.into());
        }
        self.host.parse().ok()
    }

    /// Whether the URL belongs to this origin: a path does; `//host/` belongs to the host that it names; anything else must
    /// have the same scheme (http where absent), host and port. What cannot be parsed belongs to nobody.
    #[must_use]
    pub fn is_same_host(&self, url: &str) -> bool {
        if url.starts_with('/') && !url.starts_with("//") {
            return true;
        }
        let Ok(parsed) = url::parse(url) else {
            return false;
        };
        if url.starts_with("//") {
            // A network-path reference keeps the scheme (RFC 3986 §5.2.2); without a host it is a path after all.
            return parsed.host.is_none() || self.is_host_of(&parsed, self.scheme);
        }
        Scheme::of(&parsed).is_ok_and(|scheme| self.is_host_of(&parsed, scheme))
    }

    /// Whether this is the origin of the URL, its scheme being this one.
    pub(crate) fn is_host_of(&self, url: &Url, scheme: Scheme) -> bool {
        Self::of(url, scheme).is_ok_and(|other| other == *self)
    }

    /// The origin of the URL, its scheme being this one and its port as given.
    pub(crate) fn of(url: &Url, scheme: Scheme) -> Result<Self, Error> {
        let host = url.host.as_deref().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| Error::new(Kind::MissingHost, format!("{NO_HOST} ('{}')", url.told())))?;
        Ok(Self { scheme, host: canonical(host)?, port: url.port })
    }

    /// The beginning of every URL of this origin, up to its path.
    pub(crate) fn base(&self) -> String {
        let host = match self.host.split_once('%') {
            Some((address, zone)) if address.contains(':') => &format!("{address}%25{zone}"),
            _ => &self.host,
        };
        format!("{}://{}", self.scheme.name(), self.with_port(host))
    }

    /// The absolute URL of a path of this origin, as a proxy that passes requests on is asked for it (RFC 9112 §3.2.2). It
    /// is the proxy that looks the name up, so a dot that ends it stays; a zone id means nothing there.
    #[must_use]
    pub fn url_of(&self, path: &str) -> String {
        let is_dotted = self.host.ends_with('.') && !self.host.contains(':');
        let host = if is_dotted { self.with_port(&self.host) } else { self.authority() };
        format!("{}://{host}{path}", self.scheme.name())
    }

    fn with_port(&self, host: &str) -> String {
        let port = self.effective_port();
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        if port == self.scheme.default_port() {
            format!("{open}{host}{close}")
        } else {
            format!("{open}{host}{close}:{port}")
        }
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.host == other.host && self.effective_port() == other.effective_port()
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.scheme, &self.host, self.effective_port()).hash(state);
    }
}

/// From the normalised host of a URL.
pub(crate) fn canonical(host: &str) -> Result<String, Error> {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // The URL's separator was read already: what follows the one `%` is the zone.
        let literal = Literal::read(inner, Separator::Plain).ok_or_else(|| url::no_host(host.as_bytes()))?;
        return canonical_literal(&literal);
    }
    // RFC 3986 §3.2.2. A URL can hold more, but nothing else may reach a resolver or a Host field.
    let bytes = host.as_bytes();
    if !bytes.iter().enumerate().all(|(at, &b)| Allowed::REG_NAME.holds(b) || url::escape(&bytes[at..]).is_some()) {
        return Err(url::no_host(bytes));
    }
    match url::ipv4(host) {
        Reading::Address(address) => return Ok(address.to_string()),
        Reading::Neither => return Err(url::no_host(bytes)),
        Reading::Name => {}
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.len() > NAME || name.split('.').any(|label| label.is_empty() || label.len() > LABEL) {
        return Err(url::invalid(format!("'{}', label empty or too long", quote(bytes))));
    }
    Ok(host.to_owned())
}

fn canonical_literal(literal: &Literal<'_>) -> Result<String, Error> {
    let text = literal.canonical();
    url::refuse_encoded_controls(text.as_bytes(), text.as_bytes())?;
    Ok(text)
}

/// The error for what names no host.
pub(crate) fn no_host() -> Error {
    Error::new(Kind::MissingHost, NO_HOST)
}

const NO_HOST: &str = "No host specified.";

/// Octets of a name and of a label (RFC 1035 §2.3.4, the length octets and the root left out).
const NAME: usize = 253;
const LABEL: usize = 63;
