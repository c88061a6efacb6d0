//! The settings of a scenario's pipeline.

use std::time::Duration;

use ingest_fn::ClaimWrites;
use lambda_support::Variables;
use pipeline::{PipelineSettings, names};

use crate::scenario::Scenario;

/// Returns the pipeline settings of a scenario. The settings of `ingest-fn` are parsed from environment variables, as on
/// Lambda.
pub(crate) fn settings(scenario: &Scenario) -> PipelineSettings {
    let variable = |name: &str| match name {
        "TABLE_NAME" => Some(names::TABLE.to_owned()),
        "DEDUP_WINDOW_SECONDS" => Some(scenario.window_seconds.to_string()),
        "DEDUP_KEY" => Some(scenario.rules.key.setting().to_owned()),
        "CONFLICT_IGNORE" => Some(scenario.rules.lists[0].to_owned()),
        "LOG_ROUTINE_OUTCOMES" => Some(scenario.rules.log_routine_outcomes.to_string()),
        "ON_CONFLICT" => scenario.conflict_is_dead_letter.then(|| "dead-letter".to_owned()),
        "CLAIM_CACHE_ENTRIES" => Some(scenario.cache_entries.to_string()),
        "CLAIM_WRITES" => (scenario.claim_writes == ClaimWrites::Batch).then(|| "batch".to_owned()),
        _ => None,
    };
    let ingest = ingest_fn::Config::from_variables(&Variables::new(&variable));
    let mut settings = PipelineSettings {
        function_timeout: Duration::from_secs(scenario.timeout_seconds),
        ingest: ingest.expect("the scenario's settings are valid"),
        ..PipelineSettings::default()
    };
    settings.archive.log_routine_outcomes = scenario.rules.log_routine_outcomes;
    settings.sqs_mapping.batch_size = scenario.queue_batch;
    settings.sqs_mapping.batching_window = Duration::from_secs(scenario.batching_window_seconds);
    settings.sqs_mapping.maximum_concurrency = scenario.concurrency;
    settings.stream_mapping.batch_size = scenario.stream_batch;
    settings.stream_mapping.bisect_on_error = scenario.bisect;
    if scenario.has_packs {
        settings.stream_mapping.filter = PipelineSettings::pack_filter();
    }
    settings.stream_mapping.maximum_record_age = Some(Duration::from_secs(scenario.record_age_seconds));
    settings
}
