//! Tests of runs with packs: many events in one object.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ingest_fn::LakeLayout;
use pipeline::{Blueprint, Decorator, Role, WarmSandbox};

use super::*;

/// With packs, each scenario ends with each event in exactly one place.
#[test]
fn scenarios_end_with_one_line_per_event() {
    for (line, archived, objects) in [
        ("herd --messages 20", 1, 0),
        ("mixed --messages 400", 200, 0),
        ("conflicts", 10, 0),
        ("restamped", 10, 0),
        ("poison", 40, 0),
        // An event that exceeds 256 KiB has an object of its own, unless it compresses well.
        ("large --messages 5", 3, 1),
        ("redelivery", 100, 0),
        ("outage", 50, 0),
        ("mixed --messages 100 --log-routine-outcomes false", 50, 0),
    ] {
        let report = run_and_expect_held(&format!("{line} --packs"));
        assert_numbers(&report, &[("archived", archived), ("object_versions", archived), ("objects", objects)]);
        assert!(report["packs"].as_u64().unwrap() >= 1, "{line}: {report:#}");
    }
}

/// A thousand events need few objects and few requests to write and to judge them.
#[test]
fn thousand_events_need_few_requests() {
    let report = run_and_expect_held("distinct --messages 1000 --packs");
    assert_numbers(&report, &[("archived", 1_000), ("objects", 0)]);
    let number = |value: &Value| value.as_u64().unwrap();
    assert!(number(&report["packs"]) <= 20 && number(&report["put_requests"]) <= 20, "{report:#}");
    let requests = &report["lake_requests"];
    assert!(number(&requests["lists"]) + number(&requests["reads"]) <= 30, "{report:#}");
}

/// A decorator that gives each new sandbox of `ingest-fn` the other layout than the sandbox before.
struct SwitchingLayout(AtomicUsize);

impl Decorator for SwitchingLayout {
    fn cold_start(&self, mut blueprint: Blueprint) -> WarmSandbox {
        if blueprint.role == Role::Ingest {
            let layouts = [LakeLayout::Packs, LakeLayout::Objects];
            blueprint.ingest.lake_layout = layouts[self.0.fetch_add(1, Ordering::Relaxed) % 2];
        }
        blueprint.build()
    }
}

/// The layout is switched again and again while messages flow. Each event ends in exactly one place.
#[tokio::test]
async fn layout_is_switched_while_messages_flow() {
    // Without the cache, duplicates of both kinds of claims reach the table.
    let args = arguments("run mixed --messages 2000 --rate 400");
    let mut stack = EmbeddedStack::new(&settings(&args), args.chosen_scenario(), TableStorage::Memory, 7).unwrap();
    stack.settings.ingest.claim_cache_entries = None;
    stack.settings.sqs_mapping.batching_window = Duration::ZERO;
    stack.settings.stream_mapping.filter = PipelineSettings::pack_filter();
    let switching = SwitchingLayout(AtomicUsize::new(0));
    let pipeline = Pipeline::start_decorated(&stack.services, stack.settings.clone(), 7, switching);
    let mut client = PipelineClient::embedded(&stack);
    client.describe_queue().await.unwrap();
    let (settings, progress) = (settings(&args), Progress::new(true));
    let judged = judge(&client, args.chosen_scenario(), &args, &settings, &progress);
    let switches = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            pipeline.ingest.scale_in();
        }
    };
    let report = tokio::select! {
        report = tokio::time::timeout(Duration::from_secs(120), judged) => report.unwrap().unwrap(),
        () = switches => unreachable!("the switches never end"),
    };
    assert_eq!((report.verdict, report.archived), (Verdict::Held, Some(report.events)), "{:?}", report.invariants);
    let (objects, packs) = (report.objects.unwrap(), report.packs.unwrap());
    assert!(objects > 50 && packs > 5, "{objects} objects, {packs} packs");
}

#[test]
fn packs_on_a_deployed_stack_are_refused() {
    for option in ["--packs", "--batched-claims"] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Process::new(env!("CARGO_BIN_EXE_producer"));
        command.current_dir(folder.path()).args(["run", option, "--queue-url", "http://127.0.0.1:1/q"]);
        let output = command.args(["--table", "t", "--bucket", "b"]).output().unwrap();
        let problem = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{problem}");
        let expected = format!("error: cannot use {option} on a deployed stack: give --local");
        assert!(problem.contains(&expected), "{problem}");
    }
}

/// Refuses the puts of claims.
fn refuses_claim_puts(_: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    let is_claim = std::str::from_utf8(call.request.body()).is_ok_and(|body| body.contains("EVENT#"));
    (call.operation == "PutItem" && is_claim).then_some(Fault::Refused(500))
}

