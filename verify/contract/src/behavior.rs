//! One behavior that the design stands on, and its verdict on an engine.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::engine::{Engine, Service};
use crate::outcome::{Instead, Outcome, PATIENCE};
use crate::results::Results;
use crate::stage::Stage;

type Body = dyn Fn(Arc<Stage>) -> Pin<Box<dyn Future<Output = Outcome>>> + Send + Sync;

/// A behavior that the design stands on.
pub(crate) struct Behavior {
    pub(crate) service: Service,
    /// Names its test.
    pub(crate) name: &'static str,
    /// What it promises, in the table.
    title: &'static str,
    body: Box<Body>,
    /// Its line in the table.
    pub(crate) order: usize,
    differences: Vec<Difference>,
    pub(crate) not_on: Vec<(Engine, &'static str)>,
}

/// A known disagreement.
struct Difference {
    engine: Engine,
    instead: &'static str,
    /// Who is believed, and why.
    believed: &'static str,
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

    /// This engine does something else.
    pub(crate) fn differs(mut self, engine: Engine, instead: &'static str, believed: &'static str) -> Self {
        self.differences.push(Difference { engine, instead, believed });
        self
    }

    /// On this engine the question cannot be put.
    pub(crate) fn not_on(mut self, engine: Engine, why: &'static str) -> Self {
        self.not_on.push((engine, why));
        self
    }

    /// Runs it, and judges what was seen.
    pub(crate) async fn check(&self, stage: Arc<Stage>, results: &Results) -> Result<(), Failed> {
        let engine = stage.engine;
        let bounded = tokio::time::timeout(PATIENCE * 3, (self.body)(stage)).await;
        let seen = bounded.unwrap_or_else(|_| Err(Instead("has not come to an end".to_owned())));
        let difference = self.differences.iter().find(|difference| difference.engine == engine);
        let verdict = match (&seen, difference) {
            (Ok(()), None) => Ok(()),
            (Err(Instead(seen)), None) => Err(format!("does not hold on {engine}: {seen}")),
            (Ok(()), Some(difference)) => {
                Err(format!("holds on {engine}, which was thought to do otherwise: {}", difference.instead))
            }
            (Err(Instead(seen)), Some(difference)) if seen == difference.instead => Ok(()),
            (Err(Instead(seen)), Some(difference)) => {
                Err(format!("does not hold on {engine}: {seen}\nwhich was thought to be: {}", difference.instead))
            }
        };
        let (holds, instead) = match &seen {
            Ok(()) => ("yes", None),
            Err(Instead(instead)) => ("no", Some(instead.as_str())),
        };
        let believed = difference.map(|difference| difference.believed);
        results.add(&self.line(engine, holds, instead, believed, verdict.is_ok()));
        verdict.map_err(Failed::from)
    }

    /// The line of the results of an engine on which the question cannot be put.
    pub(crate) fn not_applicable(&self, engine: Engine, why: Option<&str>) -> Value {
        self.line(engine, "not applicable", why, None, true)
    }

    fn line(
        &self,
        engine: Engine,
        holds: &str,
        instead: Option<&str>,
        believed: Option<&str>,
        as_expected: bool,
    ) -> Value {
        json!({
            "order": self.order,
            "service": self.service.to_string(),
            "behavior": self.name,
            "title": self.title,
            "engine": engine.to_string(),
            "holds": holds,
            "instead": instead,
            "believed": believed,
            "as_expected": as_expected,
        })
    }
}

/// `behavior!(Sqs, "what it promises", name_of_an_async_function)`.
macro_rules! behavior {
    ($service:ident, $title:literal, $body:ident) => {
        $crate::behavior::Behavior::new($crate::engine::Service::$service, $title, stringify!($body), $body)
    };
}
pub(crate) use behavior;
