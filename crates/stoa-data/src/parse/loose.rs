//! What PostgreSQL makes of a body's values by itself, which PostgREST's callers count on: a number in quotes for a
//! number, a number for a text, `{…}` for a list.

use super::body::Row;
use crate::{
    json::Json,
    value::{from_text, list_items},
};
use stoa_config::plan::{Resource, Type};

/// Writes the values of rows as the types of their fields want them. What fits no better stays as it is, to be refused
/// with its own words.
pub(crate) fn rows(resource: &Resource, rows: &mut [Row]) {
    for (name, value) in rows.iter_mut().flatten() {
        if let Some((_, field)) = resource.field(name)
            && let Some(better) = better(field.ty.value(), value)
        {
            *value = better;
        }
    }
}

fn better(ty: &Type, value: &Json) -> Option<Json> {
    match (ty, value) {
        (Type::Text, Json::Number(text)) => Some(Json::Text(text.as_ref().into())),
        (Type::Text, Json::Bool(flag)) => Some(Json::Text(flag.to_string().into())),
        (Type::Int | Type::Float, Json::Text(text)) => {
            let fits = from_text(ty, text.trim()).is_ok();
            fits.then(|| Json::Number(text.trim().into()))
        }
        (Type::Bool, Json::Text(text)) => match &**text {
            "true" | "t" => Some(Json::Bool(true)),
            "false" | "f" => Some(Json::Bool(false)),
            _ => None,
        },
        (Type::List(item), Json::Text(text)) => {
            let items = list_items(text).ok()?.into_iter();
            let items = items.map(|item| Json::Text(item.into()));
            Some(Json::Array(
                items.map(|one| better(item, &one).unwrap_or(one)).collect(),
            ))
        }
        (Type::List(item), Json::Array(items)) => Some(Json::Array(
            items
                .iter()
                .map(|one| better(item, one).unwrap_or_else(|| one.clone()))
                .collect(),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_what_their_fields_want() {
        let text = |t: &str| Json::Text(t.into());
        let list = Type::List(Box::new(Type::Int));
        assert_eq!(better(&Type::Text, &Json::Number("20".into())), Some(text("20")));
        assert_eq!(better(&Type::Int, &text(" 7")), Some(Json::Number("7".into())));
        assert_eq!(better(&Type::Int, &text("seven")), None);
        assert_eq!(
            better(&list, &text("{1,2}")),
            Some(Json::Array(vec![
                Json::Number("1".into()),
                Json::Number("2".into())
            ]))
        );
        assert_eq!(better(&Type::Json, &text("{}")), None);
    }
}
