//! Whose requests a route takes, and bodies of which kind.

use crate::codes as edge;
use http::{HeaderMap, header};
use ipnet::IpNet;
use serde_json::{Value, json};
use stoa_config::plan::{Handling, IpRules, MediaRange};
use stoa_exchange::{Context, Problem, codes};

/// The rules of a route that has any.
pub(crate) struct Admission {
    ip: IpRules,
    content_types: Vec<MediaRange>,
}

impl Admission {
    pub(crate) fn of(handling: &Handling) -> Option<Box<Self>> {
        let none = handling.ip.is_empty() && handling.content_types.is_empty();
        (!none).then(|| {
            Box::new(Self {
                ip: handling.ip.clone(),
                content_types: handling.content_types.clone(),
            })
        })
    }

    /// Judges the client by its address.
    pub(crate) fn address(&self, context: &mut Context) -> Result<(), Problem> {
        address(&self.ip, context)
    }

    /// Judges what a body says that it is.
    pub(crate) fn content_type(&self, sent: &HeaderMap) -> Result<(), Problem> {
        if self.content_types.is_empty() {
            return Ok(());
        }
        let mut all = sent.get_all(header::CONTENT_TYPE).iter();
        let (first, second) = (all.next().and_then(|v| v.to_str().ok()), all.next());
        let said = first.filter(|_| second.is_none()).map(|text| {
            let essence = text.split(';').next().unwrap_or_default();
            essence.trim().to_ascii_lowercase()
        });
        let fits = |range: &MediaRange| {
            let (kind, subtype) = said.as_deref().and_then(|s| s.split_once('/'))?;
            let fits = kind == range.kind && range.subtype.as_deref().is_none_or(|s| s == subtype);
            Some(fits)
        };
        if self.content_types.iter().any(|range| fits(range) == Some(true)) {
            return Ok(());
        }
        let taken = self.types_in_words().join(", ");
        let detail = match &said {
            Some(said) => format!("a body of type `{said}` is not taken here; {taken} is"),
            None => format!("the body does not say its type; {taken} is taken here"),
        };
        // What would have been taken (RFC 9110 section 15.5.16).
        Err(Problem::new(&codes::UNSUPPORTED_MEDIA_TYPE, detail).header(header::ACCEPT, taken))
    }

    /// For `stoa route`.
    pub(crate) fn types_in_words(&self) -> Vec<String> {
        self.content_types.iter().map(ToString::to_string).collect()
    }

    /// For `stoa route`.
    pub(crate) fn ip_in_words(&self) -> Value {
        let nets = |list: &[IpNet]| list.iter().map(|net| json!(net.to_string())).collect::<Value>();
        json!({ "allow": nets(&self.ip.allow), "deny": nets(&self.ip.deny) })
    }
}

/// Judges the client by its address.
pub(crate) fn address(rules: &IpRules, context: &mut Context) -> Result<(), Problem> {
    if rules.is_empty() {
        return Ok(());
    }
    let admitted = rules.admit(context.client);
    let client = context.client;
    context
        .trail
        .note("ip", || json!({ "client": client, "admitted": admitted }));
    if admitted {
        return Ok(());
    }
    Err(Problem::new(
        &edge::ADDRESS_REFUSED,
        format!("requests from {client} are not taken here"),
    ))
}
