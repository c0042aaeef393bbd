//! A pool: the ledger wired to real connections, waiters and clocks.
//!
//! It lives whole on one I/O thread, so its state needs no lock; what others may read is in [`PoolStats`]. A lease is a
//! guard ([`Held`]): whatever happens to a request, its slot comes back.

mod close;
mod dials;
mod gate;
mod group;
mod held;
mod open;
mod seat;
mod shared;
mod slot;
mod stream_lease;
mod via;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::ledger::{Bounds, Discard, Figures, Granted, Ledger, Ticket};
use ferropool_policy::origin::{Origin, Scheme};
use ferropool_policy::proxy::Way;
use ferropool_policy::retry::Retry;
use ferropool_policy::settings::PoolSettings;
use ferropool_policy::streams::Streams;
use ferropool_policy::tls::Http2;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use close::lay_down;
use dials::Dials;
use group::Member;
use open::Through;
use seat::Seat;
use shared::StreamGrant;
use stream_lease::{Carrier, StreamCounts};

pub use close::CloseReport;
pub(crate) use group::Stir;
pub use group::{Call, Group};
pub use held::{Held, Leased, Spans};
pub use slot::Deadline;
pub use stream_lease::StreamLease;
pub use via::{Audience, Via};

use crate::client::case::CaseBook;
use crate::client::message::Defaults;
use crate::clock::{now, wall_clock};
use crate::conn::connection::{Connection, ConnectionInfo, Ids};
use crate::dial::{DialPlan, Resolver};
use crate::observe::stats::{PoolStats, Sums};
use crate::tls::{Alpn, TlsPlan};

/// What a pool tells about itself, on its I/O thread.
pub trait Observer {
    /// A connection of this pool was made.
    fn opened(&self, info: &ConnectionInfo, pool: &Pool);
    /// A connection is gone, and why.
    fn closed(&self, id: u32, why: Discard);
    /// Something that a person should hear of, once a pool.
    fn warn(&self, warning: Warning, pool: &Pool);
    /// A host asked for a pause, and gets it.
    fn paused(&self, pause: &Pause<'_>);
}

/// A host that is left alone for a while (`pauseOn`).
#[derive(Clone, Copy, Debug)]
pub struct Pause<'p> {
    /// The pool's or manager's.
    pub group: u32,
    /// `host:port`.
    pub host: &'p str,
    /// From now.
    pub span: Duration,
    /// Of the answer that asked for it.
    pub status: u16,
}

/// What a pool warns about, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A connection was made whose peer is not verified (WARN-01).
    Insecure,
    /// A connection was closed because the pool was full (POOL-08).
    Full,
    /// A request has waited 30 s for a connection.
    Starving,
    /// A streamed body was let go because nobody began to read it (`unreadTimeout`), or collected before its end.
    Unread,
}

/// Which connections will do for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// An idle one, if it is fit.
    Any,
    /// The same, unless its peer has answered as HTTP/1.0.
    TakesChunks,
    /// A fresh one: an idle one failed the request already, without a byte sent.
    Fresh,
}

/// What the pools of an engine share.
pub struct Shared {
    /// Names.
    pub resolver: Rc<Resolver>,
    /// Spellings of header names.
    pub book: CaseBook,
    /// Numbers for connections.
    pub ids: Ids,
    /// Who hears of it.
    pub observer: Box<dyn Observer>,
}

/// A pool that was checked and can be sent to the I/O thread that will own it.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// Where its connections lead.
    pub origin: Origin,
    settings: Arc<PoolSettings>,
    plan: DialPlan,
    pub(crate) tls: Option<TlsPlan>,
    through: Option<Through>,
    /// Whether its manager knows proxies, and this is the way past them.
    past_proxies: bool,
    /// Shared with whoever reads it.
    pub stats: Arc<PoolStats>,
}

