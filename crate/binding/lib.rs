//! The addon: carries requests and responses between Node.js and the core. It knows Node and no HTTP.
//!
//! Every export is guarded: a panic of ours becomes a JavaScript error, never an abort.
#![expect(clippy::needless_pass_by_value, reason = "the binding's macro hands strings over by value")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use ferropool_core::dial::resolve;
use ferropool_core::handoff::{Inbox, Outbox};
use ferropool_core::manager::{Found, Shelved, Shelves};
use ferropool_core::pool::Blueprint;
use ferropool_core::text::{self, Text};
use ferropool_core::tls::{certificate, fingerprint};
use ferropool_policy::environment::Rules;
use ferropool_policy::error::{Error, Kind};
use ferropool_policy::origin::{Origin, Scheme};
use ferropool_policy::settings::{ManagerSettings, PoolSettings};
use ferropool_policy::shelf::Canonical;
use ferropool_policy::{query, url};
use napi::bindgen_prelude::{Buffer, Either, Object, Uint8ArraySlice, Unknown};
use napi::{Env, JsString};
use napi_derive::napi;

use crate::engine::{Link, Work};
use crate::entry::{Entry, about};
use crate::ffi::WakeUp;
use crate::marshal::{Block, Handed, Taken};
use crate::submission::Id;

mod asking;
mod engine;
mod entry;
mod ffi;
mod layout;
mod marshal;
pub mod retry;
mod shelf;
mod stream;
mod submission;
mod telling;

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

