//! What a handle leads to, as JavaScript's thread knows it: a pool, a manager, or a pool of a manager's that somebody holds.

use std::sync::Arc;
use std::time::Instant;

use ferropool_core::manager::{Shelved, Shelves};
use ferropool_core::observe::stats::{PoolStats, Summary};
use ferropool_core::pool::Blueprint;
use ferropool_policy::origin::Origin;

use crate::engine::Work;

/// Enough to make it again should the I/O thread fall.
pub(crate) enum Entry {
    /// A pool of its own.
    Bare { blueprint: Box<Blueprint> },
    /// A manager. Its handle is its own as long as its user has it, or one of its pools: those find it by that.
    Manager { shelves: Arc<Shelves>, holders: u32 },
    /// A pool of a manager's that somebody holds.
    Held { manager: u32, shelved: Arc<Shelved> },
}

impl Entry {
    pub(crate) fn stats(&self) -> &Arc<PoolStats> {
        match self {
            Self::Bare { blueprint } => &blueprint.stats,
            Self::Manager { shelves, .. } => &shelves.stats,
            Self::Held { shelved, .. } => &shelved.stats,
        }
    }

    pub(crate) fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Bare { blueprint } => Some(&blueprint.origin),
            Self::Manager { .. } => None,
            Self::Held { shelved, .. } => Some(&shelved.origin),
        }
    }

    pub(crate) fn work(&self, handle: u32) -> Work {
        match self {
            Self::Bare { blueprint } => Work::Open(handle, blueprint.clone()),
            Self::Manager { shelves, .. } => Work::Manage(handle, Arc::clone(shelves)),
            Self::Held { manager, shelved } => Work::Hold { manager: *manager, handle, shelved: Arc::clone(shelved) },
        }
    }

    /// Everything that it counts.
    pub(crate) fn told(&self) -> serde_json::Value {
        let stats = self.stats();
        let sums = match self {
            Entry::Manager { shelves, .. } => shelves.roster.sums(),
            Entry::Bare { .. } | Entry::Held { .. } => stats.sums(),
        };
        let mut json = serde_json::json!({
            "live": sums.opened.saturating_sub(sums.closed),
            "idle": sums.idle,
            "leased": sums.leased,
            "waiting": sums.waiting,
            "opened": sums.opened,
            "closed": sums.closed,
            "reused": sums.reused,
            "surplus": sums.surplus,
            "discarded": sums.discarded,
            "poisoned": sums.poisoned,
            "staleReplays": sums.stale_replays,
            "abandoned": sums.abandoned,
            "repaired": sums.repaired,
            "trailingBytes": sums.trailing,
            "wireBytesIn": sums.wire_in,
            "wireBytesOut": sums.wire_out,
            "decodedBytes": sums.decoded,
            "requests": sums.requests,
            "errors": stats.errors(),
            "oldestInFlight": stats.oldest(Instant::now()).map(|age| age.as_secs_f64() * 1_000.0),
        });
        // How long calls take is known of all calls of a manager together.
        if !matches!(self, Entry::Held { .. }) {
            let [pool, headers, total] = stats.latency().map(|Summary { count, p50, p95, p99, max }| {
                serde_json::json!({ "count": count, "p50": p50, "p95": p95, "p99": p99, "max": max })
            });
            json["latency"] = serde_json::json!({ "pool": pool, "headers": headers, "total": total });
        }
        json
    }
}

/// A pool on a manager's shelf, as the facade hears of it.
pub(crate) fn about(shelved: &Shelved) -> serde_json::Value {
    let Shelved { id, origin, .. } = shelved;
    serde_json::json!({
        "id": id,
        "scheme": origin.scheme.name(),
        "host": origin.host,
        "port": origin.port,
    })
}
