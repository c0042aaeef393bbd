//! An environment's engine: one I/O thread, the two queues and the wake-up between it and JavaScript.
//!
//! The environment (main thread or worker) owns it; when it ends, its clean-up hook disarms the wake-up and joins the
//! thread. A late completion for a dead environment is dropped, never delivered.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use bytes::Bytes;
use ferropool_core::budget::Budget;
use ferropool_core::client::ask::Asker;
use ferropool_core::client::case::CaseBook;
use ferropool_core::client::execute::execute;
use ferropool_core::client::line::{Line, Pace};
use ferropool_core::client::request::{Payload, Request, Wanted};
use ferropool_core::client::response::{Data, Response};
use ferropool_core::client::stream::{Ended, Stream};
use ferropool_core::client::upload::Source;
use ferropool_core::conn::connection::{ConnectionInfo, Ids};
use ferropool_core::dial::Resolver;
use ferropool_core::handoff::{Inbox, Outbox};
use ferropool_core::manager::{Manager, Shelved, Shelves, Target};
use ferropool_core::pool::{Blueprint, Observer, Pause, Pool, Shared, Warning};
use ferropool_policy::error::{Error, Kind};
use ferropool_policy::ledger::Discard;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::AbortHandle;

use crate::asking::{Caller, Questions};
use crate::ffi::WakeUp;
use crate::layout::completion;
use crate::marshal::{Block, Malformed, next_submission};
use crate::stream::{self, Flow, Flows, Valve, Wire};
use crate::submission::{Id, Part, Pieces, Submission, With};
use crate::telling::base64s;

/// What goes to the I/O thread.
pub(crate) enum Work {
    /// A pool was made; its handle.
    Open(u32, Box<Blueprint>),
    /// A manager was made; its handle.
    Manage(u32, Arc<Shelves>),
    /// Somebody holds a pool of a manager's by this handle.
    Hold { manager: u32, handle: u32, shelved: Arc<Shelved> },
    /// These pools are off a manager's shelf.
    Evict { manager: u32, ids: Vec<u32> },
    /// Records, and when they were submitted.
    Batch(Bytes, Instant),
    /// A large piece of a request's body.
    Piece(Id, Bytes),
    /// What may lie around undelivered.
    Budget(u64),
    /// The environment ends.
    Stop,
}

/// The part that both threads hold.
pub(crate) struct Link {
    /// To the I/O thread.
    pub(crate) inbox: Inbox<Work>,
    /// To JavaScript.
    pub(crate) outbox: Outbox<Block>,
    /// Rings when the outbox was empty.
    pub(crate) wake_up: WakeUp,
    /// What the engine's clock counts from.
    pub(crate) epoch: Instant,
    /// The number of the next question. Here, and not with the I/O thread: should that fall, what is answered late is not
    /// taken for the answer to a question of the next one's, whose call is another.
    pub(crate) questions: AtomicU32,
    /// The I/O thread has ended by a panic of ours; calls are refused from now on until it is started again.
    pub(crate) fallen: AtomicBool,
}

/// Starts the I/O thread.
pub(crate) fn start(link: Arc<Link>) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("ferropool-io".to_owned()).spawn(move || {
        let ran = catch_unwind(AssertUnwindSafe(|| run(&link)));
        if ran.is_err() {
            link.fallen.store(true, Ordering::Release);
            // The JavaScript side sees the flag when it drains, fails what is in flight and starts a new thread.
            link.wake_up.call();
        }
    })
}

fn run(link: &Arc<Link>) {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) else {
        link.fallen.store(true, Ordering::Release);
        link.wake_up.call();
        return;
    };
    runtime.block_on(serve(Arc::clone(link)));
    // Tasks still in flight belong to an environment that has ended: dropping them closes their connections.
    drop(runtime);
}

