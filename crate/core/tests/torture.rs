//! Each read and each write of an exchange fails in turn: with an error, with the end of the stream, cut to one byte, or by
//! never happening. Whatever strikes, a call has one outcome, no slot and no waiter is lost, and the next request is
//! served. Needs the feature `faults`.
#![cfg(feature = "faults")]
#![expect(clippy::expect_used, reason = "a test says what does not hold by its panic")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferropool_core::client::case::CaseBook;
use ferropool_core::client::execute::execute;
use ferropool_core::client::request::{Payload, Request};
use ferropool_core::conn::connection::{ConnectionInfo, Ids};
use ferropool_core::conn::faults::{self, Fault, Side, Strike};
use ferropool_core::dial::Resolver;
use ferropool_core::manager::Target;
use ferropool_core::pool::{Blueprint, Observer, Pause, Pool, Shared, Warning};
use ferropool_policy::error::Kind;
use ferropool_policy::ledger::Discard;
use ferropool_policy::retry::{Count, Retry};
use ferropool_policy::settings::{PoolSettings, Timeouts};
use tokio::runtime::{Builder, LocalOptions};

mod feed;

/// What a scenario asks for and what it is answered, request by request.
struct Scenario {
    name: &'static str,
    requests: &'static [Ask],
    /// At once, over the pool's two connections.
    together: bool,
}

#[derive(Clone, Copy)]
struct Ask {
    method: &'static str,
    path: &'static str,
    body: usize,
    chunked: bool,
    /// The body comes in pieces, when it is asked for.
    pieces: bool,
}

const fn get(path: &'static str) -> Ask {
    Ask { method: "GET", path, body: 0, chunked: false, pieces: false }
}

const fn post(path: &'static str, body: usize, chunked: bool) -> Ask {
    Ask { method: "POST", path, body, chunked, pieces: false }
}

const fn upload(path: &'static str, body: usize, chunked: bool) -> Ask {
    Ask { method: "POST", path, body, chunked, pieces: true }
}

const fn alone(name: &'static str, requests: &'static [Ask]) -> Scenario {
    Scenario { name, requests, together: false }
}

const SCENARIOS: &[Scenario] = &[
    alone("a small body", &[get("/small")]),
    alone("no body", &[get("/empty")]),
    alone("204", &[get("/204")]),
    alone("304 with a length", &[get("/304")]),
    alone("HEAD", &[Ask { method: "HEAD", path: "/small", body: 0, chunked: false, pieces: false }]),
    alone("a body in pieces", &[get("/pieces")]),
    alone("a head in pieces", &[get("/head-pieces")]),
    alone("chunked", &[get("/chunked")]),
    alone("chunked in pieces, with trailers", &[get("/trailers")]),
    alone("up to the end of the connection", &[get("/close")]),
    alone("Connection: close", &[get("/says-close")]),
    alone("HTTP/1.0", &[get("/http10")]),
    alone("an interim response", &[get("/interim")]),
    alone("300 kB", &[get("/large")]),
    alone("gzip", &[get("/gzip")]),
    alone("a small upload", &[post("/small", 10, false)]),
    alone("a chunked upload", &[post("/small", 5_000, true)]),
    alone("an upload of 300 kB", &[post("/small", 300_000, false)]),
    alone("an upload in pieces by its length", &[upload("/small", 300_000, false)]),
    alone("an upload in pieces by chunks", &[upload("/small", 300_000, true)]),
    alone("an upload in pieces behind another request", &[get("/small"), upload("/small", 50_000, true)]),
    alone("an answer before the end of the pieces", &[upload("/early", 300_000, true)]),
    alone("an answer before the upload's end", &[post("/early", 300_000, false)]),
    alone("three on one connection", &[get("/small"), post("/chunked", 100, false), get("/small")]),
    alone("reuse after the peer closed", &[get("/then-closes"), get("/small")]),
    alone("bytes that nobody asked for", &[get("/then-more"), get("/small")]),
    Scenario {
        name: "four over two connections",
        requests: &[get("/small"), get("/pieces"), get("/chunked"), get("/small")],
        together: true,
    },
];

const FAULTS: [Fault; 5] =
    [Fault::Error(ErrorKind::ConnectionReset), Fault::Error(ErrorKind::Other), Fault::Eof, Fault::Short, Fault::Stall];

#[test]
fn whatever_read_or_write_fails_a_call_has_one_outcome_and_its_slot_comes_back() {
    let server = Server::start();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).expect("a runtime");
    let mut struck = 0;
    for scenario in SCENARIOS {
        let (reads, writes) = runtime.block_on(run(scenario, server.port, None));
        assert!(reads > 0 && writes > 0, "{}: nothing was read or written", scenario.name);
        for (side, count) in [(Side::Read, reads), (Side::Write, writes)] {
            for nth in 1..=count.min(MOST_POINTS) {
                for fault in FAULTS {
                    runtime.block_on(run(scenario, server.port, Some(Strike { side, nth, fault })));
                    struck += 1;
                }
            }
        }
    }
    assert!(struck > 500, "only {struck} faults struck");
}

