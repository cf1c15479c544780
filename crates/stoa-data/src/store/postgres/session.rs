//! What a URL wants of a session (`options=-csearch_path%3Dsales`), where something between pools by transaction: it
//! refuses that, or drops it without a word, and then other tables would be meant.

use super::start::literal;
use std::fmt::Write as _;
use tokio_postgres::error::DbError;

/// How `PgBouncer` begins to refuse, and how [`insist`] does.
const REFUSAL: &str = "unsupported startup parameter";

/// Whether it is no server's word but that of something between, which takes no settings of a session.
pub(super) fn is_refusal(error: &DbError) -> bool {
    error.message().contains(REFUSAL)
}

/// What to do about it.
pub(super) const REMEDY: &str = ". What stands between pools by transaction and takes no `options` of the URL: set them \
    on the server (ALTER ROLE … SET search_path = …) and take them out, or name the server itself";

/// A statement that fails where a setting is not as these options want it. The server itself compares, since it alone
/// knows that `5000` is `5s`.
pub(super) fn insist(options: &str) -> String {
    let mut body = String::from("BEGIN ");
    for (name, value) in settings(options) {
        let (name, value) = (literal(&name), literal(&value));
        let _ = write!(
            body,
            "IF current_setting({name}, true) IS DISTINCT FROM set_config({name}, {value}, true) THEN \
             RAISE SQLSTATE '08P01' USING MESSAGE = '{REFUSAL}: ' || {name}; END IF; "
        );
    }
    body.push_str("END");
    format!("DO {}", literal(&body))
}

/// The settings of `-c name=value`, `-cname=value` and `--name=value`. A backslash keeps the next character as it is.
fn settings(options: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        let Some(last) = words.last_mut() else { break };
        if c == '\\' {
            last.extend(chars.next());
        } else if !c.is_whitespace() {
            last.push(c);
        } else if !last.is_empty() && last != "-c" {
            words.push(String::new());
        }
    }
    let pair = |word: String| {
        let plain = word.strip_prefix("--").or_else(|| word.strip_prefix("-c"))?;
        let (name, value) = plain.split_once('=')?;
        Some((name.replace('-', "_"), value.to_owned()))
    };
    words.into_iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::{insist, settings};

    #[test]
    fn settings_are_read_as_the_server_reads_them() {
        let all = settings(r"-c search_path=a,\ b -cwork_mem=4MB  --statement-timeout=5s -x -c");
        let all: Vec<(&str, &str)> = all.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let wanted = [
            ("search_path", "a, b"),
            ("work_mem", "4MB"),
            ("statement_timeout", "5s"),
        ];
        assert_eq!(all, wanted);
        assert!(settings("").is_empty());
    }

    #[test]
    fn values_stay_values() {
        let said = insist("-crole=o'x");
        assert!(
            said.starts_with("DO 'BEGIN IF current_setting(''role'', true)"),
            "{said}"
        );
        assert!(said.contains("set_config(''role'', ''o''''x'', true)"), "{said}");
    }
}
