//! Measures the whole embedded pipeline: the `producer` sends distinct events, and reads and judges the result. Can
//! also measure another build of the producer, in alternation with this one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use crate::results::Machine;

/// The parts of the pipeline, named as in `producer --json`, in the order in which they process an event.
const PARTS: [&str; 7] = ["send", "ingest", "table", "stream", "archive", "lake", "verify"];

/// Number of seconds for which the producer sends in the run at half the rate.
const SECONDS_AT_HALF_RATE: u64 = 20;

/// The part of `producer --json` that the bench reads. Older builds have neither `cpu_ms` nor `lake_requests`.
#[derive(Deserialize)]
struct Report {
    verdict: String,
    time: f64,
    latency: Latency,
    objects_per_second_by_tenth: Vec<u64>,
    cpu_ms: Option<BTreeMap<String, f64>>,
    lake_requests: Option<LakeRequests>,
}

#[derive(Deserialize)]
struct Latency {
    claimed_to_archived: Lag,
}

/// Times from claim to object in milliseconds.
#[derive(Clone, Copy, Deserialize, Serialize)]
struct Lag {
    p50_ms: u64,
    p90_ms: u64,
    p99_ms: u64,
    max_ms: u64,
}

/// The requests that the producer sent to the lake to judge a run.
#[derive(Clone, Copy, Deserialize, Serialize)]
struct LakeRequests {
    lists: u64,
    reads: u64,
}

/// One run of a producer.
#[derive(Serialize)]
struct Run {
    events: u64,
    /// Messages per second; `None` if the producer sent as fast as it could.
    rate: Option<u64>,
    /// Number of events divided by the time from the first send until the verdict.
    events_per_second: f64,
    /// CPU time of the process in milliseconds per event.
    cpu_ms_per_event: f64,
    /// CPU time of each part in milliseconds per event; `None` if the build does not report it.
    cpu_ms_per_event_by_part: Option<Vec<(&'static str, f64)>>,
    lag: Lag,
    slowest_tenth_to_median: Option<f64>,
    peak_memory_mb: f64,
    lake_requests_per_1000_events: Option<f64>,
}

/// A build of the producer and the options that it runs with, and all these runs in order.
#[derive(Serialize)]
struct Build {
    name: &'static str,
    producer: PathBuf,
    options: &'static [&'static str],
    runs: Vec<Run>,
}

#[derive(Serialize)]
struct Results {
    machine: Machine,
    builds: Vec<Build>,
}

/// The options with which this build is also measured.
const VARIANTS: [(&str, &[&str]); 3] = [
    ("batched claims", &["--batched-claims"]),
    ("packs", &["--packs"]),
    ("packs, batched claims", &["--packs", "--batched-claims"]),
];

/// Measures the producers: this build's without options and in the [`VARIANTS`], and the other one if given. In each round,
/// every producer sends `events` events as fast as it can. At the end, each one sends at half the rate that this build
/// reached. Prints a table, and writes `pipeline.json` and `pipeline.svg` to `folder`.
pub(crate) fn measure(
    producer: &Path,
    before: Option<PathBuf>,
    events: u64,
    rounds: u8,
    folder: &Path,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let build = |name, producer, options| Build { name, producer, options, runs: Vec::new() };
    let mut builds = vec![build("this build", producer.to_owned(), &[])];
    builds.extend(before.map(|before| build("before", before, &[])));
    builds.extend(VARIANTS.map(|(name, options)| build(name, producer.to_owned(), options)));
    for _ in 0..rounds {
        for build in &mut builds {
            build.runs.push(run(build, events, None, folder)?);
        }
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is small and positive")]
    let half_rate = (median(&builds[0].runs, |run| run.events_per_second) / 2.0) as u64;
    for build in &mut builds {
        build.runs.push(run(build, half_rate * SECONDS_AT_HALF_RATE, Some(half_rate), folder)?);
    }
    write_table(&builds, out)?;
    let results = Results { machine: Machine::this(), builds };
    fs::write(folder.join("pipeline.json"), serde_json::to_string_pretty(&results)? + "\n")?;
    draw(&results.builds, &folder.join("pipeline.svg"))
}

fn run(Build { producer, options, .. }: &Build, events: u64, rate: Option<u64>, folder: &Path) -> anyhow::Result<Run> {
    let json = folder.join("producer.json");
    let mut command = Command::new(producer);
    command.args(["distinct", "--local", "--json", "--timeout", "3600", "--messages", &events.to_string()]);
    command.args(*options);
    if let Some(rate) = rate {
        command.args(["--rate", &rate.to_string()]);
    }
    let cpu_before = cpu_of_children()?;
    let child = command.stdout(File::create(&json)?).stderr(Stdio::null()).current_dir(folder).spawn();
    let mut child = child.with_context(|| format!("failed to start {}", producer.display()))?;
    let mut peak_kb = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak_kb = peak_memory_kb(child.id()).unwrap_or(peak_kb).max(peak_kb);
        thread::sleep(Duration::from_millis(20));
    };
    let cpu = cpu_of_children()?.saturating_sub(cpu_before);
    let report: Report = serde_json::from_slice(&fs::read(&json)?).context("failed to read the producer's report")?;
    ensure!(status.success() && report.verdict == "held", "the producer's verdict is {}: {status}", report.verdict);

    let count = precise(events);
    let tenths = &report.objects_per_second_by_tenth;
    let by_part = |times: BTreeMap<String, f64>| -> anyhow::Result<Vec<(&'static str, f64)>> {
        let of = |part: &'static str| {
            let ms = times.get(part).with_context(|| format!("the producer reports no CPU time of {part}"))?;
            Ok((part, ms / count))
        };
        PARTS.into_iter().map(of).collect()
    };
    let requests = report.lake_requests.map(|LakeRequests { lists, reads }| lists + reads);
    Ok(Run {
        events,
        rate,
        events_per_second: count / report.time,
        cpu_ms_per_event: cpu.as_secs_f64() * 1_000.0 / count,
        cpu_ms_per_event_by_part: report.cpu_ms.map(by_part).transpose()?,
        lag: report.latency.claimed_to_archived,
        slowest_tenth_to_median: slowest_to_median(tenths),
        peak_memory_mb: precise(peak_kb) / 1024.0,
        lake_requests_per_1000_events: requests.map(|requests| precise(requests) * 1_000.0 / count),
    })
}

