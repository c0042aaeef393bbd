//! From a name to a connected socket: [`dial`] ties the look-up ([`resolve`]) to the connect (`tcp`).
//!
//! What a pool's settings mean for its sockets is worked out once ([`DialPlan`]); a dial then reads it. Deadlines are
//! not here: the caller owns them, drops the future when one fires, and knows from the phase what it cut. Proxies and
//! TLS come on top of the transport that this gives.

pub mod resolve;
mod tcp;

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ferropool_policy::error::{Error, Kind, Phase, quote};
use ferropool_policy::settings::PoolSettings;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_rustls::client::TlsStream;

use self::tcp::{Connected, Sockets};
use crate::client::ask::{Answer, Asker, Question};

pub use self::resolve::{Lookup, Remember, Resolver, SystemLookup};

/// What a pool's settings mean for its sockets: worked out and checked once, read by each dial.
#[derive(Clone, Debug)]
pub struct DialPlan {
    route: Route,
    port: u16,
    sockets: Sockets,
    /// The address that won the last race, and when: it goes first for a while (RFC 8305 §4 allows for what is known
    /// of earlier connections), so that a dead first address costs its 250 ms once and not with each connection.
    winner: Cell<Option<(IpAddr, Instant)>>,
    /// Whom a function of the caller's is asked about, before anything else.
    asks: Option<String>,
}

/// A connected stream.
#[derive(Debug)]
pub enum Transport {
    /// To a host and port.
    Tcp(TcpStream),
    /// To a path.
    #[cfg(unix)]
    Unix(UnixStream),
    /// TLS over one of those.
    Tls(Box<TlsStream<Transport>>),
}

