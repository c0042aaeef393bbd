//! What the environment says of proxies: which one an origin is reached through, and which origins are reached without.
//!
//! There is no standard for `NO_PROXY`, and clients differ. What is ours stands here and in `tests/environment.rs`, which has
//! the answers of curl and Go beside it. Where two readings are possible the narrower one holds, since a request that goes
//! past a proxy shows whom it was to hide, and nobody sees that it did:
//!
//! | an entry | reaches without a proxy |
//! |---|---|
//! | `*` | everything |
//! | `example.com` | that host and what is below it |
//! | `.example.com`, `*.example.com` | what is below it only |
//! | `192.0.2.1`, `[2001:db8::1]` | that address, however it is spelled; one mapped into IPv6 too |
//! | `192.0.2.0/24`, `192.0.2.1-192.0.2.9` | addresses from there |
//! | `localhost`, `127.0.0.1`, `::1`, `0.0.0.0`, … | this machine, by whichever of these it is called |
//! | any host and `:8080` | the same on that port only; the scheme's where a URL has none |
//! | anything else | nothing |
//!
//! Names are never looked up for this. Without an entry that says so, this machine is reached through the proxy as any other.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::origin::{Origin, Scheme};
use crate::settings::ProxyEnvironment;
use crate::url;

/// What the variables say, read once.
///
/// ```
/// use ferropool_policy::environment::Rules;
/// use ferropool_policy::origin::{Origin, Scheme};
/// use ferropool_policy::settings::ProxyEnvironment;
/// let rules = Rules::of(&ProxyEnvironment {
///     all: Some("proxy.example:3128".into()),
///     no: Some("example.com, 10.0.0.0/8".into()),
///     ..ProxyEnvironment::default()
/// });
/// let choice = |host| rules.choose(&Origin::new(Scheme::Http, host, None).unwrap());
/// assert_eq!(choice("a.example"), Some("http://proxy.example:3128"));
/// assert_eq!(choice("www.example.com"), None);
/// assert_eq!(choice("10.1.2.3"), None);
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Rules {
    http: Option<String>,
    https: Option<String>,
    without: Vec<Entry>,
}

impl Rules {
    /// What these variables mean. A value that names no proxy is found out by whoever uses it: a program must not stop for one
    /// that it may never need.
    #[must_use]
    pub fn of(environment: &ProxyEnvironment) -> Self {
        let proxy = |own: &Option<String>| {
            let named = |value: &Option<String>| value.as_deref().and_then(with_scheme);
            named(own).or_else(|| named(&environment.all))
        };
        let no = environment.no.as_deref().unwrap_or_default();
        Self {
            http: proxy(&environment.http),
            https: proxy(&environment.https),
            without: no.split(|c: char| c == ',' || c.is_whitespace()).filter_map(Entry::read).collect(),
        }
    }

    /// The URL of the proxy that this origin is reached through; `None`: directly.
    #[must_use]
    pub fn choose(&self, origin: &Origin) -> Option<&str> {
        let proxy = match origin.scheme {
            Scheme::Http => &self.http,
            Scheme::Https => &self.https,
        };
        let proxy = proxy.as_deref()?;
        if self.without.is_empty() {
            return Some(proxy);
        }
        let target = Target::of(origin);
        let port = origin.effective_port();
        let is_direct = |entry: &Entry| entry.port.is_none_or(|wanted| wanted == port) && entry.place.holds(&target);
        (!self.without.iter().any(is_direct)).then_some(proxy)
    }
}

/// Without the URLs, which may hold credentials.
impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("without", &self.without).finish_non_exhaustive()
    }
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    place: Place,
    /// Absent: any.
    port: Option<u16>,
}

/// The hosts that an entry means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Everywhere,
    /// By any of its names and addresses. A filter that knows only some of them is passed by with another.
    ThisMachine,
    /// Of one family.
    Addresses(RangeInclusive<IpAddr>),
    /// The name and what is below it.
    Domain(String),
    /// What is below the name.
    Below(String),
}

