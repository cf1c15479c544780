//! Looks at endpoints beside the requests: active checks, and whether a connection can be made again.

use super::{
    Service,
    health::Cause,
    load::Moment,
    pool::{Connection, Endpoint},
};
use http::{HeaderValue, Method, Uri, header};
use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use stoa_config::plan;
use stoa_exchange::{Body, Request};
use tokio::time::timeout;

/// How often it is looked whether an endpoint that could not be reached can be.
const REACH_EVERY: Duration = Duration::from_secs(1);

impl Service {
    /// Starts what is due: each a task of its own on the runtime that this is called on, one at a time per endpoint.
    pub(crate) fn look(self: &Arc<Self>, now: Moment) {
        self.care.listen(&self.set, now);
        for member in self.set.members() {
            let endpoint = &member.endpoint;
            if let Some(found) = endpoint.refresh() {
                self.care.looked_up(endpoint, found);
            }
            let every = match (&self.health, endpoint.health.ejected()) {
                (Some(health), _) => health.every,
                (None, Some(Cause::Unreachable)) => REACH_EVERY,
                (None, _) => continue,
            };
            if endpoint.health.begins_check(now, every, fastrand::f32()) {
                tokio::spawn(one(self.clone(), endpoint.clone()));
            }
        }
    }
}

async fn one(service: Arc<Service>, endpoint: Arc<Endpoint>) {
    // Also when the task is dropped with its runtime.
    let ends = Ends(endpoint);
    let endpoint = &ends.0;
    if let Some(health) = &service.health {
        let asked = timeout(health.timeout, ask(endpoint, health)).await;
        let result = asked.unwrap_or_else(|_| Err(String::from("it did not answer in time")));
        service.care.checked(endpoint, result, Moment::now());
    } else if let Ok(Ok(connection)) = timeout(REACH_EVERY, endpoint.connect()).await {
        drop(connection);
        endpoint.health.is_back(Moment::now());
    }
}

struct Ends(Arc<Endpoint>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.health.ends_check();
    }
}

/// One check: a GET on a connection of its own. 2xx is healthy.
async fn ask(endpoint: &Endpoint, health: &plan::Health) -> Result<(), String> {
    let told = |error: io::Error| format!("no connection: {error}");
    let mut connection = endpoint.connect().await.map_err(told)?;
    let path = format!("{}{}", endpoint.base_path(), health.path);
    let mut request = Request::new(Body::Empty);
    *request.uri_mut() = Uri::try_from(path).map_err(|_| String::from("its path is no path"))?;
    let fields = request.headers_mut();
    fields.insert(header::HOST, endpoint.authority.clone());
    fields.insert(header::USER_AGENT, HeaderValue::from_static("stoa-health"));
    fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let status = status(&mut connection, request).await?;
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("it answered {}", status.as_u16()))
    }
}

async fn status(connection: &mut Connection, request: Request) -> Result<http::StatusCode, String> {
    connection.expected.reply(request.method() != Method::HEAD);
    let mut reply = pin!(connection.sender.send_request(request));
    let head = poll_fn(|cx| match reply.as_mut().poll(cx) {
        Poll::Ready(head) => Poll::Ready(head),
        Poll::Pending => {
            connection.drive(cx);
            reply.as_mut().poll(cx)
        }
    });
    head.await
        .map(|head| head.status())
        .map_err(|error| format!("no reply: {error}"))
}
