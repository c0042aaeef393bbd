//! Connections that carry streams (HTTP/2): who goes on which, who gets another one for all who wait, and the way back.
//! What is decided is [`Streams`]'s; a connection that carries streams holds one lease of the ledger meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use ferropool_policy::error::{Error, Phase};
use ferropool_policy::ledger::{Discard, Figures, Ticket};
use ferropool_policy::streams::{Checkout, Granted, Grants, Left, Streams};
use tokio::time::timeout_at;

use super::dials::Patience;
use super::held::{Held, Leased};
use super::seat::Seat;
use super::slot::{Deadline, Slot};
use super::stream_lease::{Carrier, StreamCounts, StreamLease};
use super::{Pool, Wanted, closed, internal};
use crate::client::ask::Asker;
use crate::clock::now;
use crate::conn::connection::Sender;

/// What a waiter finds in its seat.
pub(super) type StreamGrant = Granted<Rc<Carrier>>;

/// How the wait for a connection is bounded, and whom it may ask.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) until: Option<Deadline>,
    pub(super) connect: Option<Duration>,
    pub(super) progress: &'a Cell<Phase>,
    pub(super) wanted: Wanted,
    pub(super) asker: Option<&'a dyn Asker>,
}

impl Pool {
    /// A stream on a connection that has room for it, where nobody waits for one.
    pub(super) fn take_stream(self: &Rc<Self>) -> Option<StreamLease> {
        let streams = self.streams.as_ref()?;
        if streams.borrow().waiting() > 0 || !streams.borrow().has_carriers() || !self.is_open() {
            return None;
        }
        self.give_way();
        let carrier = streams.borrow_mut().take()?;
        self.on_carrier(carrier)
    }

    /// A connection that always carries somebody never comes back, however long others stand in the group's line. Whoever comes
    /// now comes after them: a connection for each of them takes no more streams, and goes to them when its last has ended.
    fn give_way(&self) {
        let elsewhere = self.group.waiting_elsewhere(self.member);
        if elsewhere == 0 {
            return;
        }
        let spared = self.streams.as_ref().and_then(|streams| streams.borrow().to_give_up(elsewhere));
        if let Some(id) = spared {
            self.drain_carrier(id);
        }
    }

    /// A stream, or a connection of one's own where the peer speaks HTTP/1.1 only.
    pub(super) async fn lease(self: &Rc<Self>, terms: Terms<'_>) -> Result<Leased, Error> {
        let Some(streams) = &self.streams else { return Err(internal("the pool knows no streams")) };
        loop {
            if !self.is_open() {
                // A connection that came too late, and without room, has nobody to wait for it.
                self.turn_streams_away();
                return Err(closed());
            }
            self.give_way();
            let found = streams.borrow_mut().checkout();
            let leased = match found {
                Checkout::Stream(carrier) => self.on_carrier(carrier).map(Leased::Stream),
                Checkout::Alone => self.own(terms).await?,
                Checkout::Full => return Err(self.too_many()),
                Checkout::Open(ticket) => self.stand(ticket, true, terms).await?,
                Checkout::Wait(ticket) if self.is_crowded_for_streams() => {
                    streams.borrow_mut().cancel(ticket);
                    return Err(self.too_many());
                }
                Checkout::Wait(ticket) => self.stand(ticket, false, terms).await?,
            };
            // None: what was given is over already, or had no room after all.
            if let Some(leased) = leased {
                return Ok(leased);
            }
        }
    }

    /// A connection from the ledger, whatever it speaks.
    async fn own(self: &Rc<Self>, terms: Terms<'_>) -> Result<Option<Leased>, Error> {
        let slot = self.slot(terms.until, terms.wanted).await?;
        self.own_in(slot, terms).await
    }

    /// The same in a slot that is there already.
    async fn own_in(self: &Rc<Self>, slot: Slot, terms: Terms<'_>) -> Result<Option<Leased>, Error> {
        let Terms { connect, progress, wanted, asker, .. } = terms;
        let held = self.make_fit(slot, wanted, connect.map(Patience::whole), progress, asker).await?;
        if held.is_shared() { Ok(self.carry(held, false).map(Leased::Stream)) } else { Ok(Some(Leased::Alone(held))) }
    }

