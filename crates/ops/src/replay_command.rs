//! `ops replay`: its arguments, what it prints, and its exit codes.

use std::io::{self, Write as _};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use chrono::{DateTime, NaiveDate, Utc};
use claim::ObjectPrefix;
use lambda_support::{error_chain, https};
use ops::replay::{ReplayError, ReplayOutcome, ReplaySettings, replay};

/// As many keys of a kind are listed. The checkpoint folder has all of them.
const MOST_LISTED: usize = 20;

const MISSING: u8 = 1;
pub(crate) const UNUSABLE: u8 = 2;
const FAILED: u8 = 3;
const UNREACHABLE: u8 = 4;

/// Finds claims in the table that have no object in the lake, and with --write writes those objects, as archive-fn would have.
///
/// For the day after an outage that was longer than the stream's patience. It may be killed and run again, as often as one
/// likes, beside a running archive-fn: no object gets a second version.
///
/// It runs with your own credentials, which need: dynamodb:Scan and dynamodb:GetItem on the table; s3:ListBucket on the bucket;
/// s3:PutObject under the prefix; and with customer-managed keys kms:Decrypt on the table's and kms:GenerateDataKey on the
/// bucket's.
///
/// Exit codes: 0 no claim is left without its object; 1 some are, and this was a dry run; 2 the command or the checkpoint folder
/// cannot be used, or the lake is empty; 3 some objects could not be written, and are tried again by the next run; 4 the table or
/// the bucket cannot be read, or written to at all: the next run goes on from there.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// The table of claims
    #[arg(long, value_name = "NAME")]
    table: String,

    /// The bucket of the data lake
    #[arg(long, value_name = "NAME")]
    bucket: String,

    /// Where the lake begins in its bucket: the `OBJECT_PREFIX` of archive-fn
    #[arg(long, value_name = "PREFIX", default_value = "events/", value_parser = ObjectPrefix::parse)]
    object_prefix: ObjectPrefix,

    /// Write the missing objects; without it, they are only counted (a dry run)
    #[arg(long)]
    write: bool,

    /// Pass over claims made before this moment: 2026-11-23, or 2026-11-23T09:41:07Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<DateTime<Utc>>,

    /// Leave claims made at or after this moment to the stream [default: 15 minutes before the replay began]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<DateTime<Utc>>,

    /// Objects to write in a second at the most, beside what archive-fn writes
    #[arg(long, value_name = "OBJECTS", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,

    /// Segments in which the table is scanned at once
    #[arg(long, value_name = "NUMBER", default_value = "4", value_parser = clap::value_parser!(u32).range(1..=100))]
    segments: u32,

    /// Pages of the table to read in a second at the most; each is of 1 MB, which is 256 read units
    #[arg(long, value_name = "PAGES", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    scan_rate: u32,

    /// There may be nothing under the prefix yet
    #[arg(long)]
    new_lake: bool,

    /// Folder that keeps how far the replay is; it is made, and removed when nothing is left to do
    #[arg(long, value_name = "DIR", default_value = "replay-checkpoint")]
    checkpoint: PathBuf,
}

/// Replays, prints the outcome, and returns the exit code.
pub(crate) async fn run(args: ReplayArgs) -> ExitCode {
    let settings = args.settings();
    match replay(&sdk_config().await, &settings, &note).await {
        Ok(outcome) => {
            let shown = show(&outcome, &settings, &mut io::stdout().lock());
            match shown {
                // Whoever stopped reading still gets the exit code.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    note(&format!("error: what came of it cannot be printed: {error}"));
                    FAILED.into()
                }
                _ => exit_code(&outcome, &settings),
            }
        }
        Err(error) => {
            note(&format!("error: {}", error_chain(&error)));
            match error {
                ReplayError::NewLake { .. } | ReplayError::NothingBetween { .. } | ReplayError::Worklist(_) => {
                    UNUSABLE.into()
                }
                ReplayError::Table { .. } | ReplayError::Bucket { .. } | ReplayError::Outage(_) => UNREACHABLE.into(),
            }
        }
    }
}

