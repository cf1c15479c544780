//! Names that generated clients see. They depend on the names in the API file only.

use std::collections::HashSet;
use stoa_config::plan::Resource;

/// The names of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// `Products`: what operations on many are named after.
    pub(super) many: String,
    /// `Product`: what operations on one and schemas are named after.
    pub(super) one: String,
}

/// Schemas of every document.
const SHARED: [&str; 4] = ["Problem", "FieldError", "Csv", "Parts"];
/// What stands behind [`Names::one`] in the names of a resource's schemas.
const SUFFIXES: [&str; 8] = [
    "",
    "List",
    "Create",
    "CreateList",
    "CreateBody",
    "Result",
    "Replace",
    "Patch",
];

/// The names of every resource, in order, such that no schema of one is called as a schema of another.
pub(super) fn of(resources: &[Resource]) -> Vec<Names> {
    each(resources.iter().map(|r| r.name.as_str()))
}

fn each<'a>(resources: impl Iterator<Item = &'a str>) -> Vec<Names> {
    let mut all: Vec<Names> = Vec::new();
    let mut schemas: HashSet<String> = SHARED.map(String::from).into();
    for resource in resources {
        let plain = pascal(resource);
        let one = singular(&plain);
        let one = if one == plain { format!("{plain}Item") } else { one };
        let many = unique(plain, |name| all.iter().any(|n| n.many == name || n.one == name));
        let of_one = |one: &str| SUFFIXES.map(|suffix| format!("{one}{suffix}"));
        let one = unique(one, |name| {
            name == many || of_one(name).iter().any(|s| schemas.contains(s))
        });
        schemas.extend(of_one(&one));
        all.push(Names { many, one });
    }
    all
}

/// `wanted`, or the first of `wanted2`, `wanted3`, … that is free.
pub(super) fn unique(wanted: String, taken: impl Fn(&str) -> bool) -> String {
    if !taken(&wanted) {
        return wanted;
    }
    let mut number = 2_u64;
    loop {
        let name = format!("{wanted}{number}");
        if !taken(&name) {
            return name;
        }
        number += 1;
    }
}

/// `order_items` → `OrderItems`. What is not a letter or a digit only separates words.
pub(super) fn pascal(name: &str) -> String {
    let words = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| !w.is_empty());
    let mut joined: String = words
        .map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_ascii_uppercase() + rest
        })
        .collect();
    if !joined.starts_with(|c: char| c.is_ascii_alphabetic()) {
        joined.insert(0, 'R');
    }
    joined
}

/// The singular of an English plural by its ending; a word that does not look like a plural stays.
fn singular(word: &str) -> String {
    let swap = |ending: &str, by: &str| Some(format!("{}{by}", word.strip_suffix(ending)?));
    let kept = ["ss", "us", "is", "News", "Series", "Species"];
    if kept.iter().any(|ending| word.ends_with(ending)) {
        return word.to_owned();
    }
    swap("ies", "y")
        .or_else(|| swap("sses", "ss"))
        .or_else(|| swap("ches", "ch"))
        .or_else(|| swap("shes", "sh"))
        .or_else(|| swap("xes", "x"))
        .or_else(|| swap("People", "Person"))
        .or_else(|| swap("s", ""))
        .filter(|one| one.len() > 1)
        .unwrap_or_else(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{each, pascal, singular, unique};

    #[test]
    fn no_schema_is_called_as_another() {
        let names = each(["products", "product_lists", "problems", "Products", "news"].into_iter());
        let ones: Vec<_> = names.iter().map(|n| n.one.as_str()).collect();
        assert_eq!(
            ones,
            ["Product", "ProductList2", "Problem2", "Product2", "NewsItem"]
        );
        assert_eq!(names[3].many, "Products2");
    }

    #[test]
    fn words_become_type_names() {
        for (name, many, one) in [
            ("products", "Products", "Product"),
            ("order_items", "OrderItems", "OrderItem"),
            ("categories", "Categories", "Category"),
            ("boxes", "Boxes", "Box"),
            ("addresses", "Addresses", "Address"),
            ("status", "Status", "Status"),
            ("news", "News", "News"),
            ("weather", "Weather", "Weather"),
            ("2fa-keys", "R2faKeys", "R2faKey"),
        ] {
            assert_eq!(
                (pascal(name).as_str(), singular(&pascal(name)).as_str()),
                (many, one),
                "{name}"
            );
        }
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let taken = |name: &str| name == "A" || name == "A2";
        assert_eq!(unique("A".into(), taken), "A3");
        assert_eq!(unique("B".into(), taken), "B");
    }
}
