//! CEL expressions of `when:` rules, bounded before they reach the parser.

use super::{Flaw, Words};
use crate::{fault::codes, report::did_you_mean};
use cel::{
    Program,
    common::ast::{EntryExpr, Expr, IdedExpr},
};

/// Bytes of an expression at most.
const BYTES_MAX: usize = 1024;
/// Brackets inside each other at most.
const DEPTH_MAX: usize = 12;
/// Operators and other marks at most: bounds the depth of a chain such as `a + a + …`.
const MARKS_MAX: usize = 96;
/// Marks in a row at most: `!!!!a`.
const RUN_MAX: usize = 6;
/// The parser's own recursion is deep per level: it gets a stack of its own.
const STACK_BYTES: usize = 32 << 20;

pub(crate) static CEL_WORDS: Words = Words::new(
    "a CEL expression",
    codes::CEL,
    &["claims.tenant == row.tenant", "request.method == 'GET'"],
);

/// The variables of an expression.
pub(crate) struct Scope<'f> {
    /// Fields of `row`; `None` where there is no row.
    pub(crate) row: Option<Vec<&'f str>>,
}

/// What can be read of `request`.
const REQUEST: [&str; 6] = ["method", "path", "query", "headers", "host", "ip"];

/// The functions there are, beside operators.
const FUNCTIONS: [&str; 19] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "type",
    "dyn",
    "has",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "max",
    "min",
];

/// Parses and checks an expression. Positions are bytes of `text`.
pub(crate) fn compile(text: &str, scope: &Scope<'_>) -> Result<Program, Flaw> {
    bounded(text)?;
    let program = parse(text)?;
    let mut walk = Walk {
        scope,
        program: &program,
        text,
        bound: Vec::new(),
    };
    walk.expression(program.expression())?;
    Ok(program)
}

/// Refuses what could exhaust the parser: it recurses per bracket and per operator.
fn bounded(text: &str) -> Result<(), Flaw> {
    if text.trim().is_empty() {
        return Err(Flaw::whole(text, "the expression is empty"));
    }
    if text.len() > BYTES_MAX {
        return Err(Flaw::whole(
            text,
            format!("the expression is longer than {BYTES_MAX} bytes"),
        ));
    }
    let (mut depth, mut marks, mut run) = (0_usize, 0_usize, 0_usize);
    for (at, c) in text.char_indices() {
        let mark = c.is_ascii_punctuation() && !matches!(c, '_' | '"' | '\'' | '/' | '\\');
        marks += usize::from(mark);
        run = match (mark, c.is_whitespace()) {
            (true, _) => run + 1,
            (false, true) => run,
            (false, false) => 0,
        };
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX || marks > MARKS_MAX || run > RUN_MAX {
            return Err(Flaw::at(at..at + c.len_utf8(), "the expression is too complex")
                .help("split what it asks into several rules, or let the service decide"));
        }
    }
    Ok(())
}

/// On a thread of its own: with a stack that no bounded text can exhaust, and a panic stays inside.
fn parse(text: &str) -> Result<Program, Flaw> {
    let source = text.to_owned();
    let parser = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || Program::compile(&source));
    let outcome = parser.ok().and_then(|thread| thread.join().ok());
    match outcome {
        Some(Ok(program)) => Ok(program),
        Some(Err(errors)) => Err(errors.errors.first().map_or_else(
            || Flaw::whole(text, "this is not a CEL expression"),
            |error| {
                let at = position(text, error.pos);
                let what = error.msg.lines().next().unwrap_or_default();
                let short = what.split(" expecting ").next().unwrap_or(what);
                let end = at
                    + text
                        .get(at..)
                        .and_then(|t| t.chars().next())
                        .map_or(0, char::len_utf8);
                Flaw::at(at..end, format!("this is not a CEL expression: {short}"))
            },
        )),
        None => Err(Flaw::whole(text, "this is not a CEL expression")),
    }
}

/// Byte of line and column from 1.
fn position(text: &str, (line, column): (isize, isize)) -> usize {
    let lines = usize::try_from(line - 1).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(lines).map(str::len).sum();
    let column = usize::try_from(column - 1).unwrap_or(0);
    let rest = text.get(start..).unwrap_or_default();
    let skip = rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    let last = text.char_indices().next_back().map_or(0, |(at, _)| at);
    (start + skip).min(last)
}

