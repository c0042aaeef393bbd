//! The addon: carries requests and responses between Node.js and the core. It knows Node and no HTTP.
//!
//! Every export is guarded: a panic of ours becomes a JavaScript error, never an abort.
#![expect(clippy::needless_pass_by_value, reason = "the binding's macro hands strings over by value")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use ferropool_core::handoff::{Inbox, Outbox};
use ferropool_core::observe::stats::{PoolStats, Summary};
use ferropool_core::pool::Blueprint;
use ferropool_core::text::{self, Text};
use ferropool_policy::error::Error;
use ferropool_policy::origin::Origin;
use ferropool_policy::settings::PoolSettings;
use ferropool_policy::{query, url};
use napi::bindgen_prelude::{Buffer, Either, Object, Uint8ArraySlice, Unknown};
use napi::{Env, JsString};
use napi_derive::napi;

use crate::engine::{Link, Work};
use crate::ffi::WakeUp;
use crate::marshal::{Block, Handed, Taken};
use crate::submission::Id;

mod engine;
mod ffi;
mod layout;
mod marshal;
mod retry;
mod shelf;
mod stream;
mod submission;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: ffi::Shelved<mimalloc::MiMalloc> = ffi::Shelved(mimalloc::MiMalloc);
#[cfg(not(feature = "mimalloc"))]
#[global_allocator]
static ALLOCATOR: ffi::Shelved<std::alloc::System> = ffi::Shelved(std::alloc::System);

/// The table of layouts and codes that the facade's twin is generated from, as JSON.
#[napi(catch_unwind)]
pub fn describe() -> String {
    trip("describe");
    layout::describe().to_string()
}

/// `parseUrl`: the parts as JSON, or the error.
#[napi(catch_unwind)]
pub fn parse_url(units: &[u16]) -> String {
    trip("parse-url");
    answer(url::parse_utf16(units).map(|url| {
        serde_json::json!({
            "scheme": url.scheme,
            "auth": url.auth,
            "host": url.host,
            "port": url.port,
            "path": url.path,
            "query": url.query,
            "fragment": url.fragment,
            "url": url.url(),
            "requestUri": url.request_uri(),
            "netloc": url.netloc(),
            "authority": url.authority(),
            "authDecoded": url.auth_decoded(),
        })
    }))
}

/// Which charset a body of this content type is written in, as JSON; `byTypeAlone`: other bodies of the type too.
#[napi(catch_unwind)]
pub fn charset_of(data: &[u8], content_type: Option<String>) -> String {
    trip("charset-of");
    let found = text::sniff(data, content_type.as_deref());
    serde_json::json!({
        "name": found.encoding.name().to_ascii_lowercase(),
        "from": found.source.name(),
        "byTypeAlone": found.by_type_alone,
    })
    .to_string()
}

/// A body as text: `null` if there is no such label, `false` if it is longer than a string can be.
#[napi(catch_unwind)]
pub fn decode_text<'env>(env: &'env Env, data: &[u8], label: String) -> Option<Either<JsString<'env>, bool>> {
    trip("decode-text");
    let made = match text::decode(data, text::known(label.as_bytes())?) {
        Text::Latin1(bytes) => env.create_string_latin1(bytes),
        Text::Utf16(units) => env.create_string_utf16(units),
    };
    // A string has no other reason to refuse.
    Some(made.map_or(Either::B(false), Either::A))
}

/// An environment's engine.
#[napi]
pub struct Engine {
    link: Arc<Link>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    pools: Vec<Option<PoolEntry>>,
    free: Vec<u32>,
    taken: Vec<Block>,
    blocks: VecDeque<Block>,
    /// Where the first block is taken on.
    at: usize,
    bodies: VecDeque<(Id, Handed)>,
    in_flight: u64,
    budget: u64,
}

struct PoolEntry {
    origin: Origin,
    stats: Arc<PoolStats>,
    /// To make it again should the I/O thread fall.
    blueprint: Blueprint,
}

