//! `cargo xtask bench`: CPU microseconds per request, Stoa beside nginx on the same work.
//!
//! CPU per request (user and system time of the process over the requests it answered) is the steady figure: on a
//! shared machine the wall clock measures the neighbours. Stoa and nginx run with one worker each and take turns.

use crate::stage::{Outcome, cargo, command, now, output, root, run, stage, works};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Turns that are counted, after one that is not.
const TURNS: usize = 5;
/// Length of a turn, in whole seconds as wrk takes it.
const TURN_SECONDS: &str = "3";
/// Connections that the load keeps open.
const CONNECTIONS: &str = "64";
/// Rows in the table that is read.
const ROWS: u32 = 10_000;

/// Builds, starts the servers, measures, prints a table.
pub(crate) fn bench() -> Outcome {
    for (program, package) in [("nginx", "nginx-light"), ("wrk", "wrk"), ("curl", "curl")] {
        install(program, package)?;
    }
    stage("release build", || {
        run(&mut cargo(&["build", "--release", "--package", "stoa"]))
    })?;
    let folder = root().join("target/bench");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    let bench = Bench::start(folder)?;
    bench.fill()?;
    println!(
        "{:<34}{:>12}{:>12}{:>14}",
        "CPU µs per request, median", "Stoa", "nginx", "Stoa / nginx"
    );
    for work in Work::all() {
        let (ours, theirs) = stage(work.name, || bench.measure(&work))?;
        let (theirs, ratio) = match theirs {
            Some(theirs) => (format!("{theirs:.1}"), format!("{:.2}", ours / theirs)),
            None => ("–".to_owned(), "–".to_owned()),
        };
        println!("{:<34}{ours:>12.1}{theirs:>12}{ratio:>14}", work.name);
    }
    Ok(())
}

/// The servers of a bench.
struct Bench {
    folder: PathBuf,
    stoa: Server,
    proxy: Server,
    _origin: Server,
}

/// One kind of request.
struct Work {
    name: &'static str,
    path: String,
    script: Option<&'static str>,
    beside_nginx: bool,
}

impl Work {
    fn all() -> Vec<Self> {
        let get = |name, path: &str, beside_nginx| Self {
            name,
            path: path.to_owned(),
            script: None,
            beside_nginx,
        };
        vec![
            get("proxied GET, 1 KiB", "/1k", true),
            get("static reply (404 problem)", "/nothing/here", false),
            get("row by key, SQLite", &format!("/items/{}", row_id(4_711)), false),
            get("list of 20 rows, SQLite", "/items?limit=20", false),
            Self {
                name: "insert one row, SQLite",
                path: "/items".to_owned(),
                script: Some(INSERT),
                beside_nginx: false,
            },
        ]
    }
}

/// Ids are random: keys of one bench never meet those of another.
const INSERT: &str = r#"
math.randomseed(os.time())
local head = { ["content-type"] = "application/json", ["prefer"] = "return=minimal" }
function request()
  local id = string.format("%08x-%04x-4%03x-8%03x-%06x%06x", math.random(0, 0x7fffffff), math.random(0, 0xffff),
    math.random(0, 0xfff), math.random(0, 0xfff), math.random(0, 0xffffff), math.random(0, 0xffffff))
  return wrk.format("POST", nil, head, '{"id":"' .. id .. '","name":"a thing","price":"12.50"}')
end
"#;

impl Bench {
    fn start(folder: PathBuf) -> Outcome<Self> {
        let origin_port = free_port()?;
        let body = "x".repeat(1024);
        let origin = nginx(
            &folder,
            origin_port,
            origin_port,
            &format!("return 200 \"{body}\";"),
        )?;
        let pass = "proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\";";
        let proxy = nginx(&folder, free_port()?, origin_port, pass)?;
        let port = free_port()?;
        let log = fs::File::create(folder.join("stoa.log")).map_err(|e| e.to_string())?;
        let program = root().join("target/release/stoa");
        let stoa = |arguments: &[&str]| {
            let mut stoa = command(&program.to_string_lossy(), arguments);
            stoa.env("STOA_PORT", port.to_string())
                .env("ORIGIN_PORT", origin_port.to_string());
            stoa.env("BENCH_FOLDER", &folder).stdin(Stdio::null());
            stoa
        };
        run(&mut stoa(&["migrate", "apply", "bench/stoa.yaml"]))?;
        let mut stoa = stoa(&["serve", "bench/stoa.yaml"]);
        stoa.stdout(log).stderr(Stdio::null());
        let stoa = Server::start(stoa, port)?;
        Ok(Self {
            folder,
            stoa,
            proxy,
            _origin: origin,
        })
    }

