//! Values of variables.

use std::collections::BTreeMap;

use lambda_support::{VariableError, Variables};

/// Lines of `NAME=value`. Both functions start if and only if each of their variables is well formed, and otherwise name
/// in one line one that is not.
pub fn variables(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let set: BTreeMap<&str, &str> = text.split('\n').filter_map(|line| line.split_once('=')).collect();
    let look_up = |variable: &str| set.get(variable).map(|value| (*value).to_owned());
    let variables = Variables::new(&look_up);
    let is = |variable: &'static str, well_formed: fn(&str) -> bool| {
        (variable, set.get(variable).is_none_or(|value| well_formed(value)))
    };
    let has = |variable: &'static str| (variable, set.get(variable).is_some_and(|value| !value.is_empty()));

    let ingest = ingest_fn::Config::from_variables(&variables);
    judge(
        ingest.as_ref().err(),
        &[
            // An ARN would not do in a statement.
            if set.get("CLAIM_WRITES") == Some(&"batch") { is("TABLE_NAME", is_table_name) } else { has("TABLE_NAME") },
            has("TABLE_NAME"),
            is("CLAIM_WRITES", |value| value == "single" || value == "batch"),
            is("DEDUP_WINDOW_SECONDS", |value| is_number(value, 1, 100 * 366 * 86_400)),
            is("EVENT_ID_POINTER", is_pointer),
            is("ON_CONFLICT", |value| value == "acknowledge" || value == "dead-letter"),
            is("CLAIM_CACHE_ENTRIES", |value| is_number(value, 0, 1_000_000)),
            is("AWS_LAMBDA_FUNCTION_NAME", |value| !value.is_empty()),
        ],
    );
    let archive = archive_fn::Config::from_variables(&variables);
    judge(
        archive.as_ref().err(),
        &[
            has("BUCKET_NAME"),
            is("OBJECT_PREFIX", is_prefix),
            is("AWS_LAMBDA_FUNCTION_NAME", |value| !value.is_empty()),
        ],
    );
}

fn judge(error: Option<&VariableError>, variables: &[(&str, bool)]) {
    let malformed: Vec<&str> =
        variables.iter().filter(|(_, well_formed)| !well_formed).map(|(name, _)| *name).collect();
    match error {
        None => assert!(malformed.is_empty(), "{malformed:?} were accepted"),
        Some(error) => {
            let (VariableError::Missing(variable) | VariableError::Malformed { variable, .. }) = error;
            assert!(malformed.contains(variable), "{error}");
            let line = error.to_string();
            assert!(line.contains(variable) && !line.contains('\n'), "{line:?}");
        }
    }
}

fn is_number(value: &str, least: u128, most: u128) -> bool {
    let digits = value.strip_prefix('+').unwrap_or(value);
    let significant = digits.trim_start_matches('0');
    let number = if significant.is_empty() { Ok(0) } else { significant.parse::<u128>() };
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && number.is_ok_and(|number| (least..=most).contains(&number))
}

/// RFC 6901, section 3, without the empty pointer, which more likely is a variable that somebody left empty.
fn is_pointer(value: &str) -> bool {
    let escapes = value.split('~').skip(1);
    value.starts_with('/') && escapes.into_iter().all(|rest| rest.starts_with(['0', '1']))
}

fn is_table_name(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn is_prefix(value: &str) -> bool {
    let folders: Vec<&str> = value.split('/').collect();
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"!-_.*'()=".contains(&byte);
    let (last, folders) = folders.split_last().expect("a split has a part");
    last.is_empty()
        && !folders.is_empty()
        && folders.iter().all(|folder| !folder.is_empty() && folder.bytes().all(safe))
        && value.len() <= 900
}
