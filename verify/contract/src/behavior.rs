//! A behavior that the design relies on, and the code that checks an engine for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::engine::{Engine, Service};
use crate::outcome::{Mismatch, Outcome, PATIENCE};
use crate::results::Results;
use crate::stage::Stage;

type Body = dyn Fn(Arc<Stage>) -> Pin<Box<dyn Future<Output = Outcome>>> + Send + Sync;

pub(crate) struct Behavior {
    pub(crate) service: Service,
    /// Name of the behavior's test.
    pub(crate) name: &'static str,
    /// The sentence that describes the behavior in the table of docs/contract.md.
    title: &'static str,
    body: Box<Body>,
    /// The behavior's position in the table.
    pub(crate) order: usize,
    differences: Vec<Difference>,
    /// Engines on which the behavior cannot be tested, each with the reason.
    pub(crate) not_on: Vec<(Engine, &'static str)>,
}

/// A known difference between an engine and a behavior.
struct Difference {
    engine: Engine,
    /// The exact text of the [`Mismatch`] that the body must return for this engine.
    observed: &'static str,
    /// Names the source that we trust more than the engine, or says why the difference does not matter. The table
    /// prints it as a footnote.
    explanation: &'static str,
}

impl Behavior {
    pub(crate) fn new<F>(
        service: Service,
        title: &'static str,
        name: &'static str,
        body: impl Fn(Arc<Stage>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Outcome> + 'static,
    {
        Self {
            service,
            title,
            name,
            body: Box::new(move |stage| Box::pin(body(stage))),
            order: 0,
            differences: vec![],
            not_on: vec![],
        }
    }

    /// Records a known difference between `engine` and the behavior.
    pub(crate) fn differs(mut self, engine: Engine, observed: &'static str, explanation: &'static str) -> Self {
        self.differences.push(Difference { engine, observed, explanation });
        self
    }

    /// Records that the behavior cannot be tested on `engine`. The table prints `why` as a footnote.
    pub(crate) fn not_on(mut self, engine: Engine, why: &'static str) -> Self {
        self.not_on.push((engine, why));
        self
    }

    /// Runs the body and writes a line to the results. The behavior must hold on the engine, unless a difference is
    /// recorded for that engine. In that case, the engine must show exactly the recorded difference.
    pub(crate) async fn check(&self, stage: Arc<Stage>, results: &Results) -> Result<(), Failed> {
        let engine = stage.engine;
        let limit = PATIENCE * 3;
        let seen = tokio::time::timeout(limit, (self.body)(stage))
            .await
            .unwrap_or_else(|_| Err(Mismatch(format!("did not finish within {} s", limit.as_secs()))));
        let difference = self.differences.iter().find(|difference| difference.engine == engine);
        let verdict = match (&seen, difference) {
            (Ok(()), None) => Ok(()),
            (Err(Mismatch(seen)), None) => Err(format!("does not hold on {engine}: {seen}")),
            (Ok(()), Some(difference)) => {
                Err(format!("holds on {engine}, but a difference is recorded: {}", difference.observed))
            }
            (Err(Mismatch(seen)), Some(difference)) if seen == difference.observed => Ok(()),
            (Err(Mismatch(seen)), Some(difference)) => {
                Err(format!("does not hold on {engine}: {seen}\nthe recorded difference is: {}", difference.observed))
            }
        };
        let (holds, observed) = match &seen {
            Ok(()) => ("yes", None),
            Err(Mismatch(observed)) => ("no", Some(observed.as_str())),
        };
        let explanation = difference.map(|difference| difference.explanation);
        results.add(&self.line(engine, holds, observed, explanation, verdict.is_ok()));
        verdict.map_err(Failed::from)
    }

    /// Returns the results line for an engine on which the behavior cannot be tested.
    pub(crate) fn not_applicable(&self, engine: Engine, why: Option<&str>) -> Value {
        self.line(engine, "not applicable", None, why, true)
    }

    fn line(
        &self,
        engine: Engine,
        holds: &str,
        observed: Option<&str>,
        explanation: Option<&str>,
        as_expected: bool,
    ) -> Value {
        json!({
            "order": self.order,
            "service": self.service.to_string(),
            "behavior": self.name,
            "title": self.title,
            "engine": engine.to_string(),
            "holds": holds,
            "observed": observed,
            "explanation": explanation,
            "as_expected": as_expected,
        })
    }
}

/// Creates a behavior: `behavior!(Sqs, "A title for the table", name_of_an_async_function)`.
macro_rules! behavior {
    ($service:ident, $title:literal, $body:ident) => {
        $crate::behavior::Behavior::new($crate::engine::Service::$service, $title, stringify!($body), $body)
    };
}
pub(crate) use behavior;
