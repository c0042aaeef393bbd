//! What the tests of decoding share.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]
use std::io::Write;

use ferropool_core::body::decode::Decoder;
use ferropool_policy::error::Error;
use ferropool_policy::settings::Limits;

/// Every limit off but the number of codings.
pub(crate) fn unlimited() -> Limits {
    Limits { wire: None, decoded: None, ratio: None, ..Limits::default() }
}

/// A decoder for this field value, which must have something to undo.
pub(crate) fn decoder(value: &str, limits: &Limits) -> Decoder {
    Decoder::new(std::iter::once(value.as_bytes()), limits).expect("too long").expect("nothing to undo")
}

/// The whole body at once.
pub(crate) fn decode(value: &str, wire: &[u8]) -> Result<Vec<u8>, Error> {
    decode_pieces(value, [wire]).map(|(out, _)| out)
}

/// The body in these pieces; also the count of ignored bytes.
pub(crate) fn decode_pieces<'a>(
    value: &str,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, u64), Error> {
    let mut decoder = decoder(value, &unlimited());
    let mut out = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut out)?;
    }
    decoder.finish(&mut out)?;
    Ok((out, decoder.trailing()))
}

/// One gzip member.
pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A zlib stream.
pub(crate) fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A raw deflate stream.
pub(crate) fn raw(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// One zstd frame, in one segment.
pub(crate) fn zstd(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    zstd_safe::compress(&mut out, plain, 3).unwrap();
    out
}

/// A zstd frame by hand: this descriptor, these header bytes, and one raw block of three bytes.
pub(crate) fn zstd_by_hand(descriptor: u8, header: &[u8]) -> Vec<u8> {
    [&[0x28, 0xb5, 0x2f, 0xfd, descriptor], header, &[0x19, 0, 0], b"foo"].concat()
}

/// A zstd skippable frame.
pub(crate) fn skippable(content: &[u8]) -> Vec<u8> {
    [&[0x57, 0x2a, 0x4d, 0x18], &(content.len() as u32).to_le_bytes()[..], content].concat()
}

/// The body of one of the fuzz target's seeds.
pub(crate) fn seed(name: &str) -> Vec<u8> {
    let path = format!("{}/../../fuzz/seeds/decode/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).expect("a seed");
    bytes[usize::from(bytes[0] % 6) + 4..].to_vec()
}

/// Some text of this length that compresses about as text does.
pub(crate) fn text(length: usize) -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "pool",
        "connection",
        "request",
        "response",
        "header",
        "body",
        "chunk",
        "retry",
        "proxy",
        "socket",
        "limit",
        "the",
    ];
    let mut out = Vec::with_capacity(length + 16);
    let mut numbers = Numbers(7);
    while out.len() < length {
        out.extend_from_slice(WORDS[numbers.below(WORDS.len())].as_bytes());
        out.push(if numbers.below(9) == 0 { b'\n' } else { b' ' });
    }
    out.truncate(length);
    out
}

/// Numbers that are the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// The next one, below `most`.
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}

/// The standard alphabet; the vectors use no other.
pub(crate) fn base64(text: &str) -> Vec<u8> {
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes().filter(|&byte| byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => panic!("not base64: {text}"),
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}