fn slowest_to_median(tenths: &[u64]) -> Option<f64> {
    let mut sorted = tenths.to_vec();
    sorted.sort_unstable();
    let median = *sorted.get(sorted.len() / 2)?;
    Some(precise(*sorted.first()?) / precise(median))
}

#[expect(clippy::cast_precision_loss, reason = "all counts of this bench are below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}

fn cpu_of_children() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("failed to read the CPU time of the producers")?;
    let time = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(u64::try_from(time.tv_sec()).unwrap_or(0))
            + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
    };
    Ok(time(usage.user_time()) + time(usage.system_time()))
}

fn peak_memory_kb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.split_whitespace().next()?.parse().ok()
}

fn median(runs: &[Run], figure: impl Fn(&Run) -> f64) -> f64 {
    let mut figures: Vec<f64> = runs.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn write_table(builds: &[Build], out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(
        out,
        "| build | events | sent per second | events per second | CPU per event, ms | lag p50, ms | lag p99, ms | slowest tenth / median | peak memory, MB | requests to the lake per 1,000 events |"
    )?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
    let optional =
        |figure: Option<f64>, decimals: usize| figure.map_or_else(String::new, |it| format!("{it:.decimals$}"));
    for build in builds {
        for run in &build.runs {
            let Run { events, rate, events_per_second, cpu_ms_per_event, lag, peak_memory_mb, .. } = run;
            let rate = rate.map_or_else(|| "all at once".to_owned(), |rate| rate.to_string());
            writeln!(
                out,
                "| {} | {events} | {rate} | {events_per_second:.0} | {cpu_ms_per_event:.3} | {} | {} | {} | {peak_memory_mb:.0} | {} |",
                build.name,
                lag.p50_ms,
                lag.p99_ms,
                optional(run.slowest_tenth_to_median, 2),
                optional(run.lake_requests_per_1000_events, 1),
            )?;
        }
    }
    writeln!(out, "\n| CPU per event, ms | {} |", PARTS.join(" | "))?;
    writeln!(out, "| --- |{}", " ---: |".repeat(PARTS.len()))?;
    for build in builds {
        for parts in build.runs.iter().filter_map(|run| run.cpu_ms_per_event_by_part.as_ref()) {
            let cells: Vec<String> = parts.iter().map(|(_, ms)| format!("{ms:.3}")).collect();
            writeln!(out, "| {} | {} |", build.name, cells.join(" | "))?;
        }
    }
    Ok(())
}

/// Draws the CPU time per event of the first run of each build, one bar for each part.
fn draw(builds: &[Build], file: &Path) -> anyhow::Result<()> {
    const COLORS: [RGBColor; 5] = [
        RGBColor(0x09, 0x69, 0xda),
        RGBColor(0xbc, 0x4c, 0x00),
        RGBColor(0x1a, 0x7f, 0x37),
        RGBColor(0x82, 0x50, 0xdf),
        RGBColor(0x6e, 0x77, 0x81),
    ];
    let series: Vec<(&str, &Vec<(&str, f64)>)> = builds
        .iter()
        .filter_map(|build| Some((build.name, build.runs.first()?.cpu_ms_per_event_by_part.as_ref()?)))
        .collect();
    let top = series.iter().flat_map(|(_, parts)| parts.iter().map(|(_, ms)| *ms)).fold(0.01, f64::max) * 1.1;
    let area = SVGBackend::new(file, (720, 320)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("CPU time per event, ms", ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..precise(PARTS.len() as u64), 0.0..top)?;
    let label = |x: &f64| {
        let part = PARTS.iter().zip(0..).find(|(_, at)| (x - f64::from(*at) - 0.5).abs() < 0.01);
        part.map_or_else(String::new, |(part, _)| (*part).to_owned())
    };
    chart.configure_mesh().disable_x_mesh().x_labels(15).x_label_formatter(&label).draw()?;
    let width = 0.8 / precise(series.len().max(1) as u64);
    for ((_, parts), (number, color)) in series.iter().zip((0..).zip(COLORS)) {
        let bars = parts.iter().zip(0..).map(|((_, ms), at)| {
            let left = f64::from(at) + 0.1 + f64::from(number) * width;
            Rectangle::new([(left, 0.0), (left + width, *ms)], color.filled())
        });
        chart.draw_series(bars)?;
    }
    area.present().context("failed to write the chart")
}