impl Entry {
    fn read(text: &str) -> Option<Self> {
        if let Some(addresses) = range(text) {
            let (&first, &last) = (addresses.start(), addresses.end());
            let is_local = (first == last && is_local(first)) || (first.is_loopback() && last.is_loopback());
            let place = if is_local { Place::ThisMachine } else { Place::Addresses(addresses) };
            return Some(Self { place, port: None });
        }
        let (host, port) = split_port(text)?;
        Some(Self { place: Place::read(host)?, port })
    }
}

impl Place {
    fn read(host: &str) -> Option<Self> {
        if host == "*" {
            return Some(Self::Everywhere);
        }
        if let Some(name) = host.strip_prefix("*.").or_else(|| host.strip_prefix('.')) {
            let origin = Origin::new(Scheme::Http, name, None).ok()?;
            return Some(Self::Below(undotted(&origin.host).to_owned()));
        }
        let origin = Origin::new(Scheme::Http, host, None).ok()?;
        let target = Target::of(&origin);
        Some(match target.address {
            _ if target.host == LOCALHOST => Self::ThisMachine,
            Some(address) if is_local(address) => Self::ThisMachine,
            // The same address in another zone is another host.
            Some(address) if !target.host.contains('%') => Self::Addresses(address..=address),
            _ => Self::Domain(target.host.to_owned()),
        })
    }

    fn holds(&self, target: &Target<'_>) -> bool {
        match self {
            Self::Everywhere => true,
            Self::ThisMachine => target.is_this_machine(),
            Self::Addresses(range) => target.address.is_some_and(|address| range.contains(&address)),
            Self::Domain(name) => target.host == name || target.is_below(name),
            Self::Below(name) => target.is_below(name),
        }
    }
}

/// What entries are compared with.
struct Target<'a> {
    /// Without the dot that may end a name.
    host: &'a str,
    /// Where the host is a literal; one of IPv4 that is mapped into IPv6 is itself.
    address: Option<IpAddr>,
}

impl<'a> Target<'a> {
    fn of(origin: &'a Origin) -> Self {
        Self { host: undotted(&origin.host), address: origin.address().map(|address| address.to_canonical()) }
    }

    fn is_below(&self, name: &str) -> bool {
        self.address.is_none() && self.host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
    }

    /// RFC 6761 §6.3: names below `localhost` are it too.
    fn is_this_machine(&self) -> bool {
        self.host == LOCALHOST || self.address.is_some_and(is_local) || self.is_below(LOCALHOST)
    }
}

/// Loopback, and the unspecified address, by which systems connect to themselves.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

/// A network in CIDR notation, or its first and last address (which Node.js knows).
fn range(text: &str) -> Option<RangeInclusive<IpAddr>> {
    let (first, last): (IpAddr, IpAddr) = if let Ok(network) = text.parse::<IpNet>() {
        (network.network(), network.broadcast())
    } else {
        let (first, last) = text.split_once('-')?;
        (first.parse().ok()?, last.parse().ok()?)
    };
    match (first.to_canonical(), last.to_canonical()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => Some(first.into()..=last.into()),
        // Part of what is mapped, and more: as it was written, so that `::/0` is all of IPv6 and nothing of IPv4.
        _ => (first.is_ipv6() && last.is_ipv6()).then_some(first..=last),
    }
}

/// The host, its brackets on, and the port. More than one colon is IPv6 without brackets.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let end = match text.find(']') {
        Some(at) => at + 1,
        None if text.bytes().filter(|&b| b == b':').count() > 1 => text.len(),
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, after) = text.split_at(end);
    match after.strip_prefix(':') {
        None => after.is_empty().then_some((host, None)),
        Some("") => Some((host, None)),
        Some(digits) => {
            let is_number = digits.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| digits.parse().ok()).flatten().map(|port| (host, Some(port)))
        }
    }
}

fn undotted(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// A proxy without a scheme is one of HTTP; `None` for nothing.
fn with_scheme(value: &str) -> Option<String> {
    let value = value.trim();
    let scheme = url::scheme_length(value.as_bytes());
    match value {
        "" => None,
        _ if scheme > 0 && value[scheme..].starts_with("//") => Some(value.to_owned()),
        _ => Some(format!("http://{}", value.strip_prefix("//").unwrap_or(value))),
    }
}

const LOCALHOST: &str = "localhost";
