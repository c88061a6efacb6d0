//! The results of the whole bench: medians, other measurements, and whether they meet their targets.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::measure::{self, Sample};
use crate::scenario::{Connections, Memory, Rate};
use crate::size;
use crate::subject::{
    ARCHIVE, ARCHIVE_PACKS, BARE_EXECUTE, BARE_PUT, BARE_S3, BOTO3, INGEST, INGEST_BATCH, INGEST_PACKS_BATCH,
    POWERTOOLS, Subject,
};
use crate::wru;
use bench::traffic::{Relation, Size};

/// The results of the whole bench. They become `results.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    /// Number of warm messages per round. The CPU time of a function is averaged over them.
    pub(crate) messages: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) herd_writes: u64,
    pub(crate) duplicates: usize,
    pub(crate) requests_of_duplicates: u64,
    pub(crate) connections: Vec<Connections>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) rates: Vec<Rate>,
    pub(crate) targets: Vec<Target>,
}

/// The machine on which the bench ran.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Load average over one minute, before and after the run.
    pub(crate) load: [String; 2],
}

/// The samples of one function with one kind of traffic, and their medians.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) function: &'static str,
    pub(crate) baseline: &'static str,
    pub(crate) size: Size,
    pub(crate) relation: Relation,
    pub(crate) median: Sample,
    pub(crate) samples: Vec<Sample>,
    pub(crate) artifact: size::Size,
}

/// A target and the figure that the run measured.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) bound: String,
    pub(crate) found: String,
    pub(crate) met: bool,
}

impl Machine {
    /// Describes this machine. The caller fills in the load after the run.
    pub(crate) fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo");
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            processor: processor.map_or("unknown", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: [Self::load(), String::new()],
        }
    }

    pub(crate) fn load() -> String {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        load.split_whitespace().next().unwrap_or_default().to_owned()
    }
}

impl Row {
    pub(crate) fn new(
        subject: &Subject,
        size: Size,
        relation: Relation,
        samples: Vec<Sample>,
        artifact: size::Size,
    ) -> Self {
        let median = |of: fn(&Sample) -> f64| measure::median(samples.iter().map(of).collect());
        let median = Sample {
            cold_ms: median(|sample| sample.cold_ms),
            first_batch_ms: median(|sample| sample.first_batch_ms),
            cpu_us: median(|sample| sample.cpu_us),
            requests: median(|sample| sample.requests),
            memory_mb: median(|sample| sample.memory_mb),
        };
        Self { function: subject.name, baseline: subject.baseline, size, relation, median, samples, artifact }
    }
}

impl Results {
    pub(crate) fn row(&self, function: &str, size: Size, relation: Relation) -> Option<&Row> {
        self.rows.iter().find(|row| row.function == function && row.size == size && row.relation == relation)
    }

