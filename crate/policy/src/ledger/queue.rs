//! Who waits, in order. A doubly linked list whose links are indices into one vector: joining, leaving from any place
//! and being served are O(1), and a place that was left is used again, so nothing is allocated once the queue has been
//! as long as it gets. A place's serial number is never used twice, so a ticket that outlived its place is recognised.

/// A waiter's place in the queue.
///
/// Copies are harmless: once the place was granted, cancelled or let go, every copy is stale and means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    serial: u64,
    seat: u32,
}

impl Ticket {
    /// A small number that no other waiter has at the same time, and a later one may have again: an index for whatever
    /// the caller keeps beside each waiter.
    #[must_use]
    pub fn seat(self) -> usize {
        self.seat as usize
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    seats: Vec<Seat>,
    first: u32,
    last: u32,
    /// Head of the list of empty seats, linked by `next`.
    vacant: u32,
    length: u32,
    /// Of the waiter that joined last.
    serial: u64,
}

#[derive(Debug)]
struct Seat {
    /// Of the waiter that sits here; `EMPTY` when nobody does.
    serial: u64,
    previous: u32,
    next: u32,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { seats: Vec::new(), first: NOBODY, last: NOBODY, vacant: NOBODY, length: 0, serial: EMPTY }
    }

    pub(crate) fn len(&self) -> u32 {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Joins at the end. `None` when there are as many waiters as can be numbered.
    pub(crate) fn push(&mut self) -> Option<Ticket> {
        let seat = if self.vacant == NOBODY {
            let seat = u32::try_from(self.seats.len()).ok().filter(|&seat| seat != NOBODY)?;
            self.seats.push(Seat { serial: EMPTY, previous: NOBODY, next: NOBODY });
            seat
        } else {
            let seat = self.vacant;
            self.vacant = self.seats[seat as usize].next;
            seat
        };
        self.serial += 1;
        self.seats[seat as usize] = Seat { serial: self.serial, previous: self.last, next: NOBODY };
        match self.last {
            NOBODY => self.first = seat,
            last => self.seats[last as usize].next = seat,
        }
        self.last = seat;
        self.length += 1;
        Some(Ticket { serial: self.serial, seat })
    }

    /// The one who has waited longest.
    pub(crate) fn first(&self) -> Option<Ticket> {
        let seat = self.seats.get(self.first as usize)?;
        Some(Ticket { serial: seat.serial, seat: self.first })
    }

    /// Everybody, in order.
    pub(crate) fn tickets(&self) -> impl Iterator<Item = Ticket> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            let at = next;
            let seat = self.seats.get(at as usize)?;
            next = seat.next;
            Some(Ticket { serial: seat.serial, seat: at })
        })
    }

    /// The one who has waited longest leaves.
    pub(crate) fn pop(&mut self) -> Option<Ticket> {
        if self.is_empty() {
            return None;
        }
        let ticket = Ticket { serial: self.seats[self.first as usize].serial, seat: self.first };
        self.unlink(self.first);
        Some(ticket)
    }

    /// Leaves from any place; false if the ticket's holder waits no more.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> bool {
        let waits = self.seats.get(ticket.seat()).is_some_and(|seat| seat.serial == ticket.serial);
        if waits {
            self.unlink(ticket.seat);
        }
        waits
    }

    /// Everybody leaves, in order, and the memory goes too.
    pub(crate) fn clear(&mut self) -> Vec<Ticket> {
        let mut waiters = Vec::with_capacity(self.length as usize);
        while let Some(ticket) = self.pop() {
            waiters.push(ticket);
        }
        self.seats = Vec::new();
        self.vacant = NOBODY;
        waiters
    }

    /// What the places take.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.seats.capacity() * size_of::<Seat>()
    }

    fn unlink(&mut self, seat: u32) {
        let Seat { previous, next, .. } = self.seats[seat as usize];
        match previous {
            NOBODY => self.first = next,
            previous => self.seats[previous as usize].next = next,
        }
        match next {
            NOBODY => self.last = previous,
            next => self.seats[next as usize].previous = previous,
        }
        self.seats[seat as usize] = Seat { serial: EMPTY, previous: NOBODY, next: self.vacant };
        self.vacant = seat;
        self.length -= 1;
    }
}

/// No seat: the end of a list.
const NOBODY: u32 = u32::MAX;

/// The serial number of an empty seat; waiters count from 1.
const EMPTY: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: usize) -> (Queue, Vec<Ticket>) {
        let mut queue = Queue::new();
        let tickets = (0..count).map(|_| queue.push().unwrap()).collect();
        (queue, tickets)
    }

    #[test]
    fn those_who_wait_leave_in_the_order_they_came() {
        let (mut queue, tickets) = filled(3);
        assert_eq!(queue.len(), 3);
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), tickets);
        assert!(queue.is_empty());
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn anybody_may_leave_from_any_place_once() {
        for gone in 0..4 {
            let (mut queue, mut tickets) = filled(4);
            assert!(queue.remove(tickets[gone]));
            assert!(!queue.remove(tickets[gone]), "a second time");
            tickets.remove(gone);
            tickets.push(queue.push().unwrap());
            assert_eq!(queue.len(), 4);
            assert_eq!(queue.tickets().collect::<Vec<_>>(), tickets, "without {gone}");
            assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), tickets, "without {gone}");
        }
    }

    #[test]
    fn a_ticket_means_nothing_to_the_next_who_sits_there() {
        let (mut queue, tickets) = filled(1);
        assert_eq!(queue.pop(), Some(tickets[0]));
        let next = queue.push().unwrap();
        assert_eq!(next.seat(), tickets[0].seat());
        assert!(!queue.remove(tickets[0]));
        assert_eq!(queue.pop(), Some(next));
    }

    #[test]
    fn everybody_leaves_at_once_and_old_tickets_stay_stale() {
        let (mut queue, tickets) = filled(3);
        assert_eq!(queue.clear(), tickets);
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
        let next = queue.push().unwrap();
        assert!(tickets.iter().all(|&ticket| !queue.remove(ticket)));
        assert_eq!(queue.pop(), Some(next));
        assert!(queue.clear().is_empty());
    }
}
