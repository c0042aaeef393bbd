//! Coded streams in any pieces: whole, cut short, damaged, one after the other, and followed by something else.

#[expect(dead_code, reason = "each file uses its part")]
mod decode_support;

use std::iter;

use decode_support::{
    Numbers, decode, decode_pieces, decoder, gzip, raw, seed, skippable, text, unlimited, zlib, zstd, zstd_by_hand,
};
use ferropool_policy::error::{Error, Kind};

const CODINGS: [&str; 5] = ["gzip", "deflate", "deflate", "br", "zstd"];

/// The same text under each of `CODINGS`, `deflate` as zlib and raw.
fn coded() -> (Vec<u8>, Vec<(&'static str, Vec<u8>)>) {
    let br = seed("br-text");
    let plain = decode("br", &br).unwrap_or_default();
    assert_eq!(plain.len(), 6_003);
    let wires = [gzip(&plain), zlib(&plain), raw(&plain), br, zstd(&plain)];
    (plain, CODINGS.into_iter().zip(wires).collect())
}

/// A frame with a window, not in one segment, and with a checksum at its end.
fn streamed_frame() -> Vec<u8> {
    let mut frame = seed("zstd-text-streamed");
    // Two zeros follow it in the seed.
    frame.truncate(frame.len() - 2);
    frame
}

/// Small bodies with everything in them that has a state of its own.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let members = [gzip(b"one"), gzip(b""), seed("gzip-all-header-fields"), gzip(&text(400))].concat();
    let frames = [skippable(b"aside"), zstd(b"one"), skippable(b""), seed("zstd-text-streamed"), zstd(b"")].concat();
    vec![
        ("gzip", [&members[..], b"\r\n\x1fjunk"].concat()),
        ("gzip", [&members[..], b"\x1f\x00"].concat()),
        ("deflate", [&zlib(&text(900))[..], b"tail"].concat()),
        ("deflate", [&raw(&text(900))[..], b"tail"].concat()),
        ("br", [&seed("br-text-small-window-and-junk")[..], b"tail"].concat()),
        ("br", seed("br-of-noise")),
        ("zstd", [&frames[..], b"PjunkP"].concat()),
        ("zstd", [&frames[..], b"\x50\x2a"].concat()),
        ("zstd", [&frames[..], b"\x28\xb5\x00"].concat()),
        ("zstd", seed("zstd-window-and-content-size-differ")),
        ("deflate, gzip", gzip(&[&raw(&text(700))[..], b"tail"].concat())),
        ("gzip, br", seed("chain-text-br")),
    ]
}

fn in_steps(value: &str, wire: &[u8], numbers: &mut Numbers) -> Result<(Vec<u8>, u64), Error> {
    let mut it = decoder(value, &unlimited());
    let (mut out, mut at, mut pending) = (Vec::new(), 0, false);
    while at < wire.len() || pending {
        let end = wire.len().min(at + numbers.below(40));
        let most = numbers.below(200) + 1;
        let step = it.step(&wire[at..end], &mut out, most)?;
        assert!(step.produced <= most && step.consumed <= end - at);
        at += step.consumed;
        pending = step.more_output_pending;
    }
    it.finish(&mut out)?;
    Ok((out, it.trailing()))
}

// DEC-09
#[test]
fn every_split_in_two_gives_the_same() {
    for (value, wire) in samples() {
        let whole = decode_pieces(value, [&wire[..]]);
        for at in 0..=wire.len() {
            let (left, right) = wire.split_at(at);
            assert_eq!(decode_pieces(value, [left, right]), whole, "{value} at {at} of {}", wire.len());
        }
    }
}

// DEC-09
#[test]
fn any_pieces_give_the_same_and_single_bytes_too() {
    let mut numbers = Numbers(1);
    for (value, wire) in samples() {
        let whole = decode_pieces(value, [&wire[..]]);
        assert_eq!(decode_pieces(value, wire.chunks(1)), whole, "{value}");
        for _ in 0..20 {
            let size = numbers.below(60) + 1;
            assert_eq!(decode_pieces(value, wire.chunks(size)), whole, "{value} by {size}");
            assert_eq!(in_steps(value, &wire, &mut numbers), whole, "{value} in steps");
        }
    }
}

