//! urllib3's outcomes for coded bodies read whole, and where ours differ on purpose.

#[expect(dead_code, reason = "each file uses its part")]
mod decode_support;

use decode_support::{base64, unlimited};
use ferropool_core::body::decode::Decoder;
use ferropool_policy::error::Kind;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    content_encoding: Option<String>,
    wire: String,
    preload: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    Value(String),
    Error(Failure),
}

#[derive(Deserialize)]
struct Failure {
    message: String,
}

/// What we do where urllib3 does something else.
enum Ours {
    /// Kind decode: a body that was cut short is never given out as if it were whole (WART-05).
    CutShort,
    /// Decoded: what follows the coded data is ignored, whatever the coding; so many bytes were.
    Junk(&'static [u8], u64),
    /// Decoded: members of the list that stand for no coding are dropped (WART-05).
    Decoded(&'static [u8]),
    /// As received: a coding in the list is unknown (WART-05).
    Untouched,
}

fn ours(name: &str) -> Option<Ours> {
    Some(match name {
        "gzip truncated body" | "gzip truncated trailer" | "deflate truncated" | "br truncated" => Ours::CutShort,
        "br + tail" | "zstd + tail" => Ours::Junk(&[b'A'; 100], 4),
        // Blanks around a field's value are no part of it (RFC 9110 §5.5); urllib3 was handed them by hand.
        "gzip, identity" | "gzip," | ", gzip" | "gzip with spaces" => Ours::Decoded(b"foo"),
        "unknown, gzip" => Ours::Untouched,
        _ => return None,
    })
}

type Body = Result<(Vec<u8>, u64), (Kind, String)>;

fn read_whole(case: &Case) -> Body {
    let wire = base64(&case.wire);
    let values = case.content_encoding.as_deref().map(str::as_bytes);
    let attempt = || {
        let Some(mut decoder) = Decoder::new(values.into_iter(), &unlimited())? else {
            return Ok((wire.clone(), 0));
        };
        let mut out = Vec::new();
        decoder.push(&wire, &mut out)?;
        decoder.finish(&mut out)?;
        Ok((out, decoder.trailing()))
    };
    attempt().map_err(|error: ferropool_policy::error::Error| (error.kind(), error.to_string()))
}

// DEC-01 DEC-02 DEC-03 DEC-04 DEC-05 DEC-06 DEC-07 DEC-08 WART-05
#[test]
fn bodies_read_whole_decode_as_in_urllib3() {
    let vectors: Vectors = serde_json::from_str(include_str!("../../../__test__/vectors/decode.json")).unwrap();
    let mut differing = 0;
    for case in &vectors.cases {
        let body = read_whole(case);
        let name = &case.name;
        match (ours(name), &case.preload) {
            (None, Outcome::Value(value)) => {
                assert_eq!(body.as_ref().map(|(out, _)| out), Ok(&base64(value)), "{name}");
            }
            (None, Outcome::Error(failure)) => {
                let (kind, message) = body.expect_err(name);
                assert_eq!(kind, Kind::Decode, "{name}");
                let theirs = &failure.message;
                // Its words; the decoder's own follow in brackets, as urllib3's follow in its tuple.
                let message = message.split_inclusive("failed to decode it.").next().unwrap_or_default();
                // "Zstandard data is incomplete" is what urllib3 says of zstd alone.
                assert!(theirs.contains(message) || name == "zstd truncated", "{name}: {message}; theirs {theirs}");
            }
            (Some(ours), theirs) => {
                differing += 1;
                match ours {
                    Ours::CutShort => {
                        assert_eq!(body.clone().expect_err(name).0, Kind::Decode, "{name}");
                    }
                    Ours::Junk(out, count) => assert_eq!(body, Ok((out.to_vec(), count)), "{name}"),
                    Ours::Decoded(out) => assert_eq!(body, Ok((out.to_vec(), 0)), "{name}"),
                    Ours::Untouched => assert_eq!(body, Ok((base64(&case.wire), 0)), "{name}"),
                }
                let same = match theirs {
                    Outcome::Value(value) => body.is_ok_and(|(out, _)| out == base64(value)),
                    Outcome::Error(_) => body.is_err(),
                };
                assert!(!same, "{name} is listed as differing and does not");
            }
        }
    }
    assert_eq!((vectors.cases.len(), differing), (48, 11));
}
