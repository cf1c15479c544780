//! Counts and their text.

use super::*;
use http::StatusCode;
use stoa_data::store::Role;
use stoa_exchange::Context;

fn exchange(metrics: &Metrics, route: Option<&str>, name: &str, status: u16, millis: u64) {
    let mut context = Context::local();
    context.route = route.map(Arc::from);
    metrics.record(&Record {
        context: &context,
        method: &Method::from_bytes(name.as_bytes()).unwrap(),
        path: "/x",
        version: http::Version::HTTP_11,
        status: StatusCode::from_u16(status).unwrap(),
        problem: None,
        cause: None,
        sent_bytes: 7,
        took: Duration::from_millis(millis),
        complete: true,
        endpoint: None,
    });
}

fn servers() -> Vec<(String, Server)> {
    let server = |name: &str, role, out: Option<&str>, lag| Server {
        shard: 0,
        name: Arc::from(name),
        role,
        out: out.map(str::to_owned),
        timeline: 2,
        lag,
        lag_bytes: lag.map(|_| 4_096),
        reads: 7,
        fallbacks: 1,
        ejections: 3,
        returns: 2,
    };
    let late = Some(Duration::from_millis(1_500));
    vec![
        (String::from("main"), server("a:1", Role::Primary, None, None)),
        (
            String::from("main"),
            server("b:2", Role::Replica, Some("late"), late),
        ),
    ]
}

#[test]
fn exchanges_are_counted_by_route_method_and_class() {
    let metrics = Metrics::default();
    exchange(&metrics, Some("/a/{id}"), "GET", 200, 1);
    exchange(&metrics, Some("/a/{id}"), "GET", 204, 60);
    exchange(&metrics, Some("/a/{id}"), "GET", 404, 20_000);
    exchange(&metrics, None, "INVENTED", 404, 1);
    let text = metrics.render(&Gauges {
        endpoints: Vec::new(),
        services: Vec::new(),
        servers: servers(),
        active: 3,
        lines_dropped: 2,
        reloads: [1, 0],
        panics: 4,
        ready: true,
    });
    for line in [
        r#"stoa_requests_total{http_route="/a/{id}",http_request_method="GET",status="2xx"} 2"#,
        r#"stoa_store_server_role{store="main",shard="0",server="a:1",role="primary"} 1"#,
        r#"stoa_store_server_in_use{store="main",shard="0",server="b:2"} 0"#,
        r#"stoa_store_replica_lag_seconds{store="main",shard="0",server="b:2"} 1.5"#,
        r#"stoa_store_replica_lag_bytes{store="main",shard="0",server="b:2"} 4096"#,
        r#"stoa_store_server_reads_total{store="main",shard="0",server="a:1"} 7"#,
        r#"stoa_store_server_ejections_total{store="main",shard="0",server="b:2"} 3"#,
        r#"stoa_requests_total{http_route="_unmatched",http_request_method="_OTHER",status="4xx"} 1"#,
        r#"stoa_response_body_bytes_total{http_route="/a/{id}",http_request_method="GET",status="2xx"} 14"#,
        r#"http_server_request_duration_seconds_bucket{http_route="/a/{id}",http_request_method="GET",status="2xx",le="0.005"} 1"#,
        r#"http_server_request_duration_seconds_bucket{http_route="/a/{id}",http_request_method="GET",status="2xx",le="0.075"} 2"#,
        r#"http_server_request_duration_seconds_bucket{http_route="/a/{id}",http_request_method="GET",status="4xx",le="10"} 0"#,
        r#"http_server_request_duration_seconds_bucket{http_route="/a/{id}",http_request_method="GET",status="4xx",le="+Inf"} 1"#,
        "http_server_active_requests 3",
        "stoa_log_lines_dropped_total 2",
        r#"stoa_reloads_total{result="taken"} 1"#,
        "stoa_panics_total 4",
        "stoa_ready 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
}

#[test]
fn series_are_bounded() {
    let metrics = Metrics::default();
    for n in 0..SERIES_MAX + 5 {
        exchange(&metrics, Some(&format!("/{n}")), "GET", 200, 1);
    }
    let text = metrics.render(&Gauges {
        endpoints: Vec::new(),
        services: Vec::new(),
        servers: Vec::new(),
        active: 0,
        lines_dropped: 0,
        reloads: [0, 0],
        panics: 0,
        ready: false,
    });
    let other = r#"stoa_requests_total{http_route="_other",http_request_method="GET",status="2xx"} 5"#;
    assert!(text.lines().any(|l| l == other));
}
