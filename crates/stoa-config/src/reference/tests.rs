//! The file reference names every key.

use super::*;

#[test]
fn every_key_and_code_is_there() {
    let text = reference();
    for spec in [
        &ROOT,
        &crate::decode::services::ROUTE,
        &crate::decode::resources::RESOURCE,
    ] {
        for key in spec.keys {
            assert!(text.contains(&format!("| `{}` |", key.name)), "{}", key.name);
        }
    }
    for code in codes::ALL {
        assert!(text.contains(code.name), "{}", code.name);
    }
}
