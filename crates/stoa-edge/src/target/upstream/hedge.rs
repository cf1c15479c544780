//! A second try beside the first, when that takes longer than most do. Whichever answers first is the reply.

use super::{
    Call, Service,
    balance::Ask,
    outbound::Head,
    pool::Endpoint,
    retry::{Tries, is_passing},
    send::{Attempt, Outcome},
    set::Pick,
};
use crate::target::upstream::load::Moment;
use futures_util::future::{Either, select};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use stoa_config::plan::HedgeAfter;
use stoa_exchange::{Body, clock};

/// How far one reply moves the estimate of a percentile.
const STEP: f32 = 0.05;
/// Nobody is asked twice earlier than this.
const LEAST: Duration = Duration::from_millis(1);

/// When a service is asked a second time.
#[derive(Debug)]
pub(super) struct Hedge {
    after: HedgeAfter,
    /// The percentile of its latency in milliseconds, as bits; 0 before the first reply.
    estimate: AtomicU32,
}

impl Hedge {
    pub(super) fn new(after: HedgeAfter) -> Self {
        Self {
            after,
            estimate: AtomicU32::new(0),
        }
    }

    /// A reply began after this time. The estimate rises by a little for each that took longer and falls by less for the others,
    /// so that it comes to rest where the right part of them takes longer.
    pub(super) fn observe(&self, took: Duration) {
        let HedgeAfter::Percentile(percentile) = self.after else {
            return;
        };
        let (took, part) = (took.as_secs_f32() * 1000.0, f32::from(percentile) / 100.0);
        let known = f32::from_bits(self.estimate.load(Relaxed));
        let next = match (known > 0.0, took > known) {
            (false, _) => took,
            (true, true) => known * (1.0 + STEP * part),
            (true, false) => known * (1.0 - STEP * (1.0 - part)),
        };
        self.estimate.store(next.max(0.001).to_bits(), Relaxed);
    }

    fn after(&self) -> Option<Duration> {
        match self.after {
            HedgeAfter::Time(time) => Some(time),
            HedgeAfter::Percentile(_) => {
                let known = f32::from_bits(self.estimate.load(Relaxed));
                (known > 0.0).then(|| Duration::from_secs_f32(known / 1000.0).max(LEAST))
            }
        }
    }
}

/// A try, and what a second one beside it needs.
pub(super) struct First<'s, 'r> {
    pub(super) service: &'s Service,
    pub(super) call: &'r Call<'r>,
    pub(super) head: &'r Head<'r>,
    pub(super) endpoint: &'s Arc<Endpoint>,
    pub(super) tries: &'r Tries,
    pub(super) ask: &'r Ask,
    pub(super) probe: bool,
}

impl<'s: 'r, 'r> First<'s, 'r> {
    /// Makes the try, and another one beside it where the service wants that. With the endpoint whose outcome it is.
    pub(super) async fn run(self, body: Body) -> (Outcome, &'s Arc<Endpoint>) {
        let hedge = self.service.hedge.as_ref();
        let after = hedge
            .filter(|_| self.tries.replayable && !self.probe)
            .and_then(Hedge::after);
        match after {
            None => (
                self.attempt(self.endpoint, self.probe).run(body).await,
                self.endpoint,
            ),
            // In a box, so that requests that never have a second one are no larger for it.
            Some(after) => Box::pin(self.beside(body, after)).await,
        }
    }

    async fn beside(self, body: Body, after: Duration) -> (Outcome, &'s Arc<Endpoint>) {
        let attempt = self.attempt(self.endpoint, false);
        let first = pin!(attempt.run(body));
        let first = match select(first, pin!(tokio::time::sleep(after))).await {
            Either::Left((outcome, _)) => return (outcome, self.endpoint),
            Either::Right(((), first)) => first,
        };
        let Some(other) = self.other() else {
            return (first.await, self.endpoint);
        };
        let attempt = self.attempt(other, false);
        let second = pin!(attempt.run(self.tries.body()));
        // The one that is not waited for is dropped, and its connection with it: the service learns that nobody listens.
        match select(first, second).await {
            Either::Left((outcome, _)) if is_good(&outcome) => (outcome, self.endpoint),
            Either::Right((outcome, _)) if is_good(&outcome) => (outcome, other),
            Either::Left((outcome, second)) => match second.await {
                better if is_good(&better) => (better, other),
                _ => (outcome, self.endpoint),
            },
            Either::Right((_, first)) => (first.await, self.endpoint),
        }
    }

    fn attempt(&self, endpoint: &'r Arc<Endpoint>, probe: bool) -> Attempt<'r> {
        Attempt {
            service: self.service,
            endpoint,
            call: self.call,
            head: self.head,
            probe,
            replayable: self.tries.replayable,
            began: clock::now(),
        }
    }

    /// Another endpoint, when there is one and the budget for retries allows it.
    fn other(&self) -> Option<&'s Arc<Endpoint>> {
        let service = self.service;
        let mut tried = self.tries.tried.clone();
        tried.push(self.endpoint.clone());
        let endpoint = match service
            .set
            .pick(&*service.balance, &tried, self.ask, service.rules)
        {
            Pick::To(endpoint) => endpoint,
            Pick::Probe(endpoint) => {
                endpoint.health.untried();
                return None;
            }
            Pick::Refused | Pick::Full | Pick::Spent => return None,
        };
        let budget = service.retry.map_or(0, |retry| retry.budget_percent);
        service.pressure.hedge(budget, Moment::now()).then_some(endpoint)
    }
}

fn is_good(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Reply(answer) if !is_passing(answer.reply.status()))
}

#[cfg(test)]
mod tests;
