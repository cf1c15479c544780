//! Where else requests of a route go: to other services, to a shadow, or wrong on purpose.

use super::LimitKey;
use http::StatusCode;
use std::time::Duration;

/// `split`: which requests go to other services. Matches come first, in their order, then shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The others, in the order of the file.
    pub arms: Vec<SplitArm>,
    /// `by KEY`: whose requests stay together; `None` where each request goes by itself.
    pub by: Option<StickKey>,
}

/// One other service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitArm {
    /// Its name.
    pub service: String,
    /// Which requests.
    pub to: SplitRule,
}

/// Which requests go to another service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitRule {
    /// `N%` of what no match took.
    Share(u8),
    /// `header NAME[=VALUE]`.
    Header(http::HeaderName, Option<String>),
    /// `cookie NAME[=VALUE]`.
    Cookie(String, Option<String>),
}

/// By what requests stay together. Where it is absent, by the client's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StickKey {
    /// As a limit counts.
    Key(LimitKey),
    /// `cookie NAME`.
    Cookie(String),
}

/// `mirror`: a copy of requests for another service, whose replies nobody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// `to`: its name.
    pub service: String,
    /// `share` in percent. Default 100.
    pub share: u8,
    /// `max_body`: a request with a longer body is not copied. Default 64 KiB.
    pub body_bytes_max: u64,
}

/// `fault`: what goes wrong on purpose. Only a profile may say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRule {
    /// `delay` before anything else.
    pub delay: Option<Duration>,
    /// `abort`: this status instead of the service's reply.
    pub abort: Option<StatusCode>,
    /// `share` in percent. Default 100.
    pub share: u8,
}
