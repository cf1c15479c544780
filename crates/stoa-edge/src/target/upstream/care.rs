//! Takes endpoints that fail out of use and brings them back.

use super::{
    health::Cause,
    load::Moment,
    pool::Endpoint,
    set::{Member, Set},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use stoa_config::plan::{self, Eject, NoneLeft};
use stoa_exchange::{EndpointTurn, Observer};

/// Connections in a row that cannot be made before an endpoint is left out: there is little to be mistaken about.
const UNREACHABLE_MAX: u32 = 2;
/// An endpoint is silent when so many requests wait for it, nothing was heard for so long, and for so many times its own
/// latency, while another one answered.
const SILENT_WAITING: u32 = 3;
const SILENT_AFTER: Duration = Duration::from_secs(2);
const SILENT_TIMES: f32 = 10.0;

/// How a service cares for its endpoints.
pub(crate) struct Care {
    service: Arc<str>,
    eject: Option<Eject>,
    observer: Arc<dyn Observer>,
    /// One decision at a time, so that two workers do not eject more than the most together.
    deciding: Mutex<()>,
}

impl Care {
    pub(super) fn new(service: &Arc<str>, upstream: &plan::Upstream, observer: &Arc<dyn Observer>) -> Self {
        Self {
            service: service.clone(),
            eject: upstream.eject,
            observer: observer.clone(),
            deciding: Mutex::default(),
        }
    }

    /// Whether requests are refused when no endpoint is in use.
    pub(super) fn refuses(&self) -> bool {
        self.eject
            .is_some_and(|eject| eject.none_left == NoneLeft::Refuse)
    }

    /// A request that began then was answered.
    pub(super) fn answered(&self, endpoint: &Endpoint, began: Moment, now: Moment) {
        if endpoint.health.is_out() && endpoint.health.answered(began, now) {
            self.tell(endpoint, true, "it answers");
        }
    }

    /// A request failed, as did the `row` of them before it. `probe`: it was sent to try the endpoint.
    pub(super) fn failed(
        &self,
        set: &Set,
        endpoint: &Endpoint,
        (cause, row): (Cause, u32),
        probe: bool,
        now: Moment,
    ) {
        let Some(eject) = &self.eject else { return };
        let enough = match cause {
            Cause::Unreachable => UNREACHABLE_MAX.min(eject.failures.into()),
            Cause::Late | Cause::Replies | Cause::Silent => eject.failures.into(),
        };
        if probe {
            endpoint.health.eject(cause, now, eject.period, fastrand::f32());
        } else if row >= enough && !endpoint.health.is_out() {
            self.eject(set, endpoint, cause, now);
        }
    }

    /// Looks whether an endpoint has fallen silent.
    pub(super) fn listen(&self, set: &Set, now: Moment) {
        if self.eject.is_none() || set.members().len() < 2 {
            return;
        }
        for Member { endpoint, .. } in set.members() {
            let load = &endpoint.load;
            let silence = load.silence(now);
            let known =
                Duration::from_secs_f32(load.observed(now).unwrap_or_default() / 1000.0 * SILENT_TIMES);
            if load.waiting() < SILENT_WAITING
                || silence < SILENT_AFTER.max(known)
                || endpoint.health.is_out()
            {
                continue;
            }
            // Where requests take long at all of them, none is silent.
            let answers = |other: &Member| {
                let load = &other.endpoint.load;
                !Arc::ptr_eq(&other.endpoint, endpoint)
                    && load.silence(now) < silence / 2
                    && load.answered_within(silence, now)
            };
            if set.members().iter().any(answers) {
                self.eject(set, endpoint, Cause::Silent, now);
            }
        }
    }

    fn eject(&self, set: &Set, endpoint: &Endpoint, cause: Cause, now: Moment) {
        let Some(eject) = &self.eject else { return };
        let _one = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let all = set.members().len();
        let out = set
            .members()
            .iter()
            .filter(|m| m.endpoint.health.is_out())
            .count();
        if endpoint.health.is_out() || out >= most(all, cause, eject) {
            return;
        }
        endpoint.health.eject(cause, now, eject.period, fastrand::f32());
        self.tell(endpoint, false, &cause.to_string());
    }

    /// A check of an endpoint ended.
    pub(super) fn checked(&self, endpoint: &Endpoint, result: Result<(), String>, now: Moment) {
        match result {
            Ok(()) if endpoint.health.check_passed(now) => self.tell(endpoint, true, "its check passes"),
            Err(why) if endpoint.health.check_failed() => {
                self.tell(endpoint, false, &format!("its check fails: {why}"));
            }
            _ => {}
        }
    }

    /// Its name cannot be looked up, or can again.
    pub(super) fn looked_up(&self, endpoint: &Endpoint, found: bool) {
        self.observer.name(&self.service, &endpoint.shown, found);
    }

    fn tell(&self, endpoint: &Endpoint, in_use: bool, why: &str) {
        self.observer.endpoint(&EndpointTurn {
            service: &self.service,
            endpoint: &endpoint.shown,
            in_use,
            why,
        });
    }
}

/// How many of the endpoints may be out. Those that cannot be reached serve nothing, so only one is left to try; what is
/// judged by replies may be judged wrongly, so most of them stay.
fn most(all: usize, cause: Cause, eject: &Eject) -> usize {
    match (eject.none_left, cause) {
        (NoneLeft::Refuse, _) => all,
        (NoneLeft::Spread, Cause::Unreachable) => all.saturating_sub(1),
        (NoneLeft::Spread, Cause::Late | Cause::Replies | Cause::Silent) => {
            let share = all * usize::from(eject.most_percent) / 100;
            share.max(1).min(all.saturating_sub(1))
        }
    }
}
