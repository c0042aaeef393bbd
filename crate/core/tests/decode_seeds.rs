//! The fuzz target's check over its seeds, so that it holds on every change and not only where a fuzzer runs.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/fuzz_targets/decode.rs"]
mod target;

// THR-227
#[test]
fn stepwise_equals_one_shot_for_every_seed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/decode");
    let mut checked = 0;
    for entry in fs::read_dir(folder).expect("seeds") {
        let path = entry.expect("a file").path();
        let seed = fs::read(&path).expect("a seed");
        println!("{}", path.display());
        let head = usize::from(seed[0] % 6) + 1 + 2;
        for pieces in 0..12 {
            let mut input = seed.clone();
            input[head] = pieces;
            target::check(&input);
        }
        checked += 1;
    }
    assert!(checked >= 30, "only {checked} seeds");
}

#[test]
fn a_damaged_seed_does_no_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/decode");
    for entry in fs::read_dir(folder).expect("seeds") {
        let mut seed = fs::read(entry.expect("a file").path()).expect("a seed");
        let head = usize::from(seed[0] % 6) + 4;
        if seed[..head].contains(&0xff) {
            continue;
        }
        // Each of the first bytes is where the headers are.
        for at in head..seed.len().min(head + 48) {
            for flip in [1, 8, 0x20, 0xff] {
                seed[at] ^= flip;
                target::check(&seed);
                seed[at] ^= flip;
            }
        }
    }
}