    /// Stands in the line of those who want a stream; `opening` if it is to get a connection for them.
    async fn stand(self: &Rc<Self>, ticket: Ticket, opening: bool, terms: Terms<'_>) -> Result<Option<Leased>, Error> {
        let Terms { until, connect, progress, wanted, asker } = terms;
        let Some(streams) = &self.streams else { return Err(internal("the pool knows no streams")) };
        let seat = Seat::new(now(), 0);
        self.stream_seats.borrow_mut().insert(ticket, Rc::clone(&seat));
        let mut standing = Standing { pool: self, streams, ticket, seat, opening, answered: false };
        self.sync();
        if !opening {
            self.watch_waiters();
        }
        // What the pool had dialled when it began to wait for a dial; and how long it has waited for that.
        let mut mark = None;
        let mut waited = Duration::ZERO;
        let mut ours = std::pin::pin!(self.slot(until, wanted));
        let slot = loop {
            if standing.opening {
                tokio::select! {
                    biased;
                    granted = standing.seat.granted() => match granted {
                        None => return Err(closed()),
                        Some(Granted::Stream(carrier)) => return Ok(self.on_carrier(carrier).map(Leased::Stream)),
                        Some(Granted::Open) => {}
                        Some(Granted::Alone) => break None,
                    },
                    slot = ours.as_mut() => break Some(slot?),
                }
                continue;
            }
            // While there is no connection at all, it is a dial that is waited for.
            let dialled_by = if streams.borrow().has_carriers() {
                mark = None;
                None
            } else {
                let at = now();
                let dialled = self.stream_dials.so_far(at);
                let waited = dialled.saturating_sub(*mark.get_or_insert(dialled));
                connect.and_then(|most| at.checked_add(self.stream_dials.look_again(most, waited)))
            };
            let at = [until.map(|end| end.at), dialled_by].into_iter().flatten().min();
            let granted = match at {
                None => standing.seat.granted().await,
                Some(at) => match timeout_at(at.into(), standing.seat.granted()).await {
                    Ok(granted) => granted,
                    Err(_) => match connect.filter(|_| dialled_by == Some(at)) {
                        // Somebody has given up on that dial meanwhile, or it has come; or who is to make it waited for a slot.
                        Some(most) if streams.borrow().has_carriers() || self.has_dialled_since(mark) < most => {
                            continue;
                        }
                        Some(most) => return Err(self.connect_timeout(most, Phase::Connect)),
                        None => return Err(until.map_or_else(closed, |end| self.empty(end))),
                    },
                },
            };
            match granted {
                None => return Err(closed()),
                Some(Granted::Stream(carrier)) => return Ok(self.on_carrier(carrier).map(Leased::Stream)),
                Some(Granted::Open) => {
                    standing.opening = true;
                    waited = self.has_dialled_since(mark);
                }
                Some(Granted::Alone) => break None,
            }
        };
        let Some(slot) = slot else {
            standing.answered = true;
            drop(standing);
            // Who was to get a connection for all has a place in the ledger's line, and keeps it.
            let slot = ours.as_mut().await?;
            return Box::pin(self.own_in(slot, terms)).await;
        };
        streams.borrow_mut().begin(ticket);
        self.sync();
        let dialling = self.stream_dials.begin(now());
        let patience = connect.map(|most| Patience::less(most, waited));
        let made = self.make_fit(slot, wanted, patience, progress, asker).await;
        drop(dialling);
        match made {
            Ok(held) if held.is_shared() => {
                standing.leave();
                Ok(self.carry(held, true).map(Leased::Stream))
            }
            Ok(held) => {
                standing.leave();
                let grants = streams.borrow_mut().alone();
                self.hand_out(grants);
                Ok(Some(Leased::Alone(held)))
            }
            Err(error) => {
                standing.leave();
                let grants = streams.borrow_mut().failed();
                self.hand_out(grants);
                Err(error)
            }
        }
    }

    /// How long somebody has dialled since this mark, if there is one.
    fn has_dialled_since(&self, mark: Option<Duration>) -> Duration {
        mark.map_or(Duration::ZERO, |mark| self.stream_dials.so_far(now()).saturating_sub(mark))
    }

