//! `stoa explain CODE`: the long text of a fault or problem code.

mod alias;

use super::{Failure, Outcome};
use crate::{
    openapi::codes,
    terminal::{self, style},
};
use serde_json::json;

/// Prints the text, or says which code was probably meant. The `type` of a problem is taken as its code.
pub(crate) fn run(code: &str, json: bool) -> Outcome {
    let code = code.rsplit('/').next().unwrap_or(code);
    if let Some(text) = stoa_config::fault::explain(&code.to_ascii_uppercase()) {
        let code = code.to_ascii_uppercase();
        if json {
            terminal::result_json(&json!({ "code": code, "explain": text }));
        } else {
            let name = style::NAME;
            terminal::result(format_args!("{name}{code}{name:#}\n\n{text}"));
        }
        return Ok(());
    }
    if let Some((code, text)) = alias::CODES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(code))
    {
        if json {
            terminal::result_json(&json!({ "code": code, "explain": text }));
        } else {
            let (name, dim) = (style::NAME, style::DIM);
            terminal::result(format_args!(
                "{name}{code}{name:#}  {dim}under /rest/v1{dim:#}\n\n{text}"
            ));
        }
        return Ok(());
    }
    let Some(known) = codes().find(|known| known.name.eq_ignore_ascii_case(code)) else {
        return Err(unknown(code));
    };
    if json {
        terminal::result_json(&json!({
            "code": known.name, "status": known.status, "title": known.title, "explain": known.explain,
        }));
    } else {
        let (name, dim) = (style::NAME, style::DIM);
        let (code, status, title) = (known.name, known.status, known.title);
        terminal::result(format_args!(
            "{name}{code}{name:#}  {dim}HTTP {status}{dim:#}  {title}\n\n{}",
            known.explain
        ));
    }
    Ok(())
}

fn unknown(code: &str) -> Failure {
    let nearest = stoa_config::fault::codes()
        .into_iter()
        .chain(codes().map(|known| known.name))
        .chain(alias::CODES.iter().map(|(name, _)| *name))
        .map(|name| {
            (
                strsim::jaro_winkler(&name.to_lowercase(), &code.to_lowercase()),
                name,
            )
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, name)) if likeness > 0.7 => {
            Failure::input(format!("no code is called `{code}`; did you mean `{name}`?"))
        }
        _ => Failure::input(format!(
            "no code is called `{code}`; faults have codes like E0107, problems like not-found"
        )),
    }
}

#[cfg(test)]
mod tests;
