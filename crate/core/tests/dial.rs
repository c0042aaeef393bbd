//! From settings to a connected socket, against listeners on this machine: real ones, closed ones, and ones that are so
//! full that the system drops what comes.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![cfg(target_os = "linux")]

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferropool_core::dial::{DialPlan, Dialled, Endpoint, Lookup, Remember, Resolver, Transport, dial};
use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::settings::{KeepAlive, LocalAddress, PoolSettings, SocketOptions};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

const V4: Ipv4Addr = Ipv4Addr::LOCALHOST;
const V6: Ipv6Addr = Ipv6Addr::LOCALHOST;

/// Any name has these addresses.
struct Fixed(Vec<IpAddr>);

impl Lookup for Fixed {
    fn look_up(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.clone())
    }
}

fn resolver(addresses: &[IpAddr]) -> Rc<Resolver> {
    Resolver::over(Arc::new(Fixed(addresses.to_vec())), Remember::default())
}

fn plan(settings: &PoolSettings, host: &str, port: u16) -> DialPlan {
    DialPlan::new(settings, host, port).unwrap()
}

async fn dial_any(plan: &DialPlan, addresses: &[IpAddr]) -> Result<Dialled, Error> {
    dial(plan, &resolver(addresses), &Cell::new(Phase::Pool), None).await
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port on which nobody listens, on any address of this machine: bound by a socket that never will.
fn closed_port() -> (Socket, u16) {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    socket.set_only_v6(false).unwrap();
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

/// A port that 127.0.0.6 and 127.0.0.8 have free for as long as the socket lives: it is held at another address, so nobody
/// gets it who asks for a port of all of them.
fn free_elsewhere() -> (Socket, u16) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 7], 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

/// A listener whose queue is full: the system drops a SYN that comes.
struct BlackHole {
    listener: Socket,
    _queued: Vec<Socket>,
}

fn black_hole(at: SocketAddr) -> (BlackHole, u16) {
    let listener = Socket::new(Domain::for_address(at), Type::STREAM, None).unwrap();
    listener.bind(&at.into()).unwrap();
    listener.listen(1).unwrap();
    let bound = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    for _ in 0..16 {
        let client = Socket::new(Domain::for_address(at), Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        drop(client.connect(&bound));
        if !connects(&client) {
            let port = bound.as_socket().unwrap().port();
            return (BlackHole { listener, _queued: queued }, port);
        }
        queued.push(client);
    }
    panic!("the queue does not fill");
}

/// Black holes at one port of these addresses. The system chooses it at the first; where somebody has it at another, one
/// that is free at all of them is looked for.
fn black_holes<const N: usize>(at: [IpAddr; N]) -> ([BlackHole; N], u16) {
    for _ in 0..16 {
        let (first, port) = black_hole((at[0], 0).into());
        if at[1..].iter().all(|&ip| is_free(ip, port)) {
            let mut first = Some(first);
            return (at.map(|ip| first.take().unwrap_or_else(|| black_hole((ip, port).into()).0)), port);
        }
    }
    panic!("no port is free at all of {at:?}");
}

fn is_free(ip: IpAddr, port: u16) -> bool {
    let at = SocketAddr::from((ip, port));
    Socket::new(Domain::for_address(at), Type::STREAM, None).unwrap().bind(&at.into()).is_ok()
}

/// Whether there was room in the queue. On the loopback interface a connect that finds some is over when the call returns,
/// unless the system has no time for it at once; one that finds none is tried again by the system after a second, and in
/// vain.
fn connects(client: &Socket) -> bool {
    (0..30).any(|look| {
        if look > 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        client.peer_addr().is_ok()
    })
}

/// Sockets of this machine that wait for an answer from this port (`SYN_SENT` is 2).
fn knocking_at(port: u16) -> usize {
    let table = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap()).concat();
    let knocks = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|remote| remote.ends_with(&format!(":{port:04X}"))) && fields.next() == Some("02")
    };
    table.lines().filter(knocks).count()
}

