//! What a pool says after a while: with a clock that the test moves, so that nobody waits for it.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Condvar, Mutex};

use ferropool_policy::ledger::Discard;
use ferropool_policy::proxy::ProxySettings;
use ferropool_policy::retry::Count;
use ferropool_policy::settings::Timeouts;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::time::sleep;

use super::*;
use crate::client::execute::execute;
use crate::client::request::Request;
use crate::dial::{Lookup, Remember};
use crate::manager::Target;

/// Hears what pools warn about.
#[derive(Clone, Default)]
struct Heard(Rc<RefCell<Vec<Warning>>>);

impl Heard {
    fn warnings(&self) -> Vec<Warning> {
        self.0.borrow().clone()
    }
}

impl Observer for Heard {
    fn opened(&self, _: &ConnectionInfo, _: &Pool) {}

    fn closed(&self, _: u32, _: Discard) {}

    fn paused(&self, _: &Pause<'_>) {}

    fn warn(&self, warning: Warning, _: &Pool) {
        self.0.borrow_mut().push(warning);
    }
}

/// Runs a test on a thread of its own kind, its clock standing still until everybody waits for it.
fn paused<F: Future>(test: impl FnOnce() -> F) -> F::Output {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .expect("a runtime");
    runtime.block_on(test())
}

/// A name that begins with "stalled" is looked up until the gate opens; any other is this machine.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().expect("no panic") = true;
        self.1.notify_all();
    }
}

impl Lookup for Gate {
    fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if host.starts_with("stalled") {
            drop(self.1.wait_while(self.0.lock().expect("no panic"), |open| !*open).expect("no panic"));
        }
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }
}

fn shared(resolver: Rc<Resolver>, heard: &Heard) -> Rc<Shared> {
    Rc::new(Shared { resolver, book: CaseBook::default(), ids: Ids::default(), observer: Box::new(heard.clone()) })
}

/// A blocking pool of one connection.
fn pool(host: &str, port: u16, shared: &Rc<Shared>) -> Rc<Pool> {
    pool_with(PoolSettings { host: host.to_owned(), port: Some(port), ..PoolSettings::default() }, shared)
}

fn pool_with(settings: PoolSettings, shared: &Rc<Shared>) -> Rc<Pool> {
    let retries = Some(Retry { total: Count::Off, ..Retry::default() });
    let settings = PoolSettings { block: true, retries, ..settings };
    Pool::open(Blueprint::new(settings).expect("settings"), Rc::clone(shared), 0).expect("a pool")
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// One over a listener that says nothing.
async fn pool_of_one() -> (Rc<Pool>, Heard, TcpListener) {
    let (listener, port) = listener().await;
    let heard = Heard::default();
    (pool("127.0.0.1", port, &shared(Resolver::new(), &heard)), heard, listener)
}

async fn leased(pool: &Rc<Pool>) -> Held {
    match pool.checkout(&pool.name, None, None, &Cell::new(Phase::Pool), Wanted::Any, None).await.expect("a connection")
    {
        Leased::Alone(held) => held,
        Leased::Stream(_) => panic!("nothing is shared over HTTP/1"),
    }
}

#[test]
fn a_waiter_of_thirty_seconds_is_warned_about_once_a_pool() {
    paused(async || {
        let (pool, heard, _listener) = pool_of_one().await;
        let held = leased(&pool).await;
        let mut waiters = tokio::task::JoinSet::new();
        for _ in 0..2 {
            let pool = Rc::clone(&pool);
            waiters.spawn_local(async move { drop(leased(&pool).await) });
        }
        sleep(Duration::from_millis(29_999)).await;
        assert_eq!(heard.warnings(), []);
        sleep(Duration::from_millis(2)).await;
        assert_eq!(heard.warnings(), [Warning::Starving]);
        sleep(STARVING * 10).await;
        assert_eq!(heard.warnings(), [Warning::Starving]);
        drop(held);
        while let Some(ended) = waiters.join_next().await {
            ended.expect("no panic");
        }
        assert_eq!(pool.figures().waiting, 0);
        assert_eq!(pool.figures().leased, 0);
    });
}

#[test]
fn waiters_that_are_served_in_time_are_not_warned_about_however_many_come() {
    paused(async || {
        let (pool, heard, _listener) = pool_of_one().await;
        for _ in 0..5 {
            let held = leased(&pool).await;
            let waiting = tokio::task::spawn_local({
                let pool = Rc::clone(&pool);
                async move { drop(leased(&pool).await) }
            });
            sleep(Duration::from_millis(29_995)).await;
            drop(held);
            waiting.await.expect("no panic");
        }
        assert_eq!(heard.warnings(), []);
    });
}

#[test]
fn a_name_that_takes_for_ever_is_under_connect_and_total_and_holds_up_no_other_name() {
    let gate = Arc::new(Gate::default());
    let resolver = Resolver::over(Arc::clone(&gate) as Arc<dyn Lookup>, Remember::default());
    paused(async || {
        let (_listener, port) = listener().await;
        let shared = shared(resolver, &Heard::default());
        for nth in 0..8 {
            let pool = pool(&format!("stalled-{nth}.test"), port, &shared);
            let total = nth % 2 == 0;
            let mut request = Request::new("GET", "/", now());
            request.timeout = Some(if total {
                Timeouts { total: Some(3_000.0), ..Timeouts::default() }
            } else {
                Timeouts { connect: Some(3_000.0), ..Timeouts::default() }
            });
            let began = now();
            let error = execute(&Target::Pool(Rc::clone(&pool)), &request).await.expect_err("no address");
            let took = now() - began;
            assert!((3_000..3_003).contains(&took.as_millis()), "{took:?}");
            let fields = error.fields();
            if total {
                assert_eq!(error.kind(), Kind::TotalTimeoutDialling);
                assert_eq!((fields.phase, fields.extra.during), (Some(Phase::Total), Some(Phase::Dns)));
            } else {
                assert_eq!(error.kind(), Kind::ConnectTimeout);
                assert_eq!((fields.phase, fields.extra.during), (Some(Phase::Dns), None));
            }
            assert!(!fields.sent);
            assert_eq!(pool.figures().leased, 0);
        }
        drop(leased(&pool("live.test", port, &shared)).await);
        gate.open();
    });
}

// THR-1213: turns that were given one by one while nobody could dial are not used all at once when that is over.
#[test]
fn those_who_dialled_in_a_jam_go_one_by_one_and_nobody_else_meanwhile() {
    let gate = Arc::new(Gate::default());
    let resolver = Resolver::over(Arc::clone(&gate) as Arc<dyn Lookup>, Remember::default());
    paused(async || {
        let (_listener, port) = listener().await;
        let settings = PoolSettings {
            host: "stalled.test".to_owned(),
            port: Some(port),
            maxsize: 32,
            rate: Some(20.0),
            ..PoolSettings::default()
        };
        let pool = pool_with(settings, &shared(resolver, &Heard::default()));
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let pool = Rc::clone(&pool);
            calls.spawn_local(async move {
                let held = leased(&pool).await;
                (now(), held)
            });
        }
        sleep(Duration::from_millis(500)).await;
        // One every 52 ms, 20 ms of which are made up for.
        assert_eq!(pool.figures().leased, 11);
        assert_eq!(pool.stats.waiting.get(), 5);
        gate.open();
        let mut times = Vec::new();
        let mut holders = Vec::new();
        while let Some(ended) = calls.join_next().await {
            let (at, held) = ended.expect("no panic");
            times.push(at);
            holders.push(held);
        }
        times.sort();
        for pair in times.windows(2) {
            assert!(pair[1] - pair[0] >= Duration::from_millis(31), "{times:?}");
        }
        assert!(times[15] - times[0] >= Duration::from_millis(15 * 51 - 20), "{times:?}");
    });
}

