//! The panel: everything a person needs next, printed when `dev` is ready.

use super::{
    token::{self, DevToken},
    try_line,
};
use crate::{
    commands,
    run::Live,
    terminal::{self, style},
};
use serde_json::json;
use std::{net::SocketAddr, path::Path, process::Stdio, sync::Arc, time::Duration};
use stoa_config::plan::{Plan, StoreKind};
use stoa_edge::Gateway;

/// So much of the token is shown where `t` shows the rest.
const TOKEN_CHARS: usize = 12;

/// Prints the panel, or with `machine` one JSON object on stdout. `quiet` is a gateway of the same plan that
/// keeps no records.
pub(crate) async fn show(live: &Live, quiet: &Arc<Gateway>, took: Duration, machine: bool) {
    let plan = &live.plan;
    let base = url(scheme(plan), live.http);
    let token = token::mint(plan);
    let minted = token.as_ref().and_then(|t| t.as_ref().ok());
    let text = minted.map(|t| t.text.as_str());
    let try_line = try_line::find(plan, quiet, &base, text).await;
    let admin = live.admin.map(|at| url("http", at));
    if machine {
        terminal::result(json!({
            "event": "ready", "api": base, "docs": format!("{base}/docs"), "admin": admin,
            "token": text, "try": try_line, "took_ms": took.as_millis() as u64,
        }));
        return;
    }
    let (good, name, dim) = (style::GOOD, style::NAME, style::DIM);
    let size = commands::size_of(plan);
    let file = plan
        .file
        .file_name()
        .unwrap_or(plan.file.as_os_str())
        .to_string_lossy();
    let profile = plan
        .profile
        .as_ref()
        .map_or_else(String::new, |p| format!("profile {p} · "));
    terminal::say(format_args!(
        "\n  {good}{}{good:#}  ready in {} ms   {dim}({profile}{file} · {size}){dim:#}\n",
        plan.api,
        took.as_millis()
    ));
    let line = |label: &str, text: &str| terminal::say(format_args!("  {dim}{label:<11}{dim:#}{text}"));
    line("API", &format!("{name}{base}{name:#}"));
    line("Docs", &format!("{name}{base}/docs{name:#}"));
    if let Some(admin) = admin {
        line(
            "Admin",
            &format!("{name}{admin}{name:#}  {dim}/livez /readyz /metrics{dim:#}"),
        );
    }
    for text in stores(plan) {
        line("Data", &text);
    }
    line("Token", &token_line(token.as_ref(), terminal::interactive()));
    terminal::say("");
    line("try", &try_line);
    if terminal::interactive() {
        line("keys", "o docs · t token · r reload · c clear · h help · q quit");
    }
    terminal::say("");
}

/// Where a person here reaches the address: an address that means every interface is no address to go to.
pub(crate) fn url(scheme: &str, at: SocketAddr) -> String {
    if at.ip().is_unspecified() {
        format!("{scheme}://localhost:{}", at.port())
    } else {
        format!("{scheme}://{at}")
    }
}

/// What the API's port speaks.
pub(crate) fn scheme(plan: &Plan) -> &'static str {
    if plan.server.tls.is_some() {
        "https"
    } else {
        "http"
    }
}

/// One line per SQLite store, its path as seen from the folder of the file.
fn stores(plan: &Plan) -> impl Iterator<Item = String> + '_ {
    let folder = plan.file.parent().unwrap_or(Path::new(""));
    plan.stores.iter().enumerate().map(move |(position, store)| {
        let tables = plan.resources.iter().filter(|r| r.store == position).count();
        let tables = terminal::count(tables, "resource");
        match &store.kind {
            StoreKind::Sqlite { path } => {
                let shown = path.strip_prefix(folder).unwrap_or(path).display();
                format!("{shown} (SQLite)  {tables}, up to date")
            }
            StoreKind::Postgres { shards, .. } => {
                let shown = shards
                    .first()
                    .map(|shard| without_credentials(shard.write.expose()));
                format!("{} (PostgreSQL)  {tables}, up to date", shown.unwrap_or_default())
            }
        }
    })
}

/// Host and database of a URL: what may stand on a screen.
fn without_credentials(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('?').next().unwrap_or_default();
    rest.rsplit('@').next().unwrap_or_default()
}

fn token_line(token: Option<&Result<DevToken, String>>, keys: bool) -> String {
    match token {
        None => String::from("none: the file has no `auth`"),
        Some(Err(why)) => format!("none: {why}"),
        Some(Ok(token)) => {
            let text = if keys {
                format!("{}…", token.text.chars().take(TOKEN_CHARS).collect::<String>())
            } else {
                token.text.clone()
            };
            let mut says = vec![format!("user={}", token.user)];
            if !token.roles.is_empty() {
                says.push(format!("role={}", token.roles.join(",")));
            }
            if !token.scopes.is_empty() {
                says.push(format!("scope={}", token.scopes.join(",")));
            }
            let hours = token::TTL.as_secs() / 3600;
            let press = if keys { " · press t" } else { "" };
            format!("{text}  {}, {hours} h{press}", says.join(" "))
        }
    }
}

/// Does what the key asks for.
pub(crate) fn key(live: &Live, key: char) {
    match key {
        'o' => open(&format!("{}/docs", url(scheme(&live.plan), live.http))),
        't' => match token::mint(&live.plan) {
            Some(Ok(token)) => terminal::say(format_args!("\n{}\n", token.text)),
            other => terminal::say(format_args!("  {}", token_line(other.as_ref(), true))),
        },
        'c' => terminal::say_raw("\x1b[2J\x1b[3J\x1b[H"),
        'h' | '?' => terminal::say(
            "\n  o  open the docs page\n  t  print a development token\n  r  read the file again\n  c  clear the screen\n  h  this help\n  q  quit\n",
        ),
        '\n' => terminal::say(""),
        _ => {}
    }
}

/// Opens an address in the person's browser; says it where there is none.
fn open(url: &str) {
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let started = std::process::Command::new(opener)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        Ok(mut child) => {
            // Whoever starts a process must wait for it, or it stays behind as a zombie.
            std::thread::spawn(move || child.wait());
        }
        Err(_) => terminal::say(format_args!("  open {url}")),
    }
}
