//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use claim::EventIdPointer;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::scenario::{FILE, SCENARIOS, Scenario};

/// Most messages of a run. Each takes about a kilobyte of the producer's memory until the verdict, beside its body.
pub const MOST_MESSAGES: u32 = 2_000_000;

/// Most bytes of a run's bodies, which are made or read before the first is sent. Copies share theirs.
pub const MOST_BODY_BYTES: u64 = 1 << 30;

/// Floods the pipeline with duplicates, waits until it is drained, and shows that each event became one object.
///
/// Prints what was sent and what came out, each invariant that does not hold, the verdict, and what it would cost on AWS.
///
/// Exit codes of a run: 0 every invariant held, and all was sent; 1 one was violated; 2 the command, a file or the Terraform state
/// cannot be used, and nothing was sent; 3 inconclusive: something could not be read, was not sent or not done in time, or Ctrl-C
/// ended the run before that, and what was seen until then violates nothing; 4 the stack cannot be reached, or the run held and its
/// report or verdict cannot be written.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: RunArgs,
}

impl Cli {
    /// What is to be done: a run, unless something else is said.
    #[must_use]
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Run(Box::new(self.run)))
    }
}

/// What the producer can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sends messages and judges what came of them: what is done without a command
    Run(Box<RunArgs>),
    /// Says which scenarios there are: what each sends, and what must come of it
    List,
    /// Keeps the embedded pipeline up behind one address of 127.0.0.1, for the AWS CLI, boto3 and the commands here
    Local(LocalArgs),
    /// Tells one event's story from table, lake, queues and logs, or where it is stuck
    ///
    /// Of AWS it reads with your own credentials, which need: dynamodb:GetItem on the table; s3:ListBucketVersions on the bucket
    /// and s3:GetObject under the prefix; logs:FilterLogEvents on both log groups; sqs:GetQueueAttributes on the queues, and
    /// sqs:ReceiveMessage on the dead-letter queue, which hides what it looks at for 20 s; and with customer-managed keys
    /// kms:Decrypt. Searching the logs costs nothing by the gigabyte, and goes through all that was logged since --since, some pages a
    /// second: a busy log takes minutes, and after 500 pages the story says that it was not searched to its end.
    ///
    /// Exit codes: 0 it is archived; 1 it is not, or its object has more than one version; 2 the command or the Terraform state
    /// cannot be used; 3 it cannot be told, because something could not be read; 4 the stack cannot be reached.
    Trace(Box<TraceArgs>),
}

/// What a run sends, where to, and how it is told.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The scenario to run, of those that `list` shows [default: herd]
    #[arg(value_name = "NAME", value_parser = scenario(), hide_possible_values = true, conflicts_with_all = ["file", "distinct"])]
    pub scenario: Option<&'static Scenario>,

    /// How many messages to send [default: as the scenario says]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_MESSAGES)), conflicts_with_all = ["file", "duration"])]
    pub messages: Option<u32>,

    /// Messages a second [default: as fast as they go, but for soak]
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: Option<u32>,

    /// Send for so long, at --rate
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "file")]
    pub duration: Option<Duration>,

    /// Messages in a request [default: 1 for herd, whose point is many single sends, and else 10]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub batch_size: Option<u8>,

    /// How many requests to send at once
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub concurrency: u32,

    /// The event that all messages carry
    #[arg(long, default_value = "grid_stress_999", value_parser = event_id, conflicts_with = "file")]
    pub event_id: String,

    /// Each message is an event of its own: the event id gets a number
    #[arg(long, conflicts_with = "file")]
    pub distinct: bool,

    /// Share of the messages that are duplicates, from 0 to 1, in scenarios that mix [default: 0.5]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub duplicates: Option<f64>,

    /// Exponent of Zipf's law, by which those duplicates fall on the events: 0 is evenly [default: 1]
    #[arg(long, value_name = "EXPONENT", value_parser = exponent)]
    pub zipf: Option<f64>,

    /// Send these events instead: one JSON value a line, as they are
    #[arg(long, value_name = "FILE.ndjson")]
    pub file: Option<PathBuf>,

    /// Where the event id stands in the events of --file (RFC 6901)
    #[arg(long, value_name = "POINTER", requires = "file", value_parser = EventIdPointer::parse)]
    pub event_id_pointer: Option<EventIdPointer>,

    /// Send each event so often, shuffled by --seed
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub copies: u32,

    /// Decides what is sent and in which order: the same seed sends the same messages, byte for byte
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Where to send.
    #[command(flatten)]
    pub target: TargetArgs,

    /// Use the embedded pipeline, whatever else is there
    #[arg(long, conflicts_with_all = ["queue_url", "table", "bucket", "object_prefix", "ingest_log_group", "archive_log_group", "dlq_url", "terraform_dir"])]
    pub local: bool,

    /// How long to wait for the pipeline to drain, once all is sent; and how much longer than at --rate sending may take
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = seconds)]
    pub timeout: Duration,

    /// Show the functions' log lines as they come
    #[arg(long)]
    pub logs: bool,

    /// Itemize what a million events like these would cost on AWS (embedded pipeline; in --json and --report without this flag)
    #[arg(long)]
    pub bill: bool,

    /// Print nothing but the verdict, as one JSON object
    #[arg(long)]
    pub json: bool,

    /// Write a page to look at, which needs nothing but itself
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
}

