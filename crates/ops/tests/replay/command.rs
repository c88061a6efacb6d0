//! Runs the compiled `ops replay` against the emulator's endpoint on the loopback interface.

use std::process::{Output, Stdio};

use emulator::runtime_api::serve_aws;
use tokio::process::Command;

use super::claims::{HOUR_STARTS_MS, claim_at, claim_of, delete_claim, put_claims, put_in_table};
use super::*;

async fn start(claims: u32) -> (Arc<Services>, String) {
    let services = Services::on_real_clock(1).unwrap();
    services.lakes.create_bucket(names::BUCKET);
    let _stream = services.tables.create_claim_table(names::TABLE);
    put_claims(&services, claims).await;
    let endpoint = format!("http://{}", serve_aws(services.clone()).await.unwrap());
    (services, endpoint)
}

fn command(folder: &Path, endpoint: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ops"));
    command.env_clear().current_dir(folder).arg("replay").args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command.envs([("AWS_ENDPOINT_URL", endpoint), ("AWS_REGION", emulator::region::REGION)]);
    command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
    command
}

async fn run(folder: &Path, endpoint: &str, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(folder, endpoint, arguments).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

const STACK: [&str; 4] = ["--table", names::TABLE, "--bucket", names::BUCKET];

/// A dry run counts the missing objects, a second run with `--write` writes them, and a third run finds nothing to do.
#[tokio::test]
async fn dry_run_counts_and_write_flag_writes() {
    let (services, endpoint) = start(21).await;
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = run(folder.path(), &endpoint, &STACK).await;
    assert_eq!(code, 1, "{out}");
    assert!(out.starts_with("dt=2023-11-14/hour=23: 20 claims without an object\ncompared 21 claims made before "));
    assert!(out.contains("this was a dry run"), "{out}");
    assert_eq!(lake(&services).len(), 1);

    let write = [&STACK[..], &["--write"]].concat();
    let (code, out, err) = run(folder.path(), &endpoint, &write).await;
    assert_eq!((code, lake(&services).len()), (0, 21), "{out}{err}");
    assert!(out.contains("20 written, 0 already there, 0 no longer in the table, 0 quarantined, 0 failed"), "{out}");
    assert!(err.starts_with("resuming the replay of "), "{err}");

    let (code, out, _) = run(folder.path(), &endpoint, &STACK).await;
    assert!(code == 0 && out.ends_with(": 0 without an object\n"), "{out}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no checkpoint is left");
}

/// With `--write`, a packed claim without a pack gets one. A lake with the marker of an unknown layout is refused.
#[tokio::test]
async fn packed_claims_are_settled() {
    let (services, endpoint) = start(2).await;
    let folder = tempfile::tempdir().unwrap();
    let now_ms = services.clock.now_ms();
    let claim = claim_at(now_ms - 3_600_000, 7);
    let pack = claim::PackRef { pack_id: claim.claim_id, close_by_ms: now_ms - 3_500_000 };
    put_in_table(&services, [claim::Claim { layout: claim::Layout::Pack(pack), ..claim }]).await;
    let (code, out, _) = run(folder.path(), &endpoint, &STACK).await;
    assert!(code == 1 && out.contains(": 1 packed claim without a pack\n"), "{code}: {out}");
    let write = [&STACK[..], &["--write"]].concat();
    let (code, out, err) = run(folder.path(), &endpoint, &write).await;
    assert!(code == 0 && out.contains("1 claim settled, 0 packs rebuilt\n2 written, "), "{code}: {out}{err}");
    let (code, out, _) = run(folder.path(), &endpoint, &STACK).await;
    assert!(code == 0 && out.ends_with("compared 1 pack: 0 without an object\n"), "{code}: {out}");

    let lake = archive_fn::DataLake::new((&services.sdk_config()).into(), names::BUCKET);
    lake.put("events/_layout/columns", Vec::new(), None).await.unwrap();
    let (code, out, err) = run(folder.path(), &endpoint, &write).await;
    assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{err}");
    assert!(err.contains("/events/_layout/columns says that the lake has a layout"), "{err}");
}

/// After a killed run, the next run writes only the objects that are still missing.
#[tokio::test]
async fn killed_process_continues() {
    let (services, endpoint) = start(200).await;
    let folder = tempfile::tempdir().unwrap();
    let write = [&STACK[..], &["--write", "--rate", "100"]].concat();
    let mut child = command(folder.path(), &endpoint, &write).stderr(Stdio::null()).spawn().unwrap();
    let until_some_are_written = async {
        while lake(&services).len() < 10 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), until_some_are_written).await.unwrap();
    child.kill().await.unwrap();
    let before = lake(&services).len();
    assert!((10..200).contains(&before), "{before}");
    let fast = [&STACK[..], &["--write", "--rate", "1000"]].concat();
    let (code, out, err) = run(folder.path(), &endpoint, &fast).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(&format!("{} written, 0 already there", 200 - before)), "{before} were there: {out}");
    assert_eq!(lake(&services).len(), 200);
    assert!(lake(&services).values().all(|versions| versions.len() == 1));
}

