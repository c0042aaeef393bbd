//! The rules by tables, and what always holds by random histories.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::{Checkout, Granted, Left, Room, Streams};
use crate::ledger::Ticket;

type S = Streams<u32>;

fn open(streams: &mut S) -> Ticket {
    match streams.checkout() {
        Checkout::Open(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn wait(streams: &mut S) -> Ticket {
    match streams.checkout() {
        Checkout::Wait(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

/// One connection with so much room, its first stream taken.
fn with_one(most: u32) -> S {
    let mut streams = S::new();
    let ticket = open(&mut streams);
    streams.begin(ticket);
    assert_eq!(streams.opened(1, 1, Room::Most(most)), (true, vec![]));
    streams
}

// H2-05: a peer that speaks HTTP/1.1 at one time and HTTP/2 at another.
#[test]
fn a_connection_that_nobody_was_told_to_get_leaves_it_to_whoever_was() {
    let mut streams = with_one(1);
    let told = open(&mut streams);
    assert_eq!(streams.came(2, 2, Room::Most(1)), (true, vec![]));
    // Else it would be told once more, without end.
    wait(&mut streams);
    streams.begin(told);
    assert!(streams.opened(3, 3, Room::Most(2)).0);
}

// MGR-01: one for each that is missed elsewhere, and none that runs empty already.
#[test]
fn connections_that_are_missed_elsewhere_are_given_up_one_by_one() {
    let mut streams = Streams::new();
    assert_eq!(streams.to_give_up(1), None);
    for id in [1, 2] {
        assert!(streams.opened(id, id, Room::Most(5)).0);
    }
    assert_eq!(streams.to_give_up(0), None);
    assert_eq!(streams.to_give_up(1), Some(1));
    assert_eq!(streams.drain(1), (None, vec![]));
    assert_eq!(streams.to_give_up(1), None);
    assert_eq!(streams.to_give_up(2), Some(2));
    assert_eq!(streams.drain(2), (None, vec![]));
    assert_eq!(streams.to_give_up(3), None);
}

// H2-05: concurrent first requests wait for one dial.
#[test]
fn a_hundred_first_requests_make_one_connection() {
    let mut streams = S::new();
    let first = open(&mut streams);
    let waiting: Vec<_> = (0..99).map(|_| wait(&mut streams)).collect();
    streams.begin(first);
    let (taken, grants) = streams.opened(1, 1, Room::Unsaid);
    assert!(taken);
    // Until the peer has said how many it takes, one goes ahead.
    assert_eq!(grants, []);
    let grants = streams.resize(1, Room::Most(100));
    assert_eq!(grants, waiting.iter().map(|&ticket| (ticket, Granted::Stream(1))).collect::<Vec<_>>());
    assert_eq!(streams.waiting(), 0);
}

// H2-05: a failed connect teaches nothing.
#[test]
fn those_who_waited_for_a_dial_that_failed_try_for_themselves() {
    let mut streams = S::new();
    let first = open(&mut streams);
    let (second, third) = (wait(&mut streams), wait(&mut streams));
    streams.begin(first);
    assert_eq!(streams.failed(), [(second, Granted::Open), (third, Granted::Open)]);
    // Both dial; one who comes now waits for either.
    streams.begin(second);
    streams.begin(third);
    let fourth = wait(&mut streams);
    assert_eq!(streams.opened(1, 1, Room::Most(9)), (true, vec![(fourth, Granted::Stream(1))]));
    assert_eq!(streams.failed(), []);
}

// H2-05, POOL-08: all of them were told to dial, and only one could.
#[test]
fn what_one_of_those_who_try_for_themselves_gets_is_for_the_others_too() {
    let mut streams = S::new();
    let first = open(&mut streams);
    let told: Vec<_> = (0..4).map(|_| wait(&mut streams)).collect();
    streams.begin(first);
    assert_eq!(streams.failed(), told.iter().map(|&ticket| (ticket, Granted::Open)).collect::<Vec<_>>());
    assert_eq!(streams.waiting(), 4);
    let later = wait(&mut streams);
    // A second dial fails: the others try on.
    streams.begin(told[0]);
    assert_eq!(streams.failed(), []);
    streams.begin(told[1]);
    assert_eq!(streams.opened(1, 1, Room::Most(2)), (true, vec![(told[2], Granted::Stream(1))]));
    assert_eq!(streams.forgone(), []);
    // One of them is to get another one already, so nobody else is told.
    let last = wait(&mut streams);
    assert_eq!(streams.release(1), (Left::Busy, vec![(told[3], Granted::Stream(1))]));
    assert_eq!(streams.forgone(), [(later, Granted::Open)]);
    assert_eq!(streams.resize(1, Room::Most(9)), [(later, Granted::Stream(1)), (last, Granted::Stream(1))]);
    assert_eq!((streams.forgone(), streams.waiting()), (vec![], 0));
}

#[test]
fn a_peer_of_http_1_is_found_by_one_of_those_who_try_for_themselves() {
    let mut streams = S::new();
    let first = open(&mut streams);
    let told = [wait(&mut streams), wait(&mut streams), wait(&mut streams)];
    streams.begin(first);
    assert_eq!(streams.failed().len(), 3);
    streams.begin(told[0]);
    assert_eq!(streams.alone(), [(told[1], Granted::Alone), (told[2], Granted::Alone)]);
    for _ in 1..3 {
        assert_eq!(streams.forgone(), []);
    }
    // Nobody is at it any more: one who finds a connection of HTTP/2 full gets another.
    assert_eq!(streams.came(1, 1, Room::Most(1)), (true, vec![]));
    open(&mut streams);
}

#[test]
fn a_peer_of_http_1_gives_everybody_a_connection_of_his_own() {
    let mut streams = S::new();
    let first = open(&mut streams);
    let second = wait(&mut streams);
    streams.begin(first);
    assert_eq!(streams.alone(), [(second, Granted::Alone)]);
    assert_eq!(streams.checkout(), Checkout::Alone);
    // It may learn HTTP/2 later.
    assert_eq!(streams.opened(1, 1, Room::Most(2)), (true, vec![]));
    assert_eq!(streams.checkout(), Checkout::Stream(1));
}

// THR-417: none for now, and no other connection in the meantime.
#[test]
fn a_peer_that_takes_none_for_now_is_waited_for() {
    let mut streams = S::new();
    let first = open(&mut streams);
    streams.begin(first);
    assert_eq!(streams.opened(1, 1, Room::Most(0)), (false, vec![]));
    let (first, second) = (wait(&mut streams), wait(&mut streams));
    // Full, and in use: now another one is worth having.
    assert_eq!(streams.resize(1, Room::Most(1)), [(first, Granted::Stream(1)), (second, Granted::Open)]);
    assert!(streams.cancel(second));
    assert_eq!(streams.forgone(), []);
    assert_eq!(streams.resize(1, Room::Most(0)), []);
    assert_eq!(streams.release(1), (Left::Idle(1), vec![]));
}

// POOL-08 for streams: a second connection only when the first is full; waiters in order of arrival.
#[test]
fn the_first_who_finds_no_room_gets_another_connection_and_the_rest_wait_for_either() {
    let mut streams = with_one(2);
    assert_eq!(streams.checkout(), Checkout::Stream(1));
    let (third, fourth) = (open(&mut streams), wait(&mut streams));
    // A slot becomes free while the third waits for the ledger: it is his.
    assert_eq!(streams.release(1), (Left::Busy, vec![(third, Granted::Stream(1))]));
    assert_eq!(streams.forgone(), [(fourth, Granted::Open)]);
    streams.begin(fourth);
    assert_eq!(streams.opened(2, 2, Room::Most(2)), (true, vec![]));
    assert_eq!(streams.checkout(), Checkout::Stream(2));
}

// THR-402: what is open on a connection that drains goes on; nothing new begins there.
#[test]
fn a_draining_connection_takes_nothing_new_and_goes_with_its_last_stream() {
    let mut streams = with_one(10);
    assert_eq!(streams.checkout(), Checkout::Stream(1));
    assert_eq!(streams.drain(1), (None, vec![]));
    assert_eq!(streams.open(), (1, 2));
    let next = open(&mut streams);
    assert_eq!(streams.release(1), (Left::Busy, vec![]));
    assert_eq!(streams.release(1), (Left::Spent(1), vec![]));
    assert_eq!(streams.open(), (0, 0));
    assert_eq!(streams.release(1), (Left::Busy, vec![]));
    streams.begin(next);
    assert_eq!(streams.opened(2, 2, Room::Most(1)), (true, vec![]));
    assert_eq!(streams.drain(2).0, None);
    assert_eq!(streams.close(), []);
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Checkout,
    Begin(usize),
    Opened(Option<u32>),
    Alone,
    Failed,
    Forgone,
    Cancel(usize),
    Release(usize),
    Resize(usize, u32),
    Drain(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Checkout),
        4 => any::<usize>().prop_map(Event::Begin),
        3 => prop::option::weighted(0.8, 0u32..4).prop_map(Event::Opened),
        1 => Just(Event::Alone),
        2 => Just(Event::Failed),
        1 => Just(Event::Forgone),
        2 => any::<usize>().prop_map(Event::Cancel),
        6 => any::<usize>().prop_map(Event::Release),
        2 => (any::<usize>(), 0u32..4).prop_map(|(at, most)| Event::Resize(at, most)),
        1 => any::<usize>().prop_map(Event::Drain),
    ]
}

/// What a caller of the state knows.
#[derive(Default)]
struct Model {
    waiting: Vec<Ticket>,
    /// Told to get a connection; still in the line.
    told: Vec<Ticket>,
    /// Getting one.
    getting: u32,
    rooms: HashMap<u32, u32>,
    /// Of these nobody has said how many they take.
    unsaid: HashSet<u32>,
    draining: HashSet<u32>,
    open: HashMap<u32, u32>,
    ids: u32,
    alone: bool,
}

impl Model {
    fn takes(&mut self, id: u32) {
        assert!(!self.draining.contains(&id), "a stream on a draining connection");
        let open = self.open.entry(id).or_default();
        *open += 1;
        assert!(*open <= self.rooms[&id], "more streams than the peer takes");
    }

    fn granted(&mut self, grants: Vec<(Ticket, Granted<u32>)>) -> u32 {
        let mut forgone = 0;
        for (ticket, granted) in grants {
            let at = self.waiting.iter().position(|&waiting| waiting == ticket).expect("a waiter");
            match granted {
                Granted::Stream(id) => {
                    assert_eq!(at, 0, "somebody was overtaken");
                    self.takes(id);
                    self.waiting.remove(at);
                    forgone += self.leave(ticket);
                }
                Granted::Open => {
                    assert!(!self.told.contains(&ticket), "somebody was told twice");
                    self.told.push(ticket);
                }
                Granted::Alone => {
                    self.waiting.remove(at);
                    forgone += self.leave(ticket);
                }
            }
        }
        forgone
    }

    fn leave(&mut self, ticket: Ticket) -> u32 {
        let before = self.told.len();
        self.told.retain(|&told| told != ticket);
        (before - self.told.len()) as u32
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_nobody_is_lost_overtaken_or_given_too_much(events in prop::collection::vec(event(), 1..200)) {
        let mut streams = S::new();
        let mut model = Model::default();
        for event in events {
            let grants = match event {
                Event::Checkout => {
                    match streams.checkout() {
                        Checkout::Stream(id) => {
                            prop_assert!(model.waiting.is_empty());
                            model.takes(id);
                        }
                        Checkout::Open(ticket) => {
                            model.waiting.push(ticket);
                            model.told.push(ticket);
                        }
                        Checkout::Wait(ticket) => model.waiting.push(ticket),
                        Checkout::Alone => prop_assert!(model.alone),
                        Checkout::Full => prop_assert!(false),
                    }
                    vec![]
                }
                // In whatever order the ledger serves them.
                Event::Begin(at) => {
                    if !model.told.is_empty() {
                        let ticket = model.told.remove(at % model.told.len());
                        streams.begin(ticket);
                        model.waiting.retain(|&waiting| waiting != ticket);
                        model.getting += 1;
                    }
                    vec![]
                }
                Event::Opened(most) if model.getting > 0 => {
                    model.getting -= 1;
                    model.ids += 1;
                    model.alone = false;
                    model.rooms.insert(model.ids, most.unwrap_or(1));
                    if most.is_none() {
                        model.unsaid.insert(model.ids);
                    }
                    let room = most.map_or(Room::Unsaid, Room::Most);
                    let (taken, grants) = streams.opened(model.ids, model.ids, room);
                    if taken {
                        model.takes(model.ids);
                    }
                    prop_assert_eq!(taken, most != Some(0));
                    grants
                }
                Event::Alone if model.getting > 0 => {
                    model.getting -= 1;
                    model.alone = true;
                    streams.alone()
                }
                Event::Failed if model.getting > 0 => {
                    model.getting -= 1;
                    streams.failed()
                }
                Event::Forgone if model.getting > 0 => {
                    model.getting -= 1;
                    streams.forgone()
                }
                Event::Cancel(at) if !model.waiting.is_empty() => {
                    let ticket = model.waiting.remove(at % model.waiting.len());
                    prop_assert!(streams.cancel(ticket));
                    if model.leave(ticket) > 0 { streams.forgone() } else { vec![] }
                }
                Event::Release(at) => {
                    let mut open: Vec<_> = model.open.iter().filter(|(_, open)| **open > 0).map(|(id, _)| *id).collect();
                    open.sort_unstable();
                    if open.is_empty() {
                        vec![]
                    } else {
                        let id = open[at % open.len()];
                        *model.open.get_mut(&id).unwrap() -= 1;
                        let (left, grants) = streams.release(id);
                        let none = model.open[&id] == 0;
                        match left {
                            Left::Busy => prop_assert!(!none || !grants.is_empty()),
                            Left::Idle(_) => prop_assert!(none && !model.draining.contains(&id)),
                            Left::Spent(_) => prop_assert!(none && model.draining.contains(&id)),
                        }
                        grants
                    }
                }
                Event::Resize(at, most) if model.ids > 0 => {
                    let id = (at as u32 % model.ids) + 1;
                    if streams.get(id).is_some() {
                        model.unsaid.remove(&id);
                        model.rooms.insert(id, most);
                    }
                    streams.resize(id, Room::Most(most))
                }
                Event::Drain(at) if model.ids > 0 => {
                    let id = (at as u32 % model.ids) + 1;
                    model.draining.insert(id);
                    streams.drain(id).1
                }
                _ => vec![],
            };
            let mut forgone = model.granted(grants);
            while forgone > 0 {
                forgone -= 1;
                let more = streams.forgone();
                forgone += model.granted(more);
            }
            prop_assert_eq!(streams.waiting() as usize, model.waiting.len());
            prop_assert!(model.told.iter().all(|told| model.waiting.contains(told)));
            // Nobody waits while a connection has room, and nobody waits for nothing: somebody is getting a connection, or
            // one is there whose peer has not said how many it takes, or takes none.
            let live = (1..=model.ids).filter(|id| streams.get(*id).is_some() && !model.draining.contains(id));
            let live: Vec<_> = live.map(|id| (id, model.open.get(&id).copied().unwrap_or(0))).collect();
            let room = live.iter().any(|(id, open)| *open < model.rooms[id]);
            prop_assert!(model.waiting.is_empty() || !room, "waits beside a connection with room");
            let someone = model.getting > 0 || !model.told.is_empty();
            let pending = live.iter().any(|(id, open)| model.unsaid.contains(id) || *open == 0);
            prop_assert!(model.waiting.is_empty() || someone || pending, "waits for nothing");
        }
    }
}
