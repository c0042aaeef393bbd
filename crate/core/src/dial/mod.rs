//! From a name to a connected socket: [`dial`] ties the look-up ([`resolve`]) to the connect (`tcp`).
//!
//! What a pool's settings mean for its sockets is worked out once ([`DialPlan`]); a dial then reads it. Addresses come
//! from one place ([`addresses`]), where they are judged too (`denyAddresses`): what passed there is what is connected to.
//! Deadlines are not here: the caller owns them, drops the future when one fires, and knows from the phase what it cut.
//! Proxies and TLS come on top of the transport that this gives.

mod interface;
pub mod resolve;
mod rules;
#[cfg(test)]
mod scripted;
pub(crate) mod socks;
mod tcp;
mod threads;
mod transport;
pub(crate) mod tunnel;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferropool_policy::error::{Cause, Error, Kind, Phase, quote_text};
use ferropool_policy::settings::PoolSettings;
#[cfg(unix)]
use tokio::net::UnixStream;

use self::rules::Rules;
use self::tcp::Connected;
use crate::client::ask::{Answer, Asker, Question};

pub use self::resolve::{Lookup, Remember, Resolver, SystemLookup};
pub use self::transport::Transport;

/// What a pool's settings mean for its sockets: worked out and checked once, read by each dial. A manager holds tens of
/// thousands of them, so what they have in common is shared.
#[derive(Clone, Debug)]
pub struct DialPlan {
    route: Route,
    /// What the caller's function is asked about, and errors speak of.
    host: Box<str>,
    rules: Arc<Rules>,
    /// The address that won the last race, and when: it goes first for a while (RFC 8305 §4 allows for what is known
    /// of earlier connections), so that a dead first address costs its 250 ms once and not with each connection.
    winner: RefCell<Option<Box<(IpAddr, Instant)>>>,
    port: u16,
    /// Whether a function of the caller's is asked before anything else.
    asks: bool,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP socket's.
    Ip(SocketAddr),
    /// A Unix socket's path; empty for one without a name, which a client's always is.
    Path(String),
}

/// An address that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// `ip:port`, or a Unix socket's path.
    pub address: String,
    /// Why it was not used; none for the one that is.
    pub error: Option<String>,
    /// From its start to its end.
    pub elapsed: Duration,
}

/// A new connection, and how it came about.
#[derive(Debug)]
pub struct Dialled {
    /// The connected stream.
    pub transport: Transport,
    /// The peer's end.
    pub remote: Endpoint,
    /// Ours.
    pub local: Endpoint,
    /// Every address that was tried, in the order in which they were started.
    pub tried: Vec<Tried>,
    /// How long the name took; none where there was nothing to look up.
    pub dns: Option<Duration>,
    /// How long the connect took, all addresses together.
    pub connect: Duration,
}

impl DialPlan {
    /// The plan of a pool for this host: normalised, without brackets, with its zone where it is a scoped IPv6 address
    /// (RFC 4007 §11). `settings.host` and `settings.port` are not read.
    ///
    /// # Errors
    /// [`Kind::InvalidOption`], [`Kind::OptionRange`] or [`Kind::NotSupported`] for a setting that no dial could follow:
    /// a `localAddress` or an override for this host that is no IP address, a `unixSocket` that is no path or comes with
    /// a setting that is about IP addresses, a `denyAddresses` that is no list of networks, a number that no system takes.
    pub fn new(settings: &PoolSettings, host: &str, port: u16) -> Result<Self, Error> {
        Self::under(Rules::of(settings)?, settings, host, port)
    }

    /// The same for the address of a proxy, which `denyAddresses` is not about: the caller chose it.
    ///
    /// # Errors
    /// Those of [`DialPlan::new`].
    pub fn to_proxy(settings: &PoolSettings, host: &str, port: u16) -> Result<Self, Error> {
        Self::under(Rules::unjudged(settings)?, settings, host, port)
    }

