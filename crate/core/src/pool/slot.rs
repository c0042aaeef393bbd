//! From a call to a connection of its own: a slot of the pool, leave to dial from the pool's group, and the connection
//! itself, idle or fresh; and the way back.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::fleet::Returning;
use ferropool_policy::ledger::{Checkout, Discard, Granted, Lease, Life, Released, Returned, Ticket};
use ferropool_policy::settings::span;
use tokio::time::timeout_at;

use super::dials::Patience;
use super::group::{Berth, Permit};
use super::held::{Held, Leased};
use super::seat::{Seat, Waiting};
use super::shared::Terms;
use super::{Pool, Wanted, Warning, closed, internal};
use crate::client::ask::Asker;
use crate::clock::{milliseconds, now};
use crate::conn::connection::Connection;

/// What came of a dial.
enum Came {
    /// A connection.
    Made(Held),
    /// Nothing: the system is short of something, and the pool has a connection by now that nobody uses.
    Short(Lease, Permit),
}

/// A slot, and what it is good for.
pub(super) enum Slot {
    /// An idle connection, to be looked at.
    Use(Lease, Connection, Life),
    /// To be dialled in.
    Dial(Lease, Permit),
}

/// Until when a call waits for a connection, and the span that it was computed from (`poolTimeout`).
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// When it is over.
    pub at: Instant,
    /// What the caller set.
    pub span: Duration,
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "poolTimeout={} ms", milliseconds(self.span))
    }
}

impl Pool {
    /// A connection for a request to this host (`host:port`): idle, fresh, or after a wait of at most `until`. `connect` bounds the dial; `progress`
    /// says which phase is under way for whoever owns the total deadline; `asker` knows addresses.
    ///
    /// # Errors
    /// `EmptyPoolError`, `ClosedPoolError`, and what dialling meets.
    pub async fn checkout(
        self: &Rc<Self>,
        host: &str,
        until: Option<Deadline>,
        connect: Option<Duration>,
        progress: &Cell<Phase>,
        wanted: Wanted,
        asker: Option<&dyn Asker>,
    ) -> Result<Leased, Error> {
        progress.set(Phase::Pool);
        let Some(gate) = &self.group.gate else {
            if let Some(stream) = self.take_stream() {
                return Ok(Leased::Stream(stream));
            }
            if self.streams.is_some() {
                return Box::pin(self.lease(Terms { until, connect, progress, wanted, asker })).await;
            }
            let slot = self.slot(until, wanted).await?;
            return self.make_fit(slot, wanted, connect.map(Patience::whole), progress, asker).await.map(Leased::Alone);
        };
        // Boxed: few pools have manners to mind.
        Box::pin(async {
            loop {
                let leased = if self.streams.is_some() {
                    let terms = Terms { until, connect, progress, wanted, asker };
                    gate.pass(self, host, until, async || self.lease(terms).await, Leased::keep).await?
                } else {
                    let slot = gate
                        .pass(self, host, until, async || self.slot(until, wanted).await, |slot| self.return_slot(slot))
                        .await?;
                    Leased::Alone(self.make_fit(slot, wanted, connect.map(Patience::whole), progress, asker).await?)
                };
                progress.set(Phase::Pool);
                match gate.depart(self, host, until).await {
                    Ok(true) => return Ok(leased),
                    Ok(false) => leased.keep(),
                    Err(error) => {
                        leased.keep();
                        return Err(error);
                    }
                }
            }
        })
        .await
    }

