//! Streams on shared connections (HTTP/2) as pure state: which connection a request's stream goes on, who waits for one,
//! and who is to get another connection for all of them.
//!
//! A connection that carries streams holds one lease of the [`Ledger`](crate::ledger::Ledger), however many they are, so
//! `maxsize` counts connections. This is the layer above: the ledger knows connections, this knows their slots.
//!
//! ```text
//!   checkout ─┬─ a connection has room ─────────────► Stream ─ release ─┬─ a waiter ──────────► grant Stream
//!             ├─ somebody gets a connection already ► Wait              ├─ more are open ─────► nothing
//!             ├─ nobody does ───────────────────────► Open              ├─ the last, usable ──► Idle: to the ledger
//!             └─ the peer speaks HTTP/1.1 ──────────► Alone             └─ the last, draining ► Spent: to be closed
//! ```
//!
//! What holds after each call:
//! - nobody waits while a connection has room, so a newcomer can never overtake;
//! - somebody waits only while a connection is being got, or while a new one has not said yet how many it takes: one at a
//!   time, so that a second one is made only when the first is full (and not because a hundred asked at once);
//! - a connection without streams is not here but with the ledger.

use crate::ledger::{Queue, Ticket};

/// The streams of one pool. `C` is the caller's handle of a connection: cheap to clone.
#[derive(Debug)]
pub struct Streams<C> {
    carriers: Vec<Carrier<C>>,
    queue: Queue,
    /// Callers that were told to get a connection and have not said yet what came of it: those who have not begun are in the
    /// queue still.
    opening: u32,
    peer: Peer,
}

/// What the peer speaks, as far as is known. A connect or a handshake that fails teaches nothing (H2-05).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Unknown,
    Multiplexes,
    DoesNot,
}

#[derive(Debug)]
struct Carrier<C> {
    id: u32,
    connection: C,
    open: u32,
    room: Room,
    draining: bool,
}

/// How many streams a connection may carry at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The peer has not said yet (RFC 9113 §6.5.2): one goes ahead, the others wait for its word.
    Unsaid,
    /// So many; 0 is possible, for a while.
    Most(u32),
}

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkout<C> {
    /// A stream on this connection.
    Stream(C),
    /// It is to get a connection, for itself and those behind it, and stands in the line meanwhile: see
    /// [`Streams::begin`], [`Streams::opened`], [`Streams::failed`], [`Streams::forgone`].
    Open(Ticket),
    /// To wait.
    Wait(Ticket),
    /// A connection of its own: the peer speaks no HTTP/2.
    Alone,
    /// More wait than can be numbered.
    Full,
}

/// What a waiter is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted<C> {
    /// A stream on this connection.
    Stream(C),
    /// Its turn to get a connection; it stands in the line on.
    Open,
    /// To get a connection of its own.
    Alone,
}

/// Who is given what.
pub type Grants<C> = Vec<(Ticket, Granted<C>)>;

/// What becomes of a connection when a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left<C> {
    /// It carries others.
    Busy,
    /// It carries none, and can carry more: to the ledger.
    Idle(C),
    /// It carries none, and takes no more: to be closed.
    Spent(C),
}

