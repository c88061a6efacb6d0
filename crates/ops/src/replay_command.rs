//! `ops replay`: its arguments, what it prints, and its exit codes.

use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use chrono::{DateTime, NaiveDate, Utc};
use claim::ObjectPrefix;
use lambda_support::https;
use ops::command_line::{error_line, write_line};
use ops::replay::{ReplayError, ReplayOutcome, ReplaySettings, replay};

/// Maximum number of items to print per category.
const MAX_LISTED: usize = 20;

// Exit codes; the help describes them.
const MISSING: u8 = 1;
pub(crate) const UNUSABLE: u8 = 2;
const FAILED: u8 = 3;
const UNREACHABLE: u8 = 4;
const NOT_RECOVERABLE: u8 = 5;

/// Find claims in the table that have no object in the lake; with --write, also write the missing objects
///
/// Use it after an outage that outlasted the stream mapping's retries (22 hours by default). The objects are identical
/// to those that archive-fn would have written.
///
/// You can interrupt a replay and run it again, even while archive-fn is running: no object gets a second version. The
/// next run continues from the checkpoint folder.
///
/// A replay uses your own credentials. They need these permissions:
///   dynamodb:DescribeTable   on the table
///   dynamodb:Scan            on the table
///   dynamodb:GetItem         on the table
///   s3:ListBucket            on the bucket
///   s3:PutObject             on the objects under the prefix
///   kms:Decrypt              on the table's key, if it is customer-managed
///   kms:GenerateDataKey      on the bucket's key, if it is customer-managed
///
/// Exit codes:
///   0  No claim is left without its object
///   1  Dry run: some claims have no object, or some items cannot be read as claims
///   2  The command line or the checkpoint folder cannot be used, or the lake has no objects
///   3  Some objects could not be written; the next run with --write tries them again
///   4  The table or the bucket cannot be read, or 200 writes in a row failed; the next run continues from the checkpoint
///   5  With --write: some claims have no object and cannot get one, because they are no longer in the table ("gone") or
///      cannot be read ("unusable"). The next run scans the whole table again and lists these claims again;
///      without --write, it omits those that are gone
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ReplayArgs {
    /// Name of the claim table
    #[arg(long, value_name = "NAME")]
    table: String,

    /// Name of the data lake's bucket
    #[arg(long, value_name = "NAME")]
    bucket: String,

    /// Prefix of the lake's objects in the bucket; must be the same as `OBJECT_PREFIX` of archive-fn
    #[arg(long, value_name = "PREFIX", default_value = "events/", value_parser = ObjectPrefix::parse)]
    object_prefix: ObjectPrefix,

    /// Write the missing objects; without this flag, only count them (dry run)
    #[arg(long)]
    write: bool,

    /// Ignore claims made before this time, for example 2026-11-23 or 2026-11-23T09:41:07Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<DateTime<Utc>>,

    /// Leave claims made at or after this time to the stream [default: 15 minutes before the replay starts]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<DateTime<Utc>>,

    /// Maximum number of objects to write per second, in addition to archive-fn's own writes
    #[arg(long, value_name = "OBJECTS", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,

    /// Number of table segments to scan in parallel
    #[arg(long, value_name = "NUMBER", default_value = "4", value_parser = clap::value_parser!(u32).range(1..=100))]
    segments: u32,

    /// Maximum number of table pages to read per second; a page has 1 MB and costs 256 read units
    #[arg(long, value_name = "PAGES", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    scan_rate: u32,

    /// Allow a lake that has no objects under the prefix yet
    #[arg(long)]
    new_lake: bool,

    /// Folder for the replay's progress; created if necessary, and removed when nothing is left to do
    #[arg(long, value_name = "DIR", default_value = "replay-checkpoint")]
    checkpoint: PathBuf,
}

/// Runs the replay, prints the outcome, and returns the exit code.
pub(crate) async fn run(args: ReplayArgs) -> ExitCode {
    let settings = args.settings();
    match replay(&sdk_config().await, &settings, &note).await {
        Ok(outcome) => {
            let printed = print_outcome(&outcome, &settings, &mut io::stdout().lock());
            match printed {
                // If the reader closed the pipe, the exit code is still correct.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    note(&format!("error: failed to print the outcome: {error}"));
                    FAILED.into()
                }
                _ => exit_code(&outcome, &settings),
            }
        }
        Err(error) => {
            note(&format!("error: {}", error_line(&error)));
            match error {
                ReplayError::NewLake { .. }
                | ReplayError::EmptyTimeRange { .. }
                | ReplayError::Worklist(_)
                | ReplayError::Packed { .. } => UNUSABLE.into(),
                ReplayError::Describe { .. }
                | ReplayError::Table { .. }
                | ReplayError::Bucket { .. }
                | ReplayError::Outage(_) => UNREACHABLE.into(),
            }
        }
    }
}

impl ReplayArgs {
    fn settings(self) -> ReplaySettings {
        let non_zero = |number| NonZeroU32::new(number).expect("the flag's range starts at 1");
        ReplaySettings {
            table: self.table,
            bucket: self.bucket,
            object_prefix: self.object_prefix,
            since: self.since,
            until: self.until,
            write: self.write,
            new_lake: self.new_lake,
            rate: non_zero(self.rate),
            segments: non_zero(self.segments),
            scan_rate: non_zero(self.scan_rate),
            checkpoint: self.checkpoint,
        }
    }
}

