//! The thin wrapper between the socket and hyper: what hyper cannot tell us is known here.
//!
//! It counts the bytes of the exchange (may the request be replayed?), keeps the response's head as it came (was a line
//! dropped, was one repaired?), watches what hyper has no limit for (1xx floods, head bytes, wire bytes) and answers the
//! peek at checkout. A breach that it finds ends the connection as an I/O error towards hyper; [`Tap::breach`] then says
//! what it was.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use ferropool_policy::error::{Error, Kind, Phase, quote};
use ferropool_policy::settings::Limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::{HeadScan, Scanned};
use super::http1::LARGEST_READ;
use crate::dial::Transport;

/// What a look at an idle socket found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    /// Nothing to read: fit for use.
    Quiet,
    /// Bytes that nobody asked for.
    Readable,
    /// The peer has closed.
    Closed,
}

/// The part that the exchange and the I/O wrapper share.
#[derive(Debug)]
pub struct Tap {
    io: RefCell<Transport>,
    /// What is to last as long as the socket; behind it, so that it goes after it.
    kept: RefCell<Option<Box<dyn Any>>>,
    scan: RefCell<HeadScan>,
    written: Cell<u64>,
    read: Cell<u64>,
    /// Over the connection's life, for the pool's counters.
    wire: Cell<(u64, u64)>,
    /// Bytes of this exchange that may arrive, head included.
    most: Cell<u64>,
    /// Bytes since a piece of a chunked body was taken; `None` while no such body is read.
    framing: Cell<Option<u64>>,
    last_write: Cell<Option<Instant>>,
    write_blocked: Cell<bool>,
    /// A flush was not over when it was last tried.
    held_back: Cell<bool>,
    eof: Cell<bool>,
    /// The last answer was HTTP/1.0.
    http_10: Cell<bool>,
    breach: RefCell<Option<Error>>,
    /// The peer takes no more; what it said before is read, and its end of stream then ends the exchange.
    unwritable: RefCell<Option<io::Error>>,
    /// What a peer takes no more is dropped, and not kept waiting.
    drops: Cell<bool>,
    /// Woken by each write, where somebody waits for the request to be out.
    on_write: RefCell<Option<Waker>>,
    #[cfg(feature = "faults")]
    faults: RefCell<super::faults::Plan>,
}

impl Tap {
    /// Wraps a fresh transport.
    pub fn new(io: Transport) -> Rc<Self> {
        Rc::new(Self {
            io: RefCell::new(io),
            kept: RefCell::new(None),
            scan: RefCell::new(HeadScan::default()),
            written: Cell::new(0),
            read: Cell::new(0),
            wire: Cell::new((0, 0)),
            most: Cell::new(u64::MAX),
            framing: Cell::new(None),
            last_write: Cell::new(None),
            write_blocked: Cell::new(false),
            held_back: Cell::new(false),
            eof: Cell::new(false),
            http_10: Cell::new(false),
            breach: RefCell::new(None),
            unwritable: RefCell::new(None),
            drops: Cell::new(false),
            on_write: RefCell::new(None),
            #[cfg(feature = "faults")]
            faults: RefCell::new(super::faults::Plan::for_connection()),
        })
    }

    /// Keeps this as long as the socket is open.
    pub fn keep(&self, guard: Box<dyn Any>) {
        self.kept.replace(Some(guard));
    }

    /// From now on what a peer takes no more is dropped. For HTTP/2, which reads no further until it has written what it owes:
    /// an answer that came with the peer's settings would lie behind their acknowledgement for ever (THR-318, THR-405).
    pub fn drop_unwritable(&self) {
        self.drops.set(true);
    }

    /// Gives back what was kept.
    pub fn take_kept(&self) -> Option<Box<dyn Any>> {
        self.kept.take()
    }

    /// A request is about to be written: everything counted from here on belongs to its exchange.
    pub fn begin(&self, limits: &Limits) {
        self.written.set(0);
        self.read.set(0);
        self.last_write.set(None);
        self.framing.set(None);
        self.most.set(limits.wire.map_or(u64::MAX, |wire| wire.saturating_add(u64::from(limits.header_bytes))));
        self.scan.borrow_mut().begin(limits);
    }

    /// The exchange ended well and its head has been judged: an idle connection holds no large one.
    pub fn rest(&self) {
        let mut scan = self.scan.borrow_mut();
        self.http_10.set(scan.status_line().starts_with(b"HTTP/1.0"));
        scan.rest();
    }

