//! A call on its way through hops and attempts: what it asks for now, what `Retry` has left, and what happened before.
//!
//! Everything that only a retry or a redirect needs is in one box that is made when the first of them comes: a call that
//! goes through at once carries a null.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferropool_policy::error::{Cause, Error, Kind, Phase};
use ferropool_policy::origin::Origin;
use ferropool_policy::redirect::{self, BODY_FIELDS, Hop};
use ferropool_policy::retry::{Event, Refused, Retry, class_of};
use ferropool_policy::settings::delay;
use ferropool_policy::story::{Past, in_a_row};
use ferropool_policy::{query, url};
use http::HeaderMap;
use http::header::{LOCATION, RETRY_AFTER, SET_COOKIE};

use super::ask::{Answer, Happened, Question};
use super::request::{Line, Payload, Request};
use crate::clock::{random, wall_clock};
use crate::pool::{Deadline, Pool};

/// See the module.
pub(super) struct Trip<'r> {
    original: &'r Request,
    /// In force where the call brought none of its own.
    usual: Rc<Retry>,
    /// A pool's redirects stay with its own host.
    bound: bool,
    moved: Option<Box<Moved>>,
}

/// What has changed since the call began.
struct Moved {
    request: Request,
    retry: Retry,
    history: Vec<Past>,
    hop: u32,
    /// What the last attempt met.
    error: Option<Error>,
}

impl Moved {
    /// Adds to the history. A `Retry` without end has one without end: the oldest events go, some at a time.
    fn remember(&mut self, past: Past) {
        if self.history.len() >= 2 * REMEMBERED {
            self.history.drain(..REMEMBERED);
        }
        self.history.push(past);
    }
}

/// Events that are remembered at least.
const REMEMBERED: usize = 1_000;

/// What becomes of an answer.
pub(super) enum Verdict {
    /// It is the call's outcome.
    Give,
    /// Another attempt follows, after so long.
    Again(Duration),
    /// The call ends with this; the answer is not given.
    Raise(Error),
}

impl<'r> Trip<'r> {
    pub(super) fn new(original: &'r Request, usual: Rc<Retry>, bound: bool) -> Self {
        Self { original, usual, bound, moved: None }
    }

    /// What is asked for now.
    pub(super) fn request(&self) -> &Request {
        self.moved.as_ref().map_or(self.original, |moved| &moved.request)
    }

    /// The hop that is under way, from 0.
    pub(super) fn hop(&self) -> u32 {
        self.moved.as_ref().map_or(0, |moved| moved.hop)
    }

    /// What the attempt before met, if it met no answer.
    pub(super) fn last_error(&self) -> Option<&Error> {
        self.moved.as_ref()?.error.as_ref()
    }

    /// What happened before, taken out at the end: the absolute URL where redirects led, what `Retry` has left, and each
    /// event.
    pub(super) fn story(self) -> Option<Box<Story>> {
        let Moved { request, retry, history, hop, .. } = *self.moved?;
        let url = (hop > 0).then(|| String::from_utf8_lossy(&request.url).into_owned());
        Some(Box::new(Story { url, retry, history }))
    }

    /// An attempt met this. `Ok` is how long to wait before the next one.
    ///
    /// # Errors
    /// What the call ends with: the error itself, or a `MaxRetryError` around it (RETRY-07, -08, -09).
    pub(super) async fn failed(&mut self, pool: &Pool, error: Error) -> Result<Duration, Error> {
        if class_of(error.kind()).is_none() {
            return Err(error);
        }
        let method = self.request().method.clone();
        if self.original.asks.verdict {
            return self.asked_about(pool, &method, error).await;
        }
        match self.retry().increment(&method, &Event::Error(&error)) {
            Ok(left) => {
                self.go_on(pool, left, Some(error), None);
                Ok(self.back_off())
            }
            Err(Refused::Rethrow(why)) => Err(explained(error, why)),
            Err(Refused::Exhausted(_)) => Err(exhausted(error)),
        }
    }

    /// Whether an answer with this head is the outcome without further ado: neither a redirect, nor a status that anybody
    /// has asked to be repeated, which most are.
    pub(super) fn is_outcome(&self, status: u16, headers: &HeaderMap) -> bool {
        if !self.original.asks.is_none() {
            return false;
        }
        let request = self.request();
        let leads = request.redirect && (300..400).contains(&status) && headers.contains_key(LOCATION);
        let retry = self.retry();
        let repeated = || retry.is_retry(&request.method, status, headers.contains_key(RETRY_AFTER));
        !leads && ((status < 400 && retry.status_forcelist.is_empty()) || !repeated())
    }