/// Runs a scenario on a fresh pool; how many reads and writes it took.
async fn run(scenario: &Scenario, port: u16, strike: Option<Strike>) -> (u32, u32) {
    let what = format!("{} {strike:?}", scenario.name);
    let pool = pool(port);
    faults::arm(strike);
    let mut outcomes = Vec::new();
    if scenario.together {
        let mut calls = tokio::task::JoinSet::new();
        for ask in scenario.requests {
            let pool = Rc::clone(&pool);
            calls.spawn_local(async move { one(&pool, *ask, strike).await });
        }
        while let Some(outcome) = calls.join_next().await {
            outcomes.push(outcome.expect("no panic"));
        }
    } else {
        for ask in scenario.requests {
            outcomes.push(one(&pool, *ask, strike).await);
        }
    }
    let counts = faults::counts();
    faults::arm(None);
    assert_eq!(outcomes.len(), scenario.requests.len());
    for outcome in &outcomes {
        match outcome {
            Ok(()) => {}
            Err(kind) => {
                assert!(strike.is_some(), "{what}: {kind:?} without a fault");
                assert_ne!(*kind, Kind::Internal, "{what}");
            }
        }
    }
    settled(&pool, &what);
    // The next one is served, whatever state the fault has left. A connection that fell silent while it was idle looks
    // like any other: there the clock ends a request, at most one for each connection.
    let spared = if stalls(strike) { 2 } else { 0 };
    for left in (0..=spared).rev() {
        match one(&pool, get("/small"), if left > 0 { strike } else { None }).await {
            Ok(()) => break,
            Err(kind) => assert!(left > 0, "{what}: the next request failed with {kind:?}"),
        }
        settled(&pool, &what);
    }
    settled(&pool, &what);
    pool.close_now();
    let figures = pool.figures();
    assert_eq!((figures.idle, figures.leased, figures.opened), (0, 0, figures.closed), "{what}");
    counts
}

fn stalls(strike: Option<Strike>) -> bool {
    matches!(strike, Some(Strike { fault: Fault::Stall, .. }))
}

fn settled(pool: &Pool, what: &str) {
    let figures = pool.figures();
    assert_eq!((figures.leased, figures.waiting), (0, 0), "{what}");
    assert_eq!(figures.opened, figures.closed + u64::from(figures.idle), "{what}");
}

async fn one(pool: &Rc<Pool>, ask: Ask, strike: Option<Strike>) -> Result<(), Kind> {
    let mut request = Request::new(ask.method, ask.path, Instant::now());
    if ask.pieces {
        let length = (!ask.chunked).then_some(ask.body as u64);
        request.body = Payload::Pieces(feed::fed(vec![Bytes::from(vec![b'u'; 10_000]); ask.body / 10_000], length));
    } else if ask.body > 0 {
        request.body = Payload::Whole(Bytes::from(vec![b'u'; ask.body]));
    }
    request.chunked = ask.chunked;
    // A stall is only ended by a clock; any other fault must end the call by itself, long before this one.
    let stalls = stalls(strike);
    let total = if stalls { 60.0 } else { 60_000.0 };
    request.timeout = Some(Timeouts { connect: None, read: None, total: Some(total) });
    let began = Instant::now();
    let outcome = execute(&Target::Pool(Rc::clone(pool)), &request).await;
    assert!(stalls || began.elapsed() < Duration::from_secs(50), "{} {strike:?} hung", ask.path);
    match outcome {
        Ok(response) => {
            // What has been read whole is right, or it is not a success.
            let length = response.body.whole().expect("a whole body").len();
            let eof_framed = ask.path == "/close";
            let expected = if ask.method == "HEAD" { 0 } else { length_of(ask.path) };
            assert!(length == expected || (eof_framed && strike.is_some()), "{} {strike:?}: {length} bytes", ask.path);
            Ok(())
        }
        Err(error) => Err(error.kind()),
    }
}

fn length_of(path: &str) -> usize {
    match path {
        "/empty" | "/204" | "/304" => 0,
        "/large" => LARGE,
        "/gzip" => 11,
        _ => 10,
    }
}