/// The exit code distinguishes a few failed writes from a bucket that refuses all writes. Later runs write the missing
/// objects.
#[tokio::test]
async fn exit_code_reports_failed_writes() {
    let (services, endpoint) = start(40).await;
    let folder = tempfile::tempdir().unwrap();
    let write = [&STACK[..], &["--write", "--rate", "1000"]].concat();
    // A claim id ends with the number of its event.
    let is_write_of_a_few = |call: &emulator::Call<'_>| {
        call.operation.starts_with("PUT") && ["7.json", "f.json"].iter().any(|end| call.operation.ends_with(end))
    };
    services.faults.set(move |call| is_write_of_a_few(call).then_some(Fault::Refused(403)));
    let (code, out, err) = run(folder.path(), &endpoint, &write).await;
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains("34 written, 0 already there, 0 no longer in the table, 0 quarantined, 5 failed"), "{out}");
    assert!(out.contains("failed: EVENT#e7: failed to write s3://"), "{out}");
    assert_eq!(lake(&services).len(), 35);

    services.faults.set(|call| call.operation.starts_with("PUT").then_some(Fault::Refused(403)));
    put_in_table(&services, (40..250).map(|number| claim_at(HOUR_STARTS_MS, number))).await;
    std::fs::remove_dir_all(folder.path().join("replay-checkpoint")).unwrap();
    let (code, out, err) = run(folder.path(), &endpoint, &write).await;
    assert_eq!((code, out.as_str()), (4, ""), "{err}");
    assert!(err.contains("failed to write 200 objects in a row"), "{err}");

    services.faults.clear();
    let (code, out, err) = run(folder.path(), &endpoint, &write).await;
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(lake(&services).len(), 250);
    assert!(lake(&services).values().all(|versions| versions.len() == 1));
}

/// Exit code 0 means that no claim is left without its object. With `--write`, the exit code is 5 if claims are gone or
/// unusable.
#[tokio::test]
async fn exit_code_reports_lost_claims() {
    let (services, endpoint) = start(4).await;
    let folder = tempfile::tempdir().unwrap();
    let write = [&STACK[..], &["--write"]].concat();
    assert_eq!(run(folder.path(), &endpoint, &STACK).await.0, 1);
    delete_claim(&services, "e1").await;
    for _ in 0..2 {
        let (code, out, err) = run(folder.path(), &endpoint, &write).await;
        assert_eq!(code, 5, "{out}{err}");
        assert!(out.contains("gone: EVENT#e1: deleted or replaced after the scan\n"), "{out}");
        assert!(out.contains(" 0 already there, 1 no longer in the table, 0 quarantined, 0 failed\n"), "{out}");
        assert!(out.ends_with("claims that are gone or unusable have no object, and another run cannot write one\n"));
    }
    assert_eq!(lake(&services).len(), 3);
    let (code, out, err) = run(folder.path(), &endpoint, &STACK).await;
    assert_eq!(code, 0, "the table has no such claim: {out}{err}");

    put_unusable(&services, "EVENT#e4").await;
    for (arguments, expected) in [(&STACK[..], 1), (&write, 5), (&write, 5), (&STACK[..], 1)] {
        let (code, out, err) = run(folder.path(), &endpoint, arguments).await;
        assert_eq!(code, expected, "{arguments:?}: {out}{err}");
        assert!(out.contains("unusable: EVENT#e4: "), "{out}");
    }
    delete_claim(&services, "e4").await;
    for _ in 0..2 {
        let (code, out, err) = run(folder.path(), &endpoint, &write).await;
        assert_eq!(code, 5, "{out}{err}");
        assert!(out.contains("gone: EVENT#e4: ") && !out.contains("unusable: "), "{out}");
    }
    assert_eq!(run(folder.path(), &endpoint, &STACK).await.0, 0, "the table has no such item");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no checkpoint is left");
}