// DEC-09
#[test]
fn what_can_be_decoded_comes_out_before_the_rest_is_there() {
    let (plain, wires) = coded();
    for (value, wire) in wires {
        let mut it = decoder(value, &unlimited());
        let mut out = Vec::new();
        it.push(&wire[..wire.len() - 12], &mut out).unwrap();
        // A zstd block is decoded as a whole; the others give what they have.
        assert!(value == "zstd" || out.len() > plain.len() / 2, "{value}: {}", out.len());
        assert!(plain.starts_with(&out));
        it.push(&wire[wire.len() - 12..], &mut out).unwrap();
        it.finish(&mut out).unwrap();
        assert!(out == plain, "{value}");
    }
}

// DEC-09 DEC-11
#[test]
fn what_is_pending_needs_no_more_input() {
    let (plain, wires) = coded();
    let (zeros, long) = (vec![0; 40_000], text(400_000));
    let mut rows: Vec<_> = wires.into_iter().map(|(value, wire)| (value, wire, &plain)).collect();
    rows.extend([("gzip", gzip(&zeros), &zeros), ("deflate", raw(&zeros), &zeros), ("zstd", zstd(&zeros), &zeros)]);
    // In several blocks.
    rows.push(("zstd", zstd(&long), &long));
    for (value, wire, plain) in rows {
        let mut cuts = vec![wire.len() * 2 / 3, wire.len() - 1, wire.len()];
        if plain.len() == long.len() {
            // After the first block: the header has nine bytes (content size in four), the block's three.
            cuts.push(12 + (u32::from_le_bytes([wire[9], wire[10], wire[11], 0]) >> 3) as usize);
        }
        for at in cuts {
            let mut pushed = Vec::new();
            decoder(value, &unlimited()).push(&wire[..at], &mut pushed).unwrap();
            let mut it = decoder(value, &unlimited());
            let mut stepped = Vec::new();
            let mut step = it.step(&wire[..at], &mut stepped, 1).unwrap();
            let mut consumed = step.consumed;
            while consumed < at || step.more_output_pending {
                step = it.step(&wire[consumed..at], &mut stepped, 7).unwrap();
                consumed += step.consumed;
            }
            assert!(stepped == pushed, "{value}: {} of {}", stepped.len(), pushed.len());
            if at == wire.len() {
                it.finish(&mut stepped).unwrap();
                assert!(stepped == *plain, "{value}");
            }
        }
    }
}

// DEC-06 WART-05 THR-220
#[test]
fn a_stream_cut_short_anywhere_is_an_error() {
    let (plain, mut wires) = coded();
    wires.push(("deflate, gzip", gzip(&raw(&plain))));
    wires.push(("gzip", [gzip(&plain), seed("gzip-all-header-fields")].concat()));
    wires.push(("zstd", [skippable(b"aside"), zstd(&plain), streamed_frame()].concat()));
    for (value, wire) in wires {
        // Between two members or frames nothing is missing.
        let is_whole = |at: usize| {
            [gzip(&plain).len(), skippable(b"aside").len(), skippable(b"aside").len() + zstd(&plain).len()]
                .contains(&at)
        };
        for at in 1..wire.len() {
            let mut it = decoder(value, &unlimited());
            let mut out = Vec::new();
            it.push(&wire[..at], &mut out).unwrap_or_else(|error| panic!("{value} at {at}: {error:?}"));
            assert!(plain.starts_with(&out) || at > gzip(&plain).len().min(zstd(&plain).len()), "{value} at {at}");
            match it.finish(&mut out) {
                Ok(()) => assert!(is_whole(at), "{value} cut at {at} passes for whole"),
                Err(error) => assert_eq!(error.kind(), Kind::Decode, "{value} at {at}"),
            }
        }
    }
}

