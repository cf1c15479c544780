//! What a selection reads, column by column, and how the reply is made of the columns.

use super::condition::is_text;
use super::{Built, Unbuildable};
use crate::operation::{
    Aggregate, Cast, Embed, FieldIndex, Item, Kind, Order, PathStep, Term, is_grouped, kind_of,
};
use crate::store::table::{Column, Table, Tables};

/// What a selection reads and how the reply is made of it.
#[derive(Debug)]
pub(crate) struct Shape<'a> {
    items: &'a [Item],
    table: &'a Table,
    tables: &'a Tables,
    /// Columns of the statement.
    pub(super) slots: Vec<Slot<'a>>,
    /// Members of each object.
    pub(crate) outs: Vec<Out<'a>>,
    /// Rows of to-one embeds that stand beside the row, to order or to group by.
    pub(super) joined: Vec<Joined<'a>>,
    /// Whether rows are groups.
    pub(crate) grouped: bool,
}

/// One column of the statement.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    /// Of which row beside; `None`: of the row itself.
    pub(super) at: Option<usize>,
    pub(super) what: What<'a>,
}

/// What a column of the statement is.
#[derive(Clone, Debug)]
pub(super) enum What<'a> {
    Field(FieldIndex),
    Path(FieldIndex, &'a [PathStep]),
    Cast(FieldIndex, &'a [PathStep], Cast),
    Embed(&'a Embed),
    Aggregate(Aggregate, Option<&'a Term>, Option<Cast>),
    Version,
    /// How many rows there are in all, beside each.
    Total,
}

/// A row beside the row.
#[derive(Debug)]
pub(super) struct Joined<'a> {
    /// Beside which one; `None`: the row itself.
    pub(super) at: Option<usize>,
    /// Position of the embed among the items of that level.
    item: usize,
    pub(super) embed: &'a Embed,
    table: &'a Table,
}

/// One member of a reply's object.
#[derive(Debug)]
pub(crate) struct Out<'a> {
    /// Name.
    pub(crate) name: &'a str,
    /// The embeds that were spread around it, from the outside in.
    pub(crate) within: Vec<Within>,
    /// Which column of the statement, or of the row inside the innermost of `within`.
    pub(crate) slot: usize,
    /// How it becomes JSON.
    pub(crate) kind: OutKind<'a>,
}

/// An embed whose members stand in the row around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within {
    /// Its column in the row around it.
    pub(crate) slot: usize,
    /// Whether it is a list of rows: each member is then a list of values.
    pub(crate) many: bool,
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
    /// It was computed and is of this kind.
    Value(Kind),
    /// A row, or a list of rows, of these members.
    Embed { many: bool, outs: Vec<Out<'a>> },
}

/// The column of an entry of the order.
#[derive(Debug)]
pub(crate) struct Position<'a> {
    /// Which column of the statement.
    pub(crate) slot: usize,
    /// Of which column the value is; `None`: it is behind a path.
    pub(crate) column: Option<&'a Column>,
}

impl<'a> Shape<'a> {
    /// What `items` of `table` need.
    pub(crate) fn new(items: &'a [Item], table: &'a Table, tables: &'a Tables) -> Built<Self> {
        let mut shape = Self {
            items,
            table,
            tables,
            slots: Vec::with_capacity(items.len() + 2),
            outs: Vec::with_capacity(items.len()),
            joined: Vec::new(),
            grouped: is_grouped(items),
        };
        shape.fill(items, None)?;
        Ok(shape)
    }

    fn fill(&mut self, items: &'a [Item], at: Option<usize>) -> Built<()> {
        for (position, item) in items.iter().enumerate() {
            match item {
                Item::Field {
                    field,
                    path,
                    cast,
                    name,
                } => {
                    let column = column(self.table_at(at), *field)?;
                    let (what, kind) = match (cast, path.is_empty()) {
                        (Some(cast), _) => (What::Cast(*field, path, *cast), OutKind::Value(cast.kind())),
                        (None, true) => (What::Field(*field), OutKind::Field(column)),
                        (None, false) if is_text(path) => (What::Path(*field, path), OutKind::Text),
                        (None, false) => (What::Path(*field, path), OutKind::Json),
                    };
                    let slot = self.slot(at, what);
                    self.out(name, slot, kind);
                }
                Item::Aggregate {
                    function,
                    of,
                    cast,
                    name,
                } => {
                    let result = self.result(*function, of.as_ref(), at)?;
                    let kind = cast.map_or(result, Cast::kind);
                    let slot = self.slot(at, What::Aggregate(*function, of.as_ref(), *cast));
                    self.out(name, slot, OutKind::Value(kind));
                }
                Item::Embed(embed) if self.grouped && embed.spread && !embed.join.is_many() => {
                    let beside = self.join(at, position, embed)?;
                    self.fill(&embed.select, Some(beside))?;
                }
                Item::Embed(embed) => self.embed(embed, at)?,
            }
        }
        Ok(())
    }