impl Blueprint {
    /// Checks everything that can be checked without touching the network.
    pub fn new(settings: PoolSettings) -> Result<Self, Error> {
        let origin = Origin::new(settings.scheme, &settings.host, settings.port)?;
        let via = settings.proxy.as_ref().map(|proxy| Via::new(proxy, "", None)).transpose()?;
        let route = via.map(|via| (Arc::clone(&via), via.proxy.way(origin.scheme)));
        Self::of(origin, Arc::new(settings), route, None)
    }

    /// One for this origin, whatever host the settings name, and this way there, whatever proxy they name. `known` is what
    /// another one of these settings has read already for its TLS.
    pub(crate) fn of(
        origin: Origin,
        settings: Arc<PoolSettings>,
        route: Option<(Arc<Via>, Way)>,
        known: Option<&TlsPlan>,
    ) -> Result<Self, Error> {
        let through = route.map(|(via, way)| Through::new(via, way, &settings, &origin)).transpose()?;
        let plan = match &through {
            None => DialPlan::new(&settings, &origin.host, origin.effective_port())?,
            Some(Through { via, .. }) => DialPlan::to_proxy(&settings, &via.proxy.host, via.proxy.port)?,
        };
        let tls = match (origin.scheme, known) {
            _ if through.as_ref().is_some_and(Through::is_forward) => None,
            (Scheme::Http, _) => None,
            (Scheme::Https, Some(known)) => Some(known.for_host(&settings.tls, &origin.host)?),
            (Scheme::Https, None) => Some(TlsPlan::new(&settings.tls, &origin.host, Self::alpn(&settings))?),
        };
        let tls = tls.map(|tls| tls.apart(&client_of(&settings, through.as_ref())));
        // The book of the engine lives on its own thread; this one only sees whether the fields can be sent.
        let book = CaseBook::default();
        Defaults::new(&origin, &settings, audience(through.as_ref()), &book)?;
        let stats = Arc::new(PoolStats::new(now()));
        Ok(Self { origin, settings, plan, tls, through, past_proxies: false, stats })
    }

    /// The protocols that pools of these settings offer.
    pub(crate) fn alpn(settings: &PoolSettings) -> Alpn {
        if settings.http2 == Http2::Off { Alpn::Http1 } else { Alpn::Http2 }
    }

    /// The same in a manager that knows proxies.
    pub(crate) fn beside_proxies(self) -> Self {
        Self { past_proxies: self.through.is_none(), ..self }
    }
}

/// The connections to one origin.
pub struct Pool {
    /// Where they lead.
    pub origin: Origin,
    /// What it was made with.
    pub settings: Arc<PoolSettings>,
    /// Its own header fields.
    pub defaults: Defaults,
    /// What it counts.
    pub stats: Arc<PoolStats>,
    /// What it shares with the other pools of the engine.
    pub shared: Rc<Shared>,
    /// `host:port`, for errors.
    pub name: String,
    /// Made when it is asked for: most pools of a manager never are.
    retry: OnceCell<Rc<Retry>>,
    /// What it shares with the other pools of its manager.
    pub group: Rc<Group>,
    /// Its number in there.
    member: Member,
    /// What was counted before this pool was there: another counted with the same counters, and is gone.
    before: Sums,
    plan: DialPlan,
    tls: Option<TlsPlan>,
    through: Option<Through>,
    /// `None` where every exchange has a connection of its own.
    streams: Option<RefCell<Streams<Rc<Carrier>>>>,
    stream_seats: RefCell<HashMap<Ticket, Rc<Seat<StreamGrant>>>>,
    stream_counts: Cell<StreamCounts>,
    stream_dials: Dials,
    ledger: RefCell<Ledger<Connection>>,
    seats: RefCell<HashMap<Ticket, Rc<Seat<Granted<Connection>>>>>,
    live: RefCell<HashMap<u32, AbortHandle>>,
    expired: RefCell<Vec<(Connection, Discard)>>,
    reaper: Cell<Reaper>,
    reap: Rc<Notify>,
    drained: Notify,
    closing: Notify,
    /// How many leases `close` has cut off, once it has.
    forced: Cell<Option<u64>>,
    /// Told when `forced` is set: what is dialling has no connection to cut yet.
    cut: Notify,
    /// What waits on the pool's behalf, and ends with it: else a pool that is gone would cost its memory until they wake.
    watcher: RefCell<Option<AbortHandle>>,
    reaping: RefCell<Option<AbortHandle>>,
    /// Calls that wait for their host's turn, and hold nothing.
    in_line: Cell<u32>,
    place: Cell<Place>,
    me: Weak<Self>,
}