// POOL-28: the default, and what replaces it.
#[tokio::test]
async fn given_socket_options_replace_the_default() {
    let (_listener, port) = listener().await;
    let made = async |socket_options| {
        let settings = PoolSettings { socket_options, ..PoolSettings::default() };
        dial_any(&plan(&settings, "any.test", port), &[V4.into()]).await.unwrap().transport
    };
    let no_delay = |transport: &Transport| SockRef::from(&transport.as_fd()).tcp_nodelay().unwrap();
    assert!(no_delay(&made(None).await));
    assert!(!no_delay(&made(Some(SocketOptions::default())).await), "an empty record means none at all");
    let options = SocketOptions { no_delay: None, receive_buffer: Some(40_000), send_buffer: Some(30_000) };
    let transport = made(Some(options)).await;
    assert!(!no_delay(&transport));
    // Linux doubles both for its own use (socket(7)).
    assert_eq!(SockRef::from(&transport.as_fd()).recv_buffer_size().unwrap(), 80_000);
    assert_eq!(SockRef::from(&transport.as_fd()).send_buffer_size().unwrap(), 60_000);
    assert!(no_delay(&made(Some(SocketOptions { no_delay: Some(true), ..SocketOptions::default() })).await));
}

#[tokio::test]
async fn keep_alive_is_off_unless_asked_for_and_counts_whole_seconds() {
    let (_listener, port) = listener().await;
    let made = async |keep_alive| {
        let settings = PoolSettings { keep_alive, ..PoolSettings::default() };
        dial_any(&plan(&settings, "any.test", port), &[V4.into()]).await.unwrap().transport
    };
    assert!(!SockRef::from(&made(None).await.as_fd()).keepalive().unwrap());
    let transport = made(Some(KeepAlive::default())).await;
    assert!(SockRef::from(&transport.as_fd()).keepalive().unwrap());
    assert_eq!(SockRef::from(&transport.as_fd()).tcp_keepalive_time().unwrap(), Duration::from_secs(60));
    let transport = made(Some(KeepAlive { idle: Some(1), interval: Some(1_500), count: Some(3) })).await;
    let transport = transport.as_fd();
    let socket = SockRef::from(&transport);
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(1));
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(2));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
}

fn bound_to(address: &str, port: u16) -> PoolSettings {
    let local_address = Some(LocalAddress { address: address.to_owned(), port });
    PoolSettings { local_address, ..PoolSettings::default() }
}

// POOL-27: the client side is bound.
#[tokio::test]
async fn a_local_address_and_port_are_what_the_server_sees() {
    let (server, port) = listener().await;
    let dialled = dial_any(&plan(&bound_to("127.0.0.5", 0), "any.test", port), &[V4.into()]).await.unwrap();
    let (accepted, peer) = server.accept().await.unwrap();
    assert_eq!(peer.ip(), IpAddr::from([127, 0, 0, 5]));
    assert_eq!(dialled.local, Endpoint::Ip(peer));
    drop((dialled, accepted));

    let (_held, free) = free_elsewhere();
    let (second, second_port) = listener().await;
    for (server, port) in [(server, port), (second, second_port)] {
        // The second time, the port is still in TIME_WAIT from the first, where our end closed before the server's.
        let dialled = dial_any(&plan(&bound_to("127.0.0.6", free), "any.test", port), &[V4.into()]).await.unwrap();
        let (mut accepted, peer) = server.accept().await.unwrap();
        assert_eq!(peer, SocketAddr::from(([127, 0, 0, 6], free)));
        drop(dialled);
        assert_eq!(accepted.read(&mut [0]).await.unwrap(), 0);
    }
}

// POOL-27: an address that cannot be bound. ERR-03.
#[tokio::test]
async fn a_local_address_that_cannot_be_bound_is_a_connect_error_with_the_systems_code() {
    let (_listener, port) = listener().await;
    // An address for documentation (RFC 5737): nobody has it. A port in use. Another family than the peer's.
    for (settings, code) in [
        (bound_to("192.0.2.1", 0), "EADDRNOTAVAIL"),
        (bound_to("2001:db8::1", 0), "EAFNOSUPPORT"),
        (bound_to("127.0.0.1", port), "EADDRINUSE"),
    ] {
        let error = dial_any(&plan(&settings, "any.test", port), &[V4.into()]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Connect);
        assert_eq!(error.fields().phase, Some(Phase::Connect));
        assert_eq!(error.fields().causes[0].code.as_deref(), Some(code), "{error}");
    }
}

