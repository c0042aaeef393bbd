//! The rule for sending a request again without asking anybody: only when the peer's kernel took no byte of it, once,
//! whatever the method (RFC 9112 §9.3.1 allows it since nothing was sent). Everything else is for `Retry` to judge.

/// `accepted` is what the tap counted of the request; `replays` how often it was sent again before.
pub(super) fn is_allowed(accepted: u64, replays: u32) -> bool {
    accepted == 0 && replays < MOST_REPLAYS
}

const MOST_REPLAYS: u32 = 1;

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn nothing_accepted_is_replayed_once() {
        assert!(is_allowed(0, 0));
        assert!(!is_allowed(0, 1));
        assert!(!is_allowed(1, 0));
    }
}