fn pool(port: u16) -> Rc<Pool> {
    struct Silent;
    impl Observer for Silent {
        fn opened(&self, _: &ConnectionInfo, _: &Pool) {}
        fn closed(&self, _: u32, _: Discard) {}
        fn warn(&self, _: Warning, _: &Pool) {}

        fn paused(&self, _: &Pause<'_>) {}
    }
    let settings = PoolSettings {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        maxsize: 2,
        block: true,
        retries: Some(Retry { total: Count::Off, ..Retry::default() }),
        ..PoolSettings::default()
    };
    let shared = Shared {
        resolver: Resolver::new(),
        book: CaseBook::default(),
        ids: Ids::default(),
        observer: Box::new(Silent),
    };
    Pool::open(Blueprint::new(settings).expect("settings"), Rc::new(shared), 0).expect("a pool")
}

/// Threads that answer by path.
struct Server {
    port: u16,
    over: Arc<AtomicBool>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let over = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&over);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ending.load(Ordering::Acquire) {
                    return;
                }
                // A client that goes away, in whatever state, is what this test is about.
                thread::spawn(move || drop(serve(stream)));
            }
        });
        Self { port, over }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    // No thread outlives the test for long; longer than any call may take.
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut received = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                break String::from_utf8_lossy(&received.drain(..end + 4).collect::<Vec<_>>()).to_lowercase();
            }
            more(&mut stream, &mut received)?;
        };
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        if path == "/early" {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")?;
        }
        if head.contains("transfer-encoding: chunked") {
            // After an early answer the next request may follow at once.
            let end = loop {
                if let Some(end) = received.windows(5).position(|five| five == b"0\r\n\r\n") {
                    break end + 5;
                }
                more(&mut stream, &mut received)?;
            };
            received.drain(..end);
        } else if let Some(length) = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()) {
            let length: usize = length.parse().unwrap_or(0);
            while received.len() < length {
                more(&mut stream, &mut received)?;
            }
            received.drain(..length);
        }
        if path == "/early" {
            continue;
        }
        if !answer(&mut stream, &path, head.starts_with("head "))? {
            return stream.shutdown(Shutdown::Both);
        }
    }
}

fn more(stream: &mut TcpStream, received: &mut Vec<u8>) -> std::io::Result<()> {
    let mut piece = [0; 8_192];
    match stream.read(&mut piece)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        count => {
            received.extend_from_slice(&piece[..count]);
            Ok(())
        }
    }
}

/// Whether the connection stays open.
fn answer(stream: &mut TcpStream, path: &str, head: bool) -> std::io::Result<bool> {
    const SMALL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
    let pieces = |stream: &mut TcpStream, pieces: &[&[u8]]| -> std::io::Result<()> {
        for piece in pieces {
            stream.write_all(piece)?;
            // Apart on the wire more often than not; the outcome does not hang on it.
            thread::yield_now();
        }
        Ok(())
    };
    match path {
        "/empty" => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?,
        "/204" => stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?,
        "/304" => stream.write_all(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n")?,
        "/pieces" => pieces(stream, &[b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"0123", b"4567", b"89"])?,
        "/head-pieces" => {
            pieces(stream, &[b"HTTP/1.1 20", b"0 OK\r\nContent-", b"Length: 10\r", b"\n\r\n0123456789"])?;
        }
        "/chunked" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n")?;
        }
        "/trailers" => pieces(
            stream,
            &[
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n4\r\n01",
                b"23\r\n",
                b"6\r\n456789\r\n0\r\n",
                b"x: y\r\n\r\n",
            ],
        )?,
        "/close" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n0123456789")?;
            return Ok(false);
        }
        "/says-close" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\n0123456789")?;
            return Ok(false);
        }
        "/http10" => {
            stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")?;
            return Ok(false);
        }
        "/interim" => pieces(stream, &[b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", SMALL])?,
        "/large" => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes())?;
            stream.write_all(&vec![b'l'; LARGE])?;
        }
        "/gzip" => {
            stream.write_all(
                format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", GZIP.len())
                    .as_bytes(),
            )?;
            stream.write_all(GZIP)?;
        }
        "/then-closes" => {
            with_the_end(stream, SMALL)?;
            return Ok(false);
        }
        "/then-more" => {
            stream.write_all(SMALL)?;
            stream.write_all(SMALL)?;
        }
        _ if head => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")?,
        _ => stream.write_all(SMALL)?,
    }
    Ok(true)
}

/// Bytes that leave with the end of the stream, in one segment: whoever has read them can see that the peer has closed.
/// Two segments would let a request go out in between, which may fail of nothing but that.
fn with_the_end(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        const MSG_MORE: i32 = 0x8000;
        let sent = socket2::SockRef::from(&*stream).send_with_flags(bytes, MSG_MORE)?;
        assert_eq!(sent, bytes.len());
        Ok(())
    }
    #[cfg(not(target_os = "linux"))]
    stream.write_all(bytes)
}

const LARGE: usize = 300_000;
/// `hello world`
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0x28, 0xcf, 0x2f,
    0xca, 0x49, 0x01, 0x00, 0x85, 0x11, 0x4a, 0x0d, 0x0b, 0x00, 0x00, 0x00,
];
/// Faults beyond this many reads or writes repeat what the earlier ones showed.
const MOST_POINTS: u32 = 12;
