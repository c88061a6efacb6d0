//! Faults of single statements within a `BatchExecuteStatement`. The answer to the whole request still has status 200.

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::transport::response::json_response;

/// A fault, and the positions of the statements that it affects in one request.
pub(crate) struct FaultyStatements {
    positions: Vec<usize>,
    fault: Fault,
}

impl FaultyStatements {
    /// Finds the statements that `fault` affects. There are none if the request has no statements, or if the fault
    /// affects whole requests.
    pub(crate) fn new(request: &Request<Bytes>, fault: Fault) -> Self {
        let (Fault::StatementsThrottled(bits)
        | Fault::StatementsUnknown(bits)
        | Fault::StatementsUnanswered(bits)
        | Fault::StatementsUncoded(bits)) = fault
        else {
            return Self { positions: Vec::new(), fault };
        };
        let asked: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let count = asked["Statements"].as_array().map_or(0, Vec::len);
        // 32 bits are enough: DynamoDB accepts at most 25 statements.
        let positions = (0..count.min(32)).filter(|n| bits & (1 << n) != 0).collect();
        Self { positions, fault }
    }

    /// Removes the affected statements from the request if the service must not execute them. Returns `None` if this
    /// removes every statement.
    pub(crate) fn strip_request(&self, request: Request<Bytes>) -> Option<Request<Bytes>> {
        let skips = matches!(self.fault, Fault::StatementsThrottled(_) | Fault::StatementsUncoded(_));
        if self.positions.is_empty() || !skips {
            return Some(request);
        }
        let mut asked: Value = serde_json::from_slice(request.body()).expect("it has statements");
        let statements = asked["Statements"].as_array_mut().expect("it has statements");
        for n in self.positions.iter().rev() {
            statements.remove(*n);
        }
        let is_empty = statements.is_empty();
        (!is_empty).then(|| request.map(|_| asked.to_string().into()))
    }

    /// Rewrites the service's answer: inserts, replaces or removes the results of the affected statements.
    pub(crate) fn rewrite_response(&self, response: Response<Bytes>) -> Response<Bytes> {
        let mut answer: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let Some(answers) = answer["Responses"].as_array_mut() else { return response };
        let error = |code: &str| json!({ "Error": { "Code": code, "Message": "injected" } });
        // Inserting or removing a result shifts all later results, so insert in ascending and remove in descending
        // order.
        match self.fault {
            Fault::StatementsThrottled(_) => {
                for n in &self.positions {
                    answers.insert(*n, error("ThrottlingError"));
                }
            }
            Fault::StatementsUncoded(_) => {
                for n in &self.positions {
                    answers.insert(*n, json!({ "Error": { "Message": "injected" } }));
                }
            }
            Fault::StatementsUnknown(_) => {
                for n in &self.positions {
                    answers[*n] = error("InternalServerError");
                }
            }
            _ => {
                for n in self.positions.iter().rev() {
                    answers.remove(*n);
                }
            }
        }
        json_response(200, answer.to_string())
    }
}
