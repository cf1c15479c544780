//! The stores that tests run on.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use stoa_testkit::{Cluster, Pgbouncer, Postgres};

/// Shards of the kind `shards`, each a primary and a replica: six servers.
const SHARDS: usize = 3;
/// Schemas of a database on shards: to Stoa each is a database of its own, and they are made sooner.
const SCHEMAS: usize = 16;

/// A kind of store: `sqlite`, one `postgres`, the same behind `pgbouncer`, `replicas` (a primary with two), or `shards`
/// (three, each with a replica).
pub(crate) struct Stores {
    kind: &'static str,
    clusters: Arc<Vec<Cluster>>,
    pooler: Option<Arc<Pgbouncer>>,
    /// How many databases were made on the servers, by all who share them.
    databases: Arc<AtomicUsize>,
    /// A database on the shards, and its schemas that nobody used.
    schemas: (String, Range<usize>),
}

impl Stores {
    /// Starts the servers that the kind needs, all at once.
    pub(crate) fn start(kind: &'static str) -> Self {
        let clusters = match kind {
            "sqlite" => Vec::new(),
            "postgres" | "pgbouncer" => vec![Cluster::start(0)],
            "replicas" => vec![Cluster::start(2)],
            _ => at_once(SHARDS, |_| Cluster::start(1)),
        };
        let behind = clusters.first().filter(|_| kind == "pgbouncer");
        Self {
            kind,
            pooler: behind.map(|cluster| Arc::new(Pgbouncer::start(&cluster.primary, ""))),
            clusters: Arc::new(clusters),
            databases: Arc::default(),
            schemas: (String::new(), 0..0),
        }
    }

    /// The same servers for somebody else, who gets other databases.
    pub(crate) fn shared(&self) -> Self {
        Self {
            kind: self.kind,
            clusters: Arc::clone(&self.clusters),
            pooler: self.pooler.clone(),
            databases: Arc::clone(&self.databases),
            schemas: (String::new(), 0..0),
        }
    }

    /// From now on a commit waits until every replica shows it: for callers that hand no token back.
    pub(crate) fn replicate_at_once(&self) {
        for cluster in self.clusters.iter().filter(|c| !c.replicas.is_empty()) {
            let all = format!("{} (*)", cluster.replicas.len());
            cluster.primary.set("synchronous_commit", "remote_apply");
            cluster.primary.set("synchronous_standby_names", &all);
        }
    }

    /// What `"${STORE}"` in a file is, as YAML: a database that nobody used, where, on a server, `sql` has run.
    pub(crate) fn fresh(&mut self, sql: Option<&str>) -> String {
        match self.kind {
            "sqlite" => "\"sqlite:scenario.db\"".to_owned(),
            "postgres" => {
                let database = self.database(sql);
                format!("\"{}\"", self.clusters[0].primary.url(&database))
            }
            "pgbouncer" => {
                let database = self.database(sql);
                let pooler = self.pooler.as_ref().expect("it runs");
                format!("\"{}\"", pooler.url(&database))
            }
            "replicas" => {
                let database = self.database(sql);
                let shard = written(&self.clusters[0], |server| server.url(&database));
                format!("{{ postgres: {{ shards: [{shard}] }} }}")
            }
            _ => {
                assert!(
                    sql.is_none(),
                    "a book with statements of its own is for one database"
                );
                let schema = self.schema();
                let database = &self.schemas.0;
                let of =
                    |server: &Postgres| format!("{}?options=-csearch_path%3Ds{schema}", server.url(database));
                let shards: Vec<String> = self.clusters.iter().map(|c| written(c, of)).collect();
                format!("{{ postgres: {{ shards: [{}] }} }}", shards.join(", "))
            }
        }
    }

    /// A schema that nobody used, of a database that nobody shares: what is locked by a number there, a bucket or a
    /// caller's key, is locked for the whole database.
    fn schema(&mut self) -> usize {
        if self.schemas.1.is_empty() {
            let schemas: Vec<String> = (0..SCHEMAS).map(|n| format!("CREATE SCHEMA s{n}")).collect();
            self.schemas = (self.database(Some(&schemas.join(";"))), 0..SCHEMAS);
        }
        self.schemas.1.next().expect("some were made")
    }

    /// A new database, on each shard.
    fn database(&self, sql: Option<&str>) -> String {
        let database = format!("scenario_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        at_once(self.clusters.len(), |at| {
            let primary = &self.clusters[at].primary;
            primary.sql("postgres", &format!("CREATE DATABASE {database}"));
            if let Some(sql) = sql {
                primary.sql(&database, sql);
            }
        });
        database
    }
}

/// A shard in a file.
fn written(cluster: &Cluster, url: impl Fn(&Postgres) -> String) -> String {
    let read: Vec<String> = cluster
        .replicas
        .iter()
        .map(|r| format!("\"{}\"", url(r)))
        .collect();
    format!(
        "{{ write: \"{}\", read: [{}] }}",
        url(&cluster.primary),
        read.join(", ")
    )
}

/// Does it so many times, in threads of their own.
fn at_once<T: Send>(times: usize, make: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let make = &make;
        let all: Vec<_> = (0..times).map(|at| scope.spawn(move || make(at))).collect();
        all.into_iter()
            .map(|one| one.join().expect("it is made"))
            .collect()
    })
}