// THR-220
#[test]
fn a_wrong_checksum_or_size_is_an_error_in_any_member() {
    let good = gzip(&text(300));
    for at in good.len() - 8..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(decode("gzip", &bad).unwrap_err().kind(), Kind::Decode, "{at}");
        assert_eq!(decode("gzip", &[&good[..], &bad].concat()).unwrap_err().kind(), Kind::Decode, "later, {at}");
    }
    let mut zlib = zlib(&text(300));
    *zlib.last_mut().unwrap() ^= 1;
    assert_eq!(decode("deflate", &zlib).unwrap_err().kind(), Kind::Decode);
    let mut frame = streamed_frame();
    *frame.last_mut().unwrap() ^= 1;
    assert_eq!(decode("zstd", &frame).unwrap_err().kind(), Kind::Decode);
}

// DEC-03 DEC-10 THR-222
#[test]
fn gzip_members_are_joined_and_what_follows_the_last_is_ignored_and_counted() {
    for count in [1, 2, 1_000] {
        let wire: Vec<u8> = (0..count).flat_map(|n| gzip(format!("{n};").as_bytes())).collect();
        let plain: Vec<u8> = (0..count).flat_map(|n| format!("{n};").into_bytes()).collect();
        for junk in [&b""[..], b"\r\n", &[0; 64], b"garbage after the last member", b"\x1f\x8c"] {
            let body = [&wire[..], junk].concat();
            for size in [1, 7, body.len()] {
                let (out, trailing) = decode_pieces("gzip", body.chunks(size)).unwrap();
                assert!(out == plain, "{count} members, {junk:?}");
                assert_eq!(trailing, junk.len() as u64);
            }
        }
    }
}

// DEC-10 THR-229
#[test]
fn what_follows_any_coded_stream_is_ignored_and_counted() {
    let (plain, wires) = coded();
    for (value, wire) in wires {
        for junk in [&b"\r\n"[..], &[0; 64], b"tail", b"_", b"P*M", b"_*Mx"] {
            let body = [&wire[..], junk].concat();
            for size in [1, body.len()] {
                let (out, trailing) = decode_pieces(value, body.chunks(size)).unwrap();
                assert!(out == plain, "{value}, {junk:?}");
                assert_eq!(trailing, junk.len() as u64, "{value}, {junk:?}");
            }
        }
    }
}

#[test]
fn every_field_of_a_gzip_header_is_passed_over_and_its_checksum_holds() {
    let good = seed("gzip-all-header-fields");
    assert_eq!(decode("gzip", &good).unwrap(), b"all header fields");
    // The flags of the last three are among the reserved ones.
    for (at, flip) in [(12, 1), (17, 1), (22, 1), (30, 1), (3, 0x20), (3, 0x40), (3, 0x80)] {
        let mut bad = good.clone();
        bad[at] ^= flip;
        assert_eq!(decode("gzip", &bad).unwrap_err().kind(), Kind::Decode, "byte {at}");
    }
    let mut stored = gzip(b"x");
    stored[2] = 0;
    assert_eq!(decode("gzip", &stored).unwrap_err().fields().causes[0].message, "unknown compression method");
    let empty_extra = [&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 0, 0], &gzip(b"x")[10..]].concat();
    assert_eq!(decode("gzip", &empty_extra).unwrap(), b"x");
}

// DEC-02 THR-226
#[test]
fn deflate_is_zlib_or_raw_whichever_its_first_two_bytes_say() {
    for plain in [&b""[..], b"x", &text(5_000)] {
        for wire in [zlib(plain), raw(plain)] {
            assert!(decode("deflate", &wire).unwrap() == plain);
            assert!(decode_pieces("deflate", [&wire[..1], &wire[1..]]).unwrap().0 == plain);
            assert!(decode_pieces("deflate", [&wire[..1], &wire[1..2], &wire[2..]]).unwrap().0 == plain);
        }
    }
    // Once it is zlib it stays zlib: a checksum that fails is not an invitation to try raw.
    let error = decode("deflate", &seed("deflate-dictionary")).unwrap_err();
    assert!(error.fields().causes[0].message.contains("dictionary"), "{error:?}");
}

