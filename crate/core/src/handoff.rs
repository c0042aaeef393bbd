//! The two queues between the JavaScript thread and an I/O thread. Both hand over whole batches under a lock held for a
//! pointer swap, and both wake the other side only when it has not been told yet: a wake-up is a system call.
//!
//! [`Inbox`] wakes a task; [`Outbox`] answers whether somebody must be woken, since only the binding can wake
//! JavaScript. Neither knows what it carries. The models at the end run under loom (`node scripts/test.js models`).

use std::mem;
use std::task::{Context, Poll, Waker};

#[cfg(loom)]
use loom::sync::Mutex;
#[cfg(not(loom))]
use std::sync::Mutex;

/// Work for the I/O thread: any thread sends, one task receives.
#[derive(Debug)]
pub struct Inbox<T> {
    state: Mutex<InboxState<T>>,
}

#[derive(Debug)]
struct InboxState<T> {
    items: Vec<T>,
    /// Set while the receiver sleeps; taken by the first sender, so that the others need not wake it again.
    sleeper: Option<Waker>,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self { state: Mutex::new(InboxState { items: Vec::new(), sleeper: None }) }
    }
}

impl<T> Inbox<T> {
    /// Adds an item and wakes the receiver if it sleeps.
    pub fn send(&self, item: T) {
        let sleeper = {
            let mut state = lock(&self.state);
            state.items.push(item);
            state.sleeper.take()
        };
        if let Some(waker) = sleeper {
            waker.wake();
        }
    }

    /// Moves everything that there is into `into` (which must be empty, and whose capacity is reused), or registers to
    /// be woken.
    pub fn poll_receive(&self, cx: &mut Context<'_>, into: &mut Vec<T>) -> Poll<()> {
        debug_assert!(into.is_empty());
        let mut state = lock(&self.state);
        if state.items.is_empty() {
            match &mut state.sleeper {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        mem::swap(&mut state.items, into);
        Poll::Ready(())
    }

    /// Drops everything that there is, and the receiver's registration: the next receiver starts afresh.
    pub fn clear(&self) {
        let mut state = lock(&self.state);
        let old = (mem::take(&mut state.items), state.sleeper.take());
        // What is dropped may run code of its own, which may send.
        drop(state);
        drop(old);
    }
}

/// Results for JavaScript: one I/O thread puts, one other thread takes.
#[derive(Debug)]
pub struct Outbox<T> {
    state: Mutex<OutboxState<T>>,
}

#[derive(Debug)]
struct OutboxState<T> {
    items: Vec<T>,
    /// A wake-up is on its way and has not been answered by [`Outbox::take`].
    signalled: bool,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self { state: Mutex::new(OutboxState { items: Vec::new(), signalled: false }) }
    }
}

impl<T> Outbox<T> {
    /// Adds an item; true if the taker must be woken by the caller.
    #[must_use = "a wake-up that is not passed on leaves the taker asleep"]
    pub fn put(&self, item: T) -> bool {
        let mut state = lock(&self.state);
        state.items.push(item);
        !mem::replace(&mut state.signalled, true)
    }

    /// Takes everything that there is; from now on the next [`Outbox::put`] asks for a wake-up again.
    pub fn take(&self, into: &mut Vec<T>) {
        debug_assert!(into.is_empty());
        let mut state = lock(&self.state);
        state.signalled = false;
        mem::swap(&mut state.items, into);
    }
}

/// A panic elsewhere must not take the queue down with it: its state is whole between any two statements.
#[cfg(not(loom))]
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(loom)]
fn lock<T>(mutex: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_sleeping_receiver_is_woken_once_a_batch() {
        let inbox = Inbox::default();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let mut got = Vec::new();
        assert!(inbox.poll_receive(&mut cx, &mut got).is_pending());
        inbox.send(1);
        inbox.send(2);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(inbox.poll_receive(&mut cx, &mut got).is_ready());
        assert_eq!(got, [1, 2]);
    }

    #[test]
    fn what_is_cleared_is_never_received() {
        let inbox = Inbox::default();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let mut got = Vec::new();
        assert!(inbox.poll_receive(&mut cx, &mut got).is_pending());
        inbox.clear();
        inbox.send(1);
        assert_eq!(count.0.load(Ordering::SeqCst), 0, "the receiver from before is not woken");
        inbox.clear();
        assert!(inbox.poll_receive(&mut cx, &mut got).is_pending());
        inbox.send(2);
        assert!(inbox.poll_receive(&mut cx, &mut got).is_ready());
        assert_eq!(got, [2]);
    }

    #[test]
    fn a_taker_is_signalled_once_until_it_takes() {
        let outbox = Outbox::default();
        let mut got = Vec::new();
        assert!(outbox.put(1));
        assert!(!outbox.put(2));
        outbox.take(&mut got);
        assert_eq!(got, [1, 2]);
        assert!(outbox.put(3));
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::future::block_on;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    /// No send is lost and the receiver never sleeps on an item, whatever the interleaving.
    #[test]
    fn what_is_sent_is_received() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::default());
            let senders: Vec<_> = (0..2)
                .map(|n| {
                    let inbox = Arc::clone(&inbox);
                    thread::spawn(move || inbox.send(n))
                })
                .collect();
            let mut all = Vec::new();
            while all.len() < 2 {
                let mut batch = Vec::new();
                block_on(std::future::poll_fn(|cx| inbox.poll_receive(cx, &mut batch)));
                all.append(&mut batch);
            }
            all.sort_unstable();
            assert_eq!(all, [0, 1]);
            for sender in senders {
                sender.join().unwrap();
            }
        });
    }

    /// Whatever is put is covered by a wake-up that comes after it: a taker that acts on each wake-up sees everything.
    #[test]
    fn what_is_put_is_announced() {
        loom::model(|| {
            let outbox = Arc::new(Outbox::default());
            let wakes = Arc::new(AtomicUsize::new(0));
            let putter = {
                let (outbox, wakes) = (Arc::clone(&outbox), Arc::clone(&wakes));
                thread::spawn(move || {
                    for n in 0..2 {
                        if outbox.put(n) {
                            wakes.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                })
            };
            let mut all = Vec::new();
            let mut seen = 0;
            let mut answer = |all: &mut Vec<_>| {
                let now = wakes.load(Ordering::SeqCst);
                if now > seen {
                    seen = now;
                    let mut batch = Vec::new();
                    outbox.take(&mut batch);
                    all.append(&mut batch);
                }
            };
            answer(&mut all);
            putter.join().unwrap();
            answer(&mut all);
            assert_eq!(all, [0, 1]);
        });
    }
}