// THR-1011: a pool that is gone leaves nothing behind until somebody's timer goes off.
#[test]
fn a_pool_that_is_gone_is_gone_with_its_tasks() {
    paused(async || {
        let (_listener, port) = listener().await;
        let settings = PoolSettings {
            host: "127.0.0.1".to_owned(),
            port: Some(port),
            idle_timeout: 3_600_000.0,
            ..PoolSettings::default()
        };
        let pool = pool_with(settings, &shared(Resolver::new(), &Heard::default()));
        let held = leased(&pool).await;
        let waiter = tokio::task::spawn_local({
            let pool = Rc::clone(&pool);
            async move { leased(&pool).await.keep() }
        });
        tokio::task::yield_now().await;
        held.keep();
        waiter.await.expect("no panic");
        assert_eq!(pool.figures().idle, 1);
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        // The connection's, and those that sleep.
        assert_eq!(tasks(), 3);
        drop(pool);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(tasks(), 0);
    });
}

/// The first look-up finds no descriptor left.
#[derive(Default)]
struct Short(Mutex<u32>);

impl Lookup for Short {
    fn look_up(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let mut asked = self.0.lock().expect("no panic");
        *asked += 1;
        if *asked == 1 { Err(io::Error::from_raw_os_error(24)) } else { Ok(vec![Ipv4Addr::LOCALHOST.into()]) }
    }
}

// THR-1001: a lack of descriptors is waited out for the origin's name behind SOCKS too.
#[cfg(unix)]
#[test]
fn a_shortage_while_the_name_behind_a_proxy_is_looked_up_is_waited_out() {
    let short = Arc::new(Short::default());
    let resolver = Resolver::over(Arc::clone(&short) as Arc<dyn Lookup>, Remember::default());
    paused(async || {
        // Nobody listens there any more.
        let port = listener().await.1;
        let url = format!("socks5://127.0.0.1:{port}");
        let settings = PoolSettings {
            host: "a.test".to_owned(),
            proxy: Some(Arc::new(ProxySettings { url, ..ProxySettings::default() })),
            ..PoolSettings::default()
        };
        let pool = pool_with(settings, &shared(resolver, &Heard::default()));
        let progress = Cell::new(Phase::Pool);
        let Err(error) = pool.checkout(&pool.name, None, None, &progress, Wanted::Any, None).await else {
            panic!("there is no proxy")
        };
        assert_eq!(error.fields().causes[0].code.as_deref(), Some("ECONNREFUSED"), "{error}");
        assert_eq!(*short.0.lock().expect("no panic"), 2);
    });
}