/// After exit code 5, the next run with `--write` also writes the objects of newer claims.
#[tokio::test]
async fn write_after_exit_5_scans_again() {
    let (services, endpoint) = start(2).await;
    let folder = tempfile::tempdir().unwrap();
    let write = [&STACK[..], &["--write"]].concat();
    put_unusable(&services, "EVENT#e2").await;
    let (code, out, err) = run(folder.path(), &endpoint, &write).await;
    assert!(code == 5 && out.contains("\n1 written, "), "{code}: {out}{err}");
    put_in_table(&services, [claim_at(HOUR_STARTS_MS, 3)]).await;
    let (code, out, err) = run(folder.path(), &endpoint, &write).await;
    assert!(code == 5 && out.contains("\n1 written, ") && out.contains("unusable: EVENT#e2: "), "{code}: {out}{err}");
    assert_eq!(lake(&services).len(), 3 + 1, "three objects and the copy of the unusable item");
    delete_claim(&services, "e2").await;
    put_in_table(&services, [claim_at(HOUR_STARTS_MS, 2)]).await;
    let (code, out, err) = run(folder.path(), &endpoint, &write).await;
    assert!(code == 0 && out.contains("\n1 written, "), "{code}: {out}{err}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no checkpoint is left");
}

async fn put_unusable(services: &Arc<Services>, partition_key: &str) {
    let dynamodb = aws_sdk_dynamodb::Client::new(&services.sdk_config());
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let put = dynamodb.put_item().table_name(names::TABLE).item("pk", text(partition_key));
    put.item("sk", text(claim::key::SORT_KEY)).send().await.unwrap();
}

/// A run with `--write` refuses the checkpoint of a dry run on another table of the same name, for example in another
/// region. Otherwise, it would report every claim of the dry run as gone.
#[tokio::test]
async fn checkpoint_of_another_table_is_refused() {
    let (here, endpoint) = start(21).await;
    let (elsewhere, other_endpoint) = start(1).await;
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path(), &endpoint, &STACK).await.0, 1);
    let write = [&STACK[..], &["--write"]].concat();
    let (code, out, err) = run(folder.path(), &other_endpoint, &write).await;
    assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{err}");
    assert!(err.contains("belongs to the replay of arn:aws:dynamodb:"), "{err}");
    assert_eq!(lake(&elsewhere).len(), 1);
    assert_eq!(run(folder.path(), &endpoint, &write).await.0, 0);
    assert_eq!(lake(&here).len(), 21);
}

/// Event ids are printed with their control characters escaped, so that they cannot clear the screen or forge a line.
#[tokio::test]
async fn printed_event_ids_are_escaped() {
    let (services, endpoint) = start(1).await;
    let folder = tempfile::tempdir().unwrap();
    let evil = |number: u32| format!("\u{1b}[2J\u{1b}]0;pwned\u{7}\ncompared 9 claims\u{9b}\u{202e}{number}");
    put_in_table(&services, (1..=2).map(|number| claim_of(&evil(number), HOUR_STARTS_MS, number))).await;
    put_unusable(&services, &format!("EVENT#{}", evil(3))).await;
    assert_eq!(run(folder.path(), &endpoint, &STACK).await.0, 1);
    delete_claim(&services, &evil(1)).await;
    services.faults.set(|call| call.operation.ends_with("2.json").then_some(Fault::Refused(403)));
    let (code, out, err) = run(folder.path(), &endpoint, &[&STACK[..], &["--write"]].concat()).await;
    assert_eq!(code, 3, "{out}{err}");
    for (category, number) in [("gone", 1), ("unusable", 3), ("failed", 2)] {
        let escaped = r"EVENT#\u{1b}[2J\u{1b}]0;pwned\u{7}\ncompared 9 claims\u{9b}\u{202e}";
        assert!(out.contains(&format!("{category}: {escaped}{number}: ")), "{out:?}");
    }
    let is_raw = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!out.contains(is_raw) && !err.contains(is_raw), "{out:?}{err:?}");
    assert_eq!(out.lines().filter(|line| line.starts_with("compared ")).count(), 1, "{out:?}");
}

