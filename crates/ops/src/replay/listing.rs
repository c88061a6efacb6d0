//! Compares the objects of the lake with claims, one partition at a time.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use uuid::Uuid;

use super::outcome::ReplayError;
use super::settings::ReplaySettings;
use super::worklist::ClaimRef;

/// Lists the objects of the lake.
pub(super) struct LakeListing {
    client: Client,
    bucket: String,
    prefix: String,
}

impl LakeListing {
    pub(super) fn new(sdk: &SdkConfig, settings: &ReplaySettings) -> Self {
        Self { client: Client::new(sdk), bucket: settings.bucket.clone(), prefix: settings.object_prefix.to_string() }
    }

    /// Returns true if the prefix has no archived objects. Quarantined records do not count.
    pub(super) async fn is_new(&self) -> Result<bool, ReplayError> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(format!("{}dt=", self.prefix));
        let answer = Box::pin(request.max_keys(1).send()).await.map_err(|error| self.list_error(error))?;
        Ok(answer.contents().is_empty())
    }

    /// Returns the claims of a partition that have no object. `claims` and the result are sorted by claim id. S3 lists
    /// keys in UTF-8 order. For lower-case UUIDs, this is the order of the ids, so one pass over the listing and the
    /// claims is enough.
    pub(super) async fn claims_without_object(
        &self,
        partition: &str,
        claims: Vec<ClaimRef>,
    ) -> Result<Vec<ClaimRef>, ReplayError> {
        let folder = format!("{}{partition}/", self.prefix);
        let mut missing = Vec::new();
        let mut claims = claims.into_iter().peekable();
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(&folder);
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.list_error(error))?;
            for object in page.contents() {
                let Some(claim_id) = object.key().and_then(|key| claim_id(key, &folder)) else { continue };
                while let Some(claim) = claims.next_if(|claim| claim.claim_id < claim_id) {
                    missing.push(claim);
                }
                while claims.next_if(|claim| claim.claim_id == claim_id).is_some() {}
            }
            if claims.peek().is_none() {
                break;
            }
        }
        missing.extend(claims);
        Ok(missing)
    }

    fn list_error(&self, error: impl std::error::Error + Send + Sync + 'static) -> ReplayError {
        ReplayError::Bucket { bucket: self.bucket.clone(), source: Box::new(error) }
    }
}

/// Parses the claim id from an object key. Returns `None` for a key that `archive-fn` never writes.
fn claim_id(key: &str, folder: &str) -> Option<Uuid> {
    let name = key.strip_prefix(folder)?.strip_suffix(".json")?;
    Uuid::try_parse(name).ok().filter(|claim_id| claim_id.to_string() == name)
}
