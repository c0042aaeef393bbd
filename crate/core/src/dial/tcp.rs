//! Addresses to one connected socket: how a socket is made, and the race between several addresses (RFC 8305).
//!
//! A race is one future that polls its attempts itself: no tasks, so dropping it closes whatever is in flight. A single
//! address does not race at all: no timer, no boxed attempt. Which addresses there are, and in which order, is
//! `super`'s affair; no deadline is known here.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ferropool_policy::error::{Cause, Error, Kind, Phase};
use ferropool_policy::settings::{KeepAlive, PoolSettings, SocketOptions};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

use super::Tried;
use super::interface::Interface;

/// How each socket of a pool is made.
#[derive(Debug, PartialEq)]
pub(super) struct Sockets {
    no_delay: bool,
    receive_buffer: Option<u32>,
    send_buffer: Option<u32>,
    keep_alive: Option<Probes>,
    local: Option<SocketAddr>,
    interface: Option<Interface>,
}

/// A connected socket and how it came about.
pub(super) struct Connected {
    pub(super) stream: TcpStream,
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) tried: Vec<Tried>,
}

impl Sockets {
    pub(super) fn new(settings: &PoolSettings) -> Result<Self, Error> {
        // POOL-28: what is given replaces the default, an empty record included.
        let options = settings
            .socket_options
            .clone()
            .unwrap_or(SocketOptions { no_delay: Some(true), ..SocketOptions::default() });
        let local = match &settings.local_address {
            Some(local) => Some(super::literal(&local.address, local.port).ok_or_else(|| {
                Error::new(
                    Kind::InvalidOption,
                    format!("localAddress is no IP address: {}", super::quoted(&local.address)),
                )
            })?),
            None => None,
        };
        Ok(Self {
            no_delay: options.no_delay.unwrap_or(false),
            receive_buffer: in_range("socketOptions.receiveBuffer", options.receive_buffer, 0, LARGEST_INT)?,
            send_buffer: in_range("socketOptions.sendBuffer", options.send_buffer, 0, LARGEST_INT)?,
            keep_alive: settings.keep_alive.as_ref().map(Probes::new).transpose()?,
            local,
            interface: settings.interface.as_deref().map(Interface::new).transpose()?,
        })
    }

    /// The client side's address, where the caller chose one.
    pub(super) fn local(&self) -> Option<IpAddr> {
        self.local.map(|local| local.ip())
    }

    /// Where its sockets are to begin, if the caller has said so, as it stands behind what was refused.
    fn place(&self) -> String {
        let local = self.local.map_or_else(String::new, |local| match local.port() {
            0 => format!(" (localAddress {})", local.ip()),
            _ => format!(" (localAddress {local})"),
        });
        let interface = self.interface.as_ref();
        local + &interface.map_or_else(String::new, |it| format!(" (interface {})", super::quoted(it.name())))
    }

    /// A socket with everything set and bound, for this address's family.
    fn open(&self, to: SocketAddr) -> io::Result<TcpSocket> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if self.no_delay {
            socket.set_nodelay(true)?;
        }
        // Before connecting: the window's scale is agreed in the handshake (RFC 7323 §2).
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(keep_alive) = &self.keep_alive {
            SockRef::from(&socket).set_tcp_keepalive(&keep_alive.to_system())?;
        }
        if let Some(interface) = &self.interface {
            interface.bind(&socket, to)?;
        }
        if let Some(local) = self.local {
            // A port that the caller chose is usable again while our last connection from it is in TIME_WAIT. On
            // Windows the option would take over a port in use.
            if cfg!(unix) && local.port() != 0 {
                socket.set_reuseaddr(true)?;
            }
            socket.bind(local)?;
        }
        Ok(socket)
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<Open> {
        let stream = self.open(to)?.connect(to).await?;
        let local = stream.local_addr()?;
        if local == to {
            // Nobody listens, and the system happened to choose the very port that we asked for: TCP's simultaneous
            // open (RFC 9293 §3.5) connects the socket to itself.
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
        }
        Ok((stream, local))
    }
}