impl RunArgs {
    /// The scenario that the command line asks for.
    #[must_use]
    pub fn chosen_scenario(&self) -> &'static Scenario {
        let named = |name| Scenario::named(name).expect("the table has it");
        match self.scenario {
            Some(scenario) => scenario,
            None if self.file.is_some() => &FILE,
            None if self.distinct => named("distinct"),
            None => named("herd"),
        }
    }
}

/// Where the embedded pipeline is kept up.
#[derive(Clone, Debug, Args)]
pub struct LocalArgs {
    /// Port of 127.0.0.1, or 0 for a free one
    #[arg(long, default_value_t = 4566)]
    pub port: u16,

    /// Where a message's body has its event id (RFC 6901)
    #[arg(long, value_name = "POINTER", default_value = "/event_id", value_parser = EventIdPointer::parse)]
    pub event_id_pointer: EventIdPointer,
}

/// Which event's story is told, and from where.
#[derive(Clone, Debug, Args)]
pub struct TraceArgs {
    /// The event
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub event_id: String,

    /// The stack to look at.
    #[command(flatten)]
    pub target: TargetArgs,

    /// The stream mapping's on-failure queue, if the Terraform outputs do not say
    #[arg(long, value_name = "URL")]
    pub on_failure_url: Option<String>,

    /// Where a message's body has its event id, if the Terraform outputs do not say [default: `/event_id`]
    #[arg(long, value_name = "POINTER", value_parser = EventIdPointer::parse)]
    pub event_id_pointer: Option<EventIdPointer>,

    /// Search the logs from here on: 2026-11-23T09:41:07Z [default: a day before the claim, or before now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<DateTime<Utc>>,

    /// Age at which the stream's mapping gives a record up: the Terraform variable `archive_maximum_record_age_seconds`
    #[arg(long, value_name = "SECONDS", default_value = "79200", value_parser = seconds)]
    pub record_age: Duration,

    /// Print nothing but the story, as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A deployed stack, by its names or by its Terraform outputs.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// The queue that producers send to, instead of `SQS_QUEUE_URL` or that of the stack in --terraform-dir
    #[arg(long, value_name = "URL")]
    pub queue_url: Option<String>,

    /// The table of claims, if the Terraform outputs do not say
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,

    /// The bucket of the data lake, if the Terraform outputs do not say
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,

    /// Where the lake begins in its bucket, if the Terraform outputs do not say [default: events/]
    #[arg(long, value_name = "PREFIX")]
    pub object_prefix: Option<String>,

    /// Log group of ingest-fn, if the Terraform outputs do not say
    #[arg(long, value_name = "NAME")]
    pub ingest_log_group: Option<String>,

    /// Log group of archive-fn, if the Terraform outputs do not say
    #[arg(long, value_name = "NAME")]
    pub archive_log_group: Option<String>,

    /// The dead-letter queue, if the queue's redrive policy does not say
    #[arg(long, value_name = "URL")]
    pub dlq_url: Option<String>,

    /// Where to look for a Terraform state [default: terraform]
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub terraform_dir: Option<PathBuf>,
}

impl TargetArgs {
    /// The command line says all that the Terraform outputs could.
    pub(crate) fn names_all(&self) -> bool {
        let Self { table, bucket, object_prefix, ingest_log_group, archive_log_group, .. } = self;
        [table, bucket, object_prefix, ingest_log_group, archive_log_group].iter().all(|name| name.is_some())
    }

    /// The command line names a part of a stack other than its queue.
    pub(crate) fn names_any(&self) -> bool {
        let Self { table, bucket, object_prefix, ingest_log_group, archive_log_group, dlq_url, .. } = self;
        [table, bucket, object_prefix, ingest_log_group, archive_log_group, dlq_url].iter().any(|name| name.is_some())
    }
}

fn scenario() -> impl TypedValueParser<Value = &'static Scenario> {
    let names = PossibleValuesParser::new(SCENARIOS.iter().map(|scenario| scenario.name));
    names.map(|name| Scenario::named(&name).expect("it is one of the names"))
}

fn event_id(value: &str) -> Result<String, String> {
    // A scenario appends its name and a number: `-redelivery-2000000`.
    let most = claim::key::MAX_EVENT_ID_BYTES - 20;
    match value.len() {
        0 => Err("must not be empty".to_owned()),
        bytes if bytes > most => Err(format!("must not be longer than {most} bytes")),
        _ => Ok(value.to_owned()),
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
    time.map(|time| time.to_utc()).map_err(|_| "must be a time as 2026-11-23T09:41:07Z".to_owned())
}

fn folder(value: &str) -> Result<PathBuf, String> {
    let folder = PathBuf::from(value);
    // Whoever names a folder means a stack: a misspelt one must not end as a run on the embedded pipeline.
    if folder.is_dir() { Ok(folder) } else { Err("there is no such folder".to_owned()) }
}

fn seconds(value: &str) -> Result<Duration, String> {
    match value.parse() {
        Ok(seconds @ 1..=604_800) => Ok(Duration::from_secs(seconds)),
        _ => Err("must be a whole number from 1 to 604800".to_owned()),
    }
}
