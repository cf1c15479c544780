//! Filters: `field=[not.]operator.value`, and trees of them in `and=(…)` and `or=(…)`.

mod syntax;

use super::{
    Scope,
    operator::{Modifier, Op, Operator},
    scan::Scanner,
};
use crate::{
    codes,
    operation::{Compare, Condition, FieldIndex, Is, PathStep, Search},
    refusal::{Refusal, Result, bad_value, needs_postgres, shorten, too_complex},
    value::{Value, from_text, list_items},
};
use stoa_config::plan::Type;

/// The most comparisons of one request.
const COMPARISONS_MAX: usize = 100;
/// The most items of one `in.(…)`.
const IN_MAX: usize = 1_000;
/// The deepest nesting of `and`, `or` and `not`.
const DEPTH_MAX: usize = 16;
/// What is compared: a field with steps into its JSON, or an embed.
#[derive(Clone)]
enum Subject {
    Field(FieldIndex, Vec<PathStep>),
    Embed(usize),
}

/// Counts the comparisons of one request.
#[derive(Default)]
pub(crate) struct Budget(usize);

impl Budget {
    fn spend(&mut self, n: usize) -> Result<()> {
        self.0 += n;
        if self.0 > COMPARISONS_MAX {
            return Err(too_complex(format!(
                "A request holds at most {COMPARISONS_MAX} filters."
            )));
        }
        Ok(())
    }
}

/// A parameter `field=…`; `key` has been read up to the field.
pub(crate) fn filter(
    scope: &Scope<'_>,
    key: &mut Scanner<'_>,
    value: &str,
    budget: &mut Budget,
) -> Result<Condition> {
    let mut scanner = Scanner::new("filter", value);
    let operator = Operator::read(&mut scanner);
    let subject = subject(scope, key)?;
    if !key.at_end() {
        return Err(key.refuse("something follows after the field"));
    }
    let operator = operator?;
    if operator.op == Op::In {
        let items = in_list(&mut scanner)?;
        if !scanner.at_end() {
            return Err(scanner.refuse("something follows after the list"));
        }
        return within(scope, &subject, &operator, &items, budget);
    }
    let operand = scanner.rest();
    compare(scope, &subject, &operator, operand, budget)
}

/// A tree: `(a.eq.1,or(b.is.null,c.gt.2))`, joined by `or` or by `and`.
pub(crate) fn tree(
    scope: &Scope<'_>,
    text: &str,
    or: bool,
    negated: bool,
    budget: &mut Budget,
) -> Result<Condition> {
    let mut scanner = Scanner::new("logic tree", text);
    scanner.space();
    let tree = group(scope, &mut scanner, or, 1, budget)
        .map_err(|refusal| in_words_of_postgrest(refusal, text, or, negated))?;
    scanner.space();
    if !scanner.at_end() {
        return Err(scanner.refuse("something follows after the last parenthesis"));
    }
    Ok(negate(tree, negated))
}

/// PostgREST reads the whole tree before it looks at what fields and values mean, so a slip anywhere is told first.
fn in_words_of_postgrest(refusal: Refusal, text: &str, or: bool, negated: bool) -> Refusal {
    let word = match (negated, or) {
        (false, false) => "and",
        (false, true) => "or",
        (true, false) => "not.and",
        (true, true) => "not.or",
    };
    match syntax::fault(word, text) {
        Some((message, details)) => refusal
            .postgrest("PGRST100", 400, message)
            .details(details)
            .exactly(),
        None => refusal,
    }
}

fn negate(condition: Condition, negated: bool) -> Condition {
    if negated {
        Condition::Not(Box::new(condition))
    } else {
        condition
    }
}

fn group(
    scope: &Scope<'_>,
    scanner: &mut Scanner<'_>,
    or: bool,
    depth: usize,
    budget: &mut Budget,
) -> Result<Condition> {
    if depth > DEPTH_MAX {
        return Err(scanner.refuse(format!("and, or and not nest at most {DEPTH_MAX} deep")));
    }
    scanner.expect("(")?;
    let mut list = Vec::new();
    loop {
        scanner.space();
        list.push(branch(scope, scanner, depth, budget)?);
        scanner.space();
        if scanner.eat(")") {
            break;
        }
        scanner.expect(",")?;
    }
    Ok(match (list.len(), or) {
        (1, _) => list.swap_remove(0),
        (_, true) => Condition::Or(list),
        (_, false) => Condition::And(list),
    })
}

