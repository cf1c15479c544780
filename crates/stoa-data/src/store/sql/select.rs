//! `SELECT`: the columns a reply needs, embeds as columns of their own, groups, order and page.

use super::join::linked;
use super::shape::{Shape, Slot, What};
use super::{Arg, Builder, Built, Scope, Source, Unbuildable};
use crate::operation::{Compare, Condition, Embed, Order, PathStep, Read, Term, is_grouped, kind_of};
use crate::store::table::{Column, Table};
use crate::value::Value;

/// The row itself and the rows beside it, under their aliases.
pub(crate) struct Level<'a> {
    pub(crate) scope: Scope<'a>,
    beside: Vec<Scope<'a>>,
    /// The alias of the derived table whose columns are grouped.
    group: Option<usize>,
}

impl<'a> Level<'a> {
    /// Whose columns a place has.
    pub(super) fn at(&self, at: Option<usize>) -> Scope<'a> {
        at.and_then(|at| self.beside.get(at))
            .copied()
            .unwrap_or(self.scope)
    }
}

/// A `SELECT` as it is put together.
struct Rows<'a, 's> {
    shape: &'s Shape<'a>,
    scope: Scope<'a>,
    /// Whether the columns are one row value.
    wrapped: bool,
    /// Whether the primary key finds the row.
    keyed: bool,
    order: &'a [Order],
}

/// Whether a filter asks for one key.
fn fixes_key(filter: &Condition, table: &Table) -> bool {
    match filter {
        Condition::And(all) => all.iter().any(|one| fixes_key(one, table)),
        Condition::Compare {
            field,
            path,
            op: Compare::Eq,
            ..
        } => path.is_empty() && table.key == [*field],
        _ => false,
    }
}

impl<'a> Builder<'a> {
    /// A read: one row more than asked for, so that it is known whether there are more.
    pub(crate) fn read(&mut self, read: &'a Read, shape: &Shape<'a>) -> Built<()> {
        let table = self.table(read.resource)?;
        if self.known_row(read, table, shape) {
            return Ok(());
        }
        let rows = Rows {
            shape,
            scope: self.scope(table, &read.select),
            wrapped: false,
            keyed: table.created && read.bucket.is_some() && fixes_key(&read.filter, table),
            order: &read.order,
        };
        self.rows(&rows, |builder, level| {
            builder.filter(&read.filter, read.bucket, level.scope)?;
            match &read.after {
                Some(_) if shape.grouped => Err(Unbuildable(String::from("a position among groups of rows"))),
                Some(values) => builder.after(&read.order, values, shape, level),
                None => Ok(()),
            }
        })?;
        self.page(read.limit.saturating_add(1), read.offset);
        self.keep_row(read, table, shape);
        Ok(())
    }

    /// How many rows the filter has in all.
    pub(crate) fn count(&mut self, read: &'a Read) -> Built<()> {
        if is_grouped(&read.select) {
            self.push("SELECT count(*) FROM (");
            self.matches(read)?;
            self.push(") AS s");
            return Ok(());
        }
        let table = self.table(read.resource)?;
        let scope = self.scope(table, &read.select);
        self.push("SELECT count(*)");
        self.from(scope);
        self.filter(&read.filter, read.bucket, scope)
    }

    /// A statement with as many rows as the filter has in all.
    pub(crate) fn matches(&mut self, read: &'a Read) -> Built<()> {
        let table = self.table(read.resource)?;
        let scope = self.scope(table, &read.select);
        if !is_grouped(&read.select) {
            self.push("SELECT 1");
            self.from(scope);
            return self.filter(&read.filter, read.bucket, scope);
        }
        let shape = Shape::new(&read.select, table, self.tables)?;
        let rows = Rows {
            shape: &shape,
            scope,
            wrapped: false,
            keyed: false,
            order: &[],
        };
        self.rows(&rows, |builder, level| {
            builder.filter(&read.filter, read.bucket, level.scope)
        })
    }

