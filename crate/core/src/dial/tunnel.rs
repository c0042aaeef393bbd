//! CONNECT (RFC 9110 §9.3.6): an HTTP proxy is asked to pass bytes on to an origin.
//!
//! hyper writes the request and reads the answer; then its connection is taken apart again. Beside it the answer's head is
//! kept and counted as it came (`conn/head.rs`), since hyper bounds neither heads nor how many informational ones there
//! are. The tap is not used: it stays with its connection, and here the transport goes on to TLS. There is no deadline, as
//! everywhere in `dial`, but for the body of a refusal, which is an aside.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferropool_policy::error::{Cause, Error, Kind, Phase, Refusal, quote};
use ferropool_policy::settings::Limits;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Transport;
use crate::clock::now;
use crate::conn::errors::{aborted, io_of, says};
use crate::conn::head::{HeadScan, Scanned};
use crate::tls;

/// What a proxy is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// `host:port`, IPv6 in brackets, the port always there.
    pub authority: &'a str,
    /// The fields for the proxy, `Proxy-Authorization` among them; they were checked.
    pub headers: &'a HeaderMap,
    /// How their names are spelled (`client/case.rs`); none where title case will do.
    pub spelling: Option<&'a http::Extensions>,
    /// `limits.headerBytes`, for the answer's head.
    pub header_bytes: u32,
    /// `limits.headerCount`, for the answer's head.
    pub header_count: u32,
    /// When the caller will drop the future, where he will: a refusal is to be told before that.
    pub until: Option<Instant>,
}

/// Opens a tunnel through the proxy at the other end. What is given back leads to the origin.
///
/// # Errors
/// All in phase proxy. `Proxy` for a refusal, with what the proxy said, and for bytes that came before anything could be
/// answered. `Protocol`, or `Tls` where TLS to the proxy failed, for everything else that is no answer. `InvalidUrl` for
/// an authority that is none.
///
/// # Cancellation
/// Dropping the future closes the connection.
pub(crate) async fn open(transport: Transport, ask: &Ask<'_>) -> Result<Transport, Error> {
    let request = request(ask)?;
    let heard = Rc::new(Heard::new(&transport, ask));
    let mut builder = Builder::new();
    // Nothing in the head decides anything but the status and the framing of a refusal that is the connection's last word.
    builder
        .title_case_headers(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .max_headers(ask.header_count as usize + 1)
        .max_buf_size((ask.header_bytes as usize).max(LEAST_BUFFER) + HEAD_SLACK);
    let wire = Wire { transport, heard: Rc::clone(&heard) };
    let (mut sender, connection) = builder.handshake(TokioIo::new(wire)).await.map_err(|error| ended(says(&error)))?;
    let mut driver = Driver { connection: Some(connection), ended: false };
    match driver.drive(sender.send_request(request)).await {
        Ok(answer) if answer.status().is_success() => driver.opened(&heard).await,
        Ok(answer) => {
            let status = answer.status().as_u16();
            let body = beginning(&mut driver, answer.into_body(), ask.until).await;
            Err(refused(status, &heard.scan.borrow(), body))
        }
        Err(error) => Err(heard.failure(&error)),
    }
}

/// The request line, Host, the proxy's fields, and nothing else.
fn request(ask: &Ask<'_>) -> Result<Request<Empty<Bytes>>, Error> {
    let invalid = || {
        let message = format!("the tunnel's target cannot be sent: '{}'", quote(ask.authority.as_bytes()));
        Error::new(Kind::InvalidUrl, message).in_phase(Phase::Proxy)
    };
    let authority = Authority::try_from(ask.authority).map_err(|_| invalid())?;
    if authority.as_str().contains('@') || authority.port().is_none() {
        return Err(invalid());
    }
    let host = HeaderValue::from_str(ask.authority).map_err(|_| invalid())?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = Uri::builder().authority(authority).build().map_err(|_| invalid())?;
    let headers = request.headers_mut();
    if !ask.headers.contains_key(HOST) {
        headers.insert(HOST, host);
    }
    for (name, value) in ask.headers {
        headers.append(name, value.clone());
    }
    if let Some(spelling) = ask.spelling {
        request.extensions_mut().extend(spelling.clone());
    }
    Ok(request)
}

/// How a refusal's body begins: what has come within a second, since nobody asked for it, or half of the time that is left.
async fn beginning(driver: &mut Driver, mut body: Incoming, until: Option<Instant>) -> Vec<u8> {
    let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(now()));
    let mut said = Vec::new();
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let data = frame.into_data().unwrap_or_default();
            said.extend_from_slice(&data[..data.len().min(MOST_SAID - said.len())]);
            if said.len() == MOST_SAID {
                break;
            }
        }
    };
    drop(tokio::time::timeout(LONGEST_LISTENING.min(left / 2), driver.drive(reading)).await);
    said
}

