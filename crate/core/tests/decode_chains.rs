//! Which codings a field names, in which order they come off, and what the errors say.

#[expect(dead_code, reason = "each file uses its part")]
mod decode_support;

use decode_support::{decode, decoder, gzip, raw, text, unlimited, zlib, zstd};
use ferropool_core::body::decode::Decoder;
use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::settings::Limits;

fn of(values: &[&str]) -> Result<Option<Decoder>, Error> {
    Decoder::new(values.iter().map(|value| value.as_bytes()), &Limits::default())
}

fn of_transfer(values: &[&str]) -> Result<Option<Decoder>, Error> {
    Decoder::of_transfer(values.iter().map(|value| value.as_bytes()), &Limits::default())
}

fn all(mut decoder: Decoder, wire: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    decoder.push(wire, &mut out)?;
    decoder.finish(&mut out)?;
    Ok(out)
}

// DEC-01 THR-219
#[test]
fn nothing_is_undone_without_a_known_coding() {
    let rows: [&[&str]; 12] = [
        &[],
        &[""],
        &["identity"],
        &["Identity, none"],
        &["none"],
        &[" , ,"],
        &["*"],
        &["utf-8"],
        &["snappy"],
        &["gzip;q=1"],
        &["compress"],
        &["a, b, c, d, e, f, g"],
    ];
    for values in rows {
        assert!(of(values).unwrap().is_none(), "{values:?}");
    }
}

// DEC-01 DEC-08 THR-219
#[test]
fn names_are_of_any_case_and_one_unknown_coding_leaves_the_body_as_it_is() {
    for known in
        ["gzip", "GZIP", "x-gzip", "X-GZip", "deflate", "Br", "zstd", "identity, gzip", "\tgzip ,", "none,gzip"]
    {
        assert!(of(&[known]).unwrap().is_some(), "{known}");
    }
    for mixed in ["gzip, snappy", "snappy, gzip", "gzip, *", "gzip, chunked"] {
        assert!(of(&[mixed]).unwrap().is_none(), "{mixed}");
    }
    assert!(of(&["gzip", "snappy"]).unwrap().is_none());
}

// DEC-07 THR-217
#[test]
fn codings_come_off_in_reverse_order_over_all_lines() {
    let plain = text(3_000);
    let wire = zstd(&gzip(&raw(&zlib(&plain))));
    for values in [&["deflate, deflate, gzip, zstd"][..], &["deflate", "deflate, gzip", "", "zstd"][..]] {
        assert_eq!(all(of(values).unwrap().unwrap(), &wire).unwrap(), plain);
    }
    let five = gzip(&gzip(&gzip(&gzip(&gzip(&plain)))));
    assert_eq!(decode("gzip,gzip,gzip,gzip,gzip", &five).unwrap(), plain);
    assert_eq!(decode("gzip, deflate", &wire).unwrap_err().kind(), Kind::Decode);
}

// DEC-07 THR-217
#[test]
fn a_chain_longer_than_the_limit_is_refused_before_anything_is_decoded() {
    let error = of(&["gzip, deflate, br, zstd", "gzip, deflate"]).err().unwrap();
    assert_eq!(error.kind(), Kind::Decode);
    assert_eq!(error.to_string(), "Too many content encodings in the chain: 6 > 5");
    assert_eq!(error.fields().extra.limit, Some(("codings", 5)));

    let line = ["gzip"; 10].join(",");
    let error = of(&vec![line.as_str(); 1_000]).err().unwrap();
    assert_eq!(error.to_string(), "Too many content encodings in the chain: 10000 > 5");

    let one = Limits { codings: 1, ..Limits::default() };
    assert!(Decoder::new([&b"gzip"[..]].into_iter(), &one).is_ok());
    assert!(Decoder::new([&b"gzip, br"[..]].into_iter(), &one).is_err());
    assert!(of(&["identity, identity, identity, identity, identity, gzip"]).unwrap().is_some());
}

