//! The table of scenarios. Each row says which messages are sent, how they are sent, and which outcome is expected. To
//! add a scenario, add a row to [`SCENARIOS`].

use std::io::{self, Write};
use std::time::Duration;

/// Content of a scenario's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Every message carries the same event.
    Same,
    /// Every message carries a different event.
    Distinct,
    /// Some events are sent once, others several times.
    Mixed,
    /// Each event id is sent with two different contents.
    Conflicting,
    /// Every fifth body is not a valid event.
    Poisoned,
    /// The bodies are at the size limits of the queue and of a table item. Some of them are too large to be claimed.
    Sized,
    /// CloudEvents with the same ids from several sources. The copies of an event differ in `time` and `traceparent`.
    CloudEvents,
    /// The copies of an event differ in `sent_at`, `attempt` and `trace.id`.
    Restamped,
    /// Each message is a line of a file.
    File,
}

/// Faults that a scenario injects into the embedded pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScenarioFaults {
    /// Some batches are delivered twice, some responses of the functions are lost, and some messages become visible
    /// again while they are being processed.
    Redelivery,
    /// The table throttles every write for the duration [`OUTAGE`]. After that, S3 refuses every write for the same
    /// duration.
    Outage,
}

/// The event rules that a scenario requires.
#[derive(Clone, Copy, Debug)]
pub struct ScenarioRules {
    /// Text of the dedup key.
    pub dedup_key: &'static str,
    /// Text of the list of ignored members.
    pub conflict_ignore: &'static str,
}

/// Duration of each of the two outages in [`ScenarioFaults::Outage`].
pub const OUTAGE: Duration = Duration::from_secs(3);

/// A row of [`SCENARIOS`].
#[derive(Debug)]
pub struct Scenario {
    /// Name on the command line.
    pub name: &'static str,
    /// One-line description.
    pub about: &'static str,
    /// One-line description of the messages. It completes "this scenario sends .." in the HTML report.
    pub sends: &'static str,
    /// One-line description of the required outcome. It completes "It expects .." in the HTML report.
    pub expects: &'static str,
    pub content: Content,
    /// Number of messages, unless the command line gives another number.
    pub messages: u32,
    /// Messages per second; `None` for unlimited.
    pub rate: Option<u32>,
    /// Messages per request.
    pub batch_size: u8,
    /// True if only messages that `ingest-fn` must reject may become dead letters; false if any message may.
    pub only_rejected_die: bool,
    /// Faults to inject. A scenario with faults runs only on the embedded pipeline, because the producer cannot inject
    /// faults into a deployed stack.
    pub faults: Option<ScenarioFaults>,
    /// Event rules that the scenario needs for its expected outcome; `None` if it runs under any rules. The embedded
    /// pipeline gets these rules, and a deployed stack must have them.
    pub rules: Option<ScenarioRules>,
    /// Visibility timeout of the embedded queue; `None` for the deployed queue's 185 seconds. SQS redelivers a failed
    /// message only after this time, so a scenario in which messages fail would otherwise take minutes.
    pub hidden_for: Option<Duration>,
}

impl Scenario {
    /// Finds a scenario by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// Returns true if the scenario runs only on the embedded pipeline.
    #[must_use]
    pub fn is_embedded_only(&self) -> bool {
        self.faults.is_some()
    }
}

/// Writes the name and the descriptions of each scenario.
pub fn list(out: &mut impl Write) -> io::Result<()> {
    for scenario in &SCENARIOS {
        let where_to = if scenario.is_embedded_only() { " (embedded only)" } else { "" };
        writeln!(out, "{:<12}{}{where_to}", scenario.name, scenario.about)?;
        writeln!(out, "{:<12}sends    {}", "", scenario.sends)?;
        writeln!(out, "{:<12}expects  {}", "", scenario.expects)?;
        if let Some(ScenarioRules { dedup_key, conflict_ignore }) = scenario.rules {
            writeln!(out, "{:<12}needs    dedup key {dedup_key}, ignored members {conflict_ignore}", "")?;
        }
    }
    Ok(())
}

const PLAIN: Scenario = Scenario {
    name: "file",
    about: "",
    sends: "",
    expects: "",
    content: Content::File,
    messages: 50,
    rate: None,
    batch_size: 10,
    only_rejected_die: false,
    faults: None,
    rules: None,
    hidden_for: None,
};

/// The scenario that `--file` runs. It is not in [`SCENARIOS`], because `run` does not accept its name.
pub static FILE: Scenario = Scenario {
    about: "events from a file",
    sends: "each line of the file unchanged, --copies times",
    expects: "one object for each event id",
    ..PLAIN
};