#[tokio::test]
async fn a_local_address_leaves_only_its_own_family() {
    let (_listener, port) = listener().await;
    let dialled = dial_any(&plan(&bound_to("127.0.0.1", 0), "any.test", port), &[V6.into(), V4.into()]).await.unwrap();
    assert_eq!(dialled.tried.len(), 1, "{:?}", dialled.tried);
}

fn on(interface: &str) -> PoolSettings {
    PoolSettings { interface: Some(interface.to_owned()), ..PoolSettings::default() }
}

#[tokio::test]
async fn an_interface_is_what_each_socket_is_bound_to() {
    let (_server, port) = listener().await;
    let device = |transport: &Transport| SockRef::from(&transport.as_fd()).device().unwrap();
    let dialled = dial_any(&plan(&on("lo"), "any.test", port), &[V4.into()]).await.unwrap();
    assert_eq!(device(&dialled.transport).as_deref(), Some(&b"lo"[..]));
    let dialled = dial_any(&plan(&PoolSettings::default(), "any.test", port), &[V4.into()]).await.unwrap();
    assert_eq!(device(&dialled.transport), None);
    let both = PoolSettings { interface: Some("lo".to_owned()), ..bound_to("127.0.0.5", 0) };
    let dialled = dial_any(&plan(&both, "any.test", port), &[V6.into(), V4.into()]).await.unwrap();
    assert_eq!(device(&dialled.transport).as_deref(), Some(&b"lo"[..]));
    assert_eq!(dialled.local.address(), "127.0.0.5");
}

// ERR-03: no such interface; it may come, so it is an error of the dial.
#[tokio::test]
async fn an_interface_that_is_not_there_is_a_connect_error_with_the_systems_code() {
    let (_server, port) = listener().await;
    for name in ["nosuchdevice0", "fifteen-letters"] {
        let error = dial_any(&plan(&on(name), "any.test", port), &[V4.into()]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Connect);
        assert_eq!(error.fields().phase, Some(Phase::Connect));
        assert_eq!(error.fields().causes[0].code.as_deref(), Some("ENODEV"));
        let said = format!("Failed to establish a new connection: [Errno 19] No such device (interface '{name}')");
        assert_eq!(error.to_string(), said);
    }
}

// ERR-03, THR-1207: refused.
#[tokio::test]
async fn a_closed_port_is_a_connect_error_with_code_and_address() {
    let (_closed, port) = closed_port();
    for (host, address) in [("127.0.0.1", format!("127.0.0.1:{port}")), ("::1", format!("[::1]:{port}"))] {
        let error = dial_any(&plan(&PoolSettings::default(), host, port), &[]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Connect);
        assert_eq!(error.fields().phase, Some(Phase::Connect));
        assert_eq!(error.to_string(), "Failed to establish a new connection: [Errno 111] Connection refused");
        let [cause] = &error.fields().causes[..] else { panic!("one address, one cause") };
        assert_eq!(cause.code.as_deref(), Some("ECONNREFUSED"));
        assert_eq!(cause.address.as_deref(), Some(&*address));
    }
}

// ERR-03: no address.
#[tokio::test]
async fn a_name_without_an_address_is_a_connect_error() {
    let error = dial_any(&plan(&PoolSettings::default(), "any.test", 80), &[]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connect);
    assert_eq!(error.to_string(), "Failed to establish a new connection: the name has no address");
}