/// A wrong flag, table, bucket or prefix is reported in one line that names it.
#[tokio::test]
async fn usage_errors_are_one_line() {
    let (_services, endpoint) = start(1).await;
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code, message) in [
        (&["--table", "nowhere", "--bucket", names::BUCKET][..], 4, "failed to describe the table nowhere"),
        (&["--table", names::TABLE, "--bucket", "nowhere"], 4, "failed to list s3://nowhere"),
        (&[&STACK[..], &["--object-prefix", "event/"]].concat(), 2, "event/ has no objects"),
        (&[&STACK[..], &["--object-prefix", "/event"]].concat(), 2, "must end with `/`"),
        (&[&STACK[..], &["--since", "yesterday"]].concat(), 2, "--since"),
        // With a mistyped year, a plain "0 missing" would be misleading.
        (
            &[&STACK[..], &["--since", "2223-11-14"]].concat(),
            2,
            "--since must be before --until (default: 15 minutes ago), but 2223",
        ),
        (
            &[&STACK[..], &["--since", "2023-11-15", "--until", "2023-11-15"]].concat(),
            2,
            "--since must be before --until",
        ),
        (&["--bucket", "b"], 2, "--table"),
    ] {
        let (exit_code, out, err) = run(folder.path(), &endpoint, arguments).await;
        assert_eq!((exit_code, out.as_str(), err.lines().count()), (code, "", 1), "{arguments:?}: {err}");
        assert!(err.contains(message), "{err}");
    }
    let too_early = ["--until", "2022-11-15", "--checkpoint", "other"];
    let (_, out, err) = run(folder.path(), &endpoint, &[&STACK[..], &too_early].concat()).await;
    assert!(out.contains("no claims matched"), "{out}{err}");
}

/// `--help` prints the exit codes to standard output, and exits with 0.
#[tokio::test]
async fn help_is_printed_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = run(folder.path(), "http://127.0.0.1:1", &["--help"]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("Exit codes:") && out.contains("--checkpoint <DIR>"), "{out}");
}

/// A closed pipe on standard output does not change the exit code. If the disk is full, the exit code is 3.
#[tokio::test]
async fn unprinted_outcome_keeps_the_exit_code() {
    let (_services, endpoint) = start(2).await;
    let folder = tempfile::tempdir().unwrap();
    let (reader, closed_pipe) = std::io::pipe().unwrap();
    drop(reader);
    let mut command_with_closed_pipe = command(folder.path(), &endpoint, &STACK);
    let output = command_with_closed_pipe.stdout(closed_pipe).stderr(Stdio::piped()).spawn().unwrap();
    let Output { status, stderr, .. } = output.wait_with_output().await.unwrap();
    assert_eq!((status.code(), String::from_utf8(stderr).unwrap().as_str()), (Some(1), ""));

    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let mut command_with_full_disk = command(folder.path(), &endpoint, &STACK);
    let output = command_with_full_disk.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let Output { status, stderr, .. } = output.wait_with_output().await.unwrap();
    let err = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(3), "{err}");
    assert!(err.contains("error: failed to print the outcome: "), "{err}");
}

/// The checkpoint may be the current folder. A run that leaves nothing to do empties this folder, but cannot remove it.
#[tokio::test]
async fn checkpoint_may_be_the_current_folder() {
    let (services, endpoint) = start(2).await;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (code, out, err) =
            run(folder.path(), &endpoint, &[&STACK[..], &["--write", "--checkpoint", "."]].concat()).await;
        assert_eq!(code, 0, "{out}{err}");
        assert_eq!(lake(&services).len(), 2);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no file is left");
    }
}