fn parse_time(value: &str) -> Result<DateTime<Utc>, String> {
    let day = || value.parse::<NaiveDate>().ok().map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc());
    let time = || DateTime::parse_from_rfc3339(value).ok().map(|time| time.to_utc());
    day().or_else(time).ok_or("must be a day such as 2026-11-23 or a time such as 2026-11-23T09:41:07Z".to_owned())
}

/// Loads the SDK configuration. The timeouts are longer than those of the functions, because a replay has no deadline
/// and a scan page of 1 MB may arrive over a slow line. It allows more retries than the functions do, so that a write
/// survives a minute of errors from S3.
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

/// Prints the partitions that have missing objects, then the gone, unusable and failed items, then the totals.
fn print_outcome(outcome: &ReplayOutcome, settings: &ReplaySettings, out: &mut impl io::Write) -> io::Result<()> {
    for (partition, missing) in &outcome.missing {
        write_line(out, format_args!("{partition}: {missing} {} without an object", claim_or_claims(*missing)))?;
    }
    let gone = |key: &String| (key.clone(), "deleted or replaced after the scan".to_owned());
    let gone: Vec<_> = outcome.gone.iter().map(gone).collect();
    for (category, items) in [("gone", &gone), ("unusable", &outcome.unusable), ("failed", &outcome.failed)] {
        for (partition_key, reason) in items.iter().take(MAX_LISTED) {
            write_line(out, format_args!("{category}: {partition_key}: {reason}"))?;
        }
        if let Some(more @ 1..) = items.len().checked_sub(MAX_LISTED) {
            writeln!(out, "{category}: and {more} more")?;
        }
    }
    let ReplayOutcome { compared, missing, written, already_there, unusable, failed, until, .. } = outcome;
    let missing: u64 = missing.values().sum();
    writeln!(
        out,
        "compared {compared} {} made before {}: {missing} without an object",
        claim_or_claims(*compared),
        until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    )?;
    let (gone, unusable, failed) = (gone.len(), unusable.len(), failed.len());
    if *compared == 0 {
        writeln!(out, "no claims matched: check --table, --since and --until")?;
    }
    if settings.write {
        writeln!(
            out,
            "{written} written, {already_there} already there, {gone} no longer in the table, {unusable} quarantined, {failed} \
             failed"
        )?;
        if gone + unusable > 0 {
            writeln!(out, "claims that are gone or unusable have no object, and another run cannot write one")?;
        }
        Ok(())
    } else if missing > 0 || unusable > 0 {
        if missing > 0 && missing == *compared {
            writeln!(
                out,
                "none of these claims has an object: check that --bucket and --object-prefix are those of this table's archive-fn"
            )?;
        }
        writeln!(out, "this was a dry run: nothing was written. Run the same command with --write to write the objects")
    } else {
        Ok(())
    }
}

fn claim_or_claims(number: u64) -> &'static str {
    if number == 1 { "claim" } else { "claims" }
}

fn exit_code(outcome: &ReplayOutcome, settings: &ReplaySettings) -> ExitCode {
    if !outcome.failed.is_empty() {
        return FAILED.into();
    }
    // With `--write`, `missing` counts the claims that had no object before their objects were written.
    let missing = !settings.write && !outcome.missing.is_empty();
    if !missing && outcome.gone.is_empty() && outcome.unusable.is_empty() {
        return ExitCode::SUCCESS;
    }
    if settings.write { NOT_RECOVERABLE.into() } else { MISSING.into() }
}

