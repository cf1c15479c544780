//! Conditions as SQL, with SQL's three-valued logic.

use super::super::table::{BUCKET_QUOTED, Column};
use super::select::{Level, may_be_null};
use super::{Arg, Builder, Built, Function, Scope, Shape, Spelling, Unbuildable};
use crate::operation::{Compare, Condition, Is, Item, Order, PathStep};
use crate::value::Value;
use std::borrow::Cow;
use stoa_config::plan::Type;

/// Values of a padded list at most; a request's own bounds are far below.
const LIST_MAX: usize = 16_384;

impl<'a> Builder<'a> {
    /// ` WHERE …`: the condition, the bucket, and every `!inner` embed of the items.
    pub(crate) fn filter(
        &mut self,
        condition: &'a Condition,
        bucket: Option<u16>,
        scope: Scope<'a>,
    ) -> Built<()> {
        self.push(" WHERE ");
        self.gate(scope);
        if let (Some(bucket), true) = (bucket, scope.table.created) {
            self.alias(scope.alias);
            self.push(".");
            self.push(BUCKET_QUOTED);
            self.push(" = ");
            self.bind(Arg::Int(i64::from(bucket)));
            self.push(" AND ");
        }
        self.condition(condition, scope)?;
        self.inner_embeds(scope)
    }

    /// ` AND EXISTS (…)` for every `!inner` embed.
    pub(crate) fn inner_embeds(&mut self, scope: Scope<'a>) -> Built<()> {
        for (position, item) in scope.items.iter().enumerate() {
            if matches!(item, Item::Embed(embed) if embed.inner) {
                self.push(" AND ");
                self.embedded(position, scope)?;
            }
        }
        Ok(())
    }

    /// One condition, in brackets where it needs them.
    pub(crate) fn condition(&mut self, condition: &'a Condition, scope: Scope<'a>) -> Built<()> {
        match condition {
            Condition::True => self.push("TRUE"),
            Condition::False => self.push("FALSE"),
            Condition::And(list) => self.joined(list, " AND ", "TRUE", scope)?,
            Condition::Or(list) => self.joined(list, " OR ", "FALSE", scope)?,
            Condition::Not(inner) => {
                self.push("NOT (");
                self.condition(inner, scope)?;
                self.push(")");
            }
            Condition::Compare {
                field,
                path,
                op,
                value,
            } => {
                self.compare(scope.column(*field)?, path, *op, value, scope)?;
            }
            Condition::In { field, path, values } => {
                self.in_list(scope.column(*field)?, path, values, scope)?;
            }
            Condition::Search {
                field,
                path,
                how,
                language,
                words,
            } => {
                let column = scope.column(*field)?;
                self.search(column, path, *how, language.as_deref(), words, scope)?;
            }
            Condition::Is { field, path, what } => self.is(scope.column(*field)?, path, *what, scope),
            Condition::Embedded { item } => self.embedded(*item, scope)?,
            Condition::Fields { left, op, right } => {
                self.fields(scope.column(*left)?, *op, scope.column(*right)?, scope)?;
            }
        }
        Ok(())
    }

    fn joined(&mut self, list: &'a [Condition], word: &str, empty: &str, scope: Scope<'a>) -> Built<()> {
        if list.is_empty() {
            self.push(empty);
            return Ok(());
        }
        self.push("(");
        for (position, condition) in list.iter().enumerate() {
            if position > 0 {
                self.push(word);
            }
            self.condition(condition, scope)?;
        }
        self.push(")");
        Ok(())
    }

    /// A field, or what a path leads to in it, as it is compared and ordered.
    pub(crate) fn operand(&mut self, column: &'a Column, path: &'a [PathStep], scope: Scope<'a>) {
        if path.is_empty() {
            self.name(scope, column);
            self.dialect.operand(&mut self.sql.text, column, &self.scratch);
            return;
        }
        self.path(column, path, scope);
        if !is_text(path) {
            self.push(self.dialect.json_order());
        }
    }

