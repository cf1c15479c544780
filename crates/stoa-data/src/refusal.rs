//! Refusals: a problem, and the words that PostgREST would have used for it on the alias.

use crate::codes;
use http::HeaderName;
use serde_json::Value;
use std::borrow::Cow;
use stoa_exchange::{Code, FieldError, Problem};

/// Why a request on a resource is refused.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Inner>);

#[derive(Debug)]
struct Inner {
    problem: Problem,
    postgrest: Option<Shown>,
}

/// PostgREST's code, status and words.
#[derive(Debug)]
struct Shown {
    code: Cow<'static, str>,
    status: u16,
    message: String,
    details: Option<Value>,
    hint: Option<String>,
    /// Whether a hint that it leaves out is null, not the problem's.
    exact: bool,
}

pub(crate) type Result<T> = std::result::Result<T, Refusal>;

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Inner {
            problem,
            postgrest: None,
        }))
    }
}

impl Refusal {
    /// A refusal in the words of this product.
    pub(crate) fn new(code: &'static Code, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.problem.hint = Some(hint.into());
        self
    }

    /// Adds the nearest name, when there is one.
    pub(crate) fn near(self, near: Option<&str>) -> Self {
        match near {
            Some(near) => self.hint(format!("Did you mean `{near}`?")),
            None => self,
        }
    }

    /// Sends another status than the kind's.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.0.problem.status_shown = Some(status);
        self
    }

    /// Adds the bad fields.
    pub(crate) fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.problem.errors = errors;
        self
    }

    /// Adds a field of the reply.
    pub(crate) fn header(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        self.0.problem = self.0.problem.header(name, value);
        self
    }

    /// Adds the cause, for the log.
    pub(crate) fn cause(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.problem = self.0.problem.cause(cause);
        self
    }

    /// What PostgREST would have said. The hint stays unless [`Self::postgrest_hint`] sets another.
    pub(crate) fn postgrest(
        mut self,
        code: impl Into<Cow<'static, str>>,
        status: u16,
        message: impl Into<String>,
    ) -> Self {
        self.0.postgrest = Some(Shown {
            code: code.into(),
            status,
            message: message.into(),
            details: None,
            hint: None,
            exact: false,
        });
        self
    }

    /// PostgREST's hint is the one that is set, and null where none is.
    pub(crate) fn exactly(mut self) -> Self {
        if let Some(shown) = &mut self.0.postgrest {
            shown.exact = true;
        }
        self
    }

    /// PostgREST's `details`.
    pub(crate) fn details(mut self, details: impl Into<Value>) -> Self {
        if let Some(shown) = &mut self.0.postgrest {
            shown.details = Some(details.into());
        }
        self
    }

    /// PostgREST's `hint`.
    pub(crate) fn postgrest_hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(shown) = &mut self.0.postgrest {
            shown.hint = Some(hint.into());
        }
        self
    }

    /// The problem to send: in PostgREST's words when `alias`.
    pub(crate) fn into_problem(self, alias: bool) -> Problem {
        let Inner {
            mut problem,
            postgrest,
        } = *self.0;
        if let (true, Some(shown)) = (alias, postgrest) {
            // RFC 9209, as PostgREST has it: so a log in front knows the code without the body.
            problem = problem.header(
                HeaderName::from_static("proxy-status"),
                format!("PostgREST; error={}", shown.code),
            );
            problem.code_shown = Some(shown.code);
            problem.status_shown = Some(shown.status);
            problem.details = shown.details;
            problem.message_shown = Some(shown.message);
            problem.hint = shown.hint.or(problem.hint.filter(|_| !shown.exact));
        }
        problem
    }

    /// Which kind it is.
    pub(crate) fn code(&self) -> &'static Code {
        self.0.problem.code
    }
}

/// A part of the query string that cannot be read. `part` as PostgREST calls it, `at` in characters from 0.
pub(crate) fn syntax(part: &str, text: &str, at: usize, says: impl Into<String>) -> Refusal {
    let says = says.into();
    let text = shorten(text);
    let column = at + 1;
    let detail = format!("The {part} `{text}` cannot be read at character {column}: {says}.");
    Refusal::new(&codes::BAD_QUERY, detail)
        .postgrest(
            "PGRST100",
            400,
            format!("\"failed to parse {part} ({text})\" (line 1, column {column})"),
        )
        .details(says)
}

/// A field that the resource does not have.
pub(crate) fn unknown_field(resource: &str, name: &str, near: Option<&str>) -> Refusal {
    let name = shorten(name);
    Refusal::new(
        &codes::UNKNOWN_FIELD,
        format!("`{resource}` has no field `{name}`."),
    )
    .near(near)
    .postgrest("42703", 400, format!("column {resource}.{name} does not exist"))
}

/// A value of the query or path that does not fit.
pub(crate) fn bad_value(field: &str, text: &str, says: &str) -> Refusal {
    let text = shorten(text);
    Refusal::new(&codes::BAD_VALUE, format!("`{field}` {says}; `{text}` is not.")).postgrest(
        "22P02",
        400,
        format!("invalid input syntax for \"{field}\": \"{text}\""),
    )
}

/// More than a bound allows.
pub(crate) fn too_complex(detail: impl Into<String>) -> Refusal {
    let detail = detail.into();
    Refusal::new(&codes::TOO_COMPLEX, detail.clone()).postgrest("PGRST100", 400, detail)
}

/// A part of the dialect that is not served.
pub(crate) fn not_supported(detail: impl Into<String>) -> Refusal {
    let detail = detail.into();
    Refusal::new(&codes::NOT_SUPPORTED, detail.clone())
        .postgrest("PGRST127", 400, "Feature not implemented")
        .details(detail)
}

/// What PostgreSQL alone has, asked of a store that is none.
pub(crate) fn needs_postgres(what: impl Into<String>, store: &str) -> Refusal {
    let detail = format!("{} is PostgreSQL's own, and the rows are in SQLite.", what.into());
    Refusal::new(&codes::NEEDS_POSTGRES, detail.clone())
        .hint(format!(
            "The store `{store}` has it when it is a PostgreSQL server."
        ))
        .postgrest("PGRST127", 400, "Feature not implemented")
        .details(detail)
}

/// A body that cannot be read.
pub(crate) fn bad_body(detail: impl Into<String>, postgrest: &str) -> Refusal {
    Refusal::new(&codes::BAD_BODY, detail).postgrest("PGRST102", 400, postgrest)
}

/// What a caller wrote, cut where it becomes unwieldy.
pub(crate) fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 100;
    let mut short: String = text
        .chars()
        .take(CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}
