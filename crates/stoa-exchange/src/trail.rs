//! The decisions taken on a request, for `Stoa-Explain`.

use serde_json::{Map, Value};

/// The decisions taken on a request, kept only when somebody asked for them (`Stoa-Explain: 1`).
#[derive(Debug, Default)]
pub struct Trail(Option<Vec<(&'static str, Value)>>);

impl Trail {
    /// Keeps nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Keeps what is noted.
    pub fn on() -> Self {
        Self(Some(Vec::new()))
    }

    /// Whether somebody asked.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Notes a decision. `decision` runs only when somebody asked.
    pub fn note(&mut self, policy: &'static str, decision: impl FnOnce() -> Value) {
        if let Some(notes) = &mut self.0 {
            notes.push((policy, decision()));
        }
    }

    /// The value of the `Stoa-Explain` reply field: one JSON object in the order of the decisions.
    pub fn to_json(&self) -> Option<String> {
        let notes = self.0.as_ref()?;
        let object: Map<String, Value> = notes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        Some(Value::Object(object).to_string())
    }
}