    fn under(rules: Arc<Rules>, settings: &PoolSettings, host: &str, port: u16) -> Result<Self, Error> {
        let (route, port) = match &settings.unix_socket {
            Some(path) => (unix::route(path, settings)?, port),
            None => match overridden(settings, host, port) {
                Some((key, value)) => overriding(key, value, port)?,
                None => (Route::of(host), port),
            },
        };
        let asks = settings.resolve_asks.is_some() && settings.unix_socket.is_none();
        Ok(Self { route, host: host.into(), rules, winner: RefCell::default(), port, asks })
    }

    /// Those that the list lets pass.
    ///
    /// # Errors
    /// [`Kind::AddressDenied`] in this phase where there were some and none is left: one cause an address.
    fn judged(&self, mut found: Vec<SocketAddr>, phase: Phase) -> Result<Vec<SocketAddr>, Error> {
        let Some(list) = &self.rules.denied else { return Ok(found) };
        let mut denied = Vec::new();
        found.retain(|address| match list.why(address.ip()) {
            Some(why) => {
                denied.push(Cause::said(why).at(address));
                false
            }
            None => true,
        });
        let Some(first) = denied.first().filter(|_| found.is_empty()) else { return Ok(found) };
        let more = if denied.len() > 1 { format!(" (the first of {} addresses)", denied.len()) } else { String::new() };
        let host = quoted(&self.host);
        let said = format!("denyAddresses does not let {host} be connected to: {}{more}", first.message);
        denied.truncate(MOST_ADDRESSES);
        Err(denied.into_iter().fold(Error::new(Kind::AddressDenied, said).in_phase(phase), Error::caused_by))
    }

    /// The addresses in the order in which they are tried: the families take turns, the first address's first (RFC 8305
    /// §4), at most 16. Bound to a local address, only its own family can connect; where there is none of it, all stay,
    /// for the system's word on them.
    fn order(&self, mut found: Vec<SocketAddr>, now: Instant) -> Vec<SocketAddr> {
        let same_family = |other: IpAddr| move |address: &SocketAddr| address.is_ipv4() == other.is_ipv4();
        if let Some(local) = self.rules.sockets.local()
            && found.iter().any(same_family(local))
        {
            found.retain(same_family(local));
        }
        let Some(&first) = found.first() else {
            return Vec::new();
        };
        let (mut leading, mut other): (Vec<_>, Vec<_>) = found.into_iter().partition(same_family(first.ip()));
        if let Some(winner) = self.winner(now) {
            if other.iter().any(|address| address.ip() == winner) {
                std::mem::swap(&mut leading, &mut other);
            }
            if let Some(place) = leading.iter().position(|address| address.ip() == winner) {
                leading[..=place].rotate_right(1);
            }
        }
        let turns = leading.len().max(other.len());
        let in_turns = (0..turns).flat_map(|turn| [leading.get(turn), other.get(turn)]).flatten();
        in_turns.take(MOST_ADDRESSES).copied().collect()
    }

    fn winner(&self, now: Instant) -> Option<IpAddr> {
        let known = self.winner.borrow();
        let (address, since) = known.as_deref()?;
        (now.saturating_duration_since(*since) < WINNER_LASTS).then_some(*address)
    }

    /// Remembers who won, unless it was the first anyway.
    fn won(&self, tried: &[SocketAddr], winner: SocketAddr, now: Instant) {
        if tried.first() != Some(&winner) {
            *self.winner.borrow_mut() = Some(Box::new((winner.ip(), now)));
        }
    }
}

impl Endpoint {
    /// The IP address or the path, as text.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Ip(address) => address.ip().to_string(),
            Self::Path(path) => path.clone(),
        }
    }

    /// The port; 0 for a path.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Ip(address) => address.port(),
            Self::Path(_) => 0,
        }
    }
}

