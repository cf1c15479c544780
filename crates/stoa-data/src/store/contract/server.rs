//! A PostgreSQL server for one test, with stores in it.

use crate::store::Store;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use stoa_config::plan::{Durability, Plan, PostgresShard, Resource, Secret, StoreKind};
use stoa_testkit::Postgres;

/// The server.
pub(crate) struct Server {
    postgres: Postgres,
    databases: AtomicU32,
}

impl Deref for Server {
    type Target = Postgres;

    fn deref(&self) -> &Postgres {
        &self.postgres
    }
}

impl Server {
    /// Starts a server and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::over(Postgres::start())
    }

    /// With `server.pem` and `server.key` of a folder.
    pub(crate) fn start_with_tls(folder: &str) -> Self {
        Self::over(Postgres::start_with_tls(Path::new(folder)))
    }

    fn over(postgres: Postgres) -> Self {
        Self {
            postgres,
            databases: AtomicU32::new(0),
        }
    }

    /// A transaction that has run a statement and stays open until the client is dropped.
    pub(crate) fn hold(&self, database: &str, sql: &str) -> tokio_postgres::Client {
        super::fixture::run(async {
            let url = self.url(database);
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
                .await
                .unwrap();
            tokio::spawn(connection);
            client.batch_execute(&format!("BEGIN; {sql}")).await.unwrap();
            client
        })
    }

    /// A new database with the tables of some resources, and a store over it.
    pub(crate) fn store(&self, resources: Vec<Resource>) -> (Arc<Plan>, Arc<dyn Store>) {
        let url = self.url(&self.database(&resources));
        self.open(resources, &url)
    }

    /// A new database with the tables of some resources.
    pub(crate) fn database(&self, resources: &[Resource]) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        crate::migrate::apply(&self.plan(resources.to_vec(), &self.url(&name)), 0, false).unwrap();
        name
    }

    /// A store over a database.
    pub(crate) fn open(&self, resources: Vec<Resource>, url: &str) -> (Arc<Plan>, Arc<dyn Store>) {
        let plan = Arc::new(self.plan(resources, url));
        let store = crate::store::open(&plan, 0).unwrap();
        (plan, store)
    }

    /// A plan of some resources in a database.
    pub(crate) fn plan(&self, resources: Vec<Resource>, url: &str) -> Plan {
        let mut plan = super::fixture::plan(self.folder(), resources);
        plan.stores[0].kind = StoreKind::Postgres {
            shards: vec![PostgresShard {
                write: Secret::new(url),
                read: Vec::new(),
            }],
            max_lag: Duration::from_secs(10),
            durability: Durability::Local,
            roles: None,
        };
        plan
    }
}
