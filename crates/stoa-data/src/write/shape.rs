//! The reply of a write, from what the store did. Pure, and without borrowed parts: the store runs it on its own
//! thread for replies that are kept.

use crate::{
    etag,
    parse::accept::Media,
    render::{self, Draft},
    store::{StoredReply, Written},
    value::Value,
};
use http::header;

/// Everything the reply depends on beside what was written.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) alias: bool,
    pub(super) what: What,
    pub(super) representation: bool,
    pub(super) headers_only: bool,
    pub(super) media: Media,
    /// Names of the items, for CSV.
    pub(super) columns: Vec<String>,
    /// `Preference-Applied`.
    pub(super) applied: Option<String>,
    /// Whether `count=` was asked.
    pub(super) counted: bool,
    pub(super) resource: String,
    /// What the alias calls it.
    pub(super) relation: String,
    /// Names of the key's fields.
    pub(super) key: Vec<String>,
}

/// Which write it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// `POST`.
    Created {
        /// Whether the body was an array.
        array: bool,
        /// `resolution=merge-duplicates`.
        merge: bool,
    },
    /// `PUT`.
    Replaced,
    /// `PATCH`.
    Patched {
        /// By a filter.
        many: bool,
    },
    /// `DELETE`.
    Deleted {
        /// By a filter.
        many: bool,
    },
}

impl Shape {
    pub(super) fn stored(&self, written: &Written) -> StoredReply {
        let draft = Draft::new(self.status(written))
            .maybe(header::LOCATION, self.location(written))
            .maybe(header::CONTENT_RANGE, self.content_range(written))
            .maybe(render::PREFERENCE_APPLIED, self.applied.clone());
        if self.kept_out(written) || self.hidden(written) {
            return draft.stored();
        }
        if !self.representation {
            let tag = written
                .version
                .filter(|_| self.is_one() && !self.alias && !self.is_delete());
            return draft.maybe(header::ETAG, tag.map(etag::version_tag)).stored();
        }
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let body = if self.is_one() && !self.alias {
            render::object(&written.json, self.media, &columns)
        } else {
            render::body(&written.json, written.shown, self.media, &columns)
        };
        // A single-object mismatch never comes here: the store counts before it commits.
        let body = body.unwrap_or_default();
        let tag = (self.is_one() && !self.alias && !self.is_delete())
            .then(|| etag::tag(written.version, self.media.content_type(), &body));
        draft.maybe(header::ETAG, tag).body(self.media, body).stored()
    }

    /// Whether the one row of the body was left out because it is there already: there is nothing to show.
    fn kept_out(&self, written: &Written) -> bool {
        let one = matches!(self.what, What::Created { array: false, .. });
        one && !self.alias && written.affected == 0
    }

    /// Whether the one row is not shown, because an `!inner` embed of it has no row.
    fn hidden(&self, written: &Written) -> bool {
        self.representation && self.is_one() && !self.alias && written.shown == 0
    }

    fn is_delete(&self) -> bool {
        matches!(self.what, What::Deleted { .. })
    }

    /// Whether it was about one row, so that the reply is an object.
    fn is_one(&self) -> bool {
        match self.what {
            What::Created { array, .. } => !array,
            What::Replaced => true,
            What::Patched { many } | What::Deleted { many } => !many,
        }
    }

    pub(super) fn status(&self, written: &Written) -> u16 {
        match self.what {
            What::Created { .. } if self.kept_out(written) => 204,
            What::Created { merge: true, .. } if written.inserted == 0 => 200,
            What::Created { .. } => 201,
            What::Replaced if written.inserted > 0 && (self.representation || !self.alias) => 201,
            _ if self.representation && !self.hidden(written) => 200,
            _ => 204,
        }
    }

    /// Where a new row is: its own address here, PostgREST's filter form on the alias.
    fn location(&self, written: &Written) -> Option<String> {
        let [one] = &written.keys[..] else { return None };
        if self.alias {
            return self.location_by_filter(one, written);
        }
        let [key] = &self.key[..] else { return None };
        let value = render::encode(&one.to_string());
        let resource = render::encode(&self.resource);
        match self.what {
            What::Created { array: false, .. } if !render::fits_path(&one.to_string()) => {
                Some(format!("/{resource}?{key}=eq.{value}"))
            }
            What::Created { array: false, .. } => Some(format!("/{resource}/{value}")),
            What::Replaced if written.inserted > 0 => Some(format!("/{resource}/{value}")),
            _ => None,
        }
    }

    /// PostgREST's form: a filter by every field of the key.
    fn location_by_filter(&self, key: &Value, written: &Written) -> Option<String> {
        let What::Created { array, .. } = self.what else {
            return None;
        };
        if !self.headers_only || self.key.is_empty() || (array && written.affected != 1) {
            return None;
        }
        let values = match key {
            Value::List(values) if self.key.len() > 1 => &values[..],
            one => std::slice::from_ref(one),
        };
        let filter = |(name, value): (&String, &Value)| {
            let name = render::encode(name);
            match value {
                Value::Null => format!("{name}=is.null"),
                value => format!("{name}=eq.{}", render::encode(&value.to_string())),
            }
        };
        let filters: Vec<String> = self.key.iter().zip(values).map(filter).collect();
        Some(format!(
            "/{}?{}",
            render::encode(&self.relation),
            filters.join("&")
        ))
    }

    fn content_range(&self, written: &Written) -> Option<String> {
        let n = written.affected;
        let total = if self.counted {
            n.to_string()
        } else {
            String::from("*")
        };
        match self.what {
            What::Patched { many: true } if n > 0 => Some(format!("0-{}/{total}", n - 1)),
            What::Patched { many: true } | What::Deleted { many: true } => Some(format!("*/{total}")),
            What::Created { .. } if self.alias || self.counted => Some(format!("*/{total}")),
            _ => None,
        }
    }
}