/// Connects to the first of these addresses that answers: the next one starts 250 ms after the one before, or as soon
/// as one fails (RFC 8305 §5).
pub(super) async fn connect(sockets: &Sockets, addresses: &[SocketAddr]) -> Result<Connected, Error> {
    match *addresses {
        [] => Err(nowhere()),
        [remote] => {
            let began = Instant::now();
            match sockets.connect(remote).await {
                Ok((stream, local)) => {
                    let tried = vec![Tried { address: remote.to_string(), error: None, elapsed: began.elapsed() }];
                    Ok(Connected { stream, remote, local, tried })
                }
                Err(error) => Err(refused(vec![(remote.to_string(), error)], &sockets.place())),
            }
        }
        _ => race(sockets, addresses).await,
    }
}

/// The error of a name that has no address.
pub(super) fn nowhere() -> Error {
    failed("the name has no address", Vec::new())
}

/// The error of a dial of which every address failed, in the order in which they failed: the last one is told, as
/// urllib3 does (CONN-07), and is the first cause.
///
/// `place` is where the caller wanted to dial from, or what: the system does not say that it was that which it refused.
pub(super) fn refused(failures: Vec<(String, io::Error)>, place: &str) -> Error {
    let told = failures.last().map_or_else(String::new, |(_, error)| words(error) + place);
    let told = if failures.len() > 1 { format!("{told} (the last of {} addresses)", failures.len()) } else { told };
    failed(&told, failures.into_iter().rev().map(|(address, error)| Cause::from_io(&error).at(address)).collect())
}

/// A connected socket and the address that it was given.
type Open = (TcpStream, SocketAddr);

struct Attempt<'a> {
    /// Its place in `Race::tried`.
    place: usize,
    to: SocketAddr,
    began: Instant,
    connecting: Pin<Box<dyn Future<Output = io::Result<Open>> + 'a>>,
}

/// The attempts under way, oldest first, and what became of the others.
struct Race<'a> {
    sockets: &'a Sockets,
    waiting: std::slice::Iter<'a, SocketAddr>,
    running: Vec<Attempt<'a>>,
    tried: Vec<Tried>,
    failures: Vec<(String, io::Error)>,
}

async fn race(sockets: &Sockets, addresses: &[SocketAddr]) -> Result<Connected, Error> {
    let waiting = addresses.iter();
    let mut race = Race { sockets, waiting, running: Vec::new(), tried: Vec::new(), failures: Vec::new() };
    race.start_next();
    let mut pause = pin!(tokio::time::sleep(ATTEMPT_DELAY));
    poll_fn(|context| {
        loop {
            let failures = race.failures.len();
            if let Poll::Ready((place, stream, remote, local)) = race.poll(context) {
                return Poll::Ready(Ok(race.won(place, stream, remote, local)));
            }
            if race.running.is_empty() && race.waiting.len() == 0 {
                return Poll::Ready(Err(refused(std::mem::take(&mut race.failures), &sockets.place())));
            }
            let due =
                race.waiting.len() > 0 && (race.failures.len() > failures || pause.as_mut().poll(context).is_ready());
            if !due {
                return Poll::Pending;
            }
            race.start_next();
            pause.as_mut().reset(tokio::time::Instant::now() + ATTEMPT_DELAY);
        }
    })
    .await
}

