//! A carrier's own leg becomes a supervision only if Connect knows the supervisor and the carrier is below its
//! limit, and it ends when the carrier says nothing more of it for a day. Connect knows nothing of such a leg, so without these checks a carrier's key could fill the
//! store and Salesforce with invented supervisors.

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::confirmation::Confirmation;
use sidedoor_domain::departure::DropFacts;
use sidedoor_domain::evidence::Source;
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::ports::store::Filter;
use sidedoor_domain::ports::{Transaction, VendorError};
use sidedoor_domain::supervision::{Origin, State, Supervision};

use crate::usecases::RequestContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use crate::usecases::evidence::EvidenceService;

/// How long after the carrier's last word a leg of its own counts as gone. No other source can be asked, and no call lasts that long.
pub(super) const LEG_TTL: SignedDuration = SignedDuration::from_hours(24);
/// The most unfinished legs of one carrier in one instance.
const MAX_LEGS: usize = 200;
/// How many supervisions are read at a time to count them.
const PAGE: u32 = 500;
/// Why a carrier's event is refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CarrierEventError {
    /// Connect has no user with this id.
    #[error("Amazon Connect has no user with the id {0:?}")]
    SupervisorInvalid(UserId),
    /// Connect could not be asked whether it has this user.
    #[error("could not look up the user {0:?} in Amazon Connect")]
    SupervisorUnavailable(UserId),
    /// The carrier has too many unfinished legs in this instance.
    #[error("the carrier has {MAX_LEGS} unfinished legs in this instance")]
    LegLimitReached,
    /// A reason that every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(CarrierEventError);

impl EvidenceService {
    /// Refuses a supervisor that Connect does not know.
    ///
    /// # Errors
    /// [`CarrierEventError::SupervisorInvalid`], [`CarrierEventError::SupervisorUnavailable`].
    pub(super) async fn check_supervisor(
        &self,
        instance: &InstanceName,
        user: &UserId,
        request: &RequestContext,
    ) -> Result<(), CarrierEventError> {
        let asked = self.names.find_user(instance, user);
        match tokio::time::timeout(self.ctx.time_left(request), asked).await {
            Ok(Ok(Some(_))) => Ok(()),
            Ok(Ok(None)) => Err(CarrierEventError::SupervisorInvalid(user.clone())),
            failed => {
                log_failed_lookup(user, failed.ok().and_then(Result::err).as_ref());
                Err(CarrierEventError::SupervisorUnavailable(user.clone()))
            }
        }
    }

    /// Refuses a new leg of a carrier that has too many unfinished ones.
    ///
    /// # Errors
    /// [`CarrierEventError::LegLimitReached`], and the store's.
    pub(super) async fn check_room(&self, carrier: &str, instance: &InstanceName) -> Result<(), CarrierEventError> {
        let mut filter = Filter {
            states: State::ALL.into_iter().filter(|state| !state.is_final()).collect(),
            instance: Some(instance.clone()),
            origin: Some(Origin::Observed),
            limit: PAGE,
            ..Filter::default()
        };
        let mut legs = 0;
        loop {
            let page = self.ctx.store().list(&filter).await?;
            legs += page.iter().filter(|s| s.supervision.vendor == carrier).count();
            if legs >= MAX_LEGS {
                return Err(CarrierEventError::LegLimitReached);
            }
            match page.last() {
                Some(last) => filter.before = Some(last.supervision.id),
                None => return Ok(()),
            }
        }
    }
}

impl EvidenceService {
    /// Ends the supervision of a carrier's own leg of which the carrier has said nothing for [`LEG_TTL`]: nothing shows when the leg
    /// ended. Returns when to look again.
    pub(crate) async fn expire_carrier_leg(&self, s: &Supervision) -> Result<Option<Timestamp>, UseCaseError> {
        let Some(leg) = &s.leg else { return Ok(None) };
        let now = self.ctx.now();
        let evidence = self.ctx.store().evidence(&s.instance, leg.as_str()).await?;
        let expires_at = evidence.iter().map(|e| e.learnt_at + LEG_TTL).max();
        if let Some(later) = expires_at.filter(|at| now < *at) {
            return Ok(Some(later));
        }
        let committed = self.ctx.update(s.id, |s| {
            let facts = DropFacts {
                asked: None,
                confirmation: Confirmation::None,
                alive: None,
                gone_by: now,
                source: Source::PartnerEvent,
                stamps: Vec::new(),
                vendor_reason: None,
            };
            let departure = self.departure_of(s, &facts);
            s.conclude(departure).ok()?;
            s.next_check_at = None;
            let outcome = format!("{} said nothing about the leg for 24 hours", s.vendor);
            Some(Transaction {
                audit: vec![self.ctx.audit_own(AuditAction::SupervisionLeft, s.id, outcome)],
                deliver_at: Some(now),
                ..Transaction::default()
            })
        });
        if committed.await?.is_done() {
            tracing::warn!(supervision_id = %s.id, vendor = s.vendor, "ended {}, because {} said nothing about its leg for 24 hours", s.id, s.vendor);
            self.ctx.signals.deliver.notify_one();
        }
        Ok(None)
    }
}

fn log_failed_lookup(user: &UserId, error: Option<&VendorError>) {
    let code = error.map_or("timeout", |e| e.code.as_str());
    let message = error.map_or_else(|| "no answer in time".to_owned(), VendorError::for_operators);
    tracing::warn!(
        code,
        "could not look up the supervisor {user} of a carrier's leg: {message}; the carrier should retry"
    );
}
