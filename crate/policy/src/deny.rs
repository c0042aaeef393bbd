//! Which addresses are never connected to: the caller's list (`denyAddresses`), and what of it an address is.
//!
//! An address is judged by whom a packet to it reaches, not by how it is written. IPv6 has half a dozen forms that carry an
//! IPv4 address through a translator or a tunnel; each is judged by what it carries too, or a list that denies
//! 127.0.0.0/8 would let `::ffff:127.0.0.1` pass. When an address is judged is not known here: whoever connects asks at
//! each dial, about the very address that it is going to use, since a name may lead elsewhere the next time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::{Error, Kind, quote_text};

/// Networks that are never connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenyList {
    private: bool,
    networks: Box<[IpNet]>,
}

impl DenyList {
    /// The list that these entries make: `private`, networks in CIDR notation, and single addresses. What a network has to
    /// the right of its prefix is not looked at.
    ///
    /// # Errors
    /// [`Kind::InvalidOption`] for an entry that is none of those.
    pub fn of(entries: &[String]) -> Result<Self, Error> {
        let private = |entry: &&String| *entry == "private";
        let networks = entries.iter().filter(|entry| !private(entry)).map(|entry| network(entry));
        Ok(Self { private: entries.iter().any(|entry| private(&entry)), networks: networks.collect::<Result<_, _>>()? })
    }

    /// What of the list this address is, in words: `127.0.0.1 is private (loopback)`, `10.1.2.3 is in 10.0.0.0/8`. `None`
    /// where it may be connected to.
    #[must_use]
    pub fn why(&self, address: IpAddr) -> Option<String> {
        if let Some(reason) = self.reason(address) {
            return Some(format!("{address} is {reason}"));
        }
        reached(address).into_iter().flatten().find_map(|(form, target)| {
            self.reason(target).map(|reason| format!("{address} is {form} of {target}, which is {reason}"))
        })
    }

    fn reason(&self, address: IpAddr) -> Option<String> {
        let private = self.private.then(|| private(address)).flatten();
        private.map(|what| format!("private ({what})")).or_else(|| {
            self.networks.iter().find(|network| network.contains(&address)).map(|network| format!("in {network}"))
        })
    }
}

/// One entry. std reads the address, since its parser takes one spelling of an address and no other (no octal numbers).
fn network(entry: &str) -> Result<IpNet, Error> {
    let read = || {
        let (address, length) = match entry.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (entry, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let Some(length) = length else { return Some(IpNet::from(address)) };
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        IpNet::new(address, digits.then(|| length.parse().ok()).flatten()?).ok()
    };
    let wrong = || {
        let entry = quote_text(entry.as_bytes());
        Error::new(
            Kind::InvalidOption,
            format!("denyAddresses: neither 'private' nor a network nor an address: '{entry}'"),
        )
    };
    read().map(|network| unmapped(network.trunc())).ok_or_else(wrong)
}

/// `::ffff:10.0.0.0/104` is 10.0.0.0/8 in other words, and is to catch that however it is written.
fn unmapped(network: IpNet) -> IpNet {
    match network {
        IpNet::V6(inner) if inner.prefix_len() >= 96 => inner
            .addr()
            .to_ipv4_mapped()
            .and_then(|address| Ipv4Net::new(address, inner.prefix_len() - 96).ok())
            .map_or(network, IpNet::V4),
        _ => network,
    }
}

/// The name of the special-purpose network (RFC 6890 and the registries that it founded) that this address belongs to.
fn private(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => PRIVATE_V4.iter().find(|(network, _)| network.contains(&address)).map(|row| row.1),
        IpAddr::V6(address) if PUBLIC_V6.iter().any(|network| network.contains(&address)) => None,
        IpAddr::V6(address) => PRIVATE_V6.iter().find(|(network, _)| network.contains(&address)).map(|row| row.1),
    }
}

/// A form of address, and the address that it stands for.
type Reached = (&'static str, IpAddr);

/// The addresses that a packet to this one may end at, besides itself. As many as the form that has most.
fn reached(address: IpAddr) -> [Option<Reached>; 4] {
    match address {
        IpAddr::V4(address) => [here(address), None, None, None],
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            [Some((OTHER_NAME, Ipv6Addr::LOCALHOST.into())), here(Ipv4Addr::UNSPECIFIED), None, None]
        }
        IpAddr::V6(address) => carried(address),
    }
}

/// Where Linux and macOS connect when told to connect to "any address".
fn here(address: Ipv4Addr) -> Option<Reached> {
    address.is_unspecified().then(|| (OTHER_NAME, Ipv4Addr::LOCALHOST.into()))
}

