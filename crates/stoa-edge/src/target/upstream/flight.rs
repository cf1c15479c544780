//! One request under way at an endpoint.

use super::{care::Care, health::Cause, load::Moment, pool::Endpoint, set::Set};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_exchange::clock;

/// A request under way; counted until it is dropped.
pub(crate) struct Flight {
    pub(super) endpoint: Arc<Endpoint>,
    began: Instant,
    waits: bool,
    ended: bool,
    /// Whether it tries an endpoint that was left out.
    probe: bool,
}

impl Flight {
    pub(super) fn begin(endpoint: &Arc<Endpoint>, probe: bool) -> Self {
        let began = clock::now();
        endpoint.load.begin(Moment::of(began));
        Self {
            endpoint: endpoint.clone(),
            began,
            waits: true,
            ended: false,
            probe,
        }
    }

    /// A reply began.
    pub(super) fn answered(&mut self, care: &Care) {
        if let Some((took, now)) = self.over() {
            self.endpoint.load.answered(took, now);
            care.answered(&self.endpoint, Moment::of(self.began), now);
        }
    }

    /// There is no reply, or one that says that the endpoint fails.
    pub(super) fn failed(&mut self, care: &Care, set: &Set, cause: Cause) {
        if let Some((took, now)) = self.over() {
            let row = self.endpoint.load.failed(took, now);
            care.failed(set, &self.endpoint, (cause, row), self.probe, now);
        }
    }

    /// Its reply is over.
    pub(super) fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.endpoint.load.end();
            self.endpoint.pressure.free();
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
            if self.probe {
                self.endpoint.health.untried();
            }
        }
        self.end();
    }
}