    /// A slot, in which somebody may have to dial.
    pub(super) async fn slot(self: &Rc<Self>, until: Option<Deadline>, wanted: Wanted) -> Result<Slot, Error> {
        let arrival = self.group.arrival();
        let found = self.ledger.borrow_mut().checkout(now(), &mut self.expired.borrow_mut());
        self.bury();
        let granted = match found {
            Checkout::Use(lease, connection, life) => Granted::Use(lease, connection, life),
            Checkout::Dial(lease) if self.group.is_pressed() && self.is_crowded(0) => {
                self.give_back(lease, Returned::Gone(Discard::Aborted));
                return Err(self.too_many());
            }
            Checkout::Dial(lease) => Granted::Dial(lease),
            Checkout::Wait(ticket) if self.is_crowded(1) => {
                self.ledger.borrow_mut().cancel(ticket);
                return Err(self.too_many());
            }
            Checkout::Wait(ticket) => Box::pin(self.wait(ticket, arrival, until)).await?,
            Checkout::Full => return Err(self.too_many()),
            Checkout::Closed => return Err(closed()),
        };
        self.sync();
        match granted {
            Granted::Use(lease, connection, _) if wanted == Wanted::Fresh => {
                // The connection that takes its place has its leave: it does not stand in line with it.
                let permit = Permit::of(&connection);
                connection.close(Discard::Stale);
                match self.ledger.borrow_mut().redial(lease, Discard::Stale) {
                    Checkout::Dial(lease) => Ok(Slot::Dial(lease, permit)),
                    _ => Err(internal("a held slot was not to be dialled in")),
                }
            }
            Granted::Use(lease, connection, life) => Ok(Slot::Use(lease, connection, life)),
            Granted::Dial(lease) => self.permitted(lease, arrival, until).await,
        }
    }

    /// Leave to dial in a slot that is held; or a connection that came back meanwhile.
    async fn permitted(self: &Rc<Self>, lease: Lease, arrival: u64, until: Option<Deadline>) -> Result<Slot, Error> {
        if self.group.is_unbounded() {
            return Ok(Slot::Dial(lease, Permit::none()));
        }
        let mut held = Held::empty(Rc::clone(self), lease);
        let berth = Box::pin(self.group.berth(self, arrival));
        let berth = match until {
            None => berth.await,
            Some(end) => timeout_at(end.at.into(), berth).await.map_err(|_| self.group.full(end))?,
        };
        self.sync();
        let Some(own) = held.lease.take() else { return Err(internal("a lease was lost")) };
        match berth {
            Some(Berth::Permit(permit)) => Ok(Slot::Dial(own, permit)),
            Some(Berth::Connection(lease, connection, life)) => {
                // Its own slot, where nothing was dialled, is free for the next.
                self.give_back(own, Returned::Gone(Discard::Aborted));
                Ok(Slot::Use(lease, connection, life))
            }
            None => {
                self.give_back(own, Returned::Gone(Discard::Aborted));
                Err(closed())
            }
        }
    }

    /// Takes the first connection that is fit, or dials: never waits for a slot, since one is held.
    pub(super) async fn make_fit(
        self: &Rc<Self>,
        mut slot: Slot,
        wanted: Wanted,
        connect: Option<Patience>,
        progress: &Cell<Phase>,
        asker: Option<&dyn Asker>,
    ) -> Result<Held, Error> {
        loop {
            let (lease, connection, life) = match slot {
                Slot::Use(lease, connection, life) => (lease, connection, life),
                // Boxed: dialling is rare, and its state would make every call's task larger.
                Slot::Dial(lease, permit) => {
                    match Box::pin(self.dial_for(lease, permit, connect, progress, asker)).await? {
                        Came::Made(held) => return Ok(held),
                        Came::Short(lease, permit) => {
                            slot = self.another(lease, Discard::Failed, permit)?;
                            continue;
                        }
                    }
                }
            };
            let mut held = Held {
                pool: Rc::clone(self),
                lease: Some(lease),
                reused: life.requests > 0,
                life,
                connection: Some(connection),
                dial: None,
            };
            let unfit = match held.connection()? {
                connection if wanted != Wanted::Any && connection.tap.speaks_http_10() => Some(Discard::NotReusable),
                connection => connection.stale().await,
            };
            match unfit {
                None => return Ok(held),
                Some(why) => {
                    let Some(lease) = held.lease.take() else { return Err(internal("a lease was lost")) };
                    let mut permit = Permit::none();
                    if let Some(connection) = held.connection.take() {
                        permit = Permit::of(&connection);
                        connection.close(why);
                    }
                    drop(held);
                    slot = self.another(lease, why, permit)?;
                }
            }
        }
    }

