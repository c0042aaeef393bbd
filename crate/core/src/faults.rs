//! Places that a test can make panic. Compiled only with the feature `faults`, never into a published binary.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

static ARMED: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);

/// Makes the named place panic the next `times` it is reached.
pub fn arm(place: &str, times: u32) {
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    armed.get_or_insert_default().insert(place.to_owned(), times);
}

/// Panics if the place was armed.
///
/// # Panics
///
/// That is what it is for.
pub fn trip(place: &str) {
    let tripped = {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        match armed.as_mut().and_then(|armed| armed.get_mut(place)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    };
    assert!(!tripped, "fault injected at '{place}'");
}
