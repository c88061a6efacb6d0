//! What an event source mapping takes from a function's answer when `ReportBatchItemFailures` is on: the rules are under
//! "Success and failure conditions" in Lambda's guides to SQS and DynamoDB.

use serde_json::Value;

/// Which items of a batch failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failures {
    /// These; none if it is empty.
    Some(Vec<String>),
    /// All: the answer makes no sense, and nothing may be taken for done.
    All,
}

/// Reads an answer. Success: an empty or null list, an empty or null answer. Total failure: no JSON, an identifier that is
/// empty, null, under another name, or of an item that was not in the batch.
pub(crate) fn failures(answer: &[u8], in_batch: impl Fn(&str) -> bool) -> Failures {
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

    fn of(answer: &str) -> Failures {
        failures(answer.as_bytes(), |identifier| ["a", "b"].contains(&identifier))
    }

    #[test]
    fn an_empty_answer_means_that_all_succeeded() {
        for answer in ["null", "{}", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#] {
            assert_eq!(of(answer), Failures::Some(vec![]), "{answer}");
        }
    }

    #[test]
    fn named_items_failed_and_no_others() {
        assert_eq!(of(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#), Failures::Some(vec!["b".into()]));
    }

    #[test]
    fn an_answer_that_makes_no_sense_fails_the_whole_batch() {
        for answer in [
            "",
            "not json",
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"messageId":"b"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"c"}]}"#,
            r#"{"batchItemFailures":{"itemIdentifier":"a"}}"#,
        ] {
            assert_eq!(of(answer), Failures::All, "{answer}");
        }
    }
}
