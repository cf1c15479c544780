//! What `stoa route` says of the policies of a route.

use crate::{gateway::Route, policy::fault};
use serde_json::{Map, Value, json};
use stoa_config::plan::Compress;

/// The policies that a route has, in the order in which they are applied.
pub(crate) fn policies(route: &Route) -> Value {
    let mut all = Map::new();
    let mut say = |policy: &str, value: Value| all.insert(policy.to_owned(), value);
    if route.shed.watched {
        say("shed", json!({ "priority": route.shed.priority.as_str() }));
    }
    if let Some(admission) = &route.admission {
        say("ip", admission.ip_in_words());
    }
    say("cors", json!(route.cors.as_ref().map(|c| &c.origins)));
    let auth = match &route.access {
        Some(access) => access.to_string(),
        None => route.target.access_in_words().to_owned(),
    };
    say("auth", json!(auth));
    let mut validate = json!({ "max_body": route.body_bytes_max });
    if let Some(admission) = &route.admission {
        validate["content_types"] = json!(admission.types_in_words());
    }
    if let Some(rules) = &route.validate {
        validate["document"] = rules.in_words();
    }
    say("validate", validate);
    if let Some(rule) = &route.fault {
        say("fault", json!(fault::in_words(rule)));
    }
    if let Some(mirror) = &route.mirror {
        say("mirror", json!(mirror.in_words()));
    }
    if let Some(edit) = &route.edit {
        say("request", edit.in_words());
    }
    let compress = match route.compress {
        Compress::Off => "never",
        Compress::On => "unless the request has credentials",
        Compress::Always => "always",
    };
    say("compress", json!(compress));
    if let Some(fields) = &route.reply_edit {
        say("reply_headers", fields.in_words());
    }
    Value::Object(all)
}
