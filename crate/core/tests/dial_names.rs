//! Names: who is asked, how often, on which threads, and what is remembered. The resolver is a test's own, so no name
//! leaves this machine. The threads are the process's, so the tests take turns.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferropool_core::dial::resolve::limit_threads;
use ferropool_core::dial::{DialPlan, Lookup, Remember, Resolver, dial};
use ferropool_policy::error::{Kind, Phase};
use ferropool_policy::settings::PoolSettings;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::spawn_local;

/// A resolver of the test's: names that begin with `stall` are answered when the gate opens, the others at once.
#[derive(Default)]
struct Names {
    answers: Mutex<HashMap<String, Answer>>,
    asked: Mutex<Vec<String>>,
    gate: Mutex<bool>,
    opened: Condvar,
}

#[derive(Clone)]
enum Answer {
    Addresses(Vec<IpAddr>),
    Fails(&'static str),
    System(i32),
    Panics,
}

impl Names {
    fn answer(&self, host: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(host.to_owned(), answer);
    }

    fn asked(&self, host: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == host).count()
    }

    fn total(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn open(&self) {
        *self.gate.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

impl Lookup for Names {
    fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(host.to_owned());
        if host.starts_with("stall") {
            let gate = self.gate.lock().unwrap();
            drop(self.opened.wait_timeout_while(gate, Duration::from_secs(120), |open| !*open).unwrap());
        }
        let answer = self.answers.lock().unwrap().get(host).cloned();
        match answer {
            None => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
            Some(Answer::Addresses(addresses)) => Ok(addresses),
            Some(Answer::Fails(reason)) => Err(io::Error::other(reason)),
            Some(Answer::System(number)) => Err(io::Error::from_raw_os_error(number)),
            Some(Answer::Panics) => panic!("a resolver that panics, on purpose"),
        }
    }
}

/// Opens the gate whatever becomes of the test: a thread that hangs would spoil the next one.
struct Opens(Arc<Names>);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.open();
    }
}

fn names() -> (Arc<Names>, Opens, Rc<Resolver>) {
    remembering(Remember::default())
}

fn remembering(remember: Remember) -> (Arc<Names>, Opens, Rc<Resolver>) {
    let names = Arc::new(Names::default());
    let lookup: Arc<dyn Lookup> = Arc::<Names>::clone(&names);
    (Arc::clone(&names), Opens(names), Resolver::over(lookup, remember))
}

/// Runs the future as an I/O thread does, after the test before it has finished.
fn alone<F: Future<Output = ()>>(future: F) {
    static TURN: Mutex<()> = Mutex::new(());
    let turn: MutexGuard<'_, ()> = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::runtime::LocalRuntime::new().unwrap().block_on(future);
    drop(turn);
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// How many of this process's threads are ours for names.
#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim_end() == "ferropool-dns")
        .count()
}

// THR-1012: a storm on one cold name.
#[test]
fn ten_thousand_who_want_one_cold_name_ask_once() {
    alone(async {
        let (names, opens, resolver) = names();
        let waiting: Vec<_> = (0..10_000)
            .map(|_| {
                let resolver = Rc::clone(&resolver);
                spawn_local(async move { resolver.resolve("stall.test").await })
            })
            .collect();
        until("the name is asked for", || names.asked("stall.test") == 1).await;
        drop(opens);
        for waiter in waiting {
            assert_eq!(waiter.await.unwrap().unwrap()[..], [IpAddr::from([127, 0, 0, 1])]);
        }
        resolver.resolve("stall.test").await.unwrap();
        assert_eq!(names.total(), 1, "and the answer is remembered");
    });
}

// THR-1012, ERR-02: a dead name.
#[test]
fn a_dead_name_is_remembered_for_a_moment_and_asked_for_again() {
    alone(async {
        let failed = Duration::from_millis(60);
        let (names, _opens, resolver) = remembering(Remember { failed, ..Remember::default() });
        names.answer("dead.test", Answer::Fails("failed to lookup address information: Name or service not known"));
        let began = Instant::now();
        for _ in 0..100 {
            let error = resolver.resolve("dead.test").await.unwrap_err();
            assert_eq!(error.kind(), Kind::Dns);
            assert_eq!(error.to_string(), "Failed to resolve 'dead.test' (Name or service not known)");
            assert_eq!(error.fields().phase, Some(Phase::Dns));
            assert_eq!(error.fields().causes[0].message, "Name or service not known");
        }
        let spans = began.elapsed().as_millis() / failed.as_millis() + 1;
        assert!(names.total() as u128 <= spans, "{} look-ups in {spans} spans", names.total());
        names.answer("dead.test", Answer::Addresses(vec![IpAddr::from([127, 0, 0, 9])]));
        let mut found = None;
        while found.is_none() {
            assert!(began.elapsed() < Duration::from_secs(30), "the failure is never forgotten");
            found = resolver.resolve("dead.test").await.ok();
        }
        assert_eq!(found.unwrap()[..], [IpAddr::from([127, 0, 0, 9])]);
    });
}

