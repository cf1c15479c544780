//! Text search, where the database has it.

use super::super::table::Column;
use super::{Arg, Builder, Built, Scope, Unbuildable};
use crate::operation::{PathStep, Search};
use std::borrow::Cow;

impl<'a> Builder<'a> {
    /// Whether a field's text holds the words: `to_tsvector(field) @@ to_tsquery(words)`.
    pub(super) fn search(
        &mut self,
        column: &'a Column,
        path: &'a [PathStep],
        how: Search,
        language: Option<&'a str>,
        words: &'a str,
        scope: Scope<'a>,
    ) -> Built<()> {
        let Some(function) = self.dialect.search(how) else {
            return Err(Unbuildable(format!("{} has no text search", scope.table.label)));
        };
        self.push("(");
        if path.is_empty() && self.dialect.is_vector(column) {
            self.reference(scope, column);
        } else {
            self.push("to_tsvector(");
            self.language(language);
            self.operand(column, path, scope);
            self.push(")");
        }
        self.push(" @@ ");
        self.push(function);
        self.push("(");
        self.language(language);
        self.bind(Arg::Text(Cow::Borrowed(words)));
        self.push("))");
        Ok(())
    }

    fn language(&mut self, language: Option<&'a str>) {
        let Some(language) = language else { return };
        self.push("CAST(");
        self.bind(Arg::Text(Cow::Borrowed(language)));
        self.push(" AS regconfig), ");
    }
}
