//! One exchange on one connection: send, wait for the head, read the body, give the connection back with a verdict.

use std::future::poll_fn;
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
use super::request::{Request, Wanted};
use super::response::{Body, Data, Response};
use super::stream::{About, Stream};
use super::trip::{Trip, Verdict};
use super::upload::{Source, Upload};
use super::way::{StreamWay, Way};
use crate::body::decode::Decoder;
use crate::clock::now;
use crate::conn::connection::{ConnectionInfo, Sender};
use crate::conn::tap::Tap;
use crate::observe::timings::Timings;
use crate::pool::{Held, Leased, Pool, Spans, StreamLease, closed};

/// What an attempt works with.
pub(super) struct Attempt<'a> {
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

/// An attempt that came to nothing, and how many bytes of its request the peer's kernel took.
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) accepted: u64,
}

impl Attempt<'_> {
    pub(super) async fn run(&self, mut leased: Leased, message: Message, trip: &mut Trip<'_>) -> Result<Came, Failed> {
        let began = now();
        let dial = leased.dial();
        leased.begin_exchange();
        let Message { http, close, source } = message;
        let method = http.method().clone();
        let exchanged = match &mut leased {
            Leased::Alone(held) => self.on_own(held, http, source.as_ref(), began).await,
            Leased::Stream(stream) => Box::pin(self.on_stream(stream, http, close, source.as_ref(), began)).await,
        };
        let Answer { response, way, pump, info } = match exchanged {
            Ok(answer) => answer,
            Err(Broke { error, accepted }) => return Err(Failed { error: fail(leased, error), accepted }),
        };
        self.progress.sent.set(true);
        let headed = now();
        self.progress.phase.set(Phase::Body);

        let (mut parts, body) = response.into_parts();
        let judged = match &way {
            Way::Own(tap) => judge::judge(&method, parts.status, parts.version, &mut parts.headers, &tap.scan()),
            Way::Stream(_) => Ok(judge::judge_stream(&parts.headers)),
        };
        let judgement = match judged {
            Ok(judgement) => judgement,
            Err(error) => return Err(Self::fail(leased, &way, error)),
        };
        let bodiless = is_bodiless(&method, parts.status);
        self.pool.heed(parts.status.as_u16(), &parts.headers, trip.retry());
        if !trip.is_outcome(parts.status.as_u16(), &parts.headers) {
            let hop = trip.hop();
            let verdict = match Box::pin(self.judged(trip, &parts)).await {
                Ok(verdict) => verdict,
                Err(error) => return Err(Self::fail(leased, &way, error)),
            };
            if !matches!(verdict, Verdict::Give) {
                let keep = judgement.keep && !close;
                let frames =
                    Frames::new(body, way.clone(), &judgement, self.terms(trip.request(), source.clone(), bodiless));
                let exchange = Exchange { leased, way, pump, keep, hint: judgement.hint, source };
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
        let frames = Frames::new(body, way.clone(), &judgement, self.terms(request, source.clone(), bodiless));
        let reason = match &way {
            Way::Own(tap) => Some(reason(parts.status, tap)),
            Way::Stream(_) => None,
        };
        let reused = leased.reused();
        let mut timings = self.timings(dial, began, way.last_write().unwrap_or(began), headed);
        let Judgement { keep, hint, chunked, length, defects, .. } = judgement;
        // RESP-08: nothing is announced where nothing can come.
        let length = if bodiless { Some(0) } else { length };
        leased.count_repair(!defects.is_empty());
        let exchange = Exchange { leased, way, pump, keep: keep && !close, hint, source };
        let (body, body_bytes, trailers) = match request.wanted {
            Wanted::Whole => {
                let (data, wire, trailers) = self.whole(frames, decoder, exchange).await?;
                timings.body = Some(now().saturating_duration_since(headed));
                (Body::Whole(data), Some(wire), trailers)
            }
            Wanted::Pieces { .. } => {
                let waits = (timings.pool.unwrap_or_default(), timings.headers.unwrap_or_default());
                let stream = Stream::new(frames, decoder, *self.limits, exchange, self.about(request, headed, waits));
                (Body::Stream(stream), length, None)
            }
        };
        let http::response::Parts { status, version, headers, .. } = parts;
        Ok(Came::Response(Box::new(Response {
            status: status.as_u16(),
            version: match version {
                http::Version::HTTP_10 => 10,
                http::Version::HTTP_2 => 20,
                _ => 11,
            },
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
            tls: dial.and_then(|dial| dial.tls),
            send: Some(sent.saturating_duration_since(began)),
            headers: Some(headed.saturating_duration_since(sent.min(headed))),
            ..Timings::default()
        }
    }

    /// Reads the body, and gives the connection back.
    async fn whole(
        &self,
        mut frames: Frames,
        decoder: Option<Decoder>,
        exchange: Exchange,
    ) -> Result<(Data, u64, Option<http::HeaderMap>), Failed> {
        match gather(&mut frames, decoder, self.limits).await {
            Ok(data) => {
                exchange.leased.count_decoded(data.as_slice().len() as u64);
                exchange.end(frames.is_complete());
                Ok((data, frames.wire(), frames.take_trailers()))
            }
            Err(error) => {
                let accepted = exchange.way.written();
                Err(Failed { error: exchange.fail(error), accepted })
            }
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
            pool: Rc::clone(self.pool),
            // The loop enters it: a call is in flight until its body has ended.
            call: None,
            attempts: self.attempts,
            started: request.started,
            headed,
            total: self.clocks.total,
            waits,
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
        let connection = held.connection().map_err(|error| Broke { error, accepted: 0 })?;
        let Sender::Http1(sender) = &mut connection.sender else {
            let error = Error::new(Kind::Internal, "a shared connection was taken for one's own");
            return Err(Broke { error, accepted: u64::MAX });
        };
        let tap = Rc::clone(&connection.tap);
        let way = Way::Own(Rc::clone(&tap));
        tap.begin(self.limits);
        self.begin(&way, source, Some(&tap));
        if let Some(source) = source
            && let Err(error) = source.prove_empty().await
        {
            return Err(Broke { error, accepted: 0 });
        }
        let answer = sender.try_send_request(http);
        let classify = |error: TrySendError<_>| failure::of_head(&error.into_error(), &tap, source.map(Rc::as_ref));
        let answer = self.head(&way, source.map(Rc::as_ref), answer, classify, began).await;
        self.progress.sent.set(self.progress.sent.get() || tap.written() > 0);
        match answer {
            Ok(response) => {
                Ok(Answer { response: response.map(Wire::Http1), way, pump: None, info: Rc::clone(&connection.info) })
            }
            Err(error) => Err(Broke { error, accepted: tap.written() }),
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
        let never = |error| Broke { error, accepted: u64::MAX };
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
        if let Some(source) = source {
            source.prove_empty().await.map_err(never)?;
        }
        let mut pump = None;
        let sender = stream.sender().map_err(never)?;
        let answer = async {
            let (coming, pumping) = multiplexed::send(sender, head, source.cloned(), &path).await?;
            pump = pumping;
            multiplexed::response(coming, &path, source.map(Rc::as_ref), self.limits).await
        };
        let answer = self.head(&way, source.map(Rc::as_ref), answer, |error| error, began).await;
        let unprocessed = matches!(&answer, Err(error) if error.kind() == Kind::Unprocessed);
        self.progress.sent.set(self.progress.sent.get() || (way.written() > 0 && !unprocessed));
        match answer {
            Ok(response) => Ok(Answer { response: response.map(|body| Wire::Http2(body, false)), way, pump, info }),
            // What was not processed may go out again, if all of it is still here.
            Err(error) => {
                let again = unprocessed && source.is_none_or(|source| source.can_begin());
                Err(Broke { error, accepted: if again { 0 } else { u64::MAX } })
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

    /// Waits for the head. Sending is under `read` from step to step; the head as a whole is under `read` from the
    /// moment that the request was out, so that a dripping head ends too (THR-103).
    async fn head<T, E>(
        &self,
        way: &Way,
        source: Option<&Source>,
        answer: impl Future<Output = Result<T, E>>,
        classify: impl Fn(E) -> Error,
        began: Instant,
    ) -> Result<T, Error> {
        let Some(line) = self.tells_sent else {
            return self.bounded(way, source, answer, classify, began).await;
        };
        let answer = async {
            let mut answer = std::pin::pin!(answer);
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
        };
        Box::pin(self.bounded(way, source, answer, classify, began)).await
    }

    async fn bounded<T, E>(
        &self,
        way: &Way,
        source: Option<&Source>,
        answer: impl Future<Output = Result<T, E>>,
        classify: impl Fn(E) -> Error,
        began: Instant,
    ) -> Result<T, Error> {
        let Some(read) = self.clocks.read else {
            return answer.await.map_err(classify);
        };
        let mut answer = std::pin::pin!(answer);
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
        let accepted = way.written();
        Failed { error: fail(leased, error), accepted }
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
    accepted: u64,
}

/// Reads what is left of an answer that nobody gets, undecoded (REDIR-07), so that its connection serves the next attempt
/// (POOL-21). What is large or slow costs the connection instead; nothing that goes wrong here is anybody's error.
async fn drain(mut frames: Frames, exchange: Exchange) {
    let worth_it = frames.length().is_none_or(|length| length <= DRAINED) && exchange.keep;
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
        Verdict::Raise(error) => Err(Failed { error, accepted: u64::MAX }),
        Verdict::Give => {
            Err(Failed { error: Error::new(Kind::Internal, "an outcome was passed over"), accepted: u64::MAX })
        }
    }
}

/// RFC 9112 §6.3: no body, whatever the head says.
fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD || matches!(status.as_u16(), 204 | 304)
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
