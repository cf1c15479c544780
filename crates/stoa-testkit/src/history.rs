//! Whether a history of one row could have happened one request after the other: the search of Wing and Gong ("Testing
//! and Verifying Concurrent Objects", 1993) with the memory of Lowe ("Testing for linearizability", 2017).
//!
//! Every write sets a value that no other write sets, so a row is told by its value alone; its versions are judged
//! beside ([`one_version_each`]). Time is counted, not measured: what was observed later has the higher [`Tick`].

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

/// A moment, in the order in which moments were observed.
pub type Tick = u64;

/// The next moment: after everything that this process has observed so far.
pub fn tick() -> Tick {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// A row: absent, or its value.
pub type Row = Option<u64>;

/// What a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `POST`: the row must not be there.
    Create(u64),
    /// `PUT`: whether it is there or not.
    Put(u64),
    /// `PATCH`: the row must be there.
    Patch(u64),
    /// `PATCH` with the entity tag of this value.
    PatchIf(u64, u64),
    /// `DELETE`: the row must be there.
    Delete,
    /// `GET`.
    Read,
}

/// What the caller learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The status, and for a read the row.
    Answer(u16, Row),
    /// The connection was lost: done once, or not at all.
    Nothing,
    /// The connection was lost, and a repeat with its key was answered from memory: done, with this status.
    Done(u16),
    /// The connection was lost, and a repeat with its key was done as if for the first time: it was not.
    NotDone,
}

/// One request on one row.
#[derive(Clone, Debug)]
pub struct Event {
    /// What was asked.
    pub ask: Ask,
    /// What was told.
    pub told: Told,
    /// Before it was sent.
    pub begun: Tick,
    /// For one that was never answered: when nothing of it could be done any more.
    pub ended: Tick,
}

impl Event {
    /// The row after the request and the status it is answered with, when it meets `row`.
    fn meets(&self, row: Row) -> (Row, u16) {
        match (self.ask, row) {
            (Ask::Create(new) | Ask::Put(new), None) => (Some(new), 201),
            (Ask::Create(_), Some(_)) => (row, 409),
            (Ask::Put(new) | Ask::Patch(new), Some(_)) => (Some(new), 200),
            (Ask::PatchIf(old, new), Some(at)) if old == at => (Some(new), 200),
            (Ask::PatchIf(..), Some(_)) => (row, 412),
            (Ask::Patch(_) | Ask::PatchIf(..) | Ask::Delete | Ask::Read, None) => (None, 404),
            (Ask::Delete, Some(_)) => (None, 204),
            (Ask::Read, Some(_)) => (row, 200),
        }
    }

    /// The row afterwards, if the request may have met `row`.
    fn apply(&self, row: Row) -> Option<Row> {
        let (after, status) = self.meets(row);
        match self.told {
            Told::Answer(told, seen) => {
                (told == status && (self.ask != Ask::Read || seen == row)).then_some(after)
            }
            Told::Done(told) => (told == status).then_some(after),
            Told::Nothing => Some(after),
            Told::NotDone => None,
        }
    }

    fn may_be_left_out(&self) -> bool {
        matches!(self.told, Told::Nothing | Told::NotDone)
    }
}

/// The events in the order of their beginnings.
pub fn shown(events: &[Event]) -> String {
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|e| e.begun);
    let line = |e: &&Event| format!("{:>8} {:>8} {:?} {:?}", e.begun, e.ended, e.ask, e.told);
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Whether each value of a row was seen with one version, and each version with one value.
///
/// # Errors
/// The two that do not fit.
pub fn one_version_each<V: Copy + Debug + Eq + Hash>(
    seen: impl IntoIterator<Item = (u64, V)>,
) -> Result<(), String> {
    let (mut versions, mut values) = (HashMap::new(), HashMap::new());
    for (value, version) in seen {
        let known = *versions.entry(value).or_insert(version);
        if known != version {
            return Err(format!(
                "the value {value} has the versions {known:?} and {version:?}"
            ));
        }
        let other = *values.entry(version).or_insert(value);
        if other != value {
            return Err(format!(
                "the values {other} and {value} have one version, {version:?}"
            ));
        }
    }
    Ok(())
}

/// Whether some order of the events, in which none stands before one that ended before it began, leads from
/// `before` to `after`.
pub fn is_linearizable(before: Row, events: &[Event], after: Row) -> bool {
    let mut search = Search {
        events,
        after,
        seen: HashSet::new(),
    };
    search.from(before, &mut vec![false; events.len()])
}

struct Search<'a> {
    events: &'a [Event],
    after: Row,
    seen: HashSet<(Row, Vec<bool>)>,
}

