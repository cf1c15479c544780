//! How the rows of an embed are found: by the columns that a reference compares.

use super::super::table::Column;
use super::{Builder, Built, Scope, Unbuildable};
use crate::operation::{FieldIndex, Join, Through};

impl<'a> Builder<'a> {
    /// `other.key = parent.ref`, `other.ref = parent.key`, or a row in between that has both.
    pub(super) fn join(&mut self, join: &'a Join, other: Scope<'a>, parent: Scope<'a>) -> Built<()> {
        let (left, right) = match join {
            Join::ToOne { field } => (key(other)?, parent.column(*field)?),
            Join::ToMany { field } | Join::OneToOne { field } => (other.column(*field)?, key(parent)?),
            Join::Along(along) => return self.pairs(&along.on, parent, other),
            Join::Called { many, .. } => {
                self.called(*many, other);
                return Ok(());
            }
            Join::Through(through) => return self.through(through, other, parent),
        };
        self.reference(other, left);
        self.push(" = ");
        self.reference(parent, right);
        Ok(())
    }

    /// What of a function's rows counts. Where it returns no set, it gives a row of nulls for "none"; and where there is
    /// no row to ask about, nothing that it says is meant.
    fn called(&mut self, many: bool, other: Scope<'a>) {
        match other.called {
            Some(called) if called.outer => {
                self.alias(called.of);
                self.push(".* IS DISTINCT FROM NULL");
            }
            _ => self.push("TRUE"),
        }
        if !many {
            self.push(" AND NOT (");
            self.alias(other.alias);
            self.push(".* IS NULL)");
        }
    }

    /// `a.x = b.y AND a.z = b.w`: the fields of the first scope with those of the second.
    fn pairs(&mut self, on: &'a [(FieldIndex, FieldIndex)], one: Scope<'a>, other: Scope<'a>) -> Built<()> {
        for (position, (here, there)) in on.iter().enumerate() {
            if position > 0 {
                self.push(" AND ");
            }
            self.reference(other, other.column(*there)?);
            self.push(" = ");
            self.reference(one, one.column(*here)?);
        }
        Ok(())
    }

    /// A row in between that refers to both. By one field, the other is looked up in a list; by several, each row is
    /// asked for.
    fn through(&mut self, through: &'a Through, other: Scope<'a>, parent: Scope<'a>) -> Built<()> {
        let table = self.table(through.resource)?;
        let between = self.scope(table, &[]);
        let listed = match through.far[..] {
            [pair] => Some(pair),
            _ => None,
        };
        if let Some((far, there)) = listed {
            self.reference(other, other.column(there)?);
            self.push(" IN (SELECT ");
            self.reference(between, between.column(far)?);
        } else {
            self.push("EXISTS (SELECT 1");
        }
        self.from(between);
        self.push(" WHERE ");
        self.pairs(&through.near, between, parent)?;
        if listed.is_none() {
            self.push(" AND ");
            self.pairs(&through.far, between, other)?;
        }
        self.push(" AND ");
        self.condition(&through.filter, between)?;
        self.push(")");
        Ok(())
    }
}

/// The one key column of a table.
fn key(scope: Scope<'_>) -> Built<&Column> {
    scope.table.key_column().ok_or_else(|| {
        Unbuildable(format!(
            "{} has no single key to follow a ref to",
            scope.table.label
        ))
    })
}

/// The column of an embedded row that says to whom it belongs: never null where there is a row.
pub(super) fn linked<'a>(join: &Join, other: Scope<'a>) -> Built<&'a Column> {
    match join {
        Join::ToMany { field } | Join::OneToOne { field } => other.column(*field),
        Join::Along(along) => match along.on.first() {
            Some((_, there)) => other.column(*there),
            None => Err(Unbuildable(String::from("a join of nothing"))),
        },
        Join::Through(through) => match through.far.first() {
            Some((_, there)) => other.column(*there),
            None => Err(Unbuildable(String::from("a join of nothing"))),
        },
        Join::ToOne { .. } => key(other),
        Join::Called { .. } => {
            let key = other
                .table
                .key
                .first()
                .and_then(|field| other.table.column(*field));
            let never_null = || other.table.columns.iter().find(|column| !column.nullable);
            key.or_else(never_null)
                .ok_or_else(|| Unbuildable(format!("{} has no column that is never null", other.table.label)))
        }
    }
}