/// The connection goes with this: whatever follows a refusal is not to be trusted (THR-704).
fn refused(status: u16, scan: &HeadScan, body: Vec<u8>) -> Error {
    let reason = scan.status_line().splitn(3, |&b| b == b' ').nth(2).unwrap_or_default().trim_ascii();
    let said = format!("Tunnel connection failed: {status} {}", quote(reason));
    let said = said.trim_end();
    let mut error = Error::new(Kind::Proxy, format!("{said}. Proxy responded with {status}"))
        .in_phase(Phase::Proxy)
        .caused_by(Cause::said(said));
    error.fields_mut().extra.refusal = Some(Refusal { status, headers: lines(scan), body });
    error
}

/// The head's field lines as they came, folded ones joined (RFC 9112 §5.2).
fn lines(scan: &HeadScan) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut lines: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for line in scan.field_lines() {
        if matches!(line[0], b' ' | b'\t') {
            if let Some((_, value)) = lines.last_mut() {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
        } else if let Some(colon) = memchr::memchr(b':', line) {
            lines.push((line[..colon].trim_ascii().to_ascii_lowercase(), line[colon + 1..].trim_ascii().to_vec()));
        }
    }
    lines
}

/// hyper's connection, driven by whoever waits for something that it brings.
struct Driver {
    connection: Option<Connection<TokioIo<Wire>, Empty<Bytes>>>,
    ended: bool,
}

impl Driver {
    async fn drive<F: Future>(&mut self, awaited: F) -> F::Output {
        let mut awaited = pin!(awaited);
        poll_fn(|cx| {
            if !self.ended
                && let Some(connection) = &mut self.connection
            {
                // What went wrong is told to whoever waits.
                self.ended = connection.poll_without_shutdown(cx).is_ready();
            }
            match awaited.as_mut().poll(cx) {
                // It will bring nothing more; dropping it says so to whoever waits.
                Poll::Pending if self.ended => {
                    self.connection = None;
                    awaited.as_mut().poll(cx)
                }
                polled => polled,
            }
        })
        .await
    }

    /// The answer was 2xx: whatever its fields say, the head ended it (RFC 9112 §6.3), and all that is there to be read
    /// was sent before its sender could know what for.
    async fn opened(self, heard: &Heard) -> Result<Transport, Error> {
        let Some(connection) = self.connection else { return Err(ended("the proxy closed the connection")) };
        let parts = connection.into_parts();
        let mut transport = parts.io.into_inner().transport;
        if heard.unsent.get() {
            return Err(ended("the proxy answered before it had been asked"));
        }
        let mut more = [0; 1024];
        let mut more = ReadBuf::new(&mut more);
        poll_fn(|cx| {
            let _ = Pin::new(&mut transport).poll_read(cx, &mut more);
            Poll::Ready(())
        })
        .await;
        match parts.read_buf.len() + more.filled().len() {
            0 => Ok(transport),
            early => {
                let message = format!("the proxy sent {early} bytes before anything was said through its tunnel");
                Err(Error::new(Kind::Proxy, message).with_reason("ERR_PROXY_EARLY_BYTES").in_phase(Phase::Proxy))
            }
        }
    }
}

/// What was noticed of the answer beside hyper.
struct Heard {
    scan: RefCell<HeadScan>,
    breach: RefCell<Option<Error>>,
    /// Bytes read.
    read: Cell<u64>,
    /// Bytes read since the head was complete.
    after: Cell<u64>,
    /// Some of the request is still here.
    unsent: Cell<bool>,
    over_tls: bool,
}

