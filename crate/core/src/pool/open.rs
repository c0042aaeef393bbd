//! From a slot to a connection: the socket, the way through a proxy where there is one, TLS, and what is spoken over it.
//! All of it is under `connect`.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::origin::Origin;
use ferropool_policy::proxy::{Protocol, Way};
use ferropool_policy::settings::PoolSettings;
use tokio::time::timeout_at;

use super::dials::Patience;
use super::held::Spans;
use super::via::{Via, authority};
use super::{Pool, Warning, place_of};
use crate::client::ask::Asker;
use crate::clock::{milliseconds, now};
use crate::conn::connection::{Connection, ConnectionInfo};
use crate::conn::http1::{self, Style};
use crate::conn::http2;
use crate::dial::socks::{self, Target};
use crate::dial::tunnel::{self, Ask};
use crate::dial::{DialPlan, Dialled, Transport, addresses, dial};
use crate::tls::TlsPlan;

/// The way of a pool's connections through a proxy.
#[derive(Clone, Debug)]
pub(super) struct Through {
    pub(super) via: Arc<Via>,
    pub(super) way: Way,
    /// Where the origin's addresses come from, when it is for us to find them (SOCKS-01).
    target: Option<DialPlan>,
    /// TLS to an https proxy that is dialled from a place of the pool's own, whose sessions are not those of others (THR-323).
    tls: Option<Box<TlsPlan>>,
}

impl Through {
    /// # Errors
    /// What cannot be asked of this proxy.
    pub(super) fn new(via: Arc<Via>, way: Way, settings: &PoolSettings, origin: &Origin) -> Result<Self, Error> {
        via.suits(settings)?;
        let is_ours = way == Way::Socks && !via.proxy.protocol.resolves_names();
        let target = is_ours.then(|| DialPlan::new(settings, &origin.host, origin.effective_port())).transpose()?;
        if way == Way::Socks && !is_ours {
            socks::check(via.proxy.protocol, &named(origin), via.proxy.credentials.as_ref())
                .map_err(|error| via.failed(error))?;
        }
        let tls = via.tls().zip(place_of(settings));
        // Whichever way: to the proxy it is one client.
        let tls = tls.map(|(tls, place)| Box::new(tls.clone().apart(&format!("{} {place}", via.key(Way::Tunnel)))));
        Ok(Self { via, way, target, tls })
    }

    /// Whether the proxy is told requests, in place of being asked for a stream.
    pub(super) fn is_forward(&self) -> bool {
        self.way == Way::Forward
    }
}

/// What bounds the making of a connection, and who hears of it.
#[derive(Clone, Copy)]
struct Terms<'a> {
    began: Instant,
    until: Option<Instant>,
    progress: &'a Cell<Phase>,
    asker: Option<&'a dyn Asker>,
    /// Whether it is the origin's name that is looked up right now, and not the proxy's.
    seeks_origin: &'a Cell<bool>,
}

/// A stream that leads to the origin, or to a proxy that passes requests on.
struct Reached {
    dialled: Dialled,
    /// What was said to the proxy took so long.
    proxy: Option<Duration>,
}

