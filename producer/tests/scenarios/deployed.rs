//! Tests of runs on a stack that the producer reaches over HTTP. Embedded services behind a loopback endpoint stand in
//! for AWS.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use claim::{ConflictIgnore, DedupKey, EventRules};
use emulator::{Fault, Services, queue_url, runtime_api};
use ops::logs::LogsClient;
use pipeline::{Pipeline, PipelineSettings, names};
use producer::function_logs::LogTail;
use serde_json::{Value, json};
use tokio::process::Command;

/// Runs the producer against the stack at `endpoint`, and returns its exit code and JSON report.
async fn run(endpoint: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    run_with_bucket(names::BUCKET, endpoint, arguments).await
}

async fn run_with_bucket(bucket: &str, endpoint: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command
        .current_dir(folder.path())
        .args(["--json", "--queue-url", &queue_url(names::QUEUE), "--table", names::TABLE, "--bucket", bucket])
        .args(["--object-prefix", "events/", "--ingest-log-group", &names::log_group(names::INGEST_FUNCTION)])
        .args(["--archive-log-group", &names::log_group(names::ARCHIVE_FUNCTION)])
        .args(arguments)
        .env_clear()
        .envs([("AWS_ENDPOINT_URL", endpoint), ("AWS_REGION", emulator::region::REGION)])
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), command.output()).await.unwrap().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    let verdict = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {problem}"));
    (output.status.code(), verdict)
}

/// Creates a folder with the Terraform state of the embedded stack. `settings` are Terraform outputs that state the
/// functions' settings.
fn state_folder(settings: &Value) -> tempfile::TempDir {
    let mut outputs = json!({
        "sqs_queue_url": queue_url(names::QUEUE),
        "sqs_dlq_url": queue_url(names::DEAD_LETTER_QUEUE),
        "dynamodb_table_name": names::TABLE,
        "s3_bucket_name": names::BUCKET,
        "object_prefix": "events/",
        "ingest_log_group": names::log_group(names::INGEST_FUNCTION),
        "archive_log_group": names::log_group(names::ARCHIVE_FUNCTION),
    });
    outputs.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let outputs = outputs.as_object().unwrap().iter();
    let outputs: Value = outputs.map(|(name, value)| (name.clone(), json!({ "value": value }))).collect();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("terraform.tfstate"), json!({ "outputs": outputs }).to_string()).unwrap();
    folder
}

/// Runs a command of the producer on the stack that the Terraform state in `folder` describes.
async fn run_by_state(folder: &tempfile::TempDir, endpoint: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command
        .args(arguments)
        .args([std::ffi::OsStr::new("--terraform-dir"), folder.path().as_os_str()])
        .env_clear()
        .envs([("AWS_ENDPOINT_URL", endpoint), ("AWS_REGION", emulator::region::REGION)])
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(200), command.output()).await.unwrap().unwrap()
}

/// A run and a trace follow the settings in the Terraform outputs.
#[tokio::test]
async fn settings_come_from_terraform_outputs() {
    let services = Services::on_real_clock(1).unwrap();
    let mut settings = PipelineSettings::default();
    let key = DedupKey::parse(r#"["/source","/id"]"#).unwrap();
    let ignore = ConflictIgnore::parse(r#"["/time","/traceparent"]"#, &key).unwrap();
    settings.ingest.rules = EventRules::new(key, ignore);
    settings.ingest.log_routine_outcomes = false;
    settings.archive.log_routine_outcomes = false;
    let _pipeline = Pipeline::start(&services, settings, 1);
    let endpoint = format!("http://{}", runtime_api::serve_aws(Arc::clone(&services)).await.unwrap());
    let folder = state_folder(&json!({
        "dedup_key": r#"["/source","/id"]"#,
        "conflict_ignore": ["/time", "/traceparent"],
        "log_routine_outcomes": false,
    }));
    let output = run_by_state(&folder, &endpoint, &["run", "cloudevents", "--json"]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &report["objects"], &report["conflicts"]),
        (Some(0), &21.into(), &0.into()),
        "{report}"
    );
    assert_eq!(report["not_checked"].as_array().unwrap().len(), 3, "{report}");

    let id = r#"["urn:grid:north","grid_stress_999-cloudevents-1"]"#;
    let output = run_by_state(&folder, &endpoint, &["trace", id, "--json"]).await;
    let story: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &story["place"]), (Some(0), &"archived".into()), "{story}");

    // An event of the earlier run with another stamp is a duplicate, and the object of the earlier run is right.
    let objects = services.lakes.versions(names::BUCKET);
    let object: Value = serde_json::from_slice(&objects.values().next().unwrap()[0]).unwrap();
    let mut event = object["event"].clone();
    event["time"] = "another time".into();
    let file = folder.path().join("events.ndjson");
    std::fs::write(&file, event.to_string()).unwrap();
    let output = run_by_state(&folder, &endpoint, &["--json", "--file", file.to_str().unwrap()]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["new_claims"]), (Some(0), &0.into()), "{report:#}");
}

