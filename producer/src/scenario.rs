//! The scenarios, as data: what each sends, how, and what must come of it. A new scenario is a new row of [`SCENARIOS`].

use std::io::{self, Write};
use std::time::Duration;

/// What the messages of a scenario are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// One event, again and again.
    Same,
    /// Each an event of its own.
    Distinct,
    /// Some events once, others several times.
    Mixed,
    /// Each event with two contents.
    Conflicting,
    /// Every fifth is no event.
    Poisoned,
    /// As small and as large as they may be, and larger than can be claimed.
    Sized,
    /// The lines of a file.
    File,
}

/// The faults of the embedded pipeline while a scenario runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScenarioFaults {
    /// Batches are delivered twice, answers of functions lost, and messages become visible while they are processed.
    Redelivery,
    /// The table throttles each write for [`OUTAGE`], and then S3 refuses each write for as long.
    Outage,
}

/// How long each of the two outages takes.
pub const OUTAGE: Duration = Duration::from_secs(3);

/// One scenario.
#[derive(Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// What it sends, in a line.
    pub sends: &'static str,
    /// What must come of it, in a line.
    pub expects: &'static str,
    /// What the messages are.
    pub content: Content,
    /// So many of them, unless the command line says otherwise.
    pub messages: u32,
    /// So many a second; `None` is as fast as they go.
    pub rate: Option<u32>,
    /// Messages in a request.
    pub batch_size: u8,
    /// No message but one that cannot be claimed may become a dead letter. Elsewhere, that is a way to end as good as others.
    pub only_rejected_die: bool,
    /// The faults of the embedded pipeline. Nobody can do that to a deployed one.
    pub faults: Option<ScenarioFaults>,
    /// How long the embedded queue hides a message that was received, where its 185 seconds would be waited for three times.
    pub hidden_for: Option<Duration>,
}

impl Scenario {
    /// The scenario of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// It runs on the embedded pipeline alone.
    #[must_use]
    pub fn is_embedded_only(&self) -> bool {
        self.faults.is_some()
    }
}

/// Writes what there is.
///
/// # Errors
/// When `out` cannot be written to.
pub fn list(out: &mut impl Write) -> io::Result<()> {
    for scenario in &SCENARIOS {
        let where_to = if scenario.is_embedded_only() { " (embedded only)" } else { "" };
        writeln!(out, "{:<12}{}{where_to}", scenario.name, scenario.about)?;
        writeln!(out, "{:<12}sends    {}", "", scenario.sends)?;
        writeln!(out, "{:<12}expects  {}", "", scenario.expects)?;
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
    hidden_for: None,
};

/// What `--file` sends.
pub static FILE: Scenario = Scenario {
    about: "the events of a file",
    sends: "its lines as they are, --copies times",
    expects: "one object for each event id",
    ..PLAIN
};

/// Every scenario that `run` can be told to run, in the order in which `list` shows them.
pub static SCENARIOS: [Scenario; 9] = [
    Scenario {
        name: "herd",
        about: "one event from everybody at once",
        sends: "50 identical messages, each in a request of its own, 50 at a time",
        expects: "one claim, one object, and all other messages duplicates",
        content: Content::Same,
        batch_size: 1,
        ..PLAIN
    },
    Scenario {
        name: "distinct",
        about: "no duplicate at all",
        sends: "50 events, in batches of ten",
        expects: "as many claims and objects as events",
        content: Content::Distinct,
        ..PLAIN
    },
    Scenario {
        name: "mixed",
        about: "a few events that all the world sends, and many that are sent once",
        sends: "1,000 messages, a --duplicates share of them duplicates that fall on the events by --zipf, shuffled",
        expects: "one object for each event; each other message a duplicate",
        content: Content::Mixed,
        messages: 1_000,
        ..PLAIN
    },
    Scenario {
        name: "conflicts",
        about: "one event id, two contents",
        sends: "50 messages of 10 events: three of each say one thing and two another, shuffled",
        expects: "one object for each event; what says the same as its claim is a duplicate, and what does not, a conflict",
        content: Content::Conflicting,
        ..PLAIN
    },
    Scenario {
        name: "poison",
        about: "bodies that are no events, in the same batches as good ones",
        sends: "50 messages, of which every fifth is no event: no JSON, no id, an id twice, nested too deep..",
        expects: "those in the dead-letter queue, and only those (after three receives: nine minutes where the visibility timeout is that of the deployed queue, seconds on the embedded one)",
        content: Content::Poisoned,
        only_rejected_die: true,
        hidden_for: Some(Duration::from_secs(2)),
        ..PLAIN
    },
    Scenario {
        name: "large",
        about: "bodies of the sizes at which something ends",
        sends: "10 messages: the smallest event, the queue's largest (1 MiB embedded, 256 KiB deployed), the largest that an item holds, one byte more",
        expects: "an object for each that an item can hold, compressed or not; the others in the dead-letter queue",
        content: Content::Sized,
        messages: 10,
        only_rejected_die: true,
        hidden_for: Some(Duration::from_secs(5)),
        ..PLAIN
    },
    Scenario {
        name: "redelivery",
        about: "at least once, and often more than that",
        sends: "200 messages as mixed does, while batches are delivered twice, functions' answers lost, and visibility timeouts run out",
        expects: "one object with one version for each event, and no dead letter (a message may be received 20 times)",
        content: Content::Mixed,
        messages: 200,
        only_rejected_die: true,
        faults: Some(ScenarioFaults::Redelivery),
        hidden_for: Some(Duration::from_secs(2)),
        ..PLAIN
    },
    Scenario {
        name: "outage",
        about: "the table fails, and then S3",
        sends: "100 messages as mixed does, while the table throttles each write for 3 s, and then S3 refuses each for 3 s",
        expects: "all of it made up for afterwards, and no dead letter (a message may be received 20 times)",
        content: Content::Mixed,
        messages: 100,
        only_rejected_die: true,
        faults: Some(ScenarioFaults::Outage),
        hidden_for: Some(Duration::from_secs(2)),
        ..PLAIN
    },
    Scenario {
        name: "soak",
        about: "a steady rate for a while",
        sends: "50 messages a second for a minute, mixed: another --rate for as long, another --duration, or so many --messages",
        expects: "as mixed",
        content: Content::Mixed,
        messages: 3_000,
        rate: Some(50),
        ..PLAIN
    },
];
