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
    /// `timezone=`, a name of UTC.
    pub(crate) timezone: Option<String>,
    /// `partial=allow`: rows of shards that do not answer may be missing.
    pub(crate) partial: Option<()>,
    /// `atomic=per-shard`: what spans shards may be a transaction on each.
    pub(crate) per_shard: Option<()>,
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

/// Reads every `Prefer` field. With `handling=strict` an unknown preference is refused; `rollback` says whether the file
/// allows `tx=rollback`.
pub(crate) fn prefer(headers: &HeaderMap, alias: bool, rollback: bool) -> Result<Prefer> {
    let mut prefer = Prefer::default();
    if !headers.contains_key("prefer") {
        return Ok(prefer);
    }
    let mut unknown = Vec::new();
    for value in headers.get_all("prefer") {
        let Ok(text) = value.to_str() else {
            unknown.push(String::from("(not text)"));
            continue;
        };
        for preference in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            // Parameters behind `;` say how; the preference itself stands before.
            let preference = preference.split(';').next().unwrap_or_default().trim();
            if let Some(zone) = preference.strip_prefix("timezone=") {
                if !prefer.zone(zone.trim().trim_matches('"')) {
                    let zone = crate::refusal::shorten(zone);
                    if !alias {
                        return Err(other_zone(&zone));
                    }
                    unknown.push(format!("timezone={zone}"));
                }
            } else if !prefer.take(preference) {
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
    if !rollback && prefer.rollback.is_some() {
        prefer.no_rollback(alias)?;
    }
    if prefer.strict == Some(true) && !unknown.is_empty() {
        let list = unknown.join(", ");
        let detail = format!("Not known with handling=strict: {list}.");
        return Err(invalid(detail, &list));
    }
    Ok(prefer)
}

fn other_zone(zone: &str) -> Refusal {
    invalid(
        format!("Times are shown in UTC, not in `{zone}`."),
        &format!("timezone={zone}"),
    )
    .hint("Convert the times where they are shown, or ask for `timezone=UTC`.")
}

fn invalid(detail: String, list: &str) -> Refusal {
    Refusal::new(&codes::BAD_PREFERENCE, detail)
        .postgrest("PGRST122", 400, "Invalid preferences given with handling=strict")
        .details(format!("Invalid preferences: {list}"))
}

impl Prefer {
    /// Times are shown in UTC everywhere; another zone would be ignored silently, so it is refused.
    fn zone(&mut self, zone: &str) -> bool {
        const UTC: [&str; 8] = ["UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu", "Z", "0", "+00"];
        let known = UTC.iter().any(|name| name.eq_ignore_ascii_case(zone));
        if known {
            first(&mut self.timezone, zone.to_owned());
        }
        known
    }

    /// Where the file does not allow it, a write that was to be undone must not stay; PostgREST's own callers know
    /// that it is not said in `Preference-Applied` then.
    fn no_rollback(&mut self, alias: bool) -> Result<()> {
        if self.rollback == Some(true) && !alias {
            let detail = "`tx=rollback` is not allowed here.";
            return Err(Refusal::new(&codes::BAD_PREFERENCE, detail)
                .hint("`server.allow_rollback: true` in the API file allows it."));
        }
        self.rollback = None;
        Ok(())
    }

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
            ("partial", "allow") => first(&mut self.partial, ()),
            ("atomic", "per-shard") => first(&mut self.per_shard, ()),
            ("max-affected", text) => match text.parse() {
                Ok(n) => first(&mut self.max_affected, n),
                Err(_) => return false,
            },
            _ => return false,
        }
        true
    }

    /// `Preference-Applied` of a read; `partial` when rows are missing.
    pub(crate) fn applied_to_read(&self, partial: bool) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        join(vec![
            self.count.map(count_text),
            self.tx(),
            self.handling(),
            self.zone_text(),
            partial.then(|| "partial=allow".to_owned()),
        ])
    }

    /// `Preference-Applied` of a function, which heeded this `max-affected`.
    pub(crate) fn applied_to_call(&self, max: Option<u64>) -> Option<String> {
        join(vec![
            self.applied_to_read(false),
            max.map(|n| format!("max-affected={n}")),
        ])
    }

    /// `Preference-Applied` of a write; each only where it was looked at.
    pub(crate) fn applied_to_write(&self, looked: Looked) -> Option<String> {
        let resolution = self.resolution.filter(|_| looked.at_conflicts).map(|r| match r {
            Resolution::Merge => "resolution=merge-duplicates".to_owned(),
            Resolution::Ignore => "resolution=ignore-duplicates".to_owned(),
        });
        let missing = self.missing.filter(|_| looked.at_missing).map(|m| match m {
            Missing::Default => "missing=default".to_owned(),
            Missing::Null => "missing=null".to_owned(),
        });
        let returning = self.returning.map(|r| match r {
            Returning::Minimal => "return=minimal".to_owned(),
            Returning::HeadersOnly => "return=headers-only".to_owned(),
            Returning::Representation => "return=representation".to_owned(),
        });
        let max = self
            .max_affected
            .filter(|_| looked.at_affected)
            .map(|n| format!("max-affected={n}"));
        join(vec![
            resolution,
            missing,
            returning,
            self.count.map(count_text),
            self.tx(),
            self.handling(),
            self.zone_text(),
            max,
        ])
    }

    fn tx(&self) -> Option<String> {
        self.rollback
            .map(|rollback| if rollback { "tx=rollback" } else { "tx=commit" }.to_owned())
    }

    fn zone_text(&self) -> Option<String> {
        self.timezone.as_ref().map(|zone| format!("timezone={zone}"))
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

/// Which preferences a write looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looked {
    /// `resolution`.
    pub(crate) at_conflicts: bool,
    /// `missing`.
    pub(crate) at_missing: bool,
    /// `max-affected`.
    pub(crate) at_affected: bool,
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
