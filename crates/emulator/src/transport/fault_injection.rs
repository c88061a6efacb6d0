//! Lets a request and its answer suffer the [`Fault`] that a test asks for.

use std::sync::Arc;

use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;

use crate::call::Call;
use crate::fault::Fault;
use crate::services::Services;
use crate::transport::faulty_statements::FaultyStatements;
use crate::transport::response::{json_response, refused, throttled, without_item};

impl Services {
    /// Does what a request asks, unless something goes wrong on its way there or back.
    pub(crate) async fn faulty_answer(
        self: Arc<Self>,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, ConnectorError> {
        let call = Call::new(&request);
        let service = call.service;
        let fault = self.faults.of(&call);

        let lost = |what: &str| Err(ConnectorError::io(what.to_owned().into()));
        let answer =
            |request| async { self.answer(request).await.map_err(|error| ConnectorError::other(error.into(), None)) };
        match fault {
            None => answer(request).await,
            Some(Fault::RequestLost) => lost("connection reset before the request was sent"),
            Some(Fault::AnswerLost) => {
                answer(request).await?;
                lost("connection reset before the answer came")
            }
            Some(Fault::OldItemWithheld) => Ok(without_item(&answer(request).await?)),
            Some(Fault::Throttled) => Ok(throttled(service)),
            Some(
                fault @ (Fault::StatementsThrottled(_) | Fault::StatementsUnknown(_) | Fault::StatementsUnanswered(_)),
            ) => {
                let faulty = FaultyStatements::of(&request, fault);
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
                let arrives = tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    this.answer(request).await
                });
                let answer = arrives.await.map_err(|error| ConnectorError::other(error.into(), None))?;
                answer.map_err(|error| ConnectorError::other(error.into(), None))
            }
        }
    }
}
