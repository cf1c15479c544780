//! `stoa route METHOD PATH [FILE]`: which route and policies a request meets; nothing is sent.

use super::{Failure, Outcome};
use crate::{
    assemble::{self, Mute},
    cli::Route,
    terminal, yaml,
};
use http::{HeaderName, HeaderValue, Method, Uri, request};
use std::sync::Arc;
use stoa_edge::Gateway;

/// Prints the decisions.
pub(crate) fn run(arguments: &Route, json: bool) -> Outcome {
    let request = request_of(arguments)?;
    let loaded = super::load(&arguments.file);
    let plan = Arc::new(super::plan_of(&loaded)?);
    let parts = assemble::parts(&plan, assemble::nothing(&plan), Arc::new(Mute), true);
    let gateway = Gateway::build(&plan, parts, None).map_err(|faults| {
        super::show_faults(&faults, &loaded);
        Failure::Said
    })?;
    let decisions = gateway.explain_route(&request);
    if json {
        terminal::result_json(&decisions);
    } else {
        let mut text = String::new();
        yaml::write(&decisions, 0, &mut text);
        terminal::result(text.trim_end());
    }
    Ok(())
}

fn request_of(arguments: &Route) -> Result<request::Parts, Failure> {
    let usage = |text: String| Failure::Usage(text);
    let method = arguments.method.to_ascii_uppercase();
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| usage(format!("`{}` is no HTTP method", arguments.method)))?;
    let uri: Uri = arguments
        .target
        .parse()
        .ok()
        .filter(|uri: &Uri| uri.path().starts_with('/'))
        .ok_or_else(|| usage(format!("`{}` is no path; it begins with /", arguments.target)))?;
    let mut request = http::Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (method, uri);
    for header in &arguments.headers {
        let pair = header.split_once(':').and_then(|(name, value)| {
            let name: HeaderName = name.trim().parse().ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        let (name, value) =
            pair.ok_or_else(|| usage(format!("`{header}` is no header; write `name: value`")))?;
        request.headers_mut().append(name, value);
    }
    Ok(request.into_parts().0)
}
