//! TLS against real servers on this machine: certificates are made as they are needed, and each is wrong in one way.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod describing;
mod failing;
mod fingerprints;
mod identity;
mod names;
mod pki;
mod server;
mod sessions;
mod trust;
mod verdicts;
mod versions;
