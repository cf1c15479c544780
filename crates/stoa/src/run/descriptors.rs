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