impl Pool {
    /// Name, socket, handshakes: all under `connect`. `None` as [`Pool::patiently`].
    pub(super) async fn connect(
        self: &Rc<Self>,
        connect: Option<Patience>,
        progress: &Cell<Phase>,
        asker: Option<&dyn Asker>,
    ) -> Result<Option<(Connection, Spans)>, Error> {
        let began = now();
        progress.set(Phase::Dns);
        let seeks_origin = Cell::new(false);
        let dialling = async {
            let until = connect.and_then(|patience| began.checked_add(patience.left()));
            let terms = Terms { began, until, progress, asker, seeks_origin: &seeks_origin };
            let Some(reached) = self.reach(terms).await? else { return Ok(None) };
            let shaken = Box::pin(self.shake_hands(reached, progress)).await;
            shaken.map(Some).map_err(|mut error| {
                self.tell_of_proxy(&mut error);
                error
            })
        };
        let made = match connect {
            None => dialling.await?,
            // The caller's own figure is for the message.
            Some(patience) => match timeout_at((began + patience.left()).into(), dialling).await {
                Ok(made) => made?,
                Err(_) if seeks_origin.get() => return Err(self.origin_timeout(patience.most, progress.get())),
                Err(_) => return Err(self.connect_timeout(patience.most, progress.get())),
            },
        };
        if let Some((connection, _)) = &made {
            self.live.borrow_mut().insert(connection.info.id, connection.abort_handle());
            self.shared.observer.opened(&connection.info, self);
            if self.is_insecure(&connection.info) {
                self.warn(Warning::Insecure);
            }
        }
        Ok(made)
    }

    /// A stream on which the origin hears us, or a proxy that passes on what it is told. `None` as [`Pool::patiently`].
    async fn reach(self: &Rc<Self>, terms: Terms<'_>) -> Result<Option<Reached>, Error> {
        let Terms { began, progress, asker, seeks_origin, .. } = terms;
        let Some(through) = &self.through else {
            let dialled = self.patiently(began, async || self.dial(progress, asker).await).await?;
            return Ok(dialled.map(|dialled| Reached { dialled, proxy: None }));
        };
        let Some(plan) = &through.target else {
            return Box::pin(self.reach_through(through, &named(&self.origin), terms)).await;
        };
        seeks_origin.set(true);
        let seek = async || addresses(plan, &self.shared.resolver, progress, asker).await;
        let Some((found, dns)) = self.patiently(began, seek).await? else { return Ok(None) };
        seeks_origin.set(false);
        let found = speakable(through.via.proxy.protocol, found);
        let mut left = found.iter();
        let mut outcome = Err(Error::new(Kind::Connect, "the name has no address").in_phase(Phase::Dns));
        // One after the other: each is a connection to the proxy, which may say that it cannot reach that one.
        while let Some(&address) = left.next() {
            let target = Target::Address(address);
            outcome = Box::pin(self.reach_through(through, &target, terms)).await;
            match &outcome {
                Err(error) if left.len() > 0 && error.fields().extra.reason == Some("ERR_SOCKS_REPLY") => {}
                _ => break,
            }
        }
        let mut reached = outcome?;
        if let Some(Reached { dialled, .. }) = &mut reached {
            dialled.dns = [dns, dialled.dns].into_iter().flatten().reduce(|one, other| one + other);
        }
        Ok(reached)
    }

    async fn reach_through(
        self: &Rc<Self>,
        through: &Through,
        target: &Target<'_>,
        terms: Terms<'_>,
    ) -> Result<Option<Reached>, Error> {
        let Terms { began, until, progress, asker, .. } = terms;
        let Through { via, way, .. } = through;
        let credentials = via.proxy.credentials.as_ref();
        if *way == Way::Socks {
            socks::check(via.proxy.protocol, target, credentials).map_err(|error| via.failed(error))?;
        }
        progress.set(Phase::Dns);
        let dialled = self.patiently(began, async || self.dial(progress, asker).await).await;
        let dialled = dialled.map_err(|error| via.failed(error))?;
        let Some(mut dialled) = dialled else { return Ok(None) };
        progress.set(Phase::Proxy);
        let asked = now();
        let passing = async {
            let mut transport = dialled.transport;
            if let Some(plan) = through.tls.as_deref().or(via.tls()) {
                transport = secured(plan, transport).await?;
            }
            match way {
                Way::Forward => Ok(transport),
                Way::Tunnel => {
                    let limits = &self.settings.limits;
                    let ask = Ask {
                        authority: &authority(&self.origin),
                        headers: &via.fields,
                        spelling: via.spelling.as_ref(),
                        header_bytes: limits.header_bytes,
                        header_count: limits.header_count,
                        until,
                    };
                    tunnel::open(transport, &ask).await
                }
                Way::Socks => socks::connect(transport, via.proxy.protocol, target, credentials).await,
            }
        };
        dialled.transport = passing.await.map_err(|error| via.failed(error))?;
        // Nothing is said to a plain proxy before the request itself.
        let silent = *way == Way::Forward && via.tls.is_none();
        let proxy = (!silent).then(|| now().saturating_duration_since(asked));
        Ok(Some(Reached { dialled, proxy }))
    }

