//! HTTP/2: the h2 crate's client over the tap, its driver task, and what the peer says about the connection as a whole.
//!
//! The h2 crate is used as it is, not through hyper: it tells a stream that was not processed from one that was, how many
//! streams the peer takes, what came between request and response, and lets the reader decide when a window opens again.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferropool_policy::error::{Cause, Error, Kind, Phase};
use ferropool_policy::streams::Room;
use h2::client::{Builder, Connection as Driver, SendRequest};
use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::{Connection, ConnectionInfo, OnClose, Sender};
use super::errors::{aborted, h2_says};
use super::tap::{Tap, TapIo};
use crate::dial::Transport;

/// What the streams of a connection share.
pub struct Multiplexed {
    sender: SendRequest<Bytes>,
    room: Cell<Room>,
    draining: Cell<bool>,
    ended: Cell<bool>,
    /// Streams that are open, for whoever asks the peer for a sign of life.
    pub(crate) open: Cell<u32>,
}

impl Multiplexed {
    /// A handle for one request.
    pub fn sender(&self) -> SendRequest<Bytes> {
        self.sender.clone()
    }

    /// How many streams the peer takes at once.
    pub fn room(&self) -> Room {
        self.room.get()
    }

    /// Whether the peer takes no new streams (GOAWAY).
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Whether no new stream can be opened.
    pub fn is_over(&self) -> bool {
        self.draining.get() || self.ended.get()
    }
}

impl std::fmt::Debug for Multiplexed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Multiplexed")
            .field("room", &self.room)
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}

/// Makes a connection of a fresh transport. `on_change` runs when the peer has said how many streams it takes, that it
/// takes no more, or nothing more at all; `on_close` when the connection is dropped.
pub async fn handshake(
    info: Rc<ConnectionInfo>,
    transport: Transport,
    header_bytes: u32,
    on_change: impl Fn() + 'static,
    on_close: OnClose,
) -> Result<Connection, Error> {
    let tap = Tap::new(transport);
    tap.drop_unwritable();
    let (sender, mut connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(SMALL_FRAMES)
        .max_frame_size(LARGEST_FRAME)
        // What is beyond the limit is told apart from what is malformed by being decoded: see `client::multiplexed`.
        .max_header_list_size(header_bytes.saturating_mul(2))
        .initial_max_send_streams(UNSAID)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(REMEMBERED)
        .max_local_error_reset_streams(Some(RESETS))
        .handshake::<_, Bytes>(TapIo(Rc::clone(&tap)))
        .await
        .map_err(|error| {
            let why = error.get_io().map_or_else(|| Cause::said(h2_says(&error)), Cause::from_io);
            aborted(Kind::Protocol, why).with_reason("ERR_H2_CONNECTION").in_phase(Phase::Connect)
        })?;
    let shared = Rc::new(Multiplexed {
        sender: sender.clone(),
        room: Cell::new(Room::Unsaid),
        draining: Cell::new(false),
        ended: Cell::new(false),
        open: Cell::new(0),
    });
    let driving = Driving {
        pulse: Pulse::new(connection.ping_pong()),
        connection,
        probe: sender,
        shared: Rc::clone(&shared),
        tap: Rc::clone(&tap),
        on_change,
    };
    let driver = tokio::task::spawn_local(driving.run());
    Ok(Connection::new(info, tap, Sender::Http2(shared), driver.abort_handle(), on_close))
}

struct Driving<F> {
    connection: Driver<TapIo, Bytes>,
    /// Fails once the peer has said that it takes no more.
    probe: SendRequest<Bytes>,
    shared: Rc<Multiplexed>,
    tap: Rc<Tap>,
    pulse: Pulse,
    on_change: F,
}

impl<F: Fn()> Driving<F> {
    async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        self.shared.ended.set(true);
        // Streams that are open end with it, before anybody is told.
        drop(self.connection);
        (self.on_change)();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if Pin::new(&mut self.connection).poll(cx).is_ready() {
            // Its error reaches each stream by itself; an idle connection's is nobody's (THR-301, THR-1116). A goodbye may have
            // come with the last stream's end.
            let said = self.probe.poll_ready(cx);
            let goodbye = matches!(said, Poll::Ready(Err(error)) if error.is_go_away() && error.is_remote());
            self.shared.draining.set(self.shared.draining.get() || goodbye);
            return Poll::Ready(());
        }
        self.notice(cx);
        self.pulse.poll(cx, &self.shared, &self.tap)
    }

    /// What the peer's frames have changed.
    fn notice(&mut self, cx: &mut Context<'_>) {
        let shared = &self.shared;
        let draining = matches!(self.probe.poll_ready(cx), Poll::Ready(Err(_)));
        let most = self.connection.max_concurrent_send_streams();
        let room = match shared.room.get() {
            Room::Unsaid if most == UNSAID => Room::Unsaid,
            _ => Room::Most(u32::try_from(most).unwrap_or(u32::MAX)),
        };
        if room != shared.room.get() || draining != shared.draining.get() {
            shared.room.set(room);
            shared.draining.set(draining);
            (self.on_change)();
        }
    }
}

