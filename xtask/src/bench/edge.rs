//! The gateway beside nginx, and resources on SQLite.

use crate::{
    bench::server::{Load, Server, Stoa, fill, medians, row_id},
    stage::{Outcome, root},
};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};
use stoa_testkit::free_port;

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

pub(super) fn bench(folder: &Path) -> Outcome {
    let origin_port = free_port();
    let body = "x".repeat(1024);
    let _origin = nginx(
        folder,
        origin_port,
        origin_port,
        &format!("return 200 \"{body}\";"),
    )?;
    let pass = "proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\";";
    let proxy = nginx(folder, free_port(), origin_port, pass)?;
    let stoa = Stoa {
        file: "bench/stoa.yaml",
        folder,
        variables: vec![
            ("ORIGIN_PORT", origin_port.to_string()),
            ("BENCH_FOLDER", folder.display().to_string()),
        ],
    };
    let stoa = stoa.start(free_port())?;
    fill(&stoa, folder)?;
    println!(
        "{:<34}{:>12}{:>12}{:>14}",
        "CPU µs per request, median", "Stoa", "nginx", "Stoa / nginx"
    );
    let proxied = Load::get("/1k");
    let [ours, theirs] = medians([&|| Ok(proxied.turn(&stoa)?.micros), &|| {
        Ok(proxied.turn(&proxy)?.micros)
    }])?;
    let name = "proxied GET, 1 KiB";
    println!("{name:<34}{ours:>12.1}{theirs:>12.1}{:>14.2}", ours / theirs);
    let script = folder.join("insert.lua");
    fs::write(&script, INSERT).map_err(|e| e.to_string())?;
    let mut refused = Load::get("/nothing/here");
    refused.errors = true;
    let mut insert = Load::get("/items");
    insert.script = Some(script);
    let works = [
        ("static reply (404 problem)", refused),
        (
            "row by key, SQLite",
            Load::get(&format!("/items/{}", row_id(4_711))),
        ),
        ("list of 20 rows, SQLite", Load::get("/items?limit=20")),
        ("insert one row, SQLite", insert),
    ];
    for (name, load) in works {
        let [ours] = medians([&|| Ok(load.turn(&stoa)?.micros)])?;
        println!("{name:<34}{ours:>12.1}");
    }
    Ok(())
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
