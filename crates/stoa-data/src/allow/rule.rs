//! `when:` over `row`: the parts that know nothing of the row are evaluated, what is left becomes a condition.
//!
//! CEL and SQL agree on `&&`, `||` and `!` with errors and NULL in them, but not under negation at the top, so
//! a rule is never negated as a whole: [`Walk::condition`] asks "where is this true" or "where is this false",
//! and carries the question down to the comparisons. A part that is an error (a claim that is not there), a
//! field that is null, or a value of another type than the field's is neither, and grants nothing.

use super::typed;
use crate::operation::{Compare, Condition, FieldIndex, Is};
use cel::{
    Value as Cel,
    common::ast::{Expr, IdedExpr, LiteralValue, operators as op},
};
use stoa_config::plan::{self, Field, Resource, Type};
use stoa_exchange::{
    Identity, RequestFacts,
    access::{cel_context, check_cost, children},
};

/// The rows for which the rule holds.
pub(super) fn condition(
    resource: &Resource,
    rule: &plan::Cel,
    identity: &Identity,
    request: &RequestFacts<'_>,
) -> Condition {
    let context = cel_context(&rule.program, identity, request);
    let walk = Walk {
        resource,
        context: &context,
    };
    walk.condition(rule.program.expression(), true)
}

/// Whether the rule can be judged inside the database.
///
/// # Errors
/// What cannot, and what to write instead.
pub fn check(resource: &Resource, rule: &plan::Cel) -> Result<(), String> {
    check_cost(&rule.program)?;
    let context = cel::Context::default();
    let walk = Walk {
        resource,
        context: &context,
    };
    walk.check(rule.program.expression())
}