    /// What a path leads to.
    pub(super) fn path(&mut self, column: &'a Column, path: &'a [PathStep], scope: Scope<'a>) {
        // PostgreSQL finds no position from the end inside `json` but at its outermost level.
        let from_end =
            |step: &PathStep| matches!(step, PathStep::Index(n) | PathStep::TextIndex(n) if *n < 0);
        let keeps_text = self.dialect.keeps_text(column) && !path.iter().skip(1).any(from_end);
        let function = match (is_text(path), &column.ty) {
            (true, Type::Json) if keeps_text => Function::PathAsWritten,
            (true, Type::List(_) | Type::Text) => Function::ListPathText,
            (false, Type::List(_) | Type::Text) => Function::ListPath,
            (true, _) => Function::PathText,
            (false, _) => Function::Path,
        };
        let parts = self.dialect.parts(function).unwrap_or_default();
        self.push(parts[0]);
        self.reference(scope, column);
        self.push(parts[1]);
        self.bind(Arg::Path(path));
        self.push(parts[2]);
    }

    /// A value as the other side of [`Self::operand`].
    fn against(&mut self, column: &'a Column, path: &'a [PathStep], value: &'a Value) {
        if path.is_empty() {
            return self.bind_value(column, value);
        }
        if value.is_null() {
            return self.bind(Arg::Null { json: !is_text(path) });
        }
        let text = match value {
            Value::Text(text) | Value::Json(text) | Value::Decimal(text) => Cow::Borrowed(&**text),
            other => Cow::Owned(other.to_string()),
        };
        if is_text(path) {
            return self.bind(Arg::Text(text));
        }
        let is_json = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        self.bind(Arg::Json(if is_json {
            text
        } else {
            Cow::Owned(serde_json::Value::from(text.into_owned()).to_string())
        }));
    }

    fn compare(
        &mut self,
        column: &'a Column,
        path: &'a [PathStep],
        op: Compare,
        value: &'a Value,
        scope: Scope<'a>,
    ) -> Built<()> {
        if let Some(function) = function(op) {
            let swapped = op == Compare::ContainedBy;
            return match op {
                Compare::Like => self.like(function, column, path, value, scope),
                _ => self.call(function, column, path, value, scope, swapped),
            };
        }
        match op {
            Compare::Eq | Compare::Neq if path.is_empty() && !self.dialect.spellings(column).is_empty() => {
                self.spelled(column, std::slice::from_ref(value), op == Compare::Neq, scope);
            }
            _ => {
                self.operand(column, path, scope);
                self.push(symbol(op)?);
                self.against(column, path, value);
            }
        }
        Ok(())
    }

    /// `like`, with bounds around it where an index may use them.
    fn like(
        &mut self,
        function: Function,
        column: &'a Column,
        path: &'a [PathStep],
        value: &'a Value,
        scope: Scope<'a>,
    ) -> Built<()> {
        let bounds = match value {
            Value::Text(pattern) if path.is_empty() => self.dialect.prefix_bounds(column, pattern),
            _ => None,
        };
        let Some((low, high)) = bounds else {
            return self.call(function, column, path, value, scope, false);
        };
        self.push("(");
        self.reference(scope, column);
        self.push(" >= ");
        self.bind(Arg::Text(Cow::Owned(low)));
        self.push(" AND ");
        self.reference(scope, column);
        self.push(" < ");
        self.bind(Arg::Text(Cow::Owned(high)));
        self.push(" AND ");
        self.call(function, column, path, value, scope, false)?;
        self.push(")");
        Ok(())
    }

    /// A function of a field and a value, or of the value and the field.
    fn call(
        &mut self,
        function: Function,
        column: &'a Column,
        path: &'a [PathStep],
        value: &'a Value,
        scope: Scope<'a>,
        swapped: bool,
    ) -> Built<()> {
        let parts = self.dialect.parts(function).ok_or_else(|| {
            Unbuildable(format!(
                "{} is in a store without {function:?}",
                scope.table.label
            ))
        })?;
        let pattern = matches!(
            function,
            Function::Like | Function::Ilike | Function::Match | Function::Imatch
        );
        self.push(parts[0]);
        for second in [false, true] {
            if second {
                self.push(parts[1]);
            }
            if second == swapped {
                if !path.is_empty() {
                    self.path(column, path, scope);
                } else if pattern {
                    self.name(scope, column);
                    self.dialect.text(&mut self.sql.text, column, &self.scratch);
                } else {
                    self.reference(scope, column);
                }
            } else if let (Value::Text(text), true) = (value, pattern && path.is_empty()) {
                self.bind(Arg::Text(Cow::Borrowed(text)));
            } else {
                self.against(column, path, value);
                if path.is_empty()
                    && let Some(ty) = self.dialect.foreign(column)
                {
                    self.push("::");
                    self.push(&ty);
                }
            }
        }
        self.push(parts[2]);
        Ok(())
    }