impl<C: Clone> Streams<C> {
    /// Of a peer of whom nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self { carriers: Vec::new(), queue: Queue::new(), opening: 0, peer: Peer::Unknown }
    }

    /// A request needs a stream.
    pub fn checkout(&mut self) -> Checkout<C> {
        if self.queue.is_empty()
            && let Some(connection) = self.take()
        {
            return Checkout::Stream(connection);
        }
        if self.peer == Peer::DoesNot {
            return Checkout::Alone;
        }
        let Some(ticket) = self.queue.push() else { return Checkout::Full };
        if self.may_open() {
            self.opening += 1;
            Checkout::Open(ticket)
        } else {
            Checkout::Wait(ticket)
        }
    }

    /// Who was told to get a connection has one in hand, or the leave to dial: it leaves the line, and its stream will be the
    /// new connection's first.
    pub fn begin(&mut self, ticket: Ticket) {
        self.queue.remove(ticket);
    }

    /// It came: a connection that carries streams, the first of them the caller's. True if it has that; false if the peer
    /// takes none for the moment.
    pub fn opened(&mut self, id: u32, connection: C, room: Room) -> (bool, Grants<C>) {
        self.opening = self.opening.saturating_sub(1);
        self.came(id, connection, room)
    }

    /// The same of a connection that nobody was told to get: one for an exchange alone, of a peer that has learnt HTTP/2.
    pub fn came(&mut self, id: u32, connection: C, room: Room) -> (bool, Grants<C>) {
        self.peer = Peer::Multiplexes;
        let mut carrier = Carrier { id, connection, open: 0, room, draining: false };
        let taken = carrier.has_room();
        carrier.open += u32::from(taken);
        self.carriers.push(carrier);
        (taken, self.deal())
    }

    /// It came, and carries one exchange at a time: so does every other of this peer. Who was told to get one for all, and has
    /// not begun, says [`Streams::forgone`] as ever.
    pub fn alone(&mut self) -> Grants<C> {
        self.opening = self.opening.saturating_sub(1);
        self.peer = Peer::DoesNot;
        self.queue.clear().into_iter().map(|ticket| (ticket, Granted::Alone)).collect()
    }

    /// It did not come. While there is no other connection, those who waited for it try for themselves, all at once: each
    /// would have dialled by itself, and they have waited once already. They stand in the line on: what one of them gets is
    /// for all who have not begun, and before whoever comes later.
    pub fn failed(&mut self) -> Grants<C> {
        self.opening = self.opening.saturating_sub(1);
        if !self.carriers.is_empty() || self.opening > 0 {
            return self.deal();
        }
        self.opening = self.queue.len();
        self.queue.tickets().map(|ticket| (ticket, Granted::Open)).collect()
    }

    /// Who was to get it does not want it any more: the next one is to.
    pub fn forgone(&mut self) -> Grants<C> {
        self.opening = self.opening.saturating_sub(1);
        self.deal()
    }

    /// A waiter gives up. False: it stands in the line no more.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        self.queue.remove(ticket)
    }

    /// A connection that carries none, while nobody waits for it: a peer had no room on it, and whoever waited is gone.
    pub fn unused(&mut self) -> Option<C> {
        let at = self.queue.is_empty().then(|| self.carriers.iter().position(|carrier| carrier.open == 0))??;
        Some(self.carriers.swap_remove(at).connection)
    }

    /// A stream of this connection has ended, in whatever way. A connection that is not known here any more is
    /// [`Left::Busy`]: whoever took it off saw to it.
    pub fn release(&mut self, id: u32) -> (Left<C>, Grants<C>) {
        let Some(at) = self.carriers.iter().position(|carrier| carrier.id == id) else {
            return (Left::Busy, Vec::new());
        };
        let carrier = &mut self.carriers[at];
        carrier.open = carrier.open.saturating_sub(1);
        if carrier.draining && carrier.open == 0 {
            let spent = self.carriers.swap_remove(at);
            return (Left::Spent(spent.connection), self.deal());
        }
        let grants = self.deal();
        if self.carriers[at].open == 0 {
            return (Left::Idle(self.carriers.swap_remove(at).connection), grants);
        }
        (Left::Busy, grants)
    }

    /// The peer said how many streams it takes.
    pub fn resize(&mut self, id: u32, room: Room) -> Grants<C> {
        match self.find(id) {
            Some(carrier) if carrier.room != room => carrier.room = room,
            _ => return Vec::new(),
        }
        self.deal()
    }

    /// The connection takes no new streams: its peer said so, or its time is up. Given back if it carries none.
    pub fn drain(&mut self, id: u32) -> (Option<C>, Grants<C>) {
        match self.find(id) {
            Some(carrier) if !carrier.draining => carrier.draining = true,
            _ => return (None, Vec::new()),
        }
        let empty = self.carriers.iter().position(|carrier| carrier.id == id && carrier.open == 0);
        let spent = empty.map(|at| self.carriers.swap_remove(at).connection);
        (spent, self.deal())
    }

    /// Every connection takes no new streams, and nobody waits any more.
    pub fn close(&mut self) -> Vec<Ticket> {
        for carrier in &mut self.carriers {
            carrier.draining = true;
        }
        self.opening = 0;
        self.queue.clear()
    }

    /// How many wait. Who was told to get a connection is among them until it begins.
    pub fn waiting(&self) -> u32 {
        self.queue.len()
    }

    /// How many connections carry streams, and how many streams.
    pub fn open(&self) -> (u32, u32) {
        (self.carriers.len() as u32, self.carriers.iter().map(|carrier| carrier.open).sum())
    }

    /// A connection that takes new streams, if any does, where fewer than so many run empty already.
    pub fn to_give_up(&self, running_empty: u32) -> Option<u32> {
        let draining = self.carriers.iter().filter(|carrier| carrier.draining).count();
        let first = self.carriers.iter().find(|carrier| !carrier.draining);
        first.filter(|_| draining < running_empty as usize).map(|carrier| carrier.id)
    }

    /// Whether there is a connection, so that waiting is for a slot and not for the first dial.
    pub fn has_carriers(&self) -> bool {
        !self.carriers.is_empty()
    }

    /// The connection of this number, if it carries streams.
    pub fn get(&self, id: u32) -> Option<C> {
        self.carriers.iter().find(|carrier| carrier.id == id).map(|carrier| carrier.connection.clone())
    }

    fn find(&mut self, id: u32) -> Option<&mut Carrier<C>> {
        self.carriers.iter_mut().find(|carrier| carrier.id == id)
    }

    /// A slot on the first connection that has one: the others run empty and become idle. For whoever knows that nobody waits.
    pub fn take(&mut self) -> Option<C> {
        let carrier = self.carriers.iter_mut().find(|carrier| carrier.has_room())?;
        carrier.open += 1;
        Some(carrier.connection.clone())
    }

    /// One at a time; and a peer that takes no streams for now would not take them on another connection either.
    fn may_open(&self) -> bool {
        let pending = |carrier: &Carrier<C>| !carrier.draining && (carrier.room == Room::Unsaid || carrier.open == 0);
        self.opening == 0 && !self.carriers.iter().any(pending)
    }

    /// Gives what there is to those who wait, in their order.
    fn deal(&mut self) -> Grants<C> {
        let mut grants = Vec::new();
        while !self.queue.is_empty()
            && let Some(connection) = self.take()
            && let Some(ticket) = self.queue.pop()
        {
            grants.push((ticket, Granted::Stream(connection)));
        }
        if let Some(first) = self.queue.first()
            && self.may_open()
        {
            self.opening += 1;
            grants.push((first, Granted::Open));
        }
        grants
    }
}

impl<C: Clone> Default for Streams<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Carrier<C> {
    fn has_room(&self) -> bool {
        let most = match self.room {
            Room::Unsaid => 1,
            Room::Most(most) => most,
        };
        !self.draining && self.open < most
    }
}

#[cfg(test)]
mod tests;
