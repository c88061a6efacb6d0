//! `producer local`: serves the embedded pipeline on a loopback address, so that people can explore it.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use claim::{EventRules, MessageAttribute};
use emulator::Services;
use ops::command_line::printable;
use pipeline::{Pipeline, PipelineSettings, names};

use crate::cli::LocalArgs;
use crate::failure::Failure;
use crate::target::{FunctionSettings, Target};

/// Interval between checks for new log lines.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Serves the embedded pipeline until Ctrl-C, and prints the functions' log lines.
pub async fn local(args: &LocalArgs) -> Result<(), Failure> {
    let seed = fastrand::u64(..);
    let services = Services::on_real_clock(seed).context("failed to create the embedded table");
    let services = services.map_err(Failure::Unreachable)?;
    let mut settings = PipelineSettings::default();
    let function_settings = Target::embedded().settings(&args.settings).map_err(Failure::Unusable)?;
    let function_settings = FunctionSettings { embedded: args.embedded, ..function_settings };
    function_settings.apply(&mut settings);
    let address = emulator::endpoint::serve_aws_on(args.port, services.clone()).await;
    let address = address.with_context(|| format!("cannot bind 127.0.0.1:{}", args.port)).map_err(Failure::Unusable)?;
    let pipeline = Pipeline::start_on_threads(&services, settings, seed);
    let mut pipeline = pipeline.context("failed to start the threads of the pipeline").map_err(Failure::Unreachable)?;
    print(&greeting(address, &function_settings));
    let groups = [names::log_group(names::INGEST_FUNCTION), names::log_group(names::ARCHIVE_FUNCTION)];
    let mut shown = [0; 2];
    loop {
        for (group, shown) in groups.iter().zip(&mut shown) {
            let lines = services.logs.lines_after(group, *shown);
            *shown += lines.len();
            let function = group.rsplit('/').next().unwrap_or(group);
            for line in lines {
                print(&printable(&format!("{function}  {line}")));
            }
        }
        tokio::select! {
            ended = tokio::signal::ctrl_c() => {
                print("stopped; all data was in memory and is lost");
                return ended.context("failed to listen for Ctrl-C").map_err(Failure::Unreachable);
            }
            broken = pipeline.wait_for_failure() => {
                return Err(Failure::Unreachable(anyhow::anyhow!("the embedded pipeline failed: {broken}")));
            }
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}

fn greeting(address: SocketAddr, settings: &FunctionSettings) -> String {
    let table = names::TABLE;
    let rules = &settings.rules;
    let sort_key = rules.sort_key();
    let key = rules.dedup_key();
    let sample = r#"{"event_id":"a","x":1.50}"#;
    let attribute = key.attribute().map(|_| MessageAttribute { data_type: "String", string_value: Some("a") });
    // Another dedup key may need other members than those of the sample.
    let (body, id) = rules.event(sample, attribute).map_or(("BODY", "ID".to_owned()), |event| (sample, event.id));
    let attribute = key.attribute().map_or_else(String::new, |name| {
        format!(r#" --message-attributes '{{"{name}":{{"DataType":"String","StringValue":"a"}}}}'"#)
    });
    let flags = flags(settings);
    let bucket = names::BUCKET;
    let region = emulator::region::REGION;
    let ingest_log = names::log_group(names::INGEST_FUNCTION);
    let archive_log = names::log_group(names::ARCHIVE_FUNCTION);
    let url = |queue| format!("http://{address}/{}/{queue}", emulator::region::ACCOUNT);
    let queue = url(names::QUEUE);
    let dlq = url(names::DEAD_LETTER_QUEUE);
    let on_failure = url(names::ON_FAILURE_QUEUE);
    format!(
        r#"the embedded pipeline is running; press Ctrl-C to stop it. In another terminal, run:

    export AWS_ENDPOINT_URL=http://{address} AWS_REGION={region} AWS_DEFAULT_REGION={region}
    export AWS_ACCESS_KEY_ID=embedded AWS_SECRET_ACCESS_KEY=embedded
    export SQS_QUEUE_URL={queue}

and then try, for example:

    aws sqs send-message --endpoint-url $AWS_ENDPOINT_URL --queue-url $SQS_QUEUE_URL --message-body '{body}'{attribute}
    aws dynamodb get-item --table-name {table} --key '{{"pk":{{"S":"EVENT#{id}"}},"sk":{{"S":"{sort_key}"}}}}'
    aws s3 ls --recursive s3://{bucket}/
    aws logs filter-log-events --log-group-name {archive_log} --filter-pattern '{{ $.event_id = "{id}" }}'
    aws sqs receive-message --endpoint-url $AWS_ENDPOINT_URL --queue-url {dlq}
    aws sqs get-queue-attributes --endpoint-url $AWS_ENDPOINT_URL --queue-url {on_failure} --attribute-names All
    cargo run -p producer -- trace {id} --table {table} --bucket {bucket} --ingest-log-group {ingest_log} --archive-log-group {archive_log} --on-failure-url {on_failure}{flags}
    cargo run -p producer -- run --table {table} --bucket {bucket} --ingest-log-group {ingest_log} --archive-log-group {archive_log}{flags}

(Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for SQS, so the SQS commands pass --endpoint-url.) As in a deployed
stack, ingest-fn receives a batch of messages once it is full or 5 s old. Log lines of both functions:
"#
    )
}

/// Returns the flags that pass the settings of this pipeline to another command. Omits settings that have their default
/// values.
fn flags(settings: &FunctionSettings) -> String {
    let FunctionSettings { rules, log_routine_outcomes, .. } = settings;
    let default = EventRules::default();
    let quoted = |text: String| format!("'{}'", text.replace('\'', r"'\''"));
    let mut flags = String::new();
    if rules.dedup_key() != default.dedup_key() {
        flags += &format!(" --dedup-key {}", quoted(rules.dedup_key().to_string()));
    }
    if rules.conflict_ignore() != default.conflict_ignore() {
        flags += &format!(" --conflict-ignore {}", quoted(rules.conflict_ignore().to_string()));
    }
    if !log_routine_outcomes {
        flags += " --log-routine-outcomes false";
    }
    flags
}

fn print(text: &str) {
    // Ignore errors: if standard output is closed, other programs may still use the pipeline.
    let _ = writeln!(io::stdout(), "{text}");
}
