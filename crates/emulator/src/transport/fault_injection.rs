//! Applies the [`Fault`] that a test has chosen for a request.

use std::sync::Arc;

use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;

use crate::call::Call;
use crate::fault::Fault;
use crate::services::Services;
use crate::transport::faulty_statements::FaultyStatements;
use crate::transport::response::{empty_response, json_response, refused, throttled, without_code, without_item};

/// Marks a response whose body the in-process client must make unreadable. The loopback endpoint ignores this mark.
#[derive(Clone, Copy)]
pub(crate) struct BrokenBody;

impl Services {
    /// Executes a request with the fault that the test's hook returns for it, if any.
    pub(crate) async fn faulty_answer(
        self: Arc<Self>,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, ConnectorError> {
        let call = Call::new(&request);
        let service = call.service;
        let fault = self.faults.fault_for(&call);

        let connection_error = |message: &str| Err(ConnectorError::io(message.to_owned().into()));
        let answer =
            |request| async { self.answer(request).await.map_err(|error| ConnectorError::other(error.into(), None)) };
        match fault {
            None => answer(request).await,
            Some(Fault::RequestLost) => connection_error("connection reset before the request was sent"),
            Some(Fault::AnswerLost) => {
                answer(request).await?;
                connection_error("connection reset before the answer arrived")
            }
            Some(Fault::OldItemWithheld) => Ok(without_item(&answer(request).await?)),
            Some(Fault::ErrorCodeWithheld) => Ok(without_code(answer(request).await?)),
            Some(Fault::AnswerBroken) => {
                let mut response = answer(request).await?;
                response.extensions_mut().insert(BrokenBody);
                Ok(response)
            }
            Some(Fault::EmptyAnswer) => Ok(empty_response(200)),
            Some(Fault::MalformedAnswer) => Ok(empty_response(200).map(|_| "<html>It works!</html>".into())),
            Some(Fault::Throttled) => Ok(throttled(service)),
            Some(
                fault @ (Fault::StatementsThrottled(_)
                | Fault::StatementsUnknown(_)
                | Fault::StatementsUnanswered(_)
                | Fault::StatementsUncoded(_)),
            ) => {
                let faulty = FaultyStatements::new(&request, fault);
                let response = match faulty.strip_request(request) {
                    Some(request) => answer(request).await?,
                    None => json_response(200, json!({ "Responses": [] }).to_string()),
                };
                Ok(faulty.rewrite_response(response))
            }
            Some(Fault::Refused(status)) => Ok(refused(service, status)),
            Some(Fault::AnswerDelayed(delay)) => {
                let response = answer(request).await?;
                tokio::time::sleep(delay).await;
                Ok(response)
            }
            Some(Fault::RequestDelayed(delay)) => {
                let this = Arc::clone(&self);
                // In a separate task, the request arrives even if the client stops waiting and drops this future.
                let arrival = tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    this.answer(request).await
                });
                let answer = arrival.await.map_err(|error| ConnectorError::other(error.into(), None))?;
                answer.map_err(|error| ConnectorError::other(error.into(), None))
            }
        }
    }
}
