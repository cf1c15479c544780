//! The endpoints of a service at one time, and which of them a request may go to.

use super::{
    balance::{Ask, Balance, Candidates},
    pool::Endpoint,
};
use std::{cell::RefCell, ops::Range, sync::Arc, time::Duration};
use stoa_config::plan::Share;

/// How much of a priority may be out of use before the next one takes a part: it is counted as this many times what it is
/// (Envoy's overprovisioning factor).
const OVERPROVISION: f32 = 1.4;

/// An endpoint in its place among the others.
pub(crate) struct Member {
    pub(crate) endpoint: Arc<Endpoint>,
    /// Hash of its URL.
    pub(crate) seed: u64,
    weight: f32,
}

/// The endpoints of a service, those of priority 0 first.
pub(crate) struct Set {
    members: Box<[Member]>,
    /// Where each priority stands in them.
    groups: Box<[Range<usize>]>,
}

/// What a service says about endpoints that are not, or not wholly, in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How long an endpoint that comes back takes to get its whole share.
    pub(crate) slow_start: Duration,
    /// Whether nothing is sent when none is in use.
    pub(crate) refuses: bool,
    /// Requests under way at one endpoint, and at all of them.
    pub(crate) address_max: u32,
    pub(crate) service_max: Option<u32>,
}

/// Where a request goes.
#[derive(Clone, Copy)]
pub(crate) enum Pick<'a> {
    /// To an endpoint.
    To(&'a Arc<Endpoint>),
    /// To one that was left out, to see whether it is back.
    Probe(&'a Arc<Endpoint>),
    /// Nowhere: none is in use.
    Refused,
    /// Nowhere yet: those in use have as much under way as they may.
    Full,
    /// Nowhere: all were tried.
    Spent,
}

thread_local! {
    /// The worker's, kept so that a choice costs no allocation.
    static SHARES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Set {
    pub(crate) fn new(endpoints: impl IntoIterator<Item = (Arc<Endpoint>, Share)>) -> Self {
        let mut all: Vec<_> = endpoints.into_iter().collect();
        all.sort_by_key(|(_, share)| share.priority);
        let mut groups: Vec<Range<usize>> = Vec::new();
        for (at, (_, share)) in all.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if all[group.start].1.priority == share.priority => group.end = at + 1,
                _ => groups.push(at..at + 1),
            }
        }
        let member = |(endpoint, share): (Arc<Endpoint>, Share)| Member {
            seed: xxhash_rust::xxh3::xxh3_64(endpoint.shown.as_bytes()),
            endpoint,
            weight: f32::from(share.weight),
        };
        Self {
            members: all.into_iter().map(member).collect(),
            groups: groups.into(),
        }
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The endpoint for a request: one that is due to be tried, or one of those in use; none of `tried`.
    pub(crate) fn pick(
        &self,
        balance: &dyn Balance,
        tried: &[Arc<Endpoint>],
        ask: &Ask,
        rules: Rules,
    ) -> Pick<'_> {
        if let [Member { endpoint, .. }] = &*self.members
            && tried.is_empty()
            && !endpoint.health.is_out()
            && endpoint.load.in_flight() < rules.address_max
            && rules.service_max.is_none()
        {
            return Pick::To(endpoint);
        }
        let under_way = |m: &Member| m.endpoint.load.in_flight();
        let full = |most: u32| self.members.iter().map(under_way).sum::<u32>() >= most;
        if rules.service_max.is_some_and(full) {
            return Pick::Full;
        }
        SHARES.with_borrow_mut(|shares| {
            shares.clear();
            let share = |m: &Member| m.weight * m.endpoint.health.in_use(ask.now, rules.slow_start);
            shares.extend(self.members.iter().map(share));
            let was_tried = |member: &Member| tried.iter().any(|t| Arc::ptr_eq(t, &member.endpoint));
            if shares.contains(&0.0) {
                let due = |m: &&Member| {
                    let health = &m.endpoint.health;
                    health.is_due(ask.now, ask.replayable) && !was_tried(m) && health.try_once()
                };
                if let Some(member) = self.members.iter().find(due) {
                    return Pick::Probe(&member.endpoint);
                }
                if shares.iter().all(|share| *share <= 0.0) {
                    if rules.refuses {
                        return Pick::Refused;
                    }
                    shares.clear();
                    shares.extend(self.members.iter().map(|m| m.weight));
                }
            }
            let group = self.group(shares, ask.roll);
            let mut full = false;
            for (share, member) in shares.iter_mut().zip(&self.members) {
                if !tried.is_empty() && was_tried(member) {
                    *share = 0.0;
                } else if *share > 0.0 && under_way(member) >= rules.address_max {
                    *share = 0.0;
                    full = true;
                }
            }
            // Where all of the right priority were tried, the others are better than nothing.
            let groups = std::iter::once(group).chain(self.groups.iter().cloned());
            for group in groups {
                if let Some(from) = Candidates::new(&self.members[group.clone()], &shares[group.clone()]) {
                    return Pick::To(&self.members[group.start + balance.pick(&from, ask)].endpoint);
                }
            }
            if full {
                return Pick::Full;
            }
            // What is out of use, before nothing at all.
            let rest = self.members.iter().find(|m| !rules.refuses && !was_tried(m));
            rest.map_or(Pick::Spent, |member| Pick::To(&member.endpoint))
        })
    }

    /// The priority that a request goes to.
    fn group(&self, shares: &[f32], roll: u64) -> Range<usize> {
        if let [only] = &*self.groups {
            return only.clone();
        }
        let healthy = |group: &Range<usize>| {
            let weights: f32 = self.members[group.clone()].iter().map(|m| m.weight).sum();
            (shares[group.clone()].iter().sum::<f32>() / weights * OVERPROVISION).min(1.0)
        };
        let all: f32 = self.groups.iter().map(healthy).sum::<f32>().min(1.0);
        let mut left = super::balance::unit(super::balance::mix(!roll)) * all;
        for group in &self.groups {
            let part = healthy(group);
            if left < part {
                return group.clone();
            }
            left -= part;
        }
        0..self.groups.first().map_or(0, |group| group.end)
    }
}

#[cfg(test)]
mod tests;
