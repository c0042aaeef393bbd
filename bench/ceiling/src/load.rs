//! The loop of one user, and what all loops share: the connector, the request, the expected body, the tally.

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use flate2::bufread::GzDecoder;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use tokio::sync::Notify;

use crate::arguments::{Arguments, Kind, Transport};
use crate::connection::Connector;

/// What every loop of a measurement shares; all of them run on one thread, so cells are enough.
pub(crate) struct Work {
    connector: Connector,
    target: Uri,
    host: Option<HeaderValue>,
    renews: bool,
    expected: Vec<u8>,
    gzip: bool,
    phase: Cell<Phase>,
    cold: Cell<usize>,
    warm: Notify,
    failure: RefCell<Option<String>>,
    tally: RefCell<Tally>,
}

/// Only what ends while measuring is counted, so that neither the start nor the last answers bend the figure.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Warming,
    Measuring,
    Over,
}

/// How long each counted request took.
#[derive(Default)]
pub(crate) struct Tally {
    nanoseconds: Vec<u64>,
}

impl Work {
    pub(crate) fn prepare(arguments: &Arguments) -> Result<Self, crate::Failure> {
        Ok(Self {
            connector: Connector::prepare(arguments)?,
            target: match arguments.transport {
                // HTTP/2 has scheme and authority beside the path (RFC 9113 §8.3.1); hyper takes them from the target.
                Transport::H2 => format!("https://{}{}", arguments.address, arguments.path).parse()?,
                Transport::Forward => format!("http://{}{}", origin(arguments), arguments.path).parse()?,
                _ => arguments.path.parse()?,
            },
            host: match arguments.transport {
                Transport::H2 => None,
                _ => Some(origin(arguments).parse()?),
            },
            renews: arguments.transport == Transport::HttpsNew,
            expected: std::fs::read(&arguments.expect)?,
            gzip: arguments.kind == Kind::Gzip,
            phase: Cell::new(Phase::Warming),
            cold: Cell::new(arguments.concurrency),
            warm: Notify::new(),
            failure: RefCell::default(),
            tally: RefCell::default(),
        })
    }

    /// Ends when every loop has one answer, or when one has failed (its error comes out when the loops are joined).
    pub(crate) async fn everyone_is_warm(&self) {
        while self.cold.get() > 0 && self.failure.borrow().is_none() {
            self.warm.notified().await;
        }
    }

    pub(crate) fn start(&self, expected: Duration) {
        let room = (expected.as_secs_f64() * 200_000.0) as usize;
        self.tally.borrow_mut().nanoseconds.reserve(room.min(1 << 22));
        self.phase.set(Phase::Measuring);
    }

    pub(crate) fn stop(&self) -> Tally {
        self.phase.set(Phase::Over);
        let mut tally = self.tally.take();
        tally.nanoseconds.sort_unstable();
        tally
    }

    pub(crate) fn first_failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    fn one_more_is_warm(&self) {
        self.cold.set(self.cold.get() - 1);
        if self.cold.get() == 0 {
            self.warm.notify_one();
        }
    }

    fn count(&self, took: Duration) {
        if self.phase.get() == Phase::Measuring {
            self.tally.borrow_mut().nanoseconds.push(took.as_nanos() as u64);
        }
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.target.clone();
        if let Some(host) = &self.host {
            request.headers_mut().insert(header::HOST, host.clone());
        }
        request
    }

    /// The whole body is compared before measuring, three places of it afterwards: the JavaScript clients do the same.
    fn check(&self, body: &[u8]) -> Result<(), String> {
        let right = body.len() == self.expected.len()
            && if self.phase.get() == Phase::Warming {
                body == self.expected
            } else {
                let middle = body.len() / 2;
                let last = body.len().saturating_sub(TOKEN);
                [0, middle, last].into_iter().all(|at| {
                    let end = (at + TOKEN).min(body.len());
                    body[at..end] == self.expected[at..end]
                })
            };
        if right {
            Ok(())
        } else {
            Err(format!("a body of {} bytes is not the expected one of {}", body.len(), self.expected.len()))
        }
    }
}

impl Tally {
    pub(crate) fn requests(&self) -> usize {
        self.nanoseconds.len()
    }

    /// In milliseconds; nearest rank, as in `bench/statistics.js`.
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        let rank = (share * self.nanoseconds.len() as f64).ceil() as usize;
        self.nanoseconds.get(rank.saturating_sub(1)).map(|nanoseconds| *nanoseconds as f64 / 1_000_000.0)
    }
}

/// Whom the requests are for: behind a proxy, somebody else than who is connected to.
fn origin(arguments: &Arguments) -> String {
    arguments.origin.clone().unwrap_or_else(|| arguments.address.to_string())
}

/// One user's life: an answer at a time until the measurement is over.
pub(crate) async fn run(work: std::rc::Rc<Work>) -> Result<(), String> {
    let ended = exchange_until_over(&work).await.map_err(|error| error.to_string());
    if let Err(text) = &ended {
        work.failure.borrow_mut().get_or_insert_with(|| text.clone());
        work.warm.notify_one();
    }
    ended
}

async fn exchange_until_over(work: &Work) -> Result<(), crate::Failure> {
    let mut connection = work.connector.connect().await?;
    let mut decoded = Vec::new();
    let mut is_warm = false;
    let mut began = Instant::now();
    let mut is_first = true;
    while work.phase.get() != Phase::Over {
        if work.renews && !is_first {
            std::mem::replace(&mut connection, work.connector.connect().await?).close().await?;
        }
        is_first = false;
        let response = connection.send(work.request()).await?;
        if response.status() != StatusCode::OK {
            return Err(format!("the server answered {}", response.status()).into());
        }
        let body = whole(response.into_body()).await?;
        if work.gzip {
            decoded.clear();
            GzDecoder::new(&body[..]).read_to_end(&mut decoded)?;
            work.check(&decoded)?;
        } else {
            work.check(&body)?;
        }
        let now = Instant::now();
        work.count(now - began);
        began = now;
        if !is_warm {
            is_warm = true;
            work.one_more_is_warm();
        }
    }
    connection.close().await
}

/// A body in one piece is taken as it is; one in several is gathered in a buffer of its announced size.
async fn whole(mut body: Incoming) -> Result<Bytes, hyper::Error> {
    let announced = body.size_hint().exact().unwrap_or(0) as usize;
    let mut first = Bytes::new();
    let mut gathered = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else {
            continue;
        };
        if first.is_empty() {
            first = piece;
            continue;
        }
        if gathered.is_empty() {
            gathered.reserve(announced.max(first.len() + piece.len()));
            gathered.extend_from_slice(&first);
        }
        gathered.extend_from_slice(&piece);
    }
    Ok(if gathered.is_empty() { first } else { gathered.freeze() })
}

/// How many bytes are compared at each of the three places of a body.
const TOKEN: usize = 8;