struct Walk<'a> {
    scope: &'a Scope<'a>,
    program: &'a Program,
    text: &'a str,
    /// Variables that macros such as `all(x, …)` bring.
    bound: Vec<String>,
}

impl Walk<'_> {
    fn expression(&mut self, at: &IdedExpr) -> Result<(), Flaw> {
        match &at.expr {
            Expr::Ident(name) => self.variable(at, name),
            Expr::Select(select) => self.select(at, &select.operand, &select.field),
            Expr::Call(call) => {
                self.function(at, &call.func_name)?;
                if let (true, [operand, index]) = (call.func_name.starts_with("_["), &call.args[..])
                    && let Expr::Literal(cel::common::ast::LiteralValue::String(field)) = &index.expr
                {
                    let field = field.inner().to_owned();
                    return self.select(at, operand, &field);
                }
                call.target
                    .iter()
                    .map(|t| &**t)
                    .chain(&call.args)
                    .try_for_each(|e| self.expression(e))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|e| self.expression(e)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.expression(&entry.key)?;
                    self.expression(&entry.value)
                }
                EntryExpr::StructField(field) => self.expression(&field.value),
            }),
            Expr::Comprehension(each) => {
                // What a rule costs must grow with its input at most.
                if !self.bound.is_empty() {
                    return Err(self
                        .flaw(at, "a loop inside a loop could take too long")
                        .help("write the inner one with `in`"));
                }
                if matches!(each.accu_init.expr, Expr::List(_)) {
                    return Err(self
                        .flaw(at, "`map` and `filter` are not available in rules")
                        .help("write the condition with `exists` or `all`"));
                }
                self.expression(&each.iter_range)?;
                let before = self.bound.len();
                self.bound.extend([each.iter_var.clone(), each.accu_var.clone()]);
                self.bound.extend(each.iter_var2.clone());
                for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
                    self.expression(part)?;
                }
                self.bound.truncate(before);
                Ok(())
            }
            Expr::Struct(_) => Err(self.flaw(at, "messages cannot be built here")),
            Expr::Literal(_) | Expr::Unspecified => Ok(()),
        }
    }

    fn variable(&self, at: &IdedExpr, name: &str) -> Result<(), Flaw> {
        if self.bound.iter().any(|b| b == name) || matches!(name, "claims" | "request") {
            return Ok(());
        }
        if name == "row" {
            return match self.scope.row {
                Some(_) => Ok(()),
                None => Err(self
                    .flaw(at, "a service's route has no `row`")
                    .help("`row` is a resource's")),
            };
        }
        let known: &[&str] = match self.scope.row {
            Some(_) => &["claims", "request", "row"],
            None => &["claims", "request"],
        };
        Err(self
            .flaw(at, format!("`{name}` is not a variable here"))
            .help(did_you_mean(name, known.iter().copied())))
    }

    /// `operand.field`: the fields of `row` and `request` are known.
    fn select(&mut self, at: &IdedExpr, operand: &IdedExpr, field: &str) -> Result<(), Flaw> {
        self.expression(operand)?;
        let Expr::Ident(name) = &operand.expr else {
            return Ok(());
        };
        if self.bound.iter().any(|b| b == name) {
            return Ok(());
        }
        let known: &[&str] = match (name.as_str(), &self.scope.row) {
            ("row", Some(fields)) => fields,
            ("request", _) => &REQUEST,
            _ => return Ok(()),
        };
        if known.contains(&field) {
            return Ok(());
        }
        let what = if name == "row" { "field" } else { "part" };
        Err(self
            .flaw(at, format!("`{name}` has no {what} `{field}`"))
            .help(did_you_mean(field, known.iter().copied())))
    }

    fn function(&self, at: &IdedExpr, name: &str) -> Result<(), Flaw> {
        let operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
        if operator || FUNCTIONS.contains(&name) {
            return Ok(());
        }
        Err(self
            .flaw(at, format!("`{name}` is not a function here"))
            .help(did_you_mean(name, FUNCTIONS)))
    }

    fn flaw(&self, at: &IdedExpr, message: impl Into<String>) -> Flaw {
        let last = self.text.len().saturating_sub(1);
        let (start, stop) = self.program.source_info().offset_for(at.id).unwrap_or_default();
        // The parser counts characters.
        let byte = |n: u32| self.text.char_indices().nth(n as usize).map_or(last, |(b, _)| b);
        let start = byte(start).min(last);
        Flaw::at(start..(byte(stop) + 1).max(start + 1), message)
    }
}
