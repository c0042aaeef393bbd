//! One exchange on one connection: send, wait for the head, read the body, give the connection back with a verdict.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::settings::Limits;
use http::{Method, StatusCode};
use hyper::client::conn::TrySendError;

use super::clocks::{Clocks, read_timeout};
use super::exchange::{Exchange, fail};
use super::execute::Progress;
use super::failure;
use super::frames::{Frames, Terms, Wire};
use super::judge::{self, Judgement};
use super::line::Line;
use super::message::Message;
use super::multiplexed::{self, Pump, head_of};
use super::receive::{decoder, gather};
use super::replay::Taken;
use super::request::{Request, Wanted};
use super::response::{Body, Response};
use super::stream::{About, Stream};
use super::trip::{Trip, Verdict};
use super::upload::{Source, Upload};
use super::way::{StreamWay, Way};
use crate::clock::now;
use crate::conn::connection::{ConnectionInfo, Sender};
use crate::conn::tap::Tap;
use crate::observe::timings::Timings;
use crate::pool::{Held, Leased, Pool, Spans, StreamLease, closed};

/// What an attempt works with.
pub(super) struct Attempt<'a> {
    /// `host:port` that is asked.
    pub(super) host: &'a str,
    pub(super) pool: &'a Rc<Pool>,
    pub(super) limits: &'a Limits,
    pub(super) clocks: &'a Clocks,
    pub(super) progress: &'a Progress,
    /// When the connection was asked for.
    pub(super) asked: Instant,
    pub(super) attempts: u32,
    /// Who hears that the request is out.
    pub(super) tells_sent: Option<&'a dyn Line>,
}

/// What came of an exchange.
pub(super) enum Came {
    /// The call's outcome.
    Response(Box<Response>),
    /// An answer that another attempt follows, after so long; `moved` if to another URL.
    Again { delay: Duration, moved: bool },
}

/// An attempt that came to nothing, and what the peer has of its request.
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) taken: Taken,
}

