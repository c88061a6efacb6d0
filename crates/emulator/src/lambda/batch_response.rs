//! Reads a function's partial batch response the way an event source mapping with `ReportBatchItemFailures` does. The
//! rules are under "Success and failure conditions" in Lambda's guides to SQS and DynamoDB.

use serde_json::Value;

/// The failed items of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failures {
    /// The items with these identifiers failed. An empty list means that the whole batch succeeded.
    Some(Vec<String>),
    /// The whole batch failed, because the answer is not a valid response.
    All,
}

/// Parses an answer. The whole batch succeeds if the answer is null, or if its list of failures is missing, null or
/// empty. The whole batch fails in each of these cases:
/// - The answer is neither null nor a JSON object.
/// - `batchItemFailures` is neither null nor a list.
/// - A failure's `itemIdentifier` is missing, null, empty, or not the identifier of an item in the batch.
pub(crate) fn parse_failures(answer: &[u8], in_batch: impl Fn(&str) -> bool) -> Failures {
    let items = match serde_json::from_slice(answer) {
        Ok(Value::Null) => return Failures::Some(Vec::new()),
        Ok(Value::Object(answer)) => match answer.get("batchItemFailures") {
            None | Some(Value::Null) => return Failures::Some(Vec::new()),
            Some(Value::Array(items)) => items.clone(),
            Some(_) => return Failures::All,
        },
        Ok(_) | Err(_) => return Failures::All,
    };
    let identifiers = items.iter().map(|item| {
        let identifier = item.get("itemIdentifier")?.as_str()?;
        (!identifier.is_empty() && in_batch(identifier)).then(|| identifier.to_owned())
    });
    identifiers.collect::<Option<Vec<_>>>().map_or(Failures::All, Failures::Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(answer: &str) -> Failures {
        parse_failures(answer.as_bytes(), |identifier| ["a", "b"].contains(&identifier))
    }

    #[test]
    fn empty_answer_is_a_success() {
        for answer in ["null", "{}", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#] {
            assert_eq!(parse(answer), Failures::Some(vec![]), "{answer}");
        }
    }

    #[test]
    fn only_named_items_failed() {
        assert_eq!(parse(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#), Failures::Some(vec!["b".into()]));
    }

    #[test]
    fn invalid_answer_fails_the_whole_batch() {
        for answer in [
            "",
            "not json",
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"messageId":"b"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"c"}]}"#,
            r#"{"batchItemFailures":{"itemIdentifier":"a"}}"#,
        ] {
            assert_eq!(parse(answer), Failures::All, "{answer}");
        }
    }
}