    /// What becomes of an answer that [`Trip::is_outcome`] has its doubts about.
    pub(super) async fn judge(&mut self, pool: &Pool, status: u16, headers: &HeaderMap) -> Verdict {
        if self.original.asks.cookies
            && let Err(error) = self.store_cookies(pool, headers).await
        {
            return Verdict::Raise(error);
        }
        let location = headers.get(LOCATION).map(http::HeaderValue::as_bytes);
        let location = redirect::location_of(status, location).filter(|_| self.request().redirect);
        if self.original.asks.verdict {
            return self.asked_to_judge(pool, status, headers, location).await;
        }
        let method = self.request().method.clone();
        if let Some(location) = location
            && self.retry().follows()
        {
            return match self.retry().increment(&method, &Event::Redirect) {
                Ok(left) if left.most_hops().is_none_or(|most| self.hop() < most) => {
                    self.follow(pool, status, location, left, self.asked_delay(headers))
                }
                Ok(_) | Err(Refused::Exhausted(_)) => self.too_far(status),
                Err(Refused::Rethrow(_)) => Verdict::Give,
            };
        }
        if !self.retry().is_retry(&method, status, headers.contains_key(RETRY_AFTER)) {
            return Verdict::Give;
        }
        match self.retry().increment(&method, &Event::Status(status)) {
            Ok(left) => {
                let asked = self.asked_delay(headers);
                self.go_on(pool, left, None, Some(status));
                Verdict::Again(asked.unwrap_or_else(|| self.back_off()))
            }
            Err(Refused::Exhausted(Some(said))) if self.retry().raise_on_status => {
                Verdict::Raise(exhausted(refused(said, status)))
            }
            Err(_) => Verdict::Give,
        }
    }

    /// What becomes of one redirect too many.
    fn too_far(&self, status: u16) -> Verdict {
        if self.retry().raise_on_redirect {
            Verdict::Raise(exhausted(refused("too many redirects".to_owned(), status)))
        } else {
            Verdict::Give
        }
    }

    /// The answer's Retry-After, where it counts.
    fn asked_delay(&self, headers: &HeaderMap) -> Option<Duration> {
        let retry = self.retry();
        let value = headers.get(RETRY_AFTER).filter(|_| retry.respect_retry_after_header)?;
        retry.retry_after(value.as_bytes(), wall_clock()).map(delay)
    }

    fn back_off(&self) -> Duration {
        let history = self.moved.as_ref().map_or(&[][..], |moved| &moved.history);
        delay(self.retry().backoff(in_a_row(history), random()))
    }

    /// Turns to where the answer leads.
    fn follow(&mut self, pool: &Pool, status: u16, location: &[u8], left: Retry, delay: Option<Duration>) -> Verdict {
        let here = self.absolute(pool);
        let next = match redirect::resolve(&here, location) {
            Ok(next) => next,
            Err(error) => return Verdict::Raise(error),
        };
        if self.bound && self.request().assert_same_host && next.origin != pool.origin {
            let message = format!("Tried to open a foreign host with url: {}", next.url);
            let mut error = Error::new(Kind::HostChanged, message);
            error.fields_mut().url = Some(next.url);
            return Verdict::Raise(error);
        }
        self.turn(pool, status, location, next, left);
        Verdict::Again(delay.unwrap_or_default())
    }

    fn turn(&mut self, pool: &Pool, status: u16, location: &[u8], next: Hop, left: Retry) {
        let here = self.absolute(pool);
        let (method, drops_body) = redirect::method_after(status, &self.request().method);
        let method = Bytes::copy_from_slice(method);
        let own = self.request().headers.as_deref();
        let lines = redirected_lines(own, pool, &left, next.foreign, drops_body);
        let moved = self.moved();
        moved.remember(Past {
            method: text(&method),
            url: here,
            error: None,
            status: Some(status),
            redirect_location: Some(url::shown(location)),
        });
        moved.retry = left;
        moved.hop += 1;
        moved.error = None;
        let request = &mut moved.request;
        request.method = method;
        request.url = Bytes::from(next.url);
        request.fields = Vec::new();
        if lines.is_some() {
            request.headers = lines;
        }
        if drops_body {
            if let Payload::Pieces(source) = std::mem::take(&mut request.body) {
                source.stop();
            }
            request.chunked = false;
            request.content_type = None;
        }
    }