    /// Whether nobody at the other end was verified. A proxy that was, and passes requests on, answers for what is behind it
    /// (PROXY-18).
    fn is_insecure(&self, info: &ConnectionInfo) -> bool {
        match (&info.tls, &self.through) {
            (Some(tls), _) => !tls.verified,
            (None, Some(through)) => {
                through.way == Way::Forward && through.via.tls().is_some_and(|plan| !plan.is_verified())
            }
            (None, None) => false,
        }
    }

    /// The error of a connection that was not made within `connect`.
    pub(super) fn connect_timeout(&self, most: Duration, phase: Phase) -> Error {
        match &self.through {
            // Past the proxy it is the origin that did not answer (PROXY-16).
            Some(Through { via, .. }) if phase != Phase::Tls => {
                // A manager's pool that all hosts of a proxy share is for none of them.
                let target = if self.name == via.name { String::new() } else { format!(" (for {})", self.name) };
                via.failed(timed_out(&format!("proxy {}{target}", via.name), most, phase))
            }
            _ => {
                let mut error = self.origin_timeout(most, phase);
                self.tell_of_proxy(&mut error);
                error
            }
        }
    }

    fn origin_timeout(&self, most: Duration, phase: Phase) -> Error {
        timed_out(&self.name, most, phase)
    }

    /// What an error of an exchange says of the proxy that the request was handed to, where it was.
    pub(crate) fn tell_of_proxy(&self, error: &mut Error) {
        match &self.through {
            Some(Through { via, way: Way::Forward, .. }) => via.handed_on(error),
            Some(Through { via, way: Way::Tunnel, .. }) => via.tunnelled(error),
            Some(Through { way: Way::Socks, .. }) | None => {}
        }
    }

    /// From a stream to a connection: TLS, where there is any, and what is spoken over it.
    async fn shake_hands(
        self: &Rc<Self>,
        reached: Reached,
        progress: &Cell<Phase>,
    ) -> Result<(Connection, Spans), Error> {
        let Reached { dialled, proxy } = reached;
        let Dialled { transport, remote, local, tried, dns, connect } = dialled;
        let mut spans = Spans { dns, connect, proxy, tls: None };
        let mut secured = None;
        let transport = match &self.tls {
            None => transport,
            Some(plan) => {
                progress.set(Phase::Tls);
                let began = now();
                let (stream, agreed) = plan.handshake(transport).await?;
                spans.tls = Some(now().saturating_duration_since(began));
                secured = Some(agreed);
                Transport::Tls(Box::new(stream))
            }
        };
        let http2 = secured.as_ref().map_or(self.streams.is_some(), |agreed| agreed.h2);
        let proxy = self.through.as_ref().map(|through| through.via.info(through.way));
        let info = ConnectionInfo::new(self.shared.ids.next(), (&local, &remote), tried, http2, secured, proxy);
        let (changed, closed, shared) = (Weak::clone(&self.me), Weak::clone(&self.me), Rc::clone(&self.shared));
        let on_close = Box::new(move |id, why| {
            if let Some(pool) = closed.upgrade() {
                pool.live.borrow_mut().remove(&id);
            }
            // Its pool may have gone before it.
            shared.observer.closed(id, why);
        });
        let limits = &self.settings.limits;
        let connection = if http2 {
            let id = info.id;
            let on_change = move || {
                if let Some(pool) = changed.upgrade() {
                    pool.connection_changed(id);
                }
            };
            http2::handshake(info, transport, limits.header_bytes, on_change, on_close).await?
        } else {
            let style = Style {
                lenient: self.settings.lenient,
                header_count: limits.header_count,
                header_bytes: limits.header_bytes,
            };
            let on_end = move || {
                if let Some(pool) = changed.upgrade() {
                    pool.sweep();
                }
            };
            http1::handshake(info, transport, style, on_end, on_close).await?
        };
        Ok((connection, spans))
    }

