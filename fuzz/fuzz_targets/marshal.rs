//! Any bytes as a batch of submissions and as a block of completions: nothing panics, no record is read past its end, and
//! what is copied to JavaScript is whole records. The same check runs over the seeds in
//! `crate/core/tests/marshal_seeds.rs`.
//!
//! An input is: the size of the slab in units of 8 bytes (16 bits, little endian), and then the records.
#![cfg_attr(fuzzing, no_main)]

use std::time::Instant;

use bytes::Bytes;
use ferropool_core::client::request::Payload;

#[path = "../../crate/binding/layout.rs"]
#[expect(dead_code, reason = "the part that describes itself to the generator is the addon's")]
mod layout;
#[path = "../../crate/binding/submission.rs"]
#[expect(dead_code, reason = "the target reads what it is given, and looks at a part of it")]
mod submission;

#[path = "../../crate/binding/marshal.rs"]
#[expect(dead_code, reason = "the part that writes completions is the addon's")]
mod marshal;
#[path = "../../crate/binding/telling.rs"]
mod telling;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| check(data));

/// Checks one input; panics when something does not hold.
pub(crate) fn check(data: &[u8]) {
    let Some((&[low, high], records)) = data.split_first_chunk() else { return };
    submissions(records);
    completions(records, usize::from(u16::from_le_bytes([low, high])) * 8);
}

fn submissions(records: &[u8]) {
    let mut batch = Bytes::copy_from_slice(records);
    let mut left = batch.len();
    while let Some(submission) = marshal::next_submission(&mut batch, Instant::now()) {
        assert!(batch.len() < left, "a record that takes nothing would come for ever");
        left = batch.len();
        if let Ok(submission::Submission::Request { request, .. }) = submission {
            let parts = request.url.len()
                + request.method.len()
                + match &request.body {
                    Payload::Whole(body) => body.len(),
                    _ => 0,
                };
            assert!(parts <= records.len() + 16, "{parts} bytes of {}", records.len());
        }
    }
}

fn completions(records: &[u8], room: usize) {
    let mut slab = vec![0xa5; room + 8];
    let taken = marshal::take_records(records, &mut slab[..room], 7);
    assert!(taken.bytes <= room.min(records.len()));
    assert!(slab[taken.bytes..].iter().all(|byte| *byte == 0xa5), "written past what was taken");
    let mut at = 0;
    while at < taken.bytes {
        let length = marshal::next_length(&slab[at..]);
        assert!(length >= layout::notice::FIXED && length.is_multiple_of(8) && at + length <= taken.bytes);
        at += length;
    }
}