    /// Notes an event after which the same is asked for again.
    fn go_on(&mut self, pool: &Pool, left: Retry, mut error: Option<Error>, status: Option<u16>) {
        // What came of a body is as large as the body, is remembered twice, and nobody is given it.
        error.as_mut().and_then(Error::take_partial);
        let url = self.absolute(pool);
        let method = text(&self.request().method);
        let moved = self.moved();
        moved.remember(Past { method, url, error: error.clone(), status, redirect_location: None });
        moved.retry = left;
        moved.error = error;
    }

    /// What judges it now.
    pub(super) fn retry(&self) -> &Retry {
        match (&self.moved, &self.original.retry) {
            (Some(moved), _) => &moved.retry,
            (None, Some(own)) => own,
            (None, None) => &self.usual,
        }
    }

    fn moved(&mut self) -> &mut Moved {
        let Self { original, usual, moved, .. } = self;
        moved.get_or_insert_with(|| {
            let retry = original.retry.as_deref().unwrap_or(usual).clone();
            Box::new(Moved { request: (*original).clone(), retry, history: Vec::new(), hop: 0, error: None })
        })
    }

    /// The next hop has another proxy, or none: what the caller wrote for the first is not for that one, whatever else he wants
    /// kept (THR-612).
    pub(super) fn leaves_proxy(&mut self) {
        if let Some(lines) = &mut self.moved().request.headers {
            lines.retain(|line| !line.is_for_proxies());
        }
    }

    /// The absolute URL that is asked for now, without user info.
    pub(super) fn absolute(&self, pool: &Pool) -> String {
        let request = self.request();
        let text = String::from_utf8_lossy(&request.url);
        let joined: Cow<'_, str> = if request.fields.is_empty() {
            text
        } else {
            let pairs = query::encode(request.fields.iter().map(|(name, value)| (&**name, &**value)));
            query::join(&text, &pairs).into()
        };
        located(&pool.origin, &joined)
    }

    // What only the caller's side knows.

    /// The cookies for what is asked for now, if there are any.
    pub(super) async fn cookies(&self, pool: &Pool) -> Result<Option<Bytes>, Error> {
        let Some(asker) = &self.original.asker else { return Ok(None) };
        match asker.ask(Question::Cookies { url: &self.absolute(pool) }).await? {
            Answer::Text(text) => Ok(text.filter(|text| !text.is_empty())),
            _ => Ok(None),
        }
    }

    async fn store_cookies(&self, pool: &Pool, headers: &HeaderMap) -> Result<(), Error> {
        let Some(asker) = &self.original.asker else { return Ok(()) };
        let lines: Vec<_> =
            headers.get_all(SET_COOKIE).iter().map(|value| Bytes::copy_from_slice(value.as_bytes())).collect();
        if lines.is_empty() {
            return Ok(());
        }
        asker.ask(Question::SetCookies { url: &self.absolute(pool), lines }).await.map(|_| ())
    }

    /// The gate before an attempt: the header lines that it leaves.
    pub(super) async fn gate(&self, pool: &Pool, number: u32, lines: &[Line]) -> Result<Option<Vec<Line>>, Error> {
        let Some(asker) = &self.original.asker else { return Ok(None) };
        let url = self.absolute(pool);
        let question = Question::Gate {
            number,
            hop: self.hop(),
            method: &self.request().method,
            url: &url,
            lines,
            error: self.last_error(),
        };
        match asker.ask(question).await? {
            Answer::Lines(lines) => Ok(lines),
            _ => Ok(None),
        }
    }

    async fn asked_about(&mut self, pool: &Pool, method: &Bytes, error: Error) -> Result<Duration, Error> {
        let Some(asker) = self.original.asker.clone() else { return Err(error) };
        let url = self.absolute(pool);
        let event = Happened::Error(&error);
        let answer =
            asker.ask(Question::Verdict { method, url: &url, event, redirect: self.original.redirect }).await?;
        let Answer::Again(delay) = answer else { return Err(error) };
        let left = self.retry().clone();
        self.go_on(pool, left, Some(error), None);
        Ok(delay)
    }

    async fn asked_to_judge(
        &mut self,
        pool: &Pool,
        status: u16,
        headers: &HeaderMap,
        location: Option<&[u8]>,
    ) -> Verdict {
        let Some(asker) = self.original.asker.clone() else { return Verdict::Give };
        // Whatever it answers, and whether or not it counts: a chain has an end.
        if location.is_some() && self.hop() >= self.retry().most_hops_unjudged() {
            return self.too_far(status);
        }
        let method = self.request().method.clone();
        let url = self.absolute(pool);
        let target = location.map(|location| redirect::resolve(&url, location)).transpose();
        let target = match target {
            Ok(target) => target,
            Err(error) => return Verdict::Raise(error),
        };
        let event = Happened::Answer { status, headers, location: target.as_ref().map(|hop| hop.url.as_str()) };
        let question = Question::Verdict { method: &method, url: &url, event, redirect: self.original.redirect };
        let delay = match asker.ask(question).await {
            Ok(Answer::Again(delay)) => delay,
            Ok(_) => return Verdict::Give,
            Err(error) => return Verdict::Raise(error),
        };
        let left = self.retry().clone();
        if let Some(location) = location {
            return self.follow(pool, status, location, left, Some(delay));
        }
        self.go_on(pool, left, None, Some(status));
        Verdict::Again(delay)
    }

    /// The body from its beginning, if some of it is gone: asks for it again.
    ///
    /// # Errors
    /// `UnrewindableBodyError`, caused by what made another attempt necessary.
    pub(super) async fn rewind(&mut self) -> Result<(), Error> {
        let Payload::Pieces(source) = &self.request().body else { return Ok(()) };
        if source.can_begin() {
            return Ok(());
        }
        let answer = match self.original.asker.clone() {
            Some(asker) => match asker.ask(Question::Body).await? {
                Answer::Body(length) => Some(asker.body(length)),
                _ => None,
            },
            None => None,
        };
        match answer {
            Some(source) => {
                self.moved().request.body = Payload::Pieces(source);
                Ok(())
            }
            None => Err(self.unrewindable()),
        }
    }

    fn unrewindable(&self) -> Error {
        let error = Error::new(
            Kind::Unrewindable,
            "Unable to send the request's body again: it was consumed by the attempt before. Pass bytes, or a function that \
             makes the body anew",
        )
        .in_phase(Phase::Send);
        match self.moved.as_ref().and_then(|moved| moved.history.last()) {
            Some(last) => error.caused_by(Cause::said(last.told())),
            None => error,
        }
    }

    /// Until when the next attempt waits for a connection: the first wait counts from the call itself, for time in the
    /// queue before the I/O thread is waiting too.
    pub(super) fn pool_deadline(&self, first: bool, asked: Instant) -> Option<Deadline> {
        let request = self.request();
        let from = if first { request.started } else { asked };
        request.pool_timeout.and_then(|span| from.checked_add(span).map(|at| Deadline { at, span }))
    }
}