/// How a manager has a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is off the shelf, or never was on one.
    Elsewhere,
    /// On the shelf, and kept alive.
    Kept,
    /// On the shelf, and alive only as long as somebody else holds it.
    LetGo,
}

/// Whether a task waits for the next connection to expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaper {
    Off,
    Until(Instant),
}

impl Pool {
    /// Brings a blueprint to life on this thread, as a group of its own that the user knows by this handle.
    pub fn open(blueprint: Blueprint, shared: Rc<Shared>, handle: u32) -> Result<Rc<Self>, Error> {
        let group = Group::new(Arc::clone(&blueprint.stats), None, handle, 0, &blueprint.settings);
        Self::join(blueprint, shared, group, 0)
    }

    /// Brings a blueprint to life as one pool of a group, under a number that no other pool of the group has.
    pub fn join(blueprint: Blueprint, shared: Rc<Shared>, group: Rc<Group>, member: u32) -> Result<Rc<Self>, Error> {
        let Blueprint { origin, settings, plan, tls, through, past_proxies, stats } = blueprint;
        // What a proxy passes on, it is told in HTTP/1.1.
        let multiplexes =
            multiplexes(origin.scheme, settings.http2) && !through.as_ref().is_some_and(Through::is_forward);
        let streams = multiplexes.then(RefCell::default);
        let audience = if past_proxies { Audience::OriginAlone } else { audience(through.as_ref()) };
        let defaults = Defaults::new(&origin, &settings, audience, &shared.book)?;
        let bounds = Bounds::from(&*settings);
        let name = format!("{}:{}", origin.host, origin.effective_port());
        let made = Rc::new_cyclic(|me| Self {
            origin,
            settings,
            defaults,
            member,
            before: stats.sums(),
            stats,
            shared,
            name,
            retry: OnceCell::new(),
            group,
            plan,
            tls,
            through,
            streams,
            stream_seats: RefCell::default(),
            stream_counts: Cell::default(),
            stream_dials: Dials::default(),
            ledger: RefCell::new(Ledger::new(bounds)),
            seats: RefCell::default(),
            live: RefCell::default(),
            expired: RefCell::default(),
            reaper: Cell::new(Reaper::Off),
            reap: Rc::default(),
            drained: Notify::new(),
            closing: Notify::new(),
            forced: Cell::new(None),
            cut: Notify::new(),
            watcher: RefCell::default(),
            reaping: RefCell::default(),
            in_line: Cell::new(0),
            place: Cell::new(Place::Elsewhere),
            me: Weak::clone(me),
        });
        made.group.join(member, &made.me, &made.stats);
        Ok(made)
    }

    /// Connections whose driver ended leave at once: their peer closed them, or sent what nobody asked for.
    fn sweep(&self) {
        let mut dead = self.expired.take();
        for (why, eof) in [(Discard::PeerClosed, true), (Discard::Poisoned, false)] {
            self.ledger.borrow_mut().discard_idle(
                why,
                |connection, _| connection.is_over() && (connection.why_over() == Discard::PeerClosed) == eof,
                &mut dead,
            );
        }
        lay_down(&mut dead);
        self.expired.replace(dead);
        self.sync();
    }

    /// Drops what the ledger sorted out, outside of any borrow: closing a connection calls back into the pool.
    fn bury(&self) {
        if self.expired.borrow().is_empty() {
            return;
        }
        let mut dead = self.expired.take();
        lay_down(&mut dead);
        self.expired.replace(dead);
    }

