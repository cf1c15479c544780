//! A server under measurement, and the load that measures it.

use crate::{
    bench::built,
    stage::{Outcome, command, now, output, run},
};
use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Turns that are counted, after one that is not.
const TURNS: usize = 5;
/// Length of a turn, in whole seconds as wrk takes it.
pub(super) const TURN_SECONDS: &str = "3";
/// Rows in the table that is read.
const ROWS: u32 = 10_000;

/// A process under measurement; ends with the bench.
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(super) fn start(mut command: Command, port: u16) -> Outcome<Self> {
        let child = command
            .spawn()
            .map_err(|e| format!("cannot start a server: {e}"))?;
        let mut server = Self { child, port };
        let start = now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("a server of the bench ended with {status}"));
            }
            if start.elapsed() > Duration::from_secs(20) {
                return Err("a server of the bench did not listen within 20 s".to_owned());
            }
        }
        Ok(server)
    }

    /// User and system time of the process so far, in microseconds (`/proc/PID/stat`, fields 14 and 15, ticks of 10 ms).
    fn cpu_micros(&self) -> Outcome<f64> {
        let file = format!("/proc/{}/stat", self.child.id());
        let text = fs::read_to_string(&file).map_err(|e| format!("cannot read {file}: {e}"))?;
        let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: f64 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|n| n.parse::<f64>().ok())
            .sum();
        Ok(ticks * 10_000.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stoa with one of the bench's files: what the file's `${…}` stand for, applied and served.
pub(super) struct Stoa<'a> {
    pub(super) file: &'a str,
    pub(super) folder: &'a Path,
    pub(super) variables: Vec<(&'a str, String)>,
}

impl Stoa<'_> {
    /// Makes the tables and serves.
    pub(super) fn start(&self, port: u16) -> Outcome<Server> {
        run(self
            .command(port, &["migrate", "apply", self.file])
            .stdout(Stdio::null()))?;
        let log = fs::File::create(self.folder.join("stoa.log")).map_err(|e| e.to_string())?;
        let mut serve = self.command(port, &["serve", self.file]);
        serve.stdout(log).stderr(Stdio::null());
        Server::start(serve, port)
    }

    fn command(&self, port: u16, words: &[&str]) -> Command {
        let mut stoa = command(&built("stoa").to_string_lossy(), words);
        stoa.env("STOA_PORT", port.to_string()).stdin(Stdio::null());
        for (name, value) in &self.variables {
            stoa.env(name, value);
        }
        stoa
    }
}

/// Requests of one kind, from some connections at once.
pub(super) struct Load {
    pub(super) path: String,
    pub(super) connections: u32,
    /// What wrk sends when it is more than a GET, in a file.
    pub(super) script: Option<PathBuf>,
    /// Whether a reply may be an error.
    pub(super) errors: bool,
}

impl Load {
    /// A GET from 64 connections.
    pub(super) fn get(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            connections: 64,
            script: None,
            errors: false,
        }
    }

    /// One turn on `server`.
    pub(super) fn turn(&self, server: &Server) -> Outcome<Turn> {
        let url = format!("http://127.0.0.1:{}{}", server.port, self.path);
        let connections = self.connections.to_string();
        let mut wrk = command(
            "wrk",
            &["-t1", "-c", &connections, "-d", TURN_SECONDS, "--latency"],
        );
        if let Some(script) = &self.script {
            wrk.arg("-s").arg(script);
        }
        let before = server.cpu_micros()?;
        let said = output(wrk.arg(&url))?;
        let used = server.cpu_micros()? - before;
        if !self.errors && said.contains("Non-2xx") {
            return Err(format!("{} answered with errors:\n{said}", self.path));
        }
        let find = |read: fn(&str) -> Option<f64>| said.lines().find_map(|line| read(line.trim()));
        let requests = find(|line| line.split_once(" requests in")?.0.parse().ok());
        let per_second = find(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
        let half = find(|line| millis(line.strip_prefix("50%")?.trim()));
        match (requests, per_second, half) {
            (Some(requests), Some(per_second), Some(millis)) if requests > 0.0 => Ok(Turn {
                micros: used / requests,
                per_second,
                millis,
            }),
            _ => Err(format!("wrk counted no requests:\n{said}")),
        }
    }
}

/// What one turn showed.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    /// CPU of the server per request.
    pub(super) micros: f64,
    pub(super) per_second: f64,
    /// What half of the requests took at most.
    pub(super) millis: f64,
}

/// Several measurements that take turns; each one's median, by `by`.
pub(super) fn medians<const N: usize>(measure: [&dyn Fn() -> Outcome<f64>; N]) -> Outcome<[f64; N]> {
    let mut seen: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for turn in 0..=TURNS {
        for (seen, measure) in seen.iter_mut().zip(&measure) {
            let value = measure()?;
            if turn > 0 {
                seen.push(value);
            }
        }
    }
    Ok(seen.map(|mut values| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }))
}

/// Puts rows into `items` through the API, a thousand at a time.
pub(super) fn fill(server: &Server, folder: &Path) -> Outcome {
    for from in (0..ROWS).step_by(1000) {
        let rows: Vec<String> = (from..from + 1000)
            .map(|n| {
                let id = row_id(n);
                format!(r#"{{"id":"{id}","name":"item {n}","price":"{n}.25","stock":{n}}}"#)
            })
            .collect();
        post(server, folder, "/items", &format!("[{}]", rows.join(",")))?;
    }
    Ok(())
}

/// Sends rows to be inserted.
pub(super) fn post(server: &Server, folder: &Path, path: &str, rows: &str) -> Outcome {
    let file = folder.join("rows.json");
    fs::write(&file, rows).map_err(|e| e.to_string())?;
    let mut curl = command("curl", &["-sS", "--fail-with-body", "-o", "/dev/null"]);
    curl.args(["-H", "content-type: application/json"])
        .args(["-H", "prefer: return=minimal, atomic=per-shard"])
        .args(["--data-binary", &format!("@{}", file.display())])
        .arg(format!("http://127.0.0.1:{}{path}", server.port));
    run(&mut curl)
}

/// The id of the bench's row `n`.
pub(super) fn row_id(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// wrk's `12.30us`, `1.20ms`, `2.00s` in milliseconds.
fn millis(text: &str) -> Option<f64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let factor = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}