    fn embed(&mut self, embed: &'a Embed, at: Option<usize>) -> Built<()> {
        if !embed.is_shown() {
            return Ok(());
        }
        let outs = Self::new(&embed.select, self.table_of(embed)?, self.tables)?.outs;
        let many = embed.join.is_many();
        let slot = self.slot(at, What::Embed(embed));
        if !embed.spread {
            self.out(&embed.name, slot, OutKind::Embed { many, outs });
            return Ok(());
        }
        for out in outs {
            let mut within = vec![Within { slot, many }];
            within.extend(&out.within);
            self.outs.push(Out { within, ..out });
        }
        Ok(())
    }

    fn table_of(&self, embed: &Embed) -> Built<&'a Table> {
        self.tables
            .get(embed.resource)
            .ok_or_else(|| Unbuildable(format!("{} embeds a resource of another store", self.table.label)))
    }

    /// The table of a row.
    fn table_at(&self, at: Option<usize>) -> &'a Table {
        at.and_then(|at| self.joined.get(at))
            .map_or(self.table, |joined| joined.table)
    }

    /// What an aggregate gives.
    fn result(&self, function: Aggregate, of: Option<&Term>, at: Option<usize>) -> Built<Kind> {
        let of = match of {
            None => None,
            Some(term) => {
                let column = column(self.table_at(at), term.field)?;
                kind_of(&column.ty, &term.path, term.cast)
            }
        };
        function
            .result(of)
            .ok_or_else(|| Unbuildable(format!("{}() of {of:?}", function.name())))
    }

    /// The row beside another that an embed finds, joined once.
    fn join(&mut self, at: Option<usize>, item: usize, embed: &'a Embed) -> Built<usize> {
        if let Some(found) = self.beside(at, item) {
            return Ok(found);
        }
        let table = self.table_of(embed)?;
        self.joined.push(Joined {
            at,
            item,
            embed,
            table,
        });
        Ok(self.joined.len() - 1)
    }

    fn beside(&self, at: Option<usize>, item: usize) -> Option<usize> {
        self.joined.iter().position(|j| j.at == at && j.item == item)
    }

    /// Where the value of an entry of the order is.
    pub(super) fn place(&self, entry: &Order) -> Built<Option<usize>> {
        let Some(item) = entry.embed else { return Ok(None) };
        match self.beside(None, item) {
            Some(found) => Ok(Some(found)),
            None => Err(Unbuildable(format!(
                "nothing is joined for item {item} of the order"
            ))),
        }
    }

    /// Joins the rows that an order needs.
    pub(crate) fn order(&mut self, order: &[Order]) -> Built<()> {
        for position in order.iter().filter_map(|entry| entry.embed) {
            match self.items.get(position) {
                Some(Item::Embed(embed)) => self.join(None, position, embed)?,
                _ => {
                    return Err(Unbuildable(format!(
                        "item {position} of the selection is not an embed"
                    )));
                }
            };
        }
        Ok(())
    }

    /// The columns of an order, for the cursor. Groups have none.
    pub(crate) fn positions(&mut self, order: &'a [Order]) -> Built<Vec<Position<'a>>> {
        self.order(order)?;
        let mut positions = Vec::with_capacity(order.len());
        let order = if self.grouped { &[] } else { order };
        for entry in order {
            let at = self.place(entry)?;
            let plain = entry.path.is_empty();
            let what = if plain {
                What::Field(entry.field)
            } else {
                What::Path(entry.field, &entry.path)
            };
            let column = column(self.table_at(at), entry.field)?;
            positions.push(Position {
                slot: self.slot(at, what),
                column: plain.then_some(column),
            });
        }
        Ok(positions)
    }

    /// Which column groups rows by what an entry of the order sorts by.
    pub(super) fn grouping(&self, entry: &Order) -> Option<usize> {
        let at = self.place(entry).ok()?;
        self.slots.iter().position(|slot| {
            slot.at == at
                && match slot.what {
                    What::Field(field) => field == entry.field && entry.path.is_empty(),
                    What::Path(field, path) => field == entry.field && *path == *entry.path,
                    _ => false,
                }
        })
    }

    /// A column, the same one for the same field.
    fn slot(&mut self, at: Option<usize>, what: What<'a>) -> usize {
        let same = |slot: &Slot<'_>| match (&slot.what, &what) {
            (What::Field(a), What::Field(b)) => a == b && slot.at == at,
            _ => false,
        };
        if let Some(found) = self.slots.iter().position(same) {
            return found;
        }
        self.slots.push(Slot { at, what });
        self.slots.len() - 1
    }

    fn out(&mut self, name: &'a str, slot: usize, kind: OutKind<'a>) {
        self.outs.push(Out {
            name,
            within: Vec::new(),
            slot,
            kind,
        });
    }

    /// The column of the number of all rows.
    pub(crate) fn total(&mut self) -> usize {
        self.slot(None, What::Total)
    }

    /// The column of the row's version.
    pub(crate) fn version(&mut self) -> usize {
        self.slot(None, What::Version)
    }

    /// Puts the columns behind others that the statement has in front.
    pub(crate) fn shift(&mut self, columns: usize) {
        for out in &mut self.outs {
            match out.within.first_mut() {
                Some(outermost) => outermost.slot += columns,
                None => out.slot += columns,
            }
        }
    }
}

pub(super) fn column(table: &Table, field: FieldIndex) -> Built<&Column> {
    table
        .column(field)
        .ok_or_else(|| Unbuildable(format!("{} has no field {field}", table.label)))
}