    /// Makes the counters say what the ledger says.
    fn sync(&self) {
        let ledger = self.ledger.borrow();
        let (figures, aborted) = (ledger.figures(), ledger.closed_for(Discard::Aborted));
        let (berths, in_line) = (self.group.waiting_of(self.member), self.in_line.get() + self.waiting_for_streams());
        drop(ledger);
        let figures = self.with_streams(figures);
        self.stats.figures(&figures, aborted, berths, in_line, &self.before);
        let rests = figures.idle + figures.leased + figures.waiting + berths + in_line == 0;
        match self.place.get() {
            Place::Kept if rests => self.group.told(self.member, Stir::Rests),
            Place::LetGo if !rests => self.group.told(self.member, Stir::Wakes),
            _ => {}
        }
    }

    fn plan_reaping(&self) {
        let next = self.ledger.borrow().next_expiry();
        let Some(next) = next else { return };
        match self.reaper.get() {
            Reaper::Until(at) if at <= next => {}
            Reaper::Until(_) => {
                self.reaper.set(Reaper::Until(next));
                self.reap.notify_one();
            }
            Reaper::Off => {
                self.reaper.set(Reaper::Until(next));
                let me = Weak::clone(&self.me);
                let reaping = tokio::task::spawn_local(reap(me));
                self.reaping.replace(Some(reaping.abort_handle()));
            }
        }
    }

    /// Warns once when somebody has waited for [`STARVING`].
    fn watch_waiters(&self) {
        if self.stats.has_warned(Warning::Starving as u64) || self.watcher.borrow().is_some() {
            return;
        }
        let me = Weak::clone(&self.me);
        let watching = tokio::task::spawn_local(async move {
            let mut next = now() + STARVING;
            loop {
                tokio::time::sleep_until(next.into()).await;
                let Some(pool) = me.upgrade() else { return };
                let oldest = pool.oldest_waiter();
                match oldest {
                    None => {
                        pool.watcher.take();
                        return;
                    }
                    Some(since) if since + STARVING > now() => next = since + STARVING,
                    Some(_) => return pool.warn(Warning::Starving),
                }
            }
        });
        self.watcher.replace(Some(watching.abort_handle()));
    }

    /// Says it once.
    pub(crate) fn warn(&self, warning: Warning) {
        if self.stats.warns_first(warning as u64) {
            self.shared.observer.warn(warning, self);
        }
    }

    /// Whether a manager keeps it: then it is not its holder's to end.
    pub fn is_shelved(&self) -> bool {
        self.place.get() != Place::Elsewhere
    }

    pub(crate) fn put(&self, place: Place) {
        self.place.set(place);
    }

    /// What its requests are judged by that bring nothing of their own.
    pub(crate) fn retry(&self) -> &Rc<Retry> {
        self.retry.get_or_init(|| Rc::new(self.settings.retries.clone().unwrap_or_else(Retry::usual)))
    }

    /// Whether its requests are passed on by a proxy.
    pub(crate) fn is_forwarded(&self) -> bool {
        self.through.as_ref().is_some_and(Through::is_forward)
    }

    /// Whether it is or was a manager's.
    pub(crate) fn is_managed(&self) -> bool {
        self.group.roster.is_some()
    }

    /// Since when somebody has waited for a connection, or for leave to make one.
    fn oldest_waiter(&self) -> Option<Instant> {
        let own = self.seats.borrow().values().map(|seat| seat.since).min();
        let streams = self.stream_seats.borrow().values().map(|seat| seat.since).min();
        [own, streams, self.group.oldest_waiter(self.member)].into_iter().flatten().min()
    }

    /// Takes note of an answer that may ask for a pause of its host, for as long as `retry` lets anybody ask.
    pub(crate) fn heed(&self, host: &str, status: u16, headers: &http::HeaderMap, retry: &Retry) {
        let Some(gate) = self.group.gate.as_ref().filter(|gate| gate.heeds(status)) else { return };
        let asked =
            headers.get(http::header::RETRY_AFTER).and_then(|value| retry.retry_after(value.as_bytes(), wall_clock()));
        let Some(span) = asked.map(ferropool_policy::settings::delay) else { return };
        if gate.pause(host, status, span) {
            let pause = Pause { group: self.group.handle, host, span, status };
            self.shared.observer.paused(&pause);
        }
    }

