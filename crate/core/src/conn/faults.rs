//! Faults of a connection's I/O on purpose: "the third read fails", "the first write never ends". Compiled only with the
//! feature `faults`, never into a published binary; inert until a test arms it, and only on the thread that did.
//!
//! Reads and writes are counted over all connections of the thread, so that a fault can hit a replay or a second
//! connection of the same scenario as well.

use std::cell::Cell;
use std::io;
use std::task::{Context, Poll};

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// From the peer.
    Read,
    /// To the peer.
    Write,
}

/// What happens instead of what should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error of this kind; a real connection would be broken for ever, and so is this one.
    Error(io::ErrorKind),
    /// The end of the stream; for a write, that the kernel takes nothing.
    Eof,
    /// One byte passes where more could.
    Short,
    /// Nothing ever happens again.
    Stall,
}

/// A fault and the moment that it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// Reads or writes.
    pub side: Side,
    /// Which of them, from 1.
    pub nth: u32,
    /// What happens.
    pub fault: Fault,
}

thread_local! {
    static ARMED: Cell<Option<Strike>> = const { Cell::new(None) };
    static COUNTS: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// Sets what goes wrong on this thread from now on, and counts from 0 again.
pub fn arm(strike: Option<Strike>) {
    ARMED.set(strike);
    COUNTS.set((0, 0));
}

/// Reads and writes that were tried on this thread since [`arm`].
pub fn counts() -> (u32, u32) {
    COUNTS.get()
}

/// A connection's own part of what goes wrong: what has struck it once stays.
#[derive(Debug, Default)]
pub struct Plan {
    read: Option<Fault>,
    write: Option<Fault>,
}

impl Plan {
    /// For a connection that is about to be used.
    #[must_use]
    pub fn for_connection() -> Self {
        Self::default()
    }

    /// A read is tried: how many bytes may pass at most, 0 being the end of the stream.
    pub fn on_read(&mut self, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        strike(Side::Read, &mut self.read)
    }

    /// A write is tried: how many bytes may pass at most.
    pub fn on_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        strike(Side::Write, &mut self.write)
    }
}

/// A stall keeps no waker: whoever waits is ended by its own clock, which is what the test wants to see.
fn strike(side: Side, struck: &mut Option<Fault>) -> Poll<io::Result<usize>> {
    let (mut reads, mut writes) = COUNTS.get();
    let nth = match side {
        Side::Read => &mut reads,
        Side::Write => &mut writes,
    };
    *nth += 1;
    let hit = ARMED.get().filter(|armed| armed.side == side && armed.nth == *nth).map(|armed| armed.fault);
    COUNTS.set((reads, writes));
    match hit {
        Some(Fault::Short) => return Poll::Ready(Ok(1)),
        Some(lasting) => *struck = Some(lasting),
        None => {}
    }
    match *struck {
        None | Some(Fault::Short) => Poll::Ready(Ok(usize::MAX)),
        Some(Fault::Error(kind)) => Poll::Ready(Err(io::Error::new(kind, "injected"))),
        Some(Fault::Eof) => Poll::Ready(Ok(0)),
        Some(Fault::Stall) => Poll::Pending,
    }
}
