//! Any text as a URL, as a host and as a request target: one host everywhere; parse, print, parse is stable; no control
//! octet is ever sent.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crate/policy/tests/support/url_invariant.rs"]
mod url_invariant;

fuzz_target!(|text: &str| url_invariant::holds(text));
