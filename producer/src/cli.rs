//! The producer's command line: its commands and flags, and the checks of their values.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::builder::{PathBufValueParser, PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};

use crate::scenario::{FILE, SCENARIOS, Scenario};
use crate::send::{code_point, refused_character};

/// Maximum number of messages in one run. Each message takes about a kilobyte of memory in addition to its body, until the
/// run ends.
pub const MAX_MESSAGES: u32 = 2_000_000;

/// Maximum total size of a run's message bodies, in bytes. All bodies are in memory before the first message is sent.
/// Copies of a message share one body, which counts once.
pub const MAX_BODY_BYTES: u64 = 1 << 30;

/// Floods the pipeline with duplicates, waits until the pipeline has drained, and checks that every event became exactly one
/// object.
///
/// Prints the number of messages, claims and objects, every invariant that does not hold, the verdict, and (on the embedded
/// pipeline) the estimated AWS cost.
///
/// Exit codes of a run:
///   0  Every invariant held, and every message was sent
///   1  An invariant was violated
///   2  The command line, a file or the Terraform state cannot be used; nothing was sent
///   3  Inconclusive: no violation was seen, but a result could not be read, a message was not sent or was refused by SQS,
///      the pipeline did not drain in time, or Ctrl-C ended the run early
///   4  The stack cannot be reached, the embedded pipeline failed, or every invariant held but the report or the verdict
///      could not be written
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, verbatim_doc_comment)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: RunArgs,
}

impl Cli {
    /// Returns the command to execute: `run` if the command line names none.
    #[must_use]
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Run(Box::new(self.run)))
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send messages, wait for the pipeline to drain, and judge the outcome (the default command)
    Run(Box<RunArgs>),
    /// List the scenarios, with what each one sends and expects
    List,
    /// Serve the embedded pipeline on 127.0.0.1, where the AWS CLI, boto3 and other producer commands can use it
    Local(LocalArgs),
    /// Search the table, the data lake, the queues and the logs for one event, and show its history or where it is stuck
    ///
    /// On AWS, `trace` uses your own credentials, which need these permissions:
    ///   dynamodb:Query          on the table
    ///   s3:ListBucketVersions   on the bucket
    ///   s3:GetObject            on the objects under the prefix
    ///   s3:GetObjectVersion     on the objects under the prefix, to compare the versions of an object that was deleted and restored
    ///   logs:FilterLogEvents    on both log groups
    ///   sqs:GetQueueAttributes  on the ingestion queue, the dead-letter queue and the on-failure queue
    ///   sqs:ReceiveMessage      on the dead-letter queue
    ///   sqs:GetQueueUrl         on the dead-letter queue, unless --dlq-url or the Terraform outputs give its URL
    ///   kms:Decrypt             on the stack's customer-managed keys, if it has any
    ///
    /// Reading the dead-letter queue hides its messages from other consumers for 20 seconds.
    ///
    /// The log search reads all log lines since --since, at a few pages per second. On a busy log, it takes minutes.
    /// The search stops after 500 pages, and `trace` then reports that the search is incomplete. Unlike a query of
    /// CloudWatch Logs Insights, this search has no charge per gigabyte.
    ///
    /// Exit codes:
    ///   0  The event is archived
    ///   1  The event is not archived, or its object has more than one version
    ///   2  The command line or the Terraform state cannot be used
    ///   3  Unknown, because the table, the bucket, a queue or a log could not be read
    ///   4  The stack cannot be reached
    #[command(verbatim_doc_comment)]
    Trace(Box<TraceArgs>),
}