/// Takes in work until told to stop.
async fn serve(link: Arc<Link>) {
    let out = Outgoing::new(Arc::clone(&link));
    tokio::task::spawn_local(flusher(Rc::clone(&out)));
    let shared = Rc::new(Shared {
        resolver: Resolver::new(),
        book: CaseBook::default(),
        ids: Ids::default(),
        observer: Box::new(Watch(Rc::clone(&out))),
    });
    let mut desk = Desk {
        out,
        shared,
        targets: Vec::new(),
        abortable: Rc::default(),
        flows: Rc::default(),
        questions: Questions::new(Arc::clone(&link)),
        budget: Rc::default(),
    };
    let mut work = Vec::new();
    loop {
        std::future::poll_fn(|cx| link.inbox.poll_receive(cx, &mut work)).await;
        for item in work.drain(..) {
            match item {
                Work::Open(handle, blueprint) => desk.open(handle, *blueprint),
                Work::Manage(handle, shelves) => {
                    let manager = Manager::open(shelves, Rc::clone(&desk.shared), handle);
                    desk.put(handle, Some(Target::Manager(manager)));
                }
                Work::Hold { manager, handle, shelved } => {
                    let pool = desk.manager(manager).and_then(|manager| manager.pool(&shelved).ok());
                    desk.put(handle, pool.map(Target::Pool));
                }
                Work::Evict { manager, ids } => {
                    if let Some(manager) = desk.manager(manager) {
                        for id in ids {
                            manager.forget(id);
                        }
                    }
                }
                Work::Batch(mut batch, at) => {
                    while let Some(submission) = next_submission(&mut batch, at) {
                        match submission {
                            Ok(submission) => desk.take(submission),
                            // Only a bug of ours writes such a record: nothing in it can be trusted, its id included.
                            Err(Malformed) => panic!("a submission does not add up"),
                        }
                    }
                }
                Work::Piece(id, bytes) => desk.flows.send(id, Part::Piece(bytes)),
                Work::Budget(most) => desk.budget.set(most),
                Work::Stop => return,
            }
        }
    }
}

/// Where submissions become tasks.
struct Desk {
    out: Rc<Outgoing>,
    shared: Rc<Shared>,
    /// Pools and managers by their handles.
    targets: Vec<Option<Target>>,
    /// Calls that may be aborted. Most calls have no signal and are not in here.
    abortable: Rc<RefCell<HashMap<Id, AbortHandle>>>,
    /// Calls whose bodies come in pieces.
    flows: Rc<Flows>,
    questions: Rc<Questions>,
    budget: Rc<Budget>,
}

impl Desk {
    fn open(&mut self, handle: u32, blueprint: Blueprint) {
        // It was checked on the other thread; the same check cannot fail here.
        let pool = Pool::open(blueprint, Rc::clone(&self.shared), handle).ok();
        self.put(handle, pool.map(Target::Pool));
    }

    fn put(&mut self, handle: u32, target: Option<Target>) {
        let at = handle as usize;
        if self.targets.len() <= at {
            self.targets.resize_with(at + 1, || None);
        }
        self.targets[at] = target;
    }

    fn target(&self, handle: u32) -> Option<Target> {
        self.targets.get(handle as usize)?.clone()
    }

    fn manager(&self, handle: u32) -> Option<Rc<Manager>> {
        match self.targets.get(handle as usize)? {
            Some(Target::Manager(manager)) => Some(Rc::clone(manager)),
            _ => None,
        }
    }

