//! A primary with streaming replicas, and what may happen to them.

use crate::{Postgres, append, run};
use std::time::Duration;

/// A primary and its replicas, each a server of its own. They are asynchronous, as PostgreSQL's are unless somebody
/// sets `synchronous_standby_names`.
#[derive(Debug)]
pub struct Cluster {
    /// The server that takes writes, until a test decides otherwise.
    pub primary: Postgres,
    /// Its copies.
    pub replicas: Vec<Postgres>,
}

impl Cluster {
    /// Starts a primary with so many replicas, and waits until all answer.
    pub fn start(replicas: usize) -> Self {
        let primary = Postgres::start();
        let replicas = (0..replicas).map(|_| primary.replica()).collect();
        Self { primary, replicas }
    }

    /// Waits until every replica has replayed what the primary has written.
    pub fn wait_replayed(&self) {
        for replica in &self.replicas {
            replica.wait_replayed(&self.primary);
        }
    }
}

impl Postgres {
    /// Starts a streaming replica of this server: from the files that every server here began with, so that it replays
    /// whatever this one has written since.
    #[must_use]
    pub fn replica(&self) -> Self {
        let mut replica = Self::fresh(self.programs.clone());
        let folder = std::path::PathBuf::from(replica.data());
        let follows = format!(
            "primary_conninfo = 'host=127.0.0.1 port={} user=stoa'\n",
            self.port
        );
        append(&folder.join("postgresql.auto.conf"), &follows);
        append(&folder.join("standby.signal"), "");
        replica.start_somewhere();
        replica
    }

    /// Makes a replica a primary, on a timeline of its own.
    pub fn promote(&self) {
        assert_eq!(
            self.ask("postgres", "SELECT pg_promote(true, 60)"),
            "t",
            "{}",
            self.log()
        );
    }

    /// Whether it follows another server.
    pub fn is_replica(&self) -> bool {
        self.ask("postgres", "SELECT pg_is_in_recovery()") == "t"
    }

    /// A replica goes on receiving and applies nothing.
    pub fn pause_replay(&self) {
        self.sql("postgres", "SELECT pg_wal_replay_pause()");
        // Asked for at once, done when the record under way is.
        while self.ask("postgres", "SELECT pg_get_wal_replay_pause_state()") != "paused" {}
    }

    /// A replica applies again.
    pub fn resume_replay(&self) {
        self.sql("postgres", "SELECT pg_wal_replay_resume()");
    }

    /// A replica applies each commit so long after it was made.
    pub fn delay_replay(&self, delay: Duration) {
        self.set("recovery_min_apply_delay", &format!("{}ms", delay.as_millis()));
    }

    /// Sets what a server takes while it runs, and waits until it is in force for new sessions.
    pub fn set(&self, name: &str, value: &str) {
        let loaded = || self.ask("postgres", "SELECT pg_conf_load_time()");
        let before = loaded();
        self.sql("postgres", &format!("ALTER SYSTEM SET {name} = '{value}'"));
        self.sql("postgres", "SELECT pg_reload_conf()");
        while loaded() == before {}
    }

    /// Waits until a replica has replayed what a primary has written by now.
    pub fn wait_replayed(&self, primary: &Self) {
        let written = primary.ask("postgres", "SELECT pg_current_wal_insert_lsn()");
        let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
        while self.ask("postgres", &replayed) != "t" {}
    }

    /// Waits until a replica receives again from the server it follows.
    pub fn wait_streaming(&self) {
        let streaming = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'";
        while self.ask("postgres", streaming) != "1" {}
    }

    /// Stops a replica and starts it as a server that takes writes on the timeline it was on: what happens where
    /// somebody removes `standby.signal` by hand.
    pub fn detach(&self) {
        let data = self.data();
        run(&mut self.tool("pg_ctl", &["-D", &data, "-m", "fast", "-w", "stop"]));
        std::fs::remove_file(std::path::Path::new(&data).join("standby.signal")).expect("it was a replica");
        self.resume();
    }
}

#[cfg(test)]
mod tests;
