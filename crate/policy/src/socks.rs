//! SOCKS of both versions, as messages: what to send, and what an answer means.
//!
//! Version 4 and its extension 4a as their memos have them, version 5 by RFC 1928 with the username and password of RFC
//! 1929. Each answer begins with two octets, a version and a verdict; who reads them here asks for exactly as many octets
//! as an answer has, so that what follows it is left to whom it is for. Why no library does it: ARCHITECTURE.md.

use std::net::{Ipv4Addr, SocketAddr};

use crate::error::{Cause, Error, Kind, Phase};
use crate::proxy::{Credentials, Protocol};

/// Whom the proxy is to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// An address that was found here.
    Address(SocketAddr),
    /// A name that the proxy looks up, and a port.
    Name(&'a str, u16),
}

/// How a proxy of version 5 wants to know who we are (RFC 1928 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Not at all.
    Nothing,
    /// RFC 1929.
    Password,
}

/// How long the address is that ends an answer of version 5 (RFC 1928 §6). Nobody needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// So many octets, the port's two included.
    Octets(usize),
    /// One octet says how many follow before the port.
    Counted,
}

/// What can be refused before anything is dialled.
///
/// # Errors
/// `MissingHost` for a name that does not fit; `Connect` for an address that the version has no room for; `Internal` for a
/// name that was to be resolved here; those of [`check_credentials`].
pub fn check(protocol: Protocol, target: &Target<'_>, credentials: Option<&Credentials>) -> Result<(), Error> {
    match (target, protocol) {
        (_, Protocol::Http | Protocol::Https) | (Target::Name(..), Protocol::Socks4 | Protocol::Socks5) => {
            return Err(Error::new(Kind::Internal, "this is not for a SOCKS proxy to do"));
        }
        (Target::Name(name, _), _) if name.is_empty() || name.len() > LONGEST || name.contains('\0') => {
            let message = format!("SOCKS carries names of 1 to {LONGEST} bytes, and the host has {}", name.len());
            return Err(Error::new(Kind::MissingHost, message));
        }
        (Target::Address(address), Protocol::Socks4 | Protocol::Socks4a) => drop(version_4_address(*address)?),
        _ => {}
    }
    check_credentials(protocol, credentials)
}

/// Whether a proxy can be told who we are: the same for each target.
///
/// # Errors
/// `InvalidOption`.
pub fn check_credentials(protocol: Protocol, credentials: Option<&Credentials>) -> Result<(), Error> {
    let option = |message: &str| Err(Error::new(Kind::InvalidOption, message));
    match (credentials, protocol) {
        (Some(who), Protocol::Socks4 | Protocol::Socks4a) if who.username.contains(&0) => {
            option("the user id for SOCKS4 has a NUL byte, which would end it")
        }
        (Some(who), Protocol::Socks5 | Protocol::Socks5h) if !(1..=LONGEST).contains(&who.username.len()) => {
            option("the username for SOCKS5 has to have 1 to 255 bytes (RFC 1929)")
        }
        (Some(who), Protocol::Socks5 | Protocol::Socks5h) if who.password.len() > LONGEST => {
            option("the password for SOCKS5 has more than 255 bytes (RFC 1929)")
        }
        _ => Ok(()),
    }
}

/// Version 4: all that is ever said. Names make it 4a.
///
/// # Errors
/// As [`check`].
pub fn version_4_request(target: &Target<'_>, credentials: Option<&Credentials>) -> Result<Vec<u8>, Error> {
    let (address, port, name) = match *target {
        Target::Address(address) => (version_4_address(address)?, address.port(), None),
        Target::Name(name, port) => (NAME_FOLLOWS, port, Some(name)),
    };
    let mut out = vec![4, CONNECT];
    out.extend(port.to_be_bytes());
    out.extend(address.octets());
    out.extend(credentials.map_or(&[][..], |who| &who.username));
    out.push(0);
    if let Some(name) = name {
        out.extend(name.as_bytes());
        out.push(0);
    }
    Ok(out)
}

/// Version 5 begins: how we can say who we are. Without credentials there is nothing to say.
#[must_use]
pub fn greeting(credentials: Option<&Credentials>) -> &'static [u8] {
    if credentials.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] }
}

