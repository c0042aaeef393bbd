//! The calls in flight in the order they were made: a list threaded through a slab, so that a call that ends in any
//! order costs two links.

use std::time::Instant;

/// Where a call stands; give it back with [`Calls::end`].
#[derive(Debug)]
pub struct Place(u32);

/// The calls in flight, oldest first.
#[derive(Debug)]
pub struct Calls {
    nodes: Vec<Node>,
    free: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    before: u32,
    after: u32,
    began: Option<Instant>,
}

impl Default for Calls {
    fn default() -> Self {
        // Node 0 ties the ends together: its `after` is the oldest, its `before` the youngest.
        Self { nodes: vec![Node { before: 0, after: 0, began: None }], free: Vec::new() }
    }
}

impl Calls {
    /// Enters a call as the youngest.
    pub fn begin(&mut self, began: Instant) -> Place {
        let youngest = self.nodes[0].before;
        let node = Node { before: youngest, after: 0, began: Some(began) };
        let at = if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            at
        } else {
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        };
        self.nodes[youngest as usize].after = at;
        self.nodes[0].before = at;
        Place(at)
    }

    /// Takes a call out; true if it was the oldest.
    pub fn end(&mut self, place: &Place) -> bool {
        let Node { before, after, .. } = self.nodes[place.0 as usize];
        self.nodes[before as usize].after = after;
        self.nodes[after as usize].before = before;
        self.nodes[place.0 as usize].began = None;
        self.free.push(place.0);
        before == 0
    }

    /// When the oldest call began.
    pub fn oldest(&self) -> Option<Instant> {
        self.nodes[self.nodes[0].after as usize].began
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_oldest_is_known_whatever_ends_first() {
        let t0 = Instant::now();
        let mut calls = Calls::default();
        let places: Vec<_> = (0..4).map(|n| calls.begin(t0 + Duration::from_secs(n))).collect();
        assert!(!calls.end(&places[1]));
        assert_eq!(calls.oldest(), Some(t0));
        assert!(calls.end(&places[0]));
        assert_eq!(calls.oldest(), Some(t0 + Duration::from_secs(2)));
        let again = calls.begin(t0 + Duration::from_secs(9));
        assert!(calls.end(&places[2]) && calls.end(&places[3]));
        assert_eq!(calls.oldest(), Some(t0 + Duration::from_secs(9)));
        assert!(calls.end(&again));
        assert_eq!(calls.oldest(), None);
    }
}
