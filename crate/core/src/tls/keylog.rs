//! The session keys, for a tool that reads captures: NSS's key log format, appended to a file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Mutex;

use ferropool_policy::error::{Error, Kind};
use rustls::KeyLog;

use super::fingerprint::hex;

/// A file with the keys of connections in it: whoever reads it reads these connections.
#[derive(Debug)]
pub(super) struct KeyLogFile(Mutex<File>);

impl KeyLogFile {
    /// Opens the file, to be added to; one that is created is for its owner alone.
    ///
    /// # Errors
    /// `Tls` (`ERR_TLS_KEY_LOG`) where it cannot be written, and in a process that runs with another user's rights: its
    /// environment is the caller's, its keys are not.
    pub(super) fn open(path: &str) -> Result<Self, Error> {
        let refused = |message: String| Error::new(Kind::Tls, message).with_reason("ERR_TLS_KEY_LOG");
        if std::fs::read_to_string("/proc/self/status").is_ok_and(|status| has_borrowed_rights(&status)) {
            return Err(refused(format!("{path:?} is not written by a process with another user's rights")));
        }
        // To open a pipe waits for its reader.
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(refused(format!("the key log {path:?} is no regular file")));
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(path) {
            Ok(file) => Ok(Self(Mutex::new(file))),
            Err(error) => Err(refused(format!("the key log file {path:?} cannot be opened")).caused_by_io(&error)),
        }
    }
}

impl KeyLog for KeyLogFile {
    /// A disk that is full costs a line of the log, not the connection.
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        if let Ok(mut file) = self.0.lock() {
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// Whether the real and the effective user or group differ, by proc(5).
fn has_borrowed_rights(status: &str) -> bool {
    status.lines().filter(|line| line.starts_with("Uid:") || line.starts_with("Gid:")).any(|line| {
        let mut ids = line.split_whitespace().skip(1);
        ids.next() != ids.next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // THR-823
    #[test]
    fn a_process_with_borrowed_rights_is_told_from_another() {
        let own = "Name:\tnode\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\n";
        assert!(!has_borrowed_rights(own));
        assert!(has_borrowed_rights(&own.replace("Uid:\t1000\t1000", "Uid:\t1000\t0")));
        assert!(has_borrowed_rights(&own.replace("Gid:\t1000\t1000", "Gid:\t1000\t0")));
    }
}
