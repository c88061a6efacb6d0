//! Where the CPU time of one message goes: `perf` looks several thousand times a second at which function is running, and what
//! it finds is added up by what that function is there for.
//!
//! Link-time optimisation puts small functions into their callers, so that a row is where the work was done, not always
//! whose it was.

use std::io::Write;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use crate::measure::WARM_UP;
use crate::process::{Process, back_end, on_a_runtime};
use crate::subject::Subject;
use bench::traffic::{BATCH, Relation, Size, Traffic};

/// Looks a second.
const FREQUENCY: &str = "4999";

/// What a function is there for, by what its name holds; the first that fits.
const PURPOSES: [(&str, &[&str]); 9] = [
    ("SHA-256: signatures, and the event's digest", &["sha2::"]),
    ("the rest of signing", &["aws_sigv4::", "hmac::", "hex::"]),
    (
        "HTTP: hyper and tokio",
        &["hyper", "http::", "http_body", "tokio::", "h2::", "mio::", "futures_", "bytes::", "httparse"],
    ),
    ("JSON", &["serde", "struson::", "aws_smithy_json", "json"]),
    ("the SDK's own: endpoint, retries, headers, interceptors", &["aws_", "lambda_runtime"]),
    ("zstd", &["ZSTD", "HUF_", "FSE_", "HIST_", "zstd", "XXH"]),
    ("logging and metrics", &["tracing", "metrique", "sharded_slab"]),
    ("allocation", &["mi_", "malloc", "free", "realloc", "calloc"]),
    ("this project's own code", &["ingest_fn::", "archive_fn::", "lambda_support::", "claim::"]),
];
const COPIES: &str = "copies of memory";
const KERNEL: &str = "the kernel: sockets, waiting";
const LIBRARY: &str = "the standard library: text, hash maps, futures";

/// Writes a table of microseconds a message, of distinct readings of 250 bytes in batches of ten.
pub(crate) fn write(subjects: &[&Subject], batches: usize, out: &mut impl Write) -> anyhow::Result<()> {
    let found = subjects.iter().map(|subject| on_a_runtime(profile(subject, batches)).context(subject.name));
    let found = found.collect::<anyhow::Result<Vec<Profile>>>()?;
    let heads = subjects.iter().map(|subject| format!(" {} |", subject.name)).collect::<String>();
    writeln!(out, "| us a message |{heads}\n| --- |{}", " ---: |".repeat(subjects.len()))?;
    let purposes = PURPOSES.map(|(purpose, _)| purpose);
    for purpose in purposes.into_iter().chain([COPIES, LIBRARY, KERNEL]) {
        let cells = found.iter().map(|profile| format!(" {:.1} |", profile.microseconds(Some(purpose))));
        writeln!(out, "| {purpose} |{}", cells.collect::<String>())?;
    }
    let together = found.iter().map(|profile| format!(" {:.1} |", profile.microseconds(None)));
    writeln!(out, "| together |{}", together.collect::<String>())?;
    Ok(())
}

/// What was seen of one function.
struct Profile {
    cpu_us: f64,
    /// Purpose and how often it was seen.
    seen: Vec<(&'static str, u64)>,
}

impl Profile {
    /// Of one purpose, or of all.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn microseconds(&self, purpose: Option<&str>) -> f64 {
        let of = |wanted: Option<&str>| -> u64 {
            let seen = self.seen.iter().filter(|(purpose, _)| wanted.is_none_or(|wanted| wanted == *purpose));
            seen.map(|(_, times)| times).sum()
        };
        self.cpu_us * of(purpose) as f64 / of(None).max(1) as f64
    }
}

async fn profile(subject: &Subject, batches: usize) -> anyhow::Result<Profile> {
    let (_services, endpoint) = back_end().await?;
    let mut traffic = Traffic::new(subject.source, Size::Reading, Relation::Distinct);
    let mut process = Process::start(subject, &endpoint).await?;
    for _ in 0..WARM_UP {
        process.invoke(traffic.batch(BATCH).0).await?;
    }

    let folder = tempfile::tempdir()?;
    let data = folder.path().join("perf.data");
    let mut perf = Command::new("perf")
        .args(["record", "--quiet", "--event", "cpu-clock", "--freq", FREQUENCY, "--output"])
        .arg(&data)
        .args(["--pid", &process.pid()?.to_string()])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("perf cannot be started (Debian: linux-perf)")?;
    let before = process.cpu()?;
    for _ in 0..batches {
        process.invoke(traffic.batch(BATCH).0).await?;
    }
    let cpu = process.cpu()?.saturating_sub(before);
    // It writes what it has when it is interrupted.
    kill(Pid::from_raw(i32::try_from(perf.id().context("perf ended early")?)?), Signal::SIGINT)?;
    perf.wait().await?;

    let mut script = Command::new("perf");
    script.args(["script", "--fields", "ip,sym,dso", "--input"]).arg(&data).stderr(Stdio::null());
    let script = script.output().await.context("perf cannot be started")?;
    let script = String::from_utf8(script.stdout).context("what perf says")?;
    let mut seen: Vec<(&'static str, u64)> = Vec::new();
    for line in script.lines().filter(|line| !line.trim().is_empty()) {
        let purpose = purpose(line);
        match seen.iter_mut().find(|(known, _)| *known == purpose) {
            Some((_, times)) => *times += 1,
            None => seen.push((purpose, 1)),
        }
    }
    let looks: u64 = seen.iter().map(|(_, times)| times).sum();
    ensure!(looks >= 1_000, "perf looked {looks} times only: may this user profile (kernel.perf_event_paranoid)?");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let cpu_us = cpu.as_secs_f64() * 1e6 / (batches * BATCH) as f64;
    Ok(Profile { cpu_us, seen })
}

/// Of `ffffffff81 do_syscall_64 ([kernel.kallsyms])`.
fn purpose(line: &str) -> &'static str {
    let symbol = line.trim().split_once(' ').map_or("", |(_, rest)| rest);
    if symbol.contains("([kernel") || symbol.contains("[vdso]") {
        return KERNEL;
    }
    if symbol.contains("mem") && symbol.contains("libc") {
        return COPIES;
    }
    let purpose = PURPOSES.iter().find(|(_, names)| names.iter().any(|name| symbol.contains(name)));
    purpose.map_or(LIBRARY, |(purpose, _)| purpose)
}
