//! The scenarios, as data: what each sends, how, and what must come of it.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use clap::ValueEnum;
use serde::{Serialize, Serializer};

use crate::cli::RunArgs;

/// What a scenario is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the table below says what each is")]
pub enum Name {
    Herd,
    Distinct,
    Mixed,
    Conflicts,
    Poison,
    Large,
    Redelivery,
    Outage,
    Soak,
    /// What `--file` sends.
    #[value(skip)]
    File,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("file", |value| value.get_name()))
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

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

/// What is done to the embedded pipeline while a scenario runs.
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
    /// As it is called.
    pub name: Name,
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
    /// What the embedded pipeline suffers. Nobody can do that to a deployed one.
    pub faults: Option<ScenarioFaults>,
    /// How long the embedded queue hides a message that was received, where its 185 seconds would be waited for three times.
    pub hidden_for: Option<Duration>,
}

impl Scenario {
    /// What the command line asks for.
    #[must_use]
    pub fn chosen(args: &RunArgs) -> &'static Self {
        let name = match args.scenario {
            Some(name) => name,
            None if args.file.is_some() => return &FILE,
            None if args.distinct => Name::Distinct,
            None => Name::Herd,
        };
        SCENARIOS.iter().find(|scenario| scenario.name == name).expect("the table has all that can be named")
    }

    /// What is run when nothing is said.
    #[must_use]
    pub fn herd() -> &'static Self {
        &SCENARIOS[0]
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
        writeln!(out, "{:<12}{}{where_to}", scenario.name.to_string(), scenario.about)?;
        writeln!(out, "{:<12}sends    {}", "", scenario.sends)?;
        writeln!(out, "{:<12}expects  {}", "", scenario.expects)?;
    }
    Ok(())
}

const PLAIN: Scenario = Scenario {
    name: Name::File,
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

static FILE: Scenario = Scenario {
    about: "the events of a file",
    sends: "its lines as they are, --copies times",
    expects: "one object for each event id",
    ..PLAIN
};

static SCENARIOS: [Scenario; 9] = [
    Scenario {
        name: Name::Herd,
        about: "one event from everybody at once",
        sends: "50 identical messages, each in a request of its own, 50 at a time",
        expects: "one claim, one object, and all other messages duplicates",
        content: Content::Same,
        batch_size: 1,
        ..PLAIN
    },
    Scenario {
        name: Name::Distinct,
        about: "no duplicate at all",
        sends: "50 events, in batches of ten",
        expects: "as many claims and objects as events",
        content: Content::Distinct,
        ..PLAIN
    },
    Scenario {
        name: Name::Mixed,
        about: "a few events that all the world sends, and many that are sent once",
        sends: "1,000 messages, a --duplicates share of them duplicates that fall on the events by --zipf, shuffled",
        expects: "one object for each event; each other message a duplicate",
        content: Content::Mixed,
        messages: 1_000,
        ..PLAIN
    },
    Scenario {
        name: Name::Conflicts,
        about: "one event id, two contents",
        sends: "50 messages of 10 events: three of each say one thing and two another, shuffled",
        expects: "one object for each event; what says the same as its claim is a duplicate, and what does not, a conflict",
        content: Content::Conflicting,
        ..PLAIN
    },
    Scenario {
        name: Name::Poison,
        about: "bodies that are no events, in the same batches as good ones",
        sends: "50 messages, of which every fifth is no event: no JSON, no id, an id twice, nested too deep..",
        expects: "those in the dead-letter queue, and only those (after three receives: nine minutes where the visibility timeout is that of the deployed queue, seconds on the embedded one)",
        content: Content::Poisoned,
        only_rejected_die: true,
        hidden_for: Some(Duration::from_secs(2)),
        ..PLAIN
    },
    Scenario {
        name: Name::Large,
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
        name: Name::Redelivery,
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
        name: Name::Outage,
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
        name: Name::Soak,
        about: "a steady rate for a while",
        sends: "50 messages a second for a minute, mixed: another --rate for as long, another --duration, or so many --messages",
        expects: "as mixed",
        content: Content::Mixed,
        messages: 3_000,
        rate: Some(50),
        ..PLAIN
    },
];