/// With batched claims, claims do not need puts.
#[tokio::test]
async fn claims_are_inserted_in_batches() {
    let report = run_packed("run distinct --messages 100 --packs --batched-claims", refuses_claim_puts).await;
    assert_eq!((report.verdict, report.archived), (Verdict::Held, Some(100)));
}

/// For each pack that still has only one version, writes the result of `change` to the lake. `change` gets the key and
/// the lines, and returns the new key and the new lines.
fn change_packs(services: &Services, change: impl Fn(&str, Vec<&str>) -> (String, String)) {
    for (key, versions) in services.lakes.versions(names::BUCKET) {
        let [content] = &versions[..] else { continue };
        let mut text = String::new();
        if GzDecoder::new(&content[..]).read_to_string(&mut text).is_ok() {
            let (key, text) = change(&key, text.lines().collect());
            let content = if key.ends_with(".gz") { compressed(&text) } else { text.into_bytes() };
            call_service(services, http::Request::put(format!("http://127.0.0.1/{}/{key}", names::BUCKET)), content);
        }
    }
}

fn compressed(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// Returns the key `<folder>/<claim id><extension>` for the claim in a line.
fn key_of_claim(pack: &str, line: &str, extension: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap();
    let (folder, _) = pack.rsplit_once('/').unwrap();
    format!("{folder}/{}{extension}", line["claim_id"].as_str().unwrap())
}

fn drops_a_line(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    if lists_versions(call) {
        change_packs(services, |key, lines| (key.to_owned(), lines[1..].join("\n") + "\n"));
    }
    None
}

fn changes_an_event(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    if lists_versions(call) {
        change_packs(services, |key, lines| {
            (key.to_owned(), lines.join("\n").replace("\"event\":{", "\"event\":{\"x\":1,") + "\n")
        });
    }
    None
}

fn repeats_a_line(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    if lists_versions(call) {
        change_packs(services, |key, lines| (key.to_owned(), format!("{}\n{}\n", lines.join("\n"), lines[0])));
    }
    None
}

fn writes_a_pack_of_its_own(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    if lists_versions(call) {
        change_packs(services, |key, lines| (key_of_claim(key, lines[0], ".json.gz"), format!("{}\n", lines[0])));
    }
    None
}

fn writes_a_single_object(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    if lists_versions(call) {
        change_packs(services, |key, lines| (key_of_claim(key, lines[0], ".json"), format!("{}\n", lines[0])));
    }
    None
}

/// Archives a packed claim a second time, after the producer has read its pack.
fn doubles_a_read_line(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    static HAS_READ: AtomicBool = AtomicBool::new(false);
    if has_read(&HAS_READ, call) { writes_a_pack_of_its_own(services, call) } else { None }
}

/// Replaces a pack that the producer has already read.
fn changes_a_read_pack(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    static HAS_READ: AtomicBool = AtomicBool::new(false);
    if has_read(&HAS_READ, call) { changes_an_event(services, call) } else { None }
}

/// Runs a scenario with a service fault and the shortest batching window that Lambda accepts for large batches.
async fn run_packed(line: &str, service_fault: ServiceFault) -> RunReport {
    let shorten = |settings: &mut PipelineSettings| settings.sqs_mapping.batching_window = Duration::from_secs(1);
    run_misconfigured(line, shorten, None, Some(service_fault)).await
}

/// The verdict is `violated` if something other than the pipeline changes packs, or archives a packed claim a second
/// time.
#[tokio::test]
async fn tampering_with_packs_is_violated() {
    let missing = "each claim has its object";
    let doubled = "each object has exactly one version";
    let changed = "each object holds its event as sent";
    let tampering: [(ServiceFault, &str); 7] = [
        (deletes_objects, missing),
        (replaces_objects, missing),
        (drops_a_line, missing),
        (changes_an_event, changed),
        (repeats_a_line, doubled),
        (writes_a_pack_of_its_own, doubled),
        (writes_a_single_object, doubled),
    ];
    for (service_fault, violated) in [(doubles_a_read_line as ServiceFault, doubled), (changes_a_read_pack, changed)] {
        let report = run_packed("run distinct --messages 20 --packs --timeout 10", service_fault).await;
        assert_violated(&report, violated);
    }
    for (service_fault, violated) in tampering {
        for logs in ["true", "false"] {
            let line = format!("run distinct --messages 20 --packs --log-routine-outcomes {logs} --timeout 10");
            let report = run_packed(&line, service_fault).await;
            if logs == "true" || violated != missing {
                assert_violated(&report, violated);
            } else {
                assert_ne!(report.verdict, Verdict::Held);
            }
        }
    }
}