    /// The same slot with another idle connection, or to dial in.
    fn another(&self, lease: Lease, why: Discard, permit: Permit) -> Result<Slot, Error> {
        let again = self.ledger.borrow_mut().retake(lease, why, now(), &mut self.expired.borrow_mut());
        self.bury();
        match again {
            Checkout::Use(lease, connection, life) => Ok(Slot::Use(lease, connection, life)),
            Checkout::Dial(lease) => Ok(Slot::Dial(lease, permit)),
            Checkout::Closed => Err(closed()),
            Checkout::Wait(_) | Checkout::Full => Err(internal("a held slot was asked to wait")),
        }
    }

    async fn dial_for(
        self: &Rc<Self>,
        lease: Lease,
        permit: Permit,
        connect: Option<Patience>,
        progress: &Cell<Phase>,
        asker: Option<&dyn Asker>,
    ) -> Result<Came, Error> {
        let mut held = Held::empty(Rc::clone(self), lease);
        let made = tokio::select! {
            biased;
            () = self.until_forced() => return Err(closed()),
            made = self.connect(connect, progress, asker) => made?,
        };
        let Some((connection, spans)) = made else {
            let lease = held.lease.take().ok_or_else(|| internal("a lease was lost"))?;
            return Ok(Came::Short(lease, permit));
        };
        if !permit.is_none() {
            // It lives as long as the socket.
            connection.tap.keep(Box::new(permit));
        }
        if let Some(lease) = &mut held.lease {
            self.ledger.borrow_mut().dialled(lease);
        }
        held.life = Life::new(now());
        held.connection = Some(connection);
        held.dial = Some(spans);
        self.sync();
        Ok(Came::Made(held))
    }

    async fn wait(
        self: &Rc<Self>,
        ticket: Ticket,
        arrival: u64,
        until: Option<Deadline>,
    ) -> Result<Granted<Connection>, Error> {
        let seat = Seat::new(now(), arrival);
        self.seats.borrow_mut().insert(ticket, Rc::clone(&seat));
        self.sync();
        self.watch_waiters();
        let waiting = Waiting { pool: self, ticket, seat };
        let granted = match until {
            None => waiting.seat.granted().await,
            Some(end) => timeout_at(end.at.into(), waiting.seat.granted()).await.map_err(|_| self.empty(end))?,
        };
        granted.ok_or_else(closed)
    }

    /// A slot comes back.
    pub(super) fn give_back(&self, lease: Lease, returned: Returned<Connection>) {
        let returned = match returned {
            Returned::Reusable(connection, life) if self.group.is_pressed() => {
                match self.pressed(lease, connection, life) {
                    Some((lease, returned)) => return self.take_in(lease, returned),
                    None => return self.settled(),
                }
            }
            other => other,
        };
        self.take_in(lease, returned);
    }

    fn take_in(&self, lease: Lease, returned: Returned<Connection>) {
        let released = self.ledger.borrow_mut().release(lease, returned, now());
        self.settle(released);
        self.settled();
    }

    fn settled(&self) {
        self.sync();
        self.plan_reaping();
        if !self.is_open() && self.figures().leased == 0 {
            self.drained.notify_waiters();
        }
    }

    /// A connection comes back while calls stand in the group's line: whose turn is it? What is left to give back.
    fn pressed(&self, lease: Lease, connection: Connection, life: Life) -> Option<(Lease, Returned<Connection>)> {
        let own = self.ledger.borrow().first_waiting();
        let own = own.and_then(|ticket| self.seats.borrow().get(&ticket).map(|seat| seat.arrival));
        match self.group.returning(self.member, own) {
            Returning::Keep => Some((lease, Returned::Reusable(connection, life))),
            Returning::Close => {
                connection.close(Discard::Evicted);
                Some((lease, Returned::Gone(Discard::Evicted)))
            }
            Returning::HandTo(ticket) => match self.ledger.borrow_mut().pass_on(lease, &life, now()) {
                Ok(lease) => match self.group.hand_to(ticket, Berth::Connection(lease, connection, life)) {
                    Err(Berth::Connection(lease, connection, life)) => {
                        Some((lease, Returned::Reusable(connection, life)))
                    }
                    Ok(()) | Err(Berth::Permit(_)) => None,
                },
                // Its time is up: the waiter dials in its place, with its permit.
                Err((lease, why)) => {
                    self.group.stand_again(ticket, self.member);
                    connection.close(why);
                    Some((lease, Returned::Gone(why)))
                }
            },
        }
    }

