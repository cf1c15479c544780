//! The stores that tests run on.

use stoa_testkit::{Cluster, Pgbouncer, Postgres};

/// A kind of store: `sqlite`, one `postgres`, the same behind `pgbouncer`, `replicas` (a primary with two), or `shards`
/// (three, each with a replica).
pub(crate) struct Stores {
    kind: &'static str,
    postgres: Option<Cluster>,
    pooler: Option<Pgbouncer>,
    databases: usize,
}

impl Stores {
    /// Starts the servers that the kind needs.
    pub(crate) fn start(kind: &'static str) -> Self {
        let postgres = match kind {
            "sqlite" => None,
            "postgres" | "pgbouncer" => Some(Cluster::start(0)),
            "replicas" => Some(Cluster::start(2)),
            _ => Some(Cluster::start(1)),
        };
        let behind = postgres.as_ref().filter(|_| kind == "pgbouncer");
        Self {
            kind,
            pooler: behind.map(|cluster| Pgbouncer::start(&cluster.primary, "")),
            postgres,
            databases: 0,
        }
    }

    /// From now on a commit waits until every replica shows it: for callers that hand no token back.
    pub(crate) fn replicate_at_once(&self) {
        if let Some(cluster) = &self.postgres
            && !cluster.replicas.is_empty()
        {
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
                format!("\"{}\"", self.cluster().primary.url(&database))
            }
            "pgbouncer" => {
                let database = self.database(sql);
                let pooler = self.pooler.as_ref().expect("it runs");
                format!("\"{}\"", pooler.url(&database))
            }
            "replicas" => {
                let database = self.database(sql);
                let read: Vec<String> = self.cluster().replicas.iter().map(|r| r.url(&database)).collect();
                let (write, read) = (self.cluster().primary.url(&database), read.join(", "));
                format!("{{ postgres: {{ shards: [{{ write: \"{write}\", read: [{read}] }}] }} }}")
            }
            _ => {
                // Schemas of one database: to Stoa they are three databases, and they are made sooner.
                let schemas = "CREATE SCHEMA s0; CREATE SCHEMA s1; CREATE SCHEMA s2";
                let all = format!("{schemas}; {}", sql.unwrap_or_default());
                let database = self.database(Some(&all));
                let (primary, replica) = (&self.cluster().primary, &self.cluster().replicas[0]);
                let of = |server: &Postgres, n: u8| {
                    format!("\"{}?options=-csearch_path%3Ds{n}\"", server.url(&database))
                };
                let one = |n: u8| format!("{{ write: {}, read: [{}] }}", of(primary, n), of(replica, n));
                let shards: Vec<String> = (0..3).map(one).collect();
                format!("{{ postgres: {{ shards: [{}] }} }}", shards.join(", "))
            }
        }
    }

    fn cluster(&self) -> &Cluster {
        self.postgres.as_ref().expect("a server runs")
    }

    fn database(&mut self, sql: Option<&str>) -> String {
        self.databases += 1;
        let database = format!("scenario_{}", self.databases);
        let primary = &self.cluster().primary;
        primary.sql("postgres", &format!("CREATE DATABASE {database}"));
        if let Some(sql) = sql {
            primary.sql(&database, sql);
        }
        database
    }
}
