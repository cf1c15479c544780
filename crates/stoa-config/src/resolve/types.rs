//! Types with their references bound.

use super::fields::Keys;
use crate::{
    decode::resources::{RawDeclaration, RawResource},
    fault::codes,
    grammar::field::RawType,
    plan::Type,
    report::{Report, did_you_mean},
};

/// The types of each resource's fields, in the order of the file, without the generated key. A faulty
/// reference becomes a uuid, so that checking goes on.
pub(crate) fn bind(raw: &[RawResource<'_>], keys: &[Keys], report: &mut Report<'_>) -> Vec<Vec<Type>> {
    let binder = Binder { raw, keys };
    raw.iter()
        .map(|resource| resource.fields.iter().map(|f| binder.field(f, report)).collect())
        .collect()
}

struct Binder<'a, 'n> {
    raw: &'a [RawResource<'n>],
    keys: &'a [Keys],
}

impl Binder<'_, '_> {
    fn field(&self, field: &RawDeclaration, report: &mut Report<'_>) -> Type {
        let RawType::Ref(target) = &field.ty else {
            return plain(&field.ty);
        };
        let Some(position) = self.raw.iter().position(|r| r.name == target.text) else {
            report
                .add(
                    codes::UNKNOWN_RESOURCE,
                    field.ty_span,
                    format!("there is no resource `{}`", target.text),
                )
                .help(did_you_mean(
                    &target.text,
                    self.raw.iter().map(|r| r.name.as_str()),
                ));
            return Type::Uuid;
        };
        let Some(value) = self.key_type(position) else {
            let fault = match self.keys[position].names.len() {
                1 => report.add_with(
                    codes::REF_CYCLE,
                    field.ty_span,
                    format!(
                        "the key of `{}` is a reference that leads back to itself",
                        target.text
                    ),
                    (self.raw[position].name_span, "this resource"),
                ),
                many => report.add_with(
                    codes::KEY,
                    field.ty_span,
                    format!(
                        "`{}` has {many} key fields, and a reference needs exactly one",
                        target.text
                    ),
                    (self.raw[position].name_span, "this resource"),
                ),
            };
            fault.help("use plain fields in place of the reference");
            return Type::Uuid;
        };
        Type::Ref {
            resource: position,
            value: Box::new(value),
        }
    }

    /// The type of a resource's one key, through references.
    fn key_type(&self, mut resource: usize) -> Option<Type> {
        // A chain longer than there are resources has come back to where it was.
        for _ in 0..=self.raw.len() {
            let keys = &self.keys[resource];
            if keys.generated {
                return Some(Type::Uuid7);
            }
            let [name] = &keys.names[..] else { return None };
            let field = self.raw[resource].fields.iter().find(|f| f.name == *name)?;
            let RawType::Ref(target) = &field.ty else {
                return Some(plain(&field.ty));
            };
            resource = self.raw.iter().position(|r| r.name == target.text)?;
        }
        None
    }
}

/// A type as it is written; a reference becomes a uuid.
pub(crate) fn plain(ty: &RawType) -> Type {
    match ty {
        RawType::Uuid7 => Type::Uuid7,
        RawType::Uuid | RawType::Ref(_) => Type::Uuid,
        RawType::Text => Type::Text,
        RawType::Int => Type::Int,
        RawType::Float => Type::Float,
        RawType::Decimal { precision, scale } => Type::Decimal {
            precision: *precision,
            scale: *scale,
        },
        RawType::Bool => Type::Bool,
        RawType::Time => Type::Time,
        RawType::Date => Type::Date,
        RawType::Json => Type::Json,
        RawType::Enum(words) => Type::Enum(words.clone()),
        RawType::List(item) => Type::List(Box::new(plain(item))),
    }
}
