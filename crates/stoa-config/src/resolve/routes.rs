//! Routes against each other and against what Stoa serves itself.

use crate::{
    decode::resources::RawResource,
    fault::codes,
    node::Span,
    plan::{PathPattern, Route, Segment, Service},
    report::Report,
};
use std::collections::HashMap;

/// Reports pairs of routes that one request could take with equal right, and routes on paths of resources.
pub(crate) fn check(
    services: &[Service],
    own: &[Route],
    resources: &[RawResource<'_>],
    report: &mut Report<'_>,
) {
    let mut by_shape: HashMap<_, Vec<&Route>> = HashMap::new();
    for route in services.iter().flat_map(|s| &s.routes).chain(own) {
        let others = by_shape
            .entry((route.host.as_deref(), shape(&route.path), route.path.rest))
            .or_default();
        if let Some(other) = others.iter().find(|other| same_methods(other, route)) {
            let span = span_of(route, report);
            let other_span = span_of(other, report);
            report
                .add_with(
                    codes::SAME_ROUTE,
                    span,
                    format!(
                        "`{}` and `{}` match the same requests",
                        route.display, other.display
                    ),
                    (other_span, "the other one"),
                )
                .help("remove one, or give them different methods or hosts");
        }
        others.push(route);
        if route.host.is_none() {
            own_paths(route, resources, report);
        }
    }
}

/// What decides whether two paths are equally specific: the literals and where parameters stand.
fn shape(path: &PathPattern) -> Vec<Option<&str>> {
    path.segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => Some(text.as_str()),
            Segment::Param(_) => None,
        })
        .collect()
}

fn same_methods(a: &Route, b: &Route) -> bool {
    a.methods.is_empty() || b.methods.is_empty() || a.methods.iter().any(|m| b.methods.contains(m))
}

fn own_paths(route: &Route, resources: &[RawResource<'_>], report: &mut Report<'_>) {
    let shape = shape(&route.path);
    let Some(Some(first)) = shape.first() else { return };
    let resource = resources.iter().find(|r| r.name == **first);
    let meets_resource = matches!(
        (shape.len(), shape.get(1), route.path.rest),
        (1, _, _) | (2, Some(None), false)
    );
    if let (Some(resource), true) = (resource, meets_resource) {
        let span = span_of(route, report);
        report
            .add_with(
                codes::ROUTE_MEETS_RESOURCE,
                span,
                format!(
                    "route `{}` and resource `{}` are at one path",
                    route.display, resource.name
                ),
                (resource.name_span, "this resource"),
            )
            .help("rename the resource, or give the service another prefix");
    }
    let own = match (&shape[..], route.path.rest) {
        ([Some("docs" | "openapi.json")], false) => true,
        ([Some("rest"), Some("v1"), ..], _) => !resources.is_empty(),
        _ => false,
    };
    if own {
        let span = span_of(route, report);
        report.add(
            codes::ROUTE_MEETS_RESOURCE,
            span,
            format!("`{}` is a path of Stoa's own", route.path),
        );
    }
}

/// The span of a route's key, from its place.
fn span_of(route: &Route, report: &Report<'_>) -> Span {
    report.text.span(&route.place)
}
