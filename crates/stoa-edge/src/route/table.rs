//! The compiled route table: host, path, method. Immutable.
//!
//! Segment by segment a literal wins over `{param}`, which wins over `**`. A path that matches a route whose
//! methods do not is looked up further, so `POST /a/**` is found behind `GET /a/{id}`.

use super::path;
use http::Method;
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    ops::Bound,
};
use stoa_config::plan::{PathPattern, Segment};

/// Routes of one set of hosts and paths; `T` is what they lead to.
pub(crate) struct Table<T> {
    exact_hosts: HashMap<String, Node<T>>,
    /// `*.example.com` is kept as `.example.com`; longest first.
    wildcard_hosts: Vec<(String, Node<T>)>,
    any_host: Node<T>,
    /// Paths of all routes, for near misses.
    shown: BTreeSet<String>,
}

struct Node<T> {
    /// No stranger chooses what is in it, so a hash that is quick is good enough.
    literals: HashMap<String, Node<T>, foldhash::fast::RandomState>,
    param: Option<Box<Node<T>>>,
    here: Vec<Entry<T>>,
    rest: Vec<Entry<T>>,
}

struct Entry<T> {
    methods: Vec<Method>,
    value: T,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            literals: HashMap::default(),
            param: None,
            here: Vec::new(),
            rest: Vec::new(),
        }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            exact_hosts: HashMap::new(),
            wildcard_hosts: Vec::new(),
            any_host: Node::default(),
            shown: BTreeSet::new(),
        }
    }
}

/// What a request meets.
pub(crate) enum Found<'a, T> {
    /// A route.
    Route(&'a T),
    /// Routes whose methods do not include this one: what they allow.
    Methods(Vec<Method>),
    /// Nothing.
    Nothing,
}

impl<T> Table<T> {
    /// Adds a route. No methods means every method. The first of two equally specific routes wins.
    pub(crate) fn add(&mut self, host: Option<&str>, methods: &[Method], pattern: &PathPattern, value: T) {
        self.shown.insert(pattern.to_string());
        let mut node = match host.map(str::to_ascii_lowercase) {
            None => &mut self.any_host,
            Some(host) if host.starts_with("*.") => {
                let suffix = host[1..].to_owned();
                let known = self.wildcard_hosts.iter().position(|(s, _)| *s == suffix);
                let at = known.unwrap_or_else(|| {
                    let at = self
                        .wildcard_hosts
                        .partition_point(|(s, _)| s.len() >= suffix.len());
                    self.wildcard_hosts.insert(at, (suffix, Node::default()));
                    at
                });
                &mut self.wildcard_hosts[at].1
            }
            Some(host) => self.exact_hosts.entry(host).or_default(),
        };
        for segment in &pattern.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Param(_) => node.param.get_or_insert_default(),
            };
        }
        let entry = Entry {
            methods: methods.to_vec(),
            value,
        };
        if pattern.rest {
            node.rest.push(entry);
        } else {
            node.here.push(entry);
        }
    }

    /// Finds the route of a request. `host` is in lower case and may have a port; `path` is canonical.
    pub(crate) fn find(&self, host: &str, method: &Method, path: &str) -> Found<'_, T> {
        let mut allowed = Vec::new();
        if !self.exact_hosts.is_empty() || !self.wildcard_hosts.is_empty() {
            let host = without_port(host);
            if let Some(found) = self
                .exact_hosts
                .get(host)
                .and_then(|n| n.find(method, path, &mut allowed))
            {
                return Found::Route(found);
            }
            for (suffix, node) in &self.wildcard_hosts {
                let label = host
                    .strip_suffix(suffix.as_str())
                    .filter(|l| !l.is_empty() && !l.contains('.'));
                if let Some(found) = label.and_then(|_| node.find(method, path, &mut allowed)) {
                    return Found::Route(found);
                }
            }
        }
        match self.any_host.find(method, path, &mut allowed) {
            Some(found) => Found::Route(found),
            None if allowed.is_empty() => Found::Nothing,
            None => {
                if allowed.contains(&Method::GET) {
                    allowed.push(Method::HEAD);
                }
                allowed.push(Method::OPTIONS);
                allowed.sort_by(|a, b| a.as_str().cmp(b.as_str()));
                allowed.dedup();
                Found::Methods(allowed)
            }
        }
    }

    /// The path of a route that resembles `path`. Of many only those are looked at that begin most like it, since a stranger
    /// may ask for nothing as often as he likes.
    pub(crate) fn near(&self, path: &str) -> Option<&str> {
        const PATH_BYTES_MAX: usize = 256;
        const EACH_SIDE: usize = 48;
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        let likeness = |shown: &str| strsim::jaro_winkler(&as_if(shown, path), path);
        let before = self
            .shown
            .range::<str, _>((Bound::Unbounded, Bound::Excluded(path)))
            .rev()
            .take(EACH_SIDE);
        let behind = self
            .shown
            .range::<str, _>((Bound::Included(path), Bound::Unbounded))
            .take(EACH_SIDE);
        let best = before.chain(behind).map(|shown| (likeness(shown), shown));
        let (score, shown) = best.max_by(|a, b| a.0.total_cmp(&b.0))?;
        let shown = shown
            .strip_suffix("/**")
            .filter(|s| !s.is_empty())
            .unwrap_or(shown);
        (score > 0.85).then_some(shown)
    }
}