impl ReplayArgs {
    fn settings(self) -> ReplaySettings {
        let more_than_0 = |number| NonZeroU32::new(number).expect("the range begins at 1");
        ReplaySettings {
            table: self.table,
            bucket: self.bucket,
            object_prefix: self.object_prefix,
            since: self.since,
            until: self.until,
            write: self.write,
            new_lake: self.new_lake,
            rate: more_than_0(self.rate),
            segments: more_than_0(self.segments),
            scan_rate: more_than_0(self.scan_rate),
            checkpoint: self.checkpoint,
        }
    }
}

fn moment(value: &str) -> Result<DateTime<Utc>, String> {
    let day = || value.parse::<NaiveDate>().ok().map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc());
    let time = || DateTime::parse_from_rfc3339(value).ok().map(|time| time.to_utc());
    day().or_else(time).ok_or("must be a day as 2026-11-23 or a time as 2026-11-23T09:41:07Z".to_owned())
}

/// For a person's patience and a slow line, where the functions' own settings are for a deadline: a page of the scan is 1 MB,
/// and an object that S3 refuses for a minute is not given up.
async fn sdk_config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(60))
        .build();
    let retries = RetryConfig::standard().with_max_attempts(8).with_max_backoff(Duration::from_secs(20));
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(https::client())
        .timeout_config(timeouts)
        .retry_config(retries)
        .load()
        .await
}

/// Claims by partition where there is anything to say, then what went wrong, then the sum.
fn show(outcome: &ReplayOutcome, settings: &ReplaySettings, out: &mut impl io::Write) -> io::Result<()> {
    for (partition, missing) in &outcome.missing {
        writeln!(out, "{partition}: {missing} {} without an object", claims(*missing))?;
    }
    let gone = |key: &String| (key.clone(), "deleted or replaced since its claim was found".to_owned());
    let gone: Vec<_> = outcome.gone.iter().map(gone).collect();
    for (what, items) in [("gone", &gone), ("unusable", &outcome.unusable), ("failed", &outcome.failed)] {
        for (partition_key, why) in items.iter().take(MOST_LISTED) {
            writeln!(out, "{what}: {partition_key}: {why}")?;
        }
        if let Some(more @ 1..) = items.len().checked_sub(MOST_LISTED) {
            writeln!(out, "{what}: and {more} more")?;
        }
    }
    let ReplayOutcome { compared, missing, written, already_there, unusable, failed, until, .. } = outcome;
    let missing: u64 = missing.values().sum();
    writeln!(
        out,
        "compared {compared} {} made before {}: {missing} without an object",
        claims(*compared),
        until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    )?;
    let (gone, unusable, failed) = (gone.len(), unusable.len(), failed.len());
    if *compared == 0 {
        writeln!(out, "there was nothing to look at, and this says nothing: is that the table, and the time?")?;
    }
    if settings.write {
        writeln!(
            out,
            "{written} written, {already_there} already there, {gone} no longer in the table, {unusable} quarantined, {failed} \
             failed"
        )
    } else if missing > 0 || unusable > 0 {
        if missing > 0 && missing == *compared {
            writeln!(
                out,
                "not one of them has an object: is that the bucket and the prefix of this table's archive-fn?"
            )?;
        }
        writeln!(out, "this was a dry run: nothing was written. The same command with --write goes on from here")
    } else {
        Ok(())
    }
}

fn claims(number: u64) -> &'static str {
    if number == 1 { "claim" } else { "claims" }
}

fn exit_code(outcome: &ReplayOutcome, settings: &ReplaySettings) -> ExitCode {
    if !outcome.failed.is_empty() {
        FAILED.into()
    } else if settings.write || (outcome.missing.is_empty() && outcome.unusable.is_empty()) {
        ExitCode::SUCCESS
    } else {
        MISSING.into()
    }
}

pub(crate) fn note(text: &str) {
    // Where even standard error is closed, the exit code says what there is to say.
    let _ = writeln!(io::stderr(), "{text}");
}
