//! `openapi:` of a service.

use super::{Context, Reader, services::bare};
use crate::{
    fault::codes,
    grammar::name,
    openapi,
    plan::{Auth, OpenApi, Place, Route, Service},
    report::Report,
};
use std::sync::Arc;

/// Reads the document that a service names.
pub(crate) fn document(
    read: &Reader<'_>,
    context: &Context<'_>,
    report: &mut Report<'_>,
) -> Option<Arc<OpenApi>> {
    let file = read.value("openapi", &name::PATH, report)?;
    let span = read.get("openapi")?.span;
    match openapi::read(&context.path(&file)) {
        Ok(found) => {
            if !found.unchecked.is_empty() {
                let words: Vec<String> = found.unchecked.iter().map(|w| format!("`{w}`")).collect();
                report
                    .warn(
                        codes::OPENAPI,
                        span,
                        format!("`{file}` uses words that are not checked: {}", words.join(", ")),
                    )
                    .help("the service has to judge by them itself");
            }
            Some(Arc::new(found.document))
        }
        Err(why) => {
            report
                .add(codes::OPENAPI, span, format!("`{file}` {why}"))
                .help("`stoa explain E0443` says what is read");
            None
        }
    }
}

/// The operations as routes, with the rule that a route without one has.
pub(crate) fn routes(document: &OpenApi, place: &Place, auth: &Auth) -> Vec<Route> {
    let one = |operation: &crate::plan::Operation| {
        let display = format!("{} {}", operation.method, operation.path);
        let mut route = bare(&display, place.clone(), operation.path.clone(), auth);
        route.methods = vec![operation.method.clone()];
        route
    };
    document.operations.iter().map(one).collect()
}

/// Has the requests of a service judged by its document.
pub(crate) fn judge(service: &mut Service, document: Option<Arc<OpenApi>>) {
    let Some(document) = document else { return };
    for handling in service.routes.iter_mut().map(|route| &mut route.handling) {
        if handling.answer.is_none() {
            handling.openapi = Some(document.clone());
        }
    }
}
