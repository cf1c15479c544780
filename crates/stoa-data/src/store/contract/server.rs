//! A PostgreSQL server for one test, in a folder of its own, gone with it.

use crate::store::Store;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use stoa_config::plan::{Durability, Plan, PostgresShard, Resource, Secret, StoreKind};

/// The server.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    databases: AtomicU32,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_as(None)
    }

    /// With `server.pem` and `server.key` of a folder.
    pub(crate) fn start_with_tls(folder: &str) -> Self {
        Self::start_as(Some(Path::new(folder)))
    }

    fn start_as(tls: Option<&Path>) -> Self {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let server = Self {
            folder,
            port,
            databases: AtomicU32::new(0),
        };
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(server.folder.path()));
        }
        let data = server.data();
        server.tool(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "stoa",
                "-A",
                "trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ],
        );
        if let Some(folder) = tls {
            server.certify(folder);
        }
        server.resume();
        server
    }

    fn certify(&self, folder: &Path) {
        let data = PathBuf::from(self.data());
        for (from, to) in [("server.pem", "server.crt"), ("server.key", "server.key")] {
            let to = data.join(to);
            std::fs::copy(folder.join(from), &to).unwrap();
            run(Command::new("chmod").arg("600").arg(&to));
            if is_root() {
                run(Command::new("chown").arg("postgres").arg(&to));
            }
        }
        let mut settings = std::fs::read_to_string(data.join("postgresql.conf")).unwrap();
        settings.push_str("\nssl = on\n");
        std::fs::write(data.join("postgresql.conf"), settings).unwrap();
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    /// Starts it again after [`Self::kill`].
    pub(crate) fn resume(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off -c max_connections=200",
            self.port,
            self.folder.path().display()
        );
        let (data, log) = (self.data(), self.folder.path().join("log").display().to_string());
        self.tool(
            "pg_ctl",
            &["-D", &data, "-l", &log, "-o", &options, "-w", "start"],
        );
    }

    /// Ends it at once, without a checkpoint.
    pub(crate) fn kill(&self) {
        for process in self.processes() {
            run(Command::new("kill").args(["-9", &process]));
        }
        while self
            .processes()
            .iter()
            .any(|p| Path::new(&format!("/proc/{p}/stat")).exists())
        {
            std::thread::yield_now();
        }
    }

    /// Its first process and all that came from it.
    pub(crate) fn processes(&self) -> Vec<String> {
        let file = std::fs::read_to_string(Path::new(&self.data()).join("postmaster.pid"));
        let Some(first) = file.ok().and_then(|text| text.lines().next().map(str::to_owned)) else {
            return Vec::new();
        };
        let of = Command::new("pgrep").args(["-P", &first]).output().unwrap();
        let of = String::from_utf8_lossy(&of.stdout).into_owned();
        std::iter::once(first)
            .chain(of.lines().map(str::to_owned))
            .collect()
    }

    /// Sends all its processes a signal.
    pub(crate) fn signal(&self, signal: &str) {
        for process in self.processes() {
            let _ = Command::new("kill").args([signal, &process]).status();
        }
    }

    fn tool(&self, name: &str, args: &[&str]) {
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(bin().join(name));
            command
        } else {
            Command::new(bin().join(name))
        };
        run(command.args(args).current_dir(self.folder.path()));
    }

    /// Statements in a database.
    pub(crate) fn sql(&self, database: &str, sql: &str) {
        let (client, connection) = super::fixture::run(async {
            let url = self.url(database);
            tokio_postgres::connect(&url, tokio_postgres::NoTls)
                .await
                .unwrap()
        });
        super::fixture::run(async {
            let driver = tokio::spawn(connection);
            client.batch_execute(sql).await.unwrap();
            drop(client);
            driver.await.unwrap().unwrap();
        });
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

    /// The address of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://stoa@127.0.0.1:{}/{database}", self.port)
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
        let mut plan = super::fixture::plan(self.folder.path(), resources);
        plan.stores[0].kind = StoreKind::Postgres {
            shards: vec![PostgresShard {
                write: Secret::new(url),
                read: Vec::new(),
            }],
            max_lag: Duration::from_secs(10),
            durability: Durability::Local,
        };
        plan
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in self.processes() {
            let _ = Command::new("kill").args(["-9", &process]).status();
        }
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

/// The newest installed server's programs.
fn bin() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL 15 or newer is installed")
        .map(|entry| entry.unwrap().path().join("bin"))
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL 15 or newer is installed")
}

fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}
