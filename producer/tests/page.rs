//! Tests of the HTML page: hostile event ids, failed runs, and agreement with the JSON report. `scripts/check-report`
//! opens the pages that these tests write to `tmp/` in the target folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use emulator::dynamodb::TableStorage;
use producer::bill::Bill;
use producer::cli::{Cli, Command as CliCommand};
use producer::embedded::EmbeddedStack;
use producer::pipeline_client::PipelineClient;
use producer::progress::Progress;
use producer::report::{RunReport, page};
use producer::run::judge;
use producer::target::Target;
use producer::verdict::Verdict;

use clap::Parser as _;
use serde_json::Value;

const HOSTILE: &str = r#"<script>document.title="taken"</script>"><img src=x onerror=alert(1)>&amp;'"#;

/// Runs a scenario on the embedded pipeline and returns its report.
async fn report(arguments: &[&str]) -> RunReport {
    let cli = Cli::try_parse_from([&["producer"], arguments].concat()).unwrap();
    let CliCommand::Run(args) = cli.command() else { panic!("{arguments:?} is not a run") };
    let scenario = args.chosen_scenario();
    let settings = Target::embedded().settings_of_run(&args.settings, scenario).unwrap();
    let stack = EmbeddedStack::new(&settings, scenario, TableStorage::Memory, 7).unwrap();
    let _pipeline = stack.start(7).unwrap();
    let mut client = PipelineClient::embedded(&stack);
    client.describe_queue().await.unwrap();
    let mut report = judge(&client, scenario, &args, &settings, &Progress::new(true)).await.unwrap();
    report.bill = Bill::new(&stack.services.usage(), report.sent + report.unconfirmed, report.events);
    report
}

/// Writes a page to the folder in which `scripts/check-report` looks for it.
fn keep(name: &str, html: &str) {
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), html).unwrap();
}

/// HTML in an event id, a target or an error is escaped everywhere on the page.
#[tokio::test]
async fn hostile_ids_are_escaped() {
    let mut report = report(&["run", "mixed", "--messages", "30", "--event-id", HOSTILE]).await;
    report.verdict = Verdict::Violated;
    report.target = HOSTILE.to_owned();
    report.unreadable.insert(producer::source::Source::ArchiveLog, HOSTILE.to_owned());
    let violated = &mut report.invariants[4];
    (violated.held, violated.offenders) = (Some(false), 123);
    violated.examples = (0..100).map(|number| format!("{HOSTILE}-{number}")).collect();
    let open = &mut report.invariants[5];
    (open.held, open.offenders, open.examples) = (None, 1, vec![HOSTILE.to_owned()]);
    let html = page::render(&report);
    keep("report-violated.html", &html);
    assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
    assert!(html.matches("script&#62;").count() >= 100, "the ids are there, escaped: {html}");
    assert!(html.contains("and 23 more, not listed"), "{html}");
    assert!(html.contains("S3: objects written") && html.contains("sum for a million events"), "the bill is itemized");
    assert!(html.find("id=\"verdict\"").unwrap() < html.find("<svg").unwrap(), "the verdict comes first");
}

/// A run without results still gets a page. The page says which numbers were not read, and that the run is partial.
#[tokio::test]
async fn run_without_results_has_a_page() {
    let mut report = report(&["--messages", "1"]).await;
    report.latency.sent_to_claimed = None;
    report.latency.claimed_to_archived = None;
    report.latency.sent_to_archived = None;
    (report.claims, report.objects, report.partial) = (None, None, true);
    report.verdict = Verdict::Inconclusive;
    let html = page::render(&report);
    keep("report-inconclusive.html", &html);
    assert!(html.contains("not read") && html.contains("Partial"), "{html}");
}