    /// Compares the figures with their targets. Targets whose figures were not measured are left out.
    pub(crate) fn judge(&mut self) {
        let mut targets = Vec::new();
        let mut at_most = |what: String, bound: f64, found: Option<f64>| {
            if let Some(found) = found {
                let (bound, met) = (format!("at most {bound} x"), found <= bound);
                targets.push(Target { what, bound, found: format!("{found:.2} x"), met });
            }
        };
        let reading = |function: &str| self.row(function, Size::Reading, Relation::Distinct);
        let ratio = |of: fn(&Row) -> f64, function: &str, to: &str| Some(of(reading(function)?) / of(reading(to)?));
        let cold = |row: &Row| row.median.cold_ms;
        let cpu = |row: &Row| row.median.cpu_us;
        for ingest in [INGEST, INGEST_BATCH] {
            let of_bare = |what: &str| format!("{ingest}: {what}, relative to the bare function");
            at_most(of_bare("start to first /next"), 1.15, ratio(cold, ingest, BARE_PUT));
            let first = ratio(|row| row.median.first_batch_ms, ingest, BARE_PUT);
            at_most(of_bare("first batch answered"), 1.15, first);
            let most = if ingest == INGEST { 1.15 } else { 0.5 };
            at_most(of_bare("CPU per distinct message"), most, ratio(cpu, ingest, BARE_PUT));
        }
        let zip = |row: &Row| row.artifact.zip_megabytes();
        for (function, bare) in [(INGEST, BARE_PUT), (INGEST_BATCH, BARE_EXECUTE), (ARCHIVE, BARE_S3)] {
            at_most(
                format!("{function}: zip, relative to a bare function with the same client"),
                1.15,
                ratio(zip, function, bare),
            );
        }

        let mut at_least = |what: String, bound: f64, found: Option<f64>| {
            if let Some(found) = found {
                let (bound, met) = (format!("at least {bound} x"), found >= bound);
                targets.push(Target { what, bound, found: format!("{found:.1} x"), met });
            }
        };
        for (ingest, of_boto3, of_powertools) in [(INGEST, 8.0, 11.0), (INGEST_BATCH, 12.0, 18.0)] {
            for (peer, bound) in [(BOTO3, of_boto3), (POWERTOOLS, of_powertools)] {
                let ours = reading(ingest).and_then(|ingest| Some(cpu(ingest) + cpu(reading(ARCHIVE)?)));
                let found = ours.and_then(|ours| Some(cpu(reading(peer)?) / ours));
                at_least(
                    format!("{peer}: CPU per message, relative to {ingest} and archive-fn together"),
                    bound,
                    found,
                );
            }
        }
        let what =
            format!("{BOTO3}: CPU in large batches, relative to {INGEST_PACKS_BATCH} and {ARCHIVE_PACKS} together");
        at_least(what, 25.0, self.boto3_relative_to_packs());
        for peer in [BOTO3, POWERTOOLS] {
            for ours in [INGEST, INGEST_BATCH, ARCHIVE] {
                at_least(format!("{peer}: start to first /next, relative to {ours}"), 40.0, ratio(cold, peer, ours));
            }
        }

        let mut count = |what: &str, bound: String, found: String, met| {
            targets.push(Target { what: what.to_owned(), bound, found, met });
        };
        let what = "claim writes for 50 identical messages in five batches over two warm sandboxes";
        count(what, "at most 2".to_owned(), self.herd_writes.to_string(), self.herd_writes <= 2);
        let what = format!("requests to the services for {} duplicates of events in the warm cache", self.duplicates);
        let requests = self.requests_of_duplicates;
        count(&what, "none".to_owned(), requests.to_string(), requests == 0);
        for Connections { function, after_one_message, after_ten, after_all } in &self.connections {
            let what = format!(
                "{function}: connections after one message, a batch of ten, and two hundred more batches of ten"
            );
            let met = *after_one_message == 1 && *after_ten <= 10 && after_all <= after_ten;
            let found = format!("{after_one_message}, {after_ten}, {after_all}");
            count(&what, "1, at most 10, no further ones".to_owned(), found, met);
        }
        for Memory { what, function, peak_mb } in &self.memory {
            let found = format!("{peak_mb:.0} MB");
            count(
                &format!("{function}: peak memory with {what}"),
                "less than 64 MB".to_owned(),
                found,
                *peak_mb < 64.0,
            );
        }
        let sensor = wru::claim(&Size::Sensor.body("grid_stress_00000000"));
        let units = sensor.map_or(0, |claim| wru::units(claim.item_bytes()));
        count(
            "write request units of the claim of a 5 KB sensor event",
            "at most 2".to_owned(),
            units.to_string(),
            (1..=2).contains(&units),
        );
        for rate in &self.rates {
            let lowest = rate.by_quarter.iter().copied().fold(f64::INFINITY, f64::min);
            let flat = lowest / rate.by_quarter.first().copied().unwrap_or(lowest);
            let what =
                format!("{}: rate in the slowest quarter of a run, relative to its first quarter", rate.function);
            count(&what, "at least 0.8 x".to_owned(), format!("{flat:.2} x"), flat >= 0.8);
        }
        self.targets = targets;
    }

    /// Returns the CPU time of boto3's function per message in large batches, relative to the time of both functions with
    /// packs and batched claims. Returns `None` if it was not measured.
    fn boto3_relative_to_packs(&self) -> Option<f64> {
        let cpu_per_message = |function: &str| {
            let rate = self.rates.iter().find(|rate| rate.function == function)?;
            Some(rate.messages_per_cpu_second.recip())
        };
        let ours = cpu_per_message(INGEST_PACKS_BATCH)? + cpu_per_message(ARCHIVE_PACKS)?;
        Some(cpu_per_message(BOTO3)? / ours)
    }

    /// Groups the rows by size and relation. Each group keeps the order in which the functions were measured.
    pub(crate) fn tables(&self) -> BTreeMap<(Size, Relation), Vec<&Row>> {
        let mut tables: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            tables.entry((row.size, row.relation)).or_default().push(row);
        }
        tables
    }
}
