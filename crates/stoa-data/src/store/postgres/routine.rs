//! Functions that the file names, as the database has them: looked at before anything is served, and how each is called.

use crate::store::table::quote;
use std::fmt::Write as _;
use stoa_config::plan::{Argument, Field, Function, Plan, RawBody, Resource, Returns, Type, Volatility};

/// A function as it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Routine {
    /// Schema and name, quoted.
    pub(super) name: String,
    /// How the arguments are passed, in the order of the file.
    pub(super) args: Vec<Passed>,
}

/// How an argument is passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// Its name, quoted; one without a name stands alone.
    name: Option<String>,
    /// Its type, where several functions have the name and the types tell them apart.
    cast: Option<String>,
    /// Whether it stands for any number of values, and comes as a list of them.
    variadic: bool,
}

impl Routine {
    /// The call, with parameters from `$1` for the given arguments, which are positions in the file's list.
    pub(super) fn call(&self, given: impl Iterator<Item = usize>) -> String {
        let mut text = format!("{}(", self.name);
        // `VARIADIC` is written last.
        let mut order: Vec<(usize, Option<&Passed>)> =
            given.map(|at| self.args.get(at)).enumerate().collect();
        order.sort_by_key(|(_, passed)| passed.is_some_and(|p| p.variadic));
        for (written, (parameter, passed)) in order.into_iter().enumerate() {
            let comma = if written > 0 { ", " } else { "" };
            let variadic = if passed.is_some_and(|p| p.variadic) {
                "VARIADIC "
            } else {
                ""
            };
            let name = passed.and_then(|p| p.name.as_ref());
            let name = name.map_or_else(String::new, |name| format!("{name} => "));
            let cast = passed.and_then(|p| p.cast.as_ref());
            let cast = cast.map_or_else(String::new, |ty| format!("::{ty}"));
            // Infallible: it writes to a text.
            let _ = write!(text, "{comma}{variadic}{name}${}{cast}", parameter + 1);
        }
        text.push(')');
        text
    }
}

/// A function of the database.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(super) struct Candidate {
    /// Name and types of the arguments, for people.
    shown: String,
    /// `prokind`: `f`, `p`, `a` or `w`.
    kind: String,
    /// `provolatile`: `v`, `s` or `i`.
    volatility: String,
    /// Whether it returns any number of rows or values.
    set: bool,
    /// Name of the type that it returns.
    returns: String,
    /// Names of the columns that it returns, where it returns rows.
    columns: Option<Vec<String>>,
    /// Schema and name of the table whose rows it returns, where it returns a table's.
    table: Option<(String, String)>,
    /// What it takes.
    inputs: Vec<Input>,
}

/// A parameter that takes a value.
#[derive(Clone, Debug, Default, serde::Deserialize)]
struct Input {
    /// Its name; empty where it has none.
    name: String,
    /// Its type, quoted, with its schema.
    sql: String,
    /// Its type, for people.
    ty: String,
    /// `typcategory`.
    category: String,
    /// Whether the database has a default.
    default: bool,
    /// Whether it is variadic.
    variadic: bool,
}

/// The question for the functions of a name: each as JSON.
pub(super) fn question(schema: &str, name: &str) -> String {
    let (schema, name) = (super::start::literal(schema), super::start::literal(name));
    format!(
        "SELECT json_build_object('shown', p.oid::regprocedure::text, 'kind', p.prokind, 'volatility', p.provolatile, 'set', p.proretset, \
         'returns', format_type(p.prorettype, NULL), \
         'columns', CASE WHEN 't' = ANY (p.proargmodes) OR 'o' = ANY (p.proargmodes) OR 'b' = ANY (p.proargmodes) \
           THEN (SELECT json_agg(p.proargnames[m.at] ORDER BY m.at) FROM unnest(p.proargmodes) WITH ORDINALITY m(mode, at) WHERE m.mode IN ('t', 'o', 'b')) \
           WHEN r.typrelid <> 0 THEN (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a \
             WHERE a.attrelid = r.typrelid AND a.attnum > 0 AND NOT a.attisdropped) END, \
         'table', (SELECT json_build_array(s.nspname, c.relname) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace \
           WHERE c.oid = r.typrelid AND c.relkind <> 'c'), \
         'inputs', (SELECT coalesce(json_agg(json_build_object('name', coalesce(p.proargnames[m.place], ''), \
             'sql', format('%I.%I', n.nspname, t.typname), 'ty', format_type(t.oid, NULL), 'category', t.typcategory, \
             'default', m.at > p.pronargs - p.pronargdefaults, 'variadic', p.provariadic <> 0 AND m.at = p.pronargs) ORDER BY m.at), '[]') \
           FROM (SELECT i.oid, i.at, CASE WHEN p.proargmodes IS NULL THEN i.at ELSE (SELECT w.place FROM \
               (SELECT o.at AS place, row_number() OVER (ORDER BY o.at) AS nth FROM unnest(p.proargmodes) WITH ORDINALITY o(mode, at) \
                WHERE o.mode IN ('i', 'b', 'v')) w WHERE w.nth = i.at) END AS place \
             FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY i(oid, at)) m \
           JOIN pg_type t ON t.oid = m.oid JOIN pg_namespace n ON n.oid = t.typnamespace)) \
         FROM pg_proc p JOIN pg_type r ON r.oid = p.prorettype WHERE p.proname = {name} \
         AND p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = {schema}) ORDER BY p.oid"
    )
}