impl Attempt<'_> {
    /// No `async fn`: that would keep each of its arguments twice in the state of every call, once as it came.
    pub(super) fn run(
        &self,
        mut leased: Leased,
        message: Message,
        trip: &mut Trip<'_>,
    ) -> impl Future<Output = Result<Came, Failed>> {
        let Message { http, close, source } = message;
        async move {
            let began = now();
            let dial = leased.dial();
            leased.begin_exchange();
            let method = http.method().clone();
            let exchanged = match &mut leased {
                Leased::Alone(held) => self.on_own(held, http, source.as_ref(), began).await,
                Leased::Stream(stream) => Box::pin(self.on_stream(stream, http, close, source.as_ref(), began)).await,
            };
            let Answer { response, way, pump, info } = match exchanged {
                Ok(answer) => answer,
                Err(Broke { error, taken }) => return Err(Failed { error: fail(leased, error), taken }),
            };
            self.progress.sent.set(true);
            let headed = now();
            self.progress.phase.set(Phase::Body);

            let (mut parts, body) = response.into_parts();
            let judgement = match judged(&method, &mut parts, &way) {
                Ok(judgement) => judgement,
                Err(error) => return Err(Self::fail(leased, &way, error)),
            };
            leased.count_repair(!judgement.defects.is_empty());
            let bodiless = judge::is_bodiless(&method, parts.status);
            self.pool.heed(self.host, parts.status.as_u16(), &parts.headers, trip.retry());
            if !trip.is_outcome(parts.status.as_u16(), &parts.headers) {
                let hop = trip.hop();
                let verdict = match Box::pin(self.judged(trip, &parts)).await {
                    Ok(verdict) => verdict,
                    Err(error) => return Err(Self::fail(leased, &way, error)),
                };
                if !matches!(verdict, Verdict::Give) {
                    let against = judgement.against(close);
                    let frames = Frames::new(
                        body,
                        way.clone(),
                        &judgement,
                        self.terms(trip.request(), source.clone(), bodiless),
                    );
                    let exchange = Exchange { leased, way, pump, against, hint: judgement.hint, source };
                    Box::pin(drain(frames, exchange)).await;
                    return turned(verdict, trip.hop() > hop);
                }
            }
            let request = trip.request();
            let decode = request.decode_content && !bodiless;
            let decoder = match decoder(&parts.headers, &judgement, self.limits, decode) {
                Ok(decoder) => decoder,
                Err(error) => return Err(Self::fail(leased, &way, error)),
            };
            let mut frames = Frames::new(body, way.clone(), &judgement, self.terms(request, source.clone(), bodiless));
            let reason = match &way {
                Way::Own(tap) => Some(reason(parts.status, tap)),
                Way::Stream(_) => None,
            };
            let reused = leased.reused();
            let mut timings = self.timings(dial, began, way.last_write().unwrap_or(began), headed);
            let against = judgement.against(close);
            let Judgement { hint, chunked, length, defects, .. } = judgement;
            // RESP-08: nothing is announced where nothing can come.
            let length = if bodiless { Some(0) } else { length };
            let exchange = Exchange { leased, way, pump, against, hint, source };
            let (body, body_bytes, trailers) = match request.wanted {
                Wanted::Whole => {
                    let data = match gather(&mut frames, decoder, self.limits, Some(self.pool)).await {
                        Ok(data) => data,
                        Err(error) => {
                            let taken = Taken::of(exchange.way.written());
                            return Err(Failed { error: exchange.fail(error), taken });
                        }
                    };
                    exchange.leased.count_decoded(data.as_slice().len() as u64, frames.ignored());
                    exchange.end(frames.is_complete());
                    timings.body = Some(now().saturating_duration_since(headed));
                    (Body::Whole(data), Some(frames.wire()), frames.take_trailers())
                }
                Wanted::Pieces { .. } => {
                    let waits = (timings.pool.unwrap_or_default(), timings.headers.unwrap_or_default());
                    let stream =
                        Stream::new(frames, decoder, *self.limits, exchange, self.about(request, headed, waits));
                    (Body::Stream(stream), length, None)
                }
            };
            let http::response::Parts { status, version, headers, .. } = parts;
            Ok(Came::Response(Box::new(Response {
                status: status.as_u16(),
                version: digits(version),
                reason,
                headers,
                trailers,
                defects,
                body,
                body_bytes,
                chunked,
                attempts: self.attempts,
                reused,
                connection: info,
                story: None,
                timings,
            })))
        }
    }

    /// What becomes of an answer that may not be the outcome. Who is asked about it may never answer; `close` does not wait
    /// for that longer than it was told to.
    async fn judged(&self, trip: &mut Trip<'_>, parts: &http::response::Parts) -> Result<Verdict, Error> {
        tokio::select! {
            biased;
            verdict = trip.judge(self.pool, parts.status.as_u16(), &parts.headers) => Ok(verdict),
            () = self.pool.until_forced() => Err(closed()),
        }
    }

    fn timings(&self, dial: Option<Spans>, began: Instant, sent: Instant, headed: Instant) -> Timings {
        Timings {
            pool: Some(
                began.saturating_duration_since(self.asked).saturating_sub(dial.map_or(Duration::ZERO, |d| d.sum())),
            ),
            dns: dial.and_then(|dial| dial.dns),
            connect: dial.map(|dial| dial.connect),
            proxy: dial.and_then(|dial| dial.proxy),
            tls: dial.and_then(|dial| dial.tls),
            send: Some(sent.saturating_duration_since(began)),
            headers: Some(headed.saturating_duration_since(sent.min(headed))),
            ..Timings::default()
        }
    }

    fn terms(&self, request: &Request, source: Option<Rc<Source>>, bodiless: bool) -> Terms {
        Terms {
            source,
            bodiless,
            read: self.clocks.read,
            enforce_length: request.enforce_content_length,
            most_wire: self.limits.wire,
            progress: request.progress.clone(),
        }
    }

    fn about(&self, request: &Request, headed: Instant, waits: (Duration, Duration)) -> About {
        About {
            host: self.progress.host(),
            pool: Rc::clone(self.pool),
            // The loop enters it: a call is in flight until its body has ended.
            call: None,
            attempts: self.attempts,
            started: request.started,
            headed,
            total: self.clocks.total,
            waits: Some(waits),
            ended: None,
        }
    }

    /// Sends on a connection of its own and waits for the head.
    async fn on_own(
        &self,
        held: &mut Held,
        http: http::Request<Upload>,
        source: Option<&Rc<Source>>,
        began: Instant,
    ) -> Result<Answer, Broke> {
        let connection = held.connection().map_err(|error| Broke { error, taken: Taken::Nothing })?;
        let Sender::Http1(sender) = &mut connection.sender else {
            let error = Error::new(Kind::Internal, "a shared connection was taken for one's own");
            return Err(Broke { error, taken: Taken::Something });
        };
        let tap = Rc::clone(&connection.tap);
        let way = Way::Own(Rc::clone(&tap));
        tap.begin(self.limits);
        self.begin(&way, source, Some(&tap));
        if let Some(proof) = self.prove_empty(source)
            && let Err(error) = proof.await
        {
            return Err(Broke { error, taken: Taken::Nothing });
        }
        let classify = |error: TrySendError<_>| failure::of_head(&error.into_error(), &tap, source.map(Rc::as_ref));
        let answer = {
            let answer = pin!(sender.try_send_request(http));
            self.head(&way, source.map(Rc::as_ref), answer, classify, began).await
        };
        self.progress.sent.set(self.progress.sent.get() || tap.written() > 0);
        match answer {
            Ok(response) => {
                Ok(Answer { response: response.map(Wire::Http1), way, pump: None, info: Rc::clone(&connection.info) })
            }
            Err(error) => Err(Broke { error, taken: Taken::of(tap.written()) }),
        }
    }

    /// Sends on a stream and waits for the head.
    async fn on_stream(
        &self,
        stream: &StreamLease,
        http: http::Request<Upload>,
        close: bool,
        source: Option<&Rc<Source>>,
        began: Instant,
    ) -> Result<Answer, Broke> {
        let never = |error| Broke { error, taken: Taken::Something };
        let lost = || never(Error::new(Kind::Internal, "a stream has no connection"));
        let (tap, info) = stream.tap().zip(stream.info()).ok_or_else(lost)?;
        let path = StreamWay::new(tap);
        let way = Way::Stream(Rc::clone(&path));
        let head = head_of(self.pool.origin.scheme, http).map_err(never)?;
        if close {
            stream.be_last();
        }
        if let Some(source) = source {
            source.frame(false, source.length());
        }
        self.begin(&way, source, None);
        if let Some(proof) = self.prove_empty(source) {
            proof.await.map_err(never)?;
        }
        let mut pump = None;
        let sender = stream.sender().map_err(never)?;
        let answer = {
            let answer = pin!(async {
                let (coming, pumping) = multiplexed::send(sender, head, source.cloned(), &path).await?;
                pump = pumping;
                multiplexed::response(coming, &path, source.map(Rc::as_ref), self.limits).await
            });
            self.head(&way, source.map(Rc::as_ref), answer, |error| error, began).await
        };
        let unprocessed = matches!(&answer, Err(error) if error.kind() == Kind::Unprocessed);
        self.progress.sent.set(self.progress.sent.get() || (way.written() > 0 && !unprocessed));
        match answer {
            Ok(response) => Ok(Answer { response: response.map(|body| Wire::Http2(body, false)), way, pump, info }),
            // What was not processed may go out again, if all of it is still here.
            Err(error) => {
                let again = unprocessed && source.is_none_or(|source| source.can_begin());
                Err(Broke { error, taken: if again { Taken::Nothing } else { Taken::Something } })
            }
        }
    }

    fn begin(&self, way: &Way, source: Option<&Rc<Source>>, tap: Option<&Rc<Tap>>) {
        self.progress.way.replace(Some(way.clone()));
        self.progress.phase.set(Phase::Send);
        if let Some(source) = source {
            source.begin(tap);
        }
        self.progress.source.replace(source.cloned());
    }

    /// What is announced as empty has to be that. Its source may never say; `close` does not wait for it longer than it was
    /// told to. `read` does not count: a slow source is not a slow peer. `None` for every other body; and boxed, since almost
    /// no call comes here.
    fn prove_empty<'s>(
        &'s self,
        source: Option<&'s Rc<Source>>,
    ) -> Option<Pin<Box<impl Future<Output = Result<(), Error>>>>> {
        let source = source.filter(|source| source.is_to_be_empty())?;
        Some(Box::pin(async {
            tokio::select! {
                biased;
                proved = source.prove_empty() => proved,
                () = self.pool.until_forced() => Err(closed()),
            }
        }))
    }

    /// Waits for the head. Sending is under `read` from step to step; the head as a whole is under `read` from the
    /// moment that the request was out, so that a dripping head ends too (THR-103).
    async fn head<T, E>(
        &self,
        way: &Way,
        source: Option<&Source>,
        mut answer: Pin<&mut impl Future<Output = Result<T, E>>>,
        classify: impl Fn(E) -> Error,
        began: Instant,
    ) -> Result<T, Error> {
        let Some(line) = self.tells_sent else {
            return self.bounded(way, source, answer, classify, began).await;
        };
        let answer = pin!(async {
            let early = tokio::select! {
                biased;
                answer = answer.as_mut() => Some(answer),
                () = sent(way, source) => None,
            };
            line.sent();
            match early {
                Some(answer) => answer,
                None => answer.await,
            }
        });
        Box::pin(self.bounded(way, source, answer, classify, began)).await
    }

    async fn bounded<T, E>(
        &self,
        way: &Way,
        source: Option<&Source>,
        mut answer: Pin<&mut impl Future<Output = Result<T, E>>>,
        classify: impl Fn(E) -> Error,
        began: Instant,
    ) -> Result<T, Error> {
        let Some(read) = self.clocks.read else {
            return answer.await.map_err(classify);
        };
        let mut until = began + read;
        loop {
            if let Ok(answer) = tokio::time::timeout_at(until.into(), answer.as_mut()).await {
                return answer.map_err(classify);
            }
            until = way.last_write().unwrap_or(began) + read;
            if let Some(source) = source {
                // A slow source is not a slow peer.
                until = source.peer_owes_since().map_or_else(|| now() + read, |since| until.max(since + read));
            }
            if until <= now() {
                let sending = way.write_blocked() || way.written() == 0;
                let phase = if sending { Phase::Send } else { Phase::Headers };
                self.progress.sent.set(way.written() > 0);
                return Err(read_timeout(phase, read));
            }
        }
    }

    fn fail(leased: Leased, way: &Way, error: Error) -> Failed {
        Failed { error: fail(leased, error), taken: Taken::of(way.written()) }
    }
}