// DEC-04 THR-229
#[test]
fn zstd_frames_are_joined_and_skippable_ones_skipped() {
    let body =
        [skippable(b"aside"), zstd(b"one"), skippable(&[7; 300]), zstd(b""), zstd(b"two"), skippable(b"")].concat();
    for size in [1, 2, 5, 64, body.len()] {
        assert_eq!(decode_pieces("zstd", body.chunks(size)).unwrap(), (b"onetwo".to_vec(), 0));
    }
    assert_eq!(decode("zstd", &skippable(b"nothing else")).unwrap(), b"");
    assert_eq!(decode("zstd", &body[..8]).unwrap_err().kind(), Kind::Decode);
}

// THR-229
#[test]
fn a_dictionary_is_refused_and_so_is_brotlis_large_window() {
    for header in [(0x21, &[3, 7][..]), (0x22, &[0, 7, 3]), (0x23, &[1, 0, 0, 7, 3]), (0x01, &[0x00, 7])] {
        let error = decode("zstd", &zstd_by_hand(header.0, header.1)).unwrap_err();
        assert_eq!(error.kind(), Kind::Decode);
        assert!(error.fields().causes[0].message.contains("dictionary"), "{error:?}");
    }
    // An id of 0 means that there is none (RFC 8878 §3.1.1.1.3).
    assert_eq!(decode("zstd", &zstd_by_hand(0x21, &[0, 3])).unwrap(), b"foo");
    let error = decode("br", &seed("br-large-window")).unwrap_err();
    assert!(error.fields().causes[0].message.contains("WINDOW"), "{error:?}");
}

// THR-228
#[test]
fn a_zstd_window_of_eight_mebibytes_is_the_largest() {
    let wires = |log: u8, eighths: u8| zstd_by_hand(0, &[(log - 10) << 3 | eighths]);
    for (log, eighths) in [(10, 0), (20, 7), (23, 0)] {
        assert_eq!(decode("zstd", &wires(log, eighths)).unwrap(), b"foo", "{log}+{eighths}/8");
    }
    let one_segment = zstd_by_hand(0xa0, &(9_u32 << 20).to_le_bytes());
    let with_content_size = zstd_by_hand(0x80, &[&[17 << 3][..], &3_u32.to_le_bytes()].concat());
    let refused =
        [wires(23, 1), wires(24, 0), wires(27, 0), wires(31, 0), wires(41, 7), one_segment, with_content_size];
    for wire in refused.iter().chain(iter::once(&seed("zstd-window-of-128-mebibytes"))) {
        for size in [1, wire.len()] {
            let error = decode_pieces("zstd", wire.chunks(size)).unwrap_err();
            assert_eq!((error.kind(), error.fields().extra.reason), (Kind::Decode, Some("ERR_DECODE_WINDOW")));
        }
    }
}

// THR-228
#[test]
fn a_frame_that_reaches_back_beyond_its_window_fares_the_same_in_any_pieces() {
    let part = text(150 * 1024);
    let mut numbers = Numbers(3);
    let noise: Vec<u8> = (0..500 * 1024).map(|_| numbers.below(256) as u8).collect();
    let plain = [&part[..], &noise, &part, &noise[..300 * 1024]].concat();
    let mut encoder = zstd_safe::CCtx::create();
    encoder.set_parameter(zstd_safe::CParameter::WindowLog(20)).unwrap();
    let mut wire = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    encoder.compress2(&mut wire, &plain).unwrap();
    assert_eq!((wire[4] & 0x20, wire[5]), (0, (20 - 10) << 3), "a frame with a window of 1 MiB");
    assert!(decode("zstd", &wire).unwrap() == plain);

    // The same matches, and a window of 128 KiB to find them in.
    wire[5] = (17 - 10) << 3;
    let whole = decode_pieces("zstd", [&wire[..]]);
    let mut roomy = Vec::with_capacity(plain.len() + 1);
    let mut it = decoder("zstd", &unlimited());
    let at_once = it.push(&wire, &mut roomy).and_then(|()| it.finish(&mut roomy));
    let in_pieces = decode_pieces("zstd", wire.chunks(1_000));
    assert!(whole.is_ok() == in_pieces.is_ok() && at_once.is_ok() == in_pieces.is_ok());
    if let (Ok((whole, _)), Ok((in_pieces, _))) = (whole, in_pieces) {
        assert!(whole == in_pieces && roomy == in_pieces);
    }
}