/// Makes one new connection. `progress` shows the phase under way, for a caller who cuts it short.
///
/// # Errors
/// Those of [`addresses`]. [`Kind::Connect`] in phase connect where no address connects or the local address or the
/// interface cannot be bound: one cause an address, the last failure first.
///
/// # Cancellation
/// Dropping the future closes every socket it opened. A look-up that has begun goes on for others who wait for it.
pub async fn dial(
    plan: &DialPlan,
    resolver: &Resolver,
    progress: &Cell<Phase>,
    asker: Option<&dyn Asker>,
) -> Result<Dialled, Error> {
    #[cfg(unix)]
    if let Route::Path(path) = &plan.route {
        progress.set(Phase::Connect);
        return unix::connect(path).await;
    }
    let (addresses, dns) = addresses(plan, resolver, progress, asker).await?;
    progress.set(Phase::Connect);
    let began = Instant::now();
    let connected = tcp::connect(&plan.rules.sockets, &addresses).await?;
    plan.won(&addresses, connected.remote, Instant::now());
    Ok(connected.dialled(dns, began.elapsed()))
}

/// Where this plan leads right now, without connecting: one address at least, in the order in which they are to be tried,
/// and how long the name took. Each was judged by `denyAddresses`; nobody is to look the name up a second time, for it may
/// lead elsewhere then.
///
/// # Errors
/// [`Kind::Dns`] in phase dns where the name does not resolve. [`Kind::AddressDenied`] where no address may be connected
/// to: in phase dns, or connect where there was nothing to look up. [`Kind::Connect`] where the name has no address.
pub async fn addresses(
    plan: &DialPlan,
    resolver: &Resolver,
    progress: &Cell<Phase>,
    asker: Option<&dyn Asker>,
) -> Result<(Vec<SocketAddr>, Option<Duration>), Error> {
    let (began, host) = (Instant::now(), &*plan.host);
    if let Some(asker) = asker.filter(|_| plan.asks) {
        progress.set(Phase::Dns);
        let answer = asker.ask(Question::Resolve { host, port: plan.port }).await?;
        if let Answer::Addresses(Some(told)) = answer {
            let told =
                told.iter().map(|address| told_address(host, address, plan.port)).collect::<Result<Vec<_>, _>>()?;
            if told.is_empty() {
                return Err(resolve::nowhere(host));
            }
            let mut allowed = plan.judged(told, Phase::Dns)?;
            allowed.truncate(MOST_ADDRESSES);
            return Ok((allowed, Some(began.elapsed())));
        }
    }
    let literal = match &plan.route {
        Route::Address(address) => SocketAddr::new(*address, plan.port),
        Route::Scoped(literal) => {
            progress.set(Phase::Connect);
            scoped(literal, plan.port).map_err(|error| resolve::unresolved(literal, &error))?
        }
        Route::Name => {
            progress.set(Phase::Dns);
            let found = resolver.resolve(host).await?;
            let found = found.iter().map(|&address| SocketAddr::new(address, plan.port)).collect();
            let ordered = plan.order(plan.judged(found, Phase::Dns)?, Instant::now());
            return if ordered.is_empty() { Err(tcp::nowhere()) } else { Ok((ordered, Some(began.elapsed()))) };
        }
        #[cfg(unix)]
        Route::Path(_) => return Err(Error::new(Kind::Internal, "a path has no address")),
    };
    progress.set(Phase::Connect);
    Ok((plan.judged(vec![literal], Phase::Connect)?, None))
}

/// Where a dial goes.
#[derive(Clone, Debug)]
enum Route {
    Address(IpAddr),
    /// An address with a zone. The zone's number is asked for with each dial, since interfaces come and go.
    Scoped(Box<str>),
    /// To where the plan's host is then.
    Name,
    #[cfg(unix)]
    Path(Box<str>),
}

impl Route {
    fn of(host: &str) -> Self {
        match host.parse::<IpAddr>() {
            Ok(address) => Self::Address(address),
            Err(_) if is_scoped(host) => Self::Scoped(host.into()),
            Err(_) => Self::Name,
        }
    }
}

impl Connected {
    fn dialled(self, dns: Option<Duration>, connect: Duration) -> Dialled {
        Dialled {
            transport: Transport::Tcp(self.stream),
            remote: Endpoint::Ip(self.remote),
            local: Endpoint::Ip(self.local),
            tried: self.tried,
            dns,
            connect,
        }
    }
}