    /// `SELECT … FROM … WHERE … ORDER BY …`; `wheres` writes its ` WHERE …`.
    fn rows(
        &mut self,
        rows: &Rows<'a, '_>,
        wheres: impl FnOnce(&mut Self, &Level<'a>) -> Built<()>,
    ) -> Built<()> {
        let Rows { shape, scope, .. } = *rows;
        let level = self.level(shape, scope)?;
        self.push("SELECT ");
        if rows.wrapped {
            let embeds: Vec<bool> = shape
                .slots
                .iter()
                .map(|s| matches!(s.what, What::Embed(_)))
                .collect();
            self.dialect.open_row(&mut self.sql.text, &embeds);
        }
        match level.group {
            Some(_) => self.grouped(shape, &level)?,
            None => self.columns(shape, &level)?,
        }
        if rows.wrapped {
            self.push(") AS r");
        }
        if level.group.is_some() {
            self.push(" FROM (SELECT ");
            self.ungrouped(shape, &level)?;
        }
        self.from(scope);
        if rows.keyed {
            self.push(self.dialect.by_primary_key());
        }
        self.beside(shape, &level)?;
        wheres(self, &level)?;
        if let Some(group) = level.group {
            self.push(") AS ");
            self.alias(group);
            self.group_by(shape, &level, group)?;
        }
        self.order_by(rows.order, shape, &level)
    }

    /// Aliases for the rows beside the row.
    fn level(&mut self, shape: &Shape<'a>, scope: Scope<'a>) -> Built<Level<'a>> {
        let mut beside: Vec<Scope<'a>> = Vec::with_capacity(shape.joined.len());
        for joined in &shape.joined {
            let parent = joined.at.and_then(|at| beside.get(at)).copied().unwrap_or(scope);
            let scope = self.scope_of(joined.embed, parent)?;
            beside.push(Scope { outer: true, ..scope });
        }
        let group = shape.grouped.then(|| self.next_alias());
        Ok(Level { scope, beside, group })
    }

    /// ` LEFT JOIN …` for every row beside the row. Its own rule and filter decide whether there is one.
    fn beside(&mut self, shape: &Shape<'a>, level: &Level<'a>) -> Built<()> {
        for (joined, scope) in shape.joined.iter().zip(&level.beside) {
            self.push(" LEFT JOIN ");
            self.rows_of(*scope);
            self.push(" ON ");
            self.join(&joined.embed.join, *scope, level.at(joined.at))?;
            self.push(" AND ");
            self.condition(&joined.embed.filter, *scope)?;
            self.inner_embeds(*scope)?;
        }
        Ok(())
    }

    /// The columns of a shape of one table alone, joined by commas.
    pub(crate) fn slots(&mut self, shape: &Shape<'a>, scope: Scope<'a>) -> Built<()> {
        if shape.grouped || !shape.joined.is_empty() {
            return Err(Unbuildable(String::from(
                "groups or an order where there are none",
            )));
        }
        let level = self.level(shape, scope)?;
        self.columns(shape, &level)
    }

    fn columns(&mut self, shape: &Shape<'a>, level: &Level<'a>) -> Built<()> {
        for (position, slot) in shape.slots.iter().enumerate() {
            if position > 0 {
                self.push(", ");
            }
            self.column(slot, level)?;
        }
        if shape.slots.is_empty() {
            self.push("1");
        }
        Ok(())
    }

    /// One column as it is read.
    fn column(&mut self, slot: &Slot<'a>, level: &Level<'a>) -> Built<()> {
        let scope = level.at(slot.at);
        match &slot.what {
            What::Field(field) => {
                let column = scope.column(*field)?;
                if let Some(casts) = &column.casts {
                    self.push(&casts.to_json);
                    self.push("(");
                    self.reference(scope, column);
                    self.push(")");
                } else {
                    self.reference(scope, column);
                }
                self.push(self.dialect.shown(column));
                if level.group.is_some() {
                    self.push(self.dialect.groupable(column));
                }
            }
            What::Path(field, path) => self.path(scope.column(*field)?, path, scope),
            What::Cast(field, path, cast) => {
                let column = scope.column(*field)?;
                let around = self.dialect.cast(Source::of(column, path), *cast);
                self.push(&around[0]);
                self.value(column, path, scope);
                self.push(&around[1]);
            }
            What::Embed(embed) => self.embed(embed, scope)?,
            What::Version => self.version(scope),
            What::Total => self.push("count(*) OVER ()"),
            What::Aggregate(..) => return Err(Unbuildable(String::from("an aggregate outside of groups"))),
        }
        Ok(())
    }