    fn settle(&self, released: Released<Connection>) {
        let Released { close, grant } = released;
        let kept = close.is_none() && grant.is_none();
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
        if kept {
            self.group.idle(self.member, now());
        }
    }

    /// What was granted to somebody who is gone goes to the next.
    pub(super) fn take_back(&self, granted: Granted<Connection>) {
        match granted {
            Granted::Use(lease, connection, life) => self.give_back(lease, Returned::Reusable(connection, life)),
            Granted::Dial(lease) => self.give_back(lease, Returned::Gone(Discard::Aborted)),
        }
    }

    /// Gives a slot back that nobody needs after all.
    fn return_slot(&self, slot: Slot) {
        match slot {
            Slot::Use(lease, connection, life) => self.give_back(lease, Returned::Reusable(connection, life)),
            Slot::Dial(lease, permit) => {
                drop(permit);
                self.give_back(lease, Returned::Gone(Discard::Aborted));
            }
        }
    }

    /// Opens connections until `count` are there, and sends nothing. What the group has no leave for stays unmade.
    pub async fn warm(self: &Rc<Self>, count: u32, asker: Option<Rc<dyn Asker>>) -> Result<(), Error> {
        let connect = self.settings.timeout.connect.and_then(span).map(Patience::whole);
        let there = self.ledger.borrow().figures();
        let mut dials = tokio::task::JoinSet::new();
        for _ in (there.idle + there.leased)..count {
            let Some(permit) = self.group.spare() else { break };
            let Some(lease) = self.ledger.borrow_mut().reserve() else { break };
            let (pool, asker) = (Rc::clone(self), asker.clone());
            dials.spawn_local(async move {
                let progress = Cell::new(Phase::Connect);
                match pool.dial_for(lease, permit, connect, &progress, asker.as_deref()).await? {
                    Came::Made(held) => held.keep(),
                    Came::Short(lease, _) => pool.give_back(lease, Returned::Gone(Discard::Aborted)),
                }
                Ok(())
            });
        }
        self.sync();
        let mut outcome = Ok(());
        while let Some(joined) = dials.join_next().await {
            let one = joined.unwrap_or_else(|error| Err(internal(format!("a dial ended in a panic: {error}"))));
            outcome = outcome.and(one.map_err(|mut error| {
                error.fields_mut().host.get_or_insert_with(|| self.name.clone());
                error
            }));
        }
        if !self.is_open() {
            return Err(closed());
        }
        outcome
    }

    /// Since when the connection is idle that has been so longest.
    pub(super) fn oldest_idle(&self) -> Option<Instant> {
        self.ledger.borrow().oldest_idle()
    }

    /// Closes the connection that has been idle longest: another pool has more need of it.
    pub(super) fn evict_one(&self) {
        let gone = self.ledger.borrow_mut().evict_oldest(Discard::Evicted);
        if let Some(connection) = gone {
            connection.close(Discard::Evicted);
        }
        self.sync();
    }

    /// Whether as many wait as may, for a slot or for leave to dial in one; `own` of them is who asks.
    fn is_crowded(&self, own: u32) -> bool {
        let most = self.settings.max_waiting;
        most != 0 && self.ledger.borrow().figures().waiting - own + self.group.waiting_of(self.member) >= most
    }

    /// POOL-07's words, and the two figures that they are about.
    pub(super) fn empty(&self, end: Deadline) -> Error {
        late(format!(
            "Pool is empty and a new connection can't be opened due to blocking mode. ({end}, maxsize={})",
            self.settings.maxsize
        ))
    }

    /// Whoever stands before a call had no connection in time: the pool's own bound is the reason, where it has one.
    pub(super) fn crowded(&self, end: Deadline) -> Error {
        if self.settings.block || self.group.is_unbounded() { self.empty(end) } else { self.group.full(end) }
    }

    pub(super) fn too_many(&self) -> Error {
        Error::new(
            Kind::PoolEmpty,
            format!("Pool is empty and {} requests wait already (maxWaiting).", self.settings.max_waiting),
        )
        .in_phase(Phase::Pool)
    }
}

/// Nothing was there in time, for this reason.
pub(super) fn late(why: String) -> Error {
    Error::new(Kind::PoolEmpty, why).in_phase(Phase::Pool)
}