    /// Dials, and looks names up; where the system has no descriptor or port left, lets other pools' idle connections go and
    /// tries again for a while before that becomes an error (THR-1001, THR-1002). `None`: one of this pool's own has become
    /// idle meanwhile. To close that would gain nothing: its port is not free for a while (`TIME_WAIT`), and it leads where
    /// this dial does.
    async fn patiently<T>(
        &self,
        began: Instant,
        attempt: impl AsyncFn() -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let mut pause = SHORTAGE_FIRST;
        loop {
            let error = match attempt().await {
                Ok(made) => return Ok(Some(made)),
                Err(error) => error,
            };
            if !self.is_shortage(&error) || now().saturating_duration_since(began) >= SHORTAGE {
                return Err(error);
            }
            if self.oldest_idle().is_some() {
                return Ok(None);
            }
            self.group.relieve();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(SHORTAGE_MOST);
        }
    }

    async fn dial(&self, progress: &Cell<Phase>, asker: Option<&dyn Asker>) -> Result<Dialled, Error> {
        dial(&self.plan, &self.shared.resolver, progress, asker).await
    }

    /// Whether the system, and nobody else, is why no connection could be made.
    fn is_shortage(&self, error: &Error) -> bool {
        let causes = &error.fields().causes;
        error.kind() == Kind::Connect
            && !causes.is_empty()
            && causes.iter().all(|cause| match cause.code.as_deref() {
                Some("EMFILE" | "ENFILE" | "ENOBUFS") => true,
                // No port is left; or the caller's own address is none of this machine's, and never will be.
                Some("EADDRNOTAVAIL") => self.settings.local_address.is_none(),
                _ => false,
            })
    }
}

fn timed_out(whom: &str, most: Duration, phase: Phase) -> Error {
    let place = match phase {
        Phase::Dns | Phase::Tls => format!(", in {}", phase.name()),
        _ => String::new(),
    };
    let message = format!("Connection to {whom} timed out. (connect timeout={} ms{place})", milliseconds(most));
    Error::new(Kind::ConnectTimeout, message).in_phase(phase)
}

/// TLS to a proxy: a step with it, as all others.
async fn secured(plan: &TlsPlan, transport: Transport) -> Result<Transport, Error> {
    let (stream, _) = plan.handshake(transport).await.map_err(|error| error.in_phase(Phase::Proxy))?;
    Ok(Transport::Tls(Box::new(stream)))
}

/// The origin as a proxy is told of it, which finds its addresses itself.
fn named(origin: &Origin) -> Target<'_> {
    let port = origin.effective_port();
    match origin.address() {
        Some(address) => Target::Address(SocketAddr::new(address, port)),
        None => Target::Name(&origin.host, port),
    }
}

/// Those that this protocol can tell of; all where there is none, for its word on them.
fn speakable(protocol: Protocol, found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if protocol == Protocol::Socks4 && found.iter().any(SocketAddr::is_ipv4) {
        return found.into_iter().filter(SocketAddr::is_ipv4).collect();
    }
    found
}

/// How long a shortage of the system's may last before it is an error.
const SHORTAGE: Duration = Duration::from_secs(1);
/// Between two tries meanwhile, at first and at most.
const SHORTAGE_FIRST: Duration = Duration::from_millis(5);
const SHORTAGE_MOST: Duration = Duration::from_millis(100);
