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

/// Find claims and packs in the table that have no object in the lake; with --write, also write the missing objects
///
/// Use it after an outage that outlasted the stream mapping's retries (22 hours by default). The objects are identical
/// to those that archive-fn would have written. With --write, packed claims that no pack lists are put into packs first.
///
/// You can interrupt a replay and run it again, even while archive-fn is running: no object gets a second version. The
/// next run continues from the checkpoint folder.
///
/// A replay uses your own credentials. They need these permissions:
///   dynamodb:DescribeTable   on the table
///   dynamodb:Scan            on the table
///   dynamodb:GetItem         on the table
///   dynamodb:PutItem         on items of the table whose key begins with PACK# (only with --write)
///   s3:ListBucket            on the bucket
///   s3:GetObject             on the objects under the prefix (only with --write)
///   s3:PutObject             on the objects under the prefix (only with --write)
///   kms:Decrypt              on the keys of the table and the bucket, if they are customer-managed
///   kms:GenerateDataKey      on the bucket's key, if it is customer-managed
///
/// Exit codes:
///   0  No claim is left without its object, and no packed claim without a pack in the lake, unless it expired more than
///      half a day ago
///   1  Dry run: some claims or packs have no object, some packed claims have no pack, or some items cannot be read
///   2  The command line or the checkpoint folder cannot be used, the lake has no objects, or it has a layout that this
///      version does not know
///   3  Some objects or packs could not be written; the next run with --write tries them again
///   4  The table or the bucket cannot be read, or 200 writes in a row failed; the next run continues from the checkpoint
///   5  With --write: this run could not write some objects, and no later run can: the items are no longer in the table
///      ("gone") or cannot be read ("unusable"). The next run scans the whole table again and lists these claims again;
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

    /// Ignore claims made before this time, and packs without later claims, for example 2026-11-23 or 2026-11-23T09:41:07Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<DateTime<Utc>>,

    /// Leave claims made at or after this time to the stream [default: 15 minutes before the replay starts]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<DateTime<Utc>>,

    /// Maximum number of objects to write and packs to settle per second, in addition to the functions' own writes
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
                | ReplayError::UnknownLayout { .. } => UNUSABLE.into(),
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