    pub(super) fn in_list(
        &mut self,
        column: &'a Column,
        path: &'a [PathStep],
        values: &'a [Value],
        scope: Scope<'a>,
    ) -> Built<()> {
        let Some(last) = values.last() else {
            self.push("FALSE");
            return Ok(());
        };
        if values.len() > LIST_MAX {
            return Err(Unbuildable(format!(
                "a list of {} values; at most {LIST_MAX} are taken",
                values.len()
            )));
        }
        if path.is_empty() && !self.dialect.spellings(column).is_empty() {
            self.spelled(column, values, false, scope);
            return Ok(());
        }
        self.operand(column, path, scope);
        self.push(" IN (");
        for position in 0..values.len().next_power_of_two() {
            if position > 0 {
                self.push(", ");
            }
            self.against(column, path, values.get(position).unwrap_or(last));
        }
        self.push(")");
        Ok(())
    }

    /// Equality with every spelling of every value.
    fn spelled(&mut self, column: &'a Column, values: &'a [Value], negated: bool, scope: Scope<'a>) {
        let spellings: &'static [Spelling] = self.dialect.spellings(column);
        self.reference(scope, column);
        self.push(if negated { " NOT IN (" } else { " IN (" });
        let Some(last) = values.last() else { return };
        for position in 0..values.len().next_power_of_two() {
            for (which, spelling) in spellings.iter().enumerate() {
                if position + which > 0 {
                    self.push(", ");
                }
                self.bind(Arg::Value(
                    column,
                    values.get(position).unwrap_or(last),
                    *spelling,
                ));
            }
        }
        self.push(")");
    }

    fn is(&mut self, column: &'a Column, path: &'a [PathStep], what: Is, scope: Scope<'a>) {
        match what {
            Is::Null | Is::Unknown | Is::NotNull if path.is_empty() => self.reference(scope, column),
            _ => self.operand(column, path, scope),
        }
        let boolean = path.is_empty() && column.ty == Type::Bool;
        self.push(match (what, boolean) {
            (Is::Null | Is::Unknown, _) => " IS NULL",
            (Is::NotNull, _) => " IS NOT NULL",
            (Is::True, true) => " IS TRUE",
            (Is::False, true) => " IS FALSE",
            (Is::True, false) => " IS NOT DISTINCT FROM 'true'",
            (Is::False, false) => " IS NOT DISTINCT FROM 'false'",
        });
    }

    fn fields(&mut self, left: &'a Column, op: Compare, right: &'a Column, scope: Scope<'a>) -> Built<()> {
        let same = left.ty == right.ty && left.storage == right.storage;
        for (second, column) in [(false, left), (true, right)] {
            if second {
                self.push(symbol(op)?);
            }
            self.name(scope, column);
            if same {
                self.dialect.operand(&mut self.sql.text, column, &self.scratch);
            } else {
                self.dialect.common(&mut self.sql.text, column, &self.scratch);
            }
        }
        Ok(())
    }

    /// `EXISTS (…)`: whether the embed at `position` of the scope's items has a row.
    fn embedded(&mut self, position: usize, scope: Scope<'a>) -> Built<()> {
        let Some(Item::Embed(embed)) = scope.items.get(position) else {
            return Err(Unbuildable(format!(
                "item {position} of the selection is not an embed"
            )));
        };
        let inner = self.scope_of(embed, scope)?;
        self.push("EXISTS (SELECT 1");
        self.from(inner);
        self.push(" WHERE ");
        self.join(&embed.join, inner, scope)?;
        self.push(" AND ");
        self.condition(&embed.filter, inner)?;
        self.inner_embeds(inner)?;
        self.push(")");
        Ok(())
    }

