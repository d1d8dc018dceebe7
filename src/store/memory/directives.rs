//! Directives, in the order of their changes.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sidedoor_domain::ids::{DirectiveId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{
    DirectiveChange, DirectiveNews, DirectiveStore, News, OrderedDirective, SupervisionWrite,
};
use tokio::sync::broadcast;

use super::MemoryStore;

const OPEN: &str = "OPEN";
const WITHDRAWN: &str = "WITHDRAWN";

/// The last change of a directive.
struct Row {
    directive: DirectiveId,
    supervision: SupervisionId,
    instance: InstanceName,
    user: UserId,
    status: &'static str,
}

/// The last change of every directive, by its number.
#[derive(Default)]
pub(super) struct Directives {
    rows: BTreeMap<i64, Row>,
    by_id: BTreeMap<DirectiveId, i64>,
    open: BTreeSet<i64>,
    last: i64,
}

impl Directives {
    /// Writes the directives of a supervision that changed.
    pub(super) fn write(&mut self, write: &SupervisionWrite) {
        let (SupervisionWrite::Insert(s) | SupervisionWrite::Update(s, _)) = write;
        let Some(user) = &s.supervisor.connect_user_id else {
            return;
        };
        for directive in &s.directives {
            let status = directive.status().as_str();
            let before = self.by_id.get(&directive.id).copied();
            if before
                .and_then(|seq| self.rows.get(&seq))
                .is_some_and(|row| row.status == status)
            {
                continue;
            }
            if let Some(seq) = before {
                self.remove(seq);
            }
            self.last += 1;
            self.by_id.insert(directive.id, self.last);
            if status == OPEN {
                self.open.insert(self.last);
            }
            let row = Row {
                directive: directive.id,
                supervision: s.id,
                instance: s.instance.clone(),
                user: user.clone(),
                status,
            };
            self.rows.insert(self.last, row);
        }
    }

    fn remove(&mut self, seq: i64) {
        if let Some(row) = self.rows.remove(&seq) {
            self.by_id.remove(&row.directive);
            self.open.remove(&seq);
        }
    }

    pub(super) fn remove_of(&mut self, supervision: SupervisionId) {
        let of = self.rows.iter().filter(|(_, row)| row.supervision == supervision);
        for seq in of.map(|(seq, _)| *seq).collect::<Vec<_>>() {
            self.remove(seq);
        }
    }
}

/// The supervisor whose directives a write may change.
pub(super) fn concerns(write: Option<&SupervisionWrite>) -> Option<DirectiveNews> {
    let (SupervisionWrite::Insert(s) | SupervisionWrite::Update(s, _)) = write?;
    let user = s.supervisor.connect_user_id.clone()?;
    (!s.directives.is_empty()).then(|| (s.instance.clone(), user))
}

#[async_trait]
impl DirectiveStore for MemoryStore {
    async fn directives_of(
        &self,
        instance: &InstanceName,
        user: &UserId,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<OrderedDirective>, StoreError> {
        self.read("directives_of", |t| {
            let first = after.map_or(i64::MIN, |seq| seq.saturating_add(1));
            let fits =
                |row: &Row| row.instance == *instance && row.user == *user && (after.is_some() || row.status == OPEN);
            let found = t.directives.rows.range(first..).filter(|(_, row)| fits(row));
            let ordered = found.filter_map(|(seq, row)| {
                Some(OrderedDirective {
                    seq: *seq,
                    directive: row.directive,
                    stored: t.stored(row.supervision)?,
                })
            });
            ordered.take(limit as usize).collect()
        })
        .await
    }

    async fn last_directive_change(&self) -> Result<i64, StoreError> {
        self.read("last_directive_change", |t| t.directives.last).await
    }

    async fn directive_changes(&self, after: i64, limit: u32) -> Result<Vec<DirectiveChange>, StoreError> {
        self.read("directive_changes", |t| {
            let later = t.directives.rows.range(after.saturating_add(1)..);
            let news = later.filter(|(_, row)| matches!(row.status, OPEN | WITHDRAWN));
            let changes = news.map(|(seq, row)| DirectiveChange {
                seq: *seq,
                user: row.user.clone(),
            });
            changes.take(limit as usize).collect()
        })
        .await
    }

    async fn before_open_directives(&self) -> Result<i64, StoreError> {
        self.read("before_open_directives", |t| {
            t.directives.open.first().map_or(t.directives.last, |seq| seq - 1)
        })
        .await
    }

    fn directive_news(&self) -> broadcast::Receiver<DirectiveNews> {
        self.news.of_all.subscribe()
    }

    fn directive_news_of(&self, whose: DirectiveNews) -> News<DirectiveNews> {
        self.news.of_each.follow(whose)
    }

    fn channel_salt(&self) -> &str {
        &self.salt
    }
}