    fn take(&mut self, submission: Submission) {
        #[cfg(feature = "faults")]
        ferropool_core::faults::trip("thread");
        match submission {
            Submission::Request { id, pool, request, with } => self.request(id, pool, request, with),
            Submission::Read { id, order } => self.flows.read(id, order, &self.budget),
            Submission::Send { id, part } => self.flows.send(id, part),
            Submission::Abort { id } => {
                let task = self.abortable.borrow_mut().remove(&id);
                if let Some(task) = task {
                    task.abort();
                }
            }
            Submission::Warm { id, pool, count } => {
                let (out, target) = (Rc::clone(&self.out), self.target(pool));
                let caller: Rc<dyn Asker> = Caller::new(id, &self.out, &self.questions, &self.flows, false);
                tokio::task::spawn_local(async move {
                    let mut ending = Ending::new(id, out);
                    let warmed = match target.as_ref().and_then(Target::as_pool) {
                        Some(pool) => pool.warm(count, Some(caller)).await,
                        None => Err(gone()),
                    };
                    ending.reply(warmed.map(|()| serde_json::Value::Null));
                });
            }
            Submission::Close { id, pool, timeout } => {
                let (out, target) = (Rc::clone(&self.out), self.target(pool));
                // In its turn: what was submitted before it has asked for a connection by then, and is not turned away.
                // What comes after it the facade has refused.
                tokio::task::spawn_local(async move {
                    let mut ending = Ending::new(id, out);
                    let until = timeout.and_then(|span| Instant::now().checked_add(span));
                    let report = match target {
                        None => return ending.reply(Err(gone())),
                        Some(Target::Pool(pool)) => {
                            let before = pool.close_now();
                            pool.drain(before, until).await
                        }
                        Some(Target::Manager(manager)) => manager.close(until).await,
                    };
                    ending.reply(Ok(serde_json::json!({
                        "closed": report.closed,
                        "drained": report.drained,
                        "forced": report.forced,
                        "elapsed": report.elapsed.as_secs_f64() * 1_000.0,
                    })));
                });
            }
            Submission::Forget { pool } => {
                let forgotten = self.targets.get_mut(pool as usize).and_then(Option::take);
                match forgotten {
                    // Calls in flight hold it and go on; its idle connections close now (POOL-20). A manager's pool stays
                    // the manager's.
                    Some(Target::Pool(pool)) if !pool.is_shelved() => pool.close_idle(),
                    Some(Target::Manager(manager)) => manager.clear(),
                    Some(Target::Pool(_)) | None => {}
                }
            }
            Submission::Answer { number, text } => self.questions.answer(number, &text),
        }
    }

    fn request(&self, id: Id, pool: u32, mut request: Box<Request>, with: With) {
        let (out, target) = (Rc::clone(&self.out), self.target(pool));
        let asker = || -> Rc<dyn Asker> { Caller::new(id, &self.out, &self.questions, &self.flows, with.progress) };
        if !request.asks.is_none() || !matches!(with.pieces, Pieces::None) || target.as_ref().is_some_and(Target::asks)
        {
            request.asker = Some(asker());
        }
        let table = with.abortable.then(|| Rc::clone(&self.abortable));
        let flow = self.flow(id, &mut request, with);
        let streamed = flow.as_ref().and_then(|flow| Some((flow.valve.clone()?, Rc::clone(&self.budget))));
        let entered = flow.map(|flow| self.flows.enter(id, flow));
        // Made here: a task that is aborted before its first turn has run nothing of its body.
        let mut ending = Ending::new(id, out);
        let task = tokio::task::spawn_local(async move {
            #[cfg(feature = "faults")]
            ferropool_core::faults::trip("task");
            let outcome = match target {
                // Boxed, and made where it stays: tokio stores a task's future by value, at its birth and at its end.
                Some(target) => Box::pin(execute(&target, &request)).await,
                None => Err(gone()),
            };
            // With its body, which may be large: a response in pieces can go on for hours.
            drop(request);
            match outcome {
                Ok(response) => {
                    let stream = ending.response(response);
                    if let (Some(stream), Some((valve, budget))) = (stream, streamed) {
                        // Boxed: its state would make every call's task larger.
                        Box::pin(stream::carry(stream, valve, budget, &mut ending)).await;
                    }
                }
                Err(error) => ending.error(error),
            }
            drop(entered);
            if let Some(table) = table {
                table.borrow_mut().remove(&id);
            }
        });
        if with.abortable {
            self.abortable.borrow_mut().insert(id, task.abort_handle());
        }
    }

    /// What a call needs whose bodies come in pieces, or who tells of its progress; most calls need nothing.
    fn flow(&self, id: Id, request: &mut Request, with: With) -> Option<Flow> {
        let streamed = request.wanted != Wanted::Whole;
        if matches!(with.pieces, Pieces::None) && !with.progress && !with.sent && !streamed {
            return None;
        }
        let line: Rc<dyn Line> = Rc::new(Wire { id, out: Rc::clone(&self.out) });
        let pace = || with.progress.then(|| Pace::new(Rc::clone(&line)));
        request.progress = pace();
        request.tells_sent = with.sent.then(|| Rc::clone(&line));
        let source = match with.pieces {
            Pieces::None => None,
            Pieces::Of(length) => Some(Source::of(Rc::clone(&line), Some(length), pace())),
            Pieces::Some => Some(Source::of(Rc::clone(&line), None, pace())),
        };
        if let Some(source) = &source {
            request.body = Payload::Pieces(Rc::clone(source));
        }
        Some(Flow { valve: streamed.then(|| Valve::new(with.asks)), source })
    }
}

