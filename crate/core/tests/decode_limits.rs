//! What a coded body may cost: bytes on the wire, bytes decoded, their ratio, and time.

#[expect(dead_code, reason = "each file uses its part")]
mod decode_support;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use decode_support::{decoder, gzip, raw, seed, skippable, text, unlimited, zlib, zstd};
use ferropool_policy::error::{Error, Kind};
use ferropool_policy::settings::Limits;

const MIB: usize = 1024 * 1024;

fn passed(error: &Error) -> (&'static str, u64) {
    assert_eq!(error.kind(), Kind::TooLarge, "{error:?}");
    error.fields().extra.limit.unwrap_or_default()
}

fn coded(plain: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("gzip", gzip(plain)),
        ("deflate", zlib(plain)),
        ("deflate", raw(plain)),
        ("zstd", zstd(plain)),
        ("gzip, zstd, deflate", zlib(&zstd(&gzip(plain)))),
    ]
}

// THR-213
#[test]
fn a_body_of_the_limit_passes_and_one_more_byte_does_not() {
    let text = decode_support::decode("br", &seed("br-text")).unwrap();
    let mut wires = coded(&text);
    wires.push(("br", seed("br-text")));
    for (value, wire) in wires {
        for (limit, fits) in [(text.len(), true), (text.len() - 1, false), (1, false), (0, false)] {
            let limits = Limits { decoded: Some(limit as u64), ..unlimited() };
            let mut out = b"before".to_vec();
            let mut it = decoder(value, &limits);
            let outcome = it.push(&wire, &mut out).and_then(|()| it.finish(&mut out));
            assert_eq!(out[..6], *b"before");
            assert!(text.starts_with(&out[6..]) && out.len() - 6 <= limit, "{value}, {limit}");
            match outcome {
                Ok(()) => assert!(fits && out.len() - 6 == limit, "{value}, {limit}"),
                Err(error) => {
                    assert!(!fits, "{value}, {limit}: {error}");
                    // Within a chain the inner data may be what passes a tiny limit.
                    assert_eq!(passed(&error), ("decoded", limit as u64));
                }
            }
            assert!(out.capacity() <= 6 + limit + 1 || fits, "{value}, {limit}: {}", out.capacity());
        }
    }
}

// THR-213
#[test]
fn a_regular_body_passes_until_eight_mebibytes_and_a_bomb_is_refused_by_its_ratio_then() {
    let limits = Limits { ratio: Some(500.0), ..Limits::default() };
    for (value, wire) in coded(&vec![0; 8 * MIB]) {
        let mut out = Vec::new();
        let mut it = decoder(value, &limits);
        it.push(&wire, &mut out).unwrap_or_else(|error| panic!("{value}: {error}"));
        it.finish(&mut out).unwrap();
    }
    let mut wires = coded(&vec![0; 8 * MIB + 1]);
    wires.push(("br", seed("br-bomb")));
    for (value, wire) in wires {
        let mut out = Vec::new();
        let mut it = decoder(value, &limits);
        let outcome = it.push(&wire, &mut out).and_then(|()| it.finish(&mut out));
        assert_eq!(passed(&outcome.unwrap_err()), ("ratio", 500), "{value}");
        assert!(out.len() <= 17 * MIB);
    }
}

// THR-213
#[test]
fn text_never_comes_near_the_ratio() {
    let plain = text(9 * MIB);
    for (value, wire) in coded(&plain).into_iter().take(4) {
        let mut out = Vec::new();
        let mut it = decoder(value, &Limits::default());
        for piece in wire.chunks(4_096) {
            it.push(piece, &mut out).unwrap();
        }
        it.finish(&mut out).unwrap();
        assert!(out == plain, "{value}");
    }
}

#[test]
fn the_wire_limit_counts_what_comes_in() {
    let wire = gzip(&text(1_000));
    for (most, fits) in [(wire.len() as u64, true), (wire.len() as u64 - 1, false)] {
        let mut it = decoder("gzip", &Limits { wire: Some(most), ..unlimited() });
        let outcome = it.push(&wire, &mut Vec::new());
        assert_eq!(outcome.as_ref().map_err(passed), if fits { Ok(&()) } else { Err(("wire", most)) });
    }
    let mut it = decoder("gzip", &Limits { wire: Some(1_000), ..unlimited() });
    let junk = [&gzip(b"x")[..], &[0; 2_000]].concat();
    assert_eq!(passed(&it.push(&junk, &mut Vec::new()).unwrap_err()), ("wire", 1_000));
}

