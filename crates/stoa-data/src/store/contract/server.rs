//! A PostgreSQL server for one test, with stores in it.

use crate::store::Store;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use stoa_config::plan::{Durability, Plan, PostgresShard, Resource, Secret, StoreKind};
use stoa_testkit::{Cluster, Postgres};

/// The server.
pub(crate) struct Server {
    postgres: Postgres,
    /// Its replicas, which the stores read from.
    pub(crate) replicas: Vec<Postgres>,
    databases: AtomicU32,
}

/// Several databases as shards of one store.
pub(crate) struct Shards {
    pub(crate) urls: Vec<String>,
    pub(crate) store: Arc<dyn Store>,
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
        Self::of(Postgres::start())
    }

    /// The newest version that there is for tests, whatever the others run on.
    pub(crate) fn start_newest() -> Self {
        Self::of(Postgres::start_newest())
    }

    /// The same, with `server.pem` and `server.key` of a folder.
    pub(crate) fn start_newest_with_tls(folder: &str) -> Self {
        Self::of(Postgres::start_newest_with_tls(Path::new(folder)))
    }

    /// With `server.pem` and `server.key` of a folder.
    pub(crate) fn start_with_tls(folder: &str) -> Self {
        Self::of(Postgres::start_with_tls(Path::new(folder)))
    }

    /// A primary with so many replicas.
    pub(crate) fn start_cluster(replicas: usize) -> Self {
        let Cluster { primary, replicas } = Cluster::start(replicas);
        Self {
            replicas,
            ..Self::of(primary)
        }
    }

    fn of(postgres: Postgres) -> Self {
        Self {
            postgres,
            replicas: Vec::new(),
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
        let name = self.empty_named();
        crate::migrate::apply(&self.plan(resources.to_vec(), &self.url(&name)), 0, false).unwrap();
        name
    }

    /// A store over a database.
    pub(crate) fn open(&self, resources: Vec<Resource>, url: &str) -> (Arc<Plan>, Arc<dyn Store>) {
        let plan = self.plan(resources, url);
        let store = Self::over(plan.clone());
        (Arc::new(plan), store)
    }

    /// A store over a database whose replicas may be so far behind.
    pub(crate) fn open_within(
        &self,
        resources: Vec<Resource>,
        url: &str,
        lag: Duration,
    ) -> (Arc<Plan>, Arc<dyn Store>) {
        let mut plan = self.plan(resources, url);
        if let StoreKind::Postgres { max_lag, .. } = &mut plan.stores[0].kind {
            *max_lag = lag;
        }
        let store = Self::over(plan.clone());
        (Arc::new(plan), store)
    }

    /// A store over what a plan says.
    pub(crate) fn over(plan: Plan) -> Arc<dyn Store> {
        let store = crate::store::open(&Arc::new(plan), 0).unwrap();
        watch(&*store);
        store
    }

    /// Waits until the replicas have what the primary has.
    pub(crate) fn wait_replicas(&self) {
        self.replicas
            .iter()
            .for_each(|replica| replica.wait_replayed(&self.postgres));
    }

    /// The same database at the replicas.
    fn read_urls(&self, url: &str) -> Vec<Secret> {
        let name = url.rsplit('/').next().unwrap_or_default();
        self.replicas
            .iter()
            .map(|replica| Secret::new(replica.url(name)))
            .collect()
    }

    /// A store over so many new databases, each as a shard.
    pub(crate) fn shards(&self, resources: Vec<Resource>, shards: usize) -> Shards {
        let urls = self.empty(shards);
        let plan = Arc::new(self.sharded_plan(resources, &urls));
        crate::migrate::apply(&plan, 0, false).unwrap();
        let store = crate::store::open(&plan, 0).unwrap();
        Shards { urls, store }
    }

    /// Removes the rows of things and parts, and the replies that are kept: making databases anew takes longer.
    pub(crate) fn clear(&self, shards: &Shards) {
        for url in &shards.urls {
            let name = url.rsplit('/').next().unwrap();
            self.sql(name, "TRUNCATE things, parts, _stoa_idempotency");
        }
    }

    /// The URLs of so many new databases.
    pub(crate) fn empty(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.url(&self.empty_named())).collect()
    }

    /// A new database with nothing in it.
    pub(crate) fn empty_named(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// A plan of some resources in these databases.
    pub(crate) fn sharded_plan(&self, resources: Vec<Resource>, urls: &[String]) -> Plan {
        let mut plan = self.plan(resources, &urls[0]);
        if let StoreKind::Postgres { shards, .. } = &mut plan.stores[0].kind {
            *shards = urls
                .iter()
                .map(|url| PostgresShard {
                    write: Secret::new(url.as_str()),
                    read: Vec::new(),
                })
                .collect();
        }
        plan
    }

    /// A plan of some resources in a database.
    pub(crate) fn plan(&self, resources: Vec<Resource>, url: &str) -> Plan {
        let mut plan = super::fixture::plan(self.folder(), resources);
        plan.stores[0].kind = StoreKind::Postgres {
            shards: vec![PostgresShard {
                write: Secret::new(url),
                read: self.read_urls(url),
            }],
            max_lag: Duration::from_secs(10),
            durability: Durability::Local,
            roles: None,
        };
        plan
    }
}

/// Looks at a store's servers on a thread of its own, as the binary does, until the store is gone.
fn watch(store: &dyn Store) {
    let told: crate::store::Tell = Box::new(|change| eprintln!("{}", change.text));
    if let Some(watch) = store.watch(told) {
        std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(watch);
        });
    }
}