    /// Whether the peer spoke HTTP/1.0 when it was last heard. hyper answers in kind, and HTTP/1.0 has no chunks: a body that
    /// needs them would be left out without a word.
    pub fn speaks_http_10(&self) -> bool {
        self.http_10.get()
    }

    /// A chunked body begins, or a piece of it was taken: what arrives from here on is more of it, or framing.
    pub fn piece_taken(&self) {
        self.framing.set(Some(0));
    }

    /// Bytes of the current request that the kernel took.
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// Bytes received since the current request began.
    pub fn read(&self) -> u64 {
        self.read.get()
    }

    /// When the kernel last took bytes of the current request.
    pub fn last_write(&self) -> Option<Instant> {
        self.last_write.get()
    }

    /// Whether the kernel would not take all that hyper has: the request is still being sent.
    pub fn write_blocked(&self) -> bool {
        self.write_blocked.get()
    }

    /// Whether the peer's end of stream has been read.
    pub fn eof(&self) -> bool {
        self.eof.get()
    }

    /// Bytes (in, out) since this was last asked.
    pub fn take_wire(&self) -> (u64, u64) {
        self.wire.replace((0, 0))
    }

    /// What the tap itself found wrong, if that is why the connection ended.
    pub fn breach(&self) -> Option<Error> {
        self.breach.borrow().clone()
    }

    /// Why the peer took no more of the request, if that is so.
    pub fn unwritable(&self) -> std::cell::Ref<'_, Option<io::Error>> {
        self.unwritable.borrow()
    }

    /// The current response's head as it arrived.
    pub fn scan(&self) -> std::cell::Ref<'_, HeadScan> {
        self.scan.borrow()
    }

    /// Looks at the socket without taking anything: bytes or FIN that a busy I/O thread has not been told of yet would
    /// otherwise become the next request's response (0.25 µs a checkout).
    pub fn peek(&self) -> Peek {
        let io = self.io.borrow();
        let mut one = [std::mem::MaybeUninit::uninit(); 1];
        match socket2::SockRef::from(&*io).peek(&mut one) {
            Ok(0) => Peek::Closed,
            Ok(_) => Peek::Readable,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Peek::Quiet,
            Err(_) => Peek::Closed,
        }
    }

    /// Whether the socket may have bytes to read that are no response's: see [`Transport::is_tls`].
    pub fn is_tls(&self) -> bool {
        self.io.borrow().is_tls()
    }

    /// Bytes received over the life of a connection that carries streams: none of them begins an exchange here.
    pub fn heard(&self) -> u64 {
        self.read.get()
    }

    fn received(&self, bytes: &[u8]) -> io::Result<()> {
        let count = bytes.len() as u64;
        if count == 0 {
            self.eof.set(true);
            return Ok(());
        }
        let read = self.read.get() + count;
        self.read.set(read);
        let (inward, outward) = self.wire.get();
        self.wire.set((inward + count, outward));
        let scanned = self.scan.borrow_mut().feed(bytes);
        if let Scanned::Breach(error) = scanned {
            return Err(self.end_with(error));
        }
        if read > self.most.get() {
            let allowed = self.scan.borrow().limits().wire.unwrap_or(0);
            let error = Error::new(Kind::TooLarge, format!("the response passed the limit 'wire' of {allowed} bytes"))
                .with_limit("wire", allowed)
                .in_phase(Phase::Body);
            return Err(self.end_with(error));
        }
        if let Some(framing) = self.framing.get() {
            let framing = framing + count;
            self.framing.set(Some(framing));
            // hyper takes any number of zeros and blanks for the size of one chunk (RFC 9112 §7.1).
            let allowed = MOST_READS * u64::from(self.scan.borrow().limits().header_bytes).max(LARGEST_READ as u64);
            if framing > allowed {
                let message = format!("Connection broken: {framing} bytes of chunk framing without a byte of data");
                return Err(self.end_with(Error::new(Kind::Chunk, message).in_phase(Phase::Body)));
            }
        }
        Ok(())
    }

    /// The connection is about to be ended for this.
    pub fn give_up(&self, error: Error) {
        self.breach.replace(Some(error));
    }

    fn end_with(&self, error: Error) -> io::Error {
        let said = io::Error::other(quote(error.fields().message.as_bytes()));
        *self.breach.borrow_mut() = Some(error);
        said
    }

    fn sent(&self, count: usize, offered: usize) {
        self.written.set(self.written.get() + count as u64);
        let (inward, outward) = self.wire.get();
        self.wire.set((inward, outward + count as u64));
        self.last_write.set(Some(crate::clock::now()));
        self.write_blocked.set(count < offered);
        self.wake_watcher();
    }

    /// Wakes this with the next write or flush.
    pub fn watch_writes(&self, waker: Waker) {
        self.on_write.replace(Some(waker));
    }

    fn wake_watcher(&self) {
        if let Some(waker) = self.on_write.take() {
            waker.wake();
        }
    }
}