impl Heard {
    fn new(transport: &Transport, ask: &Ask<'_>) -> Self {
        let mut scan = HeadScan::default();
        scan.begin(&Limits { header_bytes: ask.header_bytes, header_count: ask.header_count, ..Limits::default() });
        Self {
            scan: RefCell::new(scan),
            breach: RefCell::default(),
            read: Cell::default(),
            after: Cell::default(),
            unsent: Cell::default(),
            over_tls: transport.is_tls(),
        }
    }

    fn received(&self, bytes: &[u8]) -> io::Result<()> {
        let count = bytes.len() as u64;
        self.read.set(self.read.get() + count);
        let mut scan = self.scan.borrow_mut();
        if scan.is_complete() {
            self.after.set(self.after.get() + count);
            if self.after.get() > MOST_AFTER {
                return Err(io::Error::other("more than anybody wants of a refusal"));
            }
        } else if let Scanned::Breach(breach) = scan.feed(bytes) {
            self.breach.replace(Some(breach));
            return Err(io::Error::other("the answer's head is beyond its limits"));
        }
        Ok(())
    }

    /// What kept hyper from an answer.
    fn failure(&self, error: &hyper::Error) -> Error {
        if let Some(breach) = self.breach.take() {
            let breach = breach.fields();
            let mut failed = Error::new(Kind::Protocol, breach.message.clone()).in_phase(Phase::Proxy);
            failed.fields_mut().extra = breach.extra.clone();
            return failed;
        }
        let scan = self.scan.borrow();
        // Said before it was asked, or with a framing that hyper does not take: it is a refusal all the same.
        if scan.is_complete()
            && let Some(status) = status(scan.status_line())
            && !(200..300).contains(&status)
        {
            return refused(status, &scan, Vec::new());
        }
        if let Some(io) = io_of(error) {
            if let Some(failure) = tls::failure_of(io) {
                return failure.in_phase(Phase::Proxy);
            }
            if io.kind() != io::ErrorKind::UnexpectedEof {
                return aborted(Kind::Protocol, Cause::from_io(io)).in_phase(Phase::Proxy);
            }
        }
        if error.is_parse() {
            let hint = match scan.bytes() {
                [0x15, 0x03, ..] if !self.over_tls => "; the proxy speaks TLS: its URL begins with https:",
                [5 | 0, ..] => "; does it speak SOCKS?",
                _ => "",
            };
            let line = quote(scan.status_line());
            return ended(format!("{} in the proxy's answer that begins with '{line}'{hint}", says(error)));
        }
        let is_cut = error.is_incomplete_message() || io_of(error).is_some();
        match self.read.get() {
            0 => ended("the proxy closed the connection without an answer"),
            _ if is_cut => {
                ended("the proxy closed the connection inside its answer").with_reason("ERR_INCOMPLETE_HEAD")
            }
            _ => ended("the proxy answered before it had been asked"),
        }
    }
}

/// The status of a final head's first line, where it has one.
fn status(line: &[u8]) -> Option<u16> {
    let code = line.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(code).ok()?.parse().ok().filter(|code| (200..1_000).contains(code))
}

fn ended(why: impl Into<String>) -> Error {
    aborted(Kind::Protocol, Cause::said(why)).in_phase(Phase::Proxy)
}

/// The end that hyper holds.
struct Wire {
    transport: Transport,
    heard: Rc<Heard>,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.transport).poll_read(cx, buf))?;
        Poll::Ready(self.heard.received(&buf.filled()[before..]))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.unsent.set(true);
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.heard.unsent.set(true);
        Pin::new(&mut self.transport).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    /// hyper flushes when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.transport).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.heard.unsent.set(false);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}

/// Of a refusal's body.
const MOST_SAID: usize = 64 * 1024;
/// Of a refusal's body as it is framed: chunks may be small, and their sizes have any number of zeros for hyper.
const MOST_AFTER: u64 = 4 * MOST_SAID as u64;
const LONGEST_LISTENING: Duration = Duration::from_secs(1);
/// hyper takes no less.
const LEAST_BUFFER: usize = 8 * 1024;
/// hyper's bound on a head is that of its buffer: the scan's, which is exact, comes first.
const HEAD_SLACK: usize = 4 * 1024;

#[cfg(test)]
mod tests;
