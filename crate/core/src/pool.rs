//! A pool: the ledger wired to real connections, waiters and clocks.
//!
//! It lives whole on one I/O thread, so its state needs no lock; what others may read is in [`PoolStats`]. A lease is a
//! guard ([`Held`]): whatever happens to a request, its slot comes back.

mod close;
mod held;
mod seat;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::ledger::{
    Bounds, Checkout, Discard, Figures, Granted, Lease, Ledger, Life, Released, Returned, Ticket,
};
use ferropool_policy::origin::{Origin, Scheme};
use ferropool_policy::settings::{PoolSettings, span};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout_at;

use close::lay_down;
use seat::{Seat, Waiting};

pub use close::CloseReport;
pub use held::Held;

use crate::client::case::CaseBook;
use crate::client::message::Defaults;
use crate::clock::{milliseconds, now};
use crate::conn::http1::{Connection, ConnectionInfo, Ids, Style};
use crate::dial::{DialPlan, Resolver, dial};
use crate::observe::calls::{Calls, Place};
use crate::observe::stats::PoolStats;

/// What a pool tells about itself, on its I/O thread.
pub trait Observer {
    /// A connection of this pool was made.
    fn opened(&self, info: &ConnectionInfo, pool: &Pool);
    /// A connection is gone, and why.
    fn closed(&self, id: u32, why: Discard);
    /// Something that a person should hear of, once a pool.
    fn warn(&self, warning: Warning, pool: &Pool);
}

/// What a pool warns about, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
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
    /// Shared with whoever reads it.
    pub stats: Arc<PoolStats>,
}

impl Blueprint {
    /// Checks everything that can be checked without touching the network.
    pub fn new(settings: PoolSettings) -> Result<Self, Error> {
        let origin = Origin::new(Scheme::Http, &settings.host, settings.port)?;
        let plan = DialPlan::new(&settings, &origin.host, origin.effective_port())?;
        // The book of the engine lives on its own thread; this one only sees whether the fields can be sent.
        let book = CaseBook::default();
        Defaults::new(&origin, &settings.headers, &settings.accept_encoding, &settings.user_agent, &book)?;
        Ok(Self { origin, settings, plan, stats: Arc::new(PoolStats::new(now())) })
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
    plan: DialPlan,
    ledger: RefCell<Ledger<Connection>>,
    seats: RefCell<HashMap<Ticket, Rc<Seat>>>,
    live: RefCell<HashMap<u32, AbortHandle>>,
    calls: RefCell<Calls>,
    expired: RefCell<Vec<(Connection, Discard)>>,
    reaper: Cell<Reaper>,
    reap: Rc<Notify>,
    drained: Notify,
    forced: Cell<bool>,
    /// Told when `forced` is set: what is dialling has no connection to cut yet.
    cut: Notify,
    warned: RefCell<Vec<Warning>>,
    watching: Cell<bool>,
    me: Weak<Self>,
}

/// Whether a task waits for the next connection to expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaper {
    Off,
    Until(Instant),
}

/// A call's place among those in flight.
pub struct Call {
    pool: Rc<Pool>,
    place: Place,
}

impl Pool {
    /// Brings a blueprint to life on this thread.
    pub fn open(blueprint: Blueprint, shared: Rc<Shared>) -> Result<Rc<Self>, Error> {
        let Blueprint { origin, settings, plan, stats } = blueprint;
        let defaults =
            Defaults::new(&origin, &settings.headers, &settings.accept_encoding, &settings.user_agent, &shared.book)?;
        let bounds = Bounds::from(&settings);
        let name = format!("{}:{}", origin.host, origin.effective_port());
        Ok(Rc::new_cyclic(|me| Self {
            origin,
            settings,
            defaults,
            stats,
            shared,
            name,
            plan,
            ledger: RefCell::new(Ledger::new(bounds)),
            seats: RefCell::default(),
            live: RefCell::default(),
            calls: RefCell::default(),
            expired: RefCell::default(),
            reaper: Cell::new(Reaper::Off),
            reap: Rc::default(),
            drained: Notify::new(),
            forced: Cell::new(false),
            cut: Notify::new(),
            warned: RefCell::default(),
            watching: Cell::new(false),
            me: Weak::clone(me),
        }))
    }