/// How the function is called.
///
/// # Errors
/// The database has none that is as the file says: what it has, and what to do.
pub(super) fn judge(
    plan: &Plan,
    function: &Function,
    schema: &str,
    candidates: &[Candidate],
) -> Result<Routine, String> {
    let named = format!("{schema}.{}", function.function.name);
    if candidates.is_empty() {
        return Err(format!(
            "the database has no function {named}: make it with CREATE FUNCTION, or take the entry out"
        ));
    }
    let flaws: Vec<Option<String>> = candidates.iter().map(|c| takes(function, c)).collect();
    let mut fitting: Vec<&Candidate> = candidates
        .iter()
        .zip(&flaws)
        .filter(|(_, flaw)| flaw.is_none())
        .map(|(candidate, _)| candidate)
        .collect();
    if fitting.is_empty() {
        return Err(match (candidates, &flaws[..]) {
            ([only], [Some(why)]) => format!("the database has {}, and {why}", only.shown),
            _ => format!(
                "none of the functions that the database has takes these `args`: {}",
                shown(candidates.iter())
            ),
        });
    }
    let exact: Vec<&Candidate> = fitting
        .iter()
        .copied()
        .filter(|candidate| is_exact(function, candidate))
        .collect();
    if !exact.is_empty() {
        fitting = exact;
    }
    let [chosen] = fitting[..] else {
        return Err(format!(
            "several functions of the database take these `args`: {}: write the types of one alone, or give one another name",
            shown(fitting.into_iter())
        ));
    };
    if let Some(rival) = candidates.iter().find(|other| is_rival(function, chosen, other)) {
        return Err(format!(
            "a call without the `optional` arguments could mean {} or {}: name one of them otherwise in the database",
            chosen.shown, rival.shown
        ));
    }
    if let Some(why) = gives(plan, function, chosen) {
        return Err(format!("the database has {}, and {why}", chosen.shown));
    }
    Ok(Routine {
        name: format!("{}.{}", quote(schema), quote(&function.function.name)),
        args: passed(function, chosen, candidates.len() > 1),
    })
}

fn shown<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> String {
    let all: Vec<&str> = candidates.map(|candidate| candidate.shown.as_str()).collect();
    all.join(", ")
}

fn passed(function: &Function, chosen: &Candidate, cast: bool) -> Vec<Passed> {
    let one = |name: Option<&str>, input: Option<&Input>| Passed {
        name: name.map(quote),
        // A type that stands for several is found by the server.
        cast: input
            .filter(|input| cast && input.category != "P")
            .map(|input| input.sql.clone()),
        variadic: input.is_some_and(|input| input.variadic),
    };
    if function.body.is_some() {
        return vec![one(None, chosen.inputs.first())];
    }
    let args = function.args.iter();
    args.map(|arg| one(Some(&arg.name), input(chosen, arg))).collect()
}

fn input<'c>(candidate: &'c Candidate, arg: &Argument) -> Option<&'c Input> {
    candidate.inputs.iter().find(|input| input.name == arg.name)
}

/// Why the function does not take what the file says.
fn takes(function: &Function, candidate: &Candidate) -> Option<String> {
    match candidate.kind.as_str() {
        "f" => {}
        "p" => {
            return Some(String::from(
                "it is a procedure, which is not served: make it a function",
            ));
        }
        _ => {
            return Some(String::from(
                "it is an aggregate or a window function, which is not served",
            ));
        }
    }
    if let Some(body) = function.body {
        return takes_body(body, candidate);
    }
    for arg in &function.args {
        let Some(input) = input(candidate, arg) else {
            let names: Vec<&str> = candidate.inputs.iter().map(|i| i.name.as_str()).collect();
            let near = crate::value::nearest(&arg.name, names.iter().copied());
            let near = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
            return Some(format!("it has no argument `{}`{near}", arg.name));
        };
        if !fits(&arg.ty, input).0 {
            return Some(format!(
                "its argument `{}` is {}, which the file's `{}` does not fit",
                arg.name, input.ty, arg.ty
            ));
        }
        if arg.optional && !input.default {
            return Some(format!(
                "its argument `{}` has no default: take `optional` out, or give it one in the database",
                arg.name
            ));
        }
    }
    let declared = |input: &Input| function.args.iter().any(|arg| arg.name == input.name);
    let left = candidate
        .inputs
        .iter()
        .find(|input| !input.default && !declared(input))?;
    Some(if left.name.is_empty() {
        String::from(
            "it has a parameter without a name: `body:` takes the only one, others need a name in the database",
        )
    } else {
        format!(
            "it needs the argument `{}` ({}): add it to `args`",
            left.name, left.ty
        )
    })
}

