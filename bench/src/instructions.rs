//! Counts the instructions that a warm function executes in user mode for one message, with `valgrind`. Unlike CPU
//! time, this figure hardly depends on the machine's load, so small changes are visible.

use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, ensure};
use bench::traffic::{BATCH, Relation, Size, Traffic};

use crate::process::{Process, back_end, on_a_runtime};
use crate::subject::{ARCHIVE, INGEST, INGEST_BATCH, Subject};

/// Number of warm-up batches. They also fill the caches of the allocator and the SDK.
const WARM_UP: usize = 30;

/// Number of batches that are counted.
const COUNTED: usize = 100;

/// Writes a table of the instructions per message of each function. If `before` is the folder of other builds of the
/// functions, the table compares both.
pub(crate) fn write(functions: &Path, before: Option<&Path>, out: &mut impl Write) -> anyhow::Result<()> {
    let valgrind = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("valgrind"))
        .find(|program| program.is_file())
        .context("cannot find valgrind: install it (Debian: valgrind)")?;
    let count = |folder: &Path, subject: &Subject, size, relation| {
        let counted = instructions(&valgrind, folder, subject, size, relation);
        counted.with_context(|| format!("failed to count the instructions of {}", subject.name))
    };
    writeln!(out, "| function | events | instructions per message | before | ratio |")?;
    writeln!(out, "| --- | --- | ---: | ---: | ---: |")?;
    for (name, settings, variables) in SETTINGS {
        let mut subject = crate::subject::named(&crate::subject::compiled(functions), name).clone();
        subject.variables.extend(variables.iter().map(|&(name, value)| (name, value.to_owned())));
        for (size, relation) in Size::ALL.into_iter().flat_map(|size| RELATIONS.map(|relation| (size, relation))) {
            if relation == Relation::Duplicates && !subject.knows_duplicates() {
                continue;
            }
            let events = format!("{relation:?}, {}", size.name());
            let now = count(functions, &subject, size, relation)?;
            // A build of an older version does not know all settings.
            let before = before.filter(|_| variables.is_empty());
            let before = before.map(|before| count(before, &subject, size, relation)).transpose()?;
            let compared =
                before.map_or_else(|| "| |".to_owned(), |before| format!("{before:.0} | {:.3} |", now / before));
            writeln!(out, "| {name}{settings} | {} | {now:.0} | {compared}", events.to_lowercase())?;
            out.flush()?;
        }
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
/// [`COUNTED`] more, and subtracts the counts.
fn instructions(
    valgrind: &Path,
    folder: &Path,
    subject: &Subject,
    size: Size,
    relation: Relation,
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
                process.invoke(traffic.batch(BATCH).0).await?;
            }
            process.terminate().await
        })?;
        let log_text = std::fs::read_to_string(&log).with_context(|| format!("failed to read {}", log.display()))?;
        let collected =
            log_text.lines().find_map(|line| line.split_once("Collected : ")).context("valgrind counted nothing")?;
        collected.1.trim().parse::<u64>().context("valgrind printed no number")
    };
    let (few, many) = (count(WARM_UP)?, count(WARM_UP + COUNTED)?);
    ensure!(many > few, "a run with more batches had fewer instructions");
    std::fs::remove_file(&log)?;
    #[expect(clippy::cast_precision_loss, reason = "a count of instructions is far below 2^52")]
    Ok((many - few) as f64 / (COUNTED * BATCH) as f64)
}
