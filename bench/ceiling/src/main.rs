//! The benchmark's ceiling: what hyper alone does on one thread, without Node, pool, limits or time-outs.
//!
//! N connections, each with a loop that sends GET, reads the body whole, checks it and sends again. Every client that
//! is built on hyper does this work and more, so no figure of theirs can honestly be above this one.
//! It prints the same JSON line as `bench/client.js`; what it cannot know (a JavaScript thread) is null.
//! Not here: parsing of JSON (there is no JavaScript to parse for) and anything a product would need.

mod arguments;
mod load;
mod machine;

use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::arguments::Arguments;
use crate::load::{Tally, Work};

/// Any failure ends the run: a benchmark that lost a request has no figure to show.
type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let line = runtime.block_on(measure(&arguments))?;
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
    let cpu = cpu_after.zip(cpu_before).map(|(after, before)| after - before);
    Ok(report(&tally, elapsed, cpu))
}

/// The cause a loop left behind says more than the silence it led to.
fn failure(work: &Work, otherwise: &str) -> String {
    work.first_failure().unwrap_or_else(|| otherwise.to_owned())
}

fn report(tally: &Tally, elapsed: Duration, cpu: Option<u64>) -> String {
    let requests = tally.requests();
    let per_request = |nanoseconds: u64| nanoseconds as f64 / 1_000.0 / requests.max(1) as f64;
    format!(
        "{{\"requests\":{requests},\"seconds\":{:.6},\"rate\":{:.3},\"main\":null,\"process\":{},\"p50\":{},\"p99\":{},\"rss\":{}}}",
        elapsed.as_secs_f64(),
        requests as f64 / elapsed.as_secs_f64(),
        number(cpu.map(per_request)),
        number(tally.percentile(0.50)),
        number(tally.percentile(0.99)),
        number(machine::peak_memory_mib()),
    )
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| format!("{value:.6}"))
}

/// A thousand connections on a busy machine may need a moment; more than this is a fault, not load.
const WARM_WITHIN: Duration = Duration::from_secs(30);