// CONN-07: tried in order until one connects; the last error is reported (and every other one is in the causes).
// THR-1207: unreachable.
#[tokio::test]
async fn addresses_are_tried_in_order_and_the_last_error_is_reported() {
    let (_closed, port) = closed_port();
    // TCP has no way to a multicast address: the system says so without sending anything.
    let addresses = [[127, 0, 0, 1], [127, 0, 0, 2], [224, 0, 0, 1]].map(IpAddr::from);
    let plan_here = plan(&PoolSettings::default(), "any.test", port);
    let error = dial_any(&plan_here, &addresses).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connect);
    assert_eq!(
        error.to_string(),
        "Failed to establish a new connection: [Errno 101] Network is unreachable (the last of 3 addresses)"
    );
    let told: Vec<_> =
        error.fields().causes.iter().map(|cause| (cause.code.as_deref(), cause.address.clone())).collect();
    let of = |code, address: &str| (Some(code), Some(format!("{address}:{port}")));
    let refused = "ECONNREFUSED";
    assert_eq!(told, [of("ENETUNREACH", "224.0.0.1"), of(refused, "127.0.0.2"), of(refused, "127.0.0.1")]);

    let (_server, port) = listener().await;
    let addresses = [[127, 0, 0, 7], [127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
    let dialled = dial_any(&plan(&PoolSettings::default(), "any.test", port), &addresses).await.unwrap();
    let tried: Vec<_> = dialled.tried.iter().map(|tried| (tried.address.clone(), tried.error.clone())).collect();
    let refused = Some("[Errno 111] Connection refused".to_owned());
    assert_eq!(tried, [(format!("127.0.0.7:{port}"), refused), (format!("127.0.0.1:{port}"), None)]);
    assert_eq!(dialled.remote, Endpoint::Ip(SocketAddr::from((V4, port))));
}

// THR-901: a black hole.
#[tokio::test]
async fn a_dial_into_a_full_queue_hangs_until_it_is_dropped_and_leaves_no_socket() {
    let (_hole, port) = black_hole((V4, 0).into());
    let plan = plan(&PoolSettings::default(), "127.0.0.1", port);
    let (resolver, progress) = (resolver(&[]), Cell::new(Phase::Pool));
    let began = Instant::now();
    {
        let dialling = dial(&plan, &resolver, &progress, None);
        assert!(tokio::time::timeout(Duration::from_millis(100), dialling).await.is_err(), "it hangs");
    }
    // By itself it would hang for two minutes.
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(progress.get(), Phase::Connect, "the caller sees what it cut");
    assert_eq!(knocking_at(port), 0, "the socket is closed");
}

// THR-901: the same while a race is on.
#[tokio::test]
async fn a_dropped_race_closes_all_its_sockets() {
    let addresses = [V4.into(), IpAddr::from([127, 0, 0, 2]), V6.into()];
    let (_holes, port) = black_holes(addresses);
    let plan = plan(&PoolSettings::default(), "any.test", port);
    {
        let mut dialling = Box::pin(dial_any(&plan, &addresses));
        let mut most = 0;
        let began = Instant::now();
        while most < 3 && began.elapsed() < Duration::from_secs(30) {
            let waited = tokio::time::timeout(Duration::from_millis(20), dialling.as_mut()).await;
            assert!(waited.is_err(), "it hangs");
            most = most.max(knocking_at(port));
        }
        assert_eq!(most, 3, "all three are under way");
    }
    assert_eq!(knocking_at(port), 0);
}

// THR-1208: the first address is a black hole; the winner is remembered.
#[tokio::test]
async fn after_250_ms_the_next_address_is_tried_and_the_winner_goes_first_from_then_on() {
    let (server, port) = loop {
        let (server, port) = listener().await;
        if is_free(V6.into(), port) {
            break (server, port);
        }
    };
    let (_hole, port) = black_hole((V6, port).into());
    let addresses = [V6.into(), V4.into()];
    let plan = plan(&PoolSettings::default(), "any.test", port);
    let dialled = dial_any(&plan, &addresses).await.unwrap();
    assert!(dialled.connect >= Duration::from_millis(250), "{:?}", dialled.connect);
    // The first alone would take two minutes.
    assert!(dialled.connect < Duration::from_secs(30), "{:?}", dialled.connect);
    assert_eq!(dialled.remote, Endpoint::Ip(server.local_addr().unwrap()));
    let [hole, won] = &dialled.tried[..] else { panic!("{:?}", dialled.tried) };
    assert_eq!(hole.address, format!("[::1]:{port}"));
    assert_eq!(hole.error.as_deref(), Some(&*format!("closed: 127.0.0.1:{port} connected first")));
    assert!(hole.elapsed >= Duration::from_millis(250));
    assert_eq!((&*won.address, &won.error), (&*format!("127.0.0.1:{port}"), &None));
    assert_eq!(knocking_at(port), 0, "the loser is closed");

    let again = dial_any(&plan, &addresses).await.unwrap();
    assert_eq!(again.tried.len(), 1, "{:?}", again.tried);
}

// THR-1208: the first address refuses.
#[tokio::test]
async fn after_a_refusal_the_next_address_is_tried_at_once() {
    let (_server, port) = listener().await;
    let dead: Vec<IpAddr> = (2..12).map(|n| IpAddr::from([127, 0, 0, n])).collect();
    let addresses = [&dead[..], &[V4.into()]].concat();
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        let dialled = dial_any(&plan(&PoolSettings::default(), "any.test", port), &addresses).await.unwrap();
        assert_eq!(dialled.tried.len(), 11);
        quickest = quickest.min(dialled.connect);
    }
    // Pauses of 250 ms would be 2.5 s each time; a machine that stands still for a moment does so once.
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
}

