//! Tells the addon what it is built for, and the linker how Node.js loads it.

fn main() {
    // The binary says what it was built for; the loader compares (THR-1306).
    println!("cargo::rustc-env=FERROPOOL_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    napi_build::setup();
}
