//! A route whose requests go to several services.

use super::upstream::{Call, Service};
use crate::{
    answer::Way,
    gateway::Seat,
    policy::{
        share,
        shed::{Limiter, Shed},
    },
};
use http::{HeaderMap, Method, header, request};
use serde_json::{Value, json};
use std::{borrow::Cow, sync::Arc};
use stoa_config::plan::{self, LimitKey, SplitRule, StickKey, Timeouts};
use stoa_exchange::{Body, Context, Problem, Reply};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A service of a plan that is open.
pub(crate) struct Opened<'p> {
    pub(crate) plan: &'p plan::Service,
    pub(crate) service: Arc<Service>,
    pub(crate) limiter: Option<Arc<Limiter>>,
}

/// Where a request may go.
pub(crate) struct Split {
    own: Dest,
    arms: Vec<(SplitRule, Dest)>,
    by: Option<StickKey>,
    /// So that callers who are early in one split are not so in all.
    seed: u64,
}

struct Dest {
    service: Arc<Service>,
    timeouts: Timeouts,
    retry_always: bool,
    shed: Shed,
}

impl Dest {
    fn of(opened: &Opened<'_>, route: &plan::Route) -> Self {
        Self {
            service: opened.service.clone(),
            timeouts: route.timeouts.unwrap_or(opened.plan.timeouts),
            retry_always: route.retry_always,
            shed: Shed {
                priority: route.handling.priority,
                watched: false,
                limiter: opened.limiter.clone(),
            },
        }
    }
}

impl Split {
    /// The split of a route; an arm whose service this process does not serve is left out.
    pub(crate) fn of(split: &plan::Split, own: &Opened<'_>, route: &plan::Route, all: &[Opened<'_>]) -> Self {
        let arms = split.arms.iter().filter_map(|arm| {
            let other = all.iter().find(|o| o.plan.name == arm.service)?;
            Some((arm.to.clone(), Dest::of(other, route)))
        });
        Self {
            own: Dest::of(own, route),
            arms: arms.collect(),
            by: split.by.clone(),
            seed: xxh3_64_with_seed(own.plan.name.as_bytes(), 0),
        }
    }

    /// How its own service is asked, for `stoa route`.
    pub(crate) fn upstream_in_words(&self, method: &Method) -> Value {
        self.own.service.in_words(self.own.retry_always, method)
    }

    pub(crate) async fn call(
        &self,
        seat: &Seat,
        context: &mut Context,
        way: &mut Way,
        parts: &mut request::Parts,
        body: Body,
    ) -> Result<Reply, Problem> {
        let dest = self.choose(context, parts);
        context.trail.note("split", || json!(&*dest.service.name));
        let permit = dest.shed.admit(&seat.lane, context).await?;
        let call = Call {
            seat,
            context,
            way,
            timeouts: dest.timeouts,
            retry_always: dest.retry_always,
        };
        let reply = dest.service.send(call, parts, body).await;
        if let Some(permit) = permit {
            permit.answered(&reply, way.progress.as_deref());
        }
        reply
    }

    /// Matches first, then shares of what is left.
    fn choose(&self, context: &Context, parts: &request::Parts) -> &Dest {
        let matches = |rule: &SplitRule| match rule {
            SplitRule::Share(_) => false,
            SplitRule::Header(name, value) => {
                let mut sent = parts.headers.get_all(name).iter();
                sent.any(|sent| value.as_ref().is_none_or(|v| sent.as_bytes() == v.as_bytes()))
            }
            SplitRule::Cookie(name, value) => {
                cookie(&parts.headers, name).is_some_and(|sent| value.as_ref().is_none_or(|v| sent == v))
            }
        };
        if let Some((_, dest)) = self.arms.iter().find(|(rule, _)| matches(rule)) {
            return dest;
        }
        let point = match &self.by {
            None => share::point(),
            Some(by) => xxh3_64_with_seed(key(by, context, &parts.headers).as_bytes(), self.seed) % 10_000,
        };
        let mut end = 0;
        for (rule, dest) in &self.arms {
            if let SplitRule::Share(share) = rule {
                end += u64::from(*share) * 100;
                if point < end {
                    return dest;
                }
            }
        }
        &self.own
    }

    /// For `stoa route`.
    pub(crate) fn in_words(&self) -> String {
        let arms = self.arms.iter().map(|(rule, dest)| {
            let to = &dest.service.name;
            match rule {
                SplitRule::Share(share) => format!("{share}% to {to}"),
                SplitRule::Header(name, _) => format!("by header {name} to {to}"),
                SplitRule::Cookie(name, _) => format!("by cookie {name} to {to}"),
            }
        });
        let arms: Vec<String> = arms.collect();
        format!("service {}, {}", self.own.service.name, arms.join(", "))
    }
}

/// By what requests stay together; the client's address where that is absent.
fn key<'a>(by: &StickKey, context: &'a Context, sent: &'a HeaderMap) -> Cow<'a, str> {
    let said = match by {
        StickKey::Cookie(name) => cookie(sent, name).map(Cow::Borrowed),
        StickKey::Key(LimitKey::Header(name)) => sent
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes())),
        StickKey::Key(LimitKey::User | LimitKey::ApiKey) => context.identity.subject().map(Cow::Borrowed),
        StickKey::Key(LimitKey::Claim(name)) => {
            let claim = context.identity.caller().and_then(|c| c.claims.get(name));
            claim.map(|claim| Cow::Owned(claim.to_string()))
        }
        StickKey::Key(LimitKey::Ip | LimitKey::All) => None,
    };
    said.unwrap_or_else(|| Cow::Owned(context.client.to_string()))
}

/// The value of a cookie that was sent (RFC 6265 section 4.2).
fn cookie<'a>(sent: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = sent
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok());
    let pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(own, value)| (own.trim(), value.trim()))
        .find_map(|(own, value)| (own == name).then(|| value.trim_matches('"')))
}