// THR-1208: a slow first address may still win.
#[tokio::test]
async fn an_older_attempt_that_connects_while_the_next_one_hangs_wins() {
    let ([hole, _other], port) = black_holes([V4.into(), V6.into()]);
    let plan = plan(&PoolSettings::default(), "any.test", port);
    let addresses = [V4.into(), V6.into()];
    let mut dialling = Box::pin(dial_any(&plan, &addresses));
    let began = Instant::now();
    while knocking_at(port) < 2 {
        assert!(began.elapsed() < Duration::from_secs(30));
        assert!(tokio::time::timeout(Duration::from_millis(20), dialling.as_mut()).await.is_err());
    }
    // Room in the queue: the system sends the first SYN again after a second, and after three, seven, fifteen.
    drop(hole.listener.accept().unwrap());
    drop(hole.listener.accept().unwrap());
    let dialled = tokio::time::timeout(Duration::from_secs(60), dialling).await.unwrap().unwrap();
    assert_eq!(dialled.remote, Endpoint::Ip((V4, port).into()));
    assert_eq!(dialled.tried[0].error, None);
}

#[tokio::test]
async fn a_socket_that_connects_to_itself_is_refused() {
    let (_held, port) = free_elsewhere();
    let error = dial_any(&plan(&bound_to("127.0.0.8", port), "127.0.0.8", port), &[]).await.unwrap_err();
    assert_eq!(error.fields().causes[0].code.as_deref(), Some("ECONNREFUSED"));
}

#[tokio::test]
async fn an_override_leads_a_name_elsewhere_without_a_look_up() {
    let (_server, port) = listener().await;
    let (_closed, closed) = closed_port();
    let here = format!("127.0.0.1:{port}");
    let (nowhere, on_seven) = (format!("[::1]:{closed}"), "far.test:7".to_owned());
    for (map, host, asked) in [
        (vec![("far.test", here.as_str())], "far.test", 7),
        (vec![("FAR.test", here.as_str())], "far.test", 7),
        (vec![("far.test", "127.0.0.1")], "far.test", port),
        (vec![("far.test", nowhere.as_str()), (on_seven.as_str(), here.as_str())], "far.test", 7),
        (vec![("::2", here.as_str())], "::2", 7),
        (vec![("[::2]", here.as_str())], "::2", 7),
        (vec![("[::2]:7", here.as_str())], "::2", 7),
        (vec![("10.0.0.1", here.as_str())], "10.0.0.1", 7),
    ] {
        let resolve = Arc::new(map.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect());
        let settings = PoolSettings { resolve, ..PoolSettings::default() };
        let dialled = dial_any(&plan(&settings, host, asked), &[]).await.unwrap();
        assert_eq!(dialled.remote.port(), port, "{map:?}");
        assert_eq!(dialled.dns, None, "{map:?}");
    }
    let resolve = Arc::new([("far.test:8".to_owned(), nowhere.clone()), ("::2:7".to_owned(), nowhere)].into());
    let settings = PoolSettings { resolve, ..PoolSettings::default() };
    let dialled = dial_any(&plan(&settings, "far.test", port), &[V4.into()]).await.unwrap();
    assert!(dialled.dns.is_some(), "another port's is not for us");
    for wrong in ["name.test", "name.test:80", "", ":80", "1.2.3.4:", "1.2.3.4:65536", "[::1]:x", "[1", "1:2:3", "a\0b"]
    {
        let resolve = Arc::new([("far.test".to_owned(), wrong.to_owned())].into());
        let settings = PoolSettings { resolve, ..PoolSettings::default() };
        let error = DialPlan::new(&settings, "far.test", 80).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidOption, "{wrong}: {error}");
        assert!(DialPlan::new(&settings, "near.test", 80).is_ok(), "another host's is not read");
    }
}