    /// A connection of one's own: idle, fresh, or after a wait of at most `until`. `connect_until` bounds the dial;
    /// `progress` says which phase is under way for whoever owns the total deadline.
    pub async fn checkout(
        self: &Rc<Self>,
        until: Option<Instant>,
        connect: Option<Duration>,
        progress: &Cell<Phase>,
        wanted: Wanted,
    ) -> Result<Held, Error> {
        progress.set(Phase::Pool);
        let found = self.ledger.borrow_mut().checkout(now(), &mut self.expired.borrow_mut());
        self.bury();
        let granted = match found {
            Checkout::Use(lease, connection, life) => Granted::Use(lease, connection, life),
            Checkout::Dial(lease) => Granted::Dial(lease),
            Checkout::Wait(ticket) => Box::pin(self.wait(ticket, until)).await?,
            Checkout::Full => {
                return Err(Error::new(
                    Kind::PoolEmpty,
                    format!("Pool is empty and {} requests wait already (maxWaiting).", self.settings.max_waiting),
                )
                .in_phase(Phase::Pool));
            }
            Checkout::Closed => return Err(closed()),
        };
        let granted = match (granted, wanted) {
            (Granted::Use(lease, connection, _), Wanted::Fresh) => {
                connection.close(Discard::Stale);
                match self.ledger.borrow_mut().redial(lease, Discard::Stale) {
                    Checkout::Dial(lease) => Granted::Dial(lease),
                    _ => return Err(internal("a held slot was not to be dialled in")),
                }
            }
            (granted, _) => granted,
        };
        self.sync();
        self.make_fit(granted, connect, progress).await
    }

    /// Takes the first connection that is fit, or dials: never waits for a slot, since one is held.
    async fn make_fit(
        self: &Rc<Self>,
        mut granted: Granted<Connection>,
        connect: Option<Duration>,
        progress: &Cell<Phase>,
    ) -> Result<Held, Error> {
        loop {
            let (lease, connection, life) = match granted {
                Granted::Use(lease, connection, life) => (lease, connection, life),
                // Boxed: dialling is rare, and its state would make every call's task larger.
                Granted::Dial(lease) => return Box::pin(self.dial_for(lease, connect, progress)).await,
            };
            let mut held = Held {
                pool: Rc::clone(self),
                lease: Some(lease),
                reused: life.requests > 0,
                life,
                connection: Some(connection),
                dial: None,
            };
            match held.stale().await {
                None => return Ok(held),
                Some(why) => {
                    let Some(lease) = held.lease.take() else { return Err(internal("a lease was lost")) };
                    if let Some(connection) = held.connection.take() {
                        connection.close(why);
                    }
                    drop(held);
                    let again = self.ledger.borrow_mut().retake(lease, why, now(), &mut self.expired.borrow_mut());
                    self.bury();
                    granted = match again {
                        Checkout::Use(lease, connection, life) => Granted::Use(lease, connection, life),
                        Checkout::Dial(lease) => Granted::Dial(lease),
                        Checkout::Closed => return Err(closed()),
                        Checkout::Wait(_) | Checkout::Full => return Err(internal("a held slot was asked to wait")),
                    };
                }
            }
        }
    }

    async fn dial_for(
        self: &Rc<Self>,
        lease: Lease,
        connect: Option<Duration>,
        progress: &Cell<Phase>,
    ) -> Result<Held, Error> {
        let began = now();
        let mut held = Held {
            pool: Rc::clone(self),
            lease: Some(lease),
            life: Life::new(began),
            connection: None,
            reused: false,
            dial: None,
        };
        let (connection, dns, took) = tokio::select! {
            biased;
            () = self.until_forced() => return Err(closed()),
            made = self.connect(connect, progress) => made?,
        };
        if let Some(lease) = &mut held.lease {
            self.ledger.borrow_mut().dialled(lease);
        }
        held.life = Life::new(now());
        held.connection = Some(connection);
        held.dial = Some((dns, took));
        self.sync();
        Ok(held)
    }