/// Options of a run: which messages to send, which pipeline to send them to, and how to show the result.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Scenario to run; the command `list` shows all scenarios [default: herd]
    #[arg(value_name = "NAME", value_parser = scenario(), hide_possible_values = true, conflicts_with_all = ["file", "distinct"])]
    pub scenario: Option<&'static Scenario>,

    /// Number of messages to send [default: depends on the scenario]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_MESSAGES)), conflicts_with_all = ["file", "duration"])]
    pub messages: Option<u32>,

    /// Number of messages to send per second [default: 50 for soak, otherwise unlimited]
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: Option<u32>,

    /// Send messages at --rate for this many seconds, instead of sending a fixed number of messages
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "file")]
    pub duration: Option<Duration>,

    /// Number of messages per SQS request [default: 1 for herd, which sends each message on its own; otherwise 10]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub batch_size: Option<u8>,

    /// Maximum number of SQS requests in flight while sending
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub concurrency: u32,

    /// Event id to send; a scenario with several events appends a number to this id
    #[arg(long, default_value = "grid_stress_999", value_parser = event_id, conflicts_with = "file")]
    pub event_id: String,

    /// Make every message a different event; the same as `run distinct`
    #[arg(long, conflicts_with = "file")]
    pub distinct: bool,

    /// Share of the messages that are duplicates, from 0 to 1 (only for mixed, redelivery, outage and soak) [default: 0.5]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub duplicates: Option<f64>,

    /// Exponent of the Zipf distribution that spreads the duplicates over the events; 0 spreads them evenly (only for mixed,
    /// redelivery, outage and soak) [default: 1]
    #[arg(long, value_name = "EXPONENT", value_parser = exponent)]
    pub zipf: Option<f64>,

    /// Send the events in this file instead of generated ones; each line is one JSON value and is sent unchanged. With
    /// `--dedup-key attribute:NAME`, each line is a message as `aws sqs receive-message` prints it: an object whose `Body` and
    /// `MessageAttributes` are sent
    #[arg(long, value_name = "FILE.ndjson")]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Number of times to send each message; if it is more than 1, --seed decides the order of all messages
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub copies: u32,

    /// Seed for the content and order of the messages: two runs with the same seed and options send the same messages,
    /// byte for byte
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    #[command(flatten)]
    pub target: TargetArgs,

    /// Use the embedded pipeline, even if a deployed stack is configured
    #[arg(long, conflicts_with_all = ["queue_url", "table", "bucket", "object_prefix", "ingest_log_group", "archive_log_group", "dlq_url", "terraform_dir"])]
    pub local: bool,

    #[command(flatten)]
    pub embedded: EmbeddedArgs,

    /// Time limit for the pipeline to drain after the last send. Sending may take the time that --rate requires plus this
    /// timeout
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = seconds)]
    pub timeout: Duration,

    /// Print the functions' log lines as they arrive
    #[arg(long)]
    pub logs: bool,

    /// Print each item of the estimated AWS cost (embedded pipeline only); --json and --report always include these items
    #[arg(long)]
    pub bill: bool,

    /// Print only the report, as one JSON object
    #[arg(long)]
    pub json: bool,

    /// Write a self-contained HTML report to this file
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
}

impl RunArgs {
    /// Returns the scenario that the command line selects, or `herd` if it selects none.
    #[must_use]
    pub fn chosen_scenario(&self) -> &'static Scenario {
        let named = |name| Scenario::named(name).expect("SCENARIOS contains this name");
        match self.scenario {
            Some(scenario) => scenario,
            None if self.file.is_some() => &FILE,
            None if self.distinct => named("distinct"),
            None => named("herd"),
        }
    }
}

/// The settings of the functions, each in the form of the function's environment variable.
#[derive(Clone, Debug, Default, Args)]
pub struct SettingsArgs {
    /// Dedup key: a JSON Pointer, a JSON array of JSON Pointers, `attribute:NAME` or `content` [default: from the Terraform
    /// outputs, otherwise /event_id]
    #[arg(long, value_name = "KEY")]
    pub dedup_key: Option<String>,

    /// Members that do not count when two bodies are compared, as a JSON array of JSON Pointers [default: from the Terraform
    /// outputs, otherwise []]
    #[arg(long, value_name = "POINTERS")]
    pub conflict_ignore: Option<String>,

    /// True if the functions log the outcomes won, duplicate, written, already_there and skipped, false if they do not
    /// [default: from the Terraform outputs, otherwise true]
    #[arg(long, value_name = "BOOL")]
    pub log_routine_outcomes: Option<bool>,
}

/// Settings of the embedded pipeline that do not affect the verdict.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct EmbeddedArgs {
    /// Archive many events in one object: the embedded pipeline runs with `LAKE_LAYOUT=packs`, larger batches, and a filter that
    /// passes packs
    #[arg(long)]
    pub packs: bool,

    /// Write several claims with one request: the embedded pipeline runs with `CLAIM_WRITES=batch`
    #[arg(long)]
    pub batched_claims: bool,
}

/// Options of `local`.
#[derive(Clone, Debug, Args)]
pub struct LocalArgs {
    /// Port on 127.0.0.1 to listen on; 0 picks a free port
    #[arg(long, default_value_t = 4566)]
    pub port: u16,

    #[command(flatten)]
    pub settings: SettingsArgs,

    #[command(flatten)]
    pub embedded: EmbeddedArgs,
}

/// Options of `trace`: the event, and the stack to search.
#[derive(Clone, Debug, Args)]
pub struct TraceArgs {
    /// Event id to look up, as in the log: for a dedup key of several pointers, a JSON array such as '["urn:shop-a","7"]'
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub event_id: String,

    #[command(flatten)]
    pub target: TargetArgs,

