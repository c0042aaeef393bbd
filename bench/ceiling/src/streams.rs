//! Streamed bodies: one connection, one body at a time, nothing gathered.
//!
//! Whole bodies are counted, from the end of one to the end of another, so a body that is half done bends no figure.
//! A downloaded body is looked at in the places that `bench/streams.js` looks at, the first one in whole.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::arguments::{Arguments, Kind};
use crate::{Failure, Figures, machine};

/// The same piece again until the announced number of bytes is there.
struct Repeated {
    piece: Bytes,
    left: u64,
}

impl Body for Repeated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = self.left.min(self.piece.len() as u64);
        self.left -= length;
        Poll::Ready(Some(Ok(Frame::data(self.piece.slice(..length as usize)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The places of a downloaded body: the first bytes of each MiB (its number and the run's token) and the last of all.
struct Checked<'a> {
    block: &'a [u8],
    size: u64,
    at: u64,
    watch: u64,
    thorough: bool,
}

impl<'a> Checked<'a> {
    fn new(block: &'a [u8], size: u64, thorough: bool) -> Self {
        Self { block, size, at: 0, watch: 0, thorough }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        let end = self.at + piece.len() as u64;
        while self.watch < end.min(self.size) {
            let place = self.watch;
            if piece[(place - self.at) as usize] != self.expected(place) {
                return Err(format!("the byte at {place} is not the expected one"));
            }
            self.watch = self.next(place);
        }
        self.at = end;
        Ok(())
    }

    fn end(&self) -> Result<(), String> {
        if self.at == self.size {
            return Ok(());
        }
        Err(format!("a body of {} bytes is not the expected one of {}", self.at, self.size))
    }

    fn next(&self, place: u64) -> u64 {
        let within = place % MEBIBYTE;
        if self.thorough || within + 1 < WATCHED || place >= self.size - TOKEN {
            return place + 1;
        }
        (place - within + MEBIBYTE).min(self.size - TOKEN)
    }

    fn expected(&self, place: u64) -> u8 {
        let within = place % MEBIBYTE;
        if within < STAMP {
            let number = place / MEBIBYTE;
            return b'0' + (number / 10_u64.pow((STAMP - 1 - within) as u32) % 10) as u8;
        }
        self.block[within as usize]
    }
}

/// Warms up for a body at least, then counts whole bodies until the time is over.
pub(crate) async fn measure(arguments: &Arguments) -> Result<String, Failure> {
    match arguments.kind {
        Kind::StreamUp => up(arguments).await,
        _ => down(arguments).await,
    }
}

async fn down(arguments: &Arguments) -> Result<String, Failure> {
    let block = std::fs::read(&arguments.expect)?;
    let mut sender = connect::<Full<Bytes>>(arguments).await?;
    rounds(arguments, async |thorough| {
        let mut body = answer(&mut sender, request(arguments, Method::GET, Full::default())?).await?;
        let mut checked = Checked::new(&block, arguments.size, thorough);
        while let Some(frame) = body.frame().await {
            if let Ok(piece) = frame?.into_data() {
                checked.take(&piece)?;
            }
        }
        Ok(checked.end()?)
    })
    .await
}

async fn up(arguments: &Arguments) -> Result<String, Failure> {
    let piece = Bytes::from(vec![b'u'; PIECE]);
    let mut sender = connect::<Repeated>(arguments).await?;
    rounds(arguments, async |_| {
        let sent = Repeated { piece: piece.clone(), left: arguments.size };
        let body = answer(&mut sender, request(arguments, Method::POST, sent)?).await?;
        let counted = body.collect().await?.to_bytes();
        if counted == arguments.size.to_string() {
            return Ok(());
        }
        Err(format!("the sink counted {counted:?} of {} bytes", arguments.size).into())
    })
    .await
}

async fn rounds(
    arguments: &Arguments,
    mut one: impl AsyncFnMut(bool) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let began = Instant::now();
    one(true).await?;
    while began.elapsed() < arguments.warmup {
        one(false).await?;
    }
    let (began, cpu_before) = (Instant::now(), machine::cpu_nanoseconds());
    let mut requests = 0;
    while requests == 0 || began.elapsed() < arguments.seconds {
        one(false).await?;
        requests += 1;
    }
    let (elapsed, cpu_after) = (began.elapsed(), machine::cpu_nanoseconds());
    Ok(Figures {
        requests,
        amount: requests as f64 * arguments.size as f64 / MEBIBYTE as f64,
        elapsed,
        cpu_nanoseconds: cpu_after.zip(cpu_before).map(|(after, before)| after - before),
        p50: None,
        p99: None,
    }
    .line())
}

async fn connect<B>(arguments: &Arguments) -> Result<SendRequest<B>, Failure>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(arguments.address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its error, if any, comes out of the request that met it; it ends with the process.
    tokio::task::spawn_local(connection);
    Ok(sender)
}

fn request<B>(arguments: &Arguments, method: Method, body: B) -> Result<Request<B>, Failure> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = arguments.path.parse()?;
    let host = HeaderValue::try_from(arguments.address.to_string())?;
    request.headers_mut().insert(header::HOST, host);
    Ok(request)
}

async fn answer<B: Body + 'static>(sender: &mut SendRequest<B>, request: Request<B>) -> Result<Incoming, Failure> {
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("the server answered {}", response.status()).into());
    }
    Ok(response.into_body())
}

const MEBIBYTE: u64 = 1 << 20;

/// Each MiB begins with its number in so many digits.
const STAMP: u64 = 8;

/// So many bytes are looked at where a MiB begins, and `TOKEN` where the body ends.
const WATCHED: u64 = 16;
const TOKEN: u64 = 8;

/// The piece of an upload, as in `bench/streams.js`.
const PIECE: usize = 64 * 1024;
