//! The benchmark's ceiling: what hyper alone does on one thread, without Node, pool, limits or time-outs.
//!
//! N connections, each with a loop that sends GET, reads the body whole, checks it and sends again. Every client that
//! is built on hyper does this work and more, so no figure of theirs can honestly be above this one.
//! TLS is rustls with aws-lc-rs and a verified certificate; over HTTP/2 the N loops share one connection.
//! A streamed body, down or up, is one connection's and one at a time; its figures are MiB instead of requests.
//! It prints the same JSON line as `bench/client.js`; what it cannot know (a JavaScript thread) is null.
//! Started as `ferropool-ceiling sink` it is the server that uploads go to (see `sink`), as `ferropool-ceiling h2` that of the
//! long run over HTTP/2 (see `h2_server`), as `ferropool-ceiling tunnel` a proxy (see `tunnel`).
//! Not here: parsing of JSON (there is no JavaScript to parse for) and anything a product would need.

mod arguments;
mod connection;
mod h2_server;
mod hpack;
mod load;
mod machine;
mod sink;
mod streams;
mod tunnel;

use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::arguments::{Arguments, Kind};
use crate::load::Work;

/// Any failure ends the run: a benchmark that lost a request has no figure to show.
type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    match std::env::args().nth(1).as_deref() {
        Some("sink") => return sink::serve(),
        Some("h2") => return h2_server::serve(std::env::args().skip(2)),
        Some("tunnel") => return tunnel::serve(std::env::args().skip(2)),
        _ => {}
    }
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let line = match arguments.kind {
        Kind::Bytes | Kind::Gzip => runtime.block_on(measure(&arguments))?,
        Kind::StreamDown | Kind::StreamUp => runtime.block_on(streams::measure(&arguments))?,
    };
    #[expect(clippy::print_stdout, reason = "the line is what the runner reads")]
    {
        println!("{line}");
    }
    Ok(())
}

/// Warms up until every connection has one checked answer, then counts what ends within the measured time.
async fn measure(arguments: &Arguments) -> Result<String, Failure> {
    let work = Rc::new(Work::prepare(arguments)?);
    let mut loops = JoinSet::new();
    for _ in 0..arguments.concurrency {
        loops.spawn_local(load::run(Rc::clone(&work)));
    }

    sleep(arguments.warmup).await;
    timeout(WARM_WITHIN, work.everyone_is_warm())
        .await
        .map_err(|_| failure(&work, "not every connection had an answer in time"))?;

    work.start(arguments.seconds);
    let (began, cpu_before) = (Instant::now(), machine::cpu_nanoseconds());
    sleep(arguments.seconds).await;
    let (elapsed, cpu_after) = (began.elapsed(), machine::cpu_nanoseconds());
    let tally = work.stop();
    if tally.requests() == 0 {
        return Err(failure(&work, "no request ended in the measured time").into());
    }

    while let Some(ended) = loops.join_next().await {
        ended??;
    }
    Ok(Figures {
        requests: tally.requests(),
        amount: tally.requests() as f64,
        elapsed,
        cpu_nanoseconds: cpu_after.zip(cpu_before).map(|(after, before)| after - before),
        p50: tally.percentile(0.50),
        p99: tally.percentile(0.99),
    }
    .line())
}

/// The cause a loop left behind says more than the silence it led to.
fn failure(work: &Work, otherwise: &str) -> String {
    work.first_failure().unwrap_or_else(|| otherwise.to_owned())
}

/// What a measurement found. `amount` is what the rate and the cost are of: requests, or MiB of a stream.
struct Figures {
    requests: usize,
    amount: f64,
    elapsed: Duration,
    cpu_nanoseconds: Option<u64>,
    p50: Option<f64>,
    p99: Option<f64>,
}

impl Figures {
    fn line(&self) -> String {
        let each = |nanoseconds: u64| nanoseconds as f64 / 1_000.0 / self.amount.max(1.0);
        format!(
            "{{\"requests\":{},\"seconds\":{:.6},\"rate\":{:.3},\"main\":null,\"process\":{},\"p50\":{},\"p99\":{},\"rss\":{}}}",
            self.requests,
            self.elapsed.as_secs_f64(),
            self.amount / self.elapsed.as_secs_f64(),
            number(self.cpu_nanoseconds.map(each)),
            number(self.p50),
            number(self.p99),
            number(machine::peak_memory_mib()),
        )
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| format!("{value:.6}"))
}

/// A thousand connections on a busy machine may need a moment; more than this is a fault, not load.
const WARM_WITHIN: Duration = Duration::from_secs(120);
