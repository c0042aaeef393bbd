//! Reading what a caller names: a file at most so large, and never one that makes the reader wait.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use ferropool_policy::error::{Cause, Error, Kind};

/// Larger than any bundle of authorities (the whole web's is 250 KB), small enough to be read at once.
pub(super) const LARGEST: u64 = 64 << 20;

/// Bytes, and what a message calls them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Source {
    /// `file "/etc/ca.pem"`.
    pub(super) label: String,
    /// What is in it.
    pub(super) bytes: Vec<u8>,
}

impl Source {
    /// The file's content.
    ///
    /// # Errors
    /// `Tls` with this reason: it cannot be read, is no file, or is larger than [`LARGEST`].
    pub(super) fn file(path: &Path, what: &str, reason: &'static str) -> Result<Self, Error> {
        let label = labelled(what, path);
        match contents(path) {
            Ok(bytes) => Ok(Self { label, bytes }),
            Err(error) => Err(unreadable(&label, &error, reason)),
        }
    }

    /// What the caller gave as it is.
    pub(super) fn given(what: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { label: what.to_owned(), bytes: bytes.into() }
    }
}

/// `SSL_CERT_FILE "/etc/ca.pem"`.
pub(super) fn labelled(what: &str, path: &Path) -> String {
    format!("{what} {:?}", path.to_string_lossy())
}

pub(super) fn unreadable(label: &str, error: &io::Error, reason: &'static str) -> Error {
    Error::new(Kind::Tls, format!("{label} cannot be read: {error}"))
        .with_reason(reason)
        .caused_by(Cause::from_io(error))
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before it is opened: to open a pipe that nobody writes to would wait for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    Ok(bytes)
}