/// The promise that a call ends exactly once: dropped without an outcome it was aborted, or it panicked.
pub(crate) struct Ending {
    id: Id,
    out: Rc<Outgoing>,
    course: Course,
}

/// How far a call has come, as JavaScript sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// Its promise is open.
    Open,
    /// Its response is there, the body is not.
    Streaming,
    /// Nothing more will come.
    Ended,
}

impl Ending {
    fn new(id: Id, out: Rc<Outgoing>) -> Self {
        Self { id, out, course: Course::Open }
    }

    /// Gives back what is still to be read.
    fn response(&mut self, response: Box<Response>) -> Option<Box<Stream>> {
        let epoch = self.out.link.epoch;
        let mut stream = None;
        self.out.add(|block| stream = block.response(self.id, response, epoch));
        self.course = if stream.is_some() { Course::Streaming } else { Course::Ended };
        stream
    }

    /// A piece of the response's body; with `headroom` it is the rest.
    pub(crate) fn piece(&mut self, data: Data, wire: u64, headroom: Option<u32>) {
        self.out.add(|block| block.piece(self.id, data, wire, headroom));
    }

    /// The response's body stands still until it is known what was taken of it.
    pub(crate) fn press(&self) {
        self.out.add(|block| block.press(self.id));
    }

    /// The response's body has ended.
    pub(crate) fn ended(&mut self, ended: &Ended, read: bool) {
        self.course = Course::Ended;
        self.out.add(|block| block.ended(self.id, ended, read));
    }

    pub(crate) fn error(&mut self, error: Error) {
        let streamed = self.course == Course::Streaming;
        self.course = Course::Ended;
        self.out.add(|block| block.error(self.id, error, streamed));
    }

    fn reply(&mut self, outcome: Result<serde_json::Value, Error>) {
        match outcome {
            Ok(json) => {
                self.course = Course::Ended;
                self.out.add(|block| block.notice(completion::REPLY, self.id, &json));
            }
            Err(error) => self.error(error),
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.course != Course::Ended {
            self.error(if thread::panicking() {
                Error::new(Kind::Internal, "ferropool panicked while it worked on this call; please report it")
            } else {
                Error::new(Kind::Aborted, "the call was aborted")
            });
        }
    }
}

/// What leaves this thread: gathered while tasks run, handed over once they have had their turn.
pub(crate) struct Outgoing {
    link: Arc<Link>,
    block: RefCell<Block>,
    /// Connections that closed: told behind all else in the block, since a connection that is not kept closes before
    /// its last response is written down, and that response still names it.
    closed: RefCell<Vec<(u32, Discard)>>,
    /// The flusher's, while it sleeps.
    flusher: Cell<Option<Waker>>,
    /// Bytes of the last block: the next one is like it, and need not grow step by step.
    usual: Cell<usize>,
}

impl Outgoing {
    fn new(link: Arc<Link>) -> Rc<Self> {
        Rc::new(Self {
            link,
            block: RefCell::default(),
            closed: RefCell::default(),
            flusher: Cell::new(None),
            usual: Cell::new(0),
        })
    }