    /// Name, socket, handshake: all under `connect`.
    async fn connect(
        self: &Rc<Self>,
        connect: Option<Duration>,
        progress: &Cell<Phase>,
    ) -> Result<(Connection, Option<Duration>, Duration), Error> {
        let began = now();
        progress.set(Phase::Dns);
        let dialling = async {
            let dialled = dial(&self.plan, &self.shared.resolver, progress).await?;
            let (dns, took) = (dialled.dns, dialled.connect);
            let style = Style {
                lenient: self.settings.lenient,
                header_count: self.settings.limits.header_count,
                header_bytes: self.settings.limits.header_bytes,
            };
            let (ended, closed) = (Weak::clone(&self.me), Weak::clone(&self.me));
            let shared = Rc::clone(&self.shared);
            let connection = Connection::handshake(
                self.shared.ids.next(),
                dialled,
                style,
                move || {
                    if let Some(pool) = ended.upgrade() {
                        pool.sweep();
                    }
                },
                Box::new(move |id, why| {
                    if let Some(pool) = closed.upgrade() {
                        pool.live.borrow_mut().remove(&id);
                    }
                    // Its pool may have gone before it.
                    shared.observer.closed(id, why);
                }),
            )
            .await?;
            Ok((connection, dns, took))
        };
        let (connection, dns, took) = match connect {
            None => dialling.await?,
            Some(most) => match timeout_at((began + most).into(), dialling).await {
                Ok(made) => made?,
                Err(_) => return Err(connect_timeout(&self.name, most, progress.get())),
            },
        };
        self.live.borrow_mut().insert(connection.info.id, connection.abort_handle());
        self.shared.observer.opened(&connection.info, self);
        Ok((connection, dns, took))
    }

    /// A slot comes back.
    fn give_back(&self, lease: Lease, returned: Returned<Connection>) {
        let released = self.ledger.borrow_mut().release(lease, returned, now());
        self.settle(released);
        self.sync();
        self.plan_reaping();
        if !self.is_open() && self.figures().leased == 0 {
            self.drained.notify_waiters();
        }
    }

    fn settle(&self, released: Released<Connection>) {
        let Released { close, grant } = released;
        if let Some((connection, why)) = close {
            if why == Discard::Surplus {
                self.warn(Warning::Full);
            }
            connection.close(why);
        }
        if let Some((ticket, granted)) = grant {
            let seat = self.seats.borrow_mut().remove(&ticket);
            match seat {
                Some(seat) => seat.give(granted),
                None => self.take_back(granted),
            }
        }
    }

    /// What was granted to somebody who is gone goes to the next.
    fn take_back(&self, granted: Granted<Connection>) {
        match granted {
            Granted::Use(lease, connection, life) => self.give_back(lease, Returned::Reusable(connection, life)),
            Granted::Dial(lease) => self.give_back(lease, Returned::Gone(Discard::Aborted)),
        }
    }

    async fn wait(self: &Rc<Self>, ticket: Ticket, until: Option<Instant>) -> Result<Granted<Connection>, Error> {
        let seat = Seat::new(now());
        self.seats.borrow_mut().insert(ticket, Rc::clone(&seat));
        self.sync();
        self.watch_waiters();
        let waiting = Waiting { pool: self, ticket, seat };
        let granted = match until {
            None => waiting.granted().await,
            Some(at) => match timeout_at(at.into(), waiting.granted()).await {
                Ok(granted) => granted,
                Err(_) => {
                    return Err(Error::new(
                        Kind::PoolEmpty,
                        "Pool is empty and a new connection can't be opened due to blocking mode.",
                    )
                    .in_phase(Phase::Pool));
                }
            },
        };
        granted.ok_or_else(closed)
    }

