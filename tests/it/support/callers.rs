//! Every kind of caller: without a credential, with an invalid one, and with each scope by key and by token.

use sidedoor_domain::authority::Scope;

use super::app::{
    AUDITOR, BACK_END, BOARD, Call, EVENTS, ONLY_BARGE, OPERATOR, PRESENCE, READER, SUPERVISOR_1, TestApp,
    TestAppBuilder,
};
use super::issuer::{AUDIENCE, Answers, KeyServer, Signer, claims};

/// A caller, by its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    Anonymous,
    /// A caller with an invalid credential.
    InvalidCredential,
    Key(Scope),
    Token(Scope),
}

impl Role {
    pub fn scope(self) -> Option<Scope> {
        match self {
            Self::Anonymous | Self::InvalidCredential => None,
            Self::Key(scope) | Self::Token(scope) => Some(scope),
        }
    }
}

/// All roles, derived from `Scope::ALL` so that a new scope is included.
pub const ROLES: [Role; 2 + 2 * Scope::ALL.len()] = {
    let mut roles = [Role::Anonymous; 2 + 2 * Scope::ALL.len()];
    roles[1] = Role::InvalidCredential;
    let mut i = 0;
    while i < Scope::ALL.len() {
        roles[2 + 2 * i] = Role::Key(Scope::ALL[i]);
        roles[3 + 2 * i] = Role::Token(Scope::ALL[i]);
        i += 1;
    }
    roles
};

/// Signs the callers' tokens, with one issuer for each scope. supervisor-1 has the scope `supervise`.
pub struct Callers {
    signer: Signer,
    server: KeyServer,
}

fn issuer_of(scope: Scope) -> String {
    format!("https://idp.example/{}", scope.as_str())
}

impl Callers {
    pub async fn new() -> Self {
        let signer = Signer::ec("a");
        let server = KeyServer::start(Answers::Keys(vec![signer.jwk()])).await;
        Self { signer, server }
    }

    /// An app that accepts all callers and does not limit failed credentials.
    pub fn app(&self) -> TestAppBuilder {
        let mut built = TestApp::build().set("HTTP__AUTH_FAILURES_PER_MINUTE", "1000000");
        for (i, scope) in Scope::ALL.into_iter().enumerate() {
            for (key, value) in [
                ("ISSUER", issuer_of(scope).as_str()),
                ("AUDIENCE", AUDIENCE),
                ("JWKS_URL", &self.server.url),
                ("SCOPES", scope.as_str()),
            ] {
                built = built.set(&format!("AUTH__ISSUERS__{i}__{key}"), value);
            }
            if scope == Scope::Events {
                built = built
                    .set(&format!("AUTH__ISSUERS__{i}__VENDOR"), "amazon-connect")
                    .set(&format!("AUTH__ISSUERS__{i}__INSTANCES"), "main");
            }
        }
        built
    }

    /// Adds this role's credential to the request.
    pub fn ask_as<'h>(&self, role: Role, call: Call<'h>) -> Call<'h> {
        match role {
            Role::Anonymous => call.anonymous(),
            Role::InvalidCredential => call.key("an-unknown-key"),
            Role::Key(Scope::SuperviseAny) => call.key(BACK_END),
            Role::Key(Scope::Supervise) => call.key(SUPERVISOR_1),
            Role::Key(Scope::Barge) => call.key(ONLY_BARGE),
            Role::Key(Scope::Board) => call.key(BOARD),
            Role::Key(Scope::Presence) => call.key(PRESENCE),
            Role::Key(Scope::Read) => call.key(READER),
            Role::Key(Scope::Audit) => call.key(AUDITOR),
            Role::Key(Scope::Events) => call.key(EVENTS),
            Role::Key(Scope::Operate) => call.key(OPERATOR),
            Role::Token(scope) => {
                let mut claims = claims("supervisor-1");
                claims["iss"] = issuer_of(scope).into();
                call.key(&self.signer.sign(&claims))
            }
        }
    }
}
