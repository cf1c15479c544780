//! One request under way at an endpoint.

use super::{load::Moment, pool::Endpoint};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_exchange::clock;

/// A request under way; counted until it is dropped.
pub(crate) struct Flight {
    endpoint: Arc<Endpoint>,
    began: Instant,
    waits: bool,
}

impl Flight {
    pub(super) fn begin(endpoint: &Arc<Endpoint>) -> Self {
        let began = clock::now();
        endpoint.load.begin(Moment::of(began));
        Self {
            endpoint: endpoint.clone(),
            began,
            waits: true,
        }
    }

    /// A reply began.
    pub(super) fn answered(&mut self) {
        if let Some((took, now)) = self.over() {
            self.endpoint.load.answered(took, now);
        }
    }

    /// There is no reply, or one that says that the endpoint fails.
    pub(super) fn failed(&mut self) {
        if let Some((took, now)) = self.over() {
            self.endpoint.load.failed(took, now);
        }
    }

    fn over(&mut self) -> Option<(Duration, Moment)> {
        let now = clock::now();
        std::mem::take(&mut self.waits).then(|| (now.duration_since(self.began), Moment::of(now)))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.waits {
            self.endpoint.load.left();
        }
        self.endpoint.load.end();
    }
}