    /// Puts the rows in, a thousand at a time.
    fn fill(&self) -> Outcome {
        for from in (0..ROWS).step_by(1000) {
            let rows: Vec<String> = (from..from + 1000)
                .map(|n| {
                    format!(
                        r#"{{"id":"{}","name":"item {n}","price":"{n}.25","stock":{n}}}"#,
                        row_id(n)
                    )
                })
                .collect();
            let file = self.folder.join("rows.json");
            fs::write(&file, format!("[{}]", rows.join(","))).map_err(|e| e.to_string())?;
            let url = format!("http://127.0.0.1:{}/items", self.stoa.port);
            let data = format!("@{}", file.display());
            let flags = [
                "-sS",
                "--fail-with-body",
                "-o",
                "/dev/null",
                "-H",
                "content-type: application/json",
            ];
            let flags = [
                &flags[..],
                &["-H", "prefer: return=minimal", "--data-binary", &data, &url],
            ]
            .concat();
            run(&mut command("curl", &flags))?;
        }
        Ok(())
    }

    /// Medians of Stoa and, where it does the same work, of nginx; the two take turns.
    fn measure(&self, work: &Work) -> Outcome<(f64, Option<f64>)> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for turn in 0..=TURNS {
            let a = self.turn(&self.stoa, work)?;
            let b = if work.beside_nginx {
                Some(self.turn(&self.proxy, work)?)
            } else {
                None
            };
            if turn > 0 {
                ours.push(a);
                theirs.extend(b);
            }
        }
        Ok((median(ours).ok_or("no turn was counted")?, median(theirs)))
    }

    /// CPU µs per request of `server` in one turn.
    fn turn(&self, server: &Server, work: &Work) -> Outcome<f64> {
        let url = format!("http://127.0.0.1:{}{}", server.port, work.path);
        let mut arguments = vec!["-t1", "-c", CONNECTIONS, "-d", TURN_SECONDS];
        let script = self.folder.join("work.lua").to_string_lossy().into_owned();
        if let Some(text) = work.script {
            fs::write(&script, text).map_err(|e| e.to_string())?;
            arguments.extend(["-s", &script]);
        }
        arguments.push(&url);
        let before = server.cpu_micros()?;
        let said = output(&mut command("wrk", &arguments))?;
        let used = server.cpu_micros()? - before;
        if work.path != "/nothing/here" && said.contains("Non-2xx") {
            return Err(format!("{} answered with errors:\n{said}", work.name));
        }
        let requests = said
            .lines()
            .find_map(|l| l.trim().split_once(" requests in")?.0.parse::<f64>().ok());
        let requests = requests
            .filter(|n| *n > 0.0)
            .ok_or(format!("wrk counted no requests:\n{said}"))?;
        Ok(used / requests)
    }
}

/// A process under measurement; ends with the bench.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(mut command: Command, port: u16) -> Outcome<Self> {
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

/// nginx in the foreground, one process, on `port`.
fn nginx(folder: &Path, port: u16, origin_port: u16, role: &str) -> Outcome<Server> {
    let own = folder.join(format!("nginx-{port}"));
    fs::create_dir_all(&own).map_err(|e| e.to_string())?;
    let text = fs::read_to_string(root().join("bench/nginx.conf")).map_err(|e| e.to_string())?;
    let text = text
        .replace("FOLDER", &own.to_string_lossy())
        .replace("ROLE", role);
    let text = text
        .replace("LISTEN_PORT", &port.to_string())
        .replace("ORIGIN_PORT", &origin_port.to_string());
    let file = own.join("nginx.conf");
    fs::write(&file, text).map_err(|e| e.to_string())?;
    let mut nginx = Command::new("nginx");
    nginx
        .arg("-c")
        .arg(&file)
        .arg("-p")
        .arg(&own)
        .stderr(Stdio::null());
    Server::start(nginx, port)
}

fn install(program: &str, package: &str) -> Outcome {
    let found = works("sh", &["-c", &format!("command -v {program}")]);
    if found {
        return Ok(());
    }
    eprintln!("{program} is missing: installing Debian's {package}");
    run(&mut command("apt-get", &["install", "-y", "-qq", package]))
        .map_err(|e| format!("{e}; the bench needs {program}: `apt-get install {package}`"))
}

fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| e.to_string())?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}

/// The id of the bench's row `n`.
fn row_id(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