#[tokio::test]
async fn a_scoped_address_connects_and_an_unknown_zone_does_not_resolve() {
    let server = TcpListener::bind((V6, 0)).await.unwrap();
    let port = server.local_addr().unwrap().port();
    let dialled = dial_any(&plan(&PoolSettings::default(), "::1%1", port), &[]).await.unwrap();
    assert_eq!((dialled.remote.port(), dialled.dns), (port, None));
    // ERR-02's words, from the system itself; a literal asks no server.
    let error = dial_any(&plan(&PoolSettings::default(), "fe80::1%nozone", port), &[]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Dns);
    assert_eq!(error.to_string(), "Failed to resolve 'fe80::1%nozone' (Name or service not known)");
}

// ERR-02: what cannot be resolved is a Dns error, whatever it looks like.
#[tokio::test]
async fn odd_hosts_are_errors_and_never_panics() {
    for host in ["", "\0", "a\0b", "127.0.0.1\0", "::1%\0", "%", "[::1]", "a b", "\r\n", "é", &"x".repeat(1_000)] {
        let plan = plan(&PoolSettings::default(), host, 1);
        let nobody = Resolver::over(Arc::new(Nobody), Remember::default());
        let error = dial(&plan, &nobody, &Cell::new(Phase::Pool), None).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Dns, "{host:?}");
        let said = error.to_string();
        assert!(said.starts_with("Failed to resolve '") && !said.contains(['\0', '\r', '\n']), "{said:?}");
        assert_eq!(error.fields().phase, Some(Phase::Dns));
    }
}

/// No name resolves.
struct Nobody;

impl Lookup for Nobody {
    fn look_up(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::other("nobody knows it"))
    }
}

#[tokio::test]
async fn settings_that_no_dial_could_follow_fail_at_once() {
    let refused = |settings: PoolSettings| DialPlan::new(&settings, "any.test", 80).unwrap_err();
    for address in ["", "name.test", "1.2.3.4:5", "[::1]", "1.2.3", "fe80::1%nozone", "a\0b"] {
        assert_eq!(refused(bound_to(address, 0)).kind(), Kind::InvalidOption, "{address:?}");
    }
    for path in ["", "a\0b", &"x".repeat(200)] {
        let settings = PoolSettings { unix_socket: Some(path.to_owned()), ..PoolSettings::default() };
        assert_eq!(refused(settings).kind(), Kind::InvalidOption, "{path:?}");
    }
    for name in ["", "a\0b", "sixteen-letters!", "é".repeat(8).as_str()] {
        assert_eq!(refused(on(name)).kind(), Kind::InvalidOption, "{name:?}");
    }
    for with in [bound_to("127.0.0.1", 0), on("lo")] {
        let both = PoolSettings { unix_socket: Some("/s".to_owned()), ..with };
        assert_eq!(refused(both).kind(), Kind::InvalidOption);
    }
    for keep_alive in [
        KeepAlive { idle: Some(0), ..KeepAlive::default() },
        KeepAlive { interval: Some(32_767_001), ..KeepAlive::default() },
        KeepAlive { count: Some(128), ..KeepAlive::default() },
    ] {
        let settings = PoolSettings { keep_alive: Some(keep_alive), ..PoolSettings::default() };
        assert_eq!(refused(settings).kind(), Kind::OptionRange);
    }
    let socket_options = Some(SocketOptions { send_buffer: Some(u32::MAX), ..SocketOptions::default() });
    let error = refused(PoolSettings { socket_options, ..PoolSettings::default() });
    assert_eq!(error.to_string(), "socketOptions.sendBuffer must be 0 to 2147483647, not 4294967295");
}