/// The pattern with the path's own segments in place of its parameters, so that only literals are compared.
fn as_if(shown: &str, path: &str) -> String {
    let mut own = path::segments(path);
    let mut out = String::new();
    for segment in path::segments(shown) {
        let given = own.next();
        if segment == "**" {
            for more in given.into_iter().chain(own.by_ref()) {
                out.push('/');
                out.push_str(more);
            }
            break;
        }
        out.push('/');
        out.push_str(if segment.starts_with('{') {
            given.unwrap_or(segment)
        } else {
            segment
        });
    }
    out
}

impl<T> Node<T> {
    /// Each node is met at most once, so the cost is bounded by the size of the table.
    fn find<'a>(&'a self, method: &Method, path: &str, allowed: &mut Vec<Method>) -> Option<&'a T> {
        let rest = path.strip_prefix('/').unwrap_or(path);
        self.descend(method, if path == "/" { None } else { Some(rest) }, allowed)
    }

    fn descend<'a>(
        &'a self,
        method: &Method,
        rest: Option<&str>,
        allowed: &mut Vec<Method>,
    ) -> Option<&'a T> {
        let Some(text) = rest else {
            return pick(&self.here, method, allowed).or_else(|| pick(&self.rest, method, allowed));
        };
        let (segment, behind) = match memchr::memchr(b'/', text.as_bytes()) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        if !self.literals.is_empty() {
            let literal: Cow<'_, str> = if memchr::memchr(b'%', segment.as_bytes()).is_some() {
                path::decode(segment)
            } else {
                segment.into()
            };
            let next = self.literals.get(literal.as_ref());
            if let Some(found) = next.and_then(|node| node.descend(method, behind, allowed)) {
                return Some(found);
            }
        }
        if let Some(param) = self.param.as_ref().filter(|_| !segment.is_empty())
            && let Some(found) = param.descend(method, behind, allowed)
        {
            return Some(found);
        }
        pick(&self.rest, method, allowed)
    }
}

fn pick<'a, T>(entries: &'a [Entry<T>], method: &Method, allowed: &mut Vec<Method>) -> Option<&'a T> {
    let serves = |entry: &&Entry<T>| {
        let by_get = *method == Method::HEAD && entry.methods.contains(&Method::GET);
        entry.methods.is_empty() || by_get || entry.methods.contains(method)
    };
    // A route that names the method is more specific than one that takes any.
    let named = entries.iter().filter(|e| !e.methods.is_empty()).find(serves);
    let found = named.or_else(|| entries.iter().find(serves));
    if found.is_none() {
        allowed.extend(entries.iter().flat_map(|e| e.methods.iter().cloned()));
    }
    found.map(|entry| &entry.value)
}

/// The host of `host[:port]`, without the dot that may end a name.
fn without_port(host: &str) -> &str {
    let name = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests;
