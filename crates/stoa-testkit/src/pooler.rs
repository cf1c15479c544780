//! `PgBouncer` in front of a server.

use crate::programs::as_postgres;
use crate::{Postgres, TRIES, free_port, is_root, run};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Connections to the server for each user of each database.
const SERVERS: usize = 3;

/// A pooler that hands out the server's connections by transaction.
#[derive(Debug)]
pub struct Pgbouncer {
    folder: tempfile::TempDir,
    process: Child,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Pgbouncer {
    /// Starts it in front of every database of a server, with more lines of its file.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(server: &Postgres, settings: &str) -> Self {
        let folder = tempfile::tempdir_in("/tmp").expect("a folder for the pooler");
        let users = folder.path().join("users");
        std::fs::write(users, "\"stoa\" \"\"\n").expect("a file can be written");
        for _ in 0..TRIES {
            let port = free_port();
            let file = configuration(server, folder.path(), port, settings);
            std::fs::write(folder.path().join("ini"), file).expect("a file can be written");
            if is_root() {
                run(Command::new("chown").args(["-R", "postgres"]).arg(folder.path()));
            }
            let mut process = as_postgres(Path::new("pgbouncer"))
                .arg("ini")
                .current_dir(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("pgbouncer is installed");
            while matches!(process.try_wait(), Ok(None)) {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self {
                        folder,
                        process,
                        port,
                    };
                }
                std::thread::yield_now();
            }
        }
        let said = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("pgbouncer did not start: {said}");
    }

    /// The address of a database through it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://stoa@127.0.0.1:{}/{database}", self.port)
    }

    /// What it wrote down.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn configuration(server: &Postgres, folder: &Path, port: u16, settings: &str) -> String {
    let folder = folder.display();
    format!(
        "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users\nlogfile = {folder}/log\npidfile = {folder}/pid\n\
         pool_mode = transaction\ndefault_pool_size = {SERVERS}\nserver_idle_timeout = 5\n{settings}\n",
        server.port
    )
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        // Under `runuser` it is a child of the child, and names itself in its file.
        if let Ok(id) = std::fs::read_to_string(self.folder.path().join("pid")) {
            let _ = Command::new("kill").args(["-9", id.trim()]).status();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