/// What the proxy made of the greeting.
///
/// # Errors
/// `Connect` where it wants what was not offered.
pub fn method(chosen: u8, credentials: Option<&Credentials>) -> Result<Method, Error> {
    match (chosen, credentials) {
        (0, _) => Ok(Method::Nothing),
        (2, Some(_)) => Ok(Method::Password),
        (2, None) => Err(auth("SOCKS5 authentication failed (the proxy wants a username and a password)")),
        (0xff, None) => Err(auth("SOCKS5 authentication failed (the proxy wants to know who we are)")),
        (0xff, Some(_)) => Err(auth("SOCKS5 authentication failed (the proxy takes no username and password)")),
        (other, _) => Err(auth(&format!("SOCKS5 authentication failed (the proxy wants method {other:#04x})"))),
    }
}

/// Version 5: who we are (RFC 1929 §2).
#[must_use]
pub fn password(credentials: &Credentials) -> Vec<u8> {
    let mut out = vec![1];
    for part in [&credentials.username, &credentials.password] {
        out.push(part.len() as u8);
        out.extend(part);
    }
    out
}

/// What the proxy made of it.
///
/// # Errors
/// `Connect` where it does not let us in.
pub fn let_in(status: u8) -> Result<(), Error> {
    if status == 0 { Ok(()) } else { Err(auth("SOCKS5 authentication failed")) }
}

/// Version 5: what is wanted (RFC 1928 §4).
#[must_use]
pub fn version_5_request(target: &Target<'_>) -> Vec<u8> {
    let mut out = vec![5, CONNECT, 0];
    let port = match target {
        Target::Address(address) => {
            match address {
                SocketAddr::V4(address) => {
                    out.push(1);
                    out.extend(address.ip().octets());
                }
                SocketAddr::V6(address) => {
                    out.push(4);
                    out.extend(address.ip().octets());
                }
            }
            address.port()
        }
        Target::Name(name, port) => {
            out.extend([3, name.len() as u8]);
            out.extend(name.as_bytes());
            *port
        }
    };
    out.extend(port.to_be_bytes());
    out
}

/// The answer's code. The words are those of `PySocks`, which urllib3's users know.
///
/// # Errors
/// `Connect` for every code but the one that grants the request.
pub fn granted(version: u8, code: u8) -> Result<(), Error> {
    let words = match (version, code) {
        (4, 0x5a) | (5, 0) => return Ok(()),
        (4, 0x5b) => "Request rejected or failed",
        (4, 0x5c) => "Request rejected because SOCKS server cannot connect to identd on the client",
        (4, 0x5d) => "Request rejected because the client program and identd report different user-ids",
        (5, 1) => "General SOCKS server failure",
        (5, 2) => "Connection not allowed by ruleset",
        (5, 3) => "Network unreachable",
        (5, 4) => "Host unreachable",
        (5, 5) => "Connection refused",
        (5, 6) => "TTL expired",
        (5, 7) => "Command not supported, or protocol error",
        (5, 8) => "Address type not supported",
        _ => "Unknown error",
    };
    Err(failed(&format!("{code:#04x}: {words}"), "ERR_SOCKS_REPLY"))
}

/// What ends the answer of version 5, by the type of its address.
///
/// # Errors
/// `Connect` for a type that there is not.
pub fn bound(kind: u8) -> Result<Bound, Error> {
    match kind {
        1 => Ok(Bound::Octets(4 + 2)),
        4 => Ok(Bound::Octets(16 + 2)),
        3 => Ok(Bound::Counted),
        _ => Err(broken(format!("there is no type of address {kind:#04x} in SOCKS5"))),
    }
}

/// The first octet of an answer: of version 4 it is 0, of a sub-negotiation 1, else 5.
///
/// # Errors
/// `Connect` for any other, with what it looks like.
pub fn version(wanted: u8, found: u8) -> Result<(), Error> {
    if wanted == found {
        return Ok(());
    }
    let hint = match (wanted, found) {
        (_, b'H') => ": does it speak HTTP?",
        (_, 0x15) => ": does it speak TLS?",
        (5, 0) => ": does it speak SOCKS4?",
        (0, 5) => ": does it speak SOCKS5?",
        _ => "",
    };
    let name = if wanted == 0 { 4 } else { 5 };
    Err(broken(format!("the peer is no SOCKS{name} proxy (first byte {found:#04x}){hint}")))
}

/// The proxy's side of the conversation makes no sense, or ends too early.
#[must_use]
pub fn broken(why: String) -> Error {
    failed("the proxy broke off the SOCKS handshake", "ERR_SOCKS_PROTOCOL").caused_by(Cause::said(why))
}

