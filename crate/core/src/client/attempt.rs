//! One exchange on one connection: send, wait for the head, read the body, give the connection back with a verdict.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::ledger::Discard;
use ferropool_policy::settings::Limits;
use http::{Method, StatusCode};
use hyper::body::Incoming;

use super::clocks::{Clocks, read_timeout};
use super::execute::Progress;
use super::failure;
use super::judge::{self, Judgement};
use super::message::Message;
use super::receive::{Gathered, gather};
use super::request::Request;
use super::response::Response;
use crate::clock::now;
use crate::conn::tap::Tap;
use crate::observe::timings::Timings;
use crate::pool::Held;

/// What an attempt works with.
pub(super) struct Attempt<'a> {
    pub(super) request: &'a Request,
    pub(super) limits: &'a Limits,
    pub(super) clocks: &'a Clocks,
    pub(super) progress: &'a Progress,
    /// When the connection was asked for.
    pub(super) asked: Instant,
    pub(super) attempts: u32,
}

/// An attempt that came to nothing, and how many bytes of its request the peer's kernel took.
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) accepted: u64,
}

impl Attempt<'_> {
    pub(super) async fn run(&self, mut held: Held, message: Message) -> Result<Box<Response>, Failed> {
        let began = now();
        let dial = held.dial;
        held.begin_exchange();
        let connection = match held.connection() {
            Ok(connection) => connection,
            Err(error) => return Err(Failed { error, accepted: 0 }),
        };
        let tap = Rc::clone(&connection.tap);
        let info = Rc::clone(&connection.info);
        tap.begin(self.limits);
        self.progress.tap.replace(Some(Rc::clone(&tap)));
        self.progress.phase.set(Phase::Send);
        let Message { http, close } = message;
        let method = http.method().clone();
        let answer = connection.sender.try_send_request(http);
        let answer = self.head(&tap, answer, began).await;
        self.progress.sent.set(self.progress.sent.get() || tap.written() > 0);
        let response = match answer {
            Ok(response) => response,
            Err(error) => return Err(Self::fail(held, &tap, error)),
        };
        let headed = now();
        self.progress.phase.set(Phase::Body);

        let (mut parts, body) = response.into_parts();
        let judged = judge::judge(&method, parts.status, parts.version, &mut parts.headers, &tap.scan());
        let judgement = match judged {
            Ok(judgement) => judgement,
            Err(error) => return Err(Self::fail(held, &tap, error)),
        };
        let unsent = tap.write_blocked();
        let gathered = match self.body(&method, &parts, body, &judgement, &tap).await {
            Ok(gathered) => gathered,
            Err(error) => return Err(Self::fail(held, &tap, error)),
        };
        let ended = now();

        let sent_at = tap.last_write().unwrap_or(began);
        let timings = Timings {
            pool: Some(began.saturating_duration_since(self.asked).saturating_sub(spent(dial))),
            dns: dial.and_then(|(dns, _)| dns),
            connect: dial.map(|(_, connect)| connect),
            send: Some(sent_at.saturating_duration_since(began)),
            headers: Some(headed.saturating_duration_since(sent_at.min(headed))),
            body: Some(ended.saturating_duration_since(headed)),
            total: None,
            done: None,
        };
        let reason = Some(reason(parts.status, &tap));
        let reused = held.reused;
        let Judgement { keep, hint, chunked, defects, .. } = judgement;
        held.count_response(gathered.data.as_slice().len() as u64, !defects.is_empty());
        // An early answer leaves the upload unfinished: hyper would go on with it (THR-317).
        if keep && !close && !unsent && gathered.complete {
            held.heard(hint);
            held.keep();
        } else {
            held.discard(Discard::NotReusable);
        }
        let http::response::Parts { status, version, headers, .. } = parts;
        Ok(Box::new(Response {
            status: status.as_u16(),
            version: if version == http::Version::HTTP_10 { 10 } else { 11 },
            reason,
            headers,
            trailers: gathered.trailers,
            defects,
            data: gathered.data,
            body_bytes: gathered.wire,
            chunked,
            attempts: self.attempts,
            reused,
            connection: info,
            timings,
        }))
    }

    /// Waits for the head. Sending is under `read` from step to step; the head as a whole is under `read` from the
    /// moment that the request was out, so that a dripping head ends too (THR-103).
    async fn head(
        &self,
        tap: &Tap,
        answer: impl Future<
            Output = Result<
                http::Response<Incoming>,
                hyper::client::conn::TrySendError<http::Request<super::upload::Upload>>,
            >,
        >,
        began: Instant,
    ) -> Result<http::Response<Incoming>, Error> {
        let classify = |error: hyper::client::conn::TrySendError<_>| failure::of_head(&error.into_error(), tap);
        let Some(read) = self.clocks.read else {
            return answer.await.map_err(classify);
        };
        let mut answer = std::pin::pin!(answer);
        let mut until = began + read;
        loop {
            if let Ok(answer) = tokio::time::timeout_at(until.into(), answer.as_mut()).await {
                return answer.map_err(classify);
            }
            until = tap.last_write().unwrap_or(began) + read;
            if until <= now() {
                let sending = tap.write_blocked() || tap.written() == 0;
                let phase = if sending { Phase::Send } else { Phase::Headers };
                self.progress.sent.set(tap.written() > 0);
                return Err(read_timeout(phase, read));
            }
        }
    }

    async fn body(
        &self,
        method: &Method,
        parts: &http::response::Parts,
        body: Incoming,
        judgement: &Judgement,
        tap: &Tap,
    ) -> Result<Gathered, Error> {
        let bodiless = *method == Method::HEAD || matches!(parts.status.as_u16(), 204 | 304);
        let decode = self.request.decode_content && !bodiless;
        gather(
            body,
            &parts.headers,
            judgement,
            self.limits,
            decode,
            self.request.enforce_content_length,
            self.clocks.read,
            tap,
        )
        .await
    }

    fn fail(held: Held, tap: &Tap, error: Error) -> Failed {
        let accepted = tap.written();
        let error = if held.was_forced() {
            Error::new(Kind::PoolClosed, "Pool is closed.").in_phase(error.fields().phase.unwrap_or(Phase::Total))
        } else {
            error
        };
        let why = if error.kind() == Kind::TooLarge { Discard::Aborted } else { Discard::Failed };
        held.discard(why);
        Failed { error, accepted }
    }
}

/// What of the wait for a connection was dialling.
fn spent(dial: Option<(Option<Duration>, Duration)>) -> Duration {
    dial.map_or(Duration::ZERO, |(dns, connect)| dns.unwrap_or_default() + connect)
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
