//! A blocking HTTP client that reports every reply as it came.

use serde_json::Value;
use std::time::Duration;
use ureq::http::{HeaderMap, Request};

/// Keeps connections to one server.
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
}

/// A reply.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// A header's values, joined as RFC 9110 allows.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values = self
            .headers
            .get_all(name)
            .iter()
            .map(|v| String::from_utf8_lossy(v.as_bytes()));
        let joined = values.collect::<Vec<_>>().join(", ");
        self.headers.contains_key(name).then_some(joined)
    }
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Self {
            agent: config.into(),
            base: base.to_owned(),
        }
    }

    /// Sends a request; `Err` says what went wrong with the connection.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Option<&[u8]>,
    ) -> Result<Answer, String> {
        let uri = format!("{}{}", self.base, path.replace(' ', "%20").replace('"', "%22"));
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let sent = match body {
            Some(bytes) => request
                .body(bytes)
                .map_err(|e| e.to_string())
                .and_then(|r| self.run(r)),
            None => request
                .body(())
                .map_err(|e| e.to_string())
                .and_then(|r| self.run(r)),
        };
        let mut reply = sent.map_err(|e| format!("{method} {path}: {e}"))?;
        let bytes = reply
            .body_mut()
            .read_to_vec()
            .map_err(|e| format!("{method} {path}: body: {e}"))?;
        Ok(Answer {
            status: reply.status().as_u16(),
            headers: reply.headers().clone(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    fn run(
        &self,
        request: Request<impl ureq::AsSendBody>,
    ) -> Result<ureq::http::Response<ureq::Body>, String> {
        self.agent.run(request).map_err(|e| e.to_string())
    }

    /// As [`Self::try_send`], where a lost connection is a failure of the test.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut all: Vec<(String, String)> = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let text = body.map(ToString::to_string);
        if text.is_some()
            && !headers
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case("content-type"))
        {
            all.push(("content-type".into(), "application/json".into()));
        }
        match self.try_send(method, path, &all, text.as_deref().map(str::as_bytes)) {
            Ok(answer) => answer,
            Err(message) => panic!("{message}"),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }
}
