//! Directives to supervisors' browsers, in the store.

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{News, StoreError, StoredSupervision};
use crate::ids::{DirectiveId, InstanceName, UserId};

/// A directive and its place in the order of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedDirective {
    /// Grows with every change of any directive, and is never used twice.
    pub seq: i64,
    /// The directive's id.
    pub directive: DirectiveId,
    /// Its supervision, in its present state.
    pub stored: StoredSupervision,
}

/// A directive was given or withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectiveChange {
    /// Grows with every change of any directive.
    pub seq: i64,
    /// The supervisor whose browser must learn of it.
    pub user: UserId,
}

/// The supervisor whose directives changed.
pub type DirectiveNews = (InstanceName, UserId);

/// Reads of directives, in the order of their changes. Every method fails with [`StoreError`] if the store cannot be read.
#[async_trait]
pub trait DirectiveStore: Send + Sync {
    /// The directives of one supervisor, at most `limit`: those changed after `after`, in the order of their last change; with no
    /// `after`, the open ones.
    async fn directives_of(
        &self,
        instance: &InstanceName,
        user: &UserId,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<OrderedDirective>, StoreError>;

    /// The newest change of any directive; 0 for none.
    async fn last_directive_change(&self) -> Result<i64, StoreError>;

    /// Directives given or withdrawn after `after`, in the order of their last change, at most `limit`.
    async fn directive_changes(&self, after: i64, limit: u32) -> Result<Vec<DirectiveChange>, StoreError>;

    /// The change right before the first open directive; the newest change if none is open.
    async fn before_open_directives(&self) -> Result<i64, StoreError>;

    /// Sends the supervisor of every directive that changes, after the change is on disk, and sometimes of a directive that did not change. A
    /// receiver that lags misses some, and must read [`DirectiveStore::directives_of`].
    fn directive_news(&self) -> broadcast::Receiver<DirectiveNews>;

    /// The same for one supervisor only, so that a directive does not wake everybody who waits for others.
    fn directive_news_of(&self, whose: DirectiveNews) -> News<DirectiveNews>;

    /// A secret of this store, generated once: the salt of the keys by which Salesforce knows the channels of directives.
    fn channel_salt(&self) -> &str;
}
