//! The settings of a pipeline.

use std::time::Duration;

use emulator::filter::FilterCriteria;
use emulator::sqs_mapping::SqsMappingSettings;
use emulator::stream_mapping::StreamMappingSettings;
use serde_json::{Value, json};

use crate::names;

/// The settings of a pipeline. The defaults are those of the deployed system.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    /// The timeout of both functions.
    pub function_timeout: Duration,
    /// The settings of the mapping from the queue to `ingest-fn`.
    pub sqs_mapping: SqsMappingSettings,
    /// The settings of the mapping from the stream to `archive-fn`.
    pub stream_mapping: StreamMappingSettings,
    /// Number of receives after which a message moves to the dead-letter queue.
    pub max_receive_count: u32,
    /// The configuration of `ingest-fn`. It contains the table's name.
    pub ingest: ingest_fn::Config,
    /// The configuration of `archive-fn`. It contains the bucket's name.
    pub archive: archive_fn::Config,
}

impl PipelineSettings {
    /// Returns the filter of the stream mapping for a table with packs: it passes packs and claims with objects of their
    /// own, and drops packed claims.
    #[must_use]
    pub fn pack_filter() -> FilterCriteria {
        let claim = |layout: Value| {
            let image = json!({ "sk": { "S": [{ "prefix": "CLAIM" }] }, "layout": { "S": [layout] } });
            json!({ "dynamodb": { "NewImage": image } })
        };
        // A claim of the first version has no layout.
        let patterns = [
            claim(json!({ "exists": false })),
            claim(json!("object")),
            json!({ "dynamodb": { "NewImage": { "sk": { "S": ["PACK"] } } } }),
        ];
        FilterCriteria::new(patterns).expect("the emulator supports these patterns")
    }
}

impl Default for PipelineSettings {
    fn default() -> Self {
        let ingest = |variable: &str| match variable {
            "TABLE_NAME" => Some(names::TABLE.to_owned()),
            "AWS_LAMBDA_FUNCTION_NAME" => Some(names::INGEST_FUNCTION.to_owned()),
            _ => None,
        };
        let archive = |variable: &str| match variable {
            "BUCKET_NAME" => Some(names::BUCKET.to_owned()),
            "AWS_LAMBDA_FUNCTION_NAME" => Some(names::ARCHIVE_FUNCTION.to_owned()),
            _ => None,
        };
        let pattern = json!({ "dynamodb": { "NewImage": { "sk": { "S": [{ "prefix": "CLAIM" }] } } } });
        let claims = FilterCriteria::new([pattern]).expect("the pattern is a tree of names with a prefix");
        Self {
            function_timeout: Duration::from_secs(30),
            sqs_mapping: SqsMappingSettings {
                batch_size: 10,
                batching_window: Duration::from_secs(5),
                maximum_concurrency: 10,
                report_batch_item_failures: true,
            },
            stream_mapping: StreamMappingSettings {
                batch_size: 100,
                batching_window: Duration::ZERO,
                filter: claims,
                report_batch_item_failures: true,
                bisect_on_error: true,
                maximum_retry_attempts: None,
                maximum_record_age: Some(Duration::from_secs(79_200)),
                on_failure_queue: Some(names::ON_FAILURE_QUEUE.to_owned()),
            },
            max_receive_count: 3,
            ingest: ingest_fn::Config::from_variables(&lambda_support::Variables::new(&ingest))
                .expect("every other variable has a default"),
            archive: archive_fn::Config::from_variables(&lambda_support::Variables::new(&archive))
                .expect("every other variable has a default"),
        }
    }
}