    /// Waits until `close` is called.
    pub(crate) async fn until_closed(&self) {
        let closing = self.closing.notified();
        if self.is_open() {
            closing.await;
        }
    }

    /// Whether `close` has not been called.
    pub fn is_open(&self) -> bool {
        !self.ledger.borrow().is_closed()
    }

    /// Whether `close` cut off the leases that were left.
    pub fn was_forced(&self) -> bool {
        self.forced.get().is_some()
    }

    /// Whether the same proxy as another pool's, or none as there, is told of its requests.
    pub(crate) fn has_proxy_of(&self, other: &Self) -> bool {
        match (&self.through, &other.through) {
            (Some(own), Some(other)) => own.via.proxy == other.via.proxy,
            (own, other) => own.is_none() && other.is_none(),
        }
    }

    /// The ledger's figures now.
    pub fn figures(&self) -> Figures {
        self.ledger.borrow().figures()
    }
}

/// What a server can tell two clients apart by: who came from another place must not be known again by its sessions
/// (THR-323). Empty for the usual place.
fn client_of(settings: &PoolSettings, through: Option<&Through>) -> String {
    match (through, place_of(settings)) {
        (None, None) => String::new(),
        (through, place) => {
            let via = through.map(|through| through.via.key(through.way));
            format!("{} {}", via.as_deref().unwrap_or("directly"), place.unwrap_or_default())
        }
    }
}

/// Where connections begin, unless the system chooses, or what they lead to in place of the host.
fn place_of(settings: &PoolSettings) -> Option<String> {
    let PoolSettings { local_address, interface, unix_socket, .. } = settings;
    let is_usual = local_address.is_none() && interface.is_none() && unix_socket.is_none();
    (!is_usual).then(|| format!("{local_address:?} {interface:?} {unix_socket:?}"))
}

fn audience(through: Option<&Through>) -> Audience {
    match through {
        None => Audience::Origin,
        Some(through) if through.is_forward() => Audience::Proxy(Arc::clone(&through.via)),
        Some(_) => Audience::OriginAlone,
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stats.retire();
        self.group.leave(self.member);
        // Nobody can ask any more; connections go with the ledger, their drivers are aborted by their own drop.
        for driver in self.live.get_mut().values() {
            driver.abort();
        }
        for waiting in [self.watcher.take(), self.reaping.take()].into_iter().flatten() {
            waiting.abort();
        }
    }
}

/// Closes what expires, as long as there is something to wait for. Holds the pool only while it works on it.
async fn reap(pool: Weak<Pool>) {
    loop {
        let Some((Reaper::Until(at), earlier)) = pool.upgrade().map(|pool| (pool.reaper.get(), Rc::clone(&pool.reap)))
        else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            () = earlier.notified() => continue,
        }
        let Some(pool) = pool.upgrade() else { return };
        let next = pool.ledger.borrow_mut().expire(now(), &mut pool.expired.borrow_mut());
        pool.bury();
        pool.sync();
        match next {
            Some(next) => pool.reaper.set(Reaper::Until(next)),
            None => return pool.reaper.set(Reaper::Off),
        }
    }
}

/// Whether connections may carry streams: by ALPN over TLS, by prior knowledge over plain TCP.
fn multiplexes(scheme: Scheme, http2: Http2) -> bool {
    match scheme {
        Scheme::Http => http2 == Http2::PriorKnowledge,
        Scheme::Https => http2 != Http2::Off,
    }
}

pub(crate) fn closed() -> Error {
    Error::new(Kind::PoolClosed, "Pool is closed.").in_phase(Phase::Pool)
}

fn internal(message: impl Into<String>) -> Error {
    Error::new(Kind::Internal, message)
}

/// A waiter that has waited so long is worth a word.
const STARVING: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
