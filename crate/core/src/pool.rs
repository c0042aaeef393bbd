//! A pool: the ledger wired to real connections, waiters and clocks.
//!
//! It lives whole on one I/O thread, so its state needs no lock; what others may read is in [`PoolStats`]. A lease is a
//! guard ([`Held`]): whatever happens to a request, its slot comes back.

mod close;
mod gate;
mod group;
mod held;
mod seat;
mod shared;
mod slot;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::ledger::{Bounds, Discard, Figures, Granted, Ledger, Ticket};
use ferropool_policy::origin::{Origin, Scheme};
use ferropool_policy::retry::Retry;
use ferropool_policy::settings::PoolSettings;
use ferropool_policy::streams::Streams;
use ferropool_policy::tls::Http2;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use close::lay_down;
use group::Member;
use seat::Seat;
use shared::{Carrier, StreamCounts, StreamGrant};

pub use close::CloseReport;
pub use group::{Call, Group};
pub use held::{Held, Leased, Spans};
pub use shared::StreamLease;

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
    settings: PoolSettings,
    plan: DialPlan,
    pub(crate) tls: Option<TlsPlan>,
    /// Shared with whoever reads it.
    pub stats: Arc<PoolStats>,
}

impl Blueprint {
    /// Checks everything that can be checked without touching the network.
    pub fn new(settings: PoolSettings) -> Result<Self, Error> {
        let origin = Origin::new(settings.scheme, &settings.host, settings.port)?;
        Self::of(origin, settings)
    }

    /// One for this origin, whatever host the settings name.
    pub fn of(origin: Origin, settings: PoolSettings) -> Result<Self, Error> {
        Self::like(origin, settings, None)
    }

    /// The same, where another of these settings is known: what its TLS needs has been read already.
    pub(crate) fn like(origin: Origin, settings: PoolSettings, known: Option<&TlsPlan>) -> Result<Self, Error> {
        let plan = DialPlan::new(&settings, &origin.host, origin.effective_port())?;
        let tls = match (origin.scheme, known) {
            (Scheme::Http, _) => None,
            (Scheme::Https, Some(known)) => Some(known.for_host(&settings.tls, &origin.host)?),
            (Scheme::Https, None) => {
                let alpn = if settings.http2 == Http2::Off { Alpn::Http1 } else { Alpn::Http2 };
                Some(TlsPlan::new(&settings.tls, &origin.host, alpn)?)
            }
        };
        // The book of the engine lives on its own thread; this one only sees whether the fields can be sent.
        let book = CaseBook::default();
        Defaults::new(&origin, &settings.headers, &settings.accept_encoding, &settings.user_agent, &book)?;
        Ok(Self { origin, settings, plan, tls, stats: Arc::new(PoolStats::new(now())) })
    }
}

/// The connections to one origin.
pub struct Pool {
    /// Where they lead.
    pub origin: Origin,
    /// What it was made with.
    pub settings: PoolSettings,
    /// Its own header fields.
    pub defaults: Defaults,
    /// What it counts.
    pub stats: Arc<PoolStats>,
    /// What it shares with the other pools of the engine.
    pub shared: Rc<Shared>,
    /// `host:port`, for errors.
    pub name: String,
    /// What its requests are judged by that bring nothing of their own.
    pub retry: Rc<Retry>,
    /// What it shares with the other pools of its manager.
    pub group: Rc<Group>,
    /// Its number in there.
    member: Member,
    /// What was counted before this pool was there: another counted with the same counters, and is gone.
    before: Sums,
    plan: DialPlan,
    tls: Option<TlsPlan>,
    /// `None` where every exchange has a connection of its own.
    streams: Option<RefCell<Streams<Rc<Carrier>>>>,
    stream_seats: RefCell<HashMap<Ticket, Rc<Seat<StreamGrant>>>>,
    stream_counts: Cell<StreamCounts>,
    ledger: RefCell<Ledger<Connection>>,
    seats: RefCell<HashMap<Ticket, Rc<Seat<Granted<Connection>>>>>,
    live: RefCell<HashMap<u32, AbortHandle>>,
    expired: RefCell<Vec<(Connection, Discard)>>,
    reaper: Cell<Reaper>,
    reap: Rc<Notify>,
    drained: Notify,
    closing: Notify,
    forced: Cell<bool>,
    /// Told when `forced` is set: what is dialling has no connection to cut yet.
    cut: Notify,
    warned: RefCell<Vec<Warning>>,
    /// What waits on the pool's behalf, and ends with it: else a pool that is gone would cost its memory until they wake.
    watcher: RefCell<Option<AbortHandle>>,
    reaping: RefCell<Option<AbortHandle>>,
    /// Calls that wait for their host's turn, and hold nothing.
    in_line: Cell<u32>,
    shelved: Cell<bool>,
    me: Weak<Self>,
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
        let Blueprint { origin, settings, plan, tls, stats } = blueprint;
        let streams = multiplexes(origin.scheme, settings.http2).then(RefCell::default);
        let defaults =
            Defaults::new(&origin, &settings.headers, &settings.accept_encoding, &settings.user_agent, &shared.book)?;
        let bounds = Bounds::from(&settings);
        let name = format!("{}:{}", origin.host, origin.effective_port());
        let retry = Rc::new(settings.retries.clone().unwrap_or_else(Retry::usual));
        let made = Rc::new_cyclic(|me| Self {
            origin,
            settings,
            defaults,
            member,
            before: stats.sums(),
            stats,
            shared,
            name,
            retry,
            group,
            plan,
            tls,
            streams,
            stream_seats: RefCell::default(),
            stream_counts: Cell::default(),
            ledger: RefCell::new(Ledger::new(bounds)),
            seats: RefCell::default(),
            live: RefCell::default(),
            expired: RefCell::default(),
            reaper: Cell::new(Reaper::Off),
            reap: Rc::default(),
            drained: Notify::new(),
            closing: Notify::new(),
            forced: Cell::new(false),
            cut: Notify::new(),
            warned: RefCell::default(),
            watcher: RefCell::default(),
            reaping: RefCell::default(),
            in_line: Cell::new(0),
            shelved: Cell::new(false),
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
        let figures = self.with_streams(figures);
        self.stats.figures(&figures, aborted, berths, in_line, &self.before);
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
        if self.warned.borrow().contains(&Warning::Starving) || self.watcher.borrow().is_some() {
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
        if !self.warned.borrow().contains(&warning) {
            self.warned.borrow_mut().push(warning);
            self.shared.observer.warn(warning, self);
        }
    }

    /// Whether a manager keeps it: then it is not its holder's to end.
    pub fn is_shelved(&self) -> bool {
        self.shelved.get()
    }

    pub(crate) fn set_shelved(&self, on: bool) {
        self.shelved.set(on);
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
    pub(crate) fn heed(&self, status: u16, headers: &http::HeaderMap, retry: &Retry) {
        let Some(gate) = self.group.gate.as_ref().filter(|gate| gate.heeds(status)) else { return };
        let asked =
            headers.get(http::header::RETRY_AFTER).and_then(|value| retry.retry_after(value.as_bytes(), wall_clock()));
        let Some(span) = asked.map(ferropool_policy::settings::delay) else { return };
        if gate.pause(&self.name, status, span) {
            let pause = Pause { group: self.group.handle, host: &self.name, span, status };
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
        self.forced.get()
    }

    /// The ledger's figures now.
    pub fn figures(&self) -> Figures {
        self.ledger.borrow().figures()
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
