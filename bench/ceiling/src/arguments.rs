//! What the runner asks for: `--name value` pairs and nothing optional but `--gzip`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One measurement.
pub(crate) struct Arguments {
    /// Where the server listens.
    pub(crate) address: SocketAddr,
    /// The request's target, in origin form.
    pub(crate) path: String,
    /// How many connections, each with one request at a time.
    pub(crate) concurrency: usize,
    /// How long the measured part lasts.
    pub(crate) seconds: Duration,
    /// How long to run before anything counts.
    pub(crate) warmup: Duration,
    /// The file that holds the body every answer must have, decoded.
    pub(crate) expect: PathBuf,
    /// Whether answers are compressed and have to be decoded.
    pub(crate) gzip: bool,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut address, mut path, mut concurrency) = (None, None, None);
        let (mut seconds, mut warmup, mut expect, mut gzip) = (None, None, None, false);
        while let Some(name) = words.next() {
            if name == "--gzip" {
                gzip = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--address" => address = value.parse().ok(),
                "--path" => path = Some(value),
                "--concurrency" => concurrency = value.parse().ok(),
                "--seconds" => seconds = span(&value),
                "--warmup" => warmup = span(&value),
                "--expect" => expect = Some(PathBuf::from(value)),
                _ => return Err(format!("there is no option {name}")),
            }
        }
        Ok(Self {
            address: address.ok_or("--address IP:PORT is needed")?,
            path: path.ok_or("--path is needed")?,
            concurrency: concurrency.ok_or("--concurrency N is needed")?,
            seconds: seconds.ok_or("--seconds is needed")?,
            warmup: warmup.ok_or("--warmup is needed")?,
            expect: expect.ok_or("--expect FILE is needed")?,
            gzip,
        })
    }
}

fn span(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}