    /// A field, or what a path leads to in it, as it is.
    fn value(&mut self, column: &'a Column, path: &'a [PathStep], scope: Scope<'a>) {
        if path.is_empty() {
            self.reference(scope, column);
        } else {
            self.path(column, path, scope);
        }
    }

    /// The columns of the derived table: what rows are grouped by, and what the aggregates are of.
    fn ungrouped(&mut self, shape: &Shape<'a>, level: &Level<'a>) -> Built<()> {
        for (position, slot) in shape.slots.iter().enumerate() {
            if position > 0 {
                self.push(", ");
            }
            match (&slot.what, slot.at) {
                (What::Aggregate(_, Some(term), _), at) => self.term(term, level.at(at))?,
                (What::Aggregate(_, None, _), None) => self.push("1"),
                // A row beside counts where there is one.
                (What::Aggregate(_, None, _), Some(at)) => {
                    let joined = shape.joined.get(at);
                    let joined = joined.ok_or_else(|| Unbuildable(format!("nothing is joined at {at}")))?;
                    let scope = level.at(slot.at);
                    self.reference(scope, linked(&joined.embed.join, scope)?);
                }
                _ => self.column(slot, level)?,
            }
            self.push(" AS ");
            self.nth(position);
        }
        if shape.slots.is_empty() {
            self.push("1");
        }
        Ok(())
    }

    /// What an aggregate is of.
    fn term(&mut self, term: &'a Term, scope: Scope<'a>) -> Built<()> {
        let column = scope.column(term.field)?;
        let source = Source::of(column, &term.path);
        let around = match term.cast {
            Some(cast) => self.dialect.cast(source, cast),
            None => self.dialect.computed(source),
        };
        self.push(&around[0]);
        self.value(column, &term.path, scope);
        self.push(&around[1]);
        Ok(())
    }

    /// The columns of groups.
    fn grouped(&mut self, shape: &Shape<'a>, level: &Level<'a>) -> Built<()> {
        let group = level.group.unwrap_or_default();
        for (position, slot) in shape.slots.iter().enumerate() {
            if position > 0 {
                self.push(", ");
            }
            let What::Aggregate(function, of, cast) = &slot.what else {
                self.alias(group);
                self.push(".");
                self.nth(position);
                continue;
            };
            let kind = match of {
                Some(term) => {
                    let column = level.at(slot.at).column(term.field)?;
                    kind_of(&column.ty, &term.path, term.cast)
                }
                None => None,
            };
            let result = function
                .result(kind)
                .ok_or_else(|| Unbuildable(format!("{}() of {kind:?}", function.name())))?;
            let [before, after] = match cast {
                Some(cast) => self.dialect.cast(Source::Kind(result), *cast),
                None => ["".into(), "".into()],
            };
            self.push(&before);
            let created = level.at(slot.at).table.created;
            let around = self.dialect.aggregate(*function, kind, created);
            self.push(around[0]);
            self.alias(group);
            self.push(".");
            self.nth(position);
            self.push(around[1]);
            self.push(&after);
        }
        if shape.slots.is_empty() {
            self.push("1");
        }
        Ok(())
    }

    /// ` GROUP BY` everything that is no aggregate.
    fn group_by(&mut self, shape: &Shape<'a>, level: &Level<'a>, group: usize) -> Built<()> {
        let mut word = " GROUP BY ";
        for (position, slot) in shape.slots.iter().enumerate() {
            let scope = level.at(slot.at);
            match &slot.what {
                What::Aggregate(..) => continue,
                What::Field(field) => {
                    self.push(word);
                    self.key(scope.column(*field)?, position, group);
                }
                _ => {
                    self.push(word);
                    self.alias(group);
                    self.push(".");
                    self.nth(position);
                }
            }
            word = ", ";
        }
        Ok(())
    }

