//! `Prefer` (RFC 7240): the first of a kind decides.

use crate::{
    codes,
    operation::Count,
    refusal::{Refusal, Result},
};
use http::HeaderMap;

/// What the caller prefers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefer {
    pub(crate) returning: Option<Returning>,
    pub(crate) count: Option<Count>,
    pub(crate) resolution: Option<Resolution>,
    pub(crate) missing: Option<Missing>,
    /// `handling=strict` or `lenient`.
    pub(crate) strict: Option<bool>,
    /// `tx=rollback` or `commit`.
    pub(crate) rollback: Option<bool>,
    pub(crate) max_affected: Option<u64>,
}

/// `return=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returning {
    Minimal,
    HeadersOnly,
    Representation,
}

/// `resolution=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    Merge,
    Ignore,
}

/// `missing=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Default,
    Null,
}

/// Reads every `Prefer` field. With `handling=strict` an unknown preference is refused.
pub(crate) fn prefer(headers: &HeaderMap, alias: bool) -> Result<Prefer> {
    let mut prefer = Prefer::default();
    let mut unknown = Vec::new();
    for value in headers.get_all("prefer") {
        let Ok(text) = value.to_str() else {
            unknown.push(String::from("(not text)"));
            continue;
        };
        for preference in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            // Parameters behind `;` say how; the preference itself stands before.
            let preference = preference.split(';').next().unwrap_or_default().trim();
            if !prefer.take(preference) {
                if !alias && preference.starts_with("max-affected") {
                    // A guard that is not understood must not be passed by.
                    let shown = crate::refusal::shorten(preference);
                    let detail = format!("`{shown}` is not a bound; `max-affected` takes a number of rows.");
                    return Err(Refusal::new(&codes::BAD_PREFERENCE, detail));
                }
                unknown.push(crate::refusal::shorten(preference));
            }
        }
    }
    if prefer.strict == Some(true) && !unknown.is_empty() {
        let list = unknown.join(", ");
        return Err(Refusal::new(
            &codes::BAD_PREFERENCE,
            format!("Not known with handling=strict: {list}."),
        )
        .postgrest("PGRST122", 400, "Invalid preferences given with handling=strict")
        .details(format!("Invalid preferences: {list}")));
    }
    Ok(prefer)
}

impl Prefer {
    /// Takes note of one preference; false when it is not known.
    fn take(&mut self, preference: &str) -> bool {
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        let value = value.trim().trim_matches('"');
        match (name.trim(), value) {
            ("return", "minimal") => first(&mut self.returning, Returning::Minimal),
            ("return", "headers-only") => first(&mut self.returning, Returning::HeadersOnly),
            ("return", "representation") => first(&mut self.returning, Returning::Representation),
            ("count", "exact") => first(&mut self.count, Count::Exact),
            ("count", "planned") => first(&mut self.count, Count::Planned),
            ("count", "estimated") => first(&mut self.count, Count::Estimated),
            ("resolution", "merge-duplicates") => first(&mut self.resolution, Resolution::Merge),
            ("resolution", "ignore-duplicates") => first(&mut self.resolution, Resolution::Ignore),
            ("missing", "default") => first(&mut self.missing, Missing::Default),
            ("missing", "null") => first(&mut self.missing, Missing::Null),
            ("handling", "strict") => first(&mut self.strict, true),
            ("handling", "lenient") => first(&mut self.strict, false),
            ("tx", "commit") => first(&mut self.rollback, false),
            ("tx", "rollback") => first(&mut self.rollback, true),
            ("max-affected", text) => match text.parse() {
                Ok(n) => first(&mut self.max_affected, n),
                Err(_) => return false,
            },
            _ => return false,
        }
        true
    }

    /// `Preference-Applied` of a read.
    pub(crate) fn applied_to_read(&self) -> Option<String> {
        join(vec![self.count.map(count_text), self.handling()])
    }

    /// `Preference-Applied` of a write; `resolution` and `missing` only where they were looked at.
    pub(crate) fn applied_to_write(&self, insert: bool, body: bool, many: bool) -> Option<String> {
        let resolution = self.resolution.filter(|_| insert).map(|r| match r {
            Resolution::Merge => "resolution=merge-duplicates".to_owned(),
            Resolution::Ignore => "resolution=ignore-duplicates".to_owned(),
        });
        let missing = self.missing.filter(|_| body).map(|m| match m {
            Missing::Default => "missing=default".to_owned(),
            Missing::Null => "missing=null".to_owned(),
        });
        let returning = self.returning.map(|r| match r {
            Returning::Minimal => "return=minimal".to_owned(),
            Returning::HeadersOnly => "return=headers-only".to_owned(),
            Returning::Representation => "return=representation".to_owned(),
        });
        let tx = self
            .rollback
            .map(|rollback| if rollback { "tx=rollback" } else { "tx=commit" }.to_owned());
        let max = self
            .max_affected
            .filter(|_| many)
            .map(|n| format!("max-affected={n}"));
        join(vec![
            resolution,
            missing,
            returning,
            self.count.map(count_text),
            tx,
            self.handling(),
            max,
        ])
    }

    fn handling(&self) -> Option<String> {
        self.strict.map(|strict| {
            if strict {
                "handling=strict"
            } else {
                "handling=lenient"
            }
            .to_owned()
        })
    }
}

fn first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

fn count_text(count: Count) -> String {
    match count {
        Count::None | Count::Exact => "count=exact",
        Count::Planned => "count=planned",
        Count::Estimated => "count=estimated",
    }
    .to_owned()
}

fn join(parts: Vec<Option<String>>) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
