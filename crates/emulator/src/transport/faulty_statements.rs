//! What goes wrong with some statements of a `BatchExecuteStatement`, while the request as a whole is answered well.

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::transport::response::json_response;

/// The statements of a request with which something goes wrong, and what does.
pub(crate) struct FaultyStatements {
    which: Vec<usize>,
    fault: Fault,
}

impl FaultyStatements {
    /// None, if the request is another, or the fault is.
    pub(crate) fn of(request: &Request<Bytes>, fault: Fault) -> Self {
        let (Fault::StatementsThrottled(bits) | Fault::StatementsUnknown(bits) | Fault::StatementsUnanswered(bits)) =
            fault
        else {
            return Self { which: Vec::new(), fault };
        };
        let asked: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let count = asked["Statements"].as_array().map_or(0, Vec::len);
        // DynamoDB takes 25.
        let which = (0..count.min(32)).filter(|n| bits & (1 << n) != 0).collect();
        Self { which, fault }
    }

    /// The request as the service gets it, if anything is left of it.
    pub(crate) fn strip_request(&self, request: Request<Bytes>) -> Option<Request<Bytes>> {
        if self.which.is_empty() || !matches!(self.fault, Fault::StatementsThrottled(_)) {
            return Some(request);
        }
        let mut asked: Value = serde_json::from_slice(request.body()).expect("it has statements");
        let statements = asked["Statements"].as_array_mut().expect("it has statements");
        for n in self.which.iter().rev() {
            statements.remove(*n);
        }
        let is_empty = statements.is_empty();
        (!is_empty).then(|| request.map(|_| asked.to_string().into()))
    }

    /// The answer as it comes back.
    pub(crate) fn rewrite_response(&self, response: Response<Bytes>) -> Response<Bytes> {
        let mut answer: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let Some(answers) = answer["Responses"].as_array_mut() else { return response };
        let error = |code: &str| json!({ "Error": { "Code": code, "Message": "injected" } });
        // A statement that was taken out, or whose answer is to be, shifts those after it.
        match self.fault {
            Fault::StatementsThrottled(_) => {
                for n in &self.which {
                    answers.insert(*n, error("ThrottlingError"));
                }
            }
            Fault::StatementsUnknown(_) => {
                for n in &self.which {
                    answers[*n] = error("InternalServerError");
                }
            }
            _ => {
                for n in self.which.iter().rev() {
                    answers.remove(*n);
                }
            }
        }
        json_response(200, answer.to_string())
    }
}