    /// A connection that somebody got for all: it carries streams from here on, the first of them the caller's if there is
    /// room. `asked`: it was told to get one.
    fn carry(self: &Rc<Self>, held: Held, asked: bool) -> Option<StreamLease> {
        let connection = held.connection.as_ref()?;
        let Sender::Http2(shared) = &connection.sender else { return None };
        let carrier = Rc::new(Carrier {
            info: Rc::clone(&connection.info),
            tap: Rc::clone(&connection.tap),
            shared: Rc::clone(shared),
            used: Cell::new(0),
            held: RefCell::new(None),
        });
        let (reused, dial) = (held.reused, held.dial);
        carrier.held.replace(Some(held));
        let streams = self.streams.as_ref()?;
        let (id, room) = (carrier.info.id, carrier.shared.room());
        let (taken, grants) = if asked {
            streams.borrow_mut().opened(id, Rc::clone(&carrier), room)
        } else {
            streams.borrow_mut().came(id, Rc::clone(&carrier), room)
        };
        let lease = taken.then(|| {
            carrier.shared.open.set(carrier.shared.open.get() + 1);
            StreamLease { pool: Rc::clone(self), carrier: Some(Rc::clone(&carrier)), reused, dial }
        });
        self.hand_out(grants);
        // What it has said while it was on its way here.
        self.connection_changed(carrier.info.id);
        lease
    }

    /// A slot that was given on this connection; `None` if the connection is past its time.
    fn on_carrier(self: &Rc<Self>, carrier: Rc<Carrier>) -> Option<StreamLease> {
        carrier.shared.open.set(carrier.shared.open.get() + 1);
        let spent = match carrier.held.borrow().as_ref() {
            Some(held) => self.ledger.borrow().is_spent(&held.life, now()),
            None => true,
        };
        if spent || carrier.shared.is_over() {
            self.drain_carrier(carrier.info.id);
            self.stream_ended(&carrier);
            return None;
        }
        Some(StreamLease { pool: Rc::clone(self), reused: true, carrier: Some(carrier), dial: None })
    }

    /// A connection has said something about itself: how many streams it takes, or that it takes no more.
    pub(super) fn connection_changed(&self, id: u32) {
        let Some(streams) = &self.streams else { return };
        let found = streams.borrow().get(id);
        match found {
            None => self.sweep(),
            Some(carrier) if carrier.shared.is_over() => self.drain_carrier(id),
            Some(carrier) => {
                let grants = streams.borrow_mut().resize(id, carrier.shared.room());
                self.hand_out(grants);
            }
        }
        self.sync();
    }

    pub(super) fn drain_carrier(&self, id: u32) {
        let Some(streams) = &self.streams else { return };
        let (spent, grants) = streams.borrow_mut().drain(id);
        if let Some(carrier) = spent {
            Self::close_carrier(&carrier);
        }
        self.hand_out(grants);
    }

    pub(super) fn stream_ended(&self, carrier: &Rc<Carrier>) {
        let Some(streams) = &self.streams else { return };
        carrier.shared.open.set(carrier.shared.open.get().saturating_sub(1));
        if let Some(held) = &*carrier.held.borrow() {
            held.count_wire();
        }
        let (left, grants) = streams.borrow_mut().release(carrier.info.id);
        self.hand_out(grants);
        match left {
            Left::Busy => {}
            Left::Idle(carrier) => {
                let held = carrier.held.take();
                if let Some(held) = held {
                    held.keep();
                }
            }
            Left::Spent(carrier) => Self::close_carrier(&carrier),
        }
        self.sync();
    }

    fn close_carrier(carrier: &Carrier) {
        let held = carrier.held.take();
        if let Some(held) = held {
            let why = held.connection.as_ref().map_or(Discard::NotReusable, |connection| {
                if connection.is_over() { connection.why_over() } else { Discard::NotReusable }
            });
            held.discard(why);
        }
    }

