//! The fuzz target's check over its seeds, so that it holds on every change and not only where a fuzzer runs.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../../fuzz/fuzz_targets/marshal.rs"]
mod target;

#[expect(clippy::expect_used, reason = "a test says what does not hold by its panic")]
fn seeds() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/marshal");
    let seeds: Vec<_> = fs::read_dir(folder)
        .expect("seeds")
        .map(|entry| {
            let path = entry.expect("a file").path();
            let seed = fs::read(&path).expect("a seed");
            (path, seed)
        })
        .collect();
    assert!(seeds.len() >= 30, "only {} seeds", seeds.len());
    seeds
}

#[test]
fn no_seed_is_read_past_its_end() {
    for (path, seed) in seeds() {
        println!("{}", path.display());
        target::check(&seed);
    }
}

#[test]
fn a_seed_cut_anywhere_is_refused_or_read_whole() {
    for (_, seed) in seeds() {
        for end in 0..seed.len() {
            target::check(&seed[..end]);
        }
    }
}

#[test]
fn a_damaged_word_does_no_harm() {
    for (_, seed) in seeds() {
        let mut damaged = seed.clone();
        for at in (2..seed.len().saturating_sub(3)).step_by(4) {
            for value in [0, 1, 7, 8, 0x20, 0x60, 0x7fff_fff8, 0x8000_0000, 0xffff_fff8, u32::MAX] {
                damaged[at..at + 4].copy_from_slice(&u32::to_ne_bytes(value));
                target::check(&damaged);
            }
            damaged[at..at + 4].copy_from_slice(&seed[at..at + 4]);
        }
    }
}
