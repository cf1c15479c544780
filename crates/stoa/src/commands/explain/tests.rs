//! Codes that are known and codes that are nearly right.

use super::*;
use std::collections::BTreeSet;

#[test]
fn no_code_means_two_things() {
    let faults = stoa_config::fault::codes().into_iter();
    let all: Vec<&str> = faults
        .chain(codes().map(|c| c.name))
        .chain(alias::CODES.iter().map(|c| c.0))
        .collect();
    let different: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(all.len(), different.len());
    assert!(all.len() > 100);
}

#[test]
fn what_is_nearly_right_is_answered_with_what_was_meant() {
    for (typed, meant) in [
        ("not-fund", "`not-found`"),
        ("PGRST11", "`PGRST11"),
        ("E010", "`E010"),
    ] {
        let Failure::Input(text) = unknown(typed) else {
            panic!("the input is at fault")
        };
        assert!(
            text.contains("did you mean") && text.contains(meant),
            "{typed}: {text}"
        );
    }
}
