//! The settings of a pipeline, which default to those of the deployed one.

use std::time::Duration;

use emulator::filter::FilterPattern;
use emulator::sqs_mapping::SqsMappingSettings;
use emulator::stream_mapping::StreamMappingSettings;
use serde_json::json;

use crate::names;

/// What can be set of a pipeline. The defaults are those of the deployed system.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    /// Of both functions.
    pub function_timeout: Duration,
    /// From queue to `ingest-fn`.
    pub sqs_mapping: SqsMappingSettings,
    /// From stream to `archive-fn`.
    pub stream_mapping: StreamMappingSettings,
    /// Receives that a message gets before it goes to the dead-letter queue.
    pub max_receive_count: u32,
    /// How `ingest-fn` is told what it is told; the table's name is set.
    pub ingest: ingest_fn::Config,
    /// How `archive-fn` is told what it is told; the bucket's name is set.
    pub archive: archive_fn::Config,
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
        let claims = FilterPattern::new(json!({ "dynamodb": { "NewImage": { "sk": { "S": ["CLAIM"] } } } }));
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
                filter: claims.expect("the pattern is a tree of names with texts"),
                report_batch_item_failures: true,
                bisect_on_error: true,
                maximum_retry_attempts: None,
                maximum_record_age: Some(Duration::from_secs(79_200)),
                on_failure_queue: Some(names::ON_FAILURE_QUEUE.to_owned()),
            },
            max_receive_count: 3,
            ingest: ingest_fn::Config::from_variables(&lambda_support::Variables::new(&ingest))
                .expect("all has a default"),
            archive: archive_fn::Config::from_variables(&lambda_support::Variables::new(&archive))
                .expect("all has a default"),
        }
    }
}