    /// A column of the derived table as it is compared and ordered.
    fn key(&mut self, column: &Column, position: usize, group: usize) {
        let reference = format!("t{group}.c{position}");
        self.dialect.group(&mut self.sql.text, column, &reference);
    }

    /// `c0`, the name of a column of the derived table.
    fn nth(&mut self, position: usize) {
        self.push("c");
        self.push(itoa::Buffer::new().format(position));
    }

    /// One embed as one column.
    fn embed(&mut self, embed: &'a Embed, parent: Scope<'a>) -> Built<()> {
        let table = self.table(embed.resource)?;
        let mut shape = Shape::new(&embed.select, table, self.tables)?;
        let many = embed.join.is_many();
        let order: &[Order] = if many { &embed.order } else { &[] };
        shape.order(order)?;
        if many {
            let gather = self.dialect.gather();
            self.push("(SELECT ");
            self.push(gather[0]);
            self.push("s.r");
            self.push(gather[1]);
            self.push(" FROM ");
        }
        self.push("(");
        let rows = Rows {
            shape: &shape,
            scope: self.scope_of(embed, parent)?,
            wrapped: true,
            keyed: false,
            order,
        };
        self.rows(&rows, |builder, level| {
            builder.push(" WHERE ");
            builder.join(&embed.join, level.scope, parent)?;
            builder.push(" AND ");
            builder.condition(&embed.filter, level.scope)?;
            builder.inner_embeds(level.scope)
        })?;
        if many {
            self.page(embed.limit, embed.offset);
            self.push(") AS s)");
        } else {
            self.page(1, 0);
            self.push(")");
        }
        Ok(())
    }

    /// ` ORDER BY …`
    fn order_by(&mut self, order: &'a [Order], shape: &Shape<'a>, level: &Level<'a>) -> Built<()> {
        for (position, entry) in order.iter().enumerate() {
            self.push(if position == 0 { " ORDER BY " } else { ", " });
            let scope = level.at(shape.place(entry)?);
            let column = scope.column(entry.field)?;
            match level.group {
                None => self.operand(column, &entry.path, scope),
                Some(group) => {
                    let slot = shape.grouping(entry).ok_or_else(|| {
                        Unbuildable(String::from("an order by what rows are not grouped by"))
                    })?;
                    if entry.path.is_empty() {
                        self.key(column, slot, group);
                    } else {
                        self.alias(group);
                        self.push(".");
                        self.nth(slot);
                    }
                }
            }
            if entry.descending {
                self.push(" DESC");
            }
            if may_be_null(entry, column) {
                self.push(if entry.nulls_first {
                    " NULLS FIRST"
                } else {
                    " NULLS LAST"
                });
            }
        }
        Ok(())
    }

    fn page(&mut self, limit: u64, offset: u64) {
        self.push(" LIMIT ");
        self.bind(Arg::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
        if offset > 0 {
            self.push(" OFFSET ");
            self.bind(Arg::Int(i64::try_from(offset).unwrap_or(i64::MAX)));
        }
    }

    /// Whether a row has this value: `SELECT 1 … LIMIT 1`.
    pub(crate) fn exists(&mut self, table: &'a Table, column: &'a Column, value: &'a Value) {
        let scope = self.scope(table, &[]);
        self.push("SELECT 1");
        self.from(scope);
        self.push(" WHERE ");
        self.operand(column, &[], scope);
        self.push(" = ");
        self.bind_value(column, value);
        self.push(" LIMIT 1");
    }
}

/// Whether an entry of the order may have no value.
pub(super) fn may_be_null(entry: &Order, column: &Column) -> bool {
    column.nullable || !entry.path.is_empty() || entry.embed.is_some()
}
