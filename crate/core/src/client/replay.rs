//! The rule for sending a request again without asking anybody: only when the peer's kernel took no byte of it, once,
//! whatever the method (RFC 9112 §9.3.1 allows it since nothing was sent). Everything else is for `Retry` to judge.

/// What the peer has of a request that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Not a byte, as the tap counted, or as the peer itself said.
    Nothing,
    /// Some of it; or it is not to be sent again whatever the peer has.
    Something,
}

impl Taken {
    /// By the bytes that have gone out.
    pub(super) fn of(written: u64) -> Self {
        if written == 0 { Self::Nothing } else { Self::Something }
    }
}

/// `replays` is how often it was sent again before.
pub(super) fn is_allowed(taken: Taken, replays: u32) -> bool {
    taken == Taken::Nothing && replays < MOST_REPLAYS
}

const MOST_REPLAYS: u32 = 1;

#[cfg(test)]
mod tests {
    use super::{Taken, is_allowed};

    #[test]
    fn nothing_taken_is_replayed_once() {
        assert!(is_allowed(Taken::of(0), 0));
        assert!(!is_allowed(Taken::of(0), 1));
        assert!(!is_allowed(Taken::of(1), 0));
    }
}