fn branch(
    scope: &Scope<'_>,
    scanner: &mut Scanner<'_>,
    depth: usize,
    budget: &mut Budget,
) -> Result<Condition> {
    for (word, or, negated) in [
        ("and", false, false),
        ("or", true, false),
        ("not.and", false, true),
        ("not.or", true, true),
    ] {
        let mut ahead = scanner.clone();
        if ahead.eat(word) {
            ahead.space();
            if ahead.peek() == Some('(') {
                *scanner = ahead;
                return Ok(negate(group(scope, scanner, or, depth + 1, budget)?, negated));
            }
        }
    }
    let subject = subject(scope, scanner)?;
    scanner.expect(".")?;
    let operator = Operator::read(scanner)?;
    if operator.op == Op::In {
        let items = in_list(scanner)?;
        return within(scope, &subject, &operator, &items, budget);
    }
    let operand = tree_operand(scanner);
    compare(scope, &subject, &operator, &operand, budget)
}

/// A value inside a tree: in quotes, a `{…}` list, or everything up to `,` or `)`.
fn tree_operand(scanner: &mut Scanner<'_>) -> String {
    if scanner.peek() == Some('"') {
        let mut ahead = scanner.clone();
        if let Ok(text) = ahead.quoted()
            && matches!(ahead.peek(), None | Some(',' | ')' | ' '))
        {
            *scanner = ahead;
            return text;
        }
    }
    if scanner.peek() == Some('{') {
        let rest = scanner.rest();
        let (mut quoted, mut escaped, mut open) = (false, false, 0_usize);
        for (i, c) in rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                '{' if !quoted => open += 1,
                '}' if !quoted => open = open.saturating_sub(1),
                _ => {}
            }
            if open == 0 {
                scanner.eat(&rest[..i + c.len_utf8()]);
                return rest[..i + c.len_utf8()].to_owned();
            }
        }
    }
    scanner.until(|c| matches!(c, ',' | ')')).to_owned()
}

fn subject(scope: &Scope<'_>, scanner: &mut Scanner<'_>) -> Result<Subject> {
    let name = scanner.name()?;
    let path = scanner.path()?;
    if path.is_empty()
        && let Some(item) = scope.embed(&name)
        && (scope.resource().field(&name).is_none() || !scope.may_filter(&name))
    {
        return Ok(Subject::Embed(item));
    }
    let (field, declared) = scope.field(&name)?;
    if !path.is_empty() {
        super::select::has_inside(scope.plan, scope.resource(), declared)?;
    }
    if !scope.may_filter(&name) {
        let resource = scope.resource();
        let allowed: Vec<_> = resource
            .list
            .filter
            .iter()
            .filter_map(|i| resource.fields.get(*i))
            .collect();
        let allowed: Vec<_> = allowed.into_iter().map(|f| f.name.as_str()).collect();
        let detail = format!("`{}` may not be filtered by `{name}`.", resource.name);
        return Err(Refusal::new(&codes::NOT_FILTERABLE, detail.clone())
            .hint(format!(
                "`list.filter` takes the key and: {}.",
                allowed.join(", ")
            ))
            .postgrest("PGRST100", 400, detail));
    }
    Ok(Subject::Field(field, path))
}

/// `(a,b,"c,d")`. A quoted item that does not end at a comma is taken as it stands: clients quote without escaping.
fn in_list(scanner: &mut Scanner<'_>) -> Result<Vec<String>> {
    scanner.expect("(")?;
    let mut blank = scanner.clone();
    blank.space();
    if blank.eat(")") {
        *scanner = blank;
        return Ok(Vec::new());
    }
    let mut items = Vec::new();
    loop {
        if items.len() == IN_MAX {
            return Err(too_complex(format!(
                "A list `in.(…)` holds at most {IN_MAX} items."
            )));
        }
        let mut ahead = scanner.clone();
        match ahead.quoted() {
            Ok(text) if matches!(ahead.peek(), Some(',' | ')')) => {
                *scanner = ahead;
                items.push(text);
            }
            _ => items.push(scanner.until(|c| matches!(c, ',' | ')')).to_owned()),
        }
        if scanner.eat(")") {
            return Ok(items);
        }
        scanner.expect(",")?;
    }
}

