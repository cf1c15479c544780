//! `order=field[.asc|.desc][.nullsfirst|.nullslast],…`.

use super::{Scope, scan::Scanner};
use crate::{
    codes,
    operation::Order,
    refusal::{Refusal, Result, not_supported},
};
use stoa_config::plan::Type;

/// The most entries of one `order`.
const ENTRIES_MAX: usize = 20;

/// Reads `order`.
pub(crate) fn order(scope: &Scope<'_>, text: &str) -> Result<Vec<Order>> {
    let mut scanner = Scanner::new("order", text);
    let mut entries: Vec<Order> = Vec::new();
    loop {
        let entry = entry(scope, &mut scanner)?;
        if entries.len() == ENTRIES_MAX {
            return Err(scanner.refuse(format!("at most {ENTRIES_MAX} entries are taken")));
        }
        // The first of two entries for one field decides: the second orders nothing more.
        if !entries
            .iter()
            .any(|e| e.field == entry.field && e.path == entry.path)
        {
            entries.push(entry);
        }
        if scanner.at_end() {
            return Ok(entries);
        }
        scanner.expect(",")?;
    }
}

fn entry(scope: &Scope<'_>, scanner: &mut Scanner<'_>) -> Result<Order> {
    let name = scanner.name()?;
    if scanner.peek() == Some('(') {
        return Err(not_supported(
            "Ordering by a field of an embed (`order=other(field)`) is not served.",
        ));
    }
    let path = scanner.path()?;
    let (field, declared) = scope.field(&name)?;
    if !path.is_empty() && !matches!(declared.ty.value(), Type::Json) {
        return Err(not_supported(format!(
            "`{name}` is {}: only a json field has keys inside.",
            declared.ty
        )));
    }
    if !scope.may_sort(&name) || (path.is_empty() && !declared.ty.value().is_scalar()) {
        let resource = scope.resource();
        let allowed = resource.list.sort.iter().filter_map(|i| resource.fields.get(*i));
        let allowed: Vec<_> = allowed.map(|f| f.name.as_str()).collect();
        let detail = format!("`{}` may not be sorted by `{name}`.", resource.name);
        return Err(Refusal::new(&codes::NOT_SORTABLE, detail.clone())
            .hint(format!("`list.sort` takes the key and: {}.", allowed.join(", ")))
            .postgrest("PGRST100", 400, detail));
    }
    let mut order = Order {
        field,
        path,
        descending: false,
        nulls_first: false,
    };
    let (mut directed, mut placed) = (false, false);
    while scanner.eat(".") {
        let start = scanner.clone();
        match scanner.until(|c| matches!(c, '.' | ',')).trim() {
            "asc" if !directed && !placed => directed = true,
            "desc" if !directed && !placed => {
                (directed, order.descending, order.nulls_first) = (true, true, true);
            }
            "nullsfirst" if !placed => (placed, order.nulls_first) = (true, true),
            "nullslast" if !placed => (placed, order.nulls_first) = (true, false),
            _ => return Err(start.refuse("asc, desc, nullsfirst or nullslast was expected")),
        }
    }
    Ok(order)
}
