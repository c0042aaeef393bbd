//! URLs as urllib3 reads them (RFC 3986 and RFC 6874, with its leniencies), for http and https normalised.
//!
//! There is one parser: pool key, resolver, TLS name, Host field and request target all come from what it says. It differs
//! from urllib3 in percent escapes, which stay as they are, and in what it prints where that would be read as something
//! else. Whether a pool can be made for a URL is [`crate::origin`]'s question.

mod address;
mod encode;
mod host;
mod idna;
mod parse;
mod target;

use std::fmt;

pub use target::{absolute, foreign, target, target_for_proxy, target_utf16};

pub(crate) use address::{Literal, Reading, Separator, ipv4};
pub(crate) use encode::{Allowed, escape, push_escape};
pub(crate) use host::{invalid, no_host, normalise, refuse_controls, refuse_encoded_controls};
pub(crate) use parse::{is_normal, parse as parse_bytes, scheme_length};

use crate::error::{Error, Kind, quote};

/// The parts of a URL; what is absent is `None`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Url {
    /// In lower case.
    pub scheme: Option<String>,
    /// User and password, percent-encoded. Never in a message, a target or a URL that is shown.
    pub auth: Option<String>,
    /// Normalised where the scheme is http, https or absent; an IPv6 literal has its brackets.
    pub host: Option<String>,
    /// 0 is a port like any other; no digits is no port.
    pub port: Option<u16>,
    /// Begins with `/`, or is empty where only a query or a fragment follows.
    pub path: Option<String>,
    /// Without its `?`.
    pub query: Option<String>,
    /// Without its `#`.
    pub fragment: Option<String>,
}

/// Parses a URL. The empty text has no parts.
///
/// # Errors
/// `InvalidUrl` where the host or the port is none.
pub fn parse(text: &str) -> Result<Url, Error> {
    parse_bytes(text.as_bytes())
}

/// Parses a JavaScript string, which may hold lone surrogates: they are percent-encoded as their three bytes.
///
/// # Errors
/// `InvalidUrl` as [`parse`] has it, and for a lone surrogate in the host.
pub fn parse_utf16(units: &[u16]) -> Result<Url, Error> {
    parse_bytes(&encode::from_utf16(units))
}

/// Octets of a URL as text: those beyond ASCII, and blanks, percent-encoded.
#[must_use]
pub fn shown(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len());
    for &octet in octets {
        if octet.is_ascii_graphic() { out.push(char::from(octet)) } else { push_escape(&mut out, octet) }
    }
    out
}

impl Url {
    /// The URL as text. Parsing it again gives the same text, and names the same host.
    #[must_use]
    pub fn url(&self) -> String {
        let mut out = String::new();
        if let Some(scheme) = &self.scheme {
            out.push_str(scheme);
            out.push_str("://");
        }
        let start = out.len();
        self.push_authority(&mut out, self.auth.as_deref());
        out.push_str(self.path.as_deref().unwrap_or_default());
        for (mark, part) in [('?', &self.query), ('#', &self.fragment)] {
            if let Some(part) = part {
                out.push(mark);
                out.push_str(part);
            }
        }
        // Where `host:port` would be read as a scheme, or a path as an authority, the slashes that were given come back.
        if self.scheme.is_none() && (out.starts_with("//") || scheme_length(out.as_bytes()) > 0) {
            out.insert_str(start, "//");
        }
        out
    }

    /// The path, `/` where there is none, and the query.
    #[must_use]
    pub fn request_uri(&self) -> String {
        let path = self.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
        match &self.query {
            None => path.to_owned(),
            Some(query) => format!("{path}?{query}"),
        }
    }

    /// `host[:port]`.
    #[must_use]
    pub fn netloc(&self) -> Option<String> {
        self.host.as_ref()?;
        let mut out = String::new();
        self.push_authority(&mut out, None);
        Some(out)
    }

    /// `auth@host[:port]` (RFC 3986 §3.2).
    #[must_use]
    pub fn authority(&self) -> Option<String> {
        self.host.as_ref()?;
        let mut out = String::new();
        self.push_authority(&mut out, self.auth.as_deref());
        Some(out)
    }

    /// User and password, decoded as UTF-8 and split at the first colon; no password without a colon.
    #[must_use]
    pub fn auth_decoded(&self) -> Option<(String, Option<String>)> {
        let auth = self.auth.as_deref()?;
        Some(match auth.split_once(':') {
            None => (encode::decode(auth), None),
            Some((user, password)) => (encode::decode(user), Some(encode::decode(password))),
        })
    }

    /// The URL without what a message must not show: user info, query and fragment.
    #[must_use]
    pub fn redacted(&self) -> String {
        Self { auth: None, query: None, fragment: None, ..self.clone() }.url()
    }

    /// The same as it stands in a message. Where an `@` is left, what is before it may be the beginning of a password that was
    /// to be encoded.
    pub(crate) fn told(&self) -> String {
        let shown = self.redacted();
        match shown.rfind('@') {
            None => quote(shown.as_bytes()),
            Some(at) => format!("…{}", quote(&shown.as_bytes()[at..])),
        }
    }

    /// The error for a URL of which nobody says how it is to be asked for.
    pub(crate) fn without_scheme(&self) -> Error {
        let told = self.told();
        let message = match &self.host {
            _ if told.is_empty() => "No scheme specified: the URL is empty".to_owned(),
            None => format!("No scheme specified: '{told}' is a path; write http:// or https:// and the host in front"),
            Some(_) => format!("No scheme specified: '{told}'; write http:// or https:// in front"),
        };
        Error::new(Kind::MissingHost, message)
    }

    /// `key:@host/path` has no scheme: what looks like one is a user's name, which may be a secret. `mailto:` has addresses.
    pub(crate) fn hidden_scheme(&self) -> Option<Error> {
        let path = self.path.as_deref().filter(|_| self.host.is_none() && self.scheme.as_deref() != Some("mailto"))?;
        path.split_once('@').filter(|(before, _)| !before.contains("//"))?;
        let (_, rest) = path.rsplit_once('@')?;
        let rest = quote(rest.as_bytes());
        let message = format!("No scheme specified: '…@{rest}'; write http:// or https:// in front");
        Some(Error::new(Kind::MissingHost, message))
    }

    /// With a hint, where what was read as a scheme is a host before its port.
    pub(crate) fn looks_like_port(&self, mut error: Error) -> Error {
        let (Some(name), None, Some(path)) = (&self.scheme, &self.host, &self.path) else { return error };
        let rest = path.trim_start_matches('/');
        let port = rest.split('/').next().unwrap_or_default();
        if !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) {
            let message = format!("{error}; did you mean http://{}?", quote(format!("{name}:{rest}").as_bytes()));
            error.fields_mut().message = message;
        }
        error
    }

    fn push_authority(&self, out: &mut String, auth: Option<&str>) {
        if let Some(auth) = auth {
            out.push_str(auth);
            out.push('@');
        }
        if let Some(host) = &self.host {
            match address::printed_zone(host).filter(|_| is_normal(self.scheme.as_deref())) {
                None => out.push_str(host),
                Some((address, zone)) => out.extend([address, "%25", zone]),
            }
        }
        if let Some(port) = self.port {
            out.push(':');
            out.push_str(&port.to_string());
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

/// Shows no user info and no query: a derived one would carry passwords into logs.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Url").field(&self.redacted()).finish()
    }
}