impl Race<'_> {
    fn start_next(&mut self) {
        if let Some(&to) = self.waiting.next() {
            let sockets = self.sockets;
            let connecting = Box::pin(async move { sockets.connect(to).await });
            self.running.push(Attempt { place: self.tried.len(), to, began: Instant::now(), connecting });
            self.tried.push(Tried { address: to.to_string(), error: None, elapsed: Duration::ZERO });
        }
    }

    /// Polls each attempt once, collects those that failed, and stops at the first that connected. So few attempts are
    /// cheaper to poll in vain than to tell apart by a waker each.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<(usize, TcpStream, SocketAddr, SocketAddr)> {
        let mut at = 0;
        while let Some(attempt) = self.running.get_mut(at) {
            let Poll::Ready(outcome) = attempt.connecting.as_mut().poll(context) else {
                at += 1;
                continue;
            };
            let Attempt { place, to, began, .. } = self.running.remove(at);
            self.tried[place].elapsed = began.elapsed();
            match outcome {
                Ok((stream, local)) => return Poll::Ready((place, stream, to, local)),
                Err(error) => {
                    self.tried[place].error = Some(words(&error));
                    self.failures.push((to.to_string(), error));
                }
            }
        }
        Poll::Pending
    }

    /// Closes the others.
    fn won(&mut self, place: usize, stream: TcpStream, remote: SocketAddr, local: SocketAddr) -> Connected {
        let winner = self.tried[place].address.clone();
        for loser in self.running.drain(..) {
            let tried = &mut self.tried[loser.place];
            tried.elapsed = loser.began.elapsed();
            tried.error = Some(format!("closed: {winner} connected first"));
        }
        Connected { stream, remote, local, tried: std::mem::take(&mut self.tried) }
    }
}

fn failed(told: &str, causes: Vec<Cause>) -> Error {
    let error = Error::new(Kind::Connect, format!("Failed to establish a new connection: {told}"));
    causes.into_iter().fold(error.in_phase(Phase::Connect), Error::caused_by)
}

/// urllib3's words: `[Errno 111] Connection refused`.
pub(super) fn words(error: &io::Error) -> String {
    let said = error.to_string();
    match error.raw_os_error() {
        Some(number) => {
            format!("[Errno {number}] {}", said.strip_suffix(&format!(" (os error {number})")).unwrap_or(&said))
        }
        None => said,
    }
}

/// TCP keep-alive in whole seconds, as the system counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probes {
    idle: Option<Duration>,
    interval: Option<Duration>,
    count: Option<u32>,
}

impl Probes {
    fn new(wanted: &KeepAlive) -> Result<Self, Error> {
        let idle = in_range("keepAlive.idle", Some(wanted.idle.unwrap_or(60_000)), 1, LONGEST_KEEP_ALIVE)?;
        let interval = in_range("keepAlive.interval", wanted.interval, 1, LONGEST_KEEP_ALIVE)?;
        let count = in_range("keepAlive.count", wanted.count, 1, MOST_PROBES)?;
        // Half a second must not become none.
        let seconds = |millis: u64| Duration::from_secs(millis.div_ceil(1_000));
        Ok(Self { idle: idle.map(seconds), interval: interval.map(seconds), count })
    }

    fn to_system(self) -> TcpKeepalive {
        let mut probes = TcpKeepalive::new();
        probes = self.idle.into_iter().fold(probes, TcpKeepalive::with_time);
        probes = self.interval.into_iter().fold(probes, TcpKeepalive::with_interval);
        self.count.into_iter().fold(probes, TcpKeepalive::with_retries)
    }
}

fn in_range<N: PartialOrd + std::fmt::Display + Copy>(
    name: &str,
    value: Option<N>,
    least: N,
    most: N,
) -> Result<Option<N>, Error> {
    match value {
        Some(value) if value < least || value > most => {
            Err(Error::new(Kind::OptionRange, format!("{name} must be {least} to {most}, not {value}")))
        }
        _ => Ok(value),
    }
}

/// RFC 8305 §5, "Connection Attempt Delay": 250 ms is what it recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// What a system call takes for a size.
const LARGEST_INT: u32 = i32::MAX as u32;

/// Linux's `MAX_TCP_KEEPIDLE` and `MAX_TCP_KEEPINTVL`, the smallest of the three systems', in milliseconds.
const LONGEST_KEEP_ALIVE: u64 = 32_767_000;

/// Linux's `MAX_TCP_KEEPCNT`.
const MOST_PROBES: u32 = 127;
