//! One row by its key, as somebody writes it who needs nothing else.

use crate::Outcome;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode, body::Incoming, header, header::HeaderValue, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::{convert::Infallible, rc::Rc};
use tokio::net::TcpListener;
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

/// Connections that requests share, as many as a worker of Stoa has.
const CONNECTIONS: usize = 2;

const ROW: &str = "SELECT id, name, price::text, stock, created_at::text FROM plain WHERE id = $1";

#[derive(Serialize)]
struct Item<'a> {
    id: Uuid,
    name: &'a str,
    price: &'a str,
    stock: i64,
    created_at: &'a str,
}

struct Ready {
    client: Client,
    statement: Statement,
}

/// Serves until it is ended.
pub(crate) async fn serve(port: &str, url: &str) -> Outcome {
    let mut ready = Vec::new();
    for _ in 0..CONNECTIONS {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let statement = client.prepare(ROW).await?;
        ready.push(Rc::new(Ready { client, statement }));
    }
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    let local = tokio::task::LocalSet::new();
    local.run_until(accept(listener, ready)).await
}

async fn accept(listener: TcpListener, ready: Vec<Rc<Ready>>) -> Outcome {
    for turn in 0.. {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let ready = ready[turn % CONNECTIONS].clone();
        let service = service_fn(move |request| answer(ready.clone(), request));
        tokio::task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
    Ok(())
}

async fn answer(ready: Rc<Ready>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let id = request.uri().path().trim_start_matches('/').parse::<Uuid>();
    let found = match id {
        Ok(id) => ready.client.query_opt(&ready.statement, &[&id]).await,
        Err(_) => Ok(None),
    };
    let mut reply = Response::new(Full::default());
    match found {
        Ok(Some(row)) => {
            let item = Item {
                id: row.get(0),
                name: row.get(1),
                price: row.get(2),
                stock: row.get(3),
                created_at: row.get(4),
            };
            *reply.body_mut() = Full::new(serde_json::to_vec(&item).unwrap_or_default().into());
            reply
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(None) => *reply.status_mut() = StatusCode::NOT_FOUND,
        Err(_) => *reply.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    Ok(reply)
}