// THR-1012: a name with thousands of addresses.
#[test]
fn of_four_thousand_addresses_sixteen_are_tried() {
    alone(async {
        let (names, _opens, resolver) = names();
        // Bound by a socket that never listens, so nobody does there, on any address.
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = closed.local_addr().unwrap().port();
        names.answer(
            "many.test",
            Answer::Addresses((0..4_096_u32).map(|n| (0x7f01_0000 + n).to_be_bytes().into()).collect()),
        );
        let plan = DialPlan::new(&PoolSettings::default(), "many.test", port).unwrap();
        let error = dial(&plan, &resolver, &Cell::new(Phase::Pool), None).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Connect);
        assert_eq!(error.fields().causes.len(), 16);
        assert_eq!(error.fields().causes[15].address.as_deref(), Some(&*format!("127.1.0.0:{port}")));
    });
}

// THR-902: stalls in DNS. THR-1012: names that hang starve no other.
#[test]
fn names_that_hang_hold_up_nobody_else() {
    alone(async {
        let (names, _opens, resolver) = names();
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        // A thousand dials to 31 names.
        let phases: Vec<_> = (0..1_000)
            .map(|n| {
                let progress = Rc::new(Cell::new(Phase::Pool));
                let (resolver, seen) = (Rc::clone(&resolver), Rc::clone(&progress));
                let plan = DialPlan::new(&PoolSettings::default(), &format!("stall{}.test", n % 31), port).unwrap();
                (spawn_local(async move { dial(&plan, &resolver, &seen, None).await }), progress)
            })
            .collect();
        until("all hang, and the caller, who has the deadline, sees in which phase", || {
            names.total() == 31 && phases.iter().all(|(_, progress)| progress.get() == Phase::Dns)
        })
        .await;
        let plan = DialPlan::new(&PoolSettings::default(), "other.test", port).unwrap();
        let progress = Cell::new(Phase::Pool);
        let dialled = tokio::time::timeout(Duration::from_secs(30), dial(&plan, &resolver, &progress, None)).await;
        let dialled = dialled.expect("another name resolves").unwrap();
        assert_eq!(dialled.remote.port(), port);
        assert!(dialled.dns.is_some());
        assert_eq!(progress.get(), Phase::Connect);
        for (hanging, _) in phases {
            assert!(!hanging.is_finished());
            hanging.abort();
        }
        assert_eq!(names.total(), 32, "one look-up in flight a name");
    });
}

// THR-1014: the number of threads, and their name.
#[cfg(target_os = "linux")]
#[test]
fn names_have_thirty_two_threads_at_most_and_none_after_a_while() {
    alone(async {
        let (names, opens, resolver) = names();
        let waiting: Vec<_> = (0..200)
            .map(|n| {
                let resolver = Rc::clone(&resolver);
                spawn_local(async move { resolver.resolve(&format!("stall{n}.test")).await })
            })
            .collect();
        until("every thread hangs", || names.total() == 32).await;
        assert_eq!(threads(), 32);
        drop(opens);
        for waiter in waiting {
            waiter.await.unwrap().unwrap();
        }
        assert_eq!(names.total(), 200, "the others had their turn");
        assert!(threads() <= 32);
        until("idle threads end", || threads() == 0).await;
        resolver.resolve("again.test").await.unwrap();
        assert_eq!(threads(), 1, "and one is started when there is work again");
    });
}