/// `proxyFromEnv`: the proxy's URL or `null`, or the error; the variables' values are JSON.
#[napi(catch_unwind)]
pub fn proxy_for(units: &[u16], environment: String) -> String {
    trip("proxy-for");
    let variables = serde_json::from_str(&environment).map_err(|error| unreadable("environment", &error));
    answer(variables.and_then(|variables| {
        let origin = Origin::from_absolute_url(&url::parse_utf16(units)?)?;
        Ok(Rules::of(&variables).choose(&origin).into())
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
    entries: Vec<Option<Entry>>,
    /// The pool of a manager's that was named last: with `numPools: 0` it is on no shelf.
    last: Option<Arc<Shelved>>,
    free: Vec<u32>,
    taken: Vec<Block>,
    blocks: VecDeque<Block>,
    /// Where the first block is taken on.
    at: usize,
    bodies: VecDeque<(Id, Handed)>,
    in_flight: u64,
    budget: u64,
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
            questions: AtomicU32::new(0),
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
            entries: Vec::new(),
            last: None,
            free: Vec::new(),
            taken: Vec::new(),
            blocks: VecDeque::new(),
            at: 0,
            bodies: VecDeque::new(),
            in_flight: 0,
            budget: u64::MAX,
        })
    }

    /// Makes a pool of its settings (JSON): `{ value: { handle, host, port, authority } }` or `{ error }`.
    #[napi(catch_unwind)]
    pub fn open(&mut self, settings: String) -> String {
        trip("open");
        let made = serde_json::from_str::<PoolSettings>(&settings)
            .map_err(|error| unreadable("pool", &error))
            .and_then(Blueprint::new);
        answer(made.map(|blueprint| {
            let json = serde_json::json!({ "host": blueprint.origin.host, "port": blueprint.origin.port });
            let handle = self.enter(Entry::Bare { blueprint: Box::new(blueprint) });
            serde_json::json!({ "handle": handle, "origin": json })
        }))
    }

    /// Makes a manager of its settings (JSON): `{ value: { handle } }` or `{ error }`.
    #[napi(catch_unwind)]
    pub fn manage(&mut self, settings: String) -> String {
        trip("manage");
        let made = serde_json::from_str::<serde_json::Value>(&settings)
            .and_then(|json| Ok((serde_json::from_value::<ManagerSettings>(json.clone())?, json)))
            .map_err(|error| unreadable("manager", &error))
            .and_then(|(settings, json)| Shelves::new(settings, Canonical::of(&json["pool"])));
        answer(made.map(|shelves| serde_json::json!({ "handle": self.enter(Entry::Manager { shelves, holders: 1 }) })))
    }

    /// The pool of a manager for an origin, with these settings of its own (JSON), or the manager's:
    /// `{ value: { id, scheme, host, port } }` or `{ error }`.
    #[napi(catch_unwind)]
    pub fn shelve(
        &mut self,
        manager: u32,
        scheme: String,
        host: String,
        port: Option<u32>,
        settings: Option<String>,
    ) -> String {
        trip("shelve");
        let port = port.and_then(|port| u16::try_from(port).ok());
        let origin = Scheme::named(&scheme).and_then(|scheme| Origin::new(scheme, &host, port));
        let shelved = origin.and_then(|origin| self.shelved(manager, origin, settings));
        answer(shelved.map(|shelved| about(&shelved)))
    }

    /// A handle for a pool on a manager's shelf; it may have gone from there since it was named: then it is made anew.
    #[napi(catch_unwind)]
    pub fn hold_pool(&mut self, manager: u32, id: u32) -> Option<u32> {
        trip("hold-pool");
        let Some(Some(Entry::Manager { shelves, holders })) = self.entries.get_mut(manager as usize) else {
            return None;
        };
        let shelved = shelves
            .list()
            .into_iter()
            .rev()
            .find(|shelved| shelved.id == id)
            .or_else(|| self.last.clone().filter(|last| last.id == id))?;
        *holders += 1;
        Some(self.enter(Entry::Held { manager, shelved }))
    }

    /// The pools on a manager's shelf, the least recently used first, as JSON.
    #[napi(catch_unwind)]
    pub fn shelf(&self, manager: u32) -> String {
        trip("shelf");
        let Some(Entry::Manager { shelves, .. }) = self.entry(manager) else { return "[]".to_owned() };
        shelves.list().iter().map(|shelved| about(shelved)).collect::<serde_json::Value>().to_string()
    }

    /// Takes all pools off a manager's shelf, at once as this thread sees it; what was submitted before it is in flight.
    #[napi(catch_unwind)]
    pub fn clear(&mut self, manager: u32) {
        trip("clear");
        if let Some(Entry::Manager { shelves, .. }) = self.entry(manager) {
            let ids = shelves.clear().iter().map(|shelved| shelved.id).collect();
            self.link.inbox.send(Work::Evict { manager, ids });
        }
    }

    /// Frees the handle of a pool or a manager: nobody holds it any more, and the submission that says so was made before.
    #[napi(catch_unwind)]
    pub fn forget(&mut self, handle: u32) {
        trip("forget");
        let Some(entry) = self.entries.get_mut(handle as usize) else { return };
        match entry {
            Some(Entry::Manager { holders, .. }) if *holders > 1 => *holders -= 1,
            Some(_) => {
                let gone = entry.take();
                self.free.push(handle);
                if let Some(Entry::Held { manager, .. }) = gone {
                    self.forget(manager);
                }
            }
            None => {}
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
        let mut again: Vec<_> = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(handle, entry)| Some((handle as u32, entry.as_ref()?)))
            .collect();
        // Managers before the pools that they keep.
        again.sort_by_key(|(_, entry)| matches!(entry, Entry::Held { .. }));
        for (handle, entry) in again {
            self.link.inbox.send(entry.work(handle));
        }
        self.link.inbox.send(Work::Budget(self.budget));
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
        let Some(entry) = self.entry(handle) else { return Vec::new() };
        let sums = match entry {
            Entry::Manager { shelves, .. } => shelves.roster.sums(),
            Entry::Bare { .. } | Entry::Held { .. } => entry.stats().sums(),
        };
        [sums.idle, sums.leased + sums.dialling, sums.waiting, sums.opened, sums.requests]
            .map(|figure| figure as f64)
            .to_vec()
    }

    /// Everything that a pool or a manager counts, as JSON.
    #[napi(catch_unwind)]
    pub fn stats(&self, handle: u32) -> String {
        trip("stats");
        let Some(entry) = self.entry(handle) else { return "null".to_owned() };
        entry.told().to_string()
    }

    /// Whether a URL names the pool's own host.
    #[napi(catch_unwind)]
    pub fn is_same_host(&self, handle: u32, url: String) -> bool {
        trip("is-same-host");
        self.entry(handle).and_then(Entry::origin).is_some_and(|origin| origin.is_same_host(&url))
    }

    /// The absolute URL of what the pool was asked for, these names and values in its query: what `response.url` says.
    #[napi(catch_unwind)]
    pub fn absolute_url(&self, handle: u32, url: String, fields: Vec<Either<String, Buffer>>) -> String {
        trip("absolute-url");
        let url = if fields.is_empty() { url } else { query::join(&url, &query_of(&fields)) };
        let own = self.entry(handle).and_then(Entry::origin).cloned();
        let named = || url::parse(&url).ok().and_then(|url| Origin::from_absolute_url(&url).ok());
        let Some(origin) = &own.or_else(named) else { return url };
        match url::target(origin, &url, false) {
            Ok(target) => url::absolute(origin, &target),
            Err(_) => url,
        }
    }

    fn entry(&self, handle: u32) -> Option<&Entry> {
        self.entries.get(handle as usize)?.as_ref()
    }

    /// Gives it a handle, and the I/O thread word of it.
    fn enter(&mut self, entry: Entry) -> u32 {
        let handle = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            (self.entries.len() - 1) as u32
        });
        self.link.inbox.send(entry.work(handle));
        self.entries[handle as usize] = Some(entry);
        handle
    }

    fn shelved(&mut self, manager: u32, mut origin: Origin, settings: Option<String>) -> Result<Arc<Shelved>, Error> {
        origin.port = Some(origin.effective_port());
        let Some(Entry::Manager { shelves, .. }) = self.entry(manager) else {
            return Err(Error::new(Kind::PoolClosed, "The manager is closed."));
        };
        let own = match settings {
            None => None,
            Some(text) => {
                let read = serde_json::from_str::<serde_json::Value>(&text)
                    .and_then(|json| Ok((serde_json::from_value::<PoolSettings>(json.clone())?, json)));
                let (settings, json) = read.map_err(|error| unreadable("pool", &error))?;
                Some((settings, Canonical::of(&json)))
            }
        };
        let own = own.as_ref().map(|(settings, text)| (settings, text));
        let Found { shelved, evicted, .. } = shelves.take(&origin, own, None)?;
        if let Some(evicted) = evicted {
            self.link.inbox.send(Work::Evict { manager, ids: vec![evicted.id] });
        }
        self.last = Some(Arc::clone(&shelved));
        Ok(shelved)
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

fn unreadable(whose: &str, error: &serde_json::Error) -> Error {
    Error::new(Kind::InvalidOption, format!("the {whose}'s options: {error}"))
}

/// `{ value }` or `{ error }`.
fn answer(outcome: Result<serde_json::Value, Error>) -> String {
    match outcome {
        Ok(value) => serde_json::json!({ "value": value }),
        Err(error) => serde_json::json!({ "error": telling::error_text(&error) }),
    }
    .to_string()
}

/// The most threads that this process looks names up on.
#[napi(catch_unwind)]
pub fn limit_dns_threads(most: u32) {
    trip("limit-dns-threads");
    resolve::limit_threads(most as usize);
}

/// A certificate (DER) as people read it: `{ subject, issuer, validFrom, validTo, subjectAltName, sha256 }`, or `null` for
/// bytes that are none.
#[napi(catch_unwind)]
pub fn describe_certificate(der: Uint8ArraySlice<'_>) -> String {
    trip("describe-certificate");
    let Some(facts) = certificate::facts(&der) else { return "null".to_owned() };
    serde_json::json!({
        "subject": facts.subject,
        "issuer": facts.issuer,
        "validFrom": facts.valid_from,
        "validTo": facts.valid_to,
        "subjectAltName": facts.names,
        "sha256": facts.sha256,
    })
    .to_string()
}

/// Why a certificate (DER) does not have this fingerprint, in words; `null` if it has.
#[napi(catch_unwind)]
pub fn assert_fingerprint(der: Uint8ArraySlice<'_>, fingerprint: String) -> Option<String> {
    trip("assert-fingerprint");
    fingerprint::assert_fingerprint(&der, &fingerprint).err().map(|error| error.fields().message.clone())
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
