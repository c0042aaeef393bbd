//! The threads that names are looked up on.
//!
//! They are the process's, not an engine's, and not tokio's blocking pool: getaddrinfo cannot be cancelled, so a thread
//! that hangs in it must hold up nobody but other names, and thirty engines must not mean thirty times as many threads.
//!
//! So many look-ups run at once, the others wait their turn. One that nobody waits for any more is *forsaken*: its callers'
//! deadlines have fired, and the system still asks a server that does not answer. It gives its place to the next name, or
//! a few dead servers would hold up all names for as long as the system's patience lasts.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::resolve::{Flight, Job};

/// The threads and the names that wait for one, first come, first served.
pub(super) struct Threads {
    state: Mutex<State>,
    work: Condvar,
}

struct State {
    queue: VecDeque<Job>,
    /// Look-ups under way.
    asking: Vec<Flight>,
    /// The most that may run, not counting those whose look-up is forsaken.
    most: usize,
    running: usize,
    idle: usize,
    /// The queue's length at which names that nobody wants any more are swept out.
    sweep_at: usize,
}

impl State {
    /// Whether more threads run than may. The list is gone through only when it decides.
    fn is_over(&self, most: usize) -> bool {
        self.running > most && self.running - self.forsaken() > most
    }

    fn needs_another(&self) -> bool {
        self.idle < self.queue.len()
            && self.running < self.most + MOST_FORSAKEN
            && !self.is_over(self.most.saturating_sub(1))
    }

    fn forsaken(&self) -> usize {
        self.asking.iter().filter(|flight| flight.receiver_count() == 0).count()
    }
}

impl Threads {
    pub(super) fn submit(&'static self, job: Job) {
        let mut state = self.lock();
        if state.queue.len() >= state.sweep_at {
            // Every thread is stuck and requests come and give up: their names must not pile up.
            state.queue.retain(Job::is_wanted);
            state.sweep_at = (state.queue.len() * 2).max(SWEEP_FROM);
        }
        state.queue.push_back(job);
        if state.needs_another() {
            self.start(&mut state);
        }
        drop(state);
        self.work.notify_one();
    }

    /// A look-up that goes on has one less who waits for it.
    pub(super) fn reconsider(&'static self) {
        let mut state = self.lock();
        if state.needs_another() {
            self.start(&mut state);
        }
    }

    fn limit(&'static self, most: usize) {
        let mut state = self.lock();
        state.most = most;
        for _ in 0..state.queue.len() {
            if state.needs_another() {
                self.start(&mut state);
            }
        }
        drop(state);
        self.work.notify_all();
    }

    fn start(&'static self, state: &mut State) {
        match std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || self.serve()) {
            Ok(_detached) => state.running += 1,
            // With others at work the name waits for one of them; without, nobody would ever come.
            Err(error) if state.running == 0 => fail_all(&mut state.queue, &error),
            Err(_) => {}
        }
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if state.is_over(state.most) {
                state.running -= 1;
                // If this one was woken for a name, another is to take it.
                self.work.notify_one();
                return;
            }
            if let Some(job) = state.queue.pop_front() {
                let flight = Arc::clone(job.flight());
                state.asking.push(Arc::clone(&flight));
                drop(state);
                job.run();
                state = self.lock();
                state.asking.retain(|other| !Arc::ptr_eq(other, &flight));
                continue;
            }
            state.idle += 1;
            let (woken, waited) = self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() {
                state.running -= 1;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under it; a poisoned one is as good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fail_all(queue: &mut VecDeque<Job>, error: &io::Error) {
    for job in queue.drain(..) {
        job.fail(error);
    }
}

/// Sets how many names this process looks up at once, each on a thread of its own, 1 at least. Default 32. So many can
/// hang before another has to wait; one that nobody waits for any more does not count, unless there are 96 of those. Where
/// there are more threads already, they end as they finish.
pub fn limit_threads(most: usize) {
    THREADS.limit(most.max(1));
}

pub(super) static THREADS: Threads = Threads {
    state: Mutex::new(State {
        queue: VecDeque::new(),
        asking: Vec::new(),
        most: MOST_THREADS,
        running: 0,
        idle: 0,
        sweep_at: SWEEP_FROM,
    }),
    work: Condvar::new(),
};

/// Room for this many names that hang at once before another has to wait, where nobody says otherwise.
const MOST_THREADS: usize = 32;

/// What may hang on top of that with nobody who waits for it: memory has an end.
const MOST_FORSAKEN: usize = 96;

/// A thread without work ends after this.
const IDLE: Duration = Duration::from_secs(5);

/// Linux shows 15 bytes of it.
const THREAD_NAME: &str = "ferropool-dns";

const SWEEP_FROM: usize = 1_024;
