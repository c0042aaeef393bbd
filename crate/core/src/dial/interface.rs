//! Sockets bound to a network interface, as each system does it: by name on Linux, by number on macOS, where the number is
//! asked for with each socket, since interfaces come and go.

use std::io;
use std::net::SocketAddr;

use ferropool_policy::error::{Error, Kind};
use tokio::net::TcpSocket;

use super::quoted;

/// The interface that each socket of a pool is bound to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interface(Box<str>);

impl Interface {
    /// The interface of this name, whether there is one now or not.
    ///
    /// # Errors
    /// [`Kind::InvalidOption`] for what no interface can be called; [`Kind::NotSupported`] where sockets cannot be bound to
    /// one.
    pub(super) fn new(name: &str) -> Result<Self, Error> {
        let wrong = match name.len() {
            0 => Some("it is empty".to_owned()),
            length if length > LONGEST_NAME => Some(format!("longer than {LONGEST_NAME} bytes")),
            _ => name.contains('\0').then(|| "it has a NUL".to_owned()),
        };
        match wrong {
            Some(why) => {
                Err(Error::new(Kind::InvalidOption, format!("interface is no name of one: {} ({why})", quoted(name))))
            }
            None if system::BINDS => Ok(Self(name.into())),
            None => Err(Error::new(Kind::NotSupported, "interface is for Linux, Android and macOS")),
        }
    }

    /// As the caller wrote it.
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// Binds a socket that is not connected yet, and is going to connect to this address.
    ///
    /// # Errors
    /// The system's; `ENODEV` where there is no interface of this name.
    pub(super) fn bind(&self, socket: &TcpSocket, to: SocketAddr) -> io::Result<()> {
        system::bind(&self.0, socket, to)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use super::{SocketAddr, TcpSocket, io};

    pub(super) const BINDS: bool = true;

    pub(super) fn bind(name: &str, socket: &TcpSocket, _to: SocketAddr) -> io::Result<()> {
        socket.bind_device(Some(name.as_bytes()))
    }
}

#[cfg(target_os = "macos")]
mod system {
    use std::num::NonZeroU32;

    use socket2::SockRef;

    use super::{SocketAddr, TcpSocket, io};
    use crate::dial::scoped;

    pub(super) const BINDS: bool = true;

    pub(super) fn bind(name: &str, socket: &TcpSocket, to: SocketAddr) -> io::Result<()> {
        let socket = SockRef::from(socket);
        let index = Some(index_of(name).ok_or_else(|| io::Error::from_raw_os_error(ENODEV))?);
        if to.is_ipv4() { socket.bind_device_by_index_v4(index) } else { socket.bind_device_by_index_v6(index) }
    }

    /// `if_nametoindex`, by way of the zone of an address that has one: std reads such a literal itself.
    fn index_of(name: &str) -> Option<NonZeroU32> {
        match scoped(&format!("fe80::1%{name}"), 0).ok()? {
            SocketAddr::V6(address) => NonZeroU32::new(address.scope_id()),
            SocketAddr::V4(_) => None,
        }
    }

    const ENODEV: i32 = 19;
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
mod system {
    use super::{SocketAddr, TcpSocket, io};

    pub(super) const BINDS: bool = false;

    pub(super) fn bind(_name: &str, _socket: &TcpSocket, _to: SocketAddr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// `IFNAMSIZ` without its NUL, on Linux and macOS alike.
const LONGEST_NAME: usize = 15;