/// The scenarios that `run` accepts, in the order in which `list` shows them.
pub static SCENARIOS: [Scenario; 11] = [
    Scenario {
        name: "herd",
        about: "one event, sent many times at once",
        sends: "50 identical messages, each in its own request, 50 requests at a time",
        expects: "one claim and one object; all other messages are duplicates",
        content: Content::Same,
        batch_size: 1,
        ..PLAIN
    },
    Scenario {
        name: "distinct",
        about: "no duplicates",
        sends: "50 different events, in batches of ten",
        expects: "one claim and one object for each event",
        content: Content::Distinct,
        ..PLAIN
    },
    Scenario {
        name: "mixed",
        about: "a few events sent many times, and many sent once",
        sends: "1,000 messages, shuffled; --duplicates sets the share of duplicates, and --zipf sets how evenly they are spread over the events",
        expects: "one object for each event; all other messages are duplicates",
        content: Content::Mixed,
        messages: 1_000,
        ..PLAIN
    },
    Scenario {
        name: "conflicts",
        about: "two contents for the same event id",
        sends: "50 messages of 10 events, shuffled: three messages of each event have one content and two have another",
        expects: "one object for each event; each of the other messages is a duplicate if it matches the claim, and a conflict if it does not",
        content: Content::Conflicting,
        ..PLAIN
    },
    Scenario {
        name: "cloudevents",
        about: "the same ids from several sources",
        sends: "63 CloudEvents, shuffled: 7 ids from each of 3 sources, and every copy of an event has another time and traceparent",
        expects: "one object for each source and id; all other messages are duplicates",
        content: Content::CloudEvents,
        messages: 63,
        rules: Some(ScenarioRules {
            dedup_key: r#"["/source","/id"]"#,
            conflict_ignore: r#"["/time","/traceparent"]"#,
        }),
        ..PLAIN
    },
    Scenario {
        name: "restamped",
        about: "duplicates that were stamped again on their way",
        sends: "50 messages of 10 events, shuffled: every copy of an event has another sent_at, attempt and trace.id",
        expects: "one object for each event; all other messages are duplicates",
        content: Content::Restamped,
        rules: Some(ScenarioRules {
            dedup_key: "/event_id",
            conflict_ignore: r#"["/attempt","/sent_at","/trace/id"]"#,
        }),
        ..PLAIN
    },
    Scenario {
        name: "poison",
        about: "invalid bodies in the same batches as valid events",
        sends: "50 messages, every fifth with an invalid body: not JSON, without an id, with the id twice, nested too deeply, and so on",
        expects: "the invalid messages in the dead-letter queue, and no others (after three receives, which take nine minutes on a deployed stack and seconds on the embedded pipeline)",
        content: Content::Poisoned,
        only_rejected_die: true,
        hidden_for: Some(Duration::from_secs(2)),
        ..PLAIN
    },
    Scenario {
        name: "large",
        about: "bodies at the size limits",
        sends: "10 messages: the smallest event, the largest that the queue accepts (1 MiB embedded, 256 KiB deployed), the largest that fits into an item of the table, and one that is a byte larger if the queue accepts it",
        expects: "one object for each event that fits into an item, compressed or not, and the other messages in the dead-letter queue",
        content: Content::Sized,
        messages: 10,
        only_rejected_die: true,
        hidden_for: Some(Duration::from_secs(5)),
        ..PLAIN
    },
    Scenario {
        name: "redelivery",
        about: "messages delivered more than once",
        sends: "200 messages as in mixed, while batches are delivered twice, the functions' responses are lost, and visibility timeouts expire",
        expects: "one object with one version for each event, and no dead letters (a message may be received 20 times)",
        content: Content::Mixed,
        messages: 200,
        only_rejected_die: true,
        faults: Some(ScenarioFaults::Redelivery),
        hidden_for: Some(Duration::from_secs(2)),
        ..PLAIN
    },
    Scenario {
        name: "outage",
        about: "the table fails, then S3",
        sends: "100 messages as in mixed, while the table throttles every write for 3 s and then S3 refuses every write for 3 s",
        expects: "one object for each event once the outages are over, and no dead letters (a message may be received 20 times)",
        content: Content::Mixed,
        messages: 100,
        only_rejected_die: true,
        faults: Some(ScenarioFaults::Outage),
        hidden_for: Some(Duration::from_secs(2)),
        ..PLAIN
    },
    Scenario {
        name: "soak",
        about: "a steady rate over time",
        sends: "50 messages a second for one minute, as in mixed; --rate, --duration and --messages change that",
        expects: "the same as mixed",
        content: Content::Mixed,
        messages: 3_000,
        rate: Some(50),
        ..PLAIN
    },
];
