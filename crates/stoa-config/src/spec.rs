//! The description of the file: one [`MapSpec`] per map. It decides which keys are known and which are
//! needed, and makes the JSON Schema and the reference, so the three cannot disagree.

use crate::grammar::Words;

/// A map of the file.
pub(crate) struct MapSpec {
    /// Stable name: the definition in the schema and the heading in the reference.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) doc: &'static str,
    pub(crate) keys: &'static [Key],
    /// Words people bring along from elsewhere, and what to write instead.
    pub(crate) instead: &'static [(&'static str, &'static str)],
}

impl MapSpec {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }
}

/// A key of a map.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// The value when it is left out, as it would be written; `{}` stands for a map of defaults.
    pub(crate) default: Option<&'static str>,
    pub(crate) doc: &'static str,
    pub(crate) example: &'static str,
}

impl Key {
    /// A key that may be left out.
    pub(crate) const fn new(
        name: &'static str,
        shape: Shape,
        doc: &'static str,
        example: &'static str,
    ) -> Self {
        Self {
            name,
            shape,
            required: false,
            default: None,
            doc,
            example,
        }
    }

    /// With what holds when it is left out.
    pub(crate) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// Must be there.
    pub(crate) const fn needed(mut self) -> Self {
        self.required = true;
        self
    }
}

/// What may stand at a key.
pub(crate) enum Shape {
    /// A single value in a grammar.
    Value(&'static Words),
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int {
        min: u64,
        max: u64,
    },
    /// A map with known keys.
    Map(&'static MapSpec),
    /// A map whose keys are names in a grammar.
    Named(&'static Words, &'static Shape),
    List(&'static Shape),
    /// One of several, the short form first.
    Any(&'static [Shape]),
    /// Whatever YAML can say.
    Free,
}