/// Sockets by path, where the system has them.
#[cfg(unix)]
mod unix {
    use super::{
        Dialled, Endpoint, Error, Instant, Kind, PoolSettings, Route, Transport, Tried, UnixStream, quoted, tcp,
    };

    pub(super) fn route(path: &str, settings: &PoolSettings) -> Result<Route, Error> {
        for (name, given) in [
            ("localAddress", settings.local_address.is_some()),
            ("interface", settings.interface.is_some()),
            ("denyAddresses", !settings.deny_addresses.is_empty()),
        ] {
            if given {
                return Err(Error::new(Kind::InvalidOption, format!("unixSocket and {name} exclude one another")));
            }
        }
        // The empty path would be a socket without a name. std knows the rest: no NUL, and what fits into `sun_path`.
        let wrong = match std::os::unix::net::SocketAddr::from_pathname(path) {
            Ok(_) if path.is_empty() => "it is empty".to_owned(),
            Ok(_) => return Ok(Route::Path(path.into())),
            Err(error) => error.to_string(),
        };
        Err(Error::new(Kind::InvalidOption, format!("unixSocket is no path of a socket: {} ({wrong})", quoted(path))))
    }

    pub(super) async fn connect(path: &str) -> Result<Dialled, Error> {
        let began = Instant::now();
        let stream = UnixStream::connect(path).await.map_err(|error| {
            let from = format!(": unixSocket {}", quoted(path));
            tcp::refused(vec![(path.to_owned(), error)], &from)
        })?;
        let connect = began.elapsed();
        Ok(Dialled {
            transport: Transport::Unix(stream),
            remote: Endpoint::Path(path.to_owned()),
            local: Endpoint::Path(String::new()),
            tried: vec![Tried { address: path.to_owned(), error: None, elapsed: connect }],
            dns: None,
            connect,
        })
    }
}

#[cfg(not(unix))]
mod unix {
    use super::{Error, Kind, PoolSettings, Route};

    pub(super) fn route(_path: &str, _settings: &PoolSettings) -> Result<Route, Error> {
        Err(Error::new(Kind::NotSupported, "unixSocket needs a system with Unix sockets"))
    }
}

/// The override for this host: `host:port` beats `host`. Keys are compared without regard to case, IPv6 hosts with or
/// without brackets.
fn overridden<'s>(settings: &'s PoolSettings, host: &str, port: u16) -> Option<(&'s str, &'s str)> {
    let bare = |key: &str| {
        key.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(key).eq_ignore_ascii_case(host)
    };
    let with_port = |key: &str| {
        key.rsplit_once(':').is_some_and(|(name, digits)| {
            // Without its brackets the last group of an IPv6 address is no port.
            digits.parse() == Ok(port) && (name.starts_with('[') || !name.contains(':')) && bare(name)
        })
    };
    let pick = |wanted: &dyn Fn(&str) -> bool| settings.resolve.iter().find(|(key, _)| wanted(key));
    pick(&with_port).or_else(|| pick(&bare)).map(|(key, value)| (key.as_str(), value.as_str()))
}

/// What an override leads to: `address` or `address:port`, IPv6 in brackets where a port follows.
fn overriding(key: &str, value: &str, port: u16) -> Result<(Route, u16), Error> {
    let (address, port) = match value.rsplit_once(':') {
        Some((address, digits)) if address.ends_with(']') || !address.contains(':') => (address, digits.parse().ok()),
        _ => (value, Some(port)),
    };
    let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    match (Route::of(address), port) {
        (Route::Name, _) | (_, None) => Err(Error::new(
            Kind::InvalidOption,
            format!(
                "resolve['{}'] is neither 'address' nor 'address:port': {}",
                quote_text(key.as_bytes()),
                quoted(value)
            ),
        )),
        (route, Some(port)) => Ok((route, port)),
    }
}

/// An address that the caller's function gave: `address` or `address:port`.
fn told_address(host: &str, address: &str, port: u16) -> Result<SocketAddr, Error> {
    match overriding(host, address, port)? {
        (Route::Address(address), port) => Ok(SocketAddr::new(address, port)),
        (Route::Scoped(literal), port) => scoped(&literal, port).map_err(|error| resolve::unresolved(host, &error)),
        (_, _) => Err(resolve::nowhere(host)),
    }
}