impl Transport {
    /// Whether bytes may be on the wire that nobody but TLS is to see: session tickets, alerts.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Says that this side sends no more, where the protocol has a word for it (`close_notify`), as far as the kernel takes
    /// it at once: the connection is about to be closed either way.
    pub(crate) fn say_goodbye(&mut self) {
        let Self::Tls(stream) = self else { return };
        let (below, session) = stream.get_mut();
        session.send_close_notify();
        while session.wants_write() {
            if session.write_tls(&mut AtOnce(below)).is_err() {
                return;
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// Writes what the kernel takes without waiting.
struct AtOnce<'t>(&'t Transport);

impl io::Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    /// a `localAddress`, a number that no system takes.
    pub fn new(settings: &PoolSettings, host: &str, port: u16) -> Result<Self, Error> {
        let sockets = Sockets::new(settings)?;
        let (route, port) = match &settings.unix_socket {
            Some(path) => (unix::route(path, settings)?, port),
            None => match overridden(settings, host, port) {
                Some((key, value)) => overriding(key, value, port)?,
                None => (Route::of(host, port), port),
            },
        };
        let asks = (settings.resolve_asks.is_some() && settings.unix_socket.is_none()).then(|| host.to_owned());
        Ok(Self { route, port, sockets, winner: Cell::new(None), asks })
    }

    /// The addresses in the order in which they are tried: the families take turns, the first address's first (RFC 8305
    /// §4), at most 16. Bound to a local address, only its own family can connect; where there is none of it, all stay,
    /// for the system's word on them.
    fn order(&self, found: &[IpAddr], now: Instant) -> Vec<SocketAddr> {
        let same_family = |other: IpAddr| move |address: &IpAddr| address.is_ipv4() == other.is_ipv4();
        let mut found = found.to_vec();
        if let Some(local) = self.sockets.local()
            && found.iter().any(same_family(local))
        {
            found.retain(same_family(local));
        }
        let Some(&first) = found.first() else {
            return Vec::new();
        };
        let (mut leading, mut other): (Vec<_>, Vec<_>) = found.into_iter().partition(same_family(first));
        if let Some((winner, since)) = self.winner.get()
            && now.saturating_duration_since(since) < WINNER_LASTS
        {
            if other.contains(&winner) {
                std::mem::swap(&mut leading, &mut other);
            }
            if let Some(place) = leading.iter().position(|&address| address == winner) {
                leading[..=place].rotate_right(1);
            }
        }
        let turns = leading.len().max(other.len());
        (0..turns)
            .flat_map(|turn| [leading.get(turn), other.get(turn)])
            .flatten()
            .take(MOST_ADDRESSES)
            .map(|&address| SocketAddr::new(address, self.port))
            .collect()
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

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Transport {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.get_ref().0.as_fd(),
        }
    }
}

#[cfg(windows)]
impl std::os::windows::io::AsSocket for Transport {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        match self {
            Self::Tcp(stream) => stream.as_socket(),
            Self::Tls(stream) => stream.get_ref().0.as_socket(),
        }
    }
}

/// Makes one new connection. `progress` shows the phase under way, for a caller who cuts it short.
///
/// # Errors
/// [`Kind::Dns`] in phase dns where the name does not resolve. [`Kind::Connect`] in phase connect where no address
/// connects or the local address cannot be bound: one cause an address, the last failure first.
///
/// # Cancellation
/// Dropping the future closes every socket it opened. A look-up that has begun goes on for others who wait for it.
pub async fn dial(
    plan: &DialPlan,
    resolver: &Resolver,
    progress: &Cell<Phase>,
    asker: Option<&dyn Asker>,
) -> Result<Dialled, Error> {
    let began = Instant::now();
    if let (Some(host), Some(asker)) = (&plan.asks, asker) {
        progress.set(Phase::Dns);
        let answer = asker.ask(Question::Resolve { host, port: plan.port }).await?;
        if let Answer::Addresses(Some(told)) = answer {
            let dns = began.elapsed();
            let addresses = told
                .iter()
                .take(MOST_ADDRESSES)
                .map(|address| told_address(host, address, plan.port))
                .collect::<Result<Vec<_>, _>>()?;
            if addresses.is_empty() {
                return Err(resolve::nowhere(host));
            }
            progress.set(Phase::Connect);
            let connected = tcp::connect(&plan.sockets, &addresses).await?;
            return Ok(connected.dialled(Some(dns), began.elapsed().saturating_sub(dns)));
        }
    }
    match &plan.route {
        Route::Address(address) => {
            progress.set(Phase::Connect);
            let connected = tcp::connect(&plan.sockets, &[*address]).await?;
            Ok(connected.dialled(None, began.elapsed()))
        }
        Route::Scoped(host) => {
            progress.set(Phase::Connect);
            let address = scoped(host, plan.port).map_err(|error| resolve::unresolved(host, &error))?;
            let connected = tcp::connect(&plan.sockets, &[address]).await?;
            Ok(connected.dialled(None, began.elapsed()))
        }
        Route::Name(name) => {
            progress.set(Phase::Dns);
            let found = resolver.resolve(name).await?;
            let dns = began.elapsed();
            progress.set(Phase::Connect);
            let addresses = plan.order(&found, Instant::now());
            let connected = tcp::connect(&plan.sockets, &addresses).await?;
            if addresses.len() > 1 && addresses.first() != Some(&connected.remote) {
                plan.winner.set(Some((connected.remote.ip(), Instant::now())));
            }
            Ok(connected.dialled(Some(dns), began.elapsed().saturating_sub(dns)))
        }
        #[cfg(unix)]
        Route::Path(path) => {
            progress.set(Phase::Connect);
            unix::connect(path, began).await
        }
    }
}

/// Where a dial goes.
#[derive(Clone, Debug)]
enum Route {
    Address(SocketAddr),
    /// An address with a zone. The zone's number is asked for with each dial, since interfaces come and go.
    Scoped(String),
    Name(String),
    #[cfg(unix)]
    Path(String),
}

impl Route {
    fn of(host: &str, port: u16) -> Self {
        match host.parse::<IpAddr>() {
            Ok(address) => Self::Address(SocketAddr::new(address, port)),
            Err(_) if is_scoped(host) => Self::Scoped(host.to_owned()),
            Err(_) => Self::Name(host.to_owned()),
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
        if settings.local_address.is_some() {
            return Err(Error::new(Kind::InvalidOption, "unixSocket and localAddress exclude one another"));
        }
        // The empty path would be a socket without a name. std knows the rest: no NUL, and what fits into `sun_path`.
        let wrong = match std::os::unix::net::SocketAddr::from_pathname(path) {
            Ok(_) if path.is_empty() => "it is empty".to_owned(),
            Ok(_) => return Ok(Route::Path(path.to_owned())),
            Err(error) => error.to_string(),
        };
        Err(Error::new(Kind::InvalidOption, format!("unixSocket is no path of a socket: {} ({wrong})", quoted(path))))
    }

    pub(super) async fn connect(path: &str, began: Instant) -> Result<Dialled, Error> {
        let stream = UnixStream::connect(path).await.map_err(|error| tcp::refused(vec![(path.to_owned(), error)]))?;
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
    match (Route::of(address, port.unwrap_or(0)), port) {
        (Route::Name(_), _) | (_, None) => Err(Error::new(
            Kind::InvalidOption,
            format!("resolve['{}'] is neither 'address' nor 'address:port': {}", quote(key.as_bytes()), quoted(value)),
        )),
        (route, Some(port)) => Ok((route, port)),
    }
}

/// An address that the caller's function gave: `address` or `address:port`.
fn told_address(host: &str, address: &str, port: u16) -> Result<SocketAddr, Error> {
    match overriding(host, address, port)? {
        (Route::Address(address), port) => Ok(SocketAddr::new(address.ip(), port)),
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
    format!("'{}'", quote(value.as_bytes()))
}

/// RFC 8305 leaves the number open; a name with thousands of dead addresses must not take for ever.
const MOST_ADDRESSES: usize = 16;

/// RFC 6555 §4.2: what is known of earlier connections goes out of date in the order of ten minutes.
const WINNER_LASTS: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use ferropool_policy::settings::LocalAddress;

    use super::*;

    fn found(addresses: &[&str]) -> Vec<IpAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn ordered(plan: &DialPlan, addresses: &[&str]) -> Vec<String> {
        plan.order(&found(addresses), Instant::now()).iter().map(|address| address.ip().to_string()).collect()
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
        plan.winner.set(Some((IpAddr::from([1, 1, 1, 2]), start)));
        assert_eq!(ordered(&plan, &addresses), ["1.1.1.2", "::1", "1.1.1.1", "::2"]);
        assert_eq!(ordered(&plan, &["::1", "1.1.1.1"]), ["::1", "1.1.1.1"]);
        let first = |after| plan.order(&found(&addresses), start + after)[0].ip().to_string();
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
}
