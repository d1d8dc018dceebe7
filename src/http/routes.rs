//! The table of routes. The router is built from it; the contract, the authority tests and docs/security.md are compared with it.

use axum::Router;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use sidedoor_domain::authority::Scope;

use super::AppState;
use super::bulkheads::Bulkhead;
use super::operations::{health, metrics, openapi};
use super::v1::{agents, audit, deliveries, events, reports, supervisions, supervisors, vendors};

/// The HTTP methods that routes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads, and changes nothing.
    Get,
    /// Changes something.
    Post,
}

impl Verb {
    /// The method's name, in capitals.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
        }
    }
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody: no credential is looked at.
    Public,
    /// Anybody. A credential that is sent must be valid, and with one of these scopes the answer has details.
    DetailsFor(&'static [Scope]),
    /// A credential with at least one of these scopes. [`Scope::Supervise`] opens a route only for the supervisor that the
    /// credential names.
    AnyOf(&'static [Scope]),
}

/// One operation of the API.
#[derive(Debug)]
pub struct Route {
    /// The method.
    pub verb: Verb,
    /// The path as in `openapi.yaml`, with parameters in braces.
    pub path: &'static str,
    /// `operationId` in `openapi.yaml`.
    pub operation_id: &'static str,
    /// Who may use it.
    pub access: Access,
    handler: fn(MethodFilter) -> MethodRouter<AppState>,
}

impl Route {
    const fn get(
        path: &'static str,
        operation_id: &'static str,
        access: Access,
        handler: fn(MethodFilter) -> MethodRouter<AppState>,
    ) -> Self {
        Self {
            verb: Verb::Get,
            path,
            operation_id,
            access,
            handler,
        }
    }

    const fn post(
        path: &'static str,
        operation_id: &'static str,
        access: Access,
        handler: fn(MethodFilter) -> MethodRouter<AppState>,
    ) -> Self {
        Self {
            verb: Verb::Post,
            path,
            operation_id,
            access,
            handler,
        }
    }

    /// Whether the route is about one supervision. A caller who may not see that supervision gets 404 and not 403, so that
    /// the answer does not reveal whether it exists.
    pub fn names_supervision(&self) -> bool {
        self.path.contains("{supervisionId}")
    }

    /// The concurrency limit that its requests are under.
    pub(super) fn bulkhead(&self) -> Bulkhead {
        match self.operation_id {
            "getHealth" | "getReadiness" | "getContract" | "getMetrics" => Bulkhead::Health,
            // A browser learns by a directive that it must end a leg, and opens the stream of directives with a ticket.
            "disconnectSupervision"
            | "disconnectSupervisor"
            | "acknowledgeDirective"
            | "getDirectives"
            | "issueTicket" => Bulkhead::Leaves,
            "receiveConnectEvent" | "receivePartnerEvent" => Bulkhead::Events,
            _ => Bulkhead::Work,
        }
    }

    /// Whether the route is about one supervisor.
    pub fn names_supervisor(&self) -> bool {
        self.path.contains("{connectUserId}")
    }
}

/// The one path that a ticket opens.
pub(super) const DIRECTIVES: &str = "/v1/supervisors/{connectUserId}/directives";

/// May begin to listen as a supervisor, and answer that supervisor's directives.
const SUPERVISORS: Access = Access::AnyOf(&[Scope::Supervise, Scope::SuperviseAny]);
/// May end a supervision.
const ENDING: Access = Access::AnyOf(&[Scope::Supervise, Scope::SuperviseAny, Scope::Operate]);
/// May see supervisions.
const SEEING: Access = Access::AnyOf(&[Scope::Supervise, Scope::SuperviseAny, Scope::Read, Scope::Operate]);
/// May list supervisions; with the scope `presence` those of one contact.
const LISTING: Access = Access::AnyOf(&[
    Scope::Supervise,
    Scope::SuperviseAny,
    Scope::Presence,
    Scope::Read,
    Scope::Operate,
]);
/// May see the board.
const BOARD: Access = Access::AnyOf(&[Scope::Board, Scope::SuperviseAny, Scope::Read, Scope::Operate]);
/// May read the audit.
const AUDITORS: Access = Access::AnyOf(&[Scope::Audit]);
/// May see the vendors' clocks.
const CLOCKS: Access = Access::AnyOf(&[Scope::SuperviseAny, Scope::Read, Scope::Operate]);
/// May see what operators see.
const OPERATIONS: Access = Access::AnyOf(HAS_DETAILS);
pub(super) const HAS_DETAILS: &[Scope] = &[Scope::Read, Scope::Operate];
const OPERATORS: Access = Access::AnyOf(&[Scope::Operate]);
const EVENT_SOURCES: Access = Access::AnyOf(&[Scope::Events]);

/// Every route.
pub static ROUTES: [Route; 29] = [
    Route::get("/v1/agents", "listAgents", BOARD, |method| {
        on(method, agents::list::handle)
    }),
    Route::post("/v1/supervisions", "startSupervision", SUPERVISORS, |method| {
        on(method, supervisions::start::handle)
    }),
    Route::get("/v1/supervisions", "listSupervisions", LISTING, |method| {
        on(method, supervisions::list::handle)
    }),
    Route::get("/v1/supervisions/{supervisionId}", "getSupervision", SEEING, |method| {
        on(method, supervisions::get::handle)
    }),
    Route::post(
        "/v1/supervisions/{supervisionId}/disconnect",
        "disconnectSupervision",
        ENDING,
        |method| on(method, supervisions::disconnect::handle),
    ),
    Route::post(
        "/v1/supervisions/{supervisionId}/close",
        "closeSupervision",
        OPERATORS,
        |method| on(method, supervisions::close::handle),
    ),
    Route::post(
        "/v1/supervisions/{supervisionId}/mode",
        "changeMode",
        ENDING,
        |method| on(method, supervisions::change_mode::handle),
    ),
    Route::post(
        "/v1/supervisions/{supervisionId}/acknowledgements",
        "acknowledgeDirective",
        SUPERVISORS,
        |method| on(method, supervisions::acknowledge::handle),
    ),
    Route::get(
        "/v1/supervisions/{supervisionId}/timeline",
        "getTimeline",
        SEEING,
        |method| on(method, supervisions::timeline::handle),
    ),
    Route::post(
        "/v1/supervisors/{connectUserId}/disconnect",
        "disconnectSupervisor",
        ENDING,
        |method| on(method, supervisors::disconnect::handle),
    ),
    Route::get(DIRECTIVES, "getDirectives", ENDING, |method| {
        on(method, supervisors::directives::handle)
    }),
    Route::post(
        "/v1/supervisors/{connectUserId}/tickets",
        "issueTicket",
        SUPERVISORS,
        |method| on(method, supervisors::tickets::handle),
    ),
    Route::post("/v1/events/connect", "receiveConnectEvent", EVENT_SOURCES, |method| {
        on(method, events::connect::handle)
    }),
    Route::post(
        "/v1/events/partners/{vendor}",
        "receivePartnerEvent",
        EVENT_SOURCES,
        |method| on(method, events::partners::handle),
    ),
    Route::get("/v1/vendors", "listVendors", CLOCKS, |method| {
        on(method, vendors::list::handle)
    }),
    Route::get("/v1/vendors/{vendor}/calibration", "getCalibration", CLOCKS, |method| {
        on(method, vendors::calibration::handle)
    }),
    Route::post("/v1/vendors/{vendor}/probes", "probeVendor", OPERATORS, |method| {
        on(method, vendors::probe::handle)
    }),
    Route::get("/v1/deliveries", "listDeliveries", OPERATIONS, |method| {
        on(method, deliveries::list::handle)
    }),
    Route::post("/v1/deliveries/replay", "replayDeliveries", OPERATORS, |method| {
        on(method, deliveries::replay::range)
    }),
    Route::post(
        "/v1/deliveries/{deliveryId}/replay",
        "replayDelivery",
        OPERATORS,
        |method| on(method, deliveries::replay::one),
    ),
    Route::post(
        "/v1/deliveries/{deliveryId}/discard",
        "discardDelivery",
        OPERATORS,
        |method| on(method, deliveries::discard::handle),
    ),
    Route::get("/v1/reports/supervision", "reportSupervision", OPERATIONS, |method| {
        on(method, reports::supervision::handle)
    }),
    Route::get("/v1/reports/coverage", "reportCoverage", OPERATIONS, |method| {
        on(method, reports::coverage::handle)
    }),
    Route::get("/v1/audit", "listAudit", AUDITORS, |method| {
        on(method, audit::list::handle)
    }),
    Route::get("/v1/audit/head", "getAuditHead", AUDITORS, |method| {
        on(method, audit::head::handle)
    }),
    Route::get("/metrics", "getMetrics", OPERATIONS, |method| {
        on(method, metrics::handle)
    }),
    Route::get("/healthz", "getHealth", Access::Public, |method| {
        on(method, health::alive)
    }),
    Route::get("/readyz", "getReadiness", Access::DetailsFor(HAS_DETAILS), |method| {
        on(method, health::ready)
    }),
    Route::get("/openapi.yaml", "getContract", Access::Public, |method| {
        on(method, openapi::handle)
    }),
];

/// The route with this path, as in the table, and this method.
pub(super) fn find(path: &str, method: &Method) -> Option<&'static Route> {
    ROUTES
        .iter()
        .find(|route| route.path == path && route.verb.as_str() == method.as_str())
}

/// The routes that pass this test, as a router.
pub(super) fn router(select: impl Fn(&Route) -> bool) -> Router<AppState> {
    let selected = ROUTES.iter().filter(|route| select(route));
    selected.fold(Router::new(), |router, route| {
        router.route(route.path, (route.handler)(route.verb.filter()))
    })
}
