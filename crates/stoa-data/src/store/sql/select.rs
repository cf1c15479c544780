//! `SELECT`: the columns a reply needs, embeds as columns of their own, order and page.

use super::condition::is_text;
use super::{Arg, Builder, Built, Scope, Unbuildable};
use crate::operation::{Compare, Condition, Embed, FieldIndex, Item, Join, Order, PathStep, Read};
use crate::store::table::{Column, Table, Tables};
use crate::value::Value;

/// What a selection reads and how the reply is made of it.
#[derive(Debug)]
pub(crate) struct Shape<'a> {
    /// Columns of the statement.
    slots: Vec<Slot<'a>>,
    /// Members of each object.
    pub(crate) outs: Vec<Out<'a>>,
}

#[derive(Debug)]
enum Slot<'a> {
    Field(FieldIndex),
    Path(FieldIndex, &'a [PathStep]),
    Embed(&'a Embed),
    Version,
}

/// One member of a reply's object.
#[derive(Debug)]
pub(crate) struct Out<'a> {
    /// Name.
    pub(crate) name: &'a str,
    /// Which column of the statement.
    pub(crate) slot: usize,
    /// How it becomes JSON.
    pub(crate) kind: OutKind<'a>,
}

/// How a column becomes JSON.
#[derive(Debug)]
pub(crate) enum OutKind<'a> {
    /// As its type says.
    Field(&'a Column),
    /// It is JSON.
    Json,
    /// It is text.
    Text,
    /// A row, or a list of rows, of these members.
    Embed { many: bool, outs: Vec<Out<'a>> },
}

impl<'a> Shape<'a> {
    /// What `items` of `table` need.
    pub(crate) fn new(items: &'a [Item], table: &'a Table, tables: &'a Tables) -> Built<Self> {
        let mut shape = Self {
            slots: Vec::with_capacity(items.len() + 2),
            outs: Vec::with_capacity(items.len()),
        };
        for item in items {
            match item {
                Item::Field { field, path, name } => {
                    let column = column(table, *field)?;
                    let (slot, kind) = if path.is_empty() {
                        (shape.field(*field), OutKind::Field(column))
                    } else {
                        let kind = if is_text(path) {
                            OutKind::Text
                        } else {
                            OutKind::Json
                        };
                        (shape.slot(Slot::Path(*field, path)), kind)
                    };
                    shape.outs.push(Out { name, slot, kind });
                }
                Item::Embed(embed) => {
                    if embed.select.is_empty() {
                        continue;
                    }
                    let other = tables.get(embed.resource).ok_or_else(|| {
                        Unbuildable(format!("{} embeds a resource of another store", table.label))
                    })?;
                    let outs = Self::new(&embed.select, other, tables)?.outs;
                    let many = matches!(embed.join, Join::ToMany { .. });
                    let slot = shape.slot(Slot::Embed(embed));
                    shape.outs.push(Out {
                        name: &embed.name,
                        slot,
                        kind: OutKind::Embed { many, outs },
                    });
                }
            }
        }
        Ok(shape)
    }

    fn slot(&mut self, slot: Slot<'a>) -> usize {
        self.slots.push(slot);
        self.slots.len() - 1
    }

    /// The column of a field, added when it is not there yet.
    pub(crate) fn field(&mut self, field: FieldIndex) -> usize {
        match self
            .slots
            .iter()
            .position(|s| matches!(s, Slot::Field(f) if *f == field))
        {
            Some(slot) => slot,
            None => self.slot(Slot::Field(field)),
        }
    }

    /// The column of an entry of the order.
    pub(crate) fn order(&mut self, order: &'a Order) -> usize {
        if order.path.is_empty() {
            self.field(order.field)
        } else {
            self.slot(Slot::Path(order.field, &order.path))
        }
    }

    /// The column of the row's version.
    pub(crate) fn version(&mut self) -> usize {
        self.slot(Slot::Version)
    }
}

fn column(table: &Table, field: FieldIndex) -> Built<&Column> {
    table
        .column(field)
        .ok_or_else(|| Unbuildable(format!("{} has no field {field}", table.label)))
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
        let scope = self.scope(table, &read.select);
        self.push("SELECT ");
        self.slots(shape, scope)?;
        self.from(scope);
        if table.created && read.bucket.is_some() && fixes_key(&read.filter, table) {
            self.push(self.dialect.by_primary_key());
        }
        self.filter(&read.filter, read.bucket, scope)?;
        if let Some(values) = &read.after {
            self.after(&read.order, values, scope)?;
        }
        self.order_by(&read.order, scope)?;
        self.page(read.limit.saturating_add(1), read.offset);
        Ok(())
    }

    /// How many rows the filter has in all.
    pub(crate) fn count(&mut self, read: &'a Read) -> Built<()> {
        let table = self.table(read.resource)?;
        let scope = self.scope(table, &read.select);
        self.push("SELECT count(*)");
        self.from(scope);
        self.filter(&read.filter, read.bucket, scope)
    }

    /// The columns of a shape, joined by commas.
    pub(crate) fn slots(&mut self, shape: &Shape<'a>, scope: Scope<'a>) -> Built<()> {
        for (position, slot) in shape.slots.iter().enumerate() {
            if position > 0 {
                self.push(", ");
            }
            match slot {
                Slot::Field(field) => {
                    let column = scope.column(*field)?;
                    self.reference(scope, column);
                    self.push(self.dialect.shown(column));
                }
                Slot::Path(field, path) => self.path(scope.column(*field)?, path, scope),
                Slot::Embed(embed) => self.embed(embed, scope)?,
                Slot::Version => self.version(scope),
            }
        }
        if shape.slots.is_empty() {
            self.push("1");
        }
        Ok(())
    }

    /// One embed as one column.
    fn embed(&mut self, embed: &'a Embed, parent: Scope<'a>) -> Built<()> {
        let table = self.table(embed.resource)?;
        let shape = Shape::new(&embed.select, table, self.tables)?;
        let scope = self.scope(table, &embed.select);
        let many = matches!(embed.join, Join::ToMany { .. });
        let (row, gather) = (self.dialect.row(), self.dialect.gather());
        if many {
            self.push("(SELECT ");
            self.push(gather[0]);
            self.push("s.r");
            self.push(gather[1]);
            self.push(" FROM ");
        }
        self.push("(SELECT ");
        self.push(row[0]);
        self.slots(&shape, scope)?;
        self.push(row[1]);
        self.push(" AS r");
        self.from(scope);
        self.push(" WHERE ");
        self.join(embed.join, scope, parent)?;
        self.push(" AND ");
        self.condition(&embed.filter, scope)?;
        self.inner_embeds(scope)?;
        if many {
            self.order_by(&embed.order, scope)?;
            self.page(embed.limit, embed.offset);
            self.push(") AS s)");
        } else {
            self.page(1, 0);
            self.push(")");
        }
        Ok(())
    }

    /// ` ORDER BY …`
    pub(crate) fn order_by(&mut self, order: &'a [Order], scope: Scope<'a>) -> Built<()> {
        for (position, entry) in order.iter().enumerate() {
            self.push(if position == 0 { " ORDER BY " } else { ", " });
            let column = scope.column(entry.field)?;
            self.operand(column, &entry.path, scope);
            if entry.descending {
                self.push(" DESC");
            }
            if column.nullable || !entry.path.is_empty() {
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
