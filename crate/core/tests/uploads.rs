//! Bodies in pieces over connections that fail: what the peer's kernel took nothing of is sent again, without asking the
//! source for it a second time. Needs the feature `faults`.
#![cfg(feature = "faults")]
#![expect(clippy::expect_used, reason = "a test says what does not hold by its panic")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferropool_core::client::case::CaseBook;
use ferropool_core::client::execute::execute;
use ferropool_core::client::request::{Payload, Request};
use ferropool_core::client::upload::Source;
use ferropool_core::conn::connection::{ConnectionInfo, Ids};
use ferropool_core::conn::faults::{self, Fault, Side, Strike};
use ferropool_core::dial::Resolver;
use ferropool_core::manager::Target;
use ferropool_core::pool::{Blueprint, Observer, Pause, Pool, Shared, Warning};
use ferropool_policy::error::{Error, Kind};
use ferropool_policy::ledger::Discard;
use ferropool_policy::retry::{Count, Retry};
use ferropool_policy::settings::{PoolSettings, Timeouts};
use tokio::runtime::{Builder, LocalOptions};

mod feed;

#[test]
fn pieces_that_a_lost_connection_took_nothing_of_are_sent_again_each_once() {
    for (pieces, length) in [
        (vec!["one", "two", "three"], None),
        (vec!["one", "two", "three"], Some(11)),
        (vec![LONG; 40], None),
        (vec![LONG; 40], Some(40 * LONG.len() as u64)),
        (vec![], None),
    ] {
        let body = pieces.concat();
        let pieces = pieces.into_iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect();
        let source = feed::fed(pieces, length);
        // The first write of the second request: the connection was kept, and is gone.
        let (outcomes, replays, mut requests) = run(&source, Strike { side: Side::Write, nth: 2, fault: BROKEN });
        assert_eq!(outcomes, [Ok(()), Ok(())]);
        assert_eq!(replays, 1);
        assert_eq!(requests.pop().as_deref(), Some(body.as_str()));
        assert_eq!(requests.len(), 1);
    }
}

#[test]
fn once_a_byte_is_out_nothing_is_sent_again() {
    let source = feed::fed(vec![Bytes::from_static(LONG.as_bytes()); 40], None);
    let (outcomes, replays, _) = run(&source, Strike { side: Side::Write, nth: 3, fault: BROKEN });
    assert_eq!(outcomes, [Ok(()), Err(Kind::Protocol)]);
    assert_eq!(replays, 0);
}

#[test]
fn a_source_that_failed_is_not_tried_on_another_connection() {
    let source = feed::fed(vec![], None);
    source.fail(Error::new(Kind::BodyFailed, "it was asked for and failed"));
    let never = Strike { side: Side::Write, nth: u32::MAX, fault: BROKEN };
    let (outcomes, replays, requests) = run(&source, never);
    assert_eq!(outcomes, [Ok(()), Err(Kind::BodyFailed)]);
    assert_eq!((replays, requests.len()), (0, 1));
}

/// A GET, then a POST of this body; their outcomes, the replays, and the bodies that arrived whole.
fn run(source: &Rc<Source>, strike: Strike) -> (Vec<Result<(), Kind>>, u64, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (arrived, bodies) = mpsc::channel();
    thread::spawn(move || {
        // As many as there can be.
        for stream in listener.incoming().take(2).flatten() {
            let arrived = arrived.clone();
            thread::spawn(move || drop(serve(stream, &arrived)));
        }
    });
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).expect("a runtime");
    runtime.block_on(async {
        let pool = pool(port);
        faults::arm(Some(strike));
        let mut outcomes = Vec::new();
        for method in ["GET", "POST"] {
            let mut request = Request::new(method, "/", Instant::now());
            request.timeout = Some(Timeouts { connect: None, read: None, total: Some(60_000.0) });
            if method == "POST" {
                request.body = Payload::Pieces(Rc::clone(source));
            }
            outcomes.push(
                execute(&Target::Pool(Rc::clone(&pool)), &request).await.map(|_| ()).map_err(|error| error.kind()),
            );
        }
        faults::arm(None);
        pool.close_now();
        (outcomes, pool.stats.stale_replays.get(), bodies.try_iter().collect())
    })
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

fn serve(mut stream: TcpStream, arrived: &mpsc::Sender<String>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut received = String::new();
    loop {
        while request_of(&received).is_none() {
            let mut piece = [0; 8_192];
            match stream.read(&mut piece)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => received.push_str(&String::from_utf8_lossy(&piece[..count])),
            }
        }
        let body = request_of(&received).unwrap_or_default();
        received.clear();
        if arrived.send(body).is_err() {
            return Ok(());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}

/// The body of a request that has arrived whole.
fn request_of(received: &str) -> Option<String> {
    let (head, mut rest) = received.split_once("\r\n\r\n")?;
    let head = head.to_lowercase();
    if !head.contains("transfer-encoding: chunked") {
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
        return (rest.len() == length.unwrap_or(0)).then(|| rest.to_owned());
    }
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        body.push_str(after.get(..size)?);
        rest = after.get(size + 2..)?;
        if size == 0 {
            return rest.is_empty().then_some(body);
        }
    }
}

const BROKEN: Fault = Fault::Error(ErrorKind::BrokenPipe);
const LONG: &str =
    "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";
