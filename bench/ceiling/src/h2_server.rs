//! The server of the long run over HTTP/2: it says GOAWAY again and again, resets streams, and counts what it did.
//!
//! A library's server would answer a stream that it has taken, and the point here is what it has not: so frames are read
//! and written by hand (RFC 9113), just as much of them as a client needs for small requests. A request's path is `/N`; a
//! POST's body is N too, and every answer's. What was done is counted by N, and the counts are written to a file in the
//! end, beside a line of JSON on standard output. A thread for each connection.
//!
//! On each connection, counted in streams:
//! - every hundredth is reset, in turns `REFUSED_STREAM` (not done), `INTERNAL_ERROR` (done, but without an answer) and
//!   `CANCEL` (done, and half of the answer's body was sent);
//! - with the last one it says GOAWAY and does nothing for any that comes later. On every other connection the last twenty
//!   are not done either, and the GOAWAY says so.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::Failure;
use crate::hpack;

/// What all connections count.
struct Counts {
    done: Vec<AtomicU8>,
    connections: AtomicUsize,
    goaways: AtomicUsize,
    resets: AtomicUsize,
    undone: AtomicUsize,
    wrong: AtomicUsize,
}

/// Prints its port, then serves until standard input ends; `words` are the number of requests, the file for the counts of
/// each, and after how many streams a connection has to end.
pub(crate) fn serve(mut words: impl Iterator<Item = String>) -> Result<(), Failure> {
    const USAGE: &str = "h2 TOTAL FILE STREAMS";
    let total: usize = words.next().ok_or(USAGE)?.parse()?;
    let file = words.next().ok_or(USAGE)?;
    let last: usize = words.next().ok_or(USAGE)?.parse()?;
    let counts = Arc::new(Counts {
        done: (0..=total).map(|_| AtomicU8::new(0)).collect(),
        connections: AtomicUsize::new(0),
        goaways: AtomicUsize::new(0),
        resets: AtomicUsize::new(0),
        undone: AtomicUsize::new(0),
        wrong: AtomicUsize::new(0),
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    say(&listener.local_addr()?.port().to_string());
    let shared = Arc::clone(&counts);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counts = Arc::clone(&shared);
            // A client that breaks off is its own affair: what it has of an answer is what it judges.
            thread::spawn(move || drop(Session::new(stream, &counts, last).and_then(Session::serve)));
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let done: Vec<u8> = counts.done.iter().map(|count| count.load(Ordering::SeqCst)).collect();
    std::fs::write(file, done)?;
    let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    say(&format!(
        "{{\"connections\":{},\"goaways\":{},\"resets\":{},\"undone\":{},\"wrong\":{}}}",
        of(&counts.connections),
        of(&counts.goaways),
        of(&counts.resets),
        of(&counts.undone),
        of(&counts.wrong),
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the lines are what the runner reads")]
fn say(line: &str) {
    println!("{line}");
}

/// One connection.
struct Session<'a> {
    stream: TcpStream,
    counts: &'a Counts,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Requests whose body has not ended, by stream.
    open: HashMap<u32, Request>,
    /// Whole requests that wait for the GOAWAY which says that they were not done.
    held: usize,
    streams: usize,
    last: usize,
    /// From this stream on nothing is done.
    holds_from: usize,
    /// The highest stream of which anything is or will be done.
    highest: u32,
    said: bool,
}

/// A request that has begun: its number in the run, which stream of its connection it is, its body so far.
struct Request {
    number: Option<usize>,
    nth: usize,
    body: Option<Vec<u8>>,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    start: usize,
    end: usize,
}

impl<'a> Session<'a> {
    fn new(stream: TcpStream, counts: &'a Counts, last: usize) -> io::Result<Self> {
        let nth = counts.connections.fetch_add(1, Ordering::SeqCst);
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            counts,
            input: Vec::with_capacity(64 * 1024),
            output: Vec::with_capacity(64 * 1024),
            open: HashMap::new(),
            held: 0,
            streams: 0,
            last,
            holds_from: if nth % 2 == 1 { last.saturating_sub(HELD) } else { last },
            highest: 0,
            said: false,
        })
    }

    fn serve(mut self) -> io::Result<()> {
        let mut preface = [0; PREFACE.len()];
        self.stream.read_exact(&mut preface)?;
        if &preface != PREFACE {
            return Err(ErrorKind::InvalidData.into());
        }
        // Not before: a client on a busy machine may take its time from the connection to its first byte.
        self.stream.set_read_timeout(Some(IDLE))?;
        let streams = [&[0, MAX_CONCURRENT_STREAMS][..], &CONCURRENT.to_be_bytes()].concat();
        self.write(SETTINGS, 0, 0, &streams);
        loop {
            let mut at = 0;
            while let Some(frame) = frame(&self.input, at) {
                at = frame.end;
                self.take(&frame);
            }
            self.input.drain(..at);
            self.stream.write_all(&self.output)?;
            self.output.clear();
            if self.said && self.open.is_empty() {
                break;
            }
            if !self.fill()? {
                return Ok(());
            }
        }
        // What the client has still sent is read: a reset instead of an end could overtake what was said last.
        self.stream.shutdown(Shutdown::Write)?;
        self.stream.set_read_timeout(None)?;
        io::copy(&mut self.stream, &mut io::sink())?;
        Ok(())
    }

    /// More input; false at its end. A client that sends nothing while requests are held waits for them: they are let go.
    fn fill(&mut self) -> io::Result<bool> {
        let there = self.input.len();
        self.input.resize(there + PIECE, 0);
        loop {
            let read = self.stream.read(&mut self.input[there..]);
            self.input.truncate(there + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(length) => return Ok(length > 0),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.held > 0 && !self.said {
                        self.say_goaway();
                        return Ok(true);
                    }
                    self.input.resize(there + PIECE, 0);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, frame: &Frame) {
        match frame.kind {
            HEADERS => self.take_headers(frame),
            DATA => self.take_data(frame),
            RST_STREAM => drop(self.open.remove(&frame.stream)),
            SETTINGS if frame.flags & ACK == 0 => self.write(SETTINGS, ACK, 0, &[]),
            PING if frame.flags & ACK == 0 => {
                let echoed = self.input[frame.start..frame.end].to_vec();
                self.write(PING, ACK, 0, &echoed);
            }
            CONTINUATION => self.count_wrong(),
            _ => {}
        }
    }

    fn take_headers(&mut self, frame: &Frame) {
        if self.said {
            self.counts.undone.fetch_add(1, Ordering::SeqCst);
            return;
        }
        self.streams += 1;
        let nth = self.streams;
        let ended = frame.flags & END_STREAM != 0;
        if nth > self.holds_from {
            self.held += 1;
            self.counts.undone.fetch_add(1, Ordering::SeqCst);
        } else {
            self.highest = frame.stream;
            let block = unpadded(&self.input[frame.start..frame.end], frame.flags);
            let number = hpack::path(block).and_then(|path| path.strip_prefix('/')?.parse().ok());
            let request = Request { number, nth, body: (!ended).then(Vec::new) };
            if ended {
                self.answer(frame.stream, request);
            } else {
                self.open.insert(frame.stream, request);
            }
        }
        if nth == self.last {
            self.say_goaway();
        }
    }

    fn take_data(&mut self, frame: &Frame) {
        let Some(mut request) = self.open.remove(&frame.stream) else {
            return;
        };
        let piece = unpadded(&self.input[frame.start..frame.end], frame.flags & PADDED);
        request.body.get_or_insert_default().extend_from_slice(piece);
        if frame.flags & END_STREAM == 0 {
            self.open.insert(frame.stream, request);
        } else {
            self.answer(frame.stream, request);
        }
    }

    fn answer(&mut self, stream: u32, request: Request) {
        let text = match request.number {
            Some(number) if number < self.counts.done.len() => number.to_string(),
            _ => return self.count_wrong(),
        };
        if request.body.is_some_and(|body| body != text.as_bytes()) {
            return self.count_wrong();
        }
        let reset = (request.nth.is_multiple_of(RESET_EVERY)).then_some(request.nth / RESET_EVERY % 3);
        if reset.is_some() {
            self.counts.resets.fetch_add(1, Ordering::SeqCst);
        }
        if reset == Some(0) {
            return self.write(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes());
        }
        if let Some(count) = request.number.and_then(|number| self.counts.done.get(number)) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        match reset {
            Some(1) => self.write(RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes()),
            Some(_) => {
                self.write(HEADERS, END_HEADERS, stream, STATUS_200);
                self.write(DATA, 0, stream, &text.as_bytes()[..text.len() / 2]);
                self.write(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
            }
            None => {
                self.write(HEADERS, END_HEADERS, stream, STATUS_200);
                self.write(DATA, END_STREAM, stream, text.as_bytes());
            }
        }
    }

    fn say_goaway(&mut self) {
        self.said = true;
        self.counts.goaways.fetch_add(1, Ordering::SeqCst);
        let payload = [self.highest.to_be_bytes(), NO_ERROR.to_be_bytes()].concat();
        self.write(GOAWAY, 0, 0, &payload);
    }

    fn count_wrong(&self) {
        self.counts.wrong.fetch_add(1, Ordering::SeqCst);
    }

    fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.output.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
        self.output.extend_from_slice(&[kind, flags]);
        self.output.extend_from_slice(&stream.to_be_bytes());
        self.output.extend_from_slice(payload);
    }
}

/// The frame that begins here, if it is whole (RFC 9113 §4.1).
fn frame(input: &[u8], at: usize) -> Option<Frame> {
    let head = input.get(at..at + 9)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
    let (start, end) = (at + 9, at + 9 + length);
    (input.len() >= end).then_some(Frame { kind: head[3], flags: head[4], stream, start, end })
}

/// What is left without padding and priority; nothing of what does not add up.
fn unpadded(payload: &[u8], flags: u8) -> &[u8] {
    let (mut start, mut end) = (0, payload.len());
    if flags & PADDED != 0 {
        end = end.saturating_sub(usize::from(payload.first().copied().unwrap_or_default()));
        start += 1;
    }
    if flags & PRIORITY != 0 {
        start += 5;
    }
    payload.get(start..end).unwrap_or_default()
}

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

const MAX_CONCURRENT_STREAMS: u8 = 3;

/// `:status: 200` of the static table (RFC 7541 appendix A).
const STATUS_200: &[u8] = &[0x88];

/// Fewer than the client has lanes, so that it needs a second connection now and then.
const CONCURRENT: u32 = 64;

const RESET_EVERY: usize = 100;

/// How many streams before a GOAWAY it leaves undone.
const HELD: usize = 20;

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// How long a client may be silent before what is held is let go.
const IDLE: Duration = Duration::from_millis(20);
