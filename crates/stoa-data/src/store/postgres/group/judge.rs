//! From what was seen of a shard's servers to what each of them is. Pure.
//!
//! A primary is known by its timeline: a promotion begins a later one, so of two servers that take writes the one on the
//! later timeline is right, and the other was left behind. On the same timeline nobody can tell: then neither
//! is written to. Stoa never promotes.

use crate::store::Role;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a primary may not answer before it is taken for gone. Until then each request has its own deadline.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// What one look at a server showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Sighting {
    /// Whether it follows another server.
    pub(in super::super) recovering: bool,
    pub(in super::super) timeline: u32,
    /// What a primary has written to its disk, what a replica has replayed.
    pub(in super::super) position: u64,
    pub(in super::super) instance: Instance,
    /// As in `server_version_num`.
    pub(in super::super) version: u32,
    /// How long ago the last transaction was made that a replica has replayed, by its own clock.
    pub(in super::super) replayed_ago: Option<Duration>,
    /// Before it was asked.
    pub(in super::super) at: Instant,
}

/// Which server it is, whatever the address was: one may be reached by several, and one address may lead to several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Instance {
    /// The same for a primary and its copies.
    pub(in super::super) system: u64,
    /// Microseconds since 1970.
    pub(in super::super) started: i64,
}

/// How a server stands.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum State {
    /// Not looked at yet.
    Unknown,
    Up(Sighting),
    /// It takes connections, or keeps one, and does not answer.
    Hung {
        last: Option<Sighting>,
        since: Instant,
    },
    Down(String),
}

impl State {
    /// What was seen of it last.
    pub(in super::super) fn sighting(&self) -> Option<&Sighting> {
        match self {
            Self::Up(seen) => Some(seen),
            Self::Hung { last, .. } => last.as_ref(),
            Self::Unknown | Self::Down(_) => None,
        }
    }
}

/// Who takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Lead {
    One(usize),
    None(String),
    Split(String),
}

/// What must not be forgotten from one look to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Memory {
    /// The system that the first primary belonged to.
    pub(super) system: Option<u64>,
    /// The latest timeline that was seen.
    pub(super) timeline: u32,
}

/// What a server is, and why it is given nothing.
pub(super) type Judged = (Role, Option<String>);

/// Judges the servers of a shard by what was seen of each.
pub(super) fn judge(
    names: &[Arc<str>],
    states: &[State],
    memory: &mut Memory,
    now: Instant,
) -> (Lead, Vec<Judged>) {
    let leads = |state: &State| match state {
        State::Up(seen) => !seen.recovering,
        State::Hung { last, since } => {
            last.is_some_and(|seen| !seen.recovering) && now.saturating_duration_since(*since) < PATIENCE
        }
        State::Unknown | State::Down(_) => false,
    };
    if memory.system.is_none() {
        let first = states.iter().find(|state| leads(state)).and_then(State::sighting);
        memory.system = first.map(|seen| seen.instance.system);
    }
    let foreign = |seen: &Sighting| memory.system.is_some_and(|system| system != seen.instance.system);
    let own = || {
        states
            .iter()
            .filter_map(State::sighting)
            .filter(|seen| !foreign(seen))
    };
    memory.timeline = own().map(|seen| seen.timeline).fold(memory.timeline, u32::max);
    let mut candidates: Vec<(usize, Instance)> = Vec::new();
    for (index, state) in states.iter().enumerate() {
        let seen = state.sighting().filter(|seen| leads(state) && !foreign(seen));
        if let Some(seen) = seen.filter(|seen| seen.timeline == memory.timeline)
            && !candidates.iter().any(|(_, instance)| *instance == seen.instance)
        {
            candidates.push((index, seen.instance));
        }
    }
    let lead = match candidates[..] {
        [(one, _)] => Lead::One(one),
        [] => Lead::None(nobody(names, states, memory)),
        _ => Lead::Split(split(names, &candidates, memory)),
    };
    let of = |state: &State| match state {
        State::Unknown => (Role::Down, Some(String::from("not looked at yet"))),
        State::Down(why) => (Role::Down, Some(why.clone())),
        State::Hung { .. } if !leads(state) => (Role::Down, Some(String::from("does not answer"))),
        State::Up(seen) | State::Hung { last: Some(seen), .. } => role(seen, foreign(seen), &lead, memory),
        State::Hung { last: None, .. } => (Role::Down, Some(String::from("does not answer"))),
    };
    let mut judged: Vec<Judged> = states.iter().map(of).collect();
    if let Lead::One(first) = lead {
        for (index, (role, out)) in judged.iter_mut().enumerate() {
            if index != first && *role == Role::Primary && out.is_none() {
                *out = Some(twice(names.get(first)));
            }
        }
    }
    (lead, judged)
}

/// Why a second address of the primary is given nothing.
fn twice(first: Option<&Arc<str>>) -> String {
    format!(
        "is the shard's primary, which {} leads to as well, and no replica: `read` has the addresses of replicas, or is left out",
        first.map_or("another address", |name| name)
    )
}

fn role(seen: &Sighting, foreign: bool, lead: &Lead, memory: &Memory) -> Judged {
    let (own, newest) = (seen.timeline, memory.timeline);
    let role = match (seen.recovering, lead) {
        (true, _) => Role::Replica,
        (false, _) if foreign || own != newest => Role::Outdated,
        (false, Lead::Split(_)) => Role::Split,
        (false, _) => Role::Primary,
    };
    let out = if foreign {
        Some(String::from(
            "is no copy of the shard's primary: its system identifier is another",
        ))
    } else if own == newest {
        None
    } else if seen.recovering {
        Some(format!(
            "is known to be on timeline {own}, and the newest is {newest}"
        ))
    } else {
        Some(format!(
            "takes writes on timeline {own}, and the newest is {newest}: it was left behind"
        ))
    };
    (role, out)
}

fn nobody(names: &[Arc<str>], states: &[State], memory: &Memory) -> String {
    let mut said: Vec<String> = Vec::new();
    for (name, state) in names.iter().zip(states) {
        said.push(match state {
            State::Unknown => format!("{name} was not looked at yet"),
            State::Down(why) => format!("{name}: {why}"),
            State::Hung { .. } => format!("{name} does not answer"),
            State::Up(seen) if seen.recovering => format!("{name} is a replica"),
            State::Up(seen) => format!("{name} takes writes on timeline {}", seen.timeline),
        });
    }
    let said = said.join("; ");
    match memory.timeline {
        0 => format!("no server takes writes: {said}"),
        timeline => format!("no server takes writes on timeline {timeline}: {said}"),
    }
}

fn split(names: &[Arc<str>], candidates: &[(usize, Instance)], memory: &Memory) -> String {
    let named = candidates.iter().filter_map(|(index, _)| names.get(*index));
    let named: Vec<&str> = named.map(|name| &**name).collect();
    format!(
        "{} take writes on the same timeline, {}: nobody knows which is right, so neither is written to; stop all but one of them",
        named.join(" and "),
        memory.timeline
    )
}

#[cfg(test)]
mod tests;