#[tokio::test]
async fn a_unix_socket_takes_the_place_of_host_and_port() {
    let folder = std::env::temp_dir().join(format!("ferropool-dial-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket").to_str().unwrap().to_owned();
    let settings = PoolSettings { unix_socket: Some(path.clone()), ..PoolSettings::default() };
    let plan = plan(&settings, "any.test", 80);

    let error = dial_any(&plan, &[]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connect);
    assert_eq!(error.fields().causes[0].code.as_deref(), Some("ENOENT"));
    assert_eq!(error.fields().causes[0].address.as_deref(), Some(&*path));

    let server = UnixListener::bind(&path).unwrap();
    let mut dialled = dial_any(&plan, &[]).await.unwrap();
    assert_eq!(dialled.remote.address(), path);
    assert_eq!((dialled.remote.port(), dialled.dns, dialled.tried.len()), (0, None, 1));
    let (mut accepted, _) = server.accept().await.unwrap();
    passes_bytes(&mut dialled.transport, &mut accepted).await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_tcp_transport_passes_bytes_both_ways() {
    let (server, port) = listener().await;
    let mut dialled = dial_any(&plan(&PoolSettings::default(), "127.0.0.1", port), &[]).await.unwrap();
    let (mut accepted, _) = server.accept().await.unwrap();
    passes_bytes(&mut dialled.transport, &mut accepted).await;
}

async fn passes_bytes<S: AsyncReadExt + AsyncWriteExt + Unpin>(transport: &mut Transport, peer: &mut S) {
    assert!(transport.is_write_vectored());
    let slices = [io::IoSlice::new(b"one "), io::IoSlice::new(b"call")];
    assert_eq!(transport.write_vectored(&slices).await.unwrap(), 8, "both slices in one call");
    transport.flush().await.unwrap();
    let mut got = [0; 8];
    peer.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"one call");
    peer.write_all(b"back").await.unwrap();
    transport.read_exact(&mut got[..4]).await.unwrap();
    assert_eq!(&got[..4], b"back");
    transport.shutdown().await.unwrap();
    assert_eq!(peer.read(&mut got).await.unwrap(), 0, "a shut transport ends the peer's reading");
}

// THR-1001: no descriptors left for a socket. In a process of its own, which may open few files.
#[test]
fn without_descriptors_a_dial_fails_with_the_systems_code_and_works_again_when_there_are_some() {
    const INNER: &str = "FERROPOOL_TEST_FEW_DESCRIPTORS";
    let this = "without_descriptors_a_dial_fails_with_the_systems_code_and_works_again_when_there_are_some";
    if std::env::var_os(INNER).is_none() {
        let output = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 64; exec \"$0\" --exact \"$1\" --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .arg(this)
            .env(INNER, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    tokio::runtime::LocalRuntime::new().unwrap().block_on(async {
        let (server, port) = listener().await;
        let addresses = [V4.into(), V6.into()];
        let plan = plan(&PoolSettings::default(), "any.test", port);
        let mut hoard = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            hoard.push(file);
            assert!(hoard.len() < 100);
        }
        for _ in 0..100 {
            let error = dial_any(&plan, &addresses).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Connect);
            assert_eq!(error.fields().causes[0].code.as_deref(), Some("EMFILE"));
            assert_eq!(
                error.to_string(),
                "Failed to establish a new connection: [Errno 24] Too many open files (the last of 2 addresses)"
            );
        }
        drop(hoard);
        let dialled = dial_any(&plan, &addresses).await.unwrap();
        drop((dialled, server));
    });
}
