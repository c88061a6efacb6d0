//! Counts the instructions that a warm function executes in user mode for one message, with `valgrind`. Unlike CPU
//! time, this figure hardly depends on the machine's load, so small changes are visible.

use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, ensure};
use bench::traffic::{BATCH, Relation, Size, Traffic};

use crate::process::{Process, back_end, on_a_runtime};
use crate::subject::{
    self, ARCHIVE, ARCHIVE_PACKS, BARE_S3, INGEST, INGEST_BATCH, INGEST_PACKS, INGEST_PACKS_BATCH, Subject,
};

/// The batches of a count.
#[derive(Clone, Copy)]
struct Batches {
    /// Number of messages in a batch.
    messages: usize,
    /// Number of warm-up batches. They also fill the caches of the allocator and the SDK.
    warm_up: usize,
    /// Number of batches that are counted.
    counted: usize,
}

const SMALL_BATCHES: Batches = Batches { messages: BATCH, warm_up: 30, counted: 100 };

/// The batches for functions with packs.
const LARGE_BATCHES: Batches = Batches { messages: 1_000, warm_up: 2, counted: 4 };

/// The functions that are also counted in large batches.
const IN_LARGE_BATCHES: [&str; 7] =
    [BARE_S3, INGEST, INGEST_BATCH, ARCHIVE, INGEST_PACKS, INGEST_PACKS_BATCH, ARCHIVE_PACKS];

/// Writes a table of the instructions per message of each function. If `before` is the folder of other builds of the
/// functions, the table compares both.
pub(crate) fn write(functions: &Path, before: Option<&Path>, out: &mut impl Write) -> anyhow::Result<()> {
    let valgrind = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("valgrind"))
        .find(|program| program.is_file())
        .context("cannot find valgrind: install it (Debian: valgrind)")?;
    let count = |folder: &Path, subject: &Subject, size, relation, batches| {
        let counted = instructions(&valgrind, folder, subject, size, relation, batches);
        counted.with_context(|| format!("failed to count the instructions of {}", subject.name))
    };
    writeln!(out, "| function | events | instructions per message | before | ratio |")?;
    writeln!(out, "| --- | --- | ---: | ---: | ---: |")?;
    let subjects = [subject::compiled(functions), subject::with_packs(functions)].concat();
    for (name, settings, variables) in SETTINGS {
        let mut subject = subject::named(&subjects, name).clone();
        subject.variables.extend(variables.iter().map(|&(name, value)| (name, value.to_owned())));
        for (size, relation) in Size::ALL.into_iter().flat_map(|size| RELATIONS.map(|relation| (size, relation))) {
            if relation == Relation::Duplicates && !subject.knows_duplicates() {
                continue;
            }
            let events = format!("{relation:?}, {}", size.name());
            let now = count(functions, &subject, size, relation, SMALL_BATCHES)?;
            // A build of an older version does not know all settings.
            let before = before.filter(|_| variables.is_empty());
            let before = before.map(|before| count(before, &subject, size, relation, SMALL_BATCHES)).transpose()?;
            let compared =
                before.map_or_else(|| "| |".to_owned(), |before| format!("{before:.0} | {:.3} |", now / before));
            writeln!(out, "| {name}{settings} | {} | {now:.0} | {compared}", events.to_lowercase())?;
            out.flush()?;
        }
    }
    for name in IN_LARGE_BATCHES {
        let subject = subject::named(&subjects, name);
        let events = format!("distinct, {}, batches of {}", Size::Reading.name(), LARGE_BATCHES.messages);
        let now = count(functions, subject, Size::Reading, Relation::Distinct, LARGE_BATCHES)?;
        writeln!(out, "| {name} | {events} | {now:.0} | | |")?;
        out.flush()?;
    }
    Ok(())
}

const RELATIONS: [Relation; 2] = [Relation::Distinct, Relation::Duplicates];

/// A function's name, the text that the table adds to the name, and the function's additional environment variables.
type Setting = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
const SETTINGS: [Setting; 5] = [
    (INGEST, "", &[]),
    (INGEST_BATCH, "", &[]),
    (ARCHIVE, "", &[]),
    (INGEST, ", three ignored members", &[("CONFLICT_IGNORE", r#"["/timestamp","/load_mw","/note"]"#)]),
    (INGEST, ", dedup key `content`", &[("DEDUP_KEY", "content")]),
];

/// Returns the instructions per message. Runs the function twice, once only with the warm-up batches and once with
/// the counted batches too, and subtracts the counts.
fn instructions(
    valgrind: &Path,
    folder: &Path,
    subject: &Subject,
    size: Size,
    relation: Relation,
    Batches { messages, warm_up, counted }: Batches,
) -> anyhow::Result<f64> {
    let log = std::env::temp_dir().join(format!("bench-instructions-{}.log", std::process::id()));
    let program = folder.join(subject.program.file_name().context("the function has a file name")?);
    let subject = Subject {
        program: valgrind.to_owned(),
        arguments: vec![
            "--tool=callgrind".to_owned(),
            "--callgrind-out-file=/dev/null".to_owned(),
            format!("--log-file={}", log.display()),
            program.display().to_string(),
        ],
        ..subject.clone()
    };
    let count = |batches| {
        on_a_runtime(async {
            let (_services, endpoint) = back_end().await?;
            let mut traffic = Traffic::new(subject.source, size, relation);
            let mut process = Process::start(&subject, &endpoint).await?;
            for _ in 0..batches {
                process.invoke(traffic.batch(messages).0).await?;
            }
            process.terminate().await
        })?;
        let log_text = std::fs::read_to_string(&log).with_context(|| format!("failed to read {}", log.display()))?;
        let collected =
            log_text.lines().find_map(|line| line.split_once("Collected : ")).context("valgrind counted nothing")?;
        collected.1.trim().parse::<u64>().context("valgrind printed no number")
    };
    let (few, many) = (count(warm_up)?, count(warm_up + counted)?);
    ensure!(many > few, "a run with more batches had fewer instructions");
    std::fs::remove_file(&log)?;
    #[expect(clippy::cast_precision_loss, reason = "a count of instructions is far below 2^52")]
    Ok((many - few) as f64 / (counted * messages) as f64)
}