impl Search<'_> {
    fn from(&mut self, row: Row, done: &mut Vec<bool>) -> bool {
        let open = |i: &usize| !done[*i];
        let needed = |i: &usize| !self.events[*i].may_be_left_out();
        if row == self.after && !(0..done.len()).filter(open).any(|i| needed(&i)) {
            return true;
        }
        if !self.seen.insert((row, done.clone())) {
            return false;
        }
        // What is left out holds nobody up: it had no moment at all.
        let first_end = (0..done.len())
            .filter(open)
            .filter(needed)
            .map(|i| self.events[i].ended)
            .min();
        // And what may be left out is too late once something has happened that began after its end.
        let last_begin = (0..done.len())
            .filter(|i| done[*i])
            .map(|i| self.events[i].begun)
            .max();
        for i in 0..done.len() {
            let event = &self.events[i];
            let too_early = first_end.is_some_and(|end| event.begun > end);
            if done[i] || too_early || last_begin.is_some_and(|begin| begin > event.ended) {
                continue;
            }
            if let Some(next) = event.apply(row) {
                done[i] = true;
                if self.from(next, done) {
                    return true;
                }
                done[i] = false;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{Ask, Event, Told, is_linearizable, one_version_each};

    /// Events from `(begun, ended, ask, told)`.
    fn events(list: &[(u64, u64, Ask, Told)]) -> Vec<Event> {
        list.iter()
            .map(|&(begun, ended, ask, told)| Event {
                ask,
                told,
                begun,
                ended,
            })
            .collect()
    }

    #[test]
    fn versions_that_do_not_fit_are_found() {
        assert!(one_version_each([(1, 10), (2, 11), (1, 10)]).is_ok());
        assert!(
            one_version_each([(1, 10), (1, 11)]).is_err(),
            "a value that changed"
        );
        assert!(
            one_version_each([(1, 10), (2, 10)]).is_err(),
            "a version that came again"
        );
    }

    #[test]
    fn what_could_have_happened_is_accepted() {
        let good = events(&[
            (0, 1, Ask::Create(1), Told::Answer(201, None)),
            (2, 9, Ask::Put(2), Told::Answer(200, None)),
            (3, 8, Ask::PatchIf(2, 3), Told::Answer(200, None)),
            (3, 8, Ask::Read, Told::Answer(200, Some(1))),
            (9, 10, Ask::Read, Told::Answer(200, Some(3))),
            (9, 20, Ask::Delete, Told::Nothing),
            (9, 20, Ask::Patch(4), Told::NotDone),
        ]);
        assert!(is_linearizable(None, &good, Some(3)));
        assert!(
            is_linearizable(None, &good, None),
            "the delete may have been done"
        );
        assert!(!is_linearizable(None, &good, Some(4)), "this patch was not");
        assert!(!is_linearizable(None, &good, Some(2)));
    }

    #[test]
    fn a_lost_write_is_found() {
        let lost = events(&[
            (0, 1, Ask::Put(1), Told::Answer(201, None)),
            (2, 3, Ask::Put(2), Told::Answer(200, None)),
        ]);
        assert!(!is_linearizable(None, &lost, Some(1)));
        let lost_delete = events(&[(0, 1, Ask::Delete, Told::Answer(204, None))]);
        assert!(!is_linearizable(Some(1), &lost_delete, Some(1)));
        let lost_keyed = events(&[(0, 5, Ask::Put(7), Told::Done(200))]);
        assert!(!is_linearizable(Some(1), &lost_keyed, Some(1)));
    }

    #[test]
    fn a_write_that_was_done_twice_is_found() {
        // The row was made, removed, and is there again although only the first attempt may have made it.
        let twice = events(&[
            (0, 9, Ask::Create(1), Told::Done(201)),
            (10, 11, Ask::Delete, Told::Answer(204, None)),
        ]);
        assert!(!is_linearizable(None, &twice, Some(1)));
        let not_done = events(&[(0, 9, Ask::Create(1), Told::NotDone)]);
        assert!(!is_linearizable(None, &not_done, Some(1)));
    }

    #[test]
    fn a_write_that_was_done_after_its_end_is_found() {
        let late = events(&[
            (0, 1, Ask::Put(1), Told::Nothing),
            (2, 3, Ask::Put(2), Told::Answer(201, None)),
        ]);
        assert!(is_linearizable(None, &late, Some(2)));
        assert!(!is_linearizable(None, &late, Some(1)));
    }

    #[test]
    fn a_stale_read_is_found() {
        let stale = events(&[
            (0, 1, Ask::Put(1), Told::Answer(201, None)),
            (2, 3, Ask::Put(2), Told::Answer(200, None)),
            (4, 5, Ask::Read, Told::Answer(200, Some(1))),
        ]);
        assert!(!is_linearizable(None, &stale, Some(2)));
    }

    #[test]
    fn two_winners_of_one_version_are_found() {
        let both = events(&[
            (0, 5, Ask::PatchIf(1, 2), Told::Answer(200, None)),
            (0, 5, Ask::PatchIf(1, 3), Told::Answer(200, None)),
        ]);
        assert!(!is_linearizable(Some(1), &both, Some(2)));
        assert!(!is_linearizable(Some(1), &both, Some(3)));
    }
}
