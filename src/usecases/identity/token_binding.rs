//! Whom a token names: the supervisor's claim is a Connect user id, a Connect user name, or a Salesforce User, whose record
//! says the Connect user name. What was found is remembered for a while; of many requests at once one asks; and when nobody
//! can be asked, what was found last still stands for a shift, so that a supervisor may leave while a vendor is down.

use crate::usecases::error::UseCaseError;
use crate::usecases::identity::IdentityError;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{OnceCell, Semaphore};

use crate::usecases::identity::IdentityResolver;
use sidedoor_domain::authority::{Claim, ClaimKind, Unbound};
use sidedoor_domain::ids::UserId;

/// How many are remembered.
const REMEMBERED: u64 = 10_000;
/// For how long nobody is asked again about one that leads nowhere.
const NOBODY: Duration = Duration::from_secs(30);
/// How long what was found last stands when nobody can be asked.
const SHIFT: Duration = Duration::from_secs(8 * 3600);
/// For how long nobody is asked again about one that could not be asked for.
const REST: Duration = Duration::from_secs(2);
/// How many are asked for at a time: what is more waits, no longer than a request does.
const AT_A_TIME: usize = 32;
/// How long a request waits to learn whom its token names.
const PATIENCE: Duration = Duration::from_secs(4);

/// What is known of claims.
#[derive(Clone)]
pub(crate) struct Bindings {
    found: Cache<Claim, Arc<OnceCell<UserId>>>,
    nobody: Cache<Claim, ()>,
    last: Cache<Claim, UserId>,
    unresolved: Cache<Claim, ()>,
    asking: Arc<Semaphore>,
}

impl Bindings {
    pub(crate) fn new(live: Duration) -> Self {
        Self {
            found: Cache::builder().max_capacity(REMEMBERED).time_to_live(live).build(),
            nobody: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(NOBODY.min(live))
                .build(),
            last: Cache::builder().max_capacity(REMEMBERED).time_to_live(SHIFT).build(),
            unresolved: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(REST.min(live))
                .build(),
            asking: Arc::new(Semaphore::new(AT_A_TIME)),
        }
    }
}

impl IdentityResolver {
    /// The Connect user whom a verified token names; asked for no longer than this.
    ///
    /// # Errors
    /// [`Unbound`].
    pub async fn bind(&self, claim: &Claim, within: Duration) -> Result<UserId, Unbound> {
        if claim.kind == ClaimKind::ConnectUserId {
            return UserId::parse(claim.value.as_str()).map_err(|_| Unbound::NotLinked);
        }
        if self.bindings.nobody.contains_key(claim) {
            return Err(Unbound::NotLinked);
        }
        let found = match self.bindings.unresolved.contains_key(claim) {
            // Whoever could not be asked a moment ago cannot be asked now.
            true => Err(Unbound::Unresolved),
            false => tokio::time::timeout(PATIENCE.min(within), self.ask_on_its_own(claim))
                .await
                .unwrap_or(Err(Unbound::Unresolved)),
        };
        match found {
            Ok(user) => Ok(user),
            Err(Unbound::Unresolved) => {
                // One whose time was nearly up before it asked says nothing about the others.
                if within >= PATIENCE {
                    self.bindings.unresolved.insert(claim.clone(), ());
                }
                self.bindings.last.get(claim).ok_or(Unbound::Unresolved)
            }
            Err(Unbound::NotLinked) => {
                self.bindings.nobody.insert(claim.clone(), ());
                self.bindings.last.invalidate(claim);
                Err(Unbound::NotLinked)
            }
        }
    }

    /// A request that is given up leaves what it began to the next one; so many at a time, whatever becomes of their requests.
    async fn ask_on_its_own(&self, claim: &Claim) -> Result<UserId, Unbound> {
        let cell = self.bindings.found.get(claim);
        if let Some(user) = cell.as_ref().and_then(|cell| cell.get()) {
            return Ok(user.clone());
        }
        let turn = self.bindings.asking.clone().acquire_owned().await;
        let turn = turn.map_err(|_| Unbound::Unresolved)?;
        let (this, asked) = (self.clone(), claim.clone());
        let asking = self.ctx.own(async move {
            let found = this.ask_whom(&asked).await;
            drop(turn);
            Ok::<_, UseCaseError>(found)
        });
        asking.await.unwrap_or(Err(Unbound::Unresolved))
    }

    async fn ask_whom(&self, claim: &Claim) -> Result<UserId, Unbound> {
        let cell = self.bindings.found.get_with_by_ref(claim, Arc::default);
        let user = cell.get_or_try_init(|| self.look_up(claim)).await?.clone();
        self.bindings.last.insert(claim.clone(), user.clone());
        Ok(user)
    }

    async fn look_up(&self, claim: &Claim) -> Result<UserId, Unbound> {
        let name = match claim.kind {
            ClaimKind::ConnectUserId | ClaimKind::ConnectUsername => claim.value.clone(),
            ClaimKind::SalesforceUserId => self.name_in_salesforce(&claim.value).await?,
        };
        let instance = claim
            .instance
            .clone()
            .or_else(|| self.ctx.settings.default_instance.clone());
        let known = instance.filter(|name| self.ctx.instance(name).is_some());
        let instance = known.ok_or(Unbound::NotLinked)?;
        match self.user_named(&instance, &name).await {
            Ok(user) => Ok(user),
            Err(IdentityError::SupervisorNotFound | IdentityError::SupervisorAmbiguous) => {
                tracing::info!("a token names a supervisor who is no user of Amazon Connect, or several");
                Err(Unbound::NotLinked)
            }
            Err(e) => {
                tracing::warn!(error = %e, "whom a token names could not be asked: {e}");
                Err(Unbound::Unresolved)
            }
        }
    }

    async fn name_in_salesforce(&self, user: &str) -> Result<String, Unbound> {
        let crm = self.ctx.parts.crm.as_ref().ok_or(Unbound::NotLinked)?;
        match crm.connect_username(user).await {
            Ok(Some(name)) => Ok(name),
            Ok(None) => {
                tracing::info!("a token names a Salesforce User who has no Connect user name");
                Err(Unbound::NotLinked)
            }
            Err(e) => {
                tracing::warn!(code = %e.code, "a token's Salesforce User could not be read: {}", e.code);
                Err(Unbound::Unresolved)
            }
        }
    }
}