/// Prints a progress line or an error to standard error.
pub(crate) fn note(text: &str) {
    // If standard error is closed, the exit code is all that the caller gets.
    let _ = write_line(&mut io::stderr(), text);
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ReplayArgs,
    }

    fn settings(arguments: &[&str]) -> ReplaySettings {
        let stack = ["replay", "--table", "claims", "--bucket", "lake"];
        Cli::try_parse_from(stack.iter().chain(arguments)).unwrap().args.settings()
    }

    /// Returns the printed lines and the exit code.
    fn report(outcome: &ReplayOutcome, arguments: &[&str]) -> (Vec<String>, ExitCode) {
        let mut out = Vec::new();
        print_outcome(outcome, &settings(arguments), &mut out).unwrap();
        let lines = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
        (lines, exit_code(outcome, &settings(arguments)))
    }

    fn outcome(compared: u64, missing: u64) -> ReplayOutcome {
        let missing = (missing > 0).then(|| ("dt=2026-11-23/hour=09".to_owned(), missing)).into_iter().collect();
        ReplayOutcome { compared, missing, ..ReplayOutcome::default() }
    }

    fn items(number: usize) -> Vec<(String, String)> {
        (1..=number).map(|number| (format!("EVENT#{number}"), "because".to_owned())).collect()
    }

    const DRY_RUN: &str =
        "this was a dry run: nothing was written. Run the same command with --write to write the objects";
    const WRONG_BUCKET: &str = "none of these claims has an object: check that --bucket and --object-prefix are those of this \
                                table's archive-fn";
    const LOST: &str = "claims that are gone or unusable have no object, and another run cannot write one";

    /// A dry run prints the partitions and totals. It suggests `--write` only if there is something to write, and warns
    /// of a wrong bucket only if no claim has an object. The exit code is 1 if anything is left.
    #[test]
    fn dry_run_report_is_exact() {
        const MADE: &str = "made before 1970-01-01T00:00:00Z:";
        let unusable = |compared| ReplayOutcome { unusable: items(1), ..outcome(compared, 0) };
        let partition = |claims: &str| format!("dt=2026-11-23/hour=09: {claims} without an object");
        let totals = |claims: &str, missing: u64| format!("compared {claims} {MADE} {missing} without an object");
        let item = || "unusable: EVENT#1: because".to_owned();
        for (outcome, expected, code) in [
            (outcome(2, 0), vec![totals("2 claims", 0)], ExitCode::SUCCESS),
            (
                outcome(2, 1),
                vec![partition("1 claim"), totals("2 claims", 1), DRY_RUN.to_owned()],
                ExitCode::from(MISSING),
            ),
            (
                outcome(2, 2),
                vec![partition("2 claims"), totals("2 claims", 2), WRONG_BUCKET.to_owned(), DRY_RUN.to_owned()],
                ExitCode::from(MISSING),
            ),
            (unusable(1), vec![item(), totals("1 claim", 0), DRY_RUN.to_owned()], ExitCode::from(MISSING)),
            (
                unusable(0),
                vec![
                    item(),
                    totals("0 claims", 0),
                    "no claims matched: check --table, --since and --until".to_owned(),
                    DRY_RUN.to_owned(),
                ],
                ExitCode::from(MISSING),
            ),
        ] {
            assert_eq!(report(&outcome, &[]), (expected, code));
        }
    }

    /// A run with `--write` prints what it wrote. If claims are gone or unusable, it says that they are lost, and exits
    /// with 5. If any write failed, it exits with 3 instead, because another run may succeed.
    #[test]
    fn write_report_is_exact() {
        let all = outcome(2, 2);
        for (outcome, numbers, is_lost, code) in [
            (ReplayOutcome { written: 2, ..all.clone() }, [2, 0, 0, 0, 0], false, ExitCode::SUCCESS),
            (ReplayOutcome { already_there: 2, ..all.clone() }, [0, 2, 0, 0, 0], false, ExitCode::SUCCESS),
            (
                ReplayOutcome { written: 1, gone: vec!["EVENT#1".to_owned()], ..all.clone() },
                [1, 0, 1, 0, 0],
                true,
                ExitCode::from(NOT_RECOVERABLE),
            ),
            (
                ReplayOutcome { written: 1, unusable: items(1), ..all.clone() },
                [1, 0, 0, 1, 0],
                true,
                ExitCode::from(NOT_RECOVERABLE),
            ),
            (ReplayOutcome { written: 1, failed: items(1), ..all.clone() }, [1, 0, 0, 0, 1], false, FAILED.into()),
            (ReplayOutcome { unusable: items(1), failed: items(1), ..all }, [0, 0, 0, 1, 1], true, FAILED.into()),
        ] {
            let [written, there, gone, unusable, failed] = numbers;
            let numbers = format!(
                "{written} written, {there} already there, {gone} no longer in the table, {unusable} quarantined, {failed} \
                 failed"
            );
            let (lines, exit_code) = report(&outcome, &["--write"]);
            assert_eq!(exit_code, code, "{lines:?}");
            let last = lines.iter().rev().take(1 + usize::from(is_lost)).rev().map(String::as_str).collect::<Vec<_>>();
            let expected = [numbers.as_str()].into_iter().chain(is_lost.then_some(LOST)).collect::<Vec<_>>();
            assert_eq!(last, expected);
        }
    }

    /// The report lists at most twenty items per category, and counts the others.
    #[test]
    fn report_lists_twenty_items() {
        for (number, listed, more) in [(20, 20, None), (21, 20, Some("failed: and 1 more"))] {
            let failed = ReplayOutcome { failed: items(number), ..outcome(30, 30) };
            let (lines, _) = report(&failed, &["--write"]);
            assert_eq!(lines.iter().filter(|line| line.starts_with("failed: EVENT#")).count(), listed);
            assert_eq!(lines.iter().find(|line| line.starts_with("failed: and ")).map(String::as_str), more);
        }
    }

    /// A time is a day in UTC or a time with an offset.
    #[test]
    fn times_are_days_or_rfc_3339() {
        for (text, expected) in [
            ("2026-11-23", "2026-11-23T00:00:00+00:00"),
            ("2026-11-23T09:41:07Z", "2026-11-23T09:41:07+00:00"),
            ("2026-11-23T09:41:07-03:00", "2026-11-23T12:41:07+00:00"),
        ] {
            assert_eq!(parse_time(text).unwrap().to_rfc3339(), expected);
        }
        for text in ["", "yesterday", "2026-11-31", "2026-11-23T09:41:07"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
