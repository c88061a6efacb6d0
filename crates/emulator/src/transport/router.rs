//! Routes a request to its service.

use bytes::Bytes;
use http::{Request, Response};

use crate::call::{Call, Service};
use crate::services::Services;
use crate::sqs::protocol;
use crate::transport::response::json_response;

impl Services {
    /// Executes a request as its service would, without faults.
    ///
    /// # Errors
    /// Fails if the emulated S3 returns no response, not even an error response.
    pub async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let call = Call::new(&request);
        self.meter.on_cpu(call.service, self.answer_call(&request, &call)).await
    }

    async fn answer_call(&self, request: &Request<Bytes>, call: &Call<'_>) -> Result<Response<Bytes>, String> {
        let (status, body) = match call.service {
            Service::S3 => {
                let response = self.lakes.answer(request.clone()).await?;
                let status = response.status().as_u16();
                self.meter.answered(call, status);
                self.fault_plan.answered(call, status, response.body());
                return Ok(response);
            }
            Service::Sqs => protocol::answer(&self.sqs, &call.operation, request).await,
            Service::DynamoDb => self.tables.answer(&call.operation, request.body()),
            Service::Logs => self.logs.answer(&call.operation, request.body()),
        };
        self.meter.answered(call, status);
        self.fault_plan.answered(call, status, &body);
        Ok(json_response(status, body))
    }
}
