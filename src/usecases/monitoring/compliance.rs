//! Applies the rules of a jurisdiction: may a supervisor rejoin a contact, and is an announcement required?
//!
//! Guarantee: the answer is decided before every start, stored with the supervision and written to the audit.

use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::{StoreError, Transaction};
use sidedoor_domain::rejoin::{Compliance, MOST_PRIOR, RejoinRefused};

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::monitoring::{ComplianceRules, MonitoringError};

impl ComplianceRules {
    /// Decides for a supervisor who wants to listen. A refusal is audited.
    pub(super) async fn check_compliance(
        &self,
        instance: &InstanceName,
        user: &UserId,
        contact: &ContactId,
        asked_jurisdiction: Option<&str>,
        request: &RequestContext,
    ) -> Result<Compliance, MonitoringError> {
        let own = self.ctx.instance(instance).and_then(|i| i.jurisdiction.as_deref());
        // A supervisor must not choose the rules that apply to them.
        let may_choose = [Scope::SuperviseAny, Scope::Operate]
            .iter()
            .any(|scope| request.caller.has(*scope));
        if !may_choose && asked_jurisdiction.is_some_and(|asked| Some(asked) != own) {
            return Err(UseCaseError::Forbidden("this credential may not choose the jurisdiction").into());
        }
        let jurisdiction = asked_jurisdiction.or(own);
        let rules = self.ctx.settings.policy.rules(jurisdiction);
        let rules =
            rules.ok_or_else(|| MonitoringError::JurisdictionNotFound(jurisdiction.unwrap_or_default().to_owned()))?;
        let prior = self.prior_supervisions(instance, contact, user).await?;
        match rules.admit(jurisdiction, prior) {
            Ok(compliance) => Ok(compliance),
            Err(RejoinRefused(compliance)) => {
                if let Some(last) = compliance.prior.first() {
                    let outcome = format!("contact {}, {}", contact, describe(&compliance));
                    let audit = vec![self.ctx.audit(request, AuditAction::RejoinRefused, *last, outcome)];
                    self.ctx
                        .transact(Transaction {
                            audit,
                            ..Transaction::default()
                        })
                        .await?;
                }
                Err(MonitoringError::RejoinForbidden(compliance))
            }
        }
    }

    /// Decides for a leg that already exists without our request. Nothing can be refused, because the supervisor already listens.
    pub(crate) async fn compliance_of_observed(
        &self,
        instance: &InstanceName,
        contact: Option<&ContactId>,
        user: Option<&UserId>,
    ) -> Result<Compliance, StoreError> {
        let jurisdiction = self.ctx.instance(instance).and_then(|i| i.jurisdiction.as_deref());
        let rules = self.ctx.settings.policy.rules(jurisdiction).unwrap_or_default();
        let prior = match (contact, user) {
            (Some(contact), Some(user)) => self.prior_supervisions(instance, contact, user).await?,
            _ => Vec::new(),
        };
        Ok(rules.of(jurisdiction, prior))
    }

    async fn prior_supervisions(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
        user: &UserId,
    ) -> Result<Vec<SupervisionId>, StoreError> {
        let most = u32::try_from(MOST_PRIOR).unwrap_or(u32::MAX);
        self.ctx.store().over_on(instance, contact, user, most).await
    }
}

/// The decision, as the audit states it.
pub(crate) fn describe(compliance: &Compliance) -> String {
    let place = compliance.jurisdiction.as_deref().unwrap_or("none named");
    let coming_back = match compliance.prior.len() {
        0 => "first join".to_owned(),
        n => format!("rejoin after {n}"),
    };
    format!(
        "jurisdiction {place}: {coming_back}, announcement {}",
        compliance.announcement.as_str()
    )
}
