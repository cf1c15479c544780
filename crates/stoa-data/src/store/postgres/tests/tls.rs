//! `sslmode`, against a server with a certificate for `localhost` of an authority of its own.

use super::super::config::Target;
use super::super::connection::Connection;
use crate::store::contract::fixture::run;
use crate::store::contract::server::Server;
use tokio_postgres::SimpleQueryMessage;

/// Whether the connection is encrypted; why there is none.
fn connect(server: &Server, host: &str, options: &str) -> Result<bool, String> {
    let url = format!("postgres://stoa@{host}:{}/postgres?{options}", server.port);
    let target = Target::parse(&url).map_err(|error| format!("{error:?}"))?;
    run(async {
        let connection = Connection::open(&target)
            .await
            .map_err(|error| format!("{error:?}"))?;
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let rows = connection.client.simple_query(sql).await.unwrap();
        Ok(rows
            .iter()
            .any(|m| matches!(m, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"))))
    })
}

#[test]
fn each_mode_asks_for_what_it_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/contract/tls");
    let server = Server::start_with_tls(folder);
    let (ours, other) = (
        format!("sslrootcert={folder}/ca.pem"),
        format!("sslrootcert={folder}/other.pem"),
    );
    let (local, address) = ("localhost", "127.0.0.1");
    for (host, options, encrypted) in [
        (address, "sslmode=disable".to_owned(), false),
        (address, String::new(), true),
        (address, "sslmode=prefer".to_owned(), true),
        (address, "sslmode=require".to_owned(), true),
        (address, format!("sslmode=verify-ca&{ours}"), true),
        (local, format!("sslmode=verify-full&{ours}"), true),
        (
            local,
            format!("application_name=x&sslmode=verify-full&{ours}"),
            true,
        ),
    ] {
        assert_eq!(
            connect(&server, host, &options),
            Ok(encrypted),
            "{host} {options}"
        );
    }
    for (host, options, why) in [
        (address, format!("sslmode=verify-full&{ours}"), "NotValidForName"),
        (local, format!("sslmode=verify-full&{other}"), "UnknownIssuer"),
        (local, format!("sslmode=verify-ca&{other}"), "UnknownIssuer"),
        // As with libpq, an authority that is named is asked.
        (local, format!("sslmode=require&{other}"), "UnknownIssuer"),
        (
            local,
            "sslmode=verify-full&sslrootcert=/nowhere".to_owned(),
            "/nowhere",
        ),
        (local, "sslmode=maybe".to_owned(), "verify-full"),
    ] {
        let refused = connect(&server, host, &options).unwrap_err();
        assert!(refused.contains(why), "{host} {options}: {refused}");
    }
    let plain = Server::start();
    assert_eq!(connect(&plain, address, "sslmode=prefer"), Ok(false));
    assert!(connect(&plain, address, "sslmode=require").is_err());
}

#[test]
fn the_password_is_never_shown() {
    let target = Target::parse("postgres://u:geheim@h:1,i:2/db?sslmode=disable").unwrap();
    assert_eq!(format!("{target:?}"), "Target(PostgreSQL at h:1,i:2/db)");
    for broken in [
        "postgres://u:geheim@h:x/db",
        "postgres://u:geheim@h/db?sslmode=no",
        "postgres://u:geheim@h/db?what=1",
    ] {
        let why = format!("{:?}", Target::parse(broken).unwrap_err());
        assert!(!why.contains("geheim"), "{why}");
    }
}
