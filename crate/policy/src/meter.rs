//! What a response's body has cost so far, against what it may cost. Pure accounting: whoever moves the bytes reports
//! them here, and stops when told to. Counting the head's bytes is not done here: it happens before there is a body.

use crate::error::{Error, Kind, Phase};
use crate::settings::Limits;

/// The account of one body.
///
/// A body that is not decoded reports each byte twice, once as received and once as given out.
#[derive(Clone, Debug)]
pub struct Meter {
    wire: u64,
    decoded: u64,
    most_wire: Option<u64>,
    most_decoded: Option<u64>,
    ratio: Option<f64>,
}

impl Meter {
    /// An empty account under these limits.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { wire: 0, decoded: 0, most_wire: limits.wire, most_decoded: limits.decoded, ratio: limits.ratio }
    }

    /// So many more bytes came from the wire.
    ///
    /// Fails with [`Kind::TooLarge`], limit `wire`.
    pub fn wire(&mut self, bytes: usize) -> Result<(), Error> {
        self.wire = self.wire.saturating_add(bytes as u64);
        match self.most_wire {
            Some(most) if self.wire > most => Err(passed("wire", most, "bytes on the wire")),
            _ => Ok(()),
        }
    }

    /// So many more bytes are given out.
    ///
    /// Fails with [`Kind::TooLarge`], limit `decoded` or `ratio`.
    pub fn decoded(&mut self, bytes: usize) -> Result<(), Error> {
        self.decoded = self.decoded.saturating_add(bytes as u64);
        self.judge(self.decoded)
    }

    /// Would a body of so many decoded bytes, from the wire bytes received so far, be within the limits? Also asked
    /// about what passes between two codings of a chain: a bomb there costs time even when nothing comes out at the end.
    pub fn judge(&self, decoded: u64) -> Result<(), Error> {
        if let Some(most) = self.most_decoded
            && decoded > most
        {
            return Err(passed("decoded", most, "bytes after decoding"));
        }
        match self.ratio {
            Some(ratio) if decoded > RATIO_FROM && decoded as f64 > ratio * self.wire as f64 => {
                Err(passed("ratio", ratio as u64, "decoded bytes for each byte on the wire"))
            }
            _ => Ok(()),
        }
    }

    /// How many more bytes may be given out; [`u64::MAX`] without a limit.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.most_decoded.map_or(u64::MAX, |most| most.saturating_sub(self.decoded))
    }
}

fn passed(limit: &'static str, most: u64, of_what: &str) -> Error {
    Error::new(Kind::TooLarge, format!("the response has more than {most} {of_what}"))
        .with_limit(limit, most)
        .in_phase(Phase::Body)
}

/// A small body may well be very regular, and costs little: the ratio is judged past this many decoded bytes.
const RATIO_FROM: u64 = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn limits(wire: Option<u64>, decoded: Option<u64>, ratio: Option<f64>) -> Limits {
        Limits { wire, decoded, ratio, ..Limits::default() }
    }

    fn limit_of(outcome: Result<(), Error>) -> (&'static str, u64) {
        let error = outcome.expect_err("within the limits");
        assert_eq!(error.kind(), Kind::TooLarge);
        error.fields().extra.limit.expect("no limit named")
    }

    #[test]
    fn a_limit_itself_is_allowed_and_one_more_is_not() {
        let mut meter = Meter::new(&limits(Some(10), Some(20), None));
        meter.wire(10).unwrap();
        meter.decoded(20).unwrap();
        assert_eq!((meter.wire, meter.decoded, meter.left()), (10, 20, 0));
        assert_eq!(limit_of(meter.wire(1)), ("wire", 10));
        assert_eq!(limit_of(meter.decoded(1)), ("decoded", 20));
        assert_eq!(meter.left(), 0);
    }

    #[test]
    fn the_ratio_is_judged_past_eight_mebibytes() {
        let mut meter = Meter::new(&limits(None, None, Some(1_100.0)));
        meter.wire(1).unwrap();
        meter.decoded(8 * MIB).unwrap();
        assert_eq!(limit_of(meter.decoded(1)), ("ratio", 1_100));
        meter.wire(8 * MIB / 1_100).unwrap();
        meter.decoded(1).unwrap();
    }

    #[test]
    fn what_passes_between_two_codings_is_judged_without_being_counted() {
        let mut meter = Meter::new(&limits(None, Some(100), Some(10.0)));
        meter.wire(1).unwrap();
        meter.judge(100).unwrap();
        assert_eq!(limit_of(meter.judge(101)), ("decoded", 100));
        assert_eq!(meter.decoded, 0);
    }

    #[test]
    fn without_limits_nothing_is_refused() {
        let mut meter = Meter::new(&limits(None, None, None));
        meter.decoded(usize::MAX).unwrap();
        meter.decoded(usize::MAX).unwrap();
        meter.wire(usize::MAX).unwrap();
        assert_eq!((meter.decoded, meter.left()), (u64::MAX, u64::MAX));
    }
}
