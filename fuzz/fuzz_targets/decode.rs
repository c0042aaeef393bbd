//! Any bytes under any chain of codings: decoded in steps they give what they give in one go, nothing passes the limit,
//! and no step stands still. The same check runs over the seeds in `crate/core/tests/decode_seeds.rs`.
//!
//! An input is: how many codings, which ones, the limit in units of 64 bytes (16 bits, little endian), a number from
//! which the pieces follow, and then the body.
#![cfg_attr(fuzzing, no_main)]

use ferropool_core::body::decode::Decoder;
use ferropool_policy::settings::Limits;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| check(data));

/// The names that an input's numbers stand for.
const CODINGS: [&str; 5] = ["gzip", "x-gzip", "deflate", "br", "zstd"];

/// What an input asks for.
struct Plan<'a> {
    /// The Content-Encoding field's value.
    chain: String,
    /// The `decoded` limit in bytes.
    limit: u64,
    /// What the sizes of the pieces follow from.
    pieces: u8,
    /// The body as the wire has it.
    body: &'a [u8],
}

impl<'a> Plan<'a> {
    /// `None`: too short to be one.
    fn read(data: &'a [u8]) -> Option<Self> {
        let (&count, rest) = data.split_first()?;
        let (chain, rest) = rest.split_at_checked(usize::from(count % 6))?;
        let (&[low, high, pieces], body) = rest.split_first_chunk()?;
        let names: Vec<&str> = chain.iter().map(|&coding| CODINGS[usize::from(coding) % CODINGS.len()]).collect();
        let limit = u64::from(u16::from_le_bytes([low, high])) * 64;
        Some(Self { chain: names.join(","), limit, pieces, body })
    }

    /// A new decoder for it.
    #[expect(clippy::expect_used, reason = "a check says what does not hold by its panic")]
    fn decoder(&self) -> Option<Decoder> {
        let limits = Limits { decoded: Some(self.limit), ratio: None, ..Limits::default() };
        Decoder::new(std::iter::once(self.chain.as_bytes()), &limits).expect("five codings are allowed")
    }
}

/// Checks one input; panics when something does not hold.
pub(crate) fn check(data: &[u8]) {
    let Some(plan) = Plan::read(data) else { return };
    let Some(mut whole) = plan.decoder() else {
        return;
    };
    let mut at_once = Vec::new();
    let outcome = whole.push(plan.body, &mut at_once).and_then(|()| whole.finish(&mut at_once));
    assert!(at_once.len() as u64 <= plan.limit, "{} bytes past a limit of {}", at_once.len(), plan.limit);

    let mut in_steps = Vec::new();
    let stepwise = step_through(&plan, &mut in_steps);
    assert!(in_steps.len() as u64 <= plan.limit, "{} bytes past a limit of {}", in_steps.len(), plan.limit);
    match (outcome, stepwise) {
        (Ok(()), Ok(trailing)) => {
            assert_eq!(at_once, in_steps);
            assert_eq!(whole.trailing(), trailing);
        }
        // How much comes out before a library notices depends on the pieces; what comes out does not.
        (Err(_), Err(_)) => {
            let common = at_once.len().min(in_steps.len());
            assert_eq!(at_once[..common], in_steps[..common]);
        }
        (outcome, stepwise) => panic!("at once {outcome:?}, in steps {stepwise:?}"),
    }
}

#[expect(clippy::expect_used, reason = "a check says what does not hold by its panic")]
fn step_through(plan: &Plan<'_>, out: &mut Vec<u8>) -> Result<u64, ferropool_policy::error::Error> {
    let mut decoder = plan.decoder().expect("made before");
    let mut numbers = u32::from(plan.pieces);
    let mut next = |most: usize| {
        numbers = numbers.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (numbers >> 16) as usize % most + 1
    };
    let (mut at, mut pending) = (0, false);
    while at < plan.body.len() || pending {
        let piece = &plan.body[at..plan.body.len().min(at + next(if plan.pieces & 1 == 0 { 4 } else { 300 }))];
        let most = next(if plan.pieces & 2 == 0 { 16 } else { 5_000 });
        let before = out.len();
        let step = decoder.step(piece, out, most)?;
        assert_eq!(out.len() - before, step.produced);
        assert!(step.produced <= most && step.consumed <= piece.len());
        assert!(step.consumed > 0 || step.produced > 0 || piece.is_empty(), "a step stands still");
        assert!(step.consumed == piece.len() || step.produced == most, "a step ends early");
        at += step.consumed;
        pending = step.more_output_pending;
    }
    decoder.finish(out)?;
    Ok(decoder.trailing())
}