/// Prints the partitions that have missing objects or unsettled claims, then the gone, unusable and failed items, then the
/// totals.
fn print_outcome(outcome: &ReplayOutcome, settings: &ReplaySettings, out: &mut impl io::Write) -> io::Result<()> {
    for (numbers, noun, lack) in [
        (&outcome.missing, "claim", "without an object"),
        (&outcome.missing_packs, "pack", "without an object"),
        (&outcome.unsettled, "packed claim", "without a pack"),
    ] {
        for (partition, number) in numbers {
            write_line(out, format_args!("{partition}: {} {lack}", counted(*number, noun)))?;
        }
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
    let ReplayOutcome { compared, packed, packs, settled, rebuilt, too_old, written, already_there, .. } = outcome;
    let [missing, missing_packs, unsettled] =
        [&outcome.missing, &outcome.missing_packs, &outcome.unsettled].map(|numbers| numbers.values().sum::<u64>());
    let has_packs = packed + packs + missing_packs + unsettled > 0;
    let until = outcome.until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    writeln!(out, "compared {} made before {until}: {missing} without an object", counted(*compared, "claim"))?;
    if has_packs {
        writeln!(
            out,
            "{packed} of them are packed: {unsettled} without a pack; compared {}: {missing_packs} without an object",
            counted(*packs, "pack")
        )?;
    }
    if *too_old > 0 {
        writeln!(
            out,
            "{} expired more than 12 hours ago and may have lost the pack to TTL: left alone",
            counted(*too_old, "packed claim")
        )?;
    }
    let (gone, unusable, failed) = (gone.len(), outcome.unusable.len(), outcome.failed.len());
    if compared + packs == 0 {
        writeln!(out, "no claims matched: check --table, --since and --until")?;
    }
    if settings.write {
        if has_packs {
            writeln!(out, "{} settled, {} rebuilt", counted(*settled, "claim"), counted(*rebuilt, "pack"))?;
        }
        writeln!(
            out,
            "{written} written, {already_there} already there, {gone} no longer in the table, {unusable} quarantined, {failed} \
             failed"
        )?;
        if gone + unusable > 0 {
            writeln!(out, "claims that are gone or unusable have no object, and another run cannot write one")?;
        }
        Ok(())
    } else if missing + missing_packs + unsettled > 0 || unusable > 0 {
        let expected = compared - packed + packs;
        if expected > 0 && missing + missing_packs >= expected {
            writeln!(
                out,
                "none of these has an object: check that --bucket and --object-prefix are those of this table's archive-fn"
            )?;
        }
        writeln!(out, "this was a dry run: nothing was written. Run the same command with --write to write the objects")
    } else {
        Ok(())
    }
}

/// Returns a number and a noun, as in `2 claims`.
fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn exit_code(outcome: &ReplayOutcome, settings: &ReplaySettings) -> ExitCode {
    if !outcome.failed.is_empty() {
        return FAILED.into();
    }
    let ReplayOutcome { missing, missing_packs, unsettled, .. } = outcome;
    let had_all = [missing, missing_packs, unsettled].into_iter().all(|numbers| numbers.is_empty());
    // With `--write`, these numbers are from before the run wrote the objects and settled the claims.
    let missing = !settings.write && !had_all;
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
    const WRONG_BUCKET: &str = "none of these has an object: check that --bucket and --object-prefix are those of this \
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

    /// With packs, the report also prints the packs without an object, the claims without a pack, and what was done about
    /// them. A dry run exits with 1 if anything is left. Claims that are too old are not left: no one may settle them.
    #[test]
    fn report_with_packs_is_exact() {
        let hour = |number| std::collections::BTreeMap::from([("dt=2026-11-23/hour=09".to_owned(), number)]);
        let packs = ReplayOutcome { packed: 5, packs: 1, ..outcome(6, 0) };
        let first = "compared 6 claims made before 1970-01-01T00:00:00Z: 0 without an object";
        let dry = |outcome: &ReplayOutcome| report(outcome, &[]);
        assert_eq!(
            dry(&ReplayOutcome { too_old: 1, ..packs.clone() }),
            (
                vec![
                    first.to_owned(),
                    "5 of them are packed: 0 without a pack; compared 1 pack: 0 without an object".to_owned(),
                    "1 packed claim expired more than 12 hours ago and may have lost the pack to TTL: left alone"
                        .to_owned(),
                ],
                ExitCode::SUCCESS
            )
        );
        let missing = ReplayOutcome { missing_packs: hour(1), ..packs.clone() };
        assert_eq!(
            dry(&missing),
            (
                vec![
                    "dt=2026-11-23/hour=09: 1 pack without an object".to_owned(),
                    first.to_owned(),
                    "5 of them are packed: 0 without a pack; compared 1 pack: 1 without an object".to_owned(),
                    DRY_RUN.to_owned(),
                ],
                ExitCode::from(MISSING)
            )
        );
        let only_packs = ReplayOutcome { compared: 5, ..missing };
        assert!(dry(&only_packs).0.contains(&WRONG_BUCKET.to_owned()));
        let unsettled = ReplayOutcome { unsettled: hour(2), ..packs };
        let (lines, code) = dry(&unsettled);
        assert_eq!(
            (lines[0].as_str(), code),
            ("dt=2026-11-23/hour=09: 2 packed claims without a pack", MISSING.into())
        );
        let (lines, code) = report(&ReplayOutcome { settled: 2, rebuilt: 1, written: 1, ..unsettled }, &["--write"]);
        assert_eq!(lines[3], "2 claims settled, 1 pack rebuilt");
        assert!(lines[4].starts_with("1 written, "), "{lines:?}");
        assert_eq!(code, ExitCode::SUCCESS);
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
