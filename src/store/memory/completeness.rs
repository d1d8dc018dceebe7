//! What the checks for missed legs have covered.

use async_trait::async_trait;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{Completeness, CompletenessStore};

use super::MemoryStore;

#[async_trait]
impl CompletenessStore for MemoryStore {
    async fn completeness(&self, instance: &InstanceName) -> Result<Option<Completeness>, StoreError> {
        self.read("completeness", |t| t.completeness.get(instance).cloned())
            .await
    }

    async fn unheard_of(&self, instance: &InstanceName, legs: &[String]) -> Result<Vec<String>, StoreError> {
        self.read("unheard_of", |t| {
            let known = |leg: &&String| {
                t.supervisions.legs.contains_key(&(instance.clone(), (*leg).clone()))
                    || t.evidence.unknown.contains_key(&(instance.clone(), (*leg).clone()))
            };
            legs.iter().filter(|leg| !known(leg)).cloned().collect()
        })
        .await
    }
}