#[napi]
impl Engine {
    /// Starts an engine for this environment; `on_wake` is called when there is something to drain.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: Env, on_wake: Unknown<'_>) -> napi::Result<Self> {
        trip("engine");
        let link = Arc::new(Link {
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            wake_up: WakeUp::new(env, &on_wake)?,
            epoch: Instant::now(),
            fallen: AtomicBool::new(false),
        });
        let thread = engine::start(Arc::clone(&link))?;
        let thread = Arc::new(Mutex::new(Some(thread)));
        let (ending, last) = (Arc::clone(&link), Arc::clone(&thread));
        ffi::on_environment_end(env, move || {
            ending.wake_up.disarm();
            ending.inbox.send(Work::Stop);
            let running = last.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(running) = running {
                // A thread that panicked has ended as well.
                drop(running.join());
            }
        })?;
        Ok(Self {
            link,
            thread,
            pools: Vec::new(),
            free: Vec::new(),
            taken: Vec::new(),
            blocks: VecDeque::new(),
            at: 0,
            bodies: VecDeque::new(),
            in_flight: 0,
            budget: 0,
        })
    }

    /// Makes a pool of its settings (JSON): `{ value: { handle, host, port, authority } }` or `{ error }`.
    #[napi(catch_unwind)]
    pub fn open(&mut self, settings: String) -> String {
        trip("open");
        let made = serde_json::from_str::<PoolSettings>(&settings)
            .map_err(|error| {
                Error::new(ferropool_policy::error::Kind::InvalidOption, format!("the pool's options: {error}"))
            })
            .and_then(Blueprint::new);
        answer(made.map(|blueprint| {
            let entry = PoolEntry {
                origin: blueprint.origin.clone(),
                stats: Arc::clone(&blueprint.stats),
                blueprint: blueprint.clone(),
            };
            let json = serde_json::json!({ "host": entry.origin.host, "port": entry.origin.port });
            let handle = if let Some(handle) = self.free.pop() {
                self.pools[handle as usize] = Some(entry);
                handle
            } else {
                self.pools.push(Some(entry));
                (self.pools.len() - 1) as u32
            };
            self.link.inbox.send(Work::Open(handle, Box::new(blueprint)));
            serde_json::json!({ "handle": handle, "origin": json })
        }))
    }

    /// Frees a pool's handle: nobody holds the pool any more, and the submission that says so was made before.
    #[napi(catch_unwind)]
    pub fn forget(&mut self, handle: u32) {
        trip("forget");
        if let Some(entry) = self.pools.get_mut(handle as usize)
            && entry.take().is_some()
        {
            self.free.push(handle);
        }
    }

    /// Hands over a batch of submissions, `calls` of which will complete.
    #[napi(catch_unwind)]
    pub fn submit(&mut self, env: Env, batch: &[u8], calls: u32) {
        trip("submit");
        let at = Instant::now();
        self.link.inbox.send(Work::Batch(ffi::copy_of(batch), at));
        if calls > 0 {
            if self.in_flight == 0 {
                self.link.wake_up.hold(env);
            }
            self.in_flight += u64::from(calls);
        }
    }

    /// Hands over a large piece of a request's body by itself: it is copied once, not twice.
    #[napi(catch_unwind)]
    pub fn push(&mut self, slot: u32, generation: u32, piece: &[u8]) {
        trip("push");
        self.link.inbox.send(Work::Piece(Id { slot, generation }, ffi::copy_of(piece)));
    }

    /// Bytes of streamed bodies that may lie around without having been taken.
    #[napi(catch_unwind)]
    pub fn budget(&mut self, most: f64) {
        trip("budget");
        self.budget = most as u64;
        self.link.inbox.send(Work::Budget(self.budget));
    }

    /// A reader waits for a body (`true`), or does not any more: the event loop stays alive while one does.
    #[napi(catch_unwind)]
    pub fn hold(&mut self, env: Env, on: bool) {
        trip("hold");
        if on {
            if self.in_flight == 0 {
                self.link.wake_up.hold(env);
            }
            self.in_flight += 1;
        } else {
            self.in_flight = self.in_flight.saturating_sub(1);
            if self.in_flight == 0 {
                self.link.wake_up.release_hold(env);
            }
        }
    }

    /// Copies whole completion records into `slab` from `offset` on; how many bytes. Negative (`-1 - bytes`) if there
    /// are more, for which there was no room or which wait for the next turn; the least number if the I/O thread fell.
    #[napi(catch_unwind)]
    pub fn drain(&mut self, env: Env, mut slab: Uint8ArraySlice<'_>, offset: u32) -> i32 {
        trip("drain");
        if self.link.fallen.load(Ordering::Acquire) {
            // Whatever is still in the queues belongs to calls that are lost with the thread.
            self.blocks.clear();
            self.bodies.clear();
            self.at = 0;
            self.in_flight = 0;
            self.link.wake_up.release_hold(env);
            return i32::MIN;
        }
        let now = marshal::micros(Instant::now(), self.link.epoch);
        if self.blocks.is_empty() {
            self.refill();
        }
        let room = ffi::slab_bytes(&mut slab).get_mut(offset as usize..).unwrap_or_default();
        let mut filled = 0;
        let mut external = 0;
        while let Some(block) = self.blocks.front_mut() {
            let Taken { bytes, ended, external: more } =
                marshal::take_records(&block.records[self.at..], &mut room[filled..], now);
            filled += bytes;
            external += more;
            self.at += bytes;
            self.in_flight = self.in_flight.saturating_sub(u64::from(ended));
            if self.at < block.records.len() {
                break;
            }
            self.bodies.append(&mut block.bodies);
            self.at = 0;
            self.blocks.pop_front();
            if external > marshal::EXTERNAL_MOST {
                break;
            }
        }
        if self.in_flight == 0 {
            self.link.wake_up.release_hold(env);
        }
        let filled = filled as i32;
        if self.blocks.is_empty() { filled } else { -1 - filled }
    }

    /// Bytes that the next record needs; 0 if there is none.
    #[napi(catch_unwind)]
    pub fn needed(&mut self) -> u32 {
        trip("needed");
        if self.blocks.is_empty() {
            self.refill();
        }
        self.blocks.front().map_or(0, |block| marshal::next_length(&block.records[self.at..]) as u32)
    }

    /// Rings for the next turn of the event loop.
    #[napi(catch_unwind)]
    pub fn ring(&self) {
        trip("ring");
        self.link.wake_up.call();
    }

    /// The body that travels beside this call's record. They come in the records' order; one whose record was not
    /// delivered is passed over, so that nobody is ever given another's.
    #[napi(catch_unwind)]
    pub fn take_body(&mut self, env: Env, slot: u32, generation: u32) -> napi::Result<Object<'static>> {
        trip("take-body");
        let wanted = Id { slot, generation };
        loop {
            let next = self.bodies.pop_front().or_else(|| self.blocks.front_mut()?.bodies.pop_front());
            match next {
                Some((id, body)) if id == wanted => return ffi::hand_over(env, body),
                Some(_) => {}
                None => return Err(napi::Error::from_reason("a body is missing")),
            }
        }
    }

    /// Starts a new I/O thread, with the same pools, where the last one has fallen; the calls that were in flight are lost.
    /// Until this has succeeded nothing is submitted.
    #[napi(catch_unwind)]
    pub fn revive(&mut self) -> napi::Result<()> {
        trip("revive");
        let running = Arc::clone(&self.thread);
        let mut thread = running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fallen) = thread.take() {
            drop(fallen.join());
        }
        // The new thread must not meet work, nor JavaScript completions, from before the fall.
        self.link.inbox.clear();
        self.refill();
        self.blocks.clear();
        for (handle, entry) in self.pools.iter().enumerate() {
            if let Some(entry) = entry {
                self.link.inbox.send(Work::Open(handle as u32, Box::new(entry.blueprint.clone())));
            }
        }
        if self.budget > 0 {
            self.link.inbox.send(Work::Budget(self.budget));
        }
        self.link.fallen.store(false, Ordering::Release);
        match engine::start(Arc::clone(&self.link)) {
            Ok(started) => *thread = Some(started),
            Err(error) => {
                self.link.fallen.store(true, Ordering::Release);
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Idle, leased (being dialled included), waiting, sockets ever opened, attempts ever made.
    #[napi(catch_unwind)]
    pub fn figures(&self, handle: u32) -> Vec<f64> {
        trip("figures");
        self.entry(handle).map_or_else(Vec::new, |PoolEntry { stats, .. }| {
            let leased = stats.leased.get() + stats.dialling.get();
            [stats.idle.get(), leased, stats.waiting.get(), stats.opened.get(), stats.requests.get()]
                .map(|figure| figure as f64)
                .to_vec()
        })
    }

    /// Everything that a pool counts, as JSON.
    #[napi(catch_unwind)]
    pub fn stats(&self, handle: u32) -> String {
        trip("stats");
        let Some(PoolEntry { stats, .. }) = self.entry(handle) else { return "null".to_owned() };
        let [pool, headers, total] = stats.latency().map(|Summary { count, p50, p95, p99, max }| {
            serde_json::json!({ "count": count, "p50": p50, "p95": p95, "p99": p99, "max": max })
        });
        serde_json::json!({
            "live": stats.opened.get() - stats.closed.get(),
            "idle": stats.idle.get(),
            "leased": stats.leased.get(),
            "waiting": stats.waiting.get(),
            "opened": stats.opened.get(),
            "closed": stats.closed.get(),
            "reused": stats.reused.get(),
            "surplus": stats.surplus.get(),
            "discarded": stats.discarded.get(),
            "poisoned": stats.poisoned.get(),
            "staleReplays": stats.stale_replays.get(),
            "abandoned": stats.abandoned.get(),
            "repaired": stats.repaired.get(),
            "wireBytesIn": stats.wire_in.get(),
            "wireBytesOut": stats.wire_out.get(),
            "decodedBytes": stats.decoded.get(),
            "requests": stats.requests.get(),
            "errors": stats.errors(),
            "oldestInFlight": stats.oldest(Instant::now()).map(|age| age.as_secs_f64() * 1_000.0),
            "latency": { "pool": pool, "headers": headers, "total": total },
        })
        .to_string()
    }

    /// Whether a URL names the pool's own host.
    #[napi(catch_unwind)]
    pub fn is_same_host(&self, handle: u32, url: String) -> bool {
        trip("is-same-host");
        self.entry(handle).is_some_and(|entry| entry.origin.is_same_host(&url))
    }

    /// The absolute URL of what the pool was asked for, these names and values in its query: what `response.url` says.
    #[napi(catch_unwind)]
    pub fn absolute_url(&self, handle: u32, url: String, fields: Vec<Either<String, Buffer>>) -> String {
        trip("absolute-url");
        let Some(PoolEntry { origin, .. }) = self.entry(handle) else { return url };
        let url = if fields.is_empty() { url } else { query::join(&url, &query_of(&fields)) };
        match url::target(origin, &url, false) {
            Ok(target) => url::absolute(origin, &target),
            Err(_) => url,
        }
    }

    fn entry(&self, handle: u32) -> Option<&PoolEntry> {
        self.pools.get(handle as usize)?.as_ref()
    }

    fn refill(&mut self) {
        self.link.outbox.take(&mut self.taken);
        self.blocks.extend(self.taken.drain(..));
    }
}

/// Names and values in turn, as they were given, as a query.
fn query_of(fields: &[Either<String, Buffer>]) -> String {
    let bytes = |field: &'_ Either<String, Buffer>| -> Vec<u8> {
        match field {
            Either::A(text) => text.as_bytes().to_vec(),
            Either::B(bytes) => bytes.to_vec(),
        }
    };
    let all: Vec<_> = fields.iter().map(bytes).collect();
    query::encode(all.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])))
}

/// `{ value }` or `{ error }`.
fn answer(outcome: Result<serde_json::Value, Error>) -> String {
    match outcome {
        Ok(value) => serde_json::json!({ "value": value }),
        Err(error) => serde_json::json!({ "error": marshal::error_text(&error) }),
    }
    .to_string()
}

/// A place where a test can make the addon panic.
fn trip(place: &str) {
    #[cfg(feature = "faults")]
    ferropool_core::faults::trip(place);
    #[cfg(not(feature = "faults"))]
    let _ = place;
}

/// Makes the named place panic the next `times` it is reached.
#[cfg(feature = "faults")]
#[napi(catch_unwind)]
pub fn arm_fault(place: String, times: u32) {
    ferropool_core::faults::arm(&place, times);
}