#[cfg(feature = "faults")]
impl Tap {
    /// A short read: the rest stays in the kernel.
    fn read_one(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut *self.io.borrow_mut()).poll_read(cx, &mut one))?;
        buf.put_slice(one.filled());
        Poll::Ready(self.received(one.filled()))
    }
}

/// What a short write offers the kernel.
#[cfg(feature = "faults")]
fn first_byte<'b>(bufs: &'b [IoSlice<'_>]) -> [IoSlice<'b>; 1] {
    let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &buf[..1]);
    [IoSlice::new(first)]
}

/// The peer has closed or reset; only reading can say more.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    )
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.io.get_mut().say_goodbye();
    }
}

/// The end that hyper holds.
#[derive(Debug)]
pub struct TapIo(pub Rc<Tap>);

impl AsyncRead for TapIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tap = &self.0;
        #[cfg(feature = "faults")]
        match ready!(tap.faults.borrow_mut().on_read(cx))? {
            0 => return Poll::Ready(tap.received(&[])),
            1 if buf.remaining() > 1 => return tap.read_one(cx, buf),
            _ => {}
        }
        let before = buf.filled().len();
        if let Err(error) = ready!(Pin::new(&mut *tap.io.borrow_mut()).poll_read(cx, buf)) {
            // An end of stream without TLS's own word for it (RFC 9112 §9.8).
            tap.eof.set(tap.eof.get() || error.kind() == io::ErrorKind::UnexpectedEof);
            return Poll::Ready(Err(error));
        }
        Poll::Ready(tap.received(&buf.filled()[before..]))
    }
}

impl AsyncWrite for TapIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tap = &self.0;
        let offered = bufs.iter().map(|buf| buf.len()).sum();
        #[cfg(feature = "faults")]
        let (most, one) = (ready!(tap.faults.borrow_mut().on_write(cx))?, first_byte(bufs));
        #[cfg(feature = "faults")]
        let bufs = match most {
            0 => return Poll::Ready(Ok(0)),
            1 => &one[..],
            _ => bufs,
        };
        let mut io = tap.io.borrow_mut();
        let is_tls = io.is_tls();
        let io = Pin::new(&mut *io);
        let wrote = match bufs {
            // A head alone, the usual case: send() costs the kernel less than writev().
            [only] => io.poll_write(cx, only),
            several => io.poll_write_vectored(cx, several),
        };
        // TLS sends record by record and forgets of an error how many there were before. Of one record alone the peer makes
        // nothing that has not come whole (RFC 8446 §5.2); of several the first may be a request.
        if matches!(wrote, Poll::Ready(Err(_))) && is_tls && offered > RECORD {
            tap.written.set(tap.written.get() + 1);
        }
        match wrote {
            Poll::Ready(Ok(count)) => tap.sent(count, offered),
            // hyper would end the connection at once; the peer's last words may still be unread (THR-318).
            Poll::Ready(Err(error)) if is_gone(&error) => {
                tap.write_blocked.set(true);
                tap.unwritable.borrow_mut().get_or_insert(error);
                return if tap.drops.get() { Poll::Ready(Ok(offered)) } else { Poll::Pending };
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => tap.write_blocked.set(true),
        }
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tap = &self.0;
        let flushed = Pin::new(&mut *tap.io.borrow_mut()).poll_flush(cx);
        // TLS takes more than the kernel does, and keeps it.
        match &flushed {
            Poll::Pending => {
                tap.held_back.set(true);
                tap.write_blocked.set(true);
            }
            Poll::Ready(Ok(())) if tap.held_back.replace(false) => {
                tap.last_write.set(Some(crate::clock::now()));
                tap.write_blocked.set(false);
                tap.wake_watcher();
            }
            Poll::Ready(Err(error)) if is_gone(error) => {
                tap.unwritable.borrow_mut().get_or_insert_with(|| io::Error::from(error.kind()));
                return if tap.drops.get() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            Poll::Ready(_) => {}
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.io.borrow_mut()).poll_shutdown(cx)
    }
}

/// What a record of TLS holds (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;
/// Reads of hyper's that may lie in its buffer and its queue, unseen by whoever takes the pieces.
const MOST_READS: u64 = 4;