fn auth(message: &str) -> Error {
    failed(message, "ERR_SOCKS_AUTH")
}

fn failed(message: &str, reason: &'static str) -> Error {
    Error::new(Kind::Connect, format!("Failed to establish a new connection: {message}"))
        .with_reason(reason)
        .in_phase(Phase::Proxy)
}

/// An address as version 4 has it. 0.0.0.x is how 4a says that a name follows; no host has it.
fn version_4_address(address: SocketAddr) -> Result<Ipv4Addr, Error> {
    let address = match address {
        SocketAddr::V4(address) => *address.ip(),
        SocketAddr::V6(address) => address
            .ip()
            .to_ipv4_mapped()
            .ok_or_else(|| failed("SOCKS4 knows no IPv6 addresses", "ERR_SOCKS_ADDRESS"))?,
    };
    match address.octets() {
        [0, 0, 0, last] if last > 0 => Err(failed(&format!("SOCKS4 cannot say {address}"), "ERR_SOCKS_ADDRESS")),
        _ => Ok(address),
    }
}

const CONNECT: u8 = 1;
const NAME_FOLLOWS: Ipv4Addr = Ipv4Addr::new(0, 0, 0, 1);
/// One octet says how long a name, a username or a password is.
const LONGEST: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn who(username: &[u8], password: &[u8]) -> Credentials {
        Credentials { username: username.into(), password: password.into() }
    }

    fn address(text: &str) -> Target<'static> {
        Target::Address(text.parse().unwrap())
    }

    // SOCKS-02 SOCKS-03
    #[test]
    fn requests_are_what_the_memos_and_the_rfcs_have() {
        let (user, name) = (who(b"u\xe9", b"p:q"), Target::Name("a.test", 0x1f90));
        let four = |target: Target<'_>, credentials| version_4_request(&target, credentials).unwrap();
        assert_eq!(four(address("1.2.3.4:80"), None), b"\x04\x01\x00\x50\x01\x02\x03\x04\x00");
        assert_eq!(four(address("[::ffff:1.2.3.4]:80"), None), b"\x04\x01\x00\x50\x01\x02\x03\x04\x00");
        assert_eq!(four(address("1.2.3.4:80"), Some(&user)), b"\x04\x01\x00\x50\x01\x02\x03\x04u\xe9\x00");
        assert_eq!(four(name, Some(&user)), b"\x04\x01\x1f\x90\x00\x00\x00\x01u\xe9\x00a.test\x00");
        assert_eq!((greeting(None), greeting(Some(&user))), (&b"\x05\x01\x00"[..], &b"\x05\x02\x00\x02"[..]));
        assert_eq!(password(&user), b"\x01\x02u\xe9\x03p:q");
        assert_eq!(password(&who(b"u", b"")), b"\x01\x01u\x00");
        assert_eq!(version_5_request(&address("1.2.3.4:443")), b"\x05\x01\x00\x01\x01\x02\x03\x04\x01\xbb");
        assert_eq!(
            version_5_request(&address("[102:304::5]:443")),
            b"\x05\x01\x00\x04\x01\x02\x03\x04\0\0\0\0\0\0\0\0\0\0\x00\x05\x01\xbb"
        );
        assert_eq!(version_5_request(&name), b"\x05\x01\x00\x03\x06a.test\x1f\x90");
    }

    // THR-717 THR-718: impossible ones are refused before anything is sent.
    #[test]
    fn what_does_not_fit_is_refused() {
        use Protocol::{Http, Socks4, Socks4a, Socks5, Socks5h};
        let (fits, long) = ("n".repeat(255), "n".repeat(256));
        let (v4, v6) = (address("127.0.0.1:1"), address("[::1]:1"));
        for (protocol, target, credentials, wanted) in [
            (Socks5h, Target::Name(&fits, 1), None, None),
            (Socks4a, Target::Name(&fits, 1), None, None),
            (Socks5h, Target::Name(&long, 1), None, Some(Kind::MissingHost)),
            (Socks4a, Target::Name(&long, 1), None, Some(Kind::MissingHost)),
            (Socks5h, Target::Name("", 1), None, Some(Kind::MissingHost)),
            (Socks4a, Target::Name("a\0b", 1), None, Some(Kind::MissingHost)),
            (Socks5, Target::Name("a", 1), None, Some(Kind::Internal)),
            (Socks4, Target::Name("a", 1), None, Some(Kind::Internal)),
            (Http, v4, None, Some(Kind::Internal)),
            (Socks5, v6, None, None),
            (Socks4, v4, None, None),
            (Socks4, v6, None, Some(Kind::Connect)),
            (Socks4a, v6, None, Some(Kind::Connect)),
            (Socks4, address("0.0.0.1:1"), None, Some(Kind::Connect)),
            (Socks4, address("0.0.0.0:1"), None, None),
            (Socks4, v4, Some(who(b"a\0b", b"")), Some(Kind::InvalidOption)),
            (Socks4a, v4, Some(who(b"", b"ignored")), None),
            (Socks5, v4, Some(who(b"a\0b", b"")), None),
            (Socks5, v4, Some(who(&[b'x'; 255], &[b'x'; 255])), None),
            (Socks5, v4, Some(who(b"", b"p")), Some(Kind::InvalidOption)),
            (Socks5h, v4, Some(who(&[b'x'; 256], b"")), Some(Kind::InvalidOption)),
            (Socks5, v4, Some(who(b"u", &[b'x'; 256])), Some(Kind::InvalidOption)),
        ] {
            let found = check(protocol, &target, credentials.as_ref()).err();
            assert_eq!(found.as_ref().map(Error::kind), wanted, "{protocol:?} {target:?}");
            assert!(!found.is_some_and(|error| error.to_string().contains("xx")));
        }
        let error = check(Socks4, &v6, None).unwrap_err();
        assert_eq!(error.to_string(), "Failed to establish a new connection: SOCKS4 knows no IPv6 addresses");
        assert_eq!(Kind::MissingHost.class(), "LocationValueError");
    }

    // THR-716 SOCKS-04: every code, by its name.
    #[test]
    fn every_code_but_one_is_a_refusal_that_says_which() {
        for code in 0..=u8::MAX {
            for (version, good, known) in [(4, 0x5a, 0x5b..=0x5d), (5, 0, 1..=8)] {
                let found = granted(version, code);
                if code == good {
                    assert!(found.is_ok());
                    continue;
                }
                let error = found.unwrap_err();
                assert_eq!((error.kind(), error.fields().phase), (Kind::Connect, Some(Phase::Proxy)));
                assert_eq!(error.fields().extra.reason, Some("ERR_SOCKS_REPLY"));
                assert!(error.to_string().contains(&format!(": {code:#04x}: ")), "{error}");
                assert_eq!(error.to_string().ends_with("Unknown error"), !known.contains(&code), "{error}");
            }
        }
        let said = |version, code| granted(version, code).unwrap_err().to_string();
        assert_eq!(said(5, 5), "Failed to establish a new connection: 0x05: Connection refused");
        assert!(said(4, 0x5d).ends_with("the client program and identd report different user-ids"));
    }

    // THR-716: methods, versions, address types.
    #[test]
    fn answers_that_were_not_on_offer_are_refused() {
        let user = who(b"user", b"secret");
        for chosen in 0..=u8::MAX {
            for credentials in [None, Some(&user)] {
                match method(chosen, credentials) {
                    Ok(Method::Nothing) => assert_eq!(chosen, 0),
                    Ok(Method::Password) => assert!(chosen == 2 && credentials.is_some()),
                    Err(error) => {
                        assert!(chosen > 0 && (chosen, credentials) != (2, Some(&user)));
                        assert!(error.to_string().contains("SOCKS5 authentication failed"), "{error}");
                        assert_eq!(error.fields().extra.reason, Some("ERR_SOCKS_AUTH"));
                        assert!(!error.to_string().contains("secret"));
                    }
                }
            }
            assert_eq!(let_in(chosen).is_ok(), chosen == 0);
            assert_eq!(bound(chosen).is_ok(), matches!(chosen, 1 | 3 | 4));
            for wanted in [0, 1, 5] {
                assert_eq!(version(wanted, chosen).is_ok(), wanted == chosen);
            }
        }
        let said = |wanted, found| version(wanted, found).unwrap_err().fields().causes[0].message.clone();
        assert_eq!(said(5, b'H'), "the peer is no SOCKS5 proxy (first byte 0x48): does it speak HTTP?");
        assert_eq!(said(0, 5), "the peer is no SOCKS4 proxy (first byte 0x05): does it speak SOCKS5?");
        assert_eq!(said(1, 7), "the peer is no SOCKS5 proxy (first byte 0x07)");
    }
}