/// Asks a silent peer for a sign of life while streams are open (THR-426).
struct Pulse {
    pings: Option<PingPong>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Bytes that had been heard at the last look.
    heard: u64,
    /// Looks in a row at which there were no more.
    silent: u32,
    asked: bool,
}

impl Pulse {
    fn new(pings: Option<PingPong>) -> Self {
        Self { pings, timer: None, heard: 0, silent: 0, asked: false }
    }

    /// Ready when the peer is dead.
    fn poll(&mut self, cx: &mut Context<'_>, shared: &Multiplexed, tap: &Tap) -> Poll<()> {
        if shared.open.get() == 0 {
            self.asked = false;
            // Runs out by itself; no timer is made for a connection that is only ever idle.
            if let Some(timer) = &mut self.timer
                && timer.as_mut().poll(cx).is_ready()
            {
                self.timer = None;
            }
            return Poll::Pending;
        }
        let Some(pings) = &mut self.pings else { return Poll::Pending };
        if self.timer.is_none() {
            (self.heard, self.silent) = (tap.heard(), 0);
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LOOK)));
        while timer.as_mut().poll(cx).is_ready() {
            let silent = std::mem::replace(&mut self.heard, tap.heard()) == tap.heard();
            if silent && self.asked {
                let message = format!("the peer has not answered a PING for {} s", PING_ANSWER.as_secs());
                tap.give_up(
                    Error::new(Kind::Protocol, format!("Connection broken: {message}")).with_reason("ERR_H2_PING"),
                );
                return Poll::Ready(());
            }
            // Whatever it sent is a sign of life; an answer that came is taken, so that another PING may follow.
            drop(pings.poll_pong(cx));
            self.silent = if silent { self.silent + 1 } else { 0 };
            self.asked = self.silent >= LOOKS && pings.send_ping(Ping::opaque()).is_ok();
            let next = if self.asked { PING_ANSWER } else { LOOK };
            timer.as_mut().reset(Instant::now() + next);
        }
        Poll::Pending
    }
}

/// hyper's and browsers' order of magnitude: a download is not held up by its window up to 160 Mbit/s at 100 ms.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
/// 127 bodies that nobody reads, each of which its own window bounds, and others still go on: most servers allow 100 to 128 streams.
/// With less a few would stop every other body of the connection (THR-424), with more one peer could make us hold more.
const CONNECTION_WINDOW: u32 = 128 * STREAM_WINDOW;
/// What small frames that nobody has read may cost, in h2's count: each the bytes that it has less than 256. By itself the
/// crate takes half the connection's window, which is too much with one of that size (THR-415).
const SMALL_FRAMES: usize = 8 * 1024 * 1024;
/// What a frame may hold. The h2 crate bounds the frames of a head by how many of these the head's limit has, and most peers
/// send no larger ones whatever they may: with more, heads that are within the limit would end the connection (THR-411).
const LARGEST_FRAME: u32 = 16 * 1024;
/// Bytes of an upload that lie in h2's buffer, for each stream.
const SEND_BUFFER: usize = 1024 * 1024;
/// Streams that were given up in the last second, whose late frames are dropped without a word. With the crate's 50 each of the
/// others' would cost a reset, of which there may be so many in a connection's life before it ends with all that is on it:
/// 1,024, which a crawler that takes few of the bodies has soon (THR-424).
const REMEMBERED: usize = 4 * 1024;
const RESETS: usize = 16 * 1024;
/// The crate's figure until the peer's settings come: one that no peer has.
const UNSAID: usize = 0x7fff_ff1d;
/// How often silence is looked for while streams are open, and how often in a row it is found before a PING: after 30 to 40 s.
const LOOK: Duration = Duration::from_secs(10);
const LOOKS: u32 = 3;
/// How long its answer may take.
const PING_ANSWER: Duration = Duration::from_secs(20);