    /// URL of the stream mapping's on-failure queue [default: from the Terraform outputs]
    #[arg(long, value_name = "URL")]
    pub on_failure_url: Option<String>,

    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Search the logs from this time on, for example 2026-11-23T09:41:07Z [default: one day before the event was claimed,
    /// or one day ago if it has no claim]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<DateTime<Utc>>,

    /// Age at which the stack's stream mapping discards a record: the value of the Terraform variable
    /// `archive.maximum_record_age_seconds`
    #[arg(long, value_name = "SECONDS", default_value = "79200", value_parser = seconds)]
    pub record_age: Duration,

    /// Print only the result, as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Options that identify a deployed stack: the names of its resources, or the folder with its Terraform state.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// URL of the queue that producers send to [default: `SQS_QUEUE_URL`, otherwise from the Terraform outputs]
    #[arg(long, value_name = "URL")]
    pub queue_url: Option<String>,

    /// Name of the claim table [default: from the Terraform outputs]
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,

    /// Name of the data lake's bucket [default: from the Terraform outputs]
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,

    /// Key prefix of the data lake's objects [default: from the Terraform outputs, otherwise events/]
    #[arg(long, value_name = "PREFIX")]
    pub object_prefix: Option<String>,

    /// Name of ingest-fn's log group [default: from the Terraform outputs]
    #[arg(long, value_name = "NAME")]
    pub ingest_log_group: Option<String>,

    /// Name of archive-fn's log group [default: from the Terraform outputs]
    #[arg(long, value_name = "NAME")]
    pub archive_log_group: Option<String>,

    /// URL of the dead-letter queue [default: from the Terraform outputs, otherwise from the queue's redrive policy]
    #[arg(long, value_name = "URL")]
    pub dlq_url: Option<String>,

    /// Folder that holds the stack's Terraform state [default: terraform]
    #[arg(long, value_name = "DIR", value_parser = PathBufValueParser::new().try_map(folder))]
    pub terraform_dir: Option<PathBuf>,
}

impl TargetArgs {
    /// Returns true if the command line names the table, the bucket, the object prefix and both log groups. If the
    /// queue is named too, the producer does not need the Terraform outputs. `--dlq-url` may be missing, because the
    /// queue's redrive policy names the dead-letter queue.
    pub(crate) fn names_all(&self) -> bool {
        let Self { table, bucket, object_prefix, ingest_log_group, archive_log_group, .. } = self;
        [table, bucket, object_prefix, ingest_log_group, archive_log_group].iter().all(|name| name.is_some())
    }

    /// Returns true if the command line names any part of a stack except its queue.
    pub(crate) fn names_any(&self) -> bool {
        let Self { table, bucket, object_prefix, ingest_log_group, archive_log_group, dlq_url, .. } = self;
        [table, bucket, object_prefix, ingest_log_group, archive_log_group, dlq_url].iter().any(|name| name.is_some())
    }
}

fn scenario() -> impl clap::builder::TypedValueParser<Value = &'static Scenario> {
    let names = PossibleValuesParser::new(SCENARIOS.iter().map(|scenario| scenario.name));
    names.map(|name| Scenario::named(&name).expect("the parser accepts only names in SCENARIOS"))
}

fn event_id(value: &str) -> Result<String, String> {
    // A scenario may append its name and a number, such as `-redelivery-2000000`.
    let max_bytes = claim::key::MAX_EVENT_ID_BYTES - 20;
    match value.len() {
        0 => Err("must not be empty".to_owned()),
        bytes if bytes > max_bytes => Err(format!("must be at most {max_bytes} bytes long")),
        _ => match refused_character(value).filter(|c| *c >= ' ') {
            Some(c) => Err(format!("must not contain {}: SQS does not accept it", code_point(c))),
            // SQS does not accept control characters either, but in the JSON body they are escaped.
            None => Ok(value.to_owned()),
        },
    }
}

fn share(value: &str) -> Result<f64, String> {
    match value.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a number from 0 to 1".to_owned()),
    }
}

fn exponent(value: &str) -> Result<f64, String> {
    match value.parse() {
        Ok(exponent) if (0.0..=10.0).contains(&exponent) => Ok(exponent),
        _ => Err("must be a number from 0 to 10".to_owned()),
    }
}

fn moment(value: &str) -> Result<DateTime<Utc>, String> {
    let time = DateTime::parse_from_rfc3339(value);
    time.map(|time| time.to_utc()).map_err(|_| "must be a time such as 2026-11-23T09:41:07Z".to_owned())
}

fn folder(folder: PathBuf) -> Result<PathBuf, &'static str> {
    // A misspelled folder must be an error, because a fallback to the embedded pipeline would hide the mistake.
    if folder.is_dir() { Ok(folder) } else { Err("no such folder") }
}

fn seconds(value: &str) -> Result<Duration, String> {
    match value.parse() {
        Ok(seconds @ 1..=604_800) => Ok(Duration::from_secs(seconds)),
        _ => Err("must be a whole number from 1 to 604800".to_owned()),
    }
}
