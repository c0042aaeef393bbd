//! Tells the addon what it is built for, and the linker how Node.js loads it.

use std::env::var;

fn main() {
    let target = var("TARGET").unwrap_or_default();
    // The binary says what it was built for; the loader compares (THR-1306).
    println!("cargo::rustc-env=FERROPOOL_TARGET={target}");
    if target.contains("apple-darwin") {
        link_for_macos(&target);
    }
    napi_build::setup();
}

fn link_for_macos(target: &str) {
    // A library of macOS has a name in it, which is the path that it was linked to if nobody says another.
    let processor = if target.starts_with("aarch64") { "arm64" } else { "x64" };
    println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/ferropool.darwin-{processor}.node");
    // Only a Mac has the frameworks of the system; elsewhere their names are enough to link.
    if !var("HOST").unwrap_or_default().contains("apple") {
        let root = var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-cdylib-link-arg=-F{root}/scripts/zig/frameworks");
    }
}
