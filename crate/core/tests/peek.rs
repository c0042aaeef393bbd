//! Bytes and ends of stream that are in an idle socket already, but of which a busy I/O thread has not been told: the
//! look at checkout must find them, or the next request gets the last one's leftovers as its answer.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use ferropool_core::client::case::CaseBook;
use ferropool_core::client::execute::execute;
use ferropool_core::client::request::Request;
use ferropool_core::conn::connection::{ConnectionInfo, Ids};
use ferropool_core::dial::Resolver;
use ferropool_core::manager::Target;
use ferropool_core::pool::{Blueprint, Observer, Pause, Pool, Shared, Warning};
use ferropool_policy::ledger::Discard;
use ferropool_policy::retry::{Count, Retry};
use ferropool_policy::settings::{PoolSettings, Timeouts};
use tokio::runtime::LocalRuntime;

/// What the server does to a connection that lies idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// A whole response that nobody asked for.
    Speak,
    /// A single byte.
    Byte,
    /// End of stream.
    Close,
    /// Both.
    SpeakAndClose,
}

impl Deed {
    /// Whether bytes are there to be found: they tell more than the end of stream behind them.
    fn speaks(self) -> bool {
        self != Self::Close
    }
}

struct Deaf;

impl Observer for Deaf {
    fn opened(&self, _: &ConnectionInfo, _: &Pool) {}
    fn closed(&self, _: u32, _: Discard) {}
    fn warn(&self, _: Warning, _: &Pool) {}

    fn paused(&self, _: &Pause<'_>) {}
}

/// Answers each request with its path; after each answer to `/first…` it waits for a deed, does it, and reports.
fn serve(listener: &TcpListener, deeds: &Receiver<Deed>, done: &Sender<()>) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let mut served = false;
        while let Some(path) = request(&mut stream) {
            answer(&mut stream, &path);
            served = true;
            if path.starts_with("/first") {
                let Ok(deed) = deeds.recv() else { return };
                if deed == Deed::Byte {
                    stream.write_all(b"H").unwrap();
                } else if deed.speaks() {
                    answer(&mut stream, "EVIL");
                }
                if matches!(deed, Deed::Close | Deed::SpeakAndClose) {
                    stream.shutdown(Shutdown::Write).unwrap();
                }
                done.send(()).unwrap();
                break;
            }
        }
        if !served {
            // The test is over.
            return;
        }
    }
}

/// The path of the next request; `None` at the end of the stream.
fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => head.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
    let head = String::from_utf8(head).unwrap();
    head.split(' ').nth(1).map(str::to_owned)
}

fn answer(stream: &mut TcpStream, body: &str) {
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(whole.as_bytes()).unwrap();
}

async fn get(pool: &Rc<Pool>, path: String) -> (Vec<u8>, bool) {
    let response = execute(&Target::Pool(Rc::clone(pool)), &Request::new("GET", path, Instant::now())).await.unwrap();
    (response.body.whole().unwrap().to_vec(), response.reused)
}

// THR-303 THR-1201
#[test]
fn what_a_busy_thread_has_not_been_told_of_is_never_a_response() {
    const ROUNDS: u64 = 1_000;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (deed, deeds) = channel();
    let (report, done) = channel();
    let server = std::thread::spawn(move || serve(&listener, &deeds, &report));
    LocalRuntime::new().unwrap().block_on(async {
        let settings = PoolSettings {
            host: "127.0.0.1".to_owned(),
            port: Some(port),
            block: true,
            timeout: Timeouts { total: Some(60_000.0), ..Timeouts::default() },
            retries: Some(Retry { total: Count::Off, ..Retry::default() }),
            ..PoolSettings::default()
        };
        let shared = Shared {
            resolver: Resolver::new(),
            book: CaseBook::default(),
            ids: Ids::default(),
            observer: Box::new(Deaf),
        };
        let pool = Pool::open(Blueprint::new(settings).unwrap(), Rc::new(shared), 0).unwrap();
        let (mut mixed, mut spoken) = (0, 0);
        for round in 0..ROUNDS {
            let first = format!("/first-{round}");
            assert_eq!(get(&pool, first.clone()).await.0, first.as_bytes());
            assert_eq!(pool.figures().idle, 1);
            let now = [Deed::Speak, Deed::Byte, Deed::Close, Deed::SpeakAndClose][(round % 4) as usize];
            spoken += u64::from(now.speaks());
            // The I/O thread is busy with something else until the bytes are in the socket; the reactor has had no turn.
            deed.send(now).unwrap();
            done.recv_timeout(Duration::from_secs(60)).unwrap();
            let second = format!("/second-{round}");
            let (body, reused) = get(&pool, second.clone()).await;
            mixed += u64::from(body != second.as_bytes());
            assert!(!reused, "round {round}: {now:?}");
            let figures = pool.figures();
            assert_eq!(figures.opened, figures.closed + u64::from(figures.idle) + u64::from(figures.leased));
            assert_eq!(figures.poisoned, spoken, "round {round}: {now:?}");
            // The connection of the second request goes, so that each round begins with its own.
            pool.close_idle();
        }
        assert_eq!(mixed, 0);
        drop(deed);
    });
    // A connection that asks nothing ends the server.
    drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
    server.join().unwrap();
}
