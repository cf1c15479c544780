//! The faults found so far.

use crate::{
    fault::{Fault, Severity},
    node::{Node, Span},
    source::Text,
};

/// Faults kept of one file; a file with more is told so.
const FAULTS_MAX: usize = 200;

/// Collects faults, in any order.
pub(crate) struct Report<'t> {
    pub(crate) text: &'t Text,
    faults: Vec<Fault>,
    left_out: usize,
    /// Takes the fault that is over the bound, so that `add` always has one to hand out.
    spare: Fault,
}

impl<'t> Report<'t> {
    pub(crate) fn new(text: &'t Text) -> Self {
        Self {
            text,
            faults: Vec::new(),
            left_out: 0,
            spare: Fault::blank(),
        }
    }

    /// Adds an error at `span`; the caller may add help to what is returned.
    pub(crate) fn add(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Fault {
        let visible = self.text.visible(span);
        let fault = Fault {
            code,
            severity: Severity::Error,
            message: message.into(),
            place: self.text.place(span),
            span: visible.range(),
            second: None,
            help: None,
        };
        if self.faults.len() >= FAULTS_MAX {
            self.left_out += 1;
            self.spare = fault;
            return &mut self.spare;
        }
        self.faults.push(fault);
        let last = self.faults.len() - 1;
        &mut self.faults[last]
    }

    /// As [`Self::add`], a warning.
    pub(crate) fn warn(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Fault {
        let fault = self.add(code, span, message);
        fault.severity = Severity::Warning;
        fault
    }

    /// As [`Self::add`], with what stands at `other`.
    pub(crate) fn add_with(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        other: (Span, &str),
    ) -> &mut Fault {
        let place = self.text.place(other.0);
        let range = self.text.visible(other.0).range();
        let fault = self.add(code, span, message);
        fault.second = Some((place, range, other.1.to_owned()));
        fault
    }

    /// The value is a list or a map where `wanted` belongs, or the other way round.
    pub(crate) fn wrong_type(&mut self, node: &Node, what: &str, wanted: &str) -> &mut Fault {
        let message = format!("{what} is {}, and must be {wanted}", node.kind());
        self.add(crate::fault::codes::WRONG_TYPE, node.span, message)
    }

    /// The fault that was added last.
    pub(crate) fn last(&mut self) -> Option<&mut Fault> {
        self.faults.last_mut()
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.faults.iter().any(|f| f.severity == Severity::Error)
    }

    /// All faults, errors first, each kind by place.
    pub(crate) fn finish(mut self) -> Vec<Fault> {
        let key = |f: &Fault| (f.severity, f.place.line, f.place.column, f.code);
        self.faults.sort_by(|a, b| key(a).cmp(&key(b)));
        // Two readers of one value may both complain in the same words.
        self.faults
            .dedup_by(|a, b| a.code == b.code && a.place == b.place && a.message == b.message);
        if self.left_out > 0 {
            let mut last = self.spare;
            last.code = crate::fault::codes::TOO_MANY_FAULTS;
            last.message = format!("{} more faults are not shown", self.left_out);
            last.help = Some("mend the first ones and check again".to_owned());
            self.faults.push(last);
        }
        self.faults
    }
}

/// The known word nearest to `word`, if one is near enough to be meant.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase();
    let score = |k: &str| {
        let k = k.to_lowercase();
        let distance = strsim::damerau_levenshtein(&lower, &k);
        let longest = lower.chars().count().max(k.chars().count());
        if distance <= (longest / 3).max(1) && distance < longest {
            return 2.0 - distance as f64 / longest as f64;
        }
        let close = |part: &str| part.len() > 2 && strsim::damerau_levenshtein(part, &k) <= 1;
        if lower.split(['_', '-', '.']).any(close) {
            return 0.95;
        }
        let similar = strsim::jaro_winkler(&lower, &k);
        if similar >= 0.87 { similar } else { 0.0 }
    };
    known
        .into_iter()
        .map(|k| (score(k), k))
        .filter(|(s, _)| *s > 0.0)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// "did you mean `x`?", or the words there are.
pub(crate) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str> + Clone) -> String {
    if let Some(near) = nearest(word, known.clone()) {
        format!("did you mean `{near}`?")
    } else {
        let mut names: Vec<String> = known.into_iter().map(|k| format!("`{k}`")).take(41).collect();
        if names.len() > 40 {
            names[40].replace_range(.., "…");
        }
        match names.len() {
            0 => "there are none in this file".to_owned(),
            _ => format!("known here: {}", names.join(", ")),
        }
    }
}
