//! The part of a polling round that asks for all agents, while the board is viewed. Its answer also says whether the legs of
//! the supervisors among them are alive, so that these are not asked about again.

use std::collections::BTreeSet;
use std::sync::Arc;

use sidedoor_domain::contact_event::InitiationMethod;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::store::IdleLeg;
use sidedoor_domain::ports::user_data::{Directory, UserDataSeen};
use sidedoor_domain::ports::{Endpoint, Priority, VendorError, VendorErrorCode};

use crate::usecases::polling::dispatch::BATCH;
use crate::usecases::polling::{PollingError, PollingService};

/// What the rounds of a board have found so far.
pub(super) struct BoardRound {
    as_of: jiff::Timestamp,
    directory: Arc<Directory>,
    profiles: Vec<String>,
    seen: Vec<UserDataSeen>,
}

impl PollingService {
    /// Prepares to ask for the agents of an instance; `None` if the board is not viewed, or Connect has never listed the users.
    pub(super) async fn begin_board_round(&self, instance: &InstanceName) -> Option<BoardRound> {
        let boards = &self.ctx.signals.boards;
        if !boards.is_viewed(instance, self.ctx.elapsed()) {
            return None;
        }
        let (mut directory, is_to_be_asked) = boards.directory(instance, self.ctx.elapsed());
        if is_to_be_asked {
            let answer = self.ctx.telephony().directory(instance).await;
            let answer = answer
                .map_err(|e| self.note_board_failure(instance, e))
                .ok()
                .map(Arc::new);
            boards.set_directory(instance, self.ctx.elapsed(), answer.clone());
            directory = answer.or(directory);
        }
        let directory = directory?;
        let configured = &self.ctx.settings.board_routing_profiles;
        let profiles = if configured.is_empty() {
            directory.routing_profiles.iter().cloned().collect()
        } else {
            configured.clone()
        };
        Some(BoardRound {
            as_of: self.ctx.now(),
            directory,
            profiles,
            seen: Vec::new(),
        })
    }

    /// Asks for the agents of one Region. Returns the idle legs that the answer says nothing about.
    pub(super) async fn poll_board(
        &self,
        round: &mut BoardRound,
        endpoint: &Endpoint,
        legs: Vec<IdleLeg>,
    ) -> Result<Vec<IdleLeg>, PollingError> {
        let asked_at = self.ctx.now();
        let mut seen = UserDataSeen {
            is_complete: true,
            ..UserDataSeen::default()
        };
        for profiles in round.profiles.chunks(BATCH) {
            let answer = self
                .ctx
                .telephony()
                .current_contacts_of_profiles(endpoint, profiles, Priority::IdlePoll)
                .await;
            match answer {
                Ok(more) => {
                    seen.contacts.extend(more.contacts);
                    seen.users.extend(more.users);
                    seen.is_complete &= more.is_complete;
                }
                // No agent is in a Region that is not active.
                Err(e) if e.code == VendorErrorCode::RegionInvalid => return Ok(legs),
                Err(e) => {
                    self.note_board_failure(&endpoint.instance, e);
                    return Ok(legs);
                }
            }
        }
        let received_at = self.ctx.now();
        let (listed, others): (Vec<_>, Vec<_>) = legs
            .into_iter()
            .partition(|leg| seen.users.contains_key(leg.user.as_str()));
        self.apply_poll(endpoint, &listed, &seen, (asked_at, received_at))
            .await?;
        round.seen.push(seen);
        Ok(others)
    }

    /// Shows the answers of all Regions.
    pub(super) fn finish_board_round(&self, instance: &InstanceName, round: BoardRound) {
        if round.seen.is_empty() {
            return;
        }
        self.ctx
            .signals
            .boards
            .show(instance, round.as_of, &round.directory, &round.seen);
        let contacts = round.seen.iter().flat_map(|seen| &seen.contacts);
        let of_customers = contacts.filter(|c| c.initiation_method != InitiationMethod::Monitor);
        let queues: BTreeSet<String> = of_customers.filter_map(|c| c.queue.clone()).collect();
        let (names, instance) = (self.names.clone(), instance.clone());
        self.ctx
            .spawn(async move { names.learn_queues(&instance, queues).await });
    }

    fn note_board_failure(&self, instance: &InstanceName, e: VendorError) {
        tracing::warn!(%instance, code = %e.code, "could not list the agents of {instance} for the board; asking again in the next round: {}", e.for_operators());
        self.ctx.signals.boards.note_failure(instance, e);
    }
}