// THR-213 THR-217
#[test]
fn a_bomb_inside_the_chain_that_gives_nothing_in_the_end_is_refused_too() {
    // Six megabytes of empty members, which compress well and decode to nothing.
    let nothing = gzip(&[]).repeat(300_000);
    let wire = gzip(&nothing);
    let mut it = decoder("gzip, gzip", &Limits { decoded: Some(MIB as u64), ..unlimited() });
    let mut out = Vec::new();
    assert_eq!(passed(&it.push(&wire, &mut out).unwrap_err()), ("decoded", MIB as u64));
    assert!(out.is_empty());
}

// DEC-11 THR-216
#[test]
fn a_small_step_of_a_bomb_expands_no_more_than_it_was_asked_for() {
    let mut wires = coded(&vec![0; 4 * MIB]);
    wires.push(("br", seed("br-bomb")));
    wires.push(("zstd", seed("zstd-bomb")));
    for (value, wire) in wires {
        let mut it = decoder(value, &unlimited());
        let mut out = Vec::new();
        let mut at = 0;
        for round in 1..=200 {
            let step = it.step(&wire[at..], &mut out, 10).unwrap();
            at += step.consumed;
            assert_eq!((step.produced, out.len()), (10, round * 10), "{value}");
            assert!(step.more_output_pending || at < wire.len(), "{value}");
        }
        // What is asked for is what is made room for.
        assert!(out.capacity() <= 4_096, "{value}: {}", out.capacity());
    }
}

// DEC-11
#[test]
fn a_bounded_step_is_bounded_when_the_output_has_room_for_more() {
    let plain = text(100_000);
    for (value, wire) in coded(&plain) {
        let mut it = decoder(value, &unlimited());
        let mut out = Vec::with_capacity(1 << 20);
        let (mut at, mut pending) = (0, false);
        while at < wire.len() || pending {
            let before = out.len();
            let step = it.step(&wire[at..], &mut out, 1_000).unwrap();
            assert!(out.len() - before == step.produced && step.produced <= 1_000, "{value}");
            at += step.consumed;
            pending = step.more_output_pending;
        }
        it.finish(&mut out).unwrap();
        assert!(out == plain, "{value}");
        let still = it.step(&[], &mut out, 1_000).unwrap();
        assert_eq!((still.consumed, still.produced, still.more_output_pending), (0, 0, false));
    }
}

/// What this thread has had of a processor: unlike the time on the wall, it does not grow when the machine has other things
/// to do. Where the system does not tell, the time on the wall.
fn spent() -> Duration {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.filter(|&some| some > 0).map_or_else(|| BEGAN.elapsed(), Duration::from_nanos)
}

// THR-223
#[test]
fn time_is_linear_in_the_number_of_empty_members_and_frames() {
    let took = |value: &str, one: &[u8], count: usize| {
        let wire = one.repeat(count);
        (0..3)
            .map(|_| {
                let mut it = decoder(value, &Limits::default());
                let mut out = Vec::new();
                let begin = spent();
                for piece in wire.chunks(16 * 1024) {
                    it.push(piece, &mut out).unwrap();
                }
                it.finish(&mut out).unwrap();
                assert!(out.is_empty());
                spent().saturating_sub(begin)
            })
            .min()
            .unwrap_or(Duration::MAX)
    };
    for (value, one) in [("gzip", gzip(b"")), ("zstd", zstd(b"")), ("zstd", skippable(b""))] {
        // Linear is 8, quadratic is 64.
        let (eighth, whole) = (took(value, &one, 30_000), took(value, &one, 240_000));
        println!("{value}: {eighth:?}, {whole:?}");
        assert!(whole < eighth * 24 + Duration::from_millis(20), "{value}: {eighth:?}, then {whole:?}");
    }
}

// THR-213
#[test]
fn a_step_ends_for_the_sake_of_others_though_nothing_comes_out() {
    let nothing = gzip(&[]).repeat(300_000);
    let wire = gzip(&nothing);
    let mut it = decoder("gzip, gzip", &unlimited());
    let mut out = Vec::new();
    let (mut at, mut steps) = (0, 0);
    loop {
        let step = it.step(&wire[at..], &mut out, MIB).unwrap();
        at += step.consumed;
        steps += 1;
        if at == wire.len() && !step.more_output_pending {
            break;
        }
    }
    it.finish(&mut out).unwrap();
    assert!(out.is_empty());
    assert!((5..=8).contains(&steps), "{steps} steps");
}
