//! Peak memory of bombs, measured from outside: each in a process of its own, because the figures are a process's.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each file uses its part")]
mod decode_support;

use std::process::Command;
use std::{env, fs};

use decode_support::{decoder, seed, unlimited, zstd_by_hand};
use ferropool_policy::error::Kind;
use ferropool_policy::settings::Limits;
use flate2::{Compress, Compression, FlushCompress};

const MIB: u64 = 1024 * 1024;

/// A figure of this process in bytes: `VmHWM` is the most that was resident, `VmPeak` the most address space.
fn figure(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// 10 MiB that become 10 GiB: a block of a mebibyte of zeros that leans on nothing before it, again and again.
fn gzip_bomb() -> Vec<u8> {
    let mut block = Vec::with_capacity(4_096);
    let mut encoder = Compress::new(Compression::best(), false);
    encoder.compress_vec(&vec![0; MIB as usize], &mut block, FlushCompress::Full).unwrap();
    assert!(block.len() < 1_100);
    repeated(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], &block, 10 * 1024)
}

/// Blocks of one repeated byte, 128 KiB from four bytes, with a window of 8 MiB.
fn zstd_bomb() -> Vec<u8> {
    let block = (2_u32 | (128 * 1024) << 3).to_le_bytes();
    repeated(&[0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3], &[block[0], block[1], block[2], b'z'], 80 * 1024)
}

/// In one allocation that is not freed: the system's allocator takes a large free as a hint to keep what is freed later.
fn repeated(head: &[u8], block: &[u8], count: usize) -> Vec<u8> {
    let mut wire = Vec::with_capacity(head.len() + block.len() * count);
    wire.extend_from_slice(head);
    for _ in 0..count {
        wire.extend_from_slice(block);
    }
    wire
}

fn bomb(coding: &str) -> Vec<u8> {
    match coding {
        "gzip" => gzip_bomb(),
        "zstd" => zstd_bomb(),
        _ => seed("br-bomb"),
    }
}

/// What the process of one measurement is told, and which limit it must run into.
struct Measurement {
    coding: &'static str,
    limits: Limits,
    /// Bytes pushed at once.
    piece: usize,
    passes: (&'static str, u64),
    /// Memory allowed beyond what there is before the first byte.
    most: u64,
}

fn measurements() -> Vec<Measurement> {
    let mut all = Vec::new();
    let limits = Limits { decoded: Some(64 * MIB), ..unlimited() };
    // What a library needs for its window comes on top of the limit.
    for (coding, window) in [("gzip", 0), ("zstd", 8 * MIB), ("br", 16 * MIB)] {
        for piece in [16 * 1024, 16 * 1024 * 1024] {
            all.push(Measurement { coding, limits, piece, passes: ("decoded", 64 * MIB), most: 68 * MIB + window });
        }
    }
    // Under the limits of a preloaded body it does not matter: the window's bombs end by their ratio. gzip's is 1,020.
    let limits = Limits::default().of_whole();
    for (coding, passes) in [("gzip", ("decoded", 256 * MIB)), ("zstd", ("ratio", 1_100)), ("br", ("ratio", 1_100))] {
        all.push(Measurement { coding, limits, piece: 64 * 1024, passes, most: 260 * MIB });
    }
    all
}

fn measure(it: &Measurement) {
    let wire = bomb(it.coding);
    let mut out = Vec::new();
    let mut decoder = decoder(it.coding, &it.limits);
    let start = figure("VmRSS");
    let error = wire.chunks(it.piece).try_for_each(|piece| decoder.push(piece, &mut out)).expect_err("a bomb passed");
    assert_eq!((error.kind(), error.fields().extra.limit), (Kind::TooLarge, Some(it.passes)));
    let peak = figure("VmHWM") - start;
    println!("{} in pieces of {}: {} decoded, peak {} KiB", it.coding, it.piece, out.len(), peak / 1024);
    assert!(peak <= it.most, "{}: {} KiB of {} KiB", it.coding, peak / 1024, it.most / 1024);
}

// THR-213
#[test]
fn a_bomb_takes_no_more_memory_than_the_limit_and_its_window() {
    let all = measurements();
    if let Ok(which) = env::var(WHICH) {
        return measure(&all[which.parse::<usize>().expect("a number")]);
    }
    for which in 0..all.len() {
        in_a_process("a_bomb_takes_no_more_memory_than_the_limit_and_its_window", &which.to_string());
    }
}

// THR-228
#[test]
fn a_window_that_is_refused_is_not_allocated() {
    // Another test's thread may reserve its own address space whenever the machine lets it begin.
    if env::var(WHICH).is_err() {
        return in_a_process("a_window_that_is_refused_is_not_allocated", "window");
    }
    // Once, so that the library's state itself is there.
    decoder("zstd", &Limits::default()).push(&zstd_by_hand(0, &[0]), &mut Vec::new()).unwrap();
    let before = figure("VmPeak");
    for log in [24, 27, 31] {
        let error = decoder("zstd", &Limits::default()).push(&zstd_by_hand(0, &[(log - 10) << 3]), &mut Vec::new());
        assert_eq!(error.unwrap_err().fields().extra.reason, Some("ERR_DECODE_WINDOW"));
    }
    // Half of the smallest of them; a thread's first allocation may reserve some address space.
    assert!(figure("VmPeak") - before < 8 * MIB, "a refused window was allocated");
}

/// Runs a test of this file in a process of its own, for which measurement is told.
fn in_a_process(test: &str, which: &str) {
    let output = Command::new(env::current_exe().expect("this file"))
        .args(["--exact", test, "--nocapture"])
        .env(WHICH, which)
        .output()
        .expect("a process");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

/// Names, in the environment of a process of ours, which measurement it is for.
const WHICH: &str = "DECODE_MEMORY_WHICH";