    pub(crate) fn add(&self, write: impl FnOnce(&mut Block)) {
        let large = {
            let mut block = self.block.borrow_mut();
            if block.records.capacity() == 0 {
                block.records.reserve(self.usual.get());
            }
            write(&mut block);
            block.records.len() > BLOCK_MOST
        };
        if large {
            self.flush();
        } else {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(flusher) = self.flusher.take() {
            flusher.wake();
        }
    }

    fn is_empty(&self) -> bool {
        self.block.borrow().records.is_empty() && self.closed.borrow().is_empty()
    }

    fn flush(&self) {
        if self.is_empty() {
            return;
        }
        let mut block = self.block.take();
        self.usual.set(block.records.len().min(BLOCK_MOST));
        for (slot, why) in self.closed.borrow_mut().drain(..) {
            block.notice(completion::CLOSED, Id { slot, generation: 0 }, &why.name().into());
        }
        if self.link.outbox.put(block) {
            self.link.wake_up.call();
        }
    }
}

/// Runs after every task that was ready before it: whatever they completed goes over in one block, with one wake-up.
async fn flusher(out: Rc<Outgoing>) {
    loop {
        std::future::poll_fn(|cx| {
            if !out.is_empty() {
                return Poll::Ready(());
            }
            out.flusher.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        out.flush();
    }
}

/// What pools tell goes the same way as responses, so that a connection's facts arrive before the first response on it.
struct Watch(Rc<Outgoing>);

impl Observer for Watch {
    fn opened(&self, info: &ConnectionInfo, pool: &Pool) {
        let id = Id { slot: info.id, generation: 0 };
        let json = serde_json::json!({
            "id": info.id,
            "protocol": if info.http2 { "h2" } else { "http/1.1" },
            "tls": info.tls.as_ref().map(|tls| serde_json::json!({
                "version": tls.version,
                "cipher": tls.cipher,
                "resumed": tls.resumed,
                "verified": tls.verified,
                "serverName": tls.server_name,
                "chain": base64s(&tls.chain),
            })),
            "proxy": info.proxy.as_ref().map(|proxy| serde_json::json!({
                "url": proxy.url, "forwards": proxy.forwards, "verified": proxy.verified,
            })),
            "pool": {
                "scheme": pool.origin.scheme.name(),
                "host": pool.origin.host,
                "port": pool.origin.effective_port(),
                "number": pool.figures().opened + 1,
            },
            "remoteAddress": info.remote_address,
            "remotePort": info.remote_port,
            "localAddress": info.local_address,
            "localPort": info.local_port,
            "triedAddresses": info.tried.iter().map(|(address, error, elapsed)| serde_json::json!({
                "address": address, "error": error, "elapsed": elapsed,
            })).collect::<Vec<_>>(),
        });
        self.0.add(|block| block.notice(completion::OPENED, id, &json));
    }

    fn closed(&self, id: u32, why: Discard) {
        self.0.closed.borrow_mut().push((id, why));
        self.0.wake();
    }

    fn paused(&self, pause: &Pause<'_>) {
        let id = Id { slot: pause.group, generation: 0 };
        let json = serde_json::json!({
            "host": pause.host,
            "span": pause.span.as_secs_f64() * 1_000.0,
            "status": pause.status,
        });
        self.0.add(|block| block.notice(completion::PAUSED, id, &json));
    }

    fn warn(&self, warning: Warning, pool: &Pool) {
        let figures = pool.figures();
        let json = match warning {
            Warning::Insecure => serde_json::json!({
                "code": "FERROPOOL_INSECURE_REQUEST",
                "message": format!(
                    "Unverified HTTPS request is being made to host '{}'. Adding certificate verification is strongly \
                     advised. See docs/tls.md.",
                    pool.origin.host
                ),
            }),
            Warning::Full => serde_json::json!({
                "code": "FERROPOOL_POOL_FULL",
                "message": format!(
                    "Connection pool is full, discarding connection: {}. Connection pool size: {}. Further ones are \
                     counted in stats().surplus.",
                    pool.name, figures.maxsize
                ),
            }),
            Warning::Starving => serde_json::json!({
                "code": "FERROPOOL_POOL_STARVING",
                "message": format!(
                    "A request to {} has waited 30 s for a connection: {} of {} are leased, the oldest call has been \
                     under way for {:.0} s, {} requests wait.",
                    pool.name,
                    figures.leased,
                    figures.maxsize,
                    pool.group.stats.oldest(Instant::now()).unwrap_or_default().as_secs_f64(),
                    figures.waiting
                ),
            }),
            Warning::Unread => serde_json::json!({
                "code": "FERROPOOL_BODY_UNREAD",
                "message": format!(
                    "A streamed body from {} was let go although something of it was left: nobody began to read it in \
                     time, or its response was garbage-collected. Read it, drainConn() or close() it; those that cost a \
                     connection are counted in stats().abandoned.",
                    pool.name
                ),
            }),
        };
        self.0.add(|block| block.notice(completion::WARNING, Id { slot: 0, generation: 0 }, &json));
    }
}

fn gone() -> Error {
    Error::new(Kind::PoolClosed, "Pool is closed.")
}

/// A block larger than this is handed over at once: JavaScript can start on it.
const BLOCK_MOST: usize = 256 * 1024;