    /// Gives everybody what is theirs. Whoever is gone has left it for the next.
    fn hand_out(&self, grants: Grants<Rc<Carrier>>) {
        let Some(streams) = &self.streams else { return };
        let mut left = VecDeque::from(grants);
        while let Some((ticket, granted)) = left.pop_front() {
            let seat = self.stream_seats.borrow().get(&ticket).cloned();
            match (seat, granted) {
                (Some(seat), granted) => {
                    // Who was to get a connection and has not begun is given a stream instead: the next one is to.
                    if let (Some(Granted::Open), false) = (seat.take(), matches!(granted, Granted::Open)) {
                        left.extend(streams.borrow_mut().forgone());
                    }
                    seat.give(granted);
                }
                (None, Granted::Stream(carrier)) => {
                    carrier.shared.open.set(carrier.shared.open.get() + 1);
                    self.stream_ended(&carrier);
                }
                (None, Granted::Open) => left.extend(streams.borrow_mut().forgone()),
                (None, Granted::Alone) => {}
            }
        }
    }

    /// Turns away those who wait for a stream: the pool is closed.
    pub(super) fn turn_streams_away(&self) {
        let Some(streams) = &self.streams else { return };
        let tickets = streams.borrow_mut().close();
        for ticket in tickets {
            let seat = self.stream_seats.borrow_mut().remove(&ticket);
            if let Some(seat) = seat {
                seat.turn_away();
            }
        }
        while let Some(carrier) = { streams.borrow_mut().unused() } {
            Self::close_carrier(&carrier);
        }
    }

    /// How many wait for a stream and are not counted by the ledger or the group.
    pub(super) fn waiting_for_streams(&self) -> u32 {
        let Some(streams) = &self.streams else { return 0 };
        let elsewhere = self.ledger.borrow().figures().waiting + self.group.waiting_of(self.member);
        streams.borrow().waiting().saturating_sub(elsewhere)
    }

    /// Leases, each stream being one: what a caller waits for when the pool is closed.
    pub(super) fn leases(&self) -> u32 {
        let leased = self.figures().leased;
        let Some(streams) = &self.streams else { return leased };
        let (carriers, open) = streams.borrow().open();
        leased.saturating_sub(carriers) + open
    }

    pub(super) fn with_streams(&self, figures: Figures) -> Figures {
        let StreamCounts { reused, abandoned } = self.stream_counts.get();
        Figures { reused: figures.reused + reused, abandoned: figures.abandoned + abandoned, ..figures }
    }

    /// Whether as many wait for a stream as may; who asks is one of them.
    fn is_crowded_for_streams(&self) -> bool {
        let most = self.settings.max_waiting;
        most != 0 && self.streams.as_ref().is_some_and(|streams| streams.borrow().waiting() > most)
    }
}

/// A place in the line for streams; dropped early, it is given up, and what was granted goes to the next.
struct Standing<'p> {
    pool: &'p Rc<Pool>,
    streams: &'p RefCell<Streams<Rc<Carrier>>>,
    ticket: Ticket,
    seat: Rc<Seat<StreamGrant>>,
    /// It was told to get a connection, and nobody knows yet what comes of it.
    opening: bool,
    /// What came of it has been said.
    answered: bool,
}

impl Standing<'_> {
    /// What came of it is said by whoever calls this.
    fn leave(&mut self) {
        self.opening = false;
        self.answered = true;
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.pool.stream_seats.borrow_mut().remove(&self.ticket);
        self.streams.borrow_mut().cancel(self.ticket);
        let granted = self.seat.take();
        let opening = std::mem::take(&mut self.opening) || matches!(granted, Some(Granted::Open));
        if let Some(Granted::Stream(carrier)) = granted {
            carrier.shared.open.set(carrier.shared.open.get() + 1);
            self.pool.stream_ended(&carrier);
        }
        if opening {
            let grants = self.streams.borrow_mut().forgone();
            self.pool.hand_out(grants);
        }
        if self.answered {
            // It comes back to the line, where a connection without room is waited for.
            self.pool.sync();
            return;
        }
        let unused = self.streams.borrow_mut().unused();
        if let Some(held) = unused.and_then(|carrier| carrier.held.take()) {
            held.keep();
        }
        self.pool.sync();
    }
}