/// `field in (…)`.
fn within(
    scope: &Scope<'_>,
    subject: &Subject,
    operator: &Operator,
    items: &[String],
    budget: &mut Budget,
) -> Result<Condition> {
    budget.spend(1)?;
    let (field, path, ty) = comparable(scope, subject, operator)?;
    let name = &scope.resource().fields[field].name;
    let values = items
        .iter()
        .map(|text| compared(scope, name, (ty, path), text))
        .collect::<Result<Vec<_>>>()?;
    let within = Condition::In {
        field,
        path: path.to_vec(),
        values,
    };
    Ok(negate(within, operator.negated))
}

/// The field, and the type that values beside it have: text behind a path. Refused where the operator has no meaning
/// for it, or where its store does not have the operator.
fn comparable<'a>(
    scope: &Scope<'a>,
    subject: &'a Subject,
    operator: &Operator,
) -> Result<(FieldIndex, &'a [PathStep], &'a Type)> {
    let (field, path) = match subject {
        Subject::Field(field, path) => (*field, path),
        Subject::Embed(item) => {
            let name = scope.embed_name(*item);
            return Err(Refusal::new(
                &codes::BAD_QUERY,
                format!("`{name}` is an embed: only `is.null` and `not.is.null` test it."),
            )
            .postgrest(
                "PGRST120",
                400,
                format!("Bad operator on the '{name}' embedded resource"),
            )
            .details("Only is null or not is null filters are allowed on embedded resources"));
        }
    };
    let (postgres, store) = scope.store();
    if operator.needs_postgres() && !postgres {
        return Err(needs_postgres(format!("The operator `{}`", operator.name), store));
    }
    let ty = scope.resource().fields[field].ty.value();
    let foreign = postgres && scope.resource().table.is_some();
    if !operator.fits(ty, path, postgres, foreign) {
        return Err(misfit(scope, field, operator.name));
    }
    let ty = if path.is_empty() { ty } else { &Type::Text };
    Ok((field, path, ty))
}

/// A value beside a field. What is JSON outside may be something else inside a table that others made on PostgreSQL, a
/// domain with casts of its own: the server reads the text then.
fn compared(scope: &Scope<'_>, field: &str, (ty, path): (&Type, &[PathStep]), text: &str) -> Result<Value> {
    let foreign = scope.store().0 && scope.resource().table.is_some();
    if foreign && path.is_empty() && *ty == Type::Json {
        return Ok(from_text(ty, text).unwrap_or_else(|_| Value::Json(text.into())));
    }
    typed(field, ty, text)
}

fn typed(field: &str, ty: &Type, text: &str) -> Result<Value> {
    let trimmed = if matches!(ty, Type::Text | Type::Enum(_)) {
        text
    } else {
        text.trim()
    };
    from_text(ty, trimmed).map_err(|says| {
        let refusal = bad_value(field, text, &says).postgrest(
            "22P02",
            400,
            format!(
                "invalid input syntax for type {}: \"{}\"",
                server_type(ty),
                shorten(trimmed)
            ),
        );
        if text.eq_ignore_ascii_case("null") {
            refusal.hint(format!("`{field}=is.null` finds rows without a value."))
        } else {
            refusal
        }
    })
}

/// What PostgreSQL calls the type of such values.
fn server_type(ty: &Type) -> &'static str {
    match ty.value() {
        Type::Int => "integer",
        Type::Float => "double precision",
        Type::Decimal { .. } => "numeric",
        Type::Bool => "boolean",
        Type::Uuid | Type::Uuid7 => "uuid",
        Type::Date => "date",
        Type::Time => "timestamp with time zone",
        Type::Json => "json",
        Type::Text | Type::Enum(_) | Type::Ref { .. } | Type::List(_) => "text",
    }
}

fn misfit(scope: &Scope<'_>, field: FieldIndex, operator: &str) -> Refusal {
    let field = &scope.resource().fields[field];
    let detail = format!(
        "`{operator}` does not work on `{}`, which is {}.",
        field.name, field.ty
    );
    Refusal::new(&codes::BAD_QUERY, detail.clone()).postgrest("42883", 404, detail)
}