/// If the functions do not log routine outcomes, the page names the invariants that were not checked.
#[tokio::test]
async fn unchecked_invariants_are_on_the_page() {
    let report = report(&["run", "mixed", "--messages", "30", "--log-routine-outcomes", "false"]).await;
    let html = page::render(&report);
    keep("report-skipped.html", &html);
    assert_eq!((report.verdict, report.not_checked.len()), (Verdict::Held, 3), "{report:?}");
    for name in report.not_checked {
        let name = name.replace('\'', "&#39;");
        assert!(html.contains(&format!(r#"<span class="mark skip">SKIP</span><div>{name}"#)), "{name}: {html}");
    }
    assert!(html.contains("not read or not logged"), "{html}");
}

/// Returns each text between `start` and the next `end`.
fn between<'a>(html: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    html.split(start).skip(1).map(|rest| rest.split(end).next().unwrap()).collect()
}

/// Returns the visible text of an HTML fragment.
fn text(html: &str) -> String {
    let mut text = String::new();
    for part in html.split('<') {
        text += part.split_once('>').map_or(part, |(_, text)| text);
    }
    text.replace("&#39;", "'").replace("&#38;", "&").trim().to_owned()
}

/// Formats units as the page does.
fn quantity(units: f64) -> String {
    match units {
        whole if whole.fract() == 0.0 => format!("{whole:.0}"),
        large if large >= 0.01 => format!("{large:.2}"),
        small => format!("{small:.2e}"),
    }
}

/// Returns the rows that the page's tables should have, without their headings.
fn expected_rows(json: &Value) -> Vec<Vec<String>> {
    let number = |value: &Value| value.to_string();
    let mut rows = Vec::new();
    for step in ["sent_to_claimed", "claimed_to_archived", "sent_to_archived"] {
        let cells = ["events", "p50_ms", "p90_ms", "p99_ms", "max_ms"].map(|name| number(&json["latency"][step][name]));
        rows.push([&[step.replace('_', " ")], &cells[..]].concat());
    }
    for difference in json["differs"].as_array().unwrap() {
        rows.push(vec![difference["pointer"].as_str().unwrap().to_owned(), number(&difference["conflicts"])]);
    }
    for event in json["repeated_events"].as_array().unwrap() {
        let id = event["event_id"].as_str().unwrap().to_owned();
        rows.push(vec![id, number(&event["duplicates"]), number(&event["conflicts"])]);
    }
    let usd = |usd: &Value| {
        let dollars = |region| usd[region].as_f64().map_or("–".to_owned(), |usd| format!("{usd:.3}"));
        ["us-east-1", "sa-east-1"].map(dollars)
    };
    let bill = &json["bill"];
    for (lines, sums) in [
        (
            "lines",
            &[
                ("sum for a million events", "usd_per_million_events"),
                ("sum for a million messages", "usd_per_million_messages"),
            ][..],
        ),
        ("monthly", &[("sum per month", "usd_a_month")]),
    ] {
        for line in bill[lines].as_array().unwrap().iter().filter(|line| line["units"] != 0.0) {
            let units = quantity(line["units"].as_f64().unwrap());
            let what = format!("{} {units} {}", line["what"].as_str().unwrap(), line["unit"].as_str().unwrap());
            rows.push([&[what], &usd(&line["usd"])[..]].concat());
        }
        rows.extend(sums.iter().map(|(what, sum)| [&[(*what).to_owned()], &usd(&bill[sum])[..]].concat()));
    }
    rows
}

/// Every number and text on the page is also in the JSON report.
#[tokio::test]
async fn json_has_everything_on_the_page() {
    let mut report = report(&["run", "conflicts", "--messages", "60", "--rate", "40"]).await;
    report.unsent = 3;
    report.objects_per_second_by_tenth = vec![17, 4_711];
    let json = serde_json::to_value(&report).unwrap();
    let html = page::render(&report);

    let mut shown = 0;
    for entry in between(&html, "<div><dt>", "</dd></div>") {
        let (name, value) = entry.split_once("</dt><dd>").unwrap();
        let name = if name == "messages a second" { "sent_per_second".to_owned() } else { name.replace(' ', "_") };
        assert_eq!(value.split("<small>").next().unwrap(), json[&name].to_string(), "{name}");
        shown += 1;
    }
    assert_eq!(shown, 13, "{html}");

    let rows = between(&html, "<tr><t", "</tr>").into_iter().filter(|row| !row.contains("</th><th>"));
    let rows: Vec<Vec<String>> = rows
        .map(|row| {
            let mut cells: Vec<String> = row.split("</t").map(|cell| text(&format!("<t{cell}"))).collect();
            cells.pop();
            cells
        })
        .collect();
    assert_eq!(rows, expected_rows(&json));

    let page = text(&html);
    for value in
        ["verdict", "started_at", "target", "about", "sends", "expects"].map(|name| json[name].as_str().unwrap())
    {
        assert!(page.contains(value), "{value}");
    }
    for invariant in json["invariants"].as_array().unwrap() {
        assert!(page.contains(invariant["name"].as_str().unwrap()), "{invariant}");
    }
    let looked_up = json["bill"]["prices_looked_up"].as_str().unwrap();
    for expected in [
        &format!("list prices of {looked_up}"),
        "tenth of the run: 17 4711 ",
        json["latency"]["clocks"].as_str().unwrap(),
    ] {
        assert!(page.contains(expected), "{expected}");
    }
}

/// The page loads no resources, such as scripts, images or style sheets. If the report file cannot be written, the run
/// stops before it sends a message.
#[test]
fn page_is_self_contained() {
    let folder = tempfile::tempdir().unwrap();
    let producer = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
        command.current_dir(folder.path()).args(["run", "mixed", "--local"]).args(arguments).output().unwrap()
    };
    assert!(producer(&["--messages", "300", "--report", "report.html"]).status.success());
    let html = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    keep("report-held.html", &html);
    // The only URL on the page is the SVG namespace.
    let addresses: Vec<&str> = html.match_indices("//").map(|(at, _)| &html[at..at + 12]).collect();
    assert!(addresses.iter().all(|address| *address == "//www.w3.org"), "{addresses:?}");
    for reference in ["<script", "<img", "url(", "@import", "src="] {
        assert!(!html.contains(reference), "{reference}");
    }
    let output = producer(&["--report", "nowhere/report.html"]);
    let problem = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{problem}");
    assert!(problem.contains("nowhere/report.html"), "{problem}");
}

/// A run that fails before it sends creates no report file, and does not change an existing one.
#[test]
fn failed_start_leaves_report_untouched() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old.html"), "old").unwrap();
    for report in ["new.html", "old.html"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
        command.current_dir(folder.path()).args(["--local", "--file", "nowhere.ndjson", "--report", report]);
        assert_eq!(command.output().unwrap().status.code(), Some(2));
    }
    assert!(!folder.path().join("new.html").exists());
    assert_eq!(std::fs::read_to_string(folder.path().join("old.html")).unwrap(), "old");
}

/// If the verdict is `held` but the report cannot be written, the producer still prints the verdict and exits with 4.
#[test]
fn unwritable_report_of_held_run_is_exit_code_4() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    let output = command.args(["--local", "--messages", "2", "--report", "/dev/full"]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let problem = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{problem}");
    assert!(problem.contains("failed to write the report /dev/full"), "{problem}");
    assert!(printed.contains("\nverdict: held\n"), "{printed}");
}