/// What happened before an outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// The absolute URL of the last hop, where it is not the first.
    pub url: Option<String>,
    /// What `Retry` has left.
    pub retry: Retry,
    /// Each event, in order.
    pub history: Vec<Past>,
}

/// The header lines of the next hop; `None` where they stay as they are.
fn redirected_lines(
    own: Option<&[Line]>,
    pool: &Pool,
    left: &Retry,
    foreign: bool,
    drops_body: bool,
) -> Option<Vec<Line>> {
    if !foreign && !drops_body {
        return None;
    }
    let mut lines = own.unwrap_or_else(|| pool.defaults.lines()).to_vec();
    let is = |line: &Line, name: &str| line.name.eq_ignore_ascii_case(name.as_bytes());
    if foreign {
        // A Host of the caller's own names the origin that he meant, and no other.
        lines.retain(|line| !(left.removes(&line.name) || (is(line, "host") && line.value.is_some())));
    }
    if drops_body {
        lines.retain(|line| !BODY_FIELDS.iter().any(|name| is(line, name)));
    }
    Some(lines)
}

/// The absolute URL of what was asked of this origin, without user info.
fn located(origin: &Origin, text: &str) -> String {
    match url::target(origin, text, false) {
        Ok(target) => url::absolute(origin, &target),
        Err(_) => text.to_owned(),
    }
}

/// RETRY-09: what gave up, around what it gave up on.
fn exhausted(below: Error) -> Error {
    let mut error = Error::new(Kind::MaxRetry, "Max retries exceeded");
    let fields = error.fields_mut();
    fields.phase = below.fields().phase;
    fields.extra.below = Some(below);
    error
}

fn refused(said: String, status: u16) -> Error {
    let mut error = Error::new(Kind::BadResponse, said).in_phase(Phase::Headers);
    error.fields_mut().extra.status = Some(status);
    error
}

/// Why an error that `Retry` judges was not retried, in its own words.
fn explained(mut error: Error, why: Option<String>) -> Error {
    if let Some(why) = why {
        let message = &mut error.fields_mut().message;
        *message = format!("{message} (not retried: {why})");
    }
    error
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