/// A condition in CEL, by what is to be done with it.
enum Shape<'e> {
    /// Nothing of the row in it.
    Given(&'e IdedExpr),
    /// `!a`
    Not(&'e IdedExpr),
    /// `a && b`
    And(&'e IdedExpr, &'e IdedExpr),
    /// `a || b`
    Or(&'e IdedExpr, &'e IdedExpr),
    /// `given ? a : b`
    Choice(&'e IdedExpr, &'e IdedExpr, &'e IdedExpr),
    /// `row.field`, a bool.
    Flag(FieldIndex),
    /// `row.field == given` and the like.
    Compare(FieldIndex, Compare, &'e IdedExpr),
    /// `row.left == row.right` and the like.
    Fields(FieldIndex, Compare, FieldIndex),
    /// `row.field in given`
    Among(FieldIndex, &'e IdedExpr),
    /// `given in row.list`
    Holds(FieldIndex, &'e IdedExpr),
}

const HELP: &str = "a rule may compare a field with a value or another field (`row.owner == claims.sub`), ask \
     `row.field in claims.list`, `value in row.list` or `row.field == null`, and join these with `&&`, `||`, `!`";

struct Walk<'w> {
    resource: &'w Resource,
    context: &'w cel::Context<'static, 'static>,
}

impl Walk<'_> {
    /// The rows for which the expression is true, or false, whichever is `wanted`.
    fn condition(&self, node: &IdedExpr, wanted: bool) -> Condition {
        let Ok(shape) = self.shape(node) else {
            return Condition::False;
        };
        match shape {
            Shape::Given(node) => constant(self.given(node) == Some(Cel::Bool(wanted))),
            Shape::Not(a) => self.condition(a, !wanted),
            Shape::And(a, b) | Shape::Or(a, b) => {
                let all = matches!(shape, Shape::And(..)) == wanted;
                let (a, b) = (self.condition(a, wanted), self.condition(b, wanted));
                if all { a.and(b) } else { either(a, b) }
            }
            Shape::Choice(test, a, b) => match self.given(test) {
                Some(Cel::Bool(true)) => self.condition(a, wanted),
                Some(Cel::Bool(false)) => self.condition(b, wanted),
                _ => Condition::False,
            },
            Shape::Flag(field) => is(field, if wanted { Is::True } else { Is::False }),
            Shape::Compare(field, how, with) => self.compare(field, turned(how, wanted), with),
            Shape::Fields(left, how, right) => Condition::Fields {
                left,
                op: turned(how, wanted),
                right,
            },
            Shape::Among(field, list) => self.among(field, list, wanted),
            Shape::Holds(field, item) => self.holds(field, item, wanted),
        }
    }

    fn compare(&self, field: FieldIndex, how: Compare, with: &IdedExpr) -> Condition {
        match (self.given(with), how) {
            (Some(Cel::Null), Compare::Eq) => is(field, Is::Null),
            (Some(Cel::Null), Compare::Neq) => is(field, Is::NotNull),
            (Some(given), how) => match typed::from_cel(self.ty(field), &given) {
                Some(value) => Condition::Compare {
                    field,
                    path: Vec::new(),
                    op: how,
                    value,
                },
                None => Condition::False,
            },
            (None, _) => Condition::False,
        }
    }

    fn among(&self, field: FieldIndex, list: &IdedExpr, wanted: bool) -> Condition {
        let Some(Cel::List(items)) = self.given(list) else {
            return Condition::False;
        };
        let fit = |item: &Cel| typed::from_cel(self.ty(field), item);
        let values: Vec<_> = items.iter().filter_map(fit).collect();
        let found = |values| Condition::In {
            field,
            path: Vec::new(),
            values,
        };
        match (wanted, values.len()) {
            (true, 0) => Condition::False,
            (true, _) => found(values),
            // "Not among these" is only known where each of these could be in the field.
            (false, fitting) if fitting < items.len() => Condition::False,
            (false, 0) => Condition::True,
            (false, _) => is(field, Is::NotNull).and(Condition::Not(Box::new(found(values)))),
        }
    }

    fn holds(&self, field: FieldIndex, item: &IdedExpr, wanted: bool) -> Condition {
        let Type::List(ty) = self.ty(field) else {
            return Condition::False;
        };
        let Some(value) = self.given(item).and_then(|item| typed::from_cel(ty, &item)) else {
            return Condition::False;
        };
        let found = Condition::Compare {
            field,
            path: Vec::new(),
            op: Compare::Contains,
            value: crate::value::Value::List(vec![value]),
        };
        if wanted {
            return found;
        }
        is(field, Is::NotNull).and(Condition::Not(Box::new(found)))
    }

    /// The value of an expression without the row; `None` when it is an error.
    fn given(&self, node: &IdedExpr) -> Option<Cel> {
        Cel::resolve(node, self.context).ok()
    }

    fn ty(&self, field: FieldIndex) -> &Type {
        // Positions come from `Walk::field`, which found them in this resource.
        self.resource
            .fields
            .get(field)
            .map_or(&Type::Json, |f| f.ty.value())
    }

    /// What the expression is; what cannot be done in the database is an error.
    fn shape<'e>(&self, node: &'e IdedExpr) -> Result<Shape<'e>, String> {
        if !mentions_row(node) {
            return Ok(Shape::Given(node));
        }
        if let Some(field) = self.field(node)? {
            return Ok(Shape::Flag(field));
        }
        let Expr::Call(call) = &node.expr else {
            return Err(unfit(node));
        };
        // Both sides are more than a field and a value: the side that is neither is what is wrong.
        let sides = |a: &IdedExpr, b: &IdedExpr| {
            let odd = |side: &IdedExpr| mentions_row(side) && !matches!(self.field(side), Ok(Some(_)));
            unfit([a, b].into_iter().find(|side| odd(side)).unwrap_or(node))
        };
        match (call.func_name.as_str(), &call.args[..], &call.target) {
            (op::LOGICAL_NOT, [a], None) => Ok(Shape::Not(a)),
            (op::LOGICAL_AND, [a, b], None) => Ok(Shape::And(a, b)),
            (op::LOGICAL_OR, [a, b], None) => Ok(Shape::Or(a, b)),
            (op::CONDITIONAL, [test, a, b], None) if !mentions_row(test) => Ok(Shape::Choice(test, a, b)),
            (op::IN, [item, list], None) => match (self.field(item)?, self.field(list)?) {
                (Some(field), None) if !mentions_row(list) => Ok(Shape::Among(field, list)),
                (None, Some(field)) if !mentions_row(item) => Ok(Shape::Holds(field, item)),
                _ => Err(sides(item, list)),
            },
            (name, [a, b], None) => {
                let how = comparison(name).ok_or_else(|| unfit(node))?;
                match (self.field(a)?, self.field(b)?) {
                    (Some(left), Some(right)) => Ok(Shape::Fields(left, how, right)),
                    (Some(field), None) if !mentions_row(b) => Ok(Shape::Compare(field, how, b)),
                    (None, Some(field)) if !mentions_row(a) => Ok(Shape::Compare(field, mirrored(how), a)),
                    _ => Err(sides(a, b)),
                }
            }
            _ => Err(unfit(node)),
        }
    }

    /// `row.name` or `row["name"]`.
    fn field(&self, node: &IdedExpr) -> Result<Option<FieldIndex>, String> {
        let row = |node: &IdedExpr| matches!(&node.expr, Expr::Ident(name) if name == "row");
        let name = match &node.expr {
            Expr::Select(select) if row(&select.operand) && select.test => {
                return Err(format!(
                    "`has(row.{0})`: every row has the field; write `row.{0} != null`",
                    select.field
                ));
            }
            Expr::Select(select) if row(&select.operand) => select.field.as_str(),
            Expr::Call(call) if call.func_name == op::INDEX => match &call.args[..] {
                [operand, index] if row(operand) => match &index.expr {
                    Expr::Literal(LiteralValue::String(name)) => name.inner(),
                    _ => return Err(String::from("the name of a field of `row` must be written out")),
                },
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        match self.resource.field(name) {
            Some((position, _)) => Ok(Some(position)),
            None => Err(format!("{} has no field `{name}`", self.resource.name)),
        }
    }

    fn check(&self, node: &IdedExpr) -> Result<(), String> {
        match self.shape(node)? {
            Shape::Given(_) => Ok(()),
            Shape::Not(a) => self.check(a),
            Shape::And(a, b) | Shape::Or(a, b) | Shape::Choice(_, a, b) => {
                self.check(a)?;
                self.check(b)
            }
            Shape::Flag(field) => match self.named(field) {
                field if *field.ty.value() == Type::Bool => Ok(()),
                field => Err(format!("`row.{}` is {}, not a condition", field.name, field.ty)),
            },
            Shape::Compare(field, how, with) => {
                let field = self.named(field);
                let null = matches!(with.expr, Expr::Literal(LiteralValue::Null));
                if null && matches!(how, Compare::Eq | Compare::Neq) {
                    return Ok(());
                }
                check_order(field, how)?;
                self.check_literal(field, field.ty.value(), with)
            }
            Shape::Fields(left, how, right) => {
                let (left, right) = (self.named(left), self.named(right));
                check_order(left, how)?;
                let same = match (left.ty.value(), right.ty.value()) {
                    (Type::Uuid | Type::Uuid7, Type::Uuid | Type::Uuid7)
                    | (Type::Enum(_) | Type::Text, Type::Enum(_) | Type::Text) => true,
                    (left, right) => left == right,
                };
                let types = format!("{} and {}", left.ty, right.ty);
                same.then_some(()).ok_or_else(|| {
                    format!(
                        "`row.{}` and `row.{}` are of different types, {types}",
                        left.name, right.name
                    )
                })
            }
            Shape::Among(field, list) => {
                let field = self.named(field);
                check_order(field, Compare::Eq)?;
                match &list.expr {
                    Expr::List(list) => list
                        .elements
                        .iter()
                        .try_for_each(|item| self.check_literal(field, field.ty.value(), item)),
                    Expr::Literal(_) | Expr::Map(_) => Err(format!("`row.{} in` needs a list", field.name)),
                    _ => Ok(()),
                }
            }
            Shape::Holds(field, item) => match self.named(field) {
                field @ Field {
                    ty: Type::List(ty), ..
                } => self.check_literal(field, ty, item),
                field => Err(format!("`row.{}` is {}, not a list", field.name, field.ty)),
            },
        }
    }

    /// A value that is written out must be one that the field can hold.
    fn check_literal(&self, field: &Field, ty: &Type, with: &IdedExpr) -> Result<(), String> {
        if !is_closed(with) {
            return Ok(());
        }
        let fits = self
            .given(with)
            .is_some_and(|value| typed::from_cel(ty, &value).is_some());
        fits.then_some(()).ok_or_else(|| {
            format!(
                "`row.{}` is {}: it never has the value that it is compared with",
                field.name, field.ty
            )
        })
    }

    fn named(&self, field: FieldIndex) -> &Field {
        &self.resource.fields[field]
    }
}

fn check_order(field: &Field, how: Compare) -> Result<(), String> {
    let equality = matches!(how, Compare::Eq | Compare::Neq);
    match field.ty.value() {
        Type::Json | Type::List(_) => Err(format!(
            "`row.{}` is {}, which has no comparison; {HELP}",
            field.name, field.ty
        )),
        Type::Int | Type::Float | Type::Decimal { .. } | Type::Time | Type::Date => Ok(()),
        _ if equality => Ok(()),
        _ => Err(format!(
            "`row.{}` is {}: databases disagree on its order, so a rule may only ask `==` or `!=`",
            field.name, field.ty
        )),
    }
}

fn comparison(name: &str) -> Option<Compare> {
    Some(match name {
        op::EQUALS => Compare::Eq,
        op::NOT_EQUALS => Compare::Neq,
        op::LESS => Compare::Lt,
        op::LESS_EQUALS => Compare::Lte,
        op::GREATER => Compare::Gt,
        op::GREATER_EQUALS => Compare::Gte,
        _ => return None,
    })
}

/// The comparison with its sides exchanged.
fn mirrored(how: Compare) -> Compare {
    match how {
        Compare::Lt => Compare::Gt,
        Compare::Lte => Compare::Gte,
        Compare::Gt => Compare::Lt,
        Compare::Gte => Compare::Lte,
        same => same,
    }
}

/// The comparison that holds where this one is true, or false. Where a field is null neither does.
fn turned(how: Compare, wanted: bool) -> Compare {
    match how {
        how if wanted => how,
        Compare::Eq => Compare::Neq,
        Compare::Neq => Compare::Eq,
        Compare::Lt => Compare::Gte,
        Compare::Lte => Compare::Gt,
        Compare::Gt => Compare::Lte,
        Compare::Gte => Compare::Lt,
        // `comparison` makes no others.
        other => other,
    }
}

fn constant(holds: bool) -> Condition {
    if holds { Condition::True } else { Condition::False }
}

fn is(field: FieldIndex, what: Is) -> Condition {
    Condition::Is {
        field,
        path: Vec::new(),
        what,
    }
}

fn either(a: Condition, b: Condition) -> Condition {
    match (a, b) {
        (Condition::True, _) | (_, Condition::True) => Condition::True,
        (Condition::False, other) | (other, Condition::False) => other,
        (Condition::Or(mut list), other) => {
            list.push(other);
            Condition::Or(list)
        }
        (a, b) => Condition::Or(vec![a, b]),
    }
}

fn mentions_row(node: &IdedExpr) -> bool {
    mentions(node, &|name| name == "row")
}

/// Whether the expression is written out: no variable in it.
fn is_closed(node: &IdedExpr) -> bool {
    !mentions(node, &|_| true)
}

fn mentions(node: &IdedExpr, which: &impl Fn(&str) -> bool) -> bool {
    match &node.expr {
        Expr::Ident(name) => which(name),
        other => children(other).into_iter().any(|child| mentions(child, which)),
    }
}

/// Names what cannot be done in the database.
fn unfit(node: &IdedExpr) -> String {
    match &node.expr {
        Expr::Call(call) => format!(
            "`{}` over `row` cannot become SQL; {HELP}",
            shown(&call.func_name)
        ),
        _ => format!("this use of `row` cannot become SQL; {HELP}"),
    }
}

/// An operator as it is written.
fn shown(name: &str) -> String {
    name.replace('_', " ").replace('@', "").trim().to_owned()
}
