//! The properties of the code that parses the functions' environment variables.

use std::collections::BTreeMap;

use lambda_support::{VariableError, Variables};

/// Reads environment variables from the input, one `NAME=value` per line. Checks that each Lambda function accepts them
/// if and only if all of its own variables are well formed. Otherwise, the function's error must be one line that names
/// a malformed or missing variable.
pub fn variables(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let set: BTreeMap<&str, &str> = text.split('\n').filter_map(|line| line.split_once('=')).collect();
    let look_up = |variable: &str| set.get(variable).map(|value| (*value).to_owned());
    let variables = Variables::new(&look_up);
    let is_valid = |variable: &'static str, well_formed: fn(&str) -> bool| {
        (variable, set.get(variable).is_none_or(|value| well_formed(value)))
    };
    let is_set = |variable: &'static str| (variable, set.get(variable).is_some_and(|value| !value.is_empty()));

    let key = set.get("DEDUP_KEY").map_or_else(|| Some(vec!["/event_id".to_owned()]), |key| key_pointers(key));
    let key = key.unwrap_or_default();
    let ingest = ingest_fn::Config::from_variables(&variables);
    check_error(
        ingest.as_ref().err(),
        &[
            // With batched claims, a PartiQL statement contains the table's name. A statement does not accept an ARN.
            if set.get("CLAIM_WRITES") == Some(&"batch") {
                is_valid("TABLE_NAME", is_table_name)
            } else {
                is_set("TABLE_NAME")
            },
            is_set("TABLE_NAME"),
            is_valid("CLAIM_WRITES", |value| value == "single" || value == "batch"),
            is_valid("LAKE_LAYOUT", |value| value == "objects" || value == "packs"),
            is_valid("MAX_RECEIVE_COUNT", |value| is_number(value, 1, 1_000)),
            is_valid("DEDUP_WINDOW_SECONDS", |value| is_number(value, 1, 100 * 366 * 86_400)),
            is_valid("DEDUP_KEY", |value| key_pointers(value).is_some()),
            ("CONFLICT_IGNORE", set.get("CONFLICT_IGNORE").is_none_or(|list| is_ignore_list(list, &key))),
            is_valid("LOG_ROUTINE_OUTCOMES", |value| value == "true" || value == "false"),
            is_valid("ON_CONFLICT", |value| value == "acknowledge" || value == "dead-letter"),
            is_valid("CLAIM_CACHE_ENTRIES", |value| is_number(value, 0, 1_000_000)),
            is_valid("AWS_LAMBDA_FUNCTION_NAME", |value| !value.is_empty()),
        ],
    );
    let archive = archive_fn::Config::from_variables(&variables);
    check_error(
        archive.as_ref().err(),
        &[
            is_set("BUCKET_NAME"),
            is_valid("OBJECT_PREFIX", is_prefix),
            is_valid("LOG_ROUTINE_OUTCOMES", |value| value == "true" || value == "false"),
            is_valid("AWS_LAMBDA_FUNCTION_NAME", |value| !value.is_empty()),
        ],
    );
}

fn check_error(error: Option<&VariableError>, variables: &[(&str, bool)]) {
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

fn is_number(value: &str, min: u128, max: u128) -> bool {
    let digits = value.strip_prefix('+').unwrap_or(value);
    let significant = digits.trim_start_matches('0');
    let number = if significant.is_empty() { Ok(0) } else { significant.parse::<u128>() };
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && number.is_ok_and(|number| (min..=max).contains(&number))
}

/// Returns the JSON Pointers in a dedup key, or `None` if the key is malformed.
fn key_pointers(value: &str) -> Option<Vec<String>> {
    if value == "content" {
        return Some(Vec::new());
    }
    if let Some(name) = value.strip_prefix("attribute:") {
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        let first = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let is_reserved = name.contains('.') && (first == "aws" || first == "amazon");
        return (name.len() <= 256 && name.split('.').all(is_part) && !is_reserved).then(Vec::new);
    }
    if is_pointer(value) {
        return Some(vec![value.to_owned()]);
    }
    let pointers: Vec<String> = serde_json::from_str(value).ok()?;
    let is_nested = |(index, inner): (usize, &String)| {
        pointers.iter().enumerate().any(|(other, outer)| other != index && contains(outer, inner))
    };
    let is_valid = (2..=8).contains(&pointers.len())
        && pointers.iter().all(|pointer| is_pointer(pointer))
        && !pointers.iter().enumerate().any(is_nested);
    is_valid.then_some(pointers)
}

fn is_ignore_list(value: &str, key: &[String]) -> bool {
    let Ok(pointers) = serde_json::from_str::<Vec<String>>(value) else { return false };
    pointers.iter().all(|pointer| {
        is_pointer(pointer)
            && !key.iter().any(|part| contains(pointer, part))
            && !pointers.iter().any(|outer| outer != pointer && contains(outer, pointer))
    })
}

/// Returns true if `outer` points to the value at `inner`, or to an array or object around it.
fn contains(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns true for a JSON Pointer (RFC 6901, section 3) that is not empty.
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
    let (last, folders) = folders.split_last().expect("splitting returns at least one part");
    last.is_empty()
        && !folders.is_empty()
        && folders.iter().all(|folder| !folder.is_empty() && folder.bytes().all(safe))
        && value.len() <= 900
}
