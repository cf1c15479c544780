//! `sslmode`, against a server with a certificate for `localhost` of an authority of its own.

use super::super::config::Target;
use super::super::connection::Connection;
use super::super::errors::plain;
use crate::store::contract::fixture::run;
use crate::store::contract::server::Server;
use tokio_postgres::SimpleQueryMessage;

/// Whether the connection is encrypted; why there is none.
fn connect(server: &Server, host: &str, options: &str) -> Result<bool, String> {
    encrypted(&format!(
        "postgres://stoa@{host}:{}/postgres?{options}",
        server.port
    ))
}

/// The same for a URL.
fn encrypted(url: &str) -> Result<bool, String> {
    let target = Target::parse(url).map_err(|error| format!("{error:?}"))?;
    // As the pools have it, which know one server each.
    let target = target.each().next().unwrap();
    run(async {
        let connection = Connection::open(&target)
            .await
            .map_err(|error| format!("{error:?} {}", plain(&error, &target.shown)))?;
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

/// A password with all that a URL must escape.
const PASSWORD: &str = "p@s:s/w?o#r%d ö";

#[test]
fn logins_are_bound_to_the_connection_and_passwords_are_any_text() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/contract/tls");
    let server = Server::start_newest_with_tls(folder);
    server.sql(
        "postgres",
        &format!("CREATE ROLE locked LOGIN PASSWORD '{PASSWORD}'"),
    );
    server.let_in("host all locked 127.0.0.1/32 scram-sha-256");
    let escaped = percent_encoding::utf8_percent_encode(PASSWORD, percent_encoding::NON_ALPHANUMERIC);
    let login = |login: &str, options: &str| {
        let url = format!("postgres://{login}@127.0.0.1:{}/postgres?{options}", server.port);
        encrypted(&url)
    };
    let locked = format!("locked:{escaped}");
    for (options, is) in [
        ("sslmode=disable", false),
        ("", true),
        ("sslmode=require&channel_binding=require", true),
        ("sslmode=require&channel_binding=disable", true),
        (
            "sslmode=require&sslnegotiation=direct&channel_binding=require",
            true,
        ),
        ("gssencmode=prefer&target_session_attrs=primary", true),
    ] {
        assert_eq!(login(&locked, options), Ok(is), "{options}");
    }
    for (who, options, why) in [
        // Who is let in without a word has bound nothing.
        (
            "stoa",
            "sslmode=require&channel_binding=require",
            "channel binding",
        ),
        (
            &*locked,
            "sslmode=disable&channel_binding=require",
            "channel binding",
        ),
        ("locked", "", "asks for a password"),
        ("locked:wrong", "", "28P01"),
    ] {
        let refused = login(who, options).expect_err(options);
        assert!(refused.contains(why), "{who} {options}: {refused}");
    }
}

#[test]
fn sockets_are_connected_to() {
    let server = Server::start();
    let path = server.folder().display().to_string().replace('/', "%2F");
    let at = format!("postgres://stoa@{path}:{}/postgres", server.port);
    assert_eq!(encrypted(&at), Ok(false));
    let named = format!("postgres:///postgres?host={path}&port={}&user=stoa", server.port);
    assert_eq!(encrypted(&named), Ok(false));
    // As with libpq: nobody else can listen there.
    assert_eq!(encrypted(&format!("{at}?sslmode=require")), Ok(false));
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
