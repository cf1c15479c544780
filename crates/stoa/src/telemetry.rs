//! What the process tells about its exchanges: log lines and counts.

pub(crate) mod line;
pub(crate) mod metrics;
pub(crate) mod panics;
pub(crate) mod writer;

use line::Names;
use metrics::Metrics;
use std::{cell::RefCell, sync::Arc};
use stoa_exchange::{EndpointTurn, Mirrored, Observer, Record};
use writer::Writer;

/// How an exchange is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One ECS JSON object per line, on stdout.
    Json,
    /// One short line for people, on stderr.
    Human {
        /// Whether the terminal shows colours.
        colour: bool,
    },
}

/// Keeps records and counts; called on the workers, so it waits for nobody.
pub(crate) struct Telemetry {
    /// Counts, for `/metrics`.
    pub(crate) metrics: Metrics,
    /// Where lines go.
    pub(crate) writer: Arc<Writer>,
    form: Form,
    names: Names,
}

impl Telemetry {
    /// Telemetry of the API called `api`. Starts the writer's thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(form: Form, api: &str) -> std::io::Result<Arc<Self>> {
        let writer = match form {
            Form::Json => Writer::start(std::io::stdout(), line::dropped)?,
            Form::Human { .. } => Writer::start(std::io::stderr(), line::dropped_for_people)?,
        };
        Ok(Arc::new(Self {
            metrics: Metrics::default(),
            writer,
            form,
            names: Names::new(api),
        }))
    }

    /// Writes an event of the process itself: started, reloaded, draining. `fields` are ECS names and values.
    pub(crate) fn event(&self, level: line::Level, message: &str, fields: &[(&str, &str)]) {
        if self.form == Form::Json {
            let mut text = String::new();
            line::event(&mut text, &self.names, level, message, fields);
            self.writer.push(text.as_bytes());
        }
    }
}

thread_local! {
    /// The worker's line, kept so that a line costs no allocation.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Observer for Telemetry {
    fn record(&self, record: &Record<'_>) {
        self.metrics.record(record);
        LINE.with_borrow_mut(|text| {
            text.clear();
            match self.form {
                Form::Json => line::access(text, &self.names, record),
                Form::Human { colour } => line::access_for_people(text, record, colour),
            }
            self.writer.push(text.as_bytes());
        });
    }

    fn name(&self, service: &str, endpoint: &str, found: bool) {
        let (level, message) = if found {
            (line::Level::Info, "the name of a service is looked up again")
        } else {
            (line::Level::Warn, "the name of a service cannot be looked up")
        };
        let fields = [("service.target.name", service), ("url.full", endpoint)];
        match self.form {
            Form::Json => self.event(level, message, &fields),
            Form::Human { .. } => {
                let mark = if found { "+" } else { "!" };
                let text = format!("  {mark} {service}: {message}: {endpoint}\n");
                self.writer.push(text.as_bytes());
            }
        }
    }

    fn endpoint(&self, turn: &EndpointTurn<'_>) {
        let (level, message) = if turn.in_use {
            (line::Level::Info, "an address of a service is in use again")
        } else {
            (line::Level::Warn, "an address of a service is left out")
        };
        let fields = [
            ("service.target.name", turn.service),
            ("url.full", turn.endpoint),
            ("event.reason", turn.why),
        ];
        match self.form {
            Form::Json => self.event(level, message, &fields),
            Form::Human { .. } => {
                let mark = if turn.in_use { "+" } else { "!" };
                let EndpointTurn {
                    service,
                    endpoint,
                    why,
                    ..
                } = turn;
                let text = format!("  {mark} {service}: {message}: {endpoint}: {why}\n");
                self.writer.push(text.as_bytes());
            }
        }
    }

    fn mirrored(&self, service: &str, outcome: Mirrored) {
        self.metrics.mirrored(service, outcome);
    }
}

#[cfg(test)]
mod tests;