/// Waits until all of a request is out.
async fn sent(way: &Way, source: Option<&Source>) {
    poll_fn(|cx| {
        let handed = source.is_none_or(Source::is_handed);
        if handed && way.written() > 0 && !way.write_blocked() {
            return Poll::Ready(());
        }
        way.tap().watch_writes(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// A head, and the way that it came.
struct Answer {
    response: http::Response<Wire>,
    way: Way,
    pump: Option<Pump>,
    info: Rc<ConnectionInfo>,
}

/// An exchange that has come to nothing before its head.
struct Broke {
    error: Error,
    taken: Taken,
}

/// Reads what is left of an answer that nobody gets, undecoded (REDIR-07), so that its connection serves the next attempt
/// (POOL-21). What is large or slow costs the connection instead; nothing that goes wrong here is anybody's error.
async fn drain(mut frames: Frames, exchange: Exchange) {
    let short = frames.is_over() || frames.length().is_none_or(|length| length <= DRAINED);
    let worth_it = short && exchange.against.is_none();
    let reading = async {
        while worth_it && frames.wire() <= DRAINED {
            match frames.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    };
    if tokio::time::timeout(DRAINING, reading).await == Ok(true) {
        exchange.end(frames.is_complete());
    } else {
        exchange.abandon();
    }
}

/// Bytes of an answer's body that are read for the sake of its connection: more take longer than a new one.
const DRAINED: u64 = 256 * 1024;
/// How long that may take.
const DRAINING: Duration = Duration::from_millis(500);

/// What an answer means that is not the outcome; `moved` if it leads elsewhere.
fn turned(verdict: Verdict, moved: bool) -> Result<Came, Failed> {
    match verdict {
        Verdict::Again(delay) => Ok(Came::Again { delay, moved }),
        // The connection is no part of it any more: it cannot be replayed.
        Verdict::Raise(error) => Err(Failed { error, taken: Taken::Something }),
        Verdict::Give => {
            Err(Failed { error: Error::new(Kind::Internal, "an outcome was passed over"), taken: Taken::Something })
        }
    }
}

/// What the head says, and whether the two who read it agree.
fn judged(method: &Method, parts: &mut http::response::Parts, way: &Way) -> Result<Judgement, Error> {
    match way {
        Way::Own(tap) => judge::judge(method, parts.status, parts.version, &mut parts.headers, &tap.scan()),
        Way::Stream(_) => Ok(judge::judge_stream(&parts.headers)),
    }
}

/// The protocol as urllib3 counts it.
fn digits(version: http::Version) -> u8 {
    match version {
        http::Version::HTTP_10 => 10,
        http::Version::HTTP_2 => 20,
        _ => 11,
    }
}

/// The reason phrase as received, blanks around it off: hyper loses one that has bytes beyond ASCII.
fn reason(status: StatusCode, tap: &Tap) -> Bytes {
    let scan = tap.scan();
    let phrase = scan.status_line().get(REASON_AT..).unwrap_or(&[]).trim_ascii();
    match status.canonical_reason() {
        Some(usual) if usual.as_bytes() == phrase => Bytes::from_static(usual.as_bytes()),
        _ => Bytes::copy_from_slice(phrase),
    }
}

/// After `HTTP/1.1 200 `.
const REASON_AT: usize = 13;
