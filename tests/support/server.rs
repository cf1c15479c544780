//! The built binary, started in a folder of its own and killed when dropped.

use super::client::Client;
use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    time::Duration,
};

/// How a server is started.
pub(crate) struct Setup<'a> {
    /// `dev` or `serve`.
    pub(crate) command: &'a str,
    /// Where `stoa.yaml` lies.
    pub(crate) folder: &'a Path,
    /// Environment variables beside those of the test.
    pub(crate) env: Vec<(String, String)>,
    /// More words of the command line.
    pub(crate) arguments: Vec<String>,
    /// The most files that the process may have open.
    pub(crate) files_max: Option<u64>,
}

impl<'a> Setup<'a> {
    pub(crate) fn new(command: &'a str, folder: &'a Path) -> Self {
        Self {
            command,
            folder,
            env: Vec::new(),
            arguments: Vec::new(),
            files_max: None,
        }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Behind a lock, so that clients on several threads may share the server.
    lines: Mutex<Receiver<String>>,
    said: Vec<String>,
    pub(crate) http: String,
    pub(crate) admin: String,
    pub(crate) client: Client,
}

/// How often other ports are tried.
const PORT_TRIES: u32 = 4;
/// How long a start may take; a machine that runs everything at once is slow.
const START_TRIES: u32 = 1_500;
/// A look at the server's output between two tries.
const TRY: Duration = Duration::from_millis(20);

impl Server {
    /// Starts the server and waits until it is ready.
    pub(crate) fn start(setup: &Setup<'_>) -> Self {
        match Self::started(setup) {
            Ok(server) => server,
            Err(said) => panic!("stoa {} did not start:\n{said}", setup.command),
        }
    }

    /// As [`Self::start`]; the error is everything it said before it ended.
    pub(crate) fn started(setup: &Setup<'_>) -> Result<Self, String> {
        // Between choosing a free port and using it somebody else may take it.
        for _ in 0..PORT_TRIES {
            match Self::try_start(setup) {
                Err(said) if said.contains("another process holds it") => {}
                ended => return ended,
            }
        }
        Self::try_start(setup)
    }

    /// One try to start it.
    pub(crate) fn try_start(setup: &Setup<'_>) -> Result<Self, String> {
        let mut server = Self::launched(setup);
        server.wait_ready()?;
        Ok(server)
    }

    /// Starts it and waits for nothing.
    pub(crate) fn launched(setup: &Setup<'_>) -> Self {
        let [http, admin] = free_ports();
        let mut program = match setup.files_max {
            None => command(setup.folder),
            Some(files) => limited(setup.folder, files),
        };
        let mut child = program
            .arg(setup.command)
            .args(["--http", &http, "--admin", &admin])
            .args(&setup.arguments)
            .envs(setup.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the built binary starts");
        let (sender, lines) = mpsc::channel();
        for pipe in pipes(&mut child) {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let client = Client::new(&format!("http://{http}"));
        Self {
            child,
            lines: Mutex::new(lines),
            said: Vec::new(),
            http: format!("http://{http}"),
            admin: format!("http://{admin}"),
            client,
        }
    }

    fn wait_ready(&mut self) -> Result<(), String> {
        let admin = Client::new(&self.admin);
        for _ in 0..START_TRIES {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.listen(Duration::from_millis(200));
                return Err(format!("{}\n(it ended with {status})", self.said.join("\n")));
            }
            let ready = admin.try_send("GET", "/readyz", &[], None);
            if ready.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            self.listen(TRY);
        }
        Err(format!("{}\n(it was never ready)", self.said.join("\n")))
    }

    /// Reads what the server says until it is silent for `silence`, or has ended.
    fn listen(&mut self, silence: Duration) {
        loop {
            let lines = self.lines.get_mut().expect("no reader panicked");
            match lines.recv_timeout(silence) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    // Both pipes are closed: nothing more comes, and waiting must still take time.
                    let _ = mpsc::channel::<()>().1.recv_timeout(silence);
                    return;
                }
            }
        }
    }

