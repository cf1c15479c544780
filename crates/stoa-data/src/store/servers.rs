//! The servers of a store as people and metrics see them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A server of a store, as it was seen last.
#[derive(Clone, Debug)]
pub struct Server {
    /// Position of its shard in the store.
    pub shard: u16,
    /// Host and port, never a password.
    pub name: Arc<str>,
    /// What it is.
    pub role: Role,
    /// Why it is given nothing, where that is so.
    pub out: Option<String>,
    /// The timeline that it is on.
    pub timeline: u32,
    /// How long its primary has had what it has not; of replicas.
    pub lag: Option<Duration>,
    /// Bytes of the log that its primary has and it has not; of replicas.
    pub lag_bytes: Option<u64>,
    /// Reads that it answered.
    pub reads: u64,
    /// Reads that it answered as primary because no replica could.
    pub fallbacks: u64,
    /// Times that it was taken out of the rotation.
    pub ejections: u64,
    /// Times that it came back.
    pub returns: u64,
}

/// A change of what a server is, or of what is given to it.
#[derive(Clone, Debug)]
pub struct Change {
    /// Whether somebody should look.
    pub grave: bool,
    /// Host and port; empty when it is about the shard.
    pub server: Arc<str>,
    /// Position of its shard in the store.
    pub shard: u16,
    /// What it is now.
    pub role: Role,
    /// What happened, in words.
    pub text: String,
}

/// Who is told of changes. Called on the task that watches: must not block.
pub type Tell = Box<dyn Fn(&Change) + Send + Sync>;

/// What a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows a primary.
    Replica,
    /// It would take writes and is given none: another server is on a later timeline.
    Outdated,
    /// It takes writes, and another server does on the same timeline: nobody knows which is right.
    Split,
    /// It does not answer.
    Down,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::Outdated => "outdated",
            Self::Split => "split",
            Self::Down => "down",
        })
    }
}