fn takes_body(body: RawBody, candidate: &Candidate) -> Option<String> {
    let types: &[&str] = match body {
        RawBody::Json => &["json", "jsonb"],
        RawBody::Text => &["text"],
        RawBody::Xml => &["xml"],
        RawBody::Bytes => &["bytea"],
    };
    match &candidate.inputs[..] {
        [only] if only.name.is_empty() && types.contains(&only.ty.as_str()) => None,
        _ => Some(format!(
            "`body` needs one that has a single parameter without a name, of type {}",
            types.join(" or ")
        )),
    }
}

/// Whether values of a field's type can be handed to a parameter, and whether that is its own kind of type.
fn fits(ty: &Type, input: &Input) -> (bool, bool) {
    let category = input.category.as_str();
    let own = match ty.value() {
        Type::Text => "S",
        Type::Enum(_) => "E",
        Type::Int | Type::Float | Type::Decimal { .. } => "N",
        Type::Bool => "B",
        Type::Time | Type::Date => "D",
        Type::Uuid | Type::Uuid7 | Type::Json | Type::Ref { .. } => "U",
        Type::List(_) => "A",
    };
    // The server reads every type from its text, and text takes everything that is one value.
    let any = *ty.value() == Type::Text || category == "P" || (category == "S" && own != "A");
    (any || category == own, category == own)
}

fn is_exact(function: &Function, candidate: &Candidate) -> bool {
    let own = |arg: &Argument| input(candidate, arg).is_some_and(|input| fits(&arg.ty, input).1);
    function.args.iter().all(own)
}

/// Whether a call that leaves `optional` arguments out could mean another function than the one that was chosen: the types
/// of what is given are the same, and the server would take defaults of either, or those of neither.
fn is_rival(function: &Function, chosen: &Candidate, other: &Candidate) -> bool {
    if other.shown == chosen.shown || other.kind != "f" || function.body.is_some() {
        return false;
    }
    let of = |name: &str| other.inputs.iter().find(|input| input.name == name);
    let given: Vec<&Argument> = function
        .args
        .iter()
        .filter(|arg| !arg.optional || of(&arg.name).is_some_and(|input| !input.default))
        .collect();
    let same = |arg: &&Argument| {
        let (here, there) = (input(chosen, arg), of(&arg.name));
        matches!((here, there), (Some(here), Some(there)) if here.sql == there.sql)
    };
    let needed = other.inputs.iter().filter(|input| !input.default);
    let mut needed = needed.map(|input| given.iter().any(|arg| arg.name == input.name));
    // The server takes the one that needs no default before one that does.
    let sure = given.len() == chosen.inputs.len() && other.inputs.len() > given.len();
    given.iter().all(same) && needed.all(|is_given| is_given) && !sure
}

/// Why what the function gives is not what the file says.
fn gives(plan: &Plan, function: &Function, found: &Candidate) -> Option<String> {
    let void = found.returns == "void";
    match function.returns {
        Returns::Value if found.set => {
            return Some(String::from(
                "it returns a set: write `returns: rows` or `rows RESOURCE`",
            ));
        }
        Returns::Value | Returns::Rows if void => {
            return Some(String::from("it returns nothing: write `returns: void`"));
        }
        Returns::Void | Returns::Value | Returns::Rows => {}
        Returns::Resource(index) => {
            let resource = plan.resources.get(index)?;
            let Some(columns) = &found.columns else {
                return Some(format!(
                    "it returns {}, not rows of `{}`: write `returns: {}`",
                    found.returns,
                    resource.name,
                    if found.set { "rows" } else { "value" }
                ));
            };
            let given = |field: &&Field| field.function.is_some();
            if let Some(field) = resource.fields.iter().find(given)
                && !is_of(found.table.as_ref(), resource)
            {
                return Some(format!(
                    "its rows are not those of the table of `{}`, whose field `{}` is given by a function of such a row: return SETOF the table",
                    resource.name, field.name
                ));
            }
            let lacks = |name: &str| !columns.iter().any(|column| column == name);
            let mut kept = resource.fields.iter().filter(|field| !given(field));
            if let Some(field) = kept.find(|field| lacks(field.column())) {
                return Some(format!(
                    "its rows have no column {}, which is a field of `{}`",
                    field.column(),
                    resource.name
                ));
            }
        }
    }
    let promises = function.volatility != Volatility::Volatile;
    (promises && found.volatility == "v").then(|| {
        String::from(
            "it is VOLATILE: write `volatility: volatile`, or say in the database that it changes nothing (ALTER FUNCTION … STABLE)",
        )
    })
}

/// Whether rows are of the table that a resource is bound to.
fn is_of(table: Option<&(String, String)>, resource: &Resource) -> bool {
    let (Some((schema, name)), Some(bound)) = (table, &resource.table) else {
        return false;
    };
    *name == bound.name && bound.schema.as_ref().is_none_or(|own| own == schema)
}

#[cfg(test)]
mod tests;
