//! What `denyAddresses` lets pass and what not, address by address.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::net::IpAddr;

use ferropool_policy::deny::DenyList;
use ferropool_policy::error::{Kind, quote};

fn list(entries: &[&str]) -> DenyList {
    DenyList::of(&entries.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>()).unwrap()
}

fn why(list: &DenyList, address: &str) -> Option<String> {
    list.why(address.parse::<IpAddr>().unwrap())
}

/// The first and the last address of each network, and what they are told to be.
const PRIVATE: &[(&str, &str)] = &[
    ("0.0.0.0", "unspecified"),
    ("0.0.0.1 0.255.255.255", "this network"),
    ("10.0.0.0 10.255.255.255", "private use"),
    ("100.64.0.0 100.127.255.255", "shared by a provider's customers"),
    ("127.0.0.0 127.0.0.1 127.255.255.255", "loopback"),
    ("169.254.0.0 169.254.169.254 169.254.170.2 169.254.255.255", "link-local"),
    ("172.16.0.0 172.31.255.255", "private use"),
    ("192.0.0.0 192.0.0.192 192.0.0.255", "protocol assignments"),
    ("192.0.2.0 192.0.2.255 198.51.100.0 198.51.100.255 203.0.113.0 203.0.113.255", "documentation"),
    ("192.88.99.1", "6to4 relays"),
    ("192.168.0.0 192.168.255.255", "private use"),
    ("198.18.0.0 198.19.255.255", "benchmarking"),
    ("224.0.0.0 239.255.255.255", "multicast"),
    ("240.0.0.0 255.255.255.254", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("64:ff9b:1:: 64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "a network's own NAT64"),
    ("100:: 100::ffff:ffff:ffff:ffff", "discard-only"),
    ("100:0:0:1::", "a dummy prefix"),
    ("2001:2:: 2001:2:0:ffff:ffff:ffff:ffff:ffff", "benchmarking"),
    ("2001:10:: 2001:1f:ffff:ffff:ffff:ffff:ffff:ffff 2001:20:: 2001:2f::1", "no address of a host"),
    ("2001:1:: 2001:1::4 2001:2:1:: 2001:4:: 2001:5::1 2001:40::1 2001:1ff:ffff::1", "protocol assignments"),
    ("2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 3fff:: 3fff:fff::1", "documentation"),
    ("5f00::1", "segment routing"),
    ("fc00:: fd00:ec2::254 fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique local"),
    ("fe80:: fe80::a9fe:a9fe febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
    ("fec0:: feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local"),
    ("ff00:: ff02::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
];

/// Just outside of those, and what the world is made of.
const PUBLIC: &[&str] = &[
    "1.0.0.0",
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "2001:4860:4860::8888",
    "2001:db7:ffff::1",
    "2001:db9::",
    "2001:1::1",
    "2001:1::2",
    "2001:1::3",
    "2001:3::1",
    "2001:4:112::1",
    "2001:30::1",
    "2001:200::1",
    "100:0:0:2::",
    "3fff:1000::",
    "5eff::1",
    "5f01::",
    "fbff::1",
    "fe00::",
    "64:ff9b:2::1",
];

/// How an IPv4 address is written in IPv6, and what that is called.
fn forms(address: &str) -> Vec<(String, &'static str)> {
    let [a, b, c, d] = address.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    vec![
        (format!("::{high:x}:{low:x}"), "the IPv4-compatible form"),
        (format!("::ffff:{high:x}:{low:x}"), "the IPv4-mapped form"),
        (format!("::ffff:0:{high:x}:{low:x}"), "the IPv4-translated form"),
        (format!("64:ff9b::{high:x}:{low:x}"), "the NAT64 form"),
        (format!("2002:{high:x}:{low:x}::1"), "the 6to4 form"),
        (format!("2002:{high:x}:{low:x}:ffff:ffff:ffff:ffff:ffff"), "the 6to4 form"),
        (format!("2001:0:{high:x}:{low:x}:8000:63bf:f7f7:f7f7"), "the Teredo form"),
        (format!("2001:0:808:808:8000:63bf:{:x}:{:x}", !high, !low), "the Teredo form"),
        (format!("2a00:1450::5efe:{high:x}:{low:x}"), "the ISATAP form"),
        (format!("2a00:1450::200:5efe:{high:x}:{low:x}"), "the ISATAP form"),
    ]
}

/// The three places of RFC 6052 §2.2 that a prefix within `64:ff9b:1::/48` leaves, and the last 32 bits.
fn local_nat64(address: &str) -> Vec<String> {
    let [a, b, c, d] = address.parse::<std::net::Ipv4Addr>().unwrap().octets();
    vec![
        format!("64:ff9b:1:{a:02x}{b:02x}:{c:04x}:{d:02x}00::"),
        format!("64:ff9b:1:7{a:02x}:{b:02x}:{c:02x}{d:02x}::"),
        format!("64:ff9b:1:7777:{a:02x}:{b:02x}{c:02x}:{d:02x}00::"),
        format!("64:ff9b:1:7777:77:7777:{a:02x}{b:02x}:{c:02x}{d:02x}"),
    ]
}

// THR-519: private, loopback, link-local, metadata, CGNAT, multicast, 0.0.0.0.
#[test]
fn private_is_whatever_is_no_public_hosts() {
    let list = list(&["private"]);
    for &(addresses, what) in PRIVATE {
        for address in addresses.split(' ') {
            assert_eq!(why(&list, address), Some(format!("{address} is private ({what})")));
        }
    }
    for address in PUBLIC {
        assert_eq!(why(&list, address), None, "{address}");
    }
}

// THR-519: mapped, NAT64, and whatever else carries an IPv4 address.
#[test]
fn an_ipv6_address_that_carries_an_ipv4_address_is_judged_by_it() {
    let private = list(&["private"]);
    for (address, what) in [
        ("10.0.0.1", "private use"),
        ("127.0.0.1", "loopback"),
        ("169.254.169.254", "link-local"),
        ("100.100.100.200", "shared by a provider's customers"),
        ("192.168.7.9", "private use"),
        ("255.255.255.255", "broadcast"),
    ] {
        for (written, form) in forms(address) {
            let written = written.parse::<IpAddr>().unwrap();
            let said = format!("{written} is {form} of {address}, which is private ({what})");
            assert_eq!(private.why(written), Some(said));
        }
    }
    for (written, form) in PUBLIC.iter().filter(|address| address.contains('.')).flat_map(|address| forms(address)) {
        assert_eq!(why(&private, &written), None, "{form}");
    }
}

// THR-519: the caller's own networks.
#[test]
fn a_network_catches_its_addresses_however_they_are_written() {
    let list = list(&["203.0.112.0/23", "9.9.9.9", "2a00:1450::/32", "2606:4700::1"]);
    for (address, network) in [
        ("203.0.112.0", "203.0.112.0/23"),
        ("203.0.113.255", "203.0.112.0/23"),
        ("9.9.9.9", "9.9.9.9/32"),
        ("2a00:1450:ffff::", "2a00:1450::/32"),
        ("2606:4700::1", "2606:4700::1/128"),
    ] {
        assert_eq!(why(&list, address), Some(format!("{address} is in {network}")));
    }
    for (written, form) in forms("9.9.9.9").into_iter().filter(|(written, _)| !written.starts_with("2a00:1450")) {
        let written = written.parse::<IpAddr>().unwrap();
        assert_eq!(list.why(written), Some(format!("{written} is {form} of 9.9.9.9, which is in 9.9.9.9/32")));
    }
    for written in local_nat64("9.9.9.9") {
        let written = written.parse::<IpAddr>().unwrap();
        assert_eq!(list.why(written), Some(format!("{written} is a NAT64 form of 9.9.9.9, which is in 9.9.9.9/32")));
    }
    for address in ["203.0.111.255", "203.0.114.0", "9.9.9.8", "127.0.0.1", "::1", "10.0.0.1", "2606:4700::2"] {
        assert_eq!(why(&list, address), None, "{address} is not in the list");
    }
    for written in ["9.9.9.8", "9.9.8.9", "9.8.9.9", "8.9.9.9"].iter().flat_map(|near| local_nat64(near)) {
        assert_eq!(why(&list, &written), None, "{written}");
    }
}

// THR-519: connecting to "any address" connects to this machine.
#[test]
fn the_unspecified_address_is_this_machines() {
    let v4 = list(&["127.0.0.0/8"]);
    let said = "0.0.0.0 is another name of 127.0.0.1, which is in 127.0.0.0/8";
    assert_eq!(why(&v4, "0.0.0.0").as_deref(), Some(said));
    for address in ["::", "::ffff:0.0.0.0", "::ffff:127.0.0.9"] {
        assert!(why(&v4, address).is_some(), "{address}");
    }
    assert_eq!(why(&v4, "::1"), None, "an address of its own");
    assert_eq!(why(&v4, "0.0.0.1"), None);
    let v6 = list(&["::1"]);
    assert_eq!(why(&v6, "::").as_deref(), Some(":: is another name of ::1, which is in ::1/128"));
    assert_eq!(why(&v6, "127.0.0.1"), None);
    assert_eq!(why(&v6, "0.0.0.0"), None);
    assert_eq!(why(&list(&["0.0.0.0/8"]), "::1"), None, "::1 is not 0.0.0.1");
}

#[test]
fn entries_mean_what_they_say() {
    for (entry, caught, passes) in [
        ("10.1.2.3/8", "10.255.0.0", "11.0.0.0"),
        ("0.0.0.0/0", "8.8.8.8", "2a00::1"),
        ("::/0", "2a00::1", "8.8.8.8"),
        ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
        ("::ffff:10.0.0.0/104", "::ffff:10.9.9.9", "::ffff:11.0.0.0"),
        ("::ffff:0:0/96", "8.8.8.8", "2a00::1"),
        ("::ffff:9.9.9.9", "9.9.9.9", "9.9.9.8"),
        ("2A00::/16", "2a00:1::", "2a01::"),
    ] {
        let list = list(&[entry]);
        assert!(why(&list, caught).is_some(), "{entry} has {caught}");
        assert_eq!(why(&list, passes), None, "{entry} has not {passes}");
    }
    assert_eq!(why(&list(&[]), "127.0.0.1"), None);
    assert_eq!(
        why(&list(&["127.0.0.0/8", "private"]), "127.0.0.1").as_deref(),
        Some("127.0.0.1 is private (loopback)")
    );
}

#[test]
fn an_entry_that_is_no_network_is_refused_and_quoted() {
    for wrong in [
        "",
        " ",
        "Private",
        "public",
        "loopback",
        "localhost",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/+8",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "10.0.0.0/ 8",
        " 10.0.0.0/8",
        "10.0.0/8",
        "10/8",
        "010.0.0.0/8",
        "0x7f.0.0.1",
        "2130706433",
        "::/129",
        "::1/999",
        "[::1]",
        "[::]/0",
        "fe80::1%lo",
        "fe80::1%lo/64",
        "127.0.0.1:80",
        "a\0b",
        "10.0.0.0/255.0.0.0",
    ] {
        let error = DenyList::of(&["private".to_owned(), wrong.to_owned()]).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidOption, "{wrong:?}");
        let said = error.to_string();
        assert!(said.ends_with(&format!("'{}'", quote(wrong.as_bytes()))), "{said}");
    }
}
