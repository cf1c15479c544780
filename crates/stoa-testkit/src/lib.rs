//! Real servers for tests: each in a folder of its own, on a port of its own, and gone when it is dropped; and what judges
//! a history of requests. Only tests depend on this crate.

#![allow(
    clippy::missing_panics_doc,
    reason = "each function panics when it cannot do it: the test has failed"
)]

mod cluster;
pub mod history;
mod pooler;
mod programs;

pub use cluster::Cluster;
pub use pooler::Pgbouncer;

use programs::{Programs, as_postgres};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// How often a start is tried: between choosing a free port and using it somebody else may take it.
const TRIES: usize = 5;

/// An open transaction.
#[derive(Debug)]
pub struct Held {
    client: Child,
    _words: ChildStdin,
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// A PostgreSQL server. Every function panics with what went wrong: a test that has no server has failed.
#[derive(Debug)]
pub struct Postgres {
    folder: tempfile::TempDir,
    programs: Programs,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Postgres {
    /// Starts a server and waits until it answers.
    pub fn start() -> Self {
        Self::start_as(Programs::chosen(), None)
    }

    /// The newest version that npm has, whatever the other tests run on.
    pub fn start_newest() -> Self {
        Self::start_as(Programs::newest(), None)
    }

    /// With `server.pem` and `server.key` of a folder.
    pub fn start_with_tls(folder: &Path) -> Self {
        Self::start_as(Programs::chosen(), Some(folder))
    }

    /// The newest version that npm has, with `server.pem` and `server.key` of a folder.
    pub fn start_newest_with_tls(folder: &Path) -> Self {
        Self::start_as(Programs::newest(), Some(folder))
    }

    /// Puts a line in front of those by which it lets somebody in.
    pub fn let_in(&self, line: &str) {
        let file = PathBuf::from(self.data()).join("pg_hba.conf");
        let before = std::fs::read_to_string(&file).expect("the file of a server");
        std::fs::write(&file, format!("{line}\n{before}")).expect("it can be written");
        self.sql("postgres", "SELECT pg_reload_conf()");
        let first = "SELECT auth_method FROM pg_hba_file_rules ORDER BY line_number LIMIT 1";
        while !line.ends_with(&self.ask("postgres", first)) {}
    }

    fn start_as(programs: Programs, tls: Option<&Path>) -> Self {
        let mut server = Self::fresh(programs);
        if let Some(folder) = tls {
            server.certify(folder);
        }
        server.start_somewhere();
        server
    }

    /// A server with the files of the template, not started.
    fn fresh(programs: Programs) -> Self {
        let template = template(&programs);
        let server = Self::nowhere(programs);
        run(Command::new("cp").arg("-a").arg(template).arg(server.data()));
        server
    }

    /// A folder for a server.
    fn nowhere(programs: Programs) -> Self {
        let folder = tempfile::tempdir_in(home()).expect("a folder for the server");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        Self {
            folder,
            programs,
            port: 0,
        }
    }

    /// Makes the files of a server without a database of its own.
    fn initialise(&self) {
        let data = self.data();
        let words = ["-D", &data, "-U", "stoa", "-A", "trust", "--no-sync"];
        // Small files of its log: most servers write little before they are gone.
        let kept = ["-E", "UTF8", "--locale=C.UTF-8", "--wal-segsize=1"];
        run(&mut self.tool("initdb", &[&words[..], &kept[..]].concat()));
    }

    /// Starts it at a free port.
    fn start_somewhere(&mut self) {
        for _ in 0..TRIES {
            self.port = free_port();
            if self.start_again() {
                return;
            }
        }
        panic!("the server did not start: {}", self.log());
    }

    fn certify(&self, folder: &Path) {
        let data = PathBuf::from(self.data());
        for (from, to) in [("server.pem", "server.crt"), ("server.key", "server.key")] {
            let to = data.join(to);
            std::fs::copy(folder.join(from), &to).expect("a certificate can be copied");
            run(Command::new("chmod").arg("600").arg(&to));
            if is_root() {
                run(Command::new("chown").arg("postgres").arg(&to));
            }
        }
        append(&data.join("postgresql.conf"), "\nssl = on\n");
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    /// Starts it again after [`Self::kill`].
    pub fn resume(&self) {
        assert!(self.start_again(), "the server did not start: {}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn start_again(&self) -> bool {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off -c max_connections=200 \
             -c shared_buffers=16MB -c wal_keep_size=64MB -c max_wal_size=512MB -c dynamic_shared_memory_type=mmap",
            self.port,
            self.folder.path().display()
        );
        let (data, log) = (self.data(), self.folder.path().join("log").display().to_string());
        let words = ["-D", &data, "-l", &log, "-o", &options, "-w", "start"];
        let status = self.tool("pg_ctl", &words).stdout(Stdio::null()).status();
        status.is_ok_and(|s| s.success())
    }

    /// Ends it at once, without a checkpoint.
    pub fn kill(&self) {
        // One of a connection may have ended since it was listed: then there is nothing to end.
        self.signal("-9");
        while self
            .processes()
            .iter()
            .any(|p| Path::new(&format!("/proc/{p}/stat")).exists())
        {
            std::thread::yield_now();
        }
    }

    /// Its first process and all that came from it.
    pub fn processes(&self) -> Vec<String> {
        let file = std::fs::read_to_string(Path::new(&self.data()).join("postmaster.pid"));
        let Some(first) = file.ok().and_then(|text| text.lines().next().map(str::to_owned)) else {
            return Vec::new();
        };
        let of = Command::new("pgrep")
            .args(["-P", &first])
            .output()
            .expect("pgrep starts");
        let of = String::from_utf8_lossy(&of.stdout).into_owned();
        std::iter::once(first)
            .chain(of.lines().map(str::to_owned))
            .collect()
    }

    /// Sends all its processes a signal.
    pub fn signal(&self, signal: &str) {
        for process in self.processes() {
            let _ = Command::new("kill").args([signal, &process]).status();
        }
    }

    /// One of its programs, as the user who may run it: not root.
    fn tool(&self, name: &str, args: &[&str]) -> Command {
        let mut command = as_postgres(&self.programs.path(name));
        command.args(args).current_dir(self.folder.path());
        command
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://stoa@127.0.0.1:{}/{database}", self.port)
    }

    /// A transaction that has run a statement and stays open until it is dropped.
    pub fn hold(&self, database: &str, sql: &str) -> Held {
        let url = self.url(database);
        let mut client = Command::new(self.programs.path("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql starts");
        let mut words = client.stdin.take().expect("it is piped");
        writeln!(words, "BEGIN; {sql};\n\\echo held").expect("psql listens");
        let said = client.stdout.take().expect("it is piped");
        let held = BufReader::new(said)
            .lines()
            .map_while(Result::ok)
            .any(|line| line == "held");
        assert!(held, "{sql}");
        Held {
            client,
            _words: words,
        }
    }

    /// Statements in a database.
    pub fn sql(&self, database: &str, sql: &str) {
        let url = self.url(database);
        run(Command::new(self.programs.path("psql")).args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &url,
            "-c",
            sql,
        ]));
    }

    /// The one value that a statement gives, as text.
    pub fn ask(&self, database: &str, sql: &str) -> String {
        let url = self.url(database);
        let words = [
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &url,
            "-c",
            sql,
        ];
        let output = Command::new(self.programs.path("psql"))
            .args(words)
            .output()
            .expect("psql starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What a database has beside rows, as SQL.
    pub fn dump(&self, database: &str) -> String {
        let mut command = Command::new(self.programs.path("pg_dump"));
        let output = command
            .args(["--schema-only", "-d", &self.url(database)])
            .output()
            .expect("pg_dump starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // Newer ones put a random word around it.
        let lines = text.lines().filter(|line| !line.starts_with('\\'));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Waits until no client of this name is connected any more.
    pub fn wait_without(&self, application: &str) {
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}'");
        while self.ask("postgres", &count) != "0" {}
    }

    /// The path of one of the server's own programs, `pgbench` say.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.path(name)
    }

    /// The folder it lives in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let known =
            std::fs::read_to_string(Path::new(&self.data()).join("postmaster.pid")).unwrap_or_default();
        for process in self.processes() {
            let _ = Command::new("kill").args(["-9", &process]).status();
        }
        // One that is killed leaves its segment of shared memory, by which the next one knows it; a system has a bound of
        // them. The file names it: its key, then its id.
        let segment = known
            .lines()
            .nth(6)
            .and_then(|line| line.split_whitespace().nth(1));
        if let Some(id) = segment {
            let removing = Command::new("ipcrm")
                .args(["-m", id])
                .stderr(Stdio::null())
                .status();
            drop(removing);
        }
    }
}

/// Where the servers live: in memory where there is plenty of it, since files take longer to be copied to a disk and removed
/// from it than a server takes to start. A short path: a socket's name has a bound.
fn home() -> &'static str {
    const MEMORY: &str = "/dev/shm";
    const PLENTY_KIB: u64 = 4 * 1024 * 1024;
    let asked = Command::new("df").args(["-k", "--output=avail", MEMORY]).output();
    let said = asked.map(|a| String::from_utf8_lossy(&a.stdout).into_owned());
    let free = said
        .ok()
        .and_then(|text| text.lines().last()?.trim().parse::<u64>().ok());
    if free.is_some_and(|free| free >= PLENTY_KIB) {
        MEMORY
    } else {
        "/tmp"
    }
}

/// The files of a new server, made once by the first test that wants one and copied by all: making them takes ten times
/// as long. So servers that were started on their own have one system identifier.
fn template(programs: &Programs) -> PathBuf {
    let name = format!("stoa-tests-postgres-{}-{}-small", programs.version(), user());
    let template = Path::new("/tmp").join(name);
    if !template.exists() {
        let new = Postgres::nowhere(programs.clone());
        new.initialise();
        // It may live on another file system: copied beside first, then put in its place at once.
        let beside = PathBuf::from(format!("{}.{}", template.display(), std::process::id()));
        run(Command::new("cp").arg("-a").arg(new.data()).arg(&beside));
        // Whoever is first has made it; who comes later finds it there.
        let made = std::fs::rename(&beside, &template);
        assert!(made.is_ok() || template.exists(), "{made:?}");
        let _ = std::fs::remove_dir_all(&beside);
    }
    template
}

/// A port that nobody used a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

fn is_root() -> bool {
    user() == 0
}

/// Whose process this is.
fn user() -> u32 {
    std::fs::metadata("/proc/self").map_or(0, |m| std::os::unix::fs::MetadataExt::uid(&m))
}

/// Adds to a file of a server, which is made where it is not there and belongs to who runs it.
fn append(file: &Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options
        .create(true)
        .append(true)
        .open(file)
        .expect("a file of the server");
    opened.write_all(text.as_bytes()).expect("it can be written");
    if is_root() {
        run(Command::new("chown").arg("postgres").arg(file));
    }
}

fn run(command: &mut Command) {
    let status = command
        .stdout(Stdio::null())
        .status()
        .expect("the program starts");
    assert!(status.success(), "{command:?}");
}