/// What an IPv6 address carries.
fn carried(address: Ipv6Addr) -> [Option<Reached>; 4] {
    let bits = address.to_bits();
    // The 32 bits that have so many below them.
    let at = |below: u32| Ipv4Addr::from_bits((bits >> below) as u32);
    // RFC 6052 §2.2: where the prefix leaves so many bits of the first half, these begin the IPv4 address, and the rest
    // follows after eight bits that are not part of it.
    let around = |begin: u32| {
        let (before, after) = (bits >> 64, (bits >> 24) as u32);
        Ipv4Addr::from_bits((before << (32 - begin)) as u32 | after >> begin)
    };
    let one = |form, target: Ipv4Addr| [Some((form, target.into())), here(target), None, None];
    match address.segments() {
        // RFC 4291 §2.5.3: an address of its own.
        [0, 0, 0, 0, 0, 0, 0, 1] => [None; 4],
        // RFC 4291 §2.5.5.
        [0, 0, 0, 0, 0, 0, _, _] => one("the IPv4-compatible form", at(0)),
        [0, 0, 0, 0, 0, 0xffff, _, _] => one("the IPv4-mapped form", at(0)),
        // RFC 2765 §2.1.
        [0, 0, 0, 0, 0xffff, 0, _, _] => one("the IPv4-translated form", at(0)),
        // RFC 6052 §2.1.
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => one("the NAT64 form", at(0)),
        // RFC 8215: for each network to divide as it likes.
        [0x64, 0xff9b, 1, ..] => {
            [at(0), around(16), around(8), around(0)].map(|target| Some(("a NAT64 form", target.into())))
        }
        // RFC 3056 §2.
        [0x2002, ..] => one("the 6to4 form", at(80)),
        // RFC 4380 §4: the server, and the client with its bits turned over.
        [0x2001, 0, ..] => {
            let client = Ipv4Addr::from_bits(!(bits as u32));
            let [server, client] = [at(64), client].map(|target| Some(("the Teredo form", target.into())));
            [server, client, None, None]
        }
        // RFC 5214 §6.1.
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => one("the ISATAP form", at(0)),
        _ => [None; 4],
    }
}

const OTHER_NAME: &str = "another name";

/// The IANA IPv4 Special-Purpose Address Registry, and multicast. The first that fits is told.
const PRIVATE_V4: [(Ipv4Net, &str); 17] = [
    (v4([0, 0, 0, 0], 32), "unspecified"),
    (v4([0, 0, 0, 0], 8), "this network"),
    (v4([10, 0, 0, 0], 8), "private use"),
    (v4([100, 64, 0, 0], 10), "shared by a provider's customers"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([172, 16, 0, 0], 12), "private use"),
    (v4([192, 0, 0, 0], 24), "protocol assignments"),
    (v4([192, 0, 2, 0], 24), "documentation"),
    (v4([192, 88, 99, 0], 24), "6to4 relays"),
    (v4([192, 168, 0, 0], 16), "private use"),
    (v4([198, 18, 0, 0], 15), "benchmarking"),
    (v4([198, 51, 100, 0], 24), "documentation"),
    (v4([203, 0, 113, 0], 24), "documentation"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([255, 255, 255, 255], 32), "broadcast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
];

/// The IANA IPv6 Special-Purpose Address Registry, multicast, and what was site-local (RFC 3879). Not here: forms that
/// carry an IPv4 address, which decides.
const PRIVATE_V6: [(Ipv6Net, &str); 16] = [
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "unspecified"),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "loopback"),
    (v6([0x64, 0xff9b, 1, 0], 48), "a network's own NAT64"),
    (v6([0x100, 0, 0, 0], 64), "discard-only"),
    (v6([0x100, 0, 0, 1], 64), "a dummy prefix"),
    (v6([0x2001, 2, 0, 0], 48), "benchmarking"),
    (v6([0x2001, 0x10, 0, 0], 28), "no address of a host"),
    (v6([0x2001, 0x20, 0, 0], 28), "no address of a host"),
    (v6([0x2001, 0, 0, 0], 23), "protocol assignments"),
    (v6([0x2001, 0xdb8, 0, 0], 32), "documentation"),
    (v6([0x3fff, 0, 0, 0], 20), "documentation"),
    (v6([0x5f00, 0, 0, 0], 16), "segment routing"),
    (v6([0xfc00, 0, 0, 0], 7), "unique local"),
    (v6([0xfe80, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0], 8), "multicast"),
];

/// What the registry takes out of `2001::/23` as globally reachable (port control, TURN, mDNS, AMT, AS112, drone ids), and Teredo,
/// which carries IPv4 addresses.
const PUBLIC_V6: [Ipv6Net; 7] = [
    v6([0x2001, 0, 0, 0], 32),
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 1), 128),
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 2), 128),
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 3), 128),
    v6([0x2001, 3, 0, 0], 32),
    v6([0x2001, 4, 0x112, 0], 48),
    v6([0x2001, 0x30, 0, 0], 28),
];

const fn v4(octets: [u8; 4], length: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

/// The network of addresses that begin like this.
const fn v6(begin: [u16; 4], length: u8) -> Ipv6Net {
    let [first, second, third, fourth] = begin;
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, third, fourth, 0, 0, 0, 0), length)
}
