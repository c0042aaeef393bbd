//! What the runner asks for: `--name value` pairs, all needed but `--kind`, `--size`, `--transport`, `--authority` and
//! `--origin`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One measurement.
pub(crate) struct Arguments {
    /// Where the server listens; with a proxy, where that does.
    pub(crate) address: SocketAddr,
    /// The `host:port` behind a proxy.
    pub(crate) origin: Option<String>,
    /// The request's target, in origin form.
    pub(crate) path: String,
    /// How many loops, each with one request at a time.
    pub(crate) concurrency: usize,
    /// What the requests go over.
    pub(crate) transport: Transport,
    /// The file with the certificate of whoever signed the server's; wanted where there is TLS.
    pub(crate) authority: Option<PathBuf>,
    /// How long the measured part lasts.
    pub(crate) seconds: Duration,
    /// How long to run before anything counts.
    pub(crate) warmup: Duration,
    /// The file that holds the body every answer must have, decoded.
    pub(crate) expect: PathBuf,
    /// What is done with a body.
    pub(crate) kind: Kind,
    /// How many bytes a streamed body has.
    pub(crate) size: u64,
}

/// What the requests of a measurement go over.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Transport {
    /// HTTP/1.1, a kept connection for each loop.
    Http,
    /// HTTP/1.1 over TLS, a kept connection for each loop.
    Https,
    /// HTTP/1.1 over TLS, a new connection for each request.
    HttpsNew,
    /// HTTP/2 over TLS, one connection for all loops.
    H2,
    /// HTTP/1.1 to a proxy that is given whole requests, a kept connection for each loop.
    Forward,
    /// HTTP/1.1 over TLS through a proxy's tunnel, a kept one for each loop.
    Connect,
}

/// What a measurement does with its bodies.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Gathered and checked.
    Bytes,
    /// Gathered, decoded and checked.
    Gzip,
    /// Taken piece by piece, nothing gathered.
    StreamDown,
    /// Sent piece by piece; the answer is the number of bytes that came.
    StreamUp,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut address, mut path, mut concurrency) = (None, None, None);
        let (mut seconds, mut warmup, mut expect) = (None, None, None);
        let (mut kind, mut size) = (Some(Kind::Bytes), Some(0));
        let (mut transport, mut authority, mut origin) = (Some(Transport::Http), None, None);
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--address" => address = value.parse().ok(),
                "--path" => path = Some(value),
                "--concurrency" => concurrency = value.parse().ok(),
                "--seconds" => seconds = span(&value),
                "--warmup" => warmup = span(&value),
                "--kind" => kind = named(&value),
                "--size" => size = value.parse().ok(),
                "--transport" => transport = transport_named(&value),
                "--authority" => authority = Some(PathBuf::from(value)),
                "--origin" => origin = Some(value),
                "--expect" => expect = Some(PathBuf::from(value)),
                _ => return Err(format!("there is no option {name}")),
            }
        }
        Ok(Self {
            address: address.ok_or("--address IP:PORT is needed")?,
            origin,
            path: path.ok_or("--path is needed")?,
            concurrency: concurrency.ok_or("--concurrency N is needed")?,
            transport: transport.ok_or("--transport http|https|https-new|h2|forward|connect")?,
            authority,
            seconds: seconds.ok_or("--seconds is needed")?,
            warmup: warmup.ok_or("--warmup is needed")?,
            expect: expect.ok_or("--expect FILE is needed")?,
            kind: kind.ok_or("--kind bytes|gzip|stream-down|stream-up")?,
            size: size.ok_or("--size BYTES is a number")?,
        })
    }
}

fn named(text: &str) -> Option<Kind> {
    match text {
        "bytes" => Some(Kind::Bytes),
        "gzip" => Some(Kind::Gzip),
        "stream-down" => Some(Kind::StreamDown),
        "stream-up" => Some(Kind::StreamUp),
        _ => None,
    }
}

fn transport_named(text: &str) -> Option<Transport> {
    match text {
        "http" => Some(Transport::Http),
        "https" => Some(Transport::Https),
        "https-new" => Some(Transport::HttpsNew),
        "h2" => Some(Transport::H2),
        "forward" => Some(Transport::Forward),
        "connect" => Some(Transport::Connect),
        _ => None,
    }
}

fn span(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}
