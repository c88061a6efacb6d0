//! Parses the payloads and the answers of the functions' invocations.

use serde::Deserialize;

/// Returns the ids of the items in a payload: message ids for `ingest-fn`, sequence numbers for `archive-fn`.
pub(crate) fn items(payload: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Payload {
        records: Vec<Record>,
    }
    #[derive(Deserialize)]
    struct Record {
        #[serde(rename = "messageId")]
        message_id: Option<String>,
        dynamodb: Option<Change>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Change {
        sequence_number: String,
    }
    let payload: Payload = serde_json::from_slice(payload).expect("the mapping builds a valid payload");
    let item = |record: Record| record.message_id.or(record.dynamodb.map(|change| change.sequence_number));
    payload.records.into_iter().filter_map(item).collect()
}

/// Returns the ids of the items that a partial batch response reports as failed.
pub(crate) fn failed(answer: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        batch_item_failures: Vec<Failure>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Failure {
        item_identifier: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(answer).expect("the handler returns a partial batch response");
    answer.batch_item_failures.into_iter().filter_map(|failure| failure.item_identifier).collect()
}