// DEC-05 THR-231
#[test]
fn a_body_that_does_not_decode_says_which_coding_and_what_the_library_said() {
    for (coding, cause) in [
        ("gzip", "incorrect header check"),
        ("x-gzip", "incorrect header check"),
        ("deflate", "invalid"),
        ("br", "ERROR_FORMAT"),
        ("zstd", "unknown frame descriptor"),
    ] {
        let error = decode(coding, b"<!doctype html><p>plain").unwrap_err();
        assert_eq!(error.kind(), Kind::Decode, "{coding}");
        let said = &error.fields().causes[0].message;
        let message = format!("Received response with content-encoding: {coding}, but failed to decode it. ({said})");
        assert_eq!(error.to_string(), message);
        assert_eq!(error.fields().phase, Some(Phase::Body));
        let causes = &error.fields().causes;
        assert!(causes.len() == 1 && causes[0].message.contains(cause), "{coding}: {causes:?}");
    }
    let error = decode("deflate, gzip", &gzip(b"\xff\xff\xff")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Received response with content-encoding: deflate, gzip, but failed to decode it. ("),
        "{error}"
    );
}

#[test]
fn an_error_is_repeated_and_nothing_is_decoded_after_it() {
    let mut it = decoder("gzip", &unlimited());
    let mut out = Vec::new();
    let error = it.push(b"plain", &mut out).unwrap_err();
    assert_eq!(it.push(&gzip(b"late"), &mut out).unwrap_err(), error);
    assert_eq!(it.step(&gzip(b"late"), &mut out, 10).unwrap_err(), error);
    assert_eq!(it.finish(&mut out).unwrap_err(), error);
    assert!(out.is_empty());
}

// THR-231
// DEC-13
#[test]
fn the_field_is_read_once_a_response_and_a_refused_chain_can_be_tried_again() {
    let limits = Limits { codings: 1, ..Limits::default() };
    let read = std::cell::Cell::new(0);
    let values = || {
        ["gzip", "deflate"].iter().map(|value| {
            read.set(read.get() + 1);
            value.as_bytes()
        })
    };
    assert!(Decoder::new(values(), &limits).is_err());
    assert_eq!(read.replace(0), 2);

    // Nothing of the refusal is left behind, and the decoder keeps what it was told: no field is looked at for a piece.
    let mut decoder = Decoder::new(values(), &Limits::default()).unwrap().unwrap();
    assert_eq!(read.get(), 2);
    let (wire, mut out) = (zlib(&gzip(b"coded twice")), Vec::new());
    for byte in &wire {
        decoder.push(std::slice::from_ref(byte), &mut out).unwrap();
    }
    decoder.finish(&mut out).unwrap();
    assert_eq!(out, b"coded twice");
    assert_eq!(read.get(), 2);
}

#[test]
fn a_body_without_a_byte_is_fine_under_any_coding() {
    for chain in ["gzip", "deflate", "br", "zstd", "gzip, br", "deflate, zstd, gzip"] {
        assert_eq!(decode(chain, b"").unwrap(), b"", "{chain}");
    }
    assert_eq!(decode("gzip, gzip", &gzip(b"")).unwrap(), b"");
}

// THR-236
#[test]
fn transfer_codings_are_undone_or_refused_and_never_passed_on() {
    let plain = text(500);
    for values in [&["gzip, chunked"][..], &["gzip", "chunked"][..], &["X-GZIP , Chunked"][..], &["gzip"][..]] {
        assert_eq!(all(of_transfer(values).unwrap().unwrap(), &gzip(&plain)).unwrap(), plain, "{values:?}");
    }
    let both = of_transfer(&["deflate, gzip, chunked"]).unwrap().unwrap();
    assert_eq!(all(both, &gzip(&zlib(&plain))).unwrap(), plain);
    for values in [&["chunked"][..], &[][..], &["identity, chunked"][..]] {
        assert!(of_transfer(values).unwrap().is_none(), "{values:?}");
    }
    for value in ["compress, chunked", "chunked, gzip", "chunked, chunked", "br, chunked", "x\r\n, chunked"] {
        let error = of_transfer(&[value]).err().expect(value);
        assert_eq!((error.kind(), error.fields().extra.reason), (Kind::Decode, Some("ERR_TRANSFER_CODING")));
        assert!(!error.to_string().contains('\r'), "{error}");
    }
    let error = of_transfer(&["gzip,gzip,gzip,gzip,gzip,gzip,chunked"]).err().unwrap();
    assert_eq!(error.to_string(), "Too many transfer encodings in the chain: 6 > 5");
    let error = all(of_transfer(&["gzip, chunked"]).unwrap().unwrap(), b"plain").unwrap_err();
    assert!(
        error.to_string().starts_with("Received response with transfer-encoding: gzip, but failed to decode it. ("),
        "{error}"
    );
}

// THR-236
#[test]
fn transfer_codings_come_off_before_content_codings() {
    let plain = text(500);
    let both = || of_transfer(&["gzip, chunked"]).unwrap().unwrap().then(of(&["zstd"]).unwrap().unwrap());
    assert_eq!(all(both(), &gzip(&zstd(&plain))).unwrap(), plain);
    let error = all(both(), &gzip(b"not zstd")).unwrap_err();
    assert!(
        error.to_string().starts_with("Received response with content-encoding: zstd, but failed to decode it. ("),
        "{error}"
    );
    let error = all(both(), b"not gzip").unwrap_err();
    assert!(
        error.to_string().starts_with("Received response with transfer-encoding: gzip, but failed to decode it. ("),
        "{error}"
    );
}

#[test]
fn a_decoder_goes_from_thread_to_thread() {
    fn is_send<T: Send>(_: &T) {}
    let mut it = decoder("gzip, deflate, br, zstd", &unlimited());
    is_send(&it);
    std::thread::spawn(move || it.finish(&mut Vec::new())).join().unwrap().unwrap();
}
