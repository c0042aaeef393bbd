//! `denyAddresses` where it counts: at each dial, about the address that is connected, whoever said it.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferropool_core::client::ask::{Answer, Answering, Asker, Question};
use ferropool_core::client::upload::Source;
use ferropool_core::dial::{DialPlan, Dialled, Lookup, Remember, Resolver, addresses, dial};
use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::settings::{LocalAddress, PoolSettings};

fn denying(entries: &[&str]) -> PoolSettings {
    let deny_addresses = entries.iter().map(|&entry| entry.to_owned()).collect();
    PoolSettings { deny_addresses, ..PoolSettings::default() }
}

/// Each look-up gets the next answer, and the last one again.
struct Flips(Mutex<VecDeque<Vec<IpAddr>>>);

impl Lookup for Flips {
    fn look_up(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        let mut answers = self.0.lock().unwrap();
        let next = answers.pop_front().unwrap_or_default();
        if answers.is_empty() {
            answers.push_back(next.clone());
        }
        Ok(next)
    }
}

fn ips(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

/// A resolver that gives these answers in turn and remembers none.
fn flips(answers: &[&[&str]]) -> Rc<Resolver> {
    let answers = answers.iter().map(|answer| ips(answer)).collect();
    let never = Remember { found: Duration::ZERO, failed: Duration::ZERO, ..Remember::default() };
    Resolver::over(Arc::new(Flips(Mutex::new(answers))), never)
}

/// A function of the caller's that gives these answers in turn.
struct Tells(RefCell<VecDeque<Option<Vec<String>>>>);

impl Asker for Tells {
    fn ask<'a>(&'a self, question: Question<'a>) -> Answering<'a> {
        assert!(matches!(question, Question::Resolve { .. }), "{question:?}");
        let answer = self.0.borrow_mut().pop_front().unwrap();
        Box::pin(async move { Ok(Answer::Addresses(answer)) })
    }

    fn body(&self, _length: Option<u64>) -> Rc<Source> {
        panic!("nobody asks for a body")
    }
}

fn tells(answers: &[&[&str]]) -> Tells {
    let told = |answer: &&[&str]| Some(answer.iter().map(|&address| address.to_owned()).collect());
    Tells(RefCell::new(answers.iter().map(told).collect()))
}

async fn dial_by(plan: &DialPlan, resolver: &Resolver) -> Result<Dialled, Error> {
    dial(plan, resolver, &Cell::new(Phase::Pool), None).await
}

fn listener_at(address: &str, port: u16) -> (TcpListener, u16) {
    let listener = TcpListener::bind((address, port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn listener() -> (TcpListener, u16) {
    listener_at("127.0.0.1", 0)
}

/// That nobody has come. On the loopback interface whoever connects has been here when that call returns, or very soon.
fn is_untouched(server: &TcpListener) -> bool {
    server.accept().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// That somebody has come. What ends a handshake may reach this side after the other has gone on.
fn is_visited(server: &TcpListener) -> bool {
    let began = Instant::now();
    while is_untouched(server) {
        if began.elapsed() > Duration::from_secs(10) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

fn is_denied(error: &Error, phase: Phase, said: &str) {
    assert_eq!(error.kind(), Kind::AddressDenied, "{error}");
    assert_eq!(error.fields().phase, Some(phase));
    assert_eq!(error.to_string(), said);
}

// THR-519: DNS rebinding: public when it was looked at, loopback when it is connected to.
#[tokio::test]
async fn a_name_that_flips_to_a_denied_address_is_denied_at_that_dial() {
    let (server, port) = listener();
    // 127.0.0.9 stands for a public address.
    let (public, _) = listener_at("127.0.0.9", port);
    let plan = DialPlan::new(&denying(&["127.0.0.0/29"]), "rebinds.test", port).unwrap();
    let resolver = flips(&[&["127.0.0.9"], &["127.0.0.1"], &["127.0.0.9"], &["::ffff:127.0.0.1", "127.0.0.1"]]);
    assert_eq!(dial_by(&plan, &resolver).await.unwrap().remote.address(), "127.0.0.9");
    is_denied(
        &dial_by(&plan, &resolver).await.unwrap_err(),
        Phase::Dns,
        "denyAddresses does not let 'rebinds.test' be connected to: 127.0.0.1 is in 127.0.0.0/29",
    );
    assert_eq!(dial_by(&plan, &resolver).await.unwrap().remote.address(), "127.0.0.9");
    let error = dial_by(&plan, &resolver).await.unwrap_err();
    is_denied(
        &error,
        Phase::Dns,
        "denyAddresses does not let 'rebinds.test' be connected to: ::ffff:127.0.0.1 is the IPv4-mapped form of \
         127.0.0.1, which is in 127.0.0.0/29 (the first of 2 addresses)",
    );
    let causes: Vec<_> = error.fields().causes.iter().map(|cause| cause.address.clone().unwrap()).collect();
    assert_eq!(causes, [format!("[::ffff:127.0.0.1]:{port}"), format!("127.0.0.1:{port}")]);
    assert!(is_visited(&public));
    assert!(is_untouched(&server), "nobody came to the one that is denied");
}

// THR-519: a name with both kinds of address.
#[tokio::test]
async fn of_several_addresses_only_those_that_are_allowed_are_tried() {
    let (server, port) = listener();
    let (public, _) = listener_at("127.0.0.9", port);
    let plan = DialPlan::new(&denying(&["127.0.0.0/29", "::1"]), "mixed.test", port).unwrap();
    let many: Vec<String> = (0..8).map(|n| format!("127.0.0.{n}")).collect();
    let answer: Vec<&str> = many.iter().map(String::as_str).chain(["::1", "127.0.0.10", "127.0.0.9"]).collect();
    let dialled = dial_by(&plan, &flips(&[&answer])).await.unwrap();
    let tried: Vec<_> = dialled.tried.iter().map(|tried| tried.address.clone()).collect();
    assert_eq!(tried, [format!("127.0.0.10:{port}"), format!("127.0.0.9:{port}")]);
    assert!(is_visited(&public) && is_untouched(&server));
}

// THR-519: judged on every dial, whoever says the address.
#[tokio::test]
async fn literals_overrides_and_what_a_function_tells_are_judged_too() {
    let (server, port) = listener();
    let private = denying(&["private"]);
    let nobody = flips(&[&[]]);
    let said = |host: &str, why: &str| format!("denyAddresses does not let '{host}' be connected to: {why}");
    for (host, why) in [
        ("127.0.0.1", "127.0.0.1 is private (loopback)"),
        ("0.0.0.0", "0.0.0.0 is private (unspecified)"),
        ("::1", "::1 is private (loopback)"),
        ("::ffff:7f00:1", "::ffff:127.0.0.1 is the IPv4-mapped form of 127.0.0.1, which is private (loopback)"),
        ("169.254.169.254", "169.254.169.254 is private (link-local)"),
        ("fe80::1%1", "fe80::1 is private (link-local)"),
    ] {
        let plan = DialPlan::new(&private, host, port).unwrap();
        is_denied(&dial_by(&plan, &nobody).await.unwrap_err(), Phase::Connect, &said(host, why));
    }
    for told in ["127.0.0.1", "[::1]:1", "::ffff:127.0.0.1", "::1%1"] {
        let resolve = Arc::new([("public.test".to_owned(), told.to_owned())].into());
        let plan = DialPlan::new(&PoolSettings { resolve, ..private.clone() }, "public.test", port).unwrap();
        let error = dial_by(&plan, &nobody).await.unwrap_err();
        assert_eq!((error.kind(), error.fields().phase), (Kind::AddressDenied, Some(Phase::Connect)), "{told}");
    }
    // A function that says one thing and then another; a literal's too.
    let (public, _) = listener_at("127.0.0.9", 0);
    let at = public.local_addr().unwrap();
    let settings = PoolSettings { resolve_asks: Some(1), ..denying(&["127.0.0.0/29"]) };
    for host in ["flips.test", "127.0.0.9"] {
        let asker =
            tells(&[&[&at.to_string()], &["127.0.0.1"], &["127.0.0.2", "127.0.0.9"], &[&format!("127.0.0.1:{port}")]]);
        let plan = DialPlan::new(&settings, host, at.port()).unwrap();
        let dials = async || dial(&plan, &nobody, &Cell::new(Phase::Pool), Some(&asker)).await;
        assert_eq!(dials().await.unwrap().remote.address(), "127.0.0.9");
        is_denied(&dials().await.unwrap_err(), Phase::Dns, &said(host, "127.0.0.1 is in 127.0.0.0/29"));
        assert_eq!(dials().await.unwrap().tried.len(), 1);
        is_denied(&dials().await.unwrap_err(), Phase::Dns, &said(host, "127.0.0.1 is in 127.0.0.0/29"));
    }
    assert!(is_visited(&public) && is_untouched(&server));
}

// THR-519: what passed is what is connected to; nobody has to ask again.
#[tokio::test]
async fn addresses_are_given_judged_and_in_order_without_a_connection() {
    let (server, port) = listener();
    let plan = DialPlan::new(&denying(&["10.0.0.0/8"]), "any.test", port).unwrap();
    let progress = Cell::new(Phase::Pool);
    let resolver = flips(&[&["10.0.0.1", "127.0.0.1", "127.0.0.2", "::1"], &[], &["10.0.0.1"]]);
    let (found, dns) = addresses(&plan, &resolver, &progress, None).await.unwrap();
    let ordered = ips(&["127.0.0.1", "::1", "127.0.0.2"]);
    assert_eq!(found, ordered.iter().map(|&ip| SocketAddr::new(ip, port)).collect::<Vec<_>>());
    assert!(dns.is_some());
    assert_eq!(progress.get(), Phase::Dns);
    let error = addresses(&plan, &resolver, &progress, None).await.unwrap_err();
    assert_eq!((error.kind(), error.fields().phase), (Kind::Connect, Some(Phase::Connect)), "no address at all");
    let error = addresses(&plan, &resolver, &progress, None).await.unwrap_err();
    assert_eq!((error.kind(), error.fields().phase), (Kind::AddressDenied, Some(Phase::Dns)));
    let literal = DialPlan::new(&denying(&["10.0.0.0/8"]), "127.0.0.1", port).unwrap();
    let (found, dns) = addresses(&literal, &resolver, &progress, None).await.unwrap();
    assert_eq!((found, dns), (vec![SocketAddr::from(([127, 0, 0, 1], port))], None));
    assert!(is_untouched(&server));
}

// THR-519: a proxy's own address is exempt, since the caller named it; a target's is not.
#[tokio::test]
async fn the_way_to_a_proxy_is_not_judged_and_a_target_is() {
    let (_server, port) = listener();
    let settings = denying(&["private"]);
    let proxy = DialPlan::to_proxy(&settings, "proxy.test", port).unwrap();
    assert!(dial_by(&proxy, &flips(&[&["127.0.0.1"]])).await.is_ok());
    let another = DialPlan::to_proxy(&settings, "127.0.0.1", port).unwrap();
    assert!(dial_by(&another, &flips(&[&[]])).await.is_ok());
    let plan = DialPlan::new(&settings, "127.0.0.1", port).unwrap();
    assert_eq!(dial_by(&plan, &flips(&[&[]])).await.unwrap_err().kind(), Kind::AddressDenied);
}

#[tokio::test]
async fn a_local_address_narrows_what_the_list_has_left() {
    let (_server, port) = listener();
    let local_address = Some(LocalAddress { address: "127.0.0.1".to_owned(), port: 0 });
    let settings = PoolSettings { local_address, ..denying(&["::1"]) };
    let plan = DialPlan::new(&settings, "any.test", port).unwrap();
    assert!(dial_by(&plan, &flips(&[&["::1", "127.0.0.1"]])).await.is_ok());
    assert_eq!(dial_by(&plan, &flips(&[&["::1"]])).await.unwrap_err().kind(), Kind::AddressDenied);
}

#[test]
fn a_list_that_is_none_is_refused_and_a_path_has_no_address_to_judge() {
    let error = DialPlan::new(&denying(&["private", "10.0.0.0/99"]), "any.test", 80).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidOption);
    assert!(error.to_string().contains("'10.0.0.0/99'"), "{error}");
    let unix_socket = Some("/run/any.sock".to_owned());
    let error = DialPlan::new(&PoolSettings { unix_socket, ..denying(&["private"]) }, "any.test", 80).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidOption);
    assert_eq!(error.to_string(), "unixSocket and denyAddresses exclude one another");
}