fn compare(
    scope: &Scope<'_>,
    subject: &Subject,
    operator: &Operator,
    operand: &str,
    budget: &mut Budget,
) -> Result<Condition> {
    budget.spend(1)?;
    let op = match operator.op {
        Op::Compare(op) => op,
        Op::Search(how) => return search(scope, subject, operator, how, operand),
        Op::Is | Op::In => return is(scope, subject, operator, operand),
    };
    let (field, path, ty) = comparable(scope, subject, operator)?;
    let name = &scope.resource().fields[field].name;
    let one = |text: &str| -> Result<Condition> {
        let value = match op {
            Compare::Like | Compare::Ilike => Value::Text(pattern(text).into()),
            // A pattern, or a range: the server reads it.
            Compare::Match | Compare::Imatch => Value::Text(text.into()),
            _ if op.needs_postgres() => Value::Text(text.into()),
            Compare::Contains | Compare::ContainedBy if !path.is_empty() => typed(name, &Type::Json, text)?,
            _ => compared(scope, name, (ty, path), text)?,
        };
        Ok(Condition::Compare {
            field,
            path: path.to_vec(),
            op,
            value,
        })
    };
    let condition = match operator.modifier {
        None => one(operand)?,
        Some(modifier) => {
            let items = list_items(operand).map_err(|says| bad_value(name, operand, &says))?;
            budget.spend(items.len().saturating_sub(1))?;
            let list = items.iter().map(|item| one(item)).collect::<Result<Vec<_>>>()?;
            match (modifier, list.is_empty()) {
                (Modifier::Any, true) => Condition::False,
                (Modifier::All, true) => Condition::True,
                (Modifier::Any, false) => Condition::Or(list),
                (Modifier::All, false) => Condition::And(list),
            }
        }
    };
    Ok(negate(condition, operator.negated))
}

/// `field @@ words`.
fn search(
    scope: &Scope<'_>,
    subject: &Subject,
    operator: &Operator,
    how: Search,
    words: &str,
) -> Result<Condition> {
    let (field, path, _) = comparable(scope, subject, operator)?;
    let search = Condition::Search {
        field,
        path: path.to_vec(),
        how,
        language: operator.language.as_deref().map(Into::into),
        words: words.into(),
    };
    Ok(negate(search, operator.negated))
}

fn is(scope: &Scope<'_>, subject: &Subject, operator: &Operator, operand: &str) -> Result<Condition> {
    let what = match operand.trim().to_ascii_lowercase().as_str() {
        "null" => Is::Null,
        "not_null" => Is::NotNull,
        "true" => Is::True,
        "false" => Is::False,
        "unknown" => Is::Unknown,
        _ => {
            let scanner = Scanner::new("filter", operand);
            return Err(scanner.refuse("`is` takes null, not_null, true, false or unknown"));
        }
    };
    // Of a field and an embed of one name, the embed is asked whether it is null.
    let namesake = match subject {
        Subject::Field(field, path) if path.is_empty() && matches!(what, Is::Null | Is::NotNull) => {
            scope.embed(&scope.resource().fields[*field].name)
        }
        _ => None,
    };
    let condition = match &namesake.map_or_else(|| subject.clone(), Subject::Embed) {
        Subject::Embed(item) => {
            let embedded = Condition::Embedded { item: *item };
            match what {
                Is::Null => negate(embedded, true),
                Is::NotNull => embedded,
                _ => return comparable(scope, subject, operator).map(|_| Condition::False),
            }
        }
        Subject::Field(field, path) => {
            let truth = matches!(what, Is::True | Is::False | Is::Unknown);
            let bool = path.is_empty() && matches!(scope.resource().fields[*field].ty.value(), Type::Bool);
            if truth && !bool {
                return Err(misfit(scope, *field, &format!("is.{}", operand.trim())));
            }
            Condition::Is {
                field: *field,
                path: path.clone(),
                what,
            }
        }
    };
    Ok(negate(condition, operator.negated))
}

/// A pattern as the databases take it. A backslash at the end escapes nothing and stands for itself.
fn pattern(text: &str) -> String {
    let mut pattern = text.replace('*', "%");
    let trailing = pattern.bytes().rev().take_while(|b| *b == b'\\').count();
    if trailing % 2 == 1 {
        pattern.push('\\');
    }
    pattern
}
