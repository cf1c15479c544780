//! What goes wrong on purpose.

use super::share;
use crate::codes as edge;
use serde_json::json;
use stoa_config::plan::FaultRule;
use stoa_exchange::{Context, Problem};

/// Holds a request back, or refuses it, when its turn comes. A caller who leaves ends it.
pub(crate) async fn inject(rule: &FaultRule, context: &mut Context) -> Result<(), Problem> {
    if !share::chosen(rule.share) {
        return Ok(());
    }
    context.trail.note("fault", || json!(in_words(rule)));
    if let Some(delay) = rule.delay {
        tokio::time::sleep(delay).await;
    }
    let Some(status) = rule.abort else { return Ok(()) };
    let mut problem = Problem::new(
        &edge::FAULT_INJECTED,
        "the API file wants this request to fail, for a test",
    );
    problem.status_shown = Some(status.as_u16());
    Err(problem)
}

/// For `stoa route`.
pub(crate) fn in_words(rule: &FaultRule) -> String {
    let delay = rule.delay.map(|d| format!("{} ms late, ", d.as_millis()));
    let abort = rule.abort.map(|s| format!("refused with {}, ", s.as_u16()));
    format!(
        "{}{}{}%",
        delay.unwrap_or_default(),
        abort.unwrap_or_default(),
        rule.share
    )
}
