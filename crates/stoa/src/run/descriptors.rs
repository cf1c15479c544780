//! The bound of open files and connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft bound to the hard one: the soft one is kept low by systems for programs that use `select`,
/// which this one does not. When it cannot be raised, fewer connections fit; that is no reason not to start.
pub(super) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: maximum,
                maximum,
            },
        );
    }
}

/// The connections from clients that the bound of open files leaves room for, at most `wanted`. A quarter of the files is
/// kept for services, stores and the admin port: a process that is full must still answer its probes.
pub(super) fn room(wanted: u32) -> u32 {
    room_in(getrlimit(Resource::Nofile).current, wanted)
}

fn room_in(files: Option<u64>, wanted: u32) -> u32 {
    let Some(files) = files else { return wanted };
    let kept = (files / 4).max(KEPT_MIN);
    let left = u32::try_from(files.saturating_sub(kept)).unwrap_or(u32::MAX);
    wanted.min(left.max(1))
}

/// Files that are kept at least.
const KEPT_MIN: u64 = 64;

#[cfg(test)]
mod tests {
    use super::room_in;

    #[test]
    fn a_quarter_of_the_files_is_not_for_clients() {
        for (files, wanted, room) in [
            (None, 10_000, 10_000),
            (Some(1_048_576), 10_000, 10_000),
            (Some(1_024), 10_000, 768),
            (Some(1_024), 100, 100),
            (Some(256), 10_000, 192),
            (Some(128), 10_000, 64),
            (Some(10), 10_000, 1),
        ] {
            assert_eq!(room_in(files, wanted), room, "{files:?} {wanted}");
        }
    }
}