    /// Connections whose driver ended leave at once: their peer closed them, or sent what nobody asked for.
    fn sweep(&self) {
        let mut dead = self.expired.take();
        for (why, eof) in [(Discard::PeerClosed, true), (Discard::Poisoned, false)] {
            self.ledger.borrow_mut().discard_idle(
                why,
                |connection, _| connection.sender.is_closed() && connection.tap.eof() == eof,
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
        self.stats.figures(&ledger.figures(), ledger.closed_for(Discard::Aborted));
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
                tokio::task::spawn_local(reap(me));
            }
        }
    }

    /// Warns once when somebody has waited for [`STARVING`].
    fn watch_waiters(&self) {
        if self.warned.borrow().contains(&Warning::Starving) || self.watching.replace(true) {
            return;
        }
        let me = Weak::clone(&self.me);
        tokio::task::spawn_local(async move {
            let mut next = now() + STARVING;
            loop {
                tokio::time::sleep_until(next.into()).await;
                let Some(pool) = me.upgrade() else { return };
                let oldest = pool.seats.borrow().values().map(|seat| seat.since).min();
                match oldest {
                    None => return pool.watching.set(false),
                    Some(since) if since + STARVING > now() => next = since + STARVING,
                    Some(_) => return pool.warn(Warning::Starving),
                }
            }
        });
    }

    /// Says it once.
    pub(crate) fn warn(&self, warning: Warning) {
        if !self.warned.borrow().contains(&warning) {
            self.warned.borrow_mut().push(warning);
            self.shared.observer.warn(warning, self);
        }
    }

    /// Opens connections until `count` are there, and sends nothing.
    pub async fn warm(self: &Rc<Self>, count: u32) -> Result<(), Error> {
        let connect = self.settings.timeout.connect.and_then(span);
        let there = self.ledger.borrow().figures();
        let mut dials = tokio::task::JoinSet::new();
        for _ in (there.idle + there.leased)..count {
            let Some(lease) = self.ledger.borrow_mut().reserve() else { break };
            let pool = Rc::clone(self);
            dials.spawn_local(async move {
                let progress = Cell::new(Phase::Connect);
                let held = pool.dial_for(lease, connect, &progress).await?;
                held.keep();
                Ok(())
            });
        }
        let mut outcome = Ok(());
        while let Some(joined) = dials.join_next().await {
            let one = joined.unwrap_or_else(|error| Err(internal(format!("a dial ended in a panic: {error}"))));
            outcome = outcome.and(one);
        }
        if !self.is_open() {
            return Err(closed());
        }
        outcome
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

    /// Enters a call among those in flight.
    pub fn begin_call(self: &Rc<Self>, started: Instant) -> Call {
        let mut calls = self.calls.borrow_mut();
        let place = calls.begin(started);
        if self.stats.in_flight.get() == 0 {
            self.stats.set_oldest(Some(started));
        }
        self.stats.in_flight.add(1);
        drop(calls);
        Call { pool: Rc::clone(self), place }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Nobody can ask any more; connections go with the ledger, their drivers are aborted by their own drop.
        for driver in self.live.get_mut().values() {
            driver.abort();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = self.pool.calls.borrow_mut();
        let stats = &self.pool.stats;
        stats.in_flight.set(stats.in_flight.get().saturating_sub(1));
        if calls.end(&self.place) {
            stats.set_oldest(calls.oldest());
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

/// Why hyper gave up a connection between exchanges.
fn why_ended(connection: &Connection) -> Discard {
    if connection.tap.eof() { Discard::PeerClosed } else { Discard::Poisoned }
}

fn closed() -> Error {
    Error::new(Kind::PoolClosed, "Pool is closed.").in_phase(Phase::Pool)
}

fn internal(message: impl Into<String>) -> Error {
    Error::new(Kind::Internal, message)
}

fn connect_timeout(host: &str, most: Duration, phase: Phase) -> Error {
    Error::new(
        Kind::ConnectTimeout,
        format!("Connection to {host} timed out. (connect timeout={} ms)", milliseconds(most)),
    )
    .in_phase(phase)
}

/// A waiter that has waited so long is worth a word.
const STARVING: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