// THR-902, THR-1012: names that hang, and whose callers' deadlines have fired, hold up nobody any longer; to a bound.
#[cfg(target_os = "linux")]
#[test]
fn a_look_up_that_nobody_waits_for_any_more_gives_its_place_away() {
    alone(async {
        let (names, opens, resolver) = names();
        let wait = |host: String| {
            let resolver = Rc::clone(&resolver);
            spawn_local(async move { resolver.resolve(&host).await })
        };
        let mut hanging: Vec<_> = (0..32).map(|n| wait(format!("stall{n}.test"))).collect();
        until("every thread hangs", || names.total() == 32).await;
        let patient = wait("patient.test".to_owned());
        let joins = wait("stall0.test".to_owned());
        let deadline = Duration::from_millis(50);
        tokio::time::sleep(deadline).await;
        assert!(!patient.is_finished(), "there are no more than so many at once");
        // The deadline of one: somebody else still waits for that name. The deadline of another.
        hanging[0].abort();
        tokio::time::sleep(deadline).await;
        assert!(!patient.is_finished());
        hanging[1].abort();
        let patient = tokio::time::timeout(Duration::from_secs(30), patient).await;
        patient.expect("its turn has come").unwrap().unwrap();
        joins.abort();
        for waiter in hanging.drain(2..) {
            waiter.abort();
        }
        for n in 32..128 {
            let waiter = wait(format!("stall{n}.test"));
            until("it is asked for", || names.asked(&format!("stall{n}.test")) == 1).await;
            waiter.abort();
        }
        until("all wait for nobody", || threads() == 128).await;
        let late = wait("late.test".to_owned());
        tokio::time::sleep(deadline).await;
        assert!(!late.is_finished(), "and there are no more than so many threads");
        assert_eq!(threads(), 128);
        drop(opens);
        late.await.unwrap().unwrap();
        until("threads without work end", || threads() <= 32).await;
        assert_eq!(names.total(), 130);
    });
}

/// Puts the default back whatever becomes of the test.
struct Limited;

impl Limited {
    fn to(most: usize) -> Self {
        limit_threads(most);
        Self
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        limit_threads(32);
    }
}

// THR-1014: the caller's own bound, from wherever there are.
#[cfg(target_os = "linux")]
#[test]
fn the_number_of_threads_is_the_callers_to_choose() {
    alone(async {
        let mut quickest = Duration::MAX;
        for _ in 0..3 {
            quickest = quickest.min(threads_end_in().await);
        }
        // An idle one ends after five seconds; a machine that stands still for a moment does so once.
        assert!(quickest < Duration::from_secs(4), "with their work, not after having been idle: {quickest:?}");
    });
}

/// How long it takes until the threads that are too many have ended.
#[cfg(target_os = "linux")]
async fn threads_end_in() -> Duration {
    let limited = Limited::to(1);
    until("those of other tests end at once", || threads() <= 1).await;
    limit_threads(3);
    let (names, opens, resolver) = names();
    let ask = |prefix: &str| -> Vec<_> {
        let hosts: Vec<_> = (0..9).map(|n| format!("stall-{prefix}{n}.test")).collect();
        let wait = |host: String| {
            let resolver = Rc::clone(&resolver);
            spawn_local(async move { resolver.resolve(&host).await })
        };
        hosts.into_iter().map(wait).collect()
    };
    let first = ask("a");
    until("three hang", || names.total() == 3).await;
    assert_eq!(threads(), 3);
    drop(limited);
    let second = ask("b");
    until("each has a thread", || names.total() == 18).await;
    assert_eq!(threads(), 18);
    let limited = Limited::to(1);
    let began = Instant::now();
    drop(opens);
    for waiter in first.into_iter().chain(second) {
        waiter.await.unwrap().unwrap();
    }
    until("the others end", || threads() == 1).await;
    let took = began.elapsed();
    resolver.resolve("last.test").await.unwrap();
    assert_eq!(threads(), 1);
    drop(limited);
    took
}