    /// Waits until the server says a line that holds `part`; fails the test when it does not within half a minute.
    pub(crate) fn wait_for_line(&mut self, part: &str) -> String {
        let mut from = 0;
        for _ in 0..START_TRIES {
            if let Some(line) = self.said[from..].iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            from = self.said.len();
            self.listen(TRY);
        }
        panic!(
            "the server never said {part:?}; it said:\n{}",
            self.said.join("\n")
        );
    }

    /// Everything the server has said so far, from both of its outputs.
    pub(crate) fn said(&mut self) -> String {
        self.listen(TRY);
        self.said.join("\n")
    }

    /// Forgets what was said, so that [`Self::wait_for_line`] sees only what comes.
    pub(crate) fn forget(&mut self) {
        self.listen(TRY);
        self.said.clear();
    }

    /// Sends a signal by name (`TERM`, `HUP`, `KILL`).
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(status.is_ok_and(|s| s.success()), "kill -s {name} works");
    }

    /// Waits until the process is dead, as it is after a kill, and leaves its end for [`Self::wait`].
    pub(crate) fn is_gone(&self) {
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // A zombie: every thread has ended.
        while !state()
            .rsplit(')')
            .next()
            .is_some_and(|s| s.trim_start().starts_with(['Z', 'X']))
        {
            std::thread::yield_now();
        }
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("the process can be waited for")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.listen(TRY);
            // The access records tell little and are many.
            let said: Vec<&str> = self
                .said
                .iter()
                .map(String::as_str)
                .filter(|line| !line.contains("stoa.access"))
                .collect();
            let from = said.len().saturating_sub(40);
            eprintln!("the server said last:\n{}", said[from..].join("\n"));
        }
    }
}

/// The built binary with a clean environment, in `folder`.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stoa"));
    command
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG");
    command
}

/// As [`command`], by a shell that bounds the open files.
fn limited(folder: &Path, files: u64) -> Command {
    let plain = command(folder);
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("ulimit -n {files}; exec \"$0\" \"$@\""))
        .arg(plain.get_program())
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG");
    shell
}

/// What a run of a command gave.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `stoa WORDS` in `folder` to its end.
pub(crate) fn stoa(folder: &Path, words: &[&str]) -> Ran {
    stoa_with(folder, words, &[])
}

/// As [`stoa`], with environment variables.
pub(crate) fn stoa_with(folder: &Path, words: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = command(folder);
    let output = command
        .args(words)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output();
    ran(&output.expect("the built binary starts"))
}

/// As [`stoa`], with this on its stdin.
pub(crate) fn stoa_fed(folder: &Path, words: &[&str], input: &str) -> Ran {
    let file = folder.join("stdin");
    std::fs::write(&file, input).expect("the input can be written");
    let file = std::fs::File::open(&file).expect("the input can be read");
    let output = command(folder).args(words).stdin(file).output();
    ran(&output.expect("the built binary starts"))
}

fn ran(output: &std::process::Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// An address whose port nobody used a moment ago.
pub(crate) fn free_port() -> String {
    let [address] = free_ports();
    address
}

/// Addresses whose ports nobody used a moment ago, all different: each is held until all are found.
fn free_ports<const N: usize>() -> [String; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"));
    held.map(|listener| {
        let address = listener.local_addr().expect("a bound socket has an address");
        address.to_string()
    })
}

/// A folder of its own with a `stoa.yaml`.
pub(crate) fn folder_with(file: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().to_owned();
    std::fs::write(path.join("stoa.yaml"), file).expect("the file can be written");
    (folder, path)
}

fn pipes(child: &mut Child) -> Vec<Box<dyn Read + Send>> {
    let mut pipes: Vec<Box<dyn Read + Send>> = Vec::new();
    pipes.extend(child.stdout.take().map(|p| Box::new(p) as Box<dyn Read + Send>));
    pipes.extend(child.stderr.take().map(|p| Box::new(p) as Box<dyn Read + Send>));
    pipes
}