/// An IP address, scoped or not, as a socket's.
fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    match host.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, port)),
        Err(_) if is_scoped(host) => scoped(host, port).ok(),
        Err(_) => None,
    }
}

fn is_scoped(host: &str) -> bool {
    host.split_once('%').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
}

/// The system turns the zone's name into its number. It reads a literal without asking anybody, so this does not block.
fn scoped(host: &str, port: u16) -> io::Result<SocketAddr> {
    (host, port).to_socket_addrs()?.next().ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
}

fn quoted(value: &str) -> String {
    format!("'{}'", quote_text(value.as_bytes()))
}

/// RFC 8305 leaves the number open; a name with thousands of dead addresses must not take for ever.
const MOST_ADDRESSES: usize = 16;

/// RFC 6555 §4.2: what is known of earlier connections goes out of date in the order of ten minutes.
const WINNER_LASTS: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use ferropool_policy::settings::LocalAddress;

    use super::*;

    fn found(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 80)).collect()
    }

    fn ordered(plan: &DialPlan, addresses: &[&str]) -> Vec<String> {
        plan.order(found(addresses), Instant::now()).iter().map(|address| address.ip().to_string()).collect()
    }

    // THR-1208: both families interleaved.
    #[test]
    fn the_families_take_turns_and_the_first_addresss_begins() {
        let plan = DialPlan::new(&PoolSettings::default(), "any.test", 80).unwrap();
        assert_eq!(ordered(&plan, &["::1", "::2", "::3", "1.1.1.1"]), ["::1", "1.1.1.1", "::2", "::3"]);
        assert_eq!(ordered(&plan, &["1.1.1.1", "::1", "1.1.1.2", "::2"]), ["1.1.1.1", "::1", "1.1.1.2", "::2"]);
        assert_eq!(ordered(&plan, &["1.1.1.1", "1.1.1.2"]), ["1.1.1.1", "1.1.1.2"]);
        assert_eq!(ordered(&plan, &[]), [""; 0]);
        let many: Vec<String> = (1..40).flat_map(|n| [format!("::{n}"), format!("1.1.1.{n}")]).collect();
        assert_eq!(ordered(&plan, &many.iter().map(String::as_str).collect::<Vec<_>>()), many[..16]);
    }

    // THR-1208: the winner is remembered.
    #[test]
    fn a_winner_goes_first_for_ten_minutes_where_the_name_still_has_it() {
        let plan = DialPlan::new(&PoolSettings::default(), "any.test", 80).unwrap();
        let addresses = ["::1", "::2", "1.1.1.1", "1.1.1.2"];
        let start = Instant::now();
        plan.won(&found(&addresses), found(&["1.1.1.2"])[0], start);
        assert_eq!(ordered(&plan, &addresses), ["1.1.1.2", "::1", "1.1.1.1", "::2"]);
        assert_eq!(ordered(&plan, &["::1", "1.1.1.1"]), ["::1", "1.1.1.1"]);
        let first = |after| plan.order(found(&addresses), start + after)[0].ip().to_string();
        assert_eq!(first(Duration::from_millis(599_999)), "1.1.1.2");
        assert_eq!(first(Duration::from_secs(600)), "::1");
    }

    #[test]
    fn a_bound_socket_tries_its_own_family_and_the_other_only_where_there_is_no_choice() {
        let local_address = Some(LocalAddress { address: "127.0.0.1".to_owned(), port: 0 });
        let settings = PoolSettings { local_address, ..PoolSettings::default() };
        let plan = DialPlan::new(&settings, "any.test", 80).unwrap();
        assert_eq!(ordered(&plan, &["::1", "1.1.1.1", "::2"]), ["1.1.1.1"]);
        assert_eq!(ordered(&plan, &["::1", "::2"]), ["::1", "::2"]);
    }

    #[test]
    fn twenty_thousand_plans_are_small() {
        assert!(size_of::<DialPlan>() <= 72, "{}", size_of::<DialPlan>());
    }
}
