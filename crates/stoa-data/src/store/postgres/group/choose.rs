//! Which server answers a read.

use super::{Group, Lead, Member, View};
use crate::operation::Freshness;
use crate::store::{Role, StoreError};
use std::sync::atomic::Ordering;
use std::time::Duration;
use stoa_exchange::position::Mark;

/// How long a read waits for a replica to replay what its caller has written.
pub(in super::super) const WAIT: Duration = Duration::from_millis(20);

/// The server for a read.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Choice {
    /// A replica.
    Replica {
        index: usize,
        /// What it must have replayed.
        wanted: Option<Wanted>,
        /// Where it is at least.
        at: Mark,
        why: &'static str,
    },
    /// The primary. `instead`: because no replica can.
    Primary {
        index: usize,
        instead: bool,
        /// Everything that was acknowledged before is shown.
        at: Mark,
        why: &'static str,
    },
}

/// What a replica must have replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Wanted {
    pub(in super::super) lsn: u64,
    /// Whether it is known to have.
    pub(in super::super) known: bool,
}

/// What of the primary's log a read must show.
enum Bound {
    Nothing,
    Upto(u64),
    /// No replica can show it, for this reason.
    Unknown(&'static str),
}

impl Group {
    /// Chooses the server of a read. `failed` did not do it.
    ///
    /// # Errors
    /// [`StoreError::NoPrimary`] when only the primary may answer and there is none, or when the caller has written
    /// on a later timeline than any server in sight.
    pub(in super::super) fn choose(
        &self,
        fresh: &Freshness,
        failed: Option<usize>,
    ) -> Result<Choice, StoreError> {
        let view = self.view();
        if !self.reads {
            return self.primary(false, "the shard has no replicas for reads");
        }
        if fresh.primary {
            return self.primary(false, "what the primary has was asked for");
        }
        let wanted = match self.bound(fresh, &view)? {
            Bound::Unknown(why) => return self.primary(true, why),
            Bound::Nothing => None,
            Bound::Upto(lsn) => Some(lsn),
        };
        let fit = |(index, member): &(usize, &Member)| {
            let seen = view.seen.get(*index);
            let fine = seen.is_some_and(|s| s.role == Role::Replica && s.out.is_none());
            fine && failed != Some(*index) && !member.is_out()
        };
        let fit = || self.members.iter().enumerate().filter(fit);
        let Some(lsn) = wanted else {
            return match fit().min_by_key(|(_, member)| member.score()) {
                Some((index, member)) => Ok(Choice::Replica {
                    index,
                    at: self.replayed(member, &view),
                    wanted: None,
                    why: "the replica that answers soonest",
                }),
                None => self.primary(true, "no replica is fit to answer"),
            };
        };
        let caught_up = fit().filter(|(_, member)| member.replayed() >= lsn);
        if let Some((index, member)) = caught_up.min_by_key(|(_, member)| member.score()) {
            return Ok(Choice::Replica {
                index,
                at: self.replayed(member, &view),
                wanted: Some(Wanted { lsn, known: true }),
                why: "the replica that answers soonest of those that have it",
            });
        }
        let lag = |index: usize| view.seen.get(index).and_then(|s| s.lag).unwrap_or(Duration::MAX);
        let near = fit().filter(|(index, member)| lag(*index) <= WAIT && member.is_quick());
        match near.min_by_key(|(index, member)| (lag(*index), member.score())) {
            Some((index, member)) => Ok(Choice::Replica {
                index,
                at: self.replayed(member, &view),
                wanted: Some(Wanted { lsn, known: false }),
                why: "a replica that is about to have it",
            }),
            None => self.primary(true, "no replica has it yet"),
        }
    }

    /// A replica shows what it has replayed, this place included.
    fn replayed(&self, member: &Member, view: &View) -> Mark {
        Mark {
            shard: self.shard,
            timeline: view.timeline,
            lsn: member.replayed().saturating_add(1),
        }
    }

    /// The primary. `instead`: because no replica can.
    ///
    /// # Errors
    /// [`StoreError::NoPrimary`]
    pub(in super::super) fn primary(&self, instead: bool, why: &'static str) -> Result<Choice, StoreError> {
        let index = self.lead()?;
        let at = self.written();
        if let Some(member) = self.members.get(index).filter(|_| instead) {
            member.fallbacks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Choice::Primary {
            index,
            instead,
            at,
            why,
        })
    }

    fn bound(&self, fresh: &Freshness, view: &View) -> Result<Bound, StoreError> {
        let written = fresh.after.of(self.shard);
        if let Some(Mark { timeline, .. }) = written.filter(|mark| mark.timeline != view.timeline) {
            if timeline > view.timeline {
                self.hint();
                return Err(StoreError::NoPrimary(format!(
                    "the caller has written on timeline {timeline}, and no server in sight is on it"
                )));
            }
            return Ok(Bound::Unknown("the caller's write is on an earlier timeline"));
        }
        if written.is_some() && !matches!(view.lead, Lead::One(_) | Lead::None(_)) {
            return Ok(Bound::Unknown("two servers take writes"));
        }
        let recent = match fresh.within {
            None => None,
            Some(within) => match self.needed(within) {
                Some(lsn) => Some(lsn),
                None => return Ok(Bound::Unknown("nobody knows how far the replicas are behind")),
            },
        };
        let written = written.map(|mark| mark.lsn);
        Ok(written.max(recent).map_or(Bound::Nothing, Bound::Upto))
    }
}