/// A run ends before it sends a message if the scenario needs settings that the stack does not have, if a flag differs
/// from the stack's setting, or if a setting is not valid.
#[tokio::test]
async fn other_settings_are_refused_before_sending() {
    let services = Services::on_real_clock(1).unwrap();
    let _pipeline = Pipeline::start(&services, PipelineSettings::default(), 1);
    let endpoint = format!("http://{}", runtime_api::serve_aws(Arc::clone(&services)).await.unwrap());
    let state = |key: &str, ignore: Value| json!({ "dedup_key": key, "conflict_ignore": ignore });
    let default = || state("/event_id", json!([]));
    for (settings, arguments, expected) in [
        (
            default(),
            &["run", "cloudevents"][..],
            r#"cannot run `cloudevents`: it needs the Terraform settings dedup_key = "[\"/source\",\"/id\"]" and conflict_ignore = ["/time","/traceparent"], but the pipeline has dedup_key = "/event_id" and conflict_ignore = []"#,
        ),
        (default(), &["run", "restamped"], r#"conflict_ignore = ["/attempt","/sent_at","/trace/id"], but"#),
        (
            default(),
            &["--dedup-key", "content"],
            "--dedup-key is content, but the stack has /event_id: leave out --dedup-key",
        ),
        (default(), &["--conflict-ignore", r#"["/a"]"#], r#"--conflict-ignore is ["/a"], but the stack has []"#),
        (
            state("/id", json!([])),
            &["run", "herd"],
            "cannot send generated events: the body has no dedup key at `/id`: use --file",
        ),
        (
            state("id", json!([])),
            &["run", "herd"],
            r#"the Terraform output `dedup_key` is "id": must be a JSON Pointer"#,
        ),
        (
            state("/id", json!(["/id"])),
            &["run", "herd"],
            r#"the Terraform output `conflict_ignore` is "[\"/id\"]": element 1"#,
        ),
    ] {
        let output = run_by_state(&state_folder(&settings), &endpoint, arguments).await;
        let problem = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), problem.lines().count()), (Some(2), 1), "{arguments:?}: {problem}");
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
    let counts = services.sqs.counts(names::QUEUE).unwrap();
    assert_eq!((counts.visible, counts.in_flight), (0, 0));
    assert!(services.logs.lines_after(&names::log_group(names::INGEST_FUNCTION), 0).is_empty());
}

/// The verdict of a second run with the same seed on the same stack is `held`: all of its messages are duplicates of
/// the first run's claim.
#[tokio::test]
async fn second_run_is_all_duplicates() {
    let services = Services::on_real_clock(1).unwrap();
    let _pipeline = Pipeline::start(&services, PipelineSettings::default(), 1);
    let endpoint = format!("http://{}", runtime_api::serve_aws(Arc::clone(&services)).await.unwrap());
    let (code, first) = run(&endpoint, &["--messages", "5"]).await;
    assert_eq!((code, &first["verdict"], &first["new_claims"]), (Some(0), &"held".into(), &1.into()), "{first}");
    let (code, second) = run(&endpoint, &["--messages", "5"]).await;
    assert_eq!((code, &second["verdict"]), (Some(0), &"held".into()), "{second}");
    for (name, number) in
        [("duplicates", 5), ("conflicts", 0), ("claims", 1), ("new_claims", 0), ("objects", 1), ("extra", 0)]
    {
        assert_eq!(second[name], number, "{name}: {second}");
    }
}

/// An object that was deleted and written again has two identical versions. The verdict of a later run with the same
/// event is still `held`.
#[tokio::test]
async fn restored_object_is_held() {
    let services = Services::on_real_clock(1).unwrap();
    let _pipeline = Pipeline::start(&services, PipelineSettings::default(), 1);
    let endpoint = format!("http://{}", runtime_api::serve_aws(Arc::clone(&services)).await.unwrap());
    let (code, first) = run(&endpoint, &["--messages", "2"]).await;
    assert_eq!(code, Some(0), "{first}");
    let (key, versions) = services.lakes.versions(names::BUCKET).into_iter().next().unwrap();
    let client = aws_sdk_s3::Client::new(&services.sdk_config());
    client.delete_object().bucket(names::BUCKET).key(&key).send().await.unwrap();
    client.put_object().bucket(names::BUCKET).key(&key).body(versions[0].to_vec().into()).send().await.unwrap();
    let (code, second) = run(&endpoint, &["--messages", "2"]).await;
    assert_eq!(
        (code, &second["verdict"], &second["object_versions"]),
        (Some(0), &"held".into(), &1.into()),
        "{second}"
    );
}

/// In a second run with another seed, every message conflicts with a claim of the first run, so the verdict is
/// inconclusive. A run with another seed and another event id has no conflicts.
#[tokio::test]
async fn another_seed_needs_other_event_ids() {
    let services = Services::on_real_clock(1).unwrap();
    let _pipeline = Pipeline::start(&services, PipelineSettings::default(), 1);
    let endpoint = format!("http://{}", runtime_api::serve_aws(Arc::clone(&services)).await.unwrap());
    let (code, first) = run(&endpoint, &["--messages", "5"]).await;
    assert_eq!((code, &first["duplicates"]), (Some(0), &4.into()), "{first}");
    let (code, second) = run(&endpoint, &["--messages", "5", "--seed", "9"]).await;
    assert_eq!((code, &second["conflicts"], &second["duplicates"]), (Some(3), &5.into(), &0.into()), "{second}");
    let open: Vec<&Value> =
        second["invariants"].as_array().unwrap().iter().filter(|invariant| invariant["held"] != true).collect();
    assert_eq!(open.len(), 1, "{second}");
    assert_eq!(open[0]["name"], "no event had already been claimed with different content");
    assert_eq!((&open[0]["held"], &open[0]["examples"]), (&Value::Null, &serde_json::json!(["grid_stress_999"])));
    let (code, third) = run(&endpoint, &["--messages", "5", "--seed", "9", "--event-id", "other"]).await;
    assert_eq!((code, &third["duplicates"]), (Some(0), &4.into()), "{third}");
}

#[tokio::test]
async fn unreadable_lake_is_null_and_exit_code_3() {
    let services = Services::on_real_clock(1).unwrap();
    let _pipeline = Pipeline::start(&services, PipelineSettings::default(), 1);
    let endpoint = format!("http://{}", runtime_api::serve_aws(Arc::clone(&services)).await.unwrap());
    let (code, verdict) = run_with_bucket("another", &endpoint, &["--messages", "2", "--timeout", "10"]).await;
    assert_eq!((code, &verdict["verdict"], &verdict["objects"]), (Some(3), &"inconclusive".into(), &Value::Null));
    assert!(verdict["unreadable"]["bucket"].is_string(), "{verdict}");
}

/// If messages vanish from the queue, the verdict is `violated`. The exit code is 1 even if the report cannot be
/// written.
#[tokio::test]
async fn vanished_messages_are_exit_code_1() {
    let services = Services::on_real_clock(1).unwrap();
    let settings = PipelineSettings::default();
    let pipeline = Pipeline::start(&services, settings, 1);
    let endpoint = format!("http://{}", runtime_api::serve_aws(Arc::clone(&services)).await.unwrap());
    // Stop the functions, and let another consumer empty the queue.
    drop(pipeline);
    let thief = Arc::clone(&services);
    tokio::spawn(async move {
        loop {
            for message in thief.sqs.receive(names::QUEUE, 10, Duration::from_secs(1), None).await.unwrap() {
                thief.sqs.delete(names::QUEUE, &message.receipt_handle).unwrap();
            }
        }
    });
    // `/dev/full` can be opened, but writing to it fails.
    let report = ["--report", "/dev/full"];
    let (code, verdict) = run(&endpoint, &[&["--messages", "2", "--timeout", "100"], &report[..]].concat()).await;
    assert_eq!((code, &verdict["verdict"], &verdict["lost"]), (Some(1), &"violated".into(), &1.into()), "{verdict}");
}

/// If one page of the log cannot be read, the next poll returns the lines of all pages.
#[tokio::test]
async fn unreadable_log_page_loses_no_lines() {
    let services = Services::on_real_clock(1).unwrap();
    let mut log = services.logs.writer("g");
    for n in 0..10_005 {
        log.write_all(format!("{{\"n\":{n}}}\n").as_bytes()).unwrap();
    }
    let client = LogsClient::new(&services.sdk_config());
    let requests = AtomicUsize::new(0);
    services.faults.set(move |_| (requests.fetch_add(1, Ordering::SeqCst) >= 1).then_some(Fault::Refused(403)));
    let mut tail = LogTail::new("g", 0, Duration::from_secs(30));
    tail.poll(&client).await.unwrap_err();
    services.faults.clear();
    assert_eq!(tail.poll(&client).await.unwrap().len(), 10_005);
    assert_eq!(tail.poll(&client).await.unwrap().len(), 0);
}