// THR-1218: a name that moves.
#[test]
fn new_connections_see_a_name_move_once_its_answer_is_old() {
    alone(async {
        // So long that the dial below finds what was remembered just before it.
        let (names, _opens, resolver) = remembering(Remember { found: Duration::from_secs(2), ..Remember::default() });
        let old = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = old.local_addr().unwrap().port();
        let new = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
        let plan = DialPlan::new(&PoolSettings::default(), "moves.test", port).unwrap();
        let dialled = dial(&plan, &resolver, &Cell::new(Phase::Pool), None).await.unwrap();
        assert_eq!(dialled.remote.address(), "127.0.0.1");
        names.answer("moves.test", Answer::Addresses(vec![new.local_addr().unwrap().ip()]));
        let began = Instant::now();
        while resolver.resolve("moves.test").await.unwrap()[..] == [old.local_addr().unwrap().ip()] {
            assert!(began.elapsed() < Duration::from_secs(30), "the move is never seen");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let dialled = dial(&plan, &resolver, &Cell::new(Phase::Pool), None).await.unwrap();
        assert_eq!(dialled.remote.address(), "127.0.0.2");
        assert_eq!(names.total(), 2, "asked again only when the answer was old");
    });
}

#[test]
fn a_look_up_goes_on_for_the_others_and_is_remembered_when_all_have_gone() {
    alone(async {
        let (names, opens, resolver) = names();
        let wait = || {
            let resolver = Rc::clone(&resolver);
            spawn_local(async move { resolver.resolve("stall.test").await })
        };
        let (first, second) = (wait(), wait());
        until("it is asked for", || names.total() == 1).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert!(!second.is_finished());
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
        drop(opens);
        resolver.resolve("stall.test").await.unwrap();
        assert_eq!(names.total(), 1);
    });
}

#[test]
fn a_look_up_whose_waiters_left_before_its_turn_is_never_begun() {
    alone(async {
        let (names, opens, resolver) = names();
        let waiting = Rc::new(Cell::new(0));
        let wait = |host: String| {
            let (resolver, waiting) = (Rc::clone(&resolver), Rc::clone(&waiting));
            spawn_local(async move {
                waiting.set(waiting.get() + 1);
                resolver.resolve(&host).await
            })
        };
        let stuck: Vec<_> = (0..32).map(|n| wait(format!("stall{n}.test"))).collect();
        until("every thread hangs", || names.total() == 32).await;
        // So many that the next one to come has them swept out.
        let left: Vec<_> = (0..1_024).map(|n| wait(format!("left{n}.test"))).collect();
        until("all wait", || waiting.get() == 32 + 1_024).await;
        for waiter in left {
            waiter.abort();
            assert!(waiter.await.unwrap_err().is_cancelled());
        }
        let late: Vec<_> = (0..10).map(|n| wait(format!("late{n}.test"))).collect();
        until("they wait", || waiting.get() == 32 + 1_024 + 10).await;
        for waiter in late {
            waiter.abort();
            assert!(waiter.await.unwrap_err().is_cancelled());
        }
        let patient = wait("patient.test".to_owned());
        until("it waits", || waiting.get() == 32 + 1_024 + 11).await;
        drop(opens);
        patient.await.unwrap().unwrap();
        for waiter in stuck {
            waiter.await.unwrap().unwrap();
        }
        assert_eq!(names.total(), 33);
        for host in ["left7.test", "late7.test"] {
            let again = tokio::time::timeout(Duration::from_secs(60), resolver.resolve(host)).await;
            again.expect("whoever wants it later gets an answer").unwrap();
            assert_eq!(names.asked(host), 1);
        }
    });
}

#[test]
fn a_resolver_that_panics_fails_the_name_and_loses_no_thread() {
    alone(async {
        let (names, _opens, resolver) = names();
        names.answer("panics.test", Answer::Panics);
        for _ in 0..40 {
            let error = resolver.resolve("panics.test").await.unwrap_err();
            assert_eq!(error.to_string(), "Failed to resolve 'panics.test' (the resolver panicked)");
        }
        resolver.resolve("fine.test").await.unwrap();
    });
}

// THR-1001: no descriptors for DNS.
#[test]
fn a_look_up_without_descriptors_is_a_connect_error_and_is_not_remembered() {
    alone(async {
        let (names, _opens, resolver) = names();
        names.answer("up.test", Answer::System(24));
        let error = resolver.resolve("up.test").await.unwrap_err();
        assert_eq!(error.kind(), Kind::Connect);
        assert_eq!(error.fields().phase, Some(Phase::Dns));
        assert_eq!(error.fields().causes[0].code.as_deref(), Some("EMFILE"));
        names.answer("up.test", Answer::Addresses(vec![IpAddr::from([127, 0, 0, 1])]));
        resolver.resolve("up.test").await.unwrap();
        assert_eq!(names.total(), 2);
    });
}

#[test]
fn what_cannot_be_a_name_is_refused_without_asking() {
    alone(async {
        let (names, _opens, resolver) = names();
        for host in ["", "a\0b", "\0", &"x".repeat(256)] {
            let error = resolver.resolve(host).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Dns, "{host:?}");
            assert!(error.to_string().ends_with("' (not a name)"), "{error}");
        }
        assert_eq!(names.total(), 0);
    });
}

#[test]
fn localhost_is_asked_of_the_system_like_any_name() {
    alone(async {
        let resolver = Resolver::new();
        let found = resolver.resolve("localhost").await.unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    });
}