    /// ` AND (…)`: rows after a position. The first term alone bounds the index scan.
    pub(super) fn after(
        &mut self,
        order: &'a [Order],
        values: &'a [Value],
        shape: &Shape<'a>,
        level: &Level<'a>,
    ) -> Built<()> {
        if order.len() != values.len() || order.is_empty() {
            return Err(Unbuildable(format!(
                "a position of {} values in an order of {}",
                values.len(),
                order.len()
            )));
        }
        let mut opened = 0;
        let last = order.len() - 1;
        for (position, (entry, value)) in order.iter().zip(values).enumerate() {
            let scope = level.at(shape.place(entry)?);
            let column = scope.column(entry.field)?;
            if position < last {
                self.push(" AND ");
                if position > 0 {
                    self.push("(");
                }
                self.bound(entry, column, value, true, scope);
                self.push(" AND (");
                self.bound(entry, column, value, false, scope);
                self.push(" OR (");
                self.operand(column, &entry.path, scope);
                self.push(" IS NOT DISTINCT FROM ");
                self.against(column, &entry.path, value);
                opened += 2 + usize::from(position > 0);
            } else {
                self.push(" AND ");
                self.bound(entry, column, value, false, scope);
            }
        }
        for _ in 0..opened {
            self.push(")");
        }
        Ok(())
    }

    /// Whether an entry of the order comes after a value; with `or_at`, or is it.
    fn bound(
        &mut self,
        entry: &'a Order,
        column: &'a Column,
        value: &'a Value,
        or_at: bool,
        scope: Scope<'a>,
    ) {
        let may_be_null = may_be_null(entry, column);
        if value.is_null() {
            match (entry.nulls_first, or_at) {
                (true, true) => self.push("TRUE"),
                (false, false) => self.push("FALSE"),
                (first, _) => {
                    self.operand(column, &entry.path, scope);
                    self.push(if first { " IS NOT NULL" } else { " IS NULL" });
                }
            }
            return;
        }
        let nulls_follow = may_be_null && !entry.nulls_first;
        if nulls_follow {
            self.push("(");
        }
        self.operand(column, &entry.path, scope);
        self.push(match (entry.descending, or_at) {
            (false, false) => " > ",
            (false, true) => " >= ",
            (true, false) => " < ",
            (true, true) => " <= ",
        });
        self.against(column, &entry.path, value);
        if nulls_follow {
            self.push(" OR ");
            self.operand(column, &entry.path, scope);
            self.push(" IS NULL)");
        }
    }
}

/// A value as the text that the server reads: what is a text in JSON without its quotes.
pub(super) fn plain(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null | Value::Default => None,
        Value::Json(text) => Some(match serde_json::from_str::<String>(text) {
            Ok(inside) => Cow::Owned(inside),
            Err(_) => Cow::Borrowed(text),
        }),
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// Whether a path ends in text.
pub(crate) fn is_text(path: &[PathStep]) -> bool {
    matches!(path.last(), Some(PathStep::TextKey(_) | PathStep::TextIndex(_)))
}

/// A path as a JSON list of keys and positions.
pub(crate) fn render_path(path: &[PathStep]) -> String {
    let steps = path.iter().map(|step| match step {
        PathStep::Key(key) | PathStep::TextKey(key) => serde_json::Value::from(&**key),
        PathStep::Index(index) | PathStep::TextIndex(index) => serde_json::Value::from(*index),
    });
    steps.collect::<serde_json::Value>().to_string()
}

fn symbol(op: Compare) -> Built<&'static str> {
    Ok(match op {
        Compare::Eq => " = ",
        Compare::Neq => " <> ",
        Compare::Gt => " > ",
        Compare::Gte => " >= ",
        Compare::Lt => " < ",
        Compare::Lte => " <= ",
        Compare::IsDistinct => " IS DISTINCT FROM ",
        _ => {
            return Err(Unbuildable(format!("{op:?} does not compare two fields")));
        }
    })
}

/// The operators that are functions to the builder.
fn function(op: Compare) -> Option<Function> {
    Some(match op {
        Compare::Like => Function::Like,
        Compare::Ilike => Function::Ilike,
        Compare::Contains | Compare::ContainedBy => Function::Contains,
        Compare::Overlaps => Function::Overlaps,
        Compare::Match => Function::Match,
        Compare::Imatch => Function::Imatch,
        Compare::Left => Function::Left,
        Compare::Right => Function::Right,
        Compare::NotRight => Function::NotRight,
        Compare::NotLeft => Function::NotLeft,
        Compare::Adjacent => Function::Adjacent,
        Compare::Eq
        | Compare::Neq
        | Compare::Gt
        | Compare::Gte
        | Compare::Lt
        | Compare::Lte
        | Compare::IsDistinct => return None,
    })
}
