//! What is the same for every host of a manager: how sockets are made, and which addresses are denied. Plans of equal rules
//! share them, or a manager of tens of thousands of pools would hold as many copies.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use ferropool_policy::deny::DenyList;
use ferropool_policy::error::Error;
use ferropool_policy::settings::PoolSettings;

use super::tcp::Sockets;

/// What holds for each dial of a plan, wherever it leads.
#[derive(Debug, PartialEq)]
pub(super) struct Rules {
    pub(super) sockets: Sockets,
    /// `None` where there is no list.
    pub(super) denied: Option<DenyList>,
}

impl Rules {
    /// Those of these settings.
    ///
    /// # Errors
    /// Those of [`Sockets::new`] and [`DenyList::of`].
    pub(super) fn of(settings: &PoolSettings) -> Result<Arc<Self>, Error> {
        let listed = !settings.deny_addresses.is_empty();
        let denied = listed.then(|| DenyList::of(&settings.deny_addresses)).transpose()?;
        Ok(shared(Self { sockets: Sockets::new(settings)?, denied }))
    }

    /// Those of these settings where nothing is denied.
    ///
    /// # Errors
    /// Those of [`Sockets::new`].
    pub(super) fn unjudged(settings: &PoolSettings) -> Result<Arc<Self>, Error> {
        Ok(shared(Self { sockets: Sockets::new(settings)?, denied: None }))
    }
}

fn shared(rules: Rules) -> Arc<Rules> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner).share(rules)
}

/// The last rules of this process. Pools are made in runs, by the same managers, so a few are enough.
struct Recent([Weak<Rules>; 8]);

impl Recent {
    const fn new() -> Self {
        Self([const { Weak::new() }; 8])
    }

    /// These, or equal ones that are there already.
    fn share(&mut self, rules: Rules) -> Arc<Rules> {
        if let Some(same) = self.0.iter().filter_map(Weak::upgrade).find(|other| **other == rules) {
            return same;
        }
        let rules = Arc::new(rules);
        self.0.rotate_right(1);
        self.0[0] = Arc::downgrade(&rules);
        rules
    }
}

static RECENT: Mutex<Recent> = Mutex::new(Recent::new());

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(denied: &[&str]) -> Rules {
        let entries: Vec<_> = denied.iter().map(|&entry| entry.to_owned()).collect();
        let sockets = Sockets::new(&PoolSettings::default()).unwrap();
        Rules { sockets, denied: (!entries.is_empty()).then(|| DenyList::of(&entries).unwrap()) }
    }

    #[test]
    fn equal_rules_are_one_and_others_are_not() {
        let mut recent = Recent::new();
        let (plain, judged) = (recent.share(rules(&[])), recent.share(rules(&["private"])));
        assert!(!Arc::ptr_eq(&plain, &judged));
        for _ in 0..20 {
            assert!(Arc::ptr_eq(&plain, &recent.share(rules(&[]))));
            assert!(Arc::ptr_eq(&judged, &recent.share(rules(&["private"]))));
        }
        let others: Vec<_> = (0..8).map(|n| recent.share(rules(&[&format!("::{n}")]))).collect();
        assert!(!Arc::ptr_eq(&plain, &recent.share(rules(&[]))), "forgotten, and right all the same");
        assert_eq!(*plain, *recent.share(rules(&[])));
        drop(others);
    }
}
